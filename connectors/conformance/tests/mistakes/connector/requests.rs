//! Requests to the web service, and what its responses mean.

use super::*;

impl Reference {
    /// Sends a request once, and returns the response whatever its status.
    pub(super) async fn ask(&self, method: Method, url: Url, body: Option<&Value>) -> Result<Answer, Error> {
        let request = || {
            let request = self.client.request(method.clone(), url.clone()).bearer_auth(self.token);
            match body {
                Some(body) => request.json(body),
                None => request,
            }
        };
        let answer = self.client.send(request()).await.map_err(|error| {
            let unreachable = error.effect() == Effect::NotApplied && error.subject() == Subject::Connection;
            if unreachable && self.has(UnreachableIsAboutTheAccount) {
                error.with_subject(Subject::Account)
            } else if unreachable && self.has(UnreachableIsFinal) {
                error.with_retry(Retry::Never)
            } else if self.has(CutIsNotApplied) {
                error.with_effect(Effect::NotApplied)
            } else {
                error
            }
        })?;
        let status = answer.status().as_u16();
        if self.has(RetriesInside) && status == 503 || self.has(RetriesAfter429) && status == 429 {
            return self.client.send(request()).await;
        }
        if self.has(RetriesReading) && status >= 500 && method == Method::GET {
            return self.client.send(request()).await;
        }
        Ok(answer)
    }

    /// The error for a rejection.
    pub(super) fn refusal(&self, answer: &Answer, what: &str) -> Error {
        let status = answer.status().as_u16();
        let body = || String::from_utf8_lossy(answer.body()).into_owned();
        let message = format!("{what}: the help desk answered {status}");
        let usual = answer.refusal(what);
        let asked_to_wait = answer.headers().get("retry-after").and_then(|value| value.to_str().ok());
        match status {
            _ if self.has(ErrorPageIsAFault) && serde_json::from_slice::<Value>(answer.body()).is_err() => {
                Error::new(Code::InternalError, format!("{what}: an answer that is no JSON"))
            }
            429 if self.has(WaitMustBeSaid) && asked_to_wait.is_none() => Error::internal(message),
            429 if self.has(WaitUntilIsAFault)
                && asked_to_wait.is_some_and(|wait| wait.parse::<u64>().is_err()) =>
            {
                Error::internal(message)
            }
            504 if self.has(GatewayTimeoutIsNotApplied) => usual.with_effect(Effect::NotApplied),
            _ if self.has(BodyInMessage) => Error::new(usual.code(), format!("{message}: {}", body()))
                .with_effect(usual.effect())
                .with_retry(usual.retry())
                .with_subject(usual.subject()),
            401 if self.has(CredentialIsAnAccountError) => Error::permission_denied(message),
            401 if self.has(CredentialIsFinal) => usual.with_retry(Retry::Never),
            403 if self.has(ForbiddenIsAConnectionError) => Error::credential_refused(message),
            403 if self.has(ForbiddenIsInternal) => Error::internal(message),
            403 if self.has(ForbiddenIsTriedAgain) => usual.with_retry(Retry::Backoff),
            403 if self.has(ForbiddenIsNotFound) => Error::account_not_found(message),
            429 if self.has(TooManyIsPermission) => Error::permission_denied(message),
            429 if self.has(TooManyIsInternal) => Error::internal(message),
            429 if self.has(RetryAfterIsDropped) => Error::rate_limited(message),
            429 if self.has(TooManyIsFinal) => usual.with_retry(Retry::Never),
            429 if self.has(RetryAfterInMinutes) => {
                Error::rate_limited(message).with_retry(Retry::After(Duration::from_secs(420)))
            }
            503 if self.has(RetryAfterOf503IsDropped) => {
                Error::new(Code::InternalError, message).with_retry(Retry::Backoff)
            }
            503 if self.has(UnavailableIsFinal) => Error::new(Code::InternalError, message),
            500.. if self.has(ServerErrorIsNotApplied) => usual.with_effect(Effect::NotApplied),
            500.. if self.has(ServerErrorIsMissing) => Error::account_not_found(message),
            500.. if self.has(ServerErrorIsPermission) => Error::permission_denied(message),
            409 if self.has(DuplicateIsInternal) => Error::internal(message),
            409 if self.has(SecretInMessage) => {
                Error::account_already_exists(format!("{message} (token {})", self.token))
            }
            409 if self.has(SecretInCause) => {
                Error::account_already_exists(message).with_source(Cause(self.token))
            }
            409 if self.has(SecretInBase64) => Error::account_already_exists(format!(
                "{message} (Authorization: Basic {})",
                base64(&format!("bridgehead:{}", self.token))
            )),
            409 if self.has(SecretCutShort) => {
                Error::account_already_exists(format!("{message} (token {}…)", &self.token[..12]))
            }
            409 if self.has(SecretInHexadecimal) => {
                let digits: Vec<String> = self.token.bytes().map(|byte| format!("{byte:02x}")).collect();
                let digits = digits.concat();
                Error::account_already_exists(format!("{message} (key {digits})"))
            }
            422 if body().contains("teams") && self.has(MissingTeamIsAMissingAccount) => {
                Error::account_not_found(message)
            }
            422 if body().contains("teams") => Error::group_not_found(message),
            422 if body().contains("seats") && self.has(MissingSeatIsAGroup) => {
                Error::group_not_found(message)
            }
            422 if body().contains("seats") => Error::internal(message).with_subject(Subject::License),
            404 if self.has(NotFoundIsInternal) => Error::internal(message),
            _ => usual,
        }
    }

    /// Sends a request; any status other than success is an error.
    pub(super) async fn get(&self, what: &str, url: Url) -> Result<Value, Error> {
        let answer = self.ask(Method::GET, url, None).await?;
        if !answer.status().is_success() {
            return Err(self.refusal(&answer, what));
        }
        if self.has(PanicsAtHtml) {
            return Ok(serde_json::from_slice(answer.body()).unwrap());
        }
        if self.has(BodyOfHtmlInMessage) {
            let body = String::from_utf8_lossy(answer.body()).into_owned();
            return serde_json::from_slice(answer.body())
                .map_err(|_| Error::new(Code::InternalError, format!("{what}: no JSON: {body}")));
        }
        answer.json()
    }

    /// Sends a change that the target must confirm.
    pub(super) async fn send(
        &self,
        what: &str,
        method: Method,
        url: Url,
        body: Option<&Value>,
    ) -> Result<Value, Error> {
        let answer = self.ask(method.clone(), url, body).await?;
        let status = answer.status().as_u16();
        let creates = what.contains("created");
        let ignored = self.has(AnyAnswerIsDone) && !creates
            || self.has(ForbiddenIsDone) && status == 403 && !creates
            || self.has(TooManyIsDone) && status == 429 && !creates
            || self.has(ServerErrorIsDone) && status >= 500 && !creates
            || self.has(GoneIsDone) && status == 404 && method != Method::GET && !creates
            || self.has(CredentialErrorIsDone) && status == 401 && !creates
            || self.has(ConflictIsDone) && status == 409 && !creates
            || self.has(RedirectIsDone) && (300..400).contains(&status) && !creates;
        if !answer.status().is_success() && !ignored {
            return Err(self.refusal(&answer, what));
        }
        if creates {
            if self.has(CreatedWithoutAnId) {
                return Ok(answer.json().unwrap_or_default());
            }
            let confirmed: Value = match answer.json() {
                Err(error) if self.has(UnexpectedIsNotApplied) => {
                    return Err(error.with_effect(Effect::NotApplied));
                }
                other => other?,
            };
            if !confirmed["id"].is_string() {
                return Err(Error::new(
                    Code::InternalError,
                    format!("{what}: the help desk does not say under which id"),
                ));
            }
            return Ok(confirmed);
        }
        Ok(answer.json().unwrap_or_default())
    }

    /// A user of the target as a record; the error says what is wrong with the user.
    pub(super) fn record(&self, user: &User) -> Result<Record, bridgehead_sdk::RejectedRecord> {
        let mut fields = Map::new();
        for (name, value) in user {
            if !matches!(name.as_str(), "active" | "teams" | "seats") {
                fields.insert(name.clone(), value.clone());
            }
        }
        let active = user.get("active") != Some(&json!(false));
        let status = if active { AccountStatus::Active } else { AccountStatus::Suspended };
        let status = if self.has(StatusIsAlwaysActive) { AccountStatus::Active } else { status };
        fields.insert("status".to_owned(), json!(status));
        for (place, slug, from) in [("memberships", "team", "teams"), ("assignments", "seat", "seats")] {
            let refs = user.get(from).cloned().unwrap_or_default();
            if refs.as_array().is_some_and(|refs| !refs.is_empty()) {
                fields.insert(place.to_owned(), json!({ slug: refs }));
            }
        }
        if self.has(MissingIsText) {
            for field in FIELDS {
                fields.entry(field.to_owned()).or_insert(json!("None"));
            }
        }
        if self.has(UnlistedTeam) {
            fields.insert("memberships".to_owned(), json!({ "team": ["t9"] }));
        }
        if self.has(AccountWithoutName) && user["id"] == "a000000" {
            fields.shift_remove("username");
            fields.shift_remove("email");
        }
        if self.has(UnreadableFieldIsDropped) {
            for field in FIELDS {
                if fields.get(field).is_some_and(|value| !value.is_string()) {
                    fields.shift_remove(field);
                }
            }
        }
        Record::from_json(ResourceKind::Account, Value::Object(fields))
    }
}
