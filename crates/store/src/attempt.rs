//! The steps of a task's attempts, and paused apps: the data that operators ask for.

use bridgehead_sdk::Code;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The number of steps kept per task: the newest.
pub const STEPS_KEPT: usize = 200;

/// What a step of a task did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The task was read from Iden.
    Fetch,
    /// The task was checked to see whether it may reach the connector.
    Admit,
    /// The account was looked up before it was changed.
    LookUp,
    /// The connector was called.
    Execute,
    /// The account was read back.
    Verify,
    /// Nothing: the task waited for its next attempt, or for the target.
    Wait,
    /// An operator resolved the task.
    Resolve,
    /// The outcome was reported to Iden.
    Report,
}

impl Phase {
    /// All phases, in the order in which they occur.
    pub const ALL: [Self; 8] = [
        Self::Fetch,
        Self::Admit,
        Self::LookUp,
        Self::Execute,
        Self::Verify,
        Self::Wait,
        Self::Resolve,
        Self::Report,
    ];

    /// The name, such as `look_up`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fetch => "fetch",
            Self::Admit => "admit",
            Self::LookUp => "look_up",
            Self::Execute => "execute",
            Self::Verify => "verify",
            Self::Wait => "wait",
            Self::Resolve => "resolve",
            Self::Report => "report",
        }
    }

    pub(super) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|phase| phase.as_str() == name)
    }
}

/// One step of a task. Contains no part of a payload or a result, and its message has been redacted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptStep {
    /// The attempt that the step belongs to; 0 before the first.
    pub attempt: u32,
    /// What the step did.
    pub phase: Phase,
    /// When the step started. Two steps of the same phase that started in the same microsecond are one: the later one wins.
    pub began_at: Timestamp,
    /// When the step ended; absent while unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// The error code, if it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<Code>,
    /// A message with details.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// When the task continues, if it waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_try_at: Option<Timestamp>,
}

/// A pause of an app by an operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// Since when the app is paused.
    pub since: Timestamp,
    /// The operator who paused it.
    pub by: String,
    /// The reason, if one was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}
