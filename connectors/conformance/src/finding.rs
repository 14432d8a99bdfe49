//! The result of a check, and what an error must contain.

use bridgehead_sdk::{Code, Effect, Error, Retry, Subject};

use super::Skip;

/// Why a check did not pass.
#[derive(Debug)]
pub(super) enum Finding {
    /// The contract is violated: what was expected, and what happened.
    Failed(String),
    /// A call did not return by its deadline, and was dropped.
    Late(String),
    /// The check could not run.
    Skipped(String),
}

impl Finding {
    /// The reason.
    pub(super) fn why(&self) -> &str {
        match self {
            Self::Failed(why) | Self::Late(why) | Self::Skipped(why) => why,
        }
    }

    /// The same finding, with a late call as an ordinary failure.
    pub(super) fn or_failed(self) -> Self {
        match self {
            Self::Late(why) => Self::Failed(why),
            other => other,
        }
    }
}

pub(super) type Verdict<T = ()> = Result<T, Finding>;

impl From<Skip> for Finding {
    fn from(skip: Skip) -> Self {
        Self::Skipped(skip.0)
    }
}

/// A failed check.
pub(super) fn failed<T>(why: impl Into<String>) -> Verdict<T> {
    Err(Finding::Failed(why.into()))
}

/// A check that cannot run.
pub(super) fn skipped<T>(why: impl Into<String>) -> Verdict<T> {
    Err(Finding::Skipped(why.into()))
}

/// Fails unless a condition holds.
pub(super) fn ensure(condition: bool, why: impl FnOnce() -> String) -> Verdict {
    if condition { Ok(()) } else { Err(Finding::Failed(why())) }
}

/// What an error must say about retries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Again {
    Never,
    Later,
}

/// The four parts that an error must have; `None` accepts anything.
#[derive(Clone, Copy, Debug)]
pub(super) struct Requirement {
    code: Option<Code>,
    effect: Option<Effect>,
    again: Option<Again>,
    subject: Option<Subject>,
}

impl Requirement {
    pub(super) const DUPLICATE: Self = Self::refused(Some(Code::AccountAlreadyExists), Subject::Account);
    pub(super) const NO_ACCOUNT: Self = Self::refused(Some(Code::AccountNotFound), Subject::Account);
    pub(super) const NO_GROUP: Self = Self::refused(Some(Code::InternalError), Subject::Group);
    pub(super) const NO_LICENSE: Self = Self::refused(Some(Code::InternalError), Subject::License);
    pub(super) const NO_PERMISSION: Self = Self::refused(Some(Code::PermissionDenied), Subject::Account);
    /// A request that the target or the connector rejects, without any effect.
    pub(super) const REFUSED: Self = Self::refused(None, Subject::Account);
    pub(super) const BAD_CREDENTIAL: Self = Self::connection(Code::PermissionDenied);
    pub(super) const UNREACHABLE: Self = Self::connection(Code::Timeout);
    pub(super) const SILENT: Self =
        Self { code: Some(Code::Timeout), effect: None, again: Some(Again::Later), subject: None };

    const fn refused(code: Option<Code>, subject: Subject) -> Self {
        Self { code, effect: Some(Effect::NotApplied), again: Some(Again::Never), subject: Some(subject) }
    }

    const fn connection(code: Code) -> Self {
        Self {
            code: Some(code),
            effect: Some(Effect::NotApplied),
            again: Some(Again::Later),
            subject: Some(Subject::Connection),
        }
    }

    pub(super) fn is_met_by(self, error: &Error) -> bool {
        let again = if error.retry() == Retry::Never { Again::Never } else { Again::Later };
        self.code.is_none_or(|code| code == error.code())
            && self.effect.is_none_or(|effect| effect == error.effect())
            && self.again.is_none_or(|wanted| wanted == again)
            && self.subject.is_none_or(|subject| subject == error.subject())
    }

    /// Fails unless the call returned such an error.
    pub(super) fn of<T>(self, call: &str, outcome: Result<T, Error>) -> Verdict {
        match outcome {
            Ok(_) => failed(format!("{call}: expected {self}, but it succeeded")),
            Err(error) if self.is_met_by(&error) => Ok(()),
            Err(error) => failed(format!("{call}: expected {self}; got {}", parts(&error))),
        }
    }
}

impl std::fmt::Display for Requirement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.code.map_or("an error", Code::as_str))?;
        if let Some(effect) = self.effect {
            write!(f, ", {}", effect_name(effect))?;
        }
        match self.again {
            Some(Again::Never) => f.write_str(", retry never")?,
            Some(Again::Later) => f.write_str(", retry later")?,
            None => {}
        }
        match self.subject {
            Some(subject) => write!(f, ", subject {}", subject_name(subject)),
            None => Ok(()),
        }
    }
}

/// An error with its four parts, on one line.
pub(super) fn parts(error: &Error) -> String {
    let retry = match error.retry() {
        Retry::Never => "retry never".to_owned(),
        Retry::Backoff => "retry later".to_owned(),
        Retry::After(duration) => format!("retry after {duration:?}"),
    };
    let (effect, subject) = (effect_name(error.effect()), subject_name(error.subject()));
    format!("{}, {effect}, {retry}, subject {subject}: \"{}\"", error.code(), error.message())
}

fn effect_name(effect: Effect) -> &'static str {
    match effect {
        Effect::NotApplied => "not applied",
        Effect::Unknown => "effect unknown",
    }
}

fn subject_name(subject: Subject) -> &'static str {
    match subject {
        Subject::Account => "account",
        Subject::Group => "group",
        Subject::License => "license",
        Subject::Connection => "connection",
    }
}
