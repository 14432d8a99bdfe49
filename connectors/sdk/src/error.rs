//! What went wrong, in four parts: code, effect, retry, subject.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// One of the seven standard task error codes of the Bridge's Error Reference.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Code {
    /// The account does not exist in the target system.
    AccountNotFound,
    /// The account that was to be created exists already.
    AccountAlreadyExists,
    /// No seat of a licence is left.
    LicenseExhausted,
    /// The connector's credentials, or the operator's rules, do not allow this.
    PermissionDenied,
    /// The target asks to slow down.
    RateLimited,
    /// No answer in time.
    Timeout,
    /// Anything that none of the others says.
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

    /// The name on the wire, such as `ACCOUNT_NOT_FOUND`.
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

impl std::str::FromStr for Code {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|code| code.as_str() == name).ok_or(())
    }
}

/// What the failed call did to the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Nothing changed: the request was never sent, or the target refused it. Say this only when it is certain.
    NotApplied,
    /// The request went out and no answer came: a timeout, a connection cut after sending. The runtime reads
    /// back before it does anything else.
    Unknown,
}

/// Whether the same call may succeed later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Retry {
    /// It will fail the same way again.
    Never,
    /// Later, at a moment the runtime chooses.
    Backoff,
    /// Not before this much time has passed: the target said so.
    After(Duration),
}

/// Who or what the error is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// The account of the task.
    Account,
    /// A group that the task names. A group that is missing is not a missing account.
    Group,
    /// A licence that the task names.
    License,
    /// The way to the target: it is unreachable, or refuses the connector's own credential. Every task of the
    /// app meets the same fate, so they are held back rather than failed.
    Connection,
}

/// What went wrong in a connector. The runtime decides from its four parts alone what happens next.
///
/// The message is shown to an administrator in Iden. Name the account and the system ("User ext-123 not found
/// in Jira"), say what to do where you know it, and put in no secret and no raw response body.
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
    /// An error with the parts that usually go with its code.
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

    /// The account is not in the target system.
    pub fn account_not_found(message: impl Into<String>) -> Self {
        Self::new(Code::AccountNotFound, message)
    }

    /// The account is in the target system already.
    pub fn account_already_exists(message: impl Into<String>) -> Self {
        Self::new(Code::AccountAlreadyExists, message)
    }

    /// No seat of a licence is left.
    pub fn license_exhausted(message: impl Into<String>) -> Self {
        Self::new(Code::LicenseExhausted, message)
    }

    /// The target does not let the connector do this to this account.
    pub fn permission_denied(message: impl Into<String>) -> Self {
        Self::new(Code::PermissionDenied, message)
    }

    /// The target asks to slow down; nothing was applied.
    pub fn rate_limited(message: impl Into<String>) -> Self {
        Self::new(Code::RateLimited, message)
    }

    /// The request went out and no answer came in time.
    pub fn timeout(message: impl Into<String>) -> Self {
        Self::new(Code::Timeout, message)
    }

    /// Something that no other code says, certain to have changed nothing and to fail the same way again.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(Code::InternalError, message).effect(Effect::NotApplied)
    }

    /// A group that the task names is not in the target system.
    pub fn group_not_found(message: impl Into<String>) -> Self {
        Self::internal(message).subject(Subject::Group)
    }

    /// The target could not be reached; nothing was sent.
    pub fn unreachable(message: impl Into<String>) -> Self {
        Self::new(Code::Timeout, message).effect(Effect::NotApplied).subject(Subject::Connection)
    }

    /// The target refuses the connector's own credential.
    pub fn credential_refused(message: impl Into<String>) -> Self {
        Self::new(Code::PermissionDenied, message).retry(Retry::Backoff).subject(Subject::Connection)
    }

    /// A listing cannot be read to its end, and asking again would not help. The sync is abandoned, and nobody
    /// is removed. It says nothing about tasks, so it does not hold them.
    pub fn incomplete_listing(message: impl Into<String>) -> Self {
        Self::internal(message)
    }

    /// An operation that the connector does not offer. The runtime asks only for the actions that
    /// [`Description::actions`](crate::Description) names, so this is for the `other =>` arm.
    pub fn unsupported(action: crate::Action) -> Self {
        Self::internal(format!("the connector does not offer {action}"))
    }

    /// Sets what the call did to the target.
    pub fn effect(mut self, effect: Effect) -> Self {
        self.effect = effect;
        self
    }

    /// Sets whether the same call may succeed later.
    pub fn retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// Sets whom or what the error is about.
    pub fn subject(mut self, subject: Subject) -> Self {
        self.subject = subject;
        self
    }

    /// Keeps the cause, for the daemon's log. It is never shown to an administrator.
    pub fn source(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.source = Some(Box::new(source));
        self
    }

    /// The standard code.
    pub fn code(&self) -> Code {
        self.code
    }

    /// What the call did to the target.
    pub fn effect_on_target(&self) -> Effect {
        self.effect
    }

    /// Whether the same call may succeed later.
    pub fn retry_policy(&self) -> Retry {
        self.retry
    }

    /// Whom or what the error is about.
    pub fn about(&self) -> Subject {
        self.subject
    }

    /// What an administrator is shown.
    pub fn message(&self) -> &str {
        &self.message
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_reads_back() {
        for code in Code::ALL {
            assert_eq!(code.as_str().parse(), Ok(code));
            assert_eq!(serde_json::to_value(code).unwrap(), code.as_str());
        }
    }

    #[test]
    fn a_missing_group_is_not_a_missing_account() {
        let error = Error::group_not_found("Team t9 not found in HR");
        assert_eq!((error.code(), error.about()), (Code::InternalError, Subject::Group));
    }

    #[test]
    fn a_refused_credential_is_about_the_connection() {
        let error = Error::credential_refused("HR refuses the connector's password");
        assert_eq!(error.about(), Subject::Connection);
        assert_eq!(error.effect_on_target(), Effect::NotApplied);
    }
}
