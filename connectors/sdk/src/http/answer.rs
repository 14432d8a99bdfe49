//! A response, and what its status usually means.

use std::sync::Arc;
use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::{CONTENT_TYPE, HeaderMap};
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

    /// Whether the body is a web page, judging by its content type or its first bytes. Usually, something between this host and the target
    /// has responded: with a login page, or during maintenance.
    pub fn is_page(&self) -> bool {
        let body = self.text().trim_ascii_start();
        let begins = |with: &str| {
            body.get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with.as_bytes()))
        };
        let types = self.headers.get_all(CONTENT_TYPE).iter().filter_map(|of| of.to_str().ok());
        let says = types.into_iter().any(|of| of.trim_start().to_ascii_lowercase().starts_with("text/html"));
        !body.is_empty() && (says || begins("<!doctype html") || begins("<html"))
    }

    fn parse<T: DeserializeOwned>(&self, body: &[u8]) -> Result<T, Error> {
        let parsed = serde_json::from_slice(body).map_err(|error| self.unparsed(&error))?;
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

    /// The error for a body that is not JSON, or different JSON. Only the latter would be the same next time.
    fn unparsed(&self, error: &serde_json::Error) -> Error {
        // The parser's own message may quote the body; its position does not.
        let (line, column) = (error.line(), error.column());
        let (what, retry) = if error.is_data() {
            ("JSON in a different form than documented", Retry::Never)
        } else if self.is_page() && !self.text().trim_ascii_start().starts_with(b"{") {
            ("a web page instead of JSON, like that of a login or of maintenance", Retry::Backoff)
        } else if std::str::from_utf8(&self.body).is_err() {
            ("a body that is not UTF-8, as JSON must be", Retry::Backoff)
        } else {
            ("invalid JSON", Retry::Backoff)
        };
        let (system, status) = (&self.system, self.status.as_u16());
        let message = format!("{system} returned {status} with {what} (line {line}, column {column})");
        Error::new(Code::InternalError, message).with_retry(retry)
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
    /// | 307, 308 | `INTERNAL_ERROR` | not applied | backoff | account |
    /// | other 3xx | `INTERNAL_ERROR` | unknown | backoff | account |
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
            300..=399 => {
                let message = told(", which redirects to another address; set the final one");
                // Only these two say that the request was not handled. Otherwise it may be a form that was accepted (303).
                let effect = if matches!(status, 307 | 308) { Effect::NotApplied } else { Effect::Unknown };
                Error::new(Code::InternalError, message).with_effect(effect).with_retry(later)
            }
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
