//! Errors, in four parts: code, effect, retry, subject.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// One of the seven standard task error codes of the Bridge's Error Reference.
// Exhaustive on purpose, like `Effect`, `Retry` and `Subject`: the runtime decides from these four what happens to a
// task. A new variant must break the build of every place that decides, instead of being handled by an older catch-all
// arm.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Code {
    /// The account does not exist in the target system.
    AccountNotFound,
    /// The account to create already exists.
    AccountAlreadyExists,
    /// No seat of a license is free.
    LicenseExhausted,
    /// The connector's credentials, or the operator's rules, do not allow this.
    PermissionDenied,
    /// The target limits the rate of calls.
    RateLimited,
    /// No response in time.
    Timeout,
    /// Anything that no other code describes.
    InternalError,
}

impl Code {
    /// All seven, in the order of the Error Reference.
    pub const ALL: [Self; 7] = [
        Self::AccountNotFound,
        Self::AccountAlreadyExists,
        Self::LicenseExhausted,
        Self::PermissionDenied,
        Self::RateLimited,
        Self::Timeout,
        Self::InternalError,
    ];

    /// The wire name, such as `ACCOUNT_NOT_FOUND`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AccountNotFound => "ACCOUNT_NOT_FOUND",
            Self::AccountAlreadyExists => "ACCOUNT_ALREADY_EXISTS",
            Self::LicenseExhausted => "LICENSE_EXHAUSTED",
            Self::PermissionDenied => "PERMISSION_DENIED",
            Self::RateLimited => "RATE_LIMITED",
            Self::Timeout => "TIMEOUT",
            Self::InternalError => "INTERNAL_ERROR",
        }
    }
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// A string that is not one of the seven codes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown code '{0}'; known are {known}", known = Code::ALL.map(Code::as_str).join(", "))]
pub struct UnknownCode(String);

impl std::str::FromStr for Code {
    type Err = UnknownCode;

    fn from_str(name: &str) -> Result<Self, UnknownCode> {
        Self::ALL.into_iter().find(|code| code.as_str() == name).ok_or_else(|| UnknownCode(name.to_owned()))
    }
}

/// What the failed call did to the target.
// Exhaustive on purpose: see `Code`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Nothing changed: the request was never sent, or the target rejected it. Use this only when it is certain.
    NotApplied,
    /// The request was sent and no response arrived: a timeout, or a connection that failed after sending.
    /// The runtime verifies the account before it does anything else.
    Unknown,
}

/// Whether a retry can succeed.
// Exhaustive on purpose: see `Code`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Retry {
    /// It will fail in the same way again.
    Never,
    /// Retry later, when the runtime chooses.
    Backoff,
    /// Retry no sooner than this, because the target said so.
    After(Duration),
}

/// What the error is about.
// Exhaustive on purpose: see `Code`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// The account of the task.
    Account,
    /// A group that the task names. A missing group is not a missing account.
    Group,
    /// A license that the task names.
    License,
    /// The connection to the target: it is unreachable, or rejects the connector's own credential. Every task
    /// of the app would fail in the same way, so tasks are held instead of failed.
    Connection,
}

/// An error from a connector. The runtime decides what happens next from its four parts alone.
///
/// The message is shown to an administrator in Iden. Name the account and the system ("User ext-123 not found in
/// Jira"), and say what to do if you know it. Do not include a secret or a raw response body.
///
/// # Defaults
/// [`Error::new`] sets the parts that usually go with a code; the builder methods change them.
///
/// | code | effect | retry | subject |
/// |---|---|---|---|
/// | `ACCOUNT_NOT_FOUND`, `ACCOUNT_ALREADY_EXISTS`, `PERMISSION_DENIED` | not applied | never | account |
/// | `LICENSE_EXHAUSTED` | not applied | never | license |
/// | `RATE_LIMITED` | not applied | backoff | account |
/// | `TIMEOUT` | unknown | backoff | account |
/// | `INTERNAL_ERROR` | unknown | never | account |
///
/// # Example
/// Say what the failure means for the task, and keep the cause:
///
/// ```
/// use std::error::Error as _;
///
/// use bridgehead_sdk::{Code, Effect, Error, Retry, Subject};
///
/// let cause = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
/// let error = Error::unreachable("HR does not answer").with_source(cause);
/// assert_eq!((error.code(), error.effect()), (Code::Timeout, Effect::NotApplied));
/// assert_eq!((error.retry(), error.subject()), (Retry::Backoff, Subject::Connection));
/// assert!(error.source().is_some());
/// ```
///
/// # The errors of other libraries
/// `?` converts [`std::io::Error`](#impl-From%3CError%3E-for-Error), errors of `serde_json`, and [`PayloadError`](crate::PayloadError).
/// Only the connector knows what such an error means for the task, so the conversion is careful: **the effect is always unknown**, and the
/// message contains neither a path nor a value. This costs the runtime an additional lookup. If you know more, say so:
///
/// ```
/// # use bridgehead_sdk::Error;
/// fn people(path: &std::path::Path) -> Result<Vec<u8>, Error> {
///     // A file that cannot be read never means a missing account, and reading changes nothing.
///     std::fs::read(path).map_err(|error| Error::unreachable("the file of people cannot be read").with_source(error))
/// }
/// ```
#[derive(Debug, thiserror::Error)]
#[error("{code}: {message}")]
pub struct Error {
    code: Code,
    effect: Effect,
    retry: Retry,
    subject: Subject,
    message: String,
    #[source]
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error with the default parts of its code.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        let (effect, retry, subject) = match code {
            Code::AccountNotFound | Code::AccountAlreadyExists | Code::PermissionDenied => {
                (Effect::NotApplied, Retry::Never, Subject::Account)
            }
            Code::LicenseExhausted => (Effect::NotApplied, Retry::Never, Subject::License),
            Code::RateLimited => (Effect::NotApplied, Retry::Backoff, Subject::Account),
            Code::Timeout => (Effect::Unknown, Retry::Backoff, Subject::Account),
            Code::InternalError => (Effect::Unknown, Retry::Never, Subject::Account),
        };
        Self { code, effect, retry, subject, message: message.into(), source: None }
    }

    /// The account does not exist in the target system.
    pub fn account_not_found(message: impl Into<String>) -> Self {
        Self::new(Code::AccountNotFound, message)
    }

    /// The account already exists in the target system.
    pub fn account_already_exists(message: impl Into<String>) -> Self {
        Self::new(Code::AccountAlreadyExists, message)
    }

    /// No seat of a license is free.
    pub fn license_exhausted(message: impl Into<String>) -> Self {
        Self::new(Code::LicenseExhausted, message)
    }

    /// The target does not allow the connector to do this to this account.
    pub fn permission_denied(message: impl Into<String>) -> Self {
        Self::new(Code::PermissionDenied, message)
    }

    /// The target limits the rate of calls; nothing was applied.
    pub fn rate_limited(message: impl Into<String>) -> Self {
        Self::new(Code::RateLimited, message)
    }

    /// The request was sent and no response arrived in time.
    pub fn timeout(message: impl Into<String>) -> Self {
        Self::new(Code::Timeout, message)
    }

    /// An error that no other code describes; nothing was changed, and a retry would fail in the same way.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(Code::InternalError, message).with_effect(Effect::NotApplied)
    }

    /// A group that the task names does not exist in the target system.
    pub fn group_not_found(message: impl Into<String>) -> Self {
        Self::internal(message).with_subject(Subject::Group)
    }

    /// The target is unreachable; the request was not sent.
    pub fn unreachable(message: impl Into<String>) -> Self {
        Self::new(Code::Timeout, message).with_effect(Effect::NotApplied).with_subject(Subject::Connection)
    }

    /// The target rejects the connector's own credential.
    pub fn credential_refused(message: impl Into<String>) -> Self {
        Self::new(Code::PermissionDenied, message)
            .with_retry(Retry::Backoff)
            .with_subject(Subject::Connection)
    }

    /// A listing cannot be read completely, and a retry would not help. The sync is abandoned, and no account is
    /// removed. Tasks are not affected, so they are not held.
    pub fn incomplete_listing(message: impl Into<String>) -> Self {
        Self::internal(message)
    }

    /// An operation that the connector does not offer. The runtime only calls actions that
    /// [`Description::actions`](crate::Description) names, so this is for the `other =>` arm.
    pub fn unsupported(action: crate::Action) -> Self {
        Self::internal(format!("the connector does not offer {action}"))
    }

    /// Sets what the call did to the target.
    pub fn with_effect(mut self, effect: Effect) -> Self {
        self.effect = effect;
        self
    }

    /// Sets whether a retry can succeed.
    pub fn with_retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// Sets what the error is about.
    pub fn with_subject(mut self, subject: Subject) -> Self {
        self.subject = subject;
        self
    }

    /// Keeps the cause, for the daemon's log. It is never shown to an administrator; `std::error::Error::source`
    /// returns it.
    pub fn with_source(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.source = Some(Box::new(source));
        self
    }

    /// The standard code.
    pub fn code(&self) -> Code {
        self.code
    }

    /// What the call did to the target.
    pub fn effect(&self) -> Effect {
        self.effect
    }

    /// Whether a retry can succeed.
    pub fn retry(&self) -> Retry {
        self.retry
    }

    /// What the error is about.
    pub fn subject(&self) -> Subject {
        self.subject
    }

    /// The message for the administrator.
    pub fn message(&self) -> &str {
        &self.message
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_round_trips() {
        for code in Code::ALL {
            assert_eq!(code.as_str().parse(), Ok(code));
            assert_eq!(serde_json::to_value(code).unwrap(), code.as_str());
        }
    }

    #[test]
    fn unknown_code_is_named_in_the_error() {
        let error = "NOT_A_CODE".parse::<Code>().unwrap_err();
        assert!(
            error.to_string().starts_with("unknown code 'NOT_A_CODE'; known are ACCOUNT_NOT_FOUND, "),
            "{error}"
        );
    }

    #[test]
    fn missing_group_is_not_account_not_found() {
        let error = Error::group_not_found("Team t9 not found in HR");
        assert_eq!((error.code(), error.subject()), (Code::InternalError, Subject::Group));
    }

    #[test]
    fn refused_credential_is_a_connection_error() {
        let error = Error::credential_refused("HR refuses the connector's password");
        assert_eq!(error.subject(), Subject::Connection);
        assert_eq!(error.effect(), Effect::NotApplied);
    }
}
