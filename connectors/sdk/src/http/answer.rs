//! A response, and what its status usually means.

use std::sync::Arc;
use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use serde::de::DeserializeOwned;
use url::Url;

use crate::{Code, Effect, Error, Retry, duplicate_member, exact};

/// The complete response to one request.
#[derive(Clone)]
pub struct Answer {
    system: Arc<str>,
    status: StatusCode,
    headers: HeaderMap,
    url: Url,
    retry_after: Option<Duration>,
    body: Vec<u8>,
}

impl Answer {
    pub(super) fn new(
        system: Arc<str>,
        response: &reqwest::Response,
        retry_after: Option<Duration>,
        body: Vec<u8>,
    ) -> Self {
        let (headers, url) = (response.headers().clone(), response.url().clone());
        Self::from_parts(system, response.status(), headers, url, retry_after, body)
    }

    pub(super) fn from_parts(
        system: Arc<str>,
        status: StatusCode,
        headers: HeaderMap,
        url: Url,
        retry_after: Option<Duration>,
        body: Vec<u8>,
    ) -> Self {
        Self { system, status, headers, url, retry_after, body }
    }

    /// The target's name in messages.
    pub fn system(&self) -> &str {
        &self.system
    }

    /// Its status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The headers.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The URL that the response came from.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// How long the target asks to wait; at most an hour.
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// The raw body. It is the target's data, and must not be included in a message.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// Parses the body as JSON. A success without valid JSON is an error with an unknown effect: something between this
    /// host and the target may have responded instead. So is a body in which an object has a member twice: it is unclear which one counts.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        self.parse(self.text())
    }

    /// Like [`json`](Self::json), but numbers that a parser would change are marked strings: see [`exact`](crate::exact).
    pub fn json_exact<T: DeserializeOwned>(&self) -> Result<T, Error> {
        self.parse(&exact::mark(self.text()))
    }

    /// The body without a byte order mark, which some servers start with and a parser may ignore (RFC 8259, section 8.1).
    fn text(&self) -> &[u8] {
        self.body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&self.body)
    }

    fn parse<T: DeserializeOwned>(&self, body: &[u8]) -> Result<T, Error> {
        let parsed = serde_json::from_slice(body).map_err(|error| {
            // The parser's own message may quote the body; its position does not.
            let (line, column) = (error.line(), error.column());
            let what =
                if error.is_data() { "JSON in a different form than documented" } else { "invalid JSON" };
            let message = format!(
                "{} returned {} with {what} (line {line}, column {column})",
                self.system,
                self.status.as_u16()
            );
            Error::new(Code::InternalError, message)
        })?;
        match duplicate_member(body) {
            None => Ok(parsed),
            Some((line, column)) => Err(Error::new(
                Code::InternalError,
                format!(
                    "{} returned {} with an object that has a member twice (line {line}, column {column}), so it \
                     is unclear which one counts",
                    self.system,
                    self.status.as_u16()
                ),
            )),
        }
    }

    /// The usual meaning of a status other than success. `what` starts the message and names the account: "User ann cannot be created in
    /// Jira".
    ///
    /// | status | code | effect | retry | subject |
    /// |---|---|---|---|---|
    /// | 401 | `PERMISSION_DENIED` | not applied | backoff | connection |
    /// | 403 | `PERMISSION_DENIED` | not applied | never | account |
    /// | 404, 410 | `ACCOUNT_NOT_FOUND` | not applied | never | account |
    /// | 409 | `ACCOUNT_ALREADY_EXISTS` | not applied | never | account |
    /// | 408, 504 | `TIMEOUT` | unknown | backoff | account |
    /// | 429 | `RATE_LIMITED` | not applied | after what it asks, or backoff | account |
    /// | 503 with `Retry-After` | `RATE_LIMITED` | unknown | after what it asks | account |
    /// | other 5xx | `INTERNAL_ERROR` | unknown | backoff | account |
    /// | any other | `INTERNAL_ERROR` | not applied | never | account |
    pub fn refusal(&self, what: &str) -> Error {
        let status = self.status.as_u16();
        let told = |reason: &str| format!("{what}: {} answered {status}{reason}", self.system);
        let later = self.retry_after.map_or(Retry::Backoff, Retry::After);
        match status {
            401 => Error::credential_refused(format!(
                "{} rejected the connector's own credential (401)",
                self.system
            )),
            403 => Error::permission_denied(told(", which means that the connector lacks permission")),
            404 | 410 => Error::account_not_found(told("")),
            409 => Error::account_already_exists(told("")),
            408 | 504 => Error::timeout(told("")).with_retry(later),
            429 => Error::rate_limited(told("")).with_retry(later),
            503 if self.retry_after.is_some() => {
                Error::rate_limited(told("")).with_effect(Effect::Unknown).with_retry(later)
            }
            500..=599 => Error::new(Code::InternalError, told("")).with_retry(later),
            300..=399 => Error::internal(told(", which redirects to another address; set the final one")),
            _ => Error::internal(told("")),
        }
    }
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Headers and body may contain secrets.
        f.debug_struct("Answer")
            .field("status", &self.status)
            .field("bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}
