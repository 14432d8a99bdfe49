//! What a check has found.

use serde::{Deserialize, Serialize};

/// The result of one check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// How it is.
    pub result: Verdict,
    /// What was looked at.
    pub what: String,
    /// What was found.
    pub found: String,
    /// What to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// It works, and deserves a thought.
    Warning,
    /// It does not work.
    Failed,
    /// It was not looked at.
    Skipped,
}

impl Verdict {
    /// The name, such as `warning`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}

impl Finding {
    /// As it should be.
    pub fn ok(what: impl Into<String>, found: impl Into<String>) -> Self {
        Self { result: Verdict::Ok, what: what.into(), found: found.into(), advice: None }
    }

    /// It works, and deserves a thought.
    pub fn warning(what: impl Into<String>, found: impl Into<String>) -> Self {
        Self { result: Verdict::Warning, ..Self::ok(what, found) }
    }

    /// It does not work.
    pub fn failed(what: impl Into<String>, found: impl Into<String>) -> Self {
        Self { result: Verdict::Failed, ..Self::ok(what, found) }
    }

    /// It was not looked at; `found` says why.
    pub fn skipped(what: impl Into<String>, found: impl Into<String>) -> Self {
        Self { result: Verdict::Skipped, ..Self::ok(what, found) }
    }

    /// With what to do, unless that is empty.
    pub fn advising(self, advice: impl Into<String>) -> Self {
        Self { advice: Some(advice.into()).filter(|advice| !advice.is_empty()), ..self }
    }
}
