//! Records of syncs for the operator.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// How a sync ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunResult {
    /// Completed: records that it did not contain were removed.
    Completed,
    /// Abandoned: nothing was removed.
    Abandoned,
    /// Failed before it could be completed or abandoned.
    Failed,
    /// Read completely, but held by the removal guard.
    Held,
}

impl RunResult {
    /// All results.
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

/// Why a sync ended with its [result](RunResult).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunReason {
    /// Held: completing would remove more than the removal guard allows.
    AccessGuard,
    /// Held: no completed sync is recorded here, and Iden may have records.
    LostState,
    /// Held: Iden has seen a later sync than the last one recorded here.
    StaleState,
    /// Held: it is the first sync of the app, and the operator must approve it.
    FirstSync,
    /// Held: there is no evidence that a listing is complete.
    NotProven,
    /// Abandoned: the target could not be read completely.
    Unreadable,
    /// Abandoned: a listing repeats its cursor.
    RepeatedCursor,
    /// Abandoned: fewer records were read than the target reports.
    Incomplete,
    /// Abandoned: records are invalid, and `on_invalid` is `abandon`.
    InvalidRecords,
    /// Abandoned: a task deleted an account after it had been pushed.
    Overtaken,
    /// Abandoned: the operator approved what was shown, but nothing had been shown.
    NothingShown,
    /// Abandoned: an operator cancelled the sync.
    Cancelled,
    /// Abandoned: the daemon stopped.
    Stopped,
    /// Failed: the connector cannot describe what it offers.
    Undescribed,
    /// Failed: a resource type is not registered in Iden.
    Unregistered,
    /// Failed: the Bridge could not be reached, or returned an error.
    Bridge,
    /// Failed: the session does not belong to this sync any more.
    SessionLost,
    /// Failed: Iden does not count what was pushed.
    Uncounted,
    /// Failed: it is unknown whether Iden has received `complete`.
    Unheard,
    /// Failed: Iden failed to remove stale records.
    CleanupFailed,
    /// Failed: the state folder could not be read or written.
    State,
    /// Completed: the daemon stopped before Iden had finished its cleanup.
    Unwatched,
    /// A reason unknown to this version.
    #[serde(other)]
    Other,
}

impl RunReason {
    /// All reasons that this version uses.
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

    /// The reason with this name.
    pub(super) fn named(name: &str) -> Self {
        Self::ALL.into_iter().find(|known| known.as_str() == name).unwrap_or(Self::Other)
    }
}

/// A sync as recorded for the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// When it started.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Timestamp,
    /// How it ended.
    pub result: RunResult,
    /// The reason; `None` if the result is self-explanatory, and for runs recorded by an earlier version.
    pub reason: Option<RunReason>,
    /// A sentence for the operator.
    pub detail: String,
    /// The part of the sentence that says what is wrong, without the advice; `None` if all of it does.
    pub cause: Option<String>,
    /// How many records were pushed, by slug.
    pub pushed: BTreeMap<String, u64>,
    /// The number of records that were removed, or would have been, by slug.
    pub removed: BTreeMap<String, u64>,
}
