//! One sync, as it is kept for the operator.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// How a sync ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunResult {
    /// Completed: what it did not see was removed.
    Completed,
    /// Abandoned: nothing was removed.
    Abandoned,
    /// Failed before it could be completed or abandoned.
    Failed,
    /// Read to its end, and held back by the removal guard.
    Held,
}

impl RunResult {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Completed, Self::Abandoned, Self::Failed, Self::Held];

    /// The name, such as `completed`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Abandoned => "abandoned",
            Self::Failed => "failed",
            Self::Held => "held",
        }
    }
}

/// Why a sync ended as it did, beyond its [result](RunResult).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunReason {
    /// Held: completing would take away more than the removal guard lets pass.
    AccessGuard,
    /// Held: no completed sync is known here, and Iden may hold records.
    LostState,
    /// Held: Iden has seen a later sync than the last one known here.
    StaleState,
    /// Held: it is the first sync of the app, and the operator wants to be asked.
    FirstSync,
    /// Held: nothing shows that a listing was read to its end.
    NotProven,
    /// Abandoned: the target could not be read to its end.
    Unreadable,
    /// Abandoned: a listing goes in circles.
    RepeatedCursor,
    /// Abandoned: fewer records were read than the target says it has.
    Incomplete,
    /// Abandoned: records break rules, and `on_invalid` is `abandon`.
    InvalidRecords,
    /// Abandoned: a task deleted an account that had been pushed.
    Overtaken,
    /// Abandoned: the operator allowed what was shown, and nothing was.
    NothingShown,
    /// Abandoned: an operator cancelled it.
    Cancelled,
    /// Abandoned: the daemon stopped.
    Stopped,
    /// Failed: the connector cannot say what it offers.
    Undescribed,
    /// Failed: a resource type is not registered in Iden.
    Unregistered,
    /// Failed: the Bridge could not be reached, or refused.
    Bridge,
    /// Failed: the session is not ours any more.
    SessionLost,
    /// Failed: Iden does not count what was pushed.
    Uncounted,
    /// Failed: whether Iden has heard `complete` is not known.
    Unheard,
    /// Failed: Iden could not remove stale records.
    CleanupFailed,
    /// Failed: the state folder could not be read or written.
    State,
    /// Completed: the daemon stopped before Iden had cleaned up.
    Unwatched,
    /// One that this version does not know.
    #[serde(other)]
    Other,
}

impl RunReason {
    /// All that this version gives.
    pub const ALL: [Self; 22] = [
        Self::AccessGuard,
        Self::LostState,
        Self::StaleState,
        Self::FirstSync,
        Self::NotProven,
        Self::Unreadable,
        Self::RepeatedCursor,
        Self::Incomplete,
        Self::InvalidRecords,
        Self::Overtaken,
        Self::NothingShown,
        Self::Cancelled,
        Self::Stopped,
        Self::Undescribed,
        Self::Unregistered,
        Self::Bridge,
        Self::SessionLost,
        Self::Uncounted,
        Self::Unheard,
        Self::CleanupFailed,
        Self::State,
        Self::Unwatched,
    ];

    /// The name, such as `access_guard`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AccessGuard => "access_guard",
            Self::LostState => "lost_state",
            Self::StaleState => "stale_state",
            Self::FirstSync => "first_sync",
            Self::NotProven => "not_proven",
            Self::Unreadable => "unreadable",
            Self::RepeatedCursor => "repeated_cursor",
            Self::Incomplete => "incomplete",
            Self::InvalidRecords => "invalid_records",
            Self::Overtaken => "overtaken",
            Self::NothingShown => "nothing_shown",
            Self::Cancelled => "cancelled",
            Self::Stopped => "stopped",
            Self::Undescribed => "undescribed",
            Self::Unregistered => "unregistered",
            Self::Bridge => "bridge",
            Self::SessionLost => "session_lost",
            Self::Uncounted => "uncounted",
            Self::Unheard => "unheard",
            Self::CleanupFailed => "cleanup_failed",
            Self::State => "state",
            Self::Unwatched => "unwatched",
            Self::Other => "other",
        }
    }

    /// The reason of this name.
    pub(super) fn named(name: &str) -> Self {
        Self::ALL.into_iter().find(|known| known.as_str() == name).unwrap_or(Self::Other)
    }
}

/// One sync, for the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Timestamp,
    /// How it ended.
    pub result: RunResult,
    /// Why; `None` where there is nothing to add to the result, and of runs that an earlier version has recorded.
    pub reason: Option<RunReason>,
    /// One sentence for the operator.
    pub detail: String,
    /// What of that sentence says what is wrong, without what to do about it; `None` if all of it does.
    pub cause: Option<String>,
    /// How many records were pushed, by slug.
    pub pushed: BTreeMap<String, u64>,
    /// How many were removed, or would have been, by slug.
    pub removed: BTreeMap<String, u64>,
}
