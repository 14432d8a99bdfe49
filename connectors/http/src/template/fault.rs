//! Why a template has no result. Values are never repeated, because they may be secrets.

use minijinja::ErrorKind;

/// A template or an expression without a result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{key}' {reason}")]
pub(crate) struct Fault {
    /// Its place in `target`.
    pub(crate) key: String,
    /// What is wrong.
    pub(crate) reason: Reason,
}

/// The reason, in terms of the template's variables.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Reason {
    /// A variable is missing, such as `account.email` for an account without an email.
    #[error("needs {}, which is missing", if .0.is_empty() { "something".to_owned() } else { .0.join(" and ") })]
    Missing(Vec<String>),
    /// The value is `none`.
    #[error("is none, which cannot be written as text")]
    Nothing,
    /// The value is `omit` where a field cannot be left out.
    #[error("is omit where nothing can be omitted")]
    Omitted,
    /// The value is a list or a table, not a string.
    #[error("is a list or a table, which cannot be written as text")]
    NoText,
    /// The value does not have the required type.
    #[error("is not {0}")]
    NotA(&'static str),
    /// An empty string or dots would change the path.
    #[error("is a text that would change the path (empty, '.' or '..')")]
    Path,
    /// A line break or another control character in a header.
    #[error("is a text that is not allowed in a header, such as a line break")]
    Header,
    /// The template exceeded the maximum number of steps.
    #[error("takes too long")]
    Fuel,
    /// Any other error of the engine, without the value.
    #[error("fails: {0}")]
    Engine(ErrorKind),
}

impl Fault {
    pub(crate) fn new(key: impl Into<String>, reason: Reason) -> Self {
        Self { key: key.into(), reason }
    }

    /// An error of the engine. Its message may contain values and is left out.
    pub(super) fn of(key: &str, error: &minijinja::Error, missing: impl FnOnce() -> Vec<String>) -> Self {
        let told = std::error::Error::source(error).and_then(|source| source.downcast_ref::<Reason>());
        let reason = match (told, error.kind()) {
            (Some(Reason::Missing(_)), _) | (None, ErrorKind::UndefinedError) => Reason::Missing(missing()),
            (Some(reason), _) => reason.clone(),
            (None, ErrorKind::OutOfFuel) => Reason::Fuel,
            (None, kind) => Reason::Engine(kind),
        };
        Self::new(key, reason)
    }
}
