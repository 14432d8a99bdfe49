//! The outcome of a sync as types, so that no decision depends on parsing a message.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Error, HeldReason};
use bridgehead_store::{RunReason, RunResult};

/// How a sync ended, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SyncOutcome {
    /// Iden has accepted `complete`.
    Completed {
        /// Whether Iden was watched until its cleanup had finished.
        cleaned_up: bool,
    },
    /// Everything was read and validated; nothing was to be pushed.
    DryRun,
    /// The operator must approve it first.
    Held(HeldReason),
    /// Ended before `complete`: nothing was removed.
    Abandoned(Abandoned),
    /// An operation failed that should have worked.
    Failed(Failed),
    /// The daemon stops, or the caller no longer wants the sync.
    Stopped,
}

/// Why a sync was abandoned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Abandoned {
    /// The target could not be read completely.
    Unreadable,
    /// A listing repeats its cursor.
    RepeatedCursor,
    /// Fewer records were read than the target reports.
    Incomplete,
    /// Records are invalid, and `on_invalid` is `abandon`.
    InvalidRecords,
    /// A task deleted an account after it had been pushed.
    Overtaken,
    /// The operator approved what was shown, but nothing had been shown. There was no sync.
    NothingShown,
    /// An operator cancelled the sync.
    Cancelled,
}

/// The operation that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failed {
    /// The connector cannot describe what it offers.
    Undescribed,
    /// A resource type is not registered in Iden.
    Unregistered,
    /// The Bridge could not be reached, or returned an error.
    Bridge,
    /// The session does not belong to this sync any more.
    SessionLost,
    /// Iden does not count what was pushed.
    Uncounted,
    /// It is unknown whether Iden has received `complete`.
    Unheard,
    /// Iden failed to remove stale records.
    CleanUp,
    /// The state folder could not be read or written.
    State,
}

/// When the next sync should follow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum NextSync {
    /// On schedule: this sync succeeded, or an operator must act first.
    #[default]
    Regular,
    /// Soon, with growing delays: the problem may pass.
    Soon,
    /// Immediately: the sync was only overtaken by a task.
    AtOnce,
    /// Soon, but only a limited number of times: a new sync is the fix for a failed cleanup in Iden.
    CleanUp,
}

/// The result of a sync in one word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SyncResult {
    /// Completed: records that it did not contain were removed.
    Completed,
    /// Abandoned: nothing was removed.
    Abandoned,
    /// Read completely, but held by the removal guard.
    Held,
    /// Failed before it could be completed or abandoned.
    Failed,
    /// A dry run that found nothing wrong.
    Rehearsed,
    /// A result unknown to this version.
    #[default]
    #[serde(other)]
    Other,
}

impl SyncResult {
    /// The name, such as `completed`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Abandoned => "abandoned",
            Self::Held => "held",
            Self::Failed => "failed",
            Self::Rehearsed => "rehearsed",
            Self::Other => "other",
        }
    }
}

impl fmt::Display for SyncResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl From<RunResult> for SyncResult {
    fn from(result: RunResult) -> Self {
        match result {
            RunResult::Completed => Self::Completed,
            RunResult::Abandoned => Self::Abandoned,
            RunResult::Held => Self::Held,
            RunResult::Failed => Self::Failed,
        }
    }
}

impl SyncOutcome {
    pub(super) fn of(result: &Result<(), Error>, dry_run: bool) -> Self {
        match result {
            Ok(()) if dry_run => Self::DryRun,
            Ok(()) => Self::Completed { cleaned_up: true },
            Err(error) => error.outcome(),
        }
    }

    /// The result for the record; for a dry run, the one a real sync would have had.
    pub(crate) fn run_result(self) -> RunResult {
        match self {
            Self::Completed { .. } | Self::DryRun => RunResult::Completed,
            Self::Held(_) => RunResult::Held,
            Self::Abandoned(_) | Self::Stopped => RunResult::Abandoned,
            Self::Failed(_) => RunResult::Failed,
        }
    }

    /// The result for a summary.
    pub(super) fn result(self) -> SyncResult {
        match self {
            Self::DryRun => SyncResult::Rehearsed,
            other => other.run_result().into(),
        }
    }

    /// The reason, if the result is not self-explanatory.
    pub(crate) fn reason(self) -> Option<RunReason> {
        match self {
            Self::Completed { cleaned_up: true } | Self::DryRun => None,
            Self::Completed { cleaned_up: false } => Some(RunReason::Unwatched),
            Self::Held(reason) => Some(reason.into()),
            Self::Abandoned(reason) => Some(reason.into()),
            Self::Failed(reason) => Some(reason.into()),
            Self::Stopped => Some(RunReason::Stopped),
        }
    }

    /// When the next sync should follow.
    pub(super) fn next(self) -> NextSync {
        match self {
            Self::Completed { .. }
            | Self::DryRun
            | Self::Held(_)
            | Self::Abandoned(Abandoned::NothingShown | Abandoned::InvalidRecords | Abandoned::Cancelled) => {
                NextSync::Regular
            }
            Self::Abandoned(Abandoned::Overtaken) => NextSync::AtOnce,
            Self::Failed(Failed::CleanUp) => NextSync::CleanUp,
            Self::Abandoned(Abandoned::Unreadable | Abandoned::RepeatedCursor | Abandoned::Incomplete)
            | Self::Failed(_)
            | Self::Stopped => NextSync::Soon,
        }
    }
}

impl From<HeldReason> for RunReason {
    fn from(reason: HeldReason) -> Self {
        match reason {
            HeldReason::AccessGuard => Self::AccessGuard,
            HeldReason::LostState => Self::LostState,
            HeldReason::StaleState => Self::StaleState,
            HeldReason::FirstSync => Self::FirstSync,
            HeldReason::NotProven => Self::NotProven,
        }
    }
}

impl From<Abandoned> for RunReason {
    fn from(reason: Abandoned) -> Self {
        match reason {
            Abandoned::Unreadable => Self::Unreadable,
            Abandoned::RepeatedCursor => Self::RepeatedCursor,
            Abandoned::Incomplete => Self::Incomplete,
            Abandoned::InvalidRecords => Self::InvalidRecords,
            Abandoned::Overtaken => Self::Overtaken,
            Abandoned::NothingShown => Self::NothingShown,
            Abandoned::Cancelled => Self::Cancelled,
        }
    }
}

impl From<Failed> for RunReason {
    fn from(reason: Failed) -> Self {
        match reason {
            Failed::Undescribed => Self::Undescribed,
            Failed::Unregistered => Self::Unregistered,
            Failed::Bridge => Self::Bridge,
            Failed::SessionLost => Self::SessionLost,
            Failed::Uncounted => Self::Uncounted,
            Failed::Unheard => Self::Unheard,
            Failed::CleanUp => Self::CleanupFailed,
            Failed::State => Self::State,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(outcome: SyncOutcome) -> (&'static str, Option<&'static str>, NextSync) {
        (outcome.result().as_str(), outcome.reason().map(RunReason::as_str), outcome.next())
    }

    #[test]
    fn successful_sync_keeps_the_regular_schedule() {
        assert_eq!(told(SyncOutcome::of(&Ok(()), false)), ("completed", None, NextSync::Regular));
        assert_eq!(told(SyncOutcome::of(&Ok(()), true)), ("rehearsed", None, NextSync::Regular));
    }

    #[test]
    fn every_sync_error_maps_to_result_reason_and_next_sync() {
        let text = || "x".to_owned();
        let call = bridgehead_bridge::Call::new(bridgehead_bridge::Operation::StartSync, None);
        let source = bridgehead_bridge::Error::Unauthorized { call };
        let (app, consent) = (text, text);
        let table = [
            (Error::Unreadable { slug: text(), message: text() }, "abandoned", "unreadable", NextSync::Soon),
            (
                Error::RepeatedCursor { slug: text(), pages: 2 },
                "abandoned",
                "repeated_cursor",
                NextSync::Soon,
            ),
            (
                Error::Incomplete { slug: text(), read: 1, total: 2 },
                "abandoned",
                "incomplete",
                NextSync::Soon,
            ),
            (Error::Invalid { count: 1, dry_run: false }, "abandoned", "invalid_records", NextSync::Regular),
            (Error::Overtaken(text()), "abandoned", "overtaken", NextSync::AtOnce),
            (Error::NothingShown { app: app() }, "abandoned", "nothing_shown", NextSync::Regular),
            (Error::Cancelled, "abandoned", "cancelled", NextSync::Regular),
            (Error::ShuttingDown, "abandoned", "stopped", NextSync::Soon),
            (
                Error::Held { app: app(), why: text(), consent: consent() },
                "held",
                "access_guard",
                NextSync::Regular,
            ),
            (
                Error::Unproven { app: app(), slugs: text(), consent: consent() },
                "held",
                "not_proven",
                NextSync::Regular,
            ),
            (
                Error::LostState { app: app(), evidence: text(), consent: consent() },
                "held",
                "lost_state",
                NextSync::Regular,
            ),
            (
                Error::StaleState { app: app(), evidence: text(), consent: consent() },
                "held",
                "stale_state",
                NextSync::Regular,
            ),
            (Error::FirstSync { app: app(), consent: consent() }, "held", "first_sync", NextSync::Regular),
            (Error::Undescribed(text()), "failed", "undescribed", NextSync::Soon),
            (Error::Unregistered(text()), "failed", "unregistered", NextSync::Soon),
            (Error::Bridge { what: "starting the sync", source }, "failed", "bridge", NextSync::Soon),
            (Error::SessionLost { detail: text() }, "failed", "session_lost", NextSync::Soon),
            (Error::Uncounted(text()), "failed", "uncounted", NextSync::Soon),
            (Error::Unheard(text()), "failed", "unheard", NextSync::Soon),
            (
                Error::CleanupFailed { code: text(), message: text() },
                "failed",
                "cleanup_failed",
                NextSync::CleanUp,
            ),
            (Error::Journal(bridgehead_store::Error::Closed), "failed", "state", NextSync::Soon),
            (Error::Unwatched, "completed", "unwatched", NextSync::Regular),
        ];
        let mut reasons: Vec<&str> = table.iter().map(|(_, _, reason, _)| *reason).collect();
        reasons.sort_unstable();
        let mut all = RunReason::ALL.map(RunReason::as_str);
        all.sort_unstable();
        assert_eq!(reasons, all);
        for (error, result, reason, next) in table {
            let found = told(SyncOutcome::of(&Err(error), false));
            assert_eq!(found, (result, Some(reason), next));
        }
    }

    #[test]
    fn every_sync_result_serializes_as_its_name() {
        use SyncResult::{Abandoned, Completed, Failed, Held, Other, Rehearsed};
        for result in [Completed, Abandoned, Held, Failed, Rehearsed, Other] {
            assert_eq!(serde_json::to_value(result).unwrap(), result.as_str());
        }
        for result in RunResult::ALL {
            assert_eq!(SyncResult::from(result).as_str(), result.as_str());
        }
        assert_eq!(serde_json::from_value::<SyncResult>("from_the_future".into()).unwrap(), Other);
    }
}
