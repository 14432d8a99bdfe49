//! Executes the actions.

use super::*;

impl Reference {
    /// The teams and seats that a task requests, in the target's format.
    pub(super) fn refs(&self, operation: &Operation, wanted: Option<&Memberships>) -> User {
        let mut refs = User::new();
        let Some(wanted) = wanted else { return refs };
        let payload = operation.payload();
        for (slug, field) in [("team", "teams"), ("seat", "seats")] {
            let Some(list) = wanted.0.get(slug) else { continue };
            let mut ids: Vec<String> = list.iter().map(|one| one.id.clone()).collect();
            let place = if slug == "team" {
                &payload.memberships
            } else {
                payload.extra.get("assignments").unwrap_or(&Value::Null)
            };
            let raw = place.get(slug);
            match self.mistake {
                Some(OnlyTheFirstReference) => ids.truncate(1),
                Some(LastReferenceIsLost) if ids.len() > 1 => drop(ids.pop()),
                Some(ObjectsAreNotRead) => {
                    let objects = raw.and_then(Value::as_array).into_iter().flatten().any(Value::is_object);
                    if objects {
                        ids.clear();
                    }
                }
                Some(ReferencesInAccountAreNotRead)
                    if raw.is_none()
                        && payload
                            .account
                            .get("memberships")
                            .or(payload.account.get("assignments"))
                            .is_some() =>
                {
                    continue;
                }
                Some(ReferencesInChangesAreNotRead) if raw.is_none() && payload.changes.is_object() => {
                    continue;
                }
                Some(LoneReferenceIsNotRead) if raw.is_some_and(Value::is_string) => continue,
                Some(SeatsAreDropped) if slug == "seat" => continue,
                Some(TeamsAreDropped) if slug == "team" => continue,
                Some(EmptyListIsIgnored) if ids.is_empty() => continue,
                Some(MissingTeamIsIgnored) => ids.retain(|id| id.len() < 4),
                _ => {}
            }
            refs.insert(field.to_owned(), json!(ids));
        }
        if self.has(OtherTypesAreCleared) && operation.action() == Action::UpdateAccount {
            refs.entry("teams").or_insert(json!([]));
            refs.entry("seats").or_insert(json!([]));
        }
        refs
    }

    pub(super) async fn create(
        &self,
        operation: &Operation,
        create: &CreateAccount,
    ) -> Result<Completion, Error> {
        let account = &create.account;
        let label = account.label();
        let what = format!("User {label} cannot be created");
        if self.has(PanicsAtEmoji) {
            assert!(!account.display_name.as_deref().unwrap_or_default().contains('🦄'), "not a unicorn");
        }
        if self.has(PanicsWithoutNames) {
            assert!(account.last_name.is_some(), "no last name");
        }
        if self.has(PanicsWithoutEmail) {
            assert!(account.email.is_some(), "no email");
        }
        let mut user = User::new();
        for (field, value) in [
            ("username", &account.username),
            ("email", &account.email),
            ("first_name", &account.first_name),
            ("last_name", &account.last_name),
            ("display_name", &account.display_name),
        ] {
            if let Some(value) = value {
                user.insert(field.to_owned(), json!(self.written(value)));
            }
        }
        if self.has(UnknownFieldIsAnError) && account.extra.contains_key("bhk_later") {
            return Err(Error::internal(format!("{what}: unknown field")));
        }
        if self.has(UsernameIsCutAt20)
            && let Some(name) = &account.username
        {
            user.insert("username".to_owned(), json!(name.chars().take(20).collect::<String>()));
        }
        if self.has(LastNameIsDropped) {
            user.shift_remove("last_name");
        }
        if self.has(EmailIsDropped) && user.contains_key("username") {
            user.shift_remove("email");
        }
        if account.status.is_some_and(|status| status != AccountStatus::Active)
            && !self.has(StatusOnCreateIsIgnored)
            && !(self.has(InactiveIsIgnored) && account.status == Some(AccountStatus::Inactive))
        {
            user.insert("active".to_owned(), json!(false));
        }
        if self.has(EveryoneIsCreatedSuspended) {
            user.insert("active".to_owned(), json!(false));
        }
        let password = self.password(
            operation,
            create.password.as_ref().map(|password| password.expose_secret().to_owned()),
        );
        if let Some(password) = &password
            && !self.has(PasswordOnCreateIsDropped)
        {
            user.insert("password".to_owned(), json!(password));
            if self.has(PasswordInRecord) {
                user.insert("initial".to_owned(), json!(password));
            }
        }
        let refs = self.refs(operation, create.memberships.as_ref());
        if self.any(&[CreateOverwrites, CreateReactivates])
            && let Some(there) = self.find(account).await?
        {
            let id = there["id"].as_str().unwrap_or_default();
            if self.has(CreateOverwrites) || there.get("active") == Some(&json!(false)) {
                user.insert("active".to_owned(), json!(true));
                self.send(&what, Method::PATCH, self.url(&["users", id], &[]), Some(&json!(user))).await?;
                return Ok(Completion::created(id));
            }
        }
        let separately = self.any(&[TeamsSeparately, TeamsSeparatelyNotApplied, TeamFailureIsIgnored]);
        if !separately && !self.has(ReferencesOnCreateAreIgnored) {
            user.extend(refs.clone());
        }
        let url = || self.url(&["users"], &[]);
        let mut answered = if self.has(CreatesInTwoSteps) {
            let bare = json!({ "username": user.get("username"), "email": user.get("email") });
            let answered = self.send(&what, Method::POST, url(), Some(&bare)).await?;
            let id = answered["id"].as_str().unwrap_or_default();
            self.send(
                &what.replace("created", "finished"),
                Method::PATCH,
                self.url(&["users", id], &[]),
                Some(&json!(user)),
            )
            .await?;
            answered
        } else {
            self.send(&what, Method::POST, url(), Some(&json!(user))).await?
        };
        if self.has(CreatedWithoutAnId) && !answered["id"].is_string() {
            answered["id"] = json!(label);
        }
        let id = answered["id"].as_str().unwrap_or_default().to_owned();
        if separately {
            self.put_refs(&id, &refs).await?;
        }
        let completion = match self.mistake {
            Some(AnotherIdIsAnswered) => Completion::created("elsewhere"),
            Some(NoIdIsAnswered) => Completion::done(),
            _ => Completion::created(&*id),
        };
        Ok(match password {
            Some(password) if self.has(PasswordInResult) => completion.with("initial", password),
            _ => completion,
        })
    }

    /// Sends one request for each team and seat.
    pub(super) async fn put_refs(&self, id: &str, refs: &User) -> Result<(), Error> {
        for (field, ids) in refs {
            for one in ids.as_array().into_iter().flatten().filter_map(Value::as_str) {
                let url = self.url(&["users", id, field, one], &[]);
                let put = self.send("User cannot be added to a team", Method::PUT, url, None).await;
                match put {
                    Err(_) if self.has(TeamFailureIsIgnored) => {}
                    Err(error) if error.code() == Code::AccountNotFound => {
                        // The user certainly exists.
                        let subject = if field == "teams" { Subject::Group } else { Subject::License };
                        return Err(Error::internal("a team is missing").with_subject(subject));
                    }
                    Err(error) if self.has(TeamsSeparatelyNotApplied) => {
                        return Err(error.with_effect(Effect::NotApplied));
                    }
                    Err(error) => return Err(error),
                    Ok(_) => {}
                }
            }
        }
        Ok(())
    }

    /// A string as it is sent.
    pub(super) fn written(&self, text: &str) -> String {
        match self.mistake {
            Some(SpacesAreCollapsed) => {
                text.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
            }
            Some(TextIsComposed) => text.replace("e\u{301}", "é").replace("n\u{303}", "ñ"),
            Some(TextIsCutAt255Bytes) => {
                let end = (0..=text.len().min(255)).rev().find(|at| text.is_char_boundary(*at));
                text[..end.unwrap_or_default()].to_owned()
            }
            Some(OnlyTheFirstLine) => text.lines().next().unwrap_or_default().to_owned(),
            Some(TextIsCutAt64) => text.chars().take(64).collect(),
            Some(TextIsTrimmed) => text.trim().to_owned(),
            Some(TextIsEscaped) => text.replace('&', "&amp;").replace('<', "&lt;"),
            Some(TextIsAscii) => text.chars().map(|one| if one.is_ascii() { one } else { '?' }).collect(),
            _ => text.to_owned(),
        }
    }

    /// The password of a task, from the places where this connector looks for it.
    pub(super) fn password(&self, operation: &Operation, everywhere: Option<String>) -> Option<String> {
        let payload = operation.payload();
        let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
        match self.mistake {
            Some(PasswordOnlyInAccount) => text(payload.account.get("password")),
            Some(PasswordOnlyInPayload) => text(payload.extra.get("password")),
            Some(PasswordOnlyInChanges) => text(payload.changes.get("new_password")),
            Some(NewPasswordIsNotRead) => text(payload.account.get("password"))
                .or_else(|| text(payload.changes.get("password")))
                .or_else(|| text(payload.extra.get("password"))),
            Some(PasswordIsTrimmed) => everywhere.map(|password| password.trim().to_owned()),
            _ => everywhere,
        }
    }

    pub(super) async fn update(
        &self,
        operation: &Operation,
        update: &UpdateAccount,
    ) -> Result<Completion, Error> {
        let label = update.account.label();
        let what = format!("User {label} cannot be changed");
        let mut user = User::new();
        let mut unknown = None;
        for (field, value) in &update.changes {
            let field = field.as_str();
            if matches!(field, "memberships" | "assignments") {
                continue;
            }
            match value {
                _ if self.has(StatusChangeIsIgnored) && field == "status" => {}
                _ if !FIELDS.contains(&field) => unknown = Some(field),
                _ if self.has(OnlyDisplayNameIsChanged) && field != "display_name" => {}
                _ if self.has(UsernameIsNotChanged) && field == "username" => {}
                _ if self.has(EmailIsNotChanged) && field == "email" => {}
                _ if self.has(OneFieldIsChanged) && !user.is_empty() => {}
                Value::Null if self.has(NullIsIgnored) => {}
                Value::Null if self.has(NullIsText) => drop(user.insert(field.to_owned(), json!("null"))),
                Value::Null => drop(user.insert(field.to_owned(), Value::Null)),
                Value::String(text) => drop(user.insert(field.to_owned(), json!(self.written(text)))),
                other if self.has(NonTextIsStored) => drop(user.insert(field.to_owned(), other.clone())),
                other if self.has(NonTextIsWritten) => {
                    drop(user.insert(field.to_owned(), json!(other.to_string())));
                }
                _ if self.has(NonTextIsIgnored) => {}
                _ => return Err(Error::internal(format!("{what}: {field} must be a text"))),
            }
        }
        let id = self.meant(&update.account).await?;
        if self.has(OwnNameIsTaken) {
            for field in ["username", "email"] {
                if let Some(name) = user.get(field).and_then(Value::as_str)
                    && self.search(field, name).await?.is_some()
                {
                    return Err(Error::account_already_exists(format!("{what}: the name is taken")));
                }
            }
        }
        let url = || self.url(&["users", &id], &[]);
        let refs = self.refs(operation, update.memberships.as_ref());
        if unknown.is_some() && self.has(UnknownChangeAfterOthers) {
            self.send(&what, Method::PATCH, url(), Some(&json!(user))).await?;
        }
        if let Some(field) = unknown
            && !self.has(UnknownChangeIsIgnored)
        {
            return Err(Error::internal(format!("{what}: there is no {field}")));
        }
        if user.is_empty() && refs.is_empty() {
            return if self.has(EmptyUpdateIsAnError) {
                Err(Error::internal("nothing to change"))
            } else {
                Ok(Completion::done())
            };
        }
        if self.has(ReferencesActivate) && user.is_empty() {
            user.insert("active".to_owned(), json!(true));
        }
        if self.has(ReferencesClearNames) && user.is_empty() {
            user.insert("last_name".to_owned(), Value::Null);
        }
        if self.has(FirstNameClearsTheLast) && user.contains_key("first_name") {
            user.entry("last_name".to_owned()).or_insert(Value::Null);
        }
        if self.has(UpdateActivates) {
            user.insert("active".to_owned(), json!(true));
        }
        if self.has(UpdateClearsTheRest) && user.contains_key("display_name") {
            user.insert("last_name".to_owned(), Value::Null);
        }
        if self.has(UpdateClearsTeams) && !user.is_empty() && refs.is_empty() {
            user.insert("teams".to_owned(), json!([]));
        }
        if self.has(TakenNameIsAccepted) && user.contains_key("username") {
            user.insert("merge".to_owned(), json!(true));
        }
        if self.has(ReferencesOrFields) && !user.is_empty() {
            self.send(&what, Method::PATCH, url(), Some(&json!(user))).await?;
            return Ok(Completion::done());
        }
        if self.has(RenameMakesAnother) && user.contains_key("username") {
            let mut whole = self.by_id(&id).await?.unwrap_or_default();
            whole.shift_remove("id");
            whole.extend(user.clone());
            self.send(&what, Method::DELETE, url(), None).await?;
            self.send("created", Method::POST, self.url(&["users"], &[]), Some(&json!(whole))).await?;
            return Ok(Completion::done());
        }
        let separately =
            self.any(&[TeamsSeparately, TeamsSeparatelyNotApplied, TeamFailureIsIgnored, ReplacingOnlyAdds]);
        if separately && !refs.is_empty() {
            if !user.is_empty() {
                self.send(&what, Method::PATCH, url(), Some(&json!(user))).await?;
            }
            if !self.has(ReplacingOnlyAdds) {
                let cleared: User = refs.keys().map(|field| (field.clone(), json!([]))).collect();
                self.send(&what, Method::PATCH, url(), Some(&json!(cleared))).await?;
            }
            self.put_refs(&id, &refs).await?;
            return Ok(Completion::done());
        }
        user.extend(refs);
        if self.has(PartThenNotApplied) && user.len() > 1 {
            for (field, value) in user {
                let one = json!({ field: value });
                let sent = self.send(&what, Method::PATCH, url(), Some(&one)).await;
                sent.map_err(|error| error.with_effect(Effect::NotApplied))?;
            }
            return Ok(Completion::done());
        }
        self.send(&what, Method::PATCH, url(), Some(&json!(user))).await?;
        Ok(Completion::done())
    }

    pub(super) async fn change(&self, operation: &Operation) -> Result<Completion, Error> {
        let account = operation.account();
        let action = operation.action();
        let id = match self.meant(account).await {
            Err(error) if error.code() == Code::AccountNotFound => {
                let done = action == Action::SuspendAccount && self.has(SuspendingNobodySucceeds)
                    || action == Action::DeleteAccount && self.has(DeletingNobodySucceeds);
                return if done { Ok(Completion::done()) } else { Err(error) };
            }
            other => other?,
        };
        let what = format!("User {} cannot be changed", account.label());
        let id = if self.has(WhoIsMeantIsShared) {
            self.kept.lock().unwrap().insert("meant", id);
            tokio::task::yield_now().await;
            tokio::task::yield_now().await;
            self.kept.lock().unwrap().get("meant").cloned().unwrap_or_default()
        } else {
            id
        };
        let path: &[&str] = &["users", &id];
        let taken = match action {
            Action::SuspendAccount if self.has(SuspendTakesOnlyTeams) => Some("teams"),
            Action::UnsuspendAccount if self.has(UnsuspendTakesSeats) => Some("seats"),
            Action::ResetPassword if self.has(ResetTakesTeams) => Some("teams"),
            _ => None,
        };
        if let Some(taken) = taken {
            self.send(&what, Method::PATCH, self.url(path, &[]), Some(&json!({ taken: [] }))).await?;
        }
        match action {
            Action::DeleteAccount if self.has(DeleteSuspends) => {
                self.send(&what, Method::POST, self.url(&["users", &id, "suspend"], &[]), None).await?;
            }
            Action::DeleteAccount => {
                self.send(&what, Method::DELETE, self.url(path, &[]), None).await?;
            }
            Action::ResetPassword => {
                let Operation::ResetPassword(reset) = operation else { unreachable!() };
                let password = self.password(
                    operation,
                    reset.password.as_ref().map(|password| password.expose_secret().to_owned()),
                );
                let url = self.url(&["users", &id, "password"], &[]);
                self.send(&what, Method::POST, url, Some(&json!({ "password": password }))).await?;
                if self.has(PasswordInMessage) {
                    return Err(Error::internal(format!(
                        "{what}: {} is too simple",
                        password.unwrap_or_default()
                    )));
                }
                if self.has(DeclaredAndNotOffered) {
                    return Err(Error::unsupported(action));
                }
                if self.has(ResetActivates) {
                    self.send(&what, Method::POST, self.url(&["users", &id, "unsuspend"], &[]), None).await?;
                }
            }
            Action::UnsuspendAccount if self.has(UnsuspendIsIgnored) => {}
            _ => {
                let mut verb = if action == Action::SuspendAccount { "suspend" } else { "unsuspend" };
                if self.has(SuspendToggles) {
                    let there = self.by_id(&id).await?.unwrap_or_default();
                    verb = if there.get("active") == Some(&json!(false)) { "unsuspend" } else { "suspend" };
                }
                if action == Action::SuspendAccount && self.has(SuspendingTwiceFails) {
                    let there = self.by_id(&id).await?.unwrap_or_default();
                    if there.get("active") == Some(&json!(false)) {
                        return Err(Error::internal(format!("{what}: it is suspended already")));
                    }
                }
                if action == Action::SuspendAccount && self.has(SuspendTakesTeams) {
                    self.send(
                        &what,
                        Method::PATCH,
                        self.url(path, &[]),
                        Some(&json!({ "teams": [] , "display_name": null })),
                    )
                    .await?;
                }
                if action == Action::SuspendAccount && self.has(SuspendDeletes) {
                    self.send(&what, Method::DELETE, self.url(path, &[]), None).await?;
                } else {
                    self.send(&what, Method::POST, self.url(&["users", &id, verb], &[]), None).await?;
                }
            }
        }
        Ok(Completion::done())
    }
}
