//! The connector for the web service in `server.rs`. It keeps the contract, except for at most one mistake.

#![expect(
    clippy::too_many_lines,
    reason = "one step after another, each with the mistakes that can be made in it"
)]

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex};
use std::time::Duration;

use bridgehead_sdk::ExposeSecret;
use bridgehead_sdk::http::reqwest::Method;
use bridgehead_sdk::http::{Answer, Client, Limits};
use bridgehead_sdk::{
    Account, AccountRecord, AccountStatus, Action, Code, Completion, Connector, Context, CreateAccount,
    Cursor, Description, Effect, Error, Evidence, Memberships, Network, Operation, Page, Record,
    ResourceKind, ResourceType, Retry, Subject, UpdateAccount, async_trait,
};
use serde_json::{Map, Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use url::Url;

use crate::mistakes::Mistake::{self, *};

type User = Map<String, Value>;

pub(crate) struct Reference {
    client: Client,
    base: Url,
    token: &'static str,
    page: usize,
    mistake: Option<Mistake>,
    under_way: AtomicUsize,
    cache: Mutex<HashMap<String, Option<User>>>,
    pages: Mutex<HashMap<String, Value>>,
    asked: Mutex<String>,
    /// The state of one call that the mistakes share between calls: the position of a listing, the listing, or the
    /// account.
    kept: Mutex<HashMap<&'static str, String>>,
    under_list: Mutex<Option<ResourceType>>,
    described: AtomicUsize,
}

/// A cause that contains a secret.
#[derive(Debug, thiserror::Error)]
#[error("GET /?token={0} failed")]
struct Cause(&'static str);

/// Creating a client is slow, because it loads the trusted certificates, so clients are shared. Where connections matter, each connector
/// has its own anyway, because it uses its own address.
static CLIENT: LazyLock<Mutex<HashMap<usize, Client>>> = LazyLock::new(Mutex::default);

fn client() -> Client {
    // A connection pool belongs to the runtime on which its connections were opened.
    let runtime = tokio::runtime::Handle::current().id();
    let key = format!("{runtime:?}")
        .bytes()
        .fold(0usize, |all, byte| all.wrapping_mul(31).wrapping_add(byte.into()));
    let limits = Limits::default().with_request(Duration::from_secs(10));
    let mut clients = CLIENT.lock().unwrap();
    clients
        .entry(key)
        .or_insert_with(|| Client::new("the help desk", &Network::default(), limits).unwrap())
        .clone()
}

const FIELDS: [&str; 5] = ["username", "email", "first_name", "last_name", "display_name"];
const EMPTY: &[Value] = &[];

impl Reference {
    pub(crate) fn new(
        address: SocketAddr,
        token: &'static str,
        page: usize,
        mistake: Option<Mistake>,
    ) -> Self {
        Self {
            client: client(),
            base: Url::parse(&format!("http://{address}")).unwrap(),
            token,
            page,
            mistake,
            under_way: AtomicUsize::new(0),
            cache: Mutex::default(),
            pages: Mutex::default(),
            asked: Mutex::default(),
            kept: Mutex::default(),
            under_list: Mutex::default(),
            described: AtomicUsize::new(0),
        }
    }

    fn has(&self, mistake: Mistake) -> bool {
        self.mistake == Some(mistake)
    }

    fn any(&self, mistakes: &[Mistake]) -> bool {
        self.mistake.is_some_and(|mistake| mistakes.contains(&mistake))
    }

    fn url(&self, path: &[&str], query: &[(&str, &str)]) -> Url {
        let mut url = self.base.clone();
        if self.has(PathIsNotEscaped) {
            url = self.base.join(&path.join("/")).unwrap_or(url);
        } else {
            // The URL parser removes line breaks, so the path must not contain any.
            let escaped: Vec<String> = path
                .iter()
                .map(|part| url::form_urlencoded::byte_serialize(part.as_bytes()).collect())
                .collect();
            url = self.base.join(&escaped.join("/")).unwrap();
        }
        if !query.is_empty() && self.has(QueryIsNotEscaped) {
            let parts: Vec<String> = query.iter().map(|(name, value)| format!("{name}={value}")).collect();
            url.set_query(Some(&parts.join("&")));
        } else if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }

    /// Sends a request once, and returns the response whatever its status.
    async fn ask(&self, method: Method, url: Url, body: Option<&Value>) -> Result<Answer, Error> {
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
    fn refusal(&self, answer: &Answer, what: &str) -> Error {
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
    async fn get(&self, what: &str, url: Url) -> Result<Value, Error> {
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
    async fn send(&self, what: &str, method: Method, url: Url, body: Option<&Value>) -> Result<Value, Error> {
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
    fn record(&self, user: &User) -> Result<Record, bridgehead_sdk::RejectedRecord> {
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

    /// Searches for a user by a field.
    async fn search(&self, field: &str, value: &str) -> Result<Option<User>, Error> {
        let what = format!("User {value} cannot be looked for");
        let value = if self.has(NamesAreTrimmed) { value.trim() } else { value };
        let value = if self.has(DomainIsIgnored) { value.split('@').next().unwrap_or(value) } else { value };
        let folded = match (self.mistake, value.split_once('@')) {
            (Some(PlusTagIsIgnored), Some((local, domain))) => {
                Some(format!("{}@{domain}", local.split('+').next().unwrap_or_default()))
            }
            (Some(DotsAreIgnored), Some((local, domain))) => {
                Some(format!("{}@{domain}", local.replace('.', "")))
            }
            (Some(AccentsAreIgnored), _) => {
                let plain = |letter| match letter {
                    'à'..='å' => 'a',
                    'è'..='ë' => 'e',
                    'ò'..='ö' => 'o',
                    'ù'..='ü' => 'u',
                    'ķ' => 'k',
                    other => other,
                };
                Some(value.chars().map(plain).collect())
            }
            (Some(RealmIsIgnored), Some((local, _))) if field == "username" => Some(local.to_owned()),
            (Some(RealmIsIgnored), None) if field == "username" => {
                value.rsplit('\\').next().map(str::to_owned)
            }
            _ => None,
        };
        let value = folded.as_deref().unwrap_or(value);
        if self.has(EmailFindsNobody) && field == "email" {
            return Ok(None);
        }
        let by_part = self.any(&[
            SubstringFirstHit,
            PrefixFirstHit,
            FirstHitOrNobody,
            DomainIsIgnored,
            SuffixOfEmail,
            LongestHit,
        ]);
        let query = if by_part { [("q", value)] } else { [(field, value)] };
        let pattern = value.strip_suffix('*').filter(|_| self.has(LookUpByPattern));
        let query = pattern.map_or(query, |begin| [("q", begin)]);
        let answer = self.ask(Method::GET, self.url(&["users"], &query), None).await;
        let answer = match answer {
            Err(_) if self.has(FindErrorIsNobody) => return Ok(None),
            other => other?,
        };
        let status = answer.status().as_u16();
        let nobody = match status {
            204 => self.has(NoContentIsNobody),
            200..300 => false,
            300..400 => self.has(RedirectIsNobody),
            410 => self.has(GoneIsNobody),
            403 => self.any(&[Find403IsNobody, FindErrorIsNobody]),
            404 => self.any(&[Find404IsNobody, FindErrorIsNobody]),
            429 => self.any(&[Find429IsNobody, FindErrorIsNobody]),
            500.. => self.any(&[Find5xxIsNobody, FindErrorIsNobody]),
            _ => self.has(FindErrorIsNobody),
        };
        if nobody {
            return Ok(None);
        }
        if !(200..300).contains(&status) {
            return Err(self.refusal(&answer, &what));
        }
        let found: Value = match answer.json() {
            Err(_) if answer.body().is_empty() && self.has(FindEmptyBodyIsNobody) => return Ok(None),
            Err(_) if self.has(FindHtmlIsNobody) => return Ok(None),
            Ok(Value::Null) if self.has(NullIsNobody) => return Ok(None),
            other => other?,
        };
        let users = match found["users"].as_array() {
            Some(users) => users.as_slice(),
            None if self.has(FindErrorInBodyIsNobody) => EMPTY,
            None => {
                return Err(Error::new(
                    Code::InternalError,
                    format!("{what}: the help desk answered something else than users"),
                ));
            }
        };
        let is = |user: &User| {
            let held = user.get(field).and_then(Value::as_str).unwrap_or_default();
            let by_case =
                self.has(EmailByCase) && field == "email" || self.has(UsernameByCase) && field == "username";
            if by_case { held == value } else { held.to_lowercase() == value.to_lowercase() }
        };
        let mut users = users
            .iter()
            .filter_map(Value::as_object)
            .filter(|user| !self.has(SearchHidesTheSuspended) || user.get("active") != Some(&json!(false)));
        let text = |user: &User, field: &str| {
            user.get(field).and_then(Value::as_str).unwrap_or_default().to_lowercase()
        };
        Ok(match self.mistake {
            Some(SubstringFirstHit | DomainIsIgnored) => users.next(),
            Some(LookUpByPattern) if pattern.is_some() => users.next(),
            Some(PrefixFirstHit) => users.find(|user| text(user, field).starts_with(&value.to_lowercase())),
            Some(SuffixOfEmail) => users.find(|user| text(user, field).ends_with(&value.to_lowercase())),
            Some(LongestHit) => users.max_by_key(|user| text(user, field).len()),
            Some(FirstHitOrNobody) => users.next().filter(|user| is(user)),
            _ => users.find(|user| is(user)),
        }
        .cloned())
    }

    async fn by_id(&self, id: &str) -> Result<Option<User>, Error> {
        // Even if escaped, these cannot be path segments.
        if matches!(id, "." | "..") && !self.has(PathIsNotEscaped) {
            return Ok(None);
        }
        let what = format!("User {id} cannot be looked for");
        let answer = self.ask(Method::GET, self.url(&["users", id], &[]), None).await;
        let answer = match answer {
            Err(_) if self.has(FindErrorIsNobody) => return Ok(None),
            other => other?,
        };
        match answer.status().as_u16() {
            404 => Ok(None),
            403 if self.any(&[Find403IsNobody, FindErrorIsNobody]) => Ok(None),
            _ if !answer.status().is_success() && self.has(FindErrorIsNobody) => Ok(None),
            200..300 => {
                let user: Value = match answer.json() {
                    Err(_) if self.any(&[FindHtmlIsNobody, FindErrorIsNobody]) => return Ok(None),
                    other => other?,
                };
                let mut user = user.as_object().cloned().unwrap_or_default();
                if !user.contains_key("id") && !self.has(FindErrorInBodyIsNobody) {
                    return Err(Error::new(
                        Code::InternalError,
                        format!("{what}: the help desk answered something else than a user"),
                    ));
                }
                if self.any(&[TeamErrorIsNoTeam]) {
                    let teams = self.get(&what, self.url(&["users", id, "teams"], &[])).await;
                    user.insert(
                        "teams".to_owned(),
                        teams.map(|teams| teams["teams"].clone()).unwrap_or_default(),
                    );
                }
                Ok(user.contains_key("id").then_some(user))
            }
            _ => Err(self.refusal(&answer, &what)),
        }
    }

    /// The account that a task or a lookup identifies: by identifier, otherwise by user name, otherwise by email.
    async fn find(&self, account: &Account) -> Result<Option<User>, Error> {
        let key = account.label().to_owned();
        let caches = self.any(&[CacheOfOwnWrites, CacheOfNobody]);
        if caches && let Some(found) = self.cache.lock().unwrap().get(&key) {
            return Ok(found.clone());
        }
        let (id, username, email) =
            (account.id.as_ref(), account.username.as_deref(), account.email.as_deref());
        let found = match (id, username, email) {
            (Some(_), Some(username), _) if self.has(NameBeforeId) => {
                self.search("username", username).await?
            }
            (_, Some(username), Some(email)) if self.has(EmailBeforeName) && id.is_none() => {
                match self.search("email", email).await? {
                    None => self.search("username", username).await?,
                    found => found,
                }
            }
            (Some(id), ..) => match self.by_id(id.as_str()).await? {
                None if self.has(GoneIdFallsBackToName) && username.is_some() => {
                    self.search("username", username.unwrap_or_default()).await?
                }
                None if self.has(GoneIdFallsBackToEmail) && email.is_some() => {
                    self.search("email", email.unwrap_or_default()).await?
                }
                None if self.has(IdMayBeAName) => self.search("username", id.as_str()).await?,
                found => found,
            },
            (None, Some(username), email) => match self.search("username", username).await? {
                None if self.has(NameOrEmail) && email.is_some() => {
                    self.search("email", email.unwrap_or_default()).await?
                }
                found => found,
            },
            (None, None, Some(email)) => self.search("email", email).await?,
            (None, None, None) => None,
        };
        if caches && (found.is_some() || self.has(CacheOfNobody)) {
            self.cache.lock().unwrap().insert(key, found.clone());
        }
        Ok(found)
    }

    /// The identifier of the account that a task identifies.
    async fn meant(&self, account: &Account) -> Result<String, Error> {
        let missing =
            || Error::account_not_found(format!("User {} is not at the help desk", account.label()));
        if self.has(ActsByIdAlone) && account.id.is_none() && account.username.is_none() {
            return Err(missing());
        }
        let found = match self.find(account).await {
            Err(_) if self.has(AnyErrorIsMissing) => None,
            other => other?,
        };
        let found = found.ok_or_else(missing)?;
        Ok(found["id"].as_str().unwrap_or_default().to_owned())
    }

    /// The teams and seats that a task requests, in the target's format.
    fn refs(&self, operation: &Operation, wanted: Option<&Memberships>) -> User {
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

    async fn create(&self, operation: &Operation, create: &CreateAccount) -> Result<Completion, Error> {
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
    async fn put_refs(&self, id: &str, refs: &User) -> Result<(), Error> {
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
    fn written(&self, text: &str) -> String {
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
    fn password(&self, operation: &Operation, everywhere: Option<String>) -> Option<String> {
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

    async fn update(&self, operation: &Operation, update: &UpdateAccount) -> Result<Completion, Error> {
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

    async fn change(&self, operation: &Operation) -> Result<Completion, Error> {
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

    /// A page of any resource type, and the start of the next one.
    async fn page(
        &self,
        of: &ResourceType,
        kind: &str,
        after: &str,
    ) -> Result<(Vec<Value>, Option<String>, Value), Error> {
        let (what, size) = (format!("{kind} cannot be listed"), self.page.to_string());
        let offset = self.any(&[OffsetPaging, OffsetByWhatWasAsked, ShortPageIsAnEnd]) && kind == "users";
        let mut query = vec![("limit", size.as_str())];
        query.push(if offset {
            ("offset", if after.is_empty() { "0" } else { after })
        } else {
            ("after", after)
        });
        if self.has(PageWithoutBound) {
            query.push(("all", "1"));
        }
        let answer = self.ask(Method::GET, self.url(&[kind], &query), None).await;
        let nothing = || Ok((Vec::new(), None, Value::Null));
        let later = !after.is_empty();
        let answer = match answer {
            Err(_) if self.any(&[CutIsAnEnd, AnyErrorIsAnEnd]) => return nothing(),
            other => other?,
        };
        let status = answer.status().as_u16();
        let ends = match status {
            204 => self.has(NoContentIsAnEnd),
            200..300 => false,
            _ if self.has(AnyErrorIsAnEnd) => true,
            _ if self.has(LaterErrorIsAnEnd) => later,
            _ if self.has(GroupErrorIsAnEnd) => of.kind != ResourceKind::Account,
            300..400 => self.has(RedirectIsAnEnd),
            400 => self.has(Page400IsAnEnd),
            410 => self.has(Page410IsAnEnd),
            504 if self.has(GatewayTimeoutIsAnEnd) => true,
            401 => self.has(Page401IsAnEnd),
            403 => self.has(Page403IsAnEnd),
            404 => self.has(Page404IsAnEnd),
            429 => self.has(Page429IsAnEnd),
            503 => self.any(&[Page503IsAnEnd, Page5xxIsAnEnd]),
            500.. => self.has(Page5xxIsAnEnd),
            _ => false,
        };
        if ends {
            return nothing();
        }
        if !answer.status().is_success() {
            return Err(self.refusal(&answer, &what));
        }
        let page: Value = match answer.json() {
            Err(_) if answer.body().is_empty() && self.has(EmptyBodyIsAnEnd) => return nothing(),
            Err(_) if !answer.body().is_empty() && self.has(HtmlIsAnEnd) => return nothing(),
            Ok(Value::Null) if self.has(NullIsAnEnd) => return nothing(),
            other => other?,
        };
        let Some(records) = page[kind].as_array() else {
            if self.has(ErrorInBodyIsAnEnd) {
                return nothing();
            }
            return Err(Error::incomplete_listing(format!("{what}: the help desk answered something else")));
        };
        let mut records = records.clone();
        let next = match self.mistake {
            Some(ShortPageIsAnEnd) if offset => {
                let at = after.parse::<usize>().unwrap_or_default() + records.len();
                (records.len() >= self.page).then(|| at.to_string())
            }
            Some(OffsetPaging) if offset => {
                let at = after.parse::<usize>().unwrap_or_default() + records.len();
                (!records.is_empty()).then(|| at.to_string())
            }
            Some(OffsetByWhatWasAsked) if offset => {
                let at = after.parse::<usize>().unwrap_or_default() + self.page;
                (!records.is_empty()).then(|| at.to_string())
            }
            _ => page["next"].as_str().map(str::to_owned),
        };
        if self.has(FullPageIsLost) && records.len() == self.page && next.is_none() {
            records.clear();
        }
        if self.has(LastOfManyIsLost) && records.len() == 1 && later {
            records.clear();
        }
        if self.has(LastPageIsLost) && next.is_none() && later {
            records.clear();
        }
        if self.has(PageLosesItsLast) && next.is_some() {
            records.pop();
        }
        if self.has(RecordsComeTwice)
            && let Some(first) = records.first().cloned()
        {
            records.push(first);
        }
        let total = if self.has(TotalIsTooLarge) {
            json!(page["total"].as_u64().unwrap_or_default() + 1)
        } else {
            page["total"].clone()
        };
        Ok((records, next, total))
    }
}

/// A minimal base64 encoder, for one of the mistakes.
fn base64(text: &str) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    text.as_bytes()
        .chunks(3)
        .flat_map(|chunk| {
            let bits =
                chunk.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
            (0..=chunk.len()).map(move |at| char::from(ALPHABET[(bits >> (18 - 6 * at) & 63) as usize]))
        })
        .collect()
}

/// A running call, until it ends or is dropped.
struct Call<'a>(&'a AtomicUsize);

impl<'a> Call<'a> {
    /// Starts a call; returns the number of other running calls.
    fn begin(under_way: &'a AtomicUsize) -> (Self, usize) {
        (Self(under_way), under_way.fetch_add(1, Ordering::SeqCst))
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[async_trait]
impl Connector for Reference {
    async fn describe(&self) -> Result<Description, Error> {
        let mut resource_types = vec![
            ResourceType::group("team", "Team"),
            ResourceType::license("seat", "Seat"),
            ResourceType::account("account", "Account"),
        ];
        let mut actions = Action::ALL.to_vec();
        if self.any(&[DescribesNothingWhileDown, DescribesNoActionsWhileDown, DescribesNoGroupsWhileDown]) {
            let up = self.get("", self.url(&["health"], &[])).await.is_ok_and(|health| health["ok"] == true);
            match self.mistake {
                Some(DescribesNothingWhileDown) if !up => resource_types.clear(),
                Some(DescribesNoActionsWhileDown) if !up => actions.clear(),
                Some(DescribesNoGroupsWhileDown) if !up => drop(resource_types.remove(0)),
                _ => {}
            }
        }
        if self.any(&[UndeclaredAndCarriedOut]) {
            actions.retain(|action| *action != Action::UnsuspendAccount);
        }
        if self.has(WithoutDelete) {
            actions.retain(|action| *action != Action::DeleteAccount);
        }
        if self.has(DescribesOtherwiseLater) && self.described.fetch_add(1, Ordering::SeqCst) > 0 {
            resource_types.remove(1);
        }
        if self.has(SlugTwice) {
            resource_types.push(ResourceType::group("team", "The same again"));
        }
        let version = match self.mistake {
            Some(SecretInDescription) => self.token,
            Some(NoVersion) => "",
            _ => "1.0",
        };
        let description =
            Description::new("help-desk", version).with_actions(actions).with_resource_types(resource_types);
        if self.has(EverythingIsUnverifiable) {
            return Ok(description.with_unverifiable(FIELDS).with_unverifiable(["status"]));
        }
        Ok(description)
    }

    async fn check(&self) -> Result<(), Error> {
        if self.has(CheckNeverAsks) {
            return Ok(());
        }
        if self.has(BlocksItsThread) {
            use std::io::Read;
            let address = (self.base.host_str().unwrap(), self.base.port().unwrap());
            let mut connection = std::net::TcpStream::connect(address)
                .map_err(|_| Error::unreachable("the help desk is unreachable"))?;
            drop(connection.read(&mut [0; 1]));
            return Err(Error::timeout("no answer"));
        }
        let url = self.url(&["health"], &[]);
        if self.has(CheckIsRemembered) {
            if self.kept.lock().unwrap().contains_key("checked") {
                return Ok(());
            }
            self.get("the help desk is not in order", url).await?;
            self.kept.lock().unwrap().insert("checked", String::new());
            return Ok(());
        }
        if self.has(CheckIgnoresTheStatus) {
            return self.ask(Method::GET, url, None).await.map(drop);
        }
        if self.has(CheckPassesServerErrors) {
            let answer = self.ask(Method::GET, url, None).await?;
            return if answer.status().is_client_error() {
                Err(self.refusal(&answer, "check"))
            } else {
                Ok(())
            };
        }
        if self.has(CheckWrites) {
            let probe = json!({ "username": "probe", "email": "probe@example.org" });
            let made =
                self.send("probe created", Method::POST, self.url(&["users"], &[]), Some(&probe)).await?;
            let id = made["id"].as_str().unwrap_or_default();
            self.send("probe", Method::DELETE, self.url(&["users", id], &[]), None).await?;
            return Ok(());
        }
        if self.has(CheckMarks) {
            let url = self.url(&["users", "a000001"], &[]);
            return self.send("mark", Method::PATCH, url, Some(&json!({ "seen": true }))).await.map(drop);
        }
        self.get("the help desk is not in order", url).await.map(drop)
    }

    async fn list(&self, of: &ResourceType, cursor: Option<&Cursor>) -> Result<Page, Error> {
        let shared = cursor.and_then(|_| self.under_list.lock().unwrap().clone());
        let of = shared.as_ref().filter(|_| self.has(ListingIsShared)).unwrap_or(of);
        *self.under_list.lock().unwrap() = Some(of.clone());
        let after = match cursor.map(|cursor| cursor.as_str().strip_prefix("after ")) {
            None => "",
            Some(Some(after)) => after,
            Some(None) if self.has(UnknownCursorBeginsAgain) => "",
            Some(None) if self.has(UnknownCursorIsAnEnd) => {
                return Ok(Page::last(Vec::new(), Evidence::EndOfCursor));
            }
            Some(None) => return Err(Error::incomplete_listing("this is no cursor of the help desk")),
        };
        let (after, round) = match after.split_once('#') {
            Some((after, round)) => (after, round.parse().unwrap_or(0)),
            None => (after, 0),
        };
        let kind = match of.kind {
            ResourceKind::Group => "teams",
            ResourceKind::License => "seats",
            ResourceKind::Account => "users",
        };
        let position = cursor.and_then(|_| self.kept.lock().unwrap().get(kind).cloned());
        let after = position.as_deref().filter(|_| self.has(PositionIsKeptInside)).unwrap_or(after);
        if self.has(SleepsInListing) && of.kind == ResourceKind::Account {
            std::thread::sleep(Duration::from_millis(1_300));
        }
        let key = format!("{kind} {after}");
        let kept = self.pages.lock().unwrap().get(&key).cloned().filter(|_| self.has(CacheOfPages));
        let (records, mut next, total) = match kept {
            Some(kept) => {
                let records = kept["records"].as_array().cloned().unwrap_or_default();
                (records, kept["next"].as_str().map(str::to_owned), kept["total"].clone())
            }
            None => self.page(of, kind, after).await?,
        };
        if self.has(CacheOfPages) {
            let kept = json!({ "records": records, "next": next, "total": total });
            self.pages.lock().unwrap().insert(key, kept);
        }
        match self.mistake {
            Some(FirstPageOfGroups) if of.kind == ResourceKind::Group => next = None,
            Some(FirstPageOfLicences) if of.kind == ResourceKind::License => next = None,
            Some(TenPagesAreEnough) if after > "a003000" => next = None,
            Some(CursorRepeats) if !after.is_empty() => next = Some(after.to_owned()),
            Some(SameRecordsForEver) if of.kind == ResourceKind::Account => {
                next = Some(format!("{after}#{}", round + 1));
            }
            _ => {}
        }
        if let Some(next) = &next {
            self.kept.lock().unwrap().insert(kind, next.clone());
        }
        let mut page = Page::default();
        for value in records {
            if of.kind != ResourceKind::Account {
                let record = Record::from_json(of.kind, value);
                page.records.push(record.map_err(|error| Error::incomplete_listing(error.to_string()))?);
                continue;
            }
            let mut user = value.as_object().cloned().unwrap_or_default();
            let left_out = match self.mistake {
                Some(WithoutEmailIsLeftOut) => !user.get("email").is_some_and(Value::is_string),
                Some(WithoutUsernameIsLeftOut) => !user.get("username").is_some_and(Value::is_string),
                Some(SuspendedAreNotListed) => user.get("active") == Some(&json!(false)),
                _ => false,
            };
            if left_out {
                continue;
            }
            if self.any(&[TeamErrorIsNoTeamInListing])
                && user["username"].as_str().is_some_and(|name| name.starts_with("bhk"))
            {
                let url = self.url(&["users", user["id"].as_str().unwrap_or_default(), "teams"], &[]);
                let teams = self.get("teams", url).await.map(|teams| teams["teams"].clone());
                user.insert("teams".to_owned(), teams.unwrap_or_default());
            }
            if self.has(ListingShowsNoTeams) {
                user.shift_remove("teams");
            }
            if self.has(ListingShowsOtherNames) {
                user.insert("display_name".to_owned(), user.get("username").cloned().unwrap_or_default());
            }
            match self.record(&user) {
                Ok(record) => page.records.push(record),
                Err(_) if self.has(UnreadableIsLeftOut) => {}
                Err(rejected) => page.rejected.push(rejected),
            }
        }
        if self.has(PageIsAnotherTheSecondTime) && !after.is_empty() && *self.asked.lock().unwrap() == after {
            drop(page.records.pop());
        }
        after.clone_into(&mut self.asked.lock().unwrap());
        let next = next.map(|next| Cursor::new(format!("after {next}")));
        if self.has(EndWithoutEvidence) {
            page.next = next;
            return Ok(page);
        }
        let counted = page.records.len() as u64;
        let evidence = if self.any(&[TotalWithoutATotal, TotalIsCounted]) {
            Evidence::TotalMet
        } else {
            Evidence::EndOfCursor
        };
        let page = page.ending(next, evidence);
        Ok(match self.mistake {
            Some(TotalWithoutATotal) => page,
            Some(TotalIsCounted) => page.with_total(counted),
            _ => page.with_total(total.as_u64()),
        })
    }

    async fn find_account(&self, account: &Account) -> Result<Option<AccountRecord>, Error> {
        let found = match self.find(account).await {
            Err(_) if self.has(FailureIsNobody) => None,
            other => other?,
        };
        let Some(user) = found else { return Ok(None) };
        match self.record(&user) {
            Ok(Record::Account(record)) => Ok(Some(*record)),
            _ if self.has(UnreadableIsNobody) => Ok(None),
            _ => Err(Error::new(
                Code::InternalError,
                format!("User {} of the help desk cannot be read", account.label()),
            )),
        }
    }

    async fn execute(&self, context: &Context, operation: &Operation) -> Result<Completion, Error> {
        let (_call, others) = Call::begin(&self.under_way);
        if self.has(SleepsInActions) {
            std::thread::sleep(Duration::from_millis(1_300));
        }
        if self.has(OneAtATime) && others > 0 {
            return Err(Error::internal("one at a time, please"));
        }
        if self.has(DeleteByPattern)
            && operation.action() == Action::DeleteAccount
            && let Some(begin) =
                operation.account().username.as_deref().and_then(|name| name.strip_suffix('*'))
        {
            let found = self.get("", self.url(&["users"], &[("q", begin)])).await?;
            if let Some(id) = found["users"][0]["id"].as_str() {
                self.send("deleted", Method::DELETE, self.url(&["users", id], &[]), None).await?;
                return Ok(Completion::done());
            }
        }
        let done = match operation {
            // Treats an existing account as its own work, because the attempt is not the first.
            Operation::CreateAccount(create)
                if (context.attempt > 2 && self.has(AttemptIsEvidence)
                    || context.may_have_applied && self.has(SecondCreationSucceeds))
                    && self.find(&create.account).await?.is_some() =>
            {
                Ok(Completion::done())
            }
            Operation::DeleteAccount(delete)
                if context.may_have_applied
                    && self.has(SecondDeletionSucceeds)
                    && self.find(&delete.account).await?.is_none() =>
            {
                Ok(Completion::done())
            }
            Operation::DeleteAccount(_) if self.has(WithoutDelete) => {
                Err(Error::unsupported(operation.action()))
            }
            Operation::CreateAccount(create) => self.create(operation, create).await,
            Operation::UpdateAccount(update) => self.update(operation, update).await,
            _ => self.change(operation).await,
        };
        if self.has(CacheOfOwnWrites) {
            self.cache.lock().unwrap().clear();
        }
        if self.has(EveryErrorIsInternal) {
            return done.map_err(|error| Error::new(Code::InternalError, error.message().to_owned()));
        }
        done
    }
}

/// A target that breaks off in the middle of its listing, for a connector that is not reached over TCP.
pub(crate) async fn breaks_off(address: SocketAddr) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let relay = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let mut server = TcpStream::connect(address).await.unwrap();
            let mut request = vec![0; 4096];
            let count = client.read(&mut request).await.unwrap();
            server.write_all(&request[..count]).await.unwrap();
            let mut part = [0; 200];
            server.read_exact(&mut part).await.unwrap();
            client.write_all(&part).await.unwrap();
        }
    });
    relay
}
