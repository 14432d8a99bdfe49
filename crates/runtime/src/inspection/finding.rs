//! The results of checks.

use serde::{Deserialize, Serialize};

/// The result of one check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The verdict.
    pub result: Verdict,
    /// What was checked.
    pub what: String,
    /// The finding.
    pub found: String,
    /// How to fix it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

/// The verdict of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// All good.
    Ok,
    /// It works, but needs attention.
    Warning,
    /// It does not work.
    Failed,
    /// It was not checked.
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
    /// Creates a finding without problems.
    pub fn ok(what: impl Into<String>, found: impl Into<String>) -> Self {
        Self { result: Verdict::Ok, what: what.into(), found: found.into(), advice: None }
    }

    /// Creates a finding that works, but needs attention.
    pub fn warning(what: impl Into<String>, found: impl Into<String>) -> Self {
        Self { result: Verdict::Warning, ..Self::ok(what, found) }
    }

    /// Creates a finding that does not work.
    pub fn failed(what: impl Into<String>, found: impl Into<String>) -> Self {
        Self { result: Verdict::Failed, ..Self::ok(what, found) }
    }

    /// Creates a finding for a skipped check; `found` gives the reason.
    pub fn skipped(what: impl Into<String>, found: impl Into<String>) -> Self {
        Self { result: Verdict::Skipped, ..Self::ok(what, found) }
    }

    /// Adds advice, unless it is empty.
    pub fn advising(self, advice: impl Into<String>) -> Self {
        Self { advice: Some(advice.into()).filter(|advice| !advice.is_empty()), ..self }
    }
}
