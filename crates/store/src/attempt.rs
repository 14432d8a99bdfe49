//! The attempts at a task, step by step, and whether an app is paused: what an operator asks about.

use bridgehead_sdk::Code;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// So many steps of a task are kept: the newest.
pub const STEPS_KEPT: usize = 200;

/// What a step of a task was about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The task was read from Iden.
    Fetch,
    /// It was decided whether it may reach the connector.
    Admit,
    /// The account was looked up before it was changed.
    LookUp,
    /// The connector was called.
    Execute,
    /// The account was read back.
    Verify,
    /// Nothing was done: the task waited for its next try, or for the target.
    Wait,
    /// An operator resolved it.
    Resolve,
    /// Iden was told.
    Report,
}

impl Phase {
    /// All of them, in the order in which they come.
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

/// One step of a task. It holds nothing of a payload or a result, and its message has passed through the redactor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptStep {
    /// The attempt that it belongs to; 0 before the first.
    pub attempt: u32,
    /// What it was about.
    pub phase: Phase,
    /// When it began. Two steps of a phase that began at the same microsecond are one: the later one.
    pub began_at: Timestamp,
    /// When it ended; absent while that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// The code it failed with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<Code>,
    /// What there is to say of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// When the task continues, where it waits for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_try_at: Option<Timestamp>,
}

/// That an operator has paused an app.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// Since when.
    pub since: Timestamp,
    /// Who did it.
    pub by: String,
    /// Why, if they said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}
