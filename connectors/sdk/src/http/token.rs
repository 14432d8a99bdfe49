//! OAuth 2.0 tokens: fetched once for all waiting requests, cached while they are valid.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use reqwest::Method;
use reqwest::header::ACCEPT;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::Mutex;
use tokio::time::Instant;
use url::{Url, form_urlencoded};

use super::auth::{ClientAuthentication, ClientCredentials, is_token};
use super::settings::endpoint;
use super::{Answer, Client};
use crate::{Code, Effect, Error, Protection, Redactor, Retry, SettingsError, Subject};

/// A token is not used shortly before it expires, so that it does not expire in transit.
const MARGIN: Duration = Duration::from_secs(30);

/// The error codes that a token server may return (RFC 6749, section 5.2). Other strings come from the server, and are not repeated.
const REASONS: [&str; 6] = [
    "invalid_request",
    "invalid_client",
    "invalid_grant",
    "unauthorized_client",
    "unsupported_grant_type",
    "invalid_scope",
];

/// Fetches tokens, with one request at a time, however many callers wait for one.
pub(super) struct TokenSource {
    settings: ClientCredentials,
    url: Url,
    /// The target that the tokens are for.
    system: Arc<str>,
    client: Client,
    redactor: Redactor,
    /// The number of completed fetches.
    fetches: AtomicU64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    token: Option<Arc<Token>>,
    /// Why the last fetch failed, for the callers that waited for it.
    failure: Option<Failure>,
}

/// One token.
pub(super) struct Token {
    text: SecretString,
    serial: u64,
    /// When it is no longer used; `None` if the server does not say how long it is valid.
    stale: Option<Instant>,
    _protection: Protection,
}

/// An error that can be returned to several callers.
#[derive(Clone)]
struct Failure {
    code: Code,
    retry: Retry,
    message: String,
}

#[derive(Deserialize)]
struct Granted {
    access_token: SecretString,
    #[serde(default)]
    token_type: Option<String>,
    #[serde(default)]
    expires_in: Value,
}

impl TokenSource {
    pub(super) fn new(
        settings: &ClientCredentials,
        key: &str,
        client: &Client,
        redactor: &Redactor,
    ) -> Result<Self, SettingsError> {
        let url = endpoint(&format!("{key}.token_url"), &settings.token_url)?;
        let system: Arc<str> = client.system().into();
        let host = url.host_str().unwrap_or_default();
        let client = client.named(format!("the token server of {system} ({host})"));
        Ok(Self {
            settings: settings.clone(),
            url,
            system,
            client,
            redactor: redactor.clone(),
            fetches: AtomicU64::new(0),
            state: Mutex::default(),
        })
    }

    /// A token that is not known to be expired.
    pub(super) async fn get(&self) -> Result<Arc<Token>, Error> {
        self.other_than(None).await
    }

    /// A token other than a rejected one: one that another task has fetched since, or a new one.
    pub(super) async fn renew(&self, refused: &Token) -> Result<Arc<Token>, Error> {
        self.other_than(Some(refused.serial)).await
    }

    async fn other_than(&self, refused: Option<u64>) -> Result<Arc<Token>, Error> {
        let seen = self.fetches.load(Ordering::Acquire);
        let mut state = self.state.lock().await;
        if let Some(token) = &state.token
            && Some(token.serial) != refused
            && token.stale.is_none_or(|stale| Instant::now() < stale)
        {
            return Ok(Arc::clone(token));
        }
        let ended = self.fetches.load(Ordering::Acquire);
        if ended != seen
            && let Some(failure) = &state.failure
        {
            // The fetch that this call waited for failed; another one immediately after it would fail in the same way.
            return Err(failure.clone().into());
        }
        // If this call is dropped here, the next waiting call fetches again.
        let fetched = self.fetch(ended).await;
        self.fetches.store(ended + 1, Ordering::Release);
        match fetched {
            Ok(token) => {
                let token = Arc::new(token);
                *state = State { token: Some(Arc::clone(&token)), failure: None };
                Ok(token)
            }
            Err(error) => {
                let failure = self.failure(&error);
                *state = State { token: None, failure: Some(failure.clone()) };
                Err(Error::from(failure).with_source(error))
            }
        }
    }

    async fn fetch(&self, serial: u64) -> Result<Token, Error> {
        let asked = Instant::now();
        let settings = &self.settings;
        let mut form = vec![("grant_type", "client_credentials")];
        form.extend(settings.scope.as_deref().map(|scope| ("scope", scope)));
        form.extend(settings.parameters.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        let mut request =
            self.client.request(Method::POST, self.url.clone()).header(ACCEPT, "application/json");
        match settings.authentication {
            ClientAuthentication::ClientSecretBasic => {
                // RFC 6749, section 2.3.1: both are form-encoded before they become a user name and a password.
                let encode =
                    |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
                let secret = encode(settings.client_secret.expose_secret());
                request = request.basic_auth(encode(&settings.client_id), Some(secret));
            }
            ClientAuthentication::ClientSecretPost => {
                form.push(("client_id", &settings.client_id));
                form.push(("client_secret", settings.client_secret.expose_secret()));
            }
        }
        let answer = self.client.send(request.form(&form)).await?;
        if !answer.status().is_success() {
            return Err(self.refusal(&answer));
        }
        let granted: Granted = answer.json()?;
        let text = granted.access_token.expose_secret();
        let is_bearer = granted.token_type.is_none_or(|kind| kind.eq_ignore_ascii_case("bearer"));
        if !is_bearer || !is_token(text) {
            return Err(Error::internal(format!(
                "{} returned a token that is not a bearer token",
                self.client.system()
            )));
        }
        let protection = self.redactor.protect([text]);
        let stale =
            lifetime(&granted.expires_in).map(|lifetime| asked + lifetime.saturating_sub(margin(lifetime)));
        Ok(Token { text: granted.access_token, serial, stale, _protection: protection })
    }

    fn refusal(&self, answer: &Answer) -> Error {
        let status = answer.status().as_u16();
        let said: Option<Value> = serde_json::from_slice(answer.body()).ok();
        let said = said.as_ref().and_then(|said| said.get("error")?.as_str());
        let reason = REASONS.into_iter().find(|reason| Some(*reason) == said);
        match (status, reason) {
            (400..=403, _) if reason != Some("invalid_request") => {
                let reason = reason.map(|reason| format!(", {reason}")).unwrap_or_default();
                Error::credential_refused(format!(
                    "{} rejected the connector's client_id and client_secret ({status}{reason})",
                    self.client.system()
                ))
            }
            (400..=403, Some(reason)) => Error::internal(format!(
                "{} did not understand the request for a token ({status}, {reason}); see auth.oauth2",
                self.client.system()
            )),
            (404 | 405, _) => Error::internal(format!(
                "{} returned {status}; check auth.oauth2.token_url",
                self.client.system()
            )),
            _ => answer.refusal("no token is available"),
        }
    }

    /// In every case the request that the token was for was not sent; and without a token, every request fails in the same way.
    fn failure(&self, error: &Error) -> Failure {
        let retry = match error.retry() {
            Retry::Never => Retry::Backoff,
            other => other,
        };
        let message = format!("no token for {}: {}", self.system, error.message());
        Failure { code: error.code(), retry, message }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Self::new(failure.code, failure.message)
            .with_effect(Effect::NotApplied)
            .with_retry(failure.retry)
            .with_subject(Subject::Connection)
    }
}

impl Token {
    pub(super) fn expose(&self) -> &str {
        self.text.expose_secret()
    }
}

/// A number of seconds, as a JSON number or string.
fn lifetime(expires_in: &Value) -> Option<Duration> {
    let seconds = expires_in.as_u64().or_else(|| expires_in.as_str()?.parse().ok())?;
    // More than a year is treated like no limit.
    Some(Duration::from_secs(seconds)).filter(|lifetime| *lifetime <= Duration::from_hours(366 * 24))
}

fn margin(lifetime: Duration) -> Duration {
    MARGIN.min(lifetime / 4)
}

impl std::fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenSource").field("settings", &self.settings).finish_non_exhaustive()
    }
}
