//! Errors that end a sync before it is complete.

use super::HeldReason;
use super::outcome::{Abandoned, Failed, SyncOutcome};
use bridgehead_bridge as bridge;
use bridgehead_store as journal;

/// Why a sync failed. No account was removed in any of these cases, except for [`Unwatched`](Self::Unwatched), and perhaps
/// [`Unheard`](Self::Unheard).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The target could not be listed completely. The target's operator must act.
    #[error("{slug} could not be read completely: {message}; no account was removed")]
    Unreadable {
        /// The resource type.
        slug: String,
        /// The connector's error message.
        message: String,
    },
    /// A listing repeats its cursor: a bug in the connector or its target.
    #[error(
        "the listing of {slug} repeats its cursor after {pages} pages, so where it ends is unknown; no \
         account was removed. This is a bug in the connector"
    )]
    RepeatedCursor {
        /// The resource type.
        slug: String,
        /// The number of pages read before.
        pages: usize,
    },
    /// The connector cannot describe what it offers. See its message.
    #[error("the connector cannot describe what it offers: {0}")]
    Undescribed(String),
    /// A resource type is not registered in Iden, and the configuration disables registration.
    #[error(
        "Iden does not know the resource type '{0}', and register_resource_types is off; register the type, \
         or turn register_resource_types on"
    )]
    Unregistered(String),
    /// The Bridge could not be reached, or returned an error.
    #[error("{what}: {source}")]
    Bridge {
        /// The operation that failed.
        what: &'static str,
        /// The error.
        #[source]
        source: bridge::Error,
    },
    /// The session does not contain what was pushed: another process has started a sync of the same app.
    #[error(
        "the session no longer belongs to this sync ({detail}); a newer sync of the same app cancels an \
         older one, so make sure that only one process syncs it"
    )]
    SessionLost {
        /// How this was detected.
        detail: String,
    },
    /// Iden does not count what was pushed, so there is no proof that the session still belongs to this sync.
    #[error(
        "Iden gives no count of {0} for this session, so there is no proof that no other sync cancelled it; \
         no account was removed"
    )]
    Uncounted(String),
    /// Some records are invalid, and `on_invalid` is `abandon`. The owner of the data must act.
    #[error("{count} {} invalid; {}", if *.count == 1 { "record is" } else { "records are" }, if *.dry_run {
        "nothing was pushed"
    } else {
        "valid records were pushed, no account was removed"
    })]
    Invalid {
        /// The number of invalid records.
        count: u64,
        /// Whether this is a dry run.
        dry_run: bool,
    },
    /// Fewer records were read than the target reports. No action is needed: the next sync follows soon.
    #[error(
        "the listing of {slug} is incomplete: it had {read} distinct records, but the target reports \
         {total}; no account was removed"
    )]
    Incomplete {
        /// The resource type.
        slug: String,
        /// How many distinct records were read.
        read: u64,
        /// The target's total, as reported on one of the pages.
        total: u64,
    },
    /// Completing would remove more than the guard allows. The operator decides.
    #[error(
        "{why}; nothing was removed. If this is intended, run `bridgehead sync {app} --allow-removals` \
         once: {consent}"
    )]
    Held {
        /// The app's name in the configuration.
        app: String,
        /// The figures.
        why: String,
        /// What the approval covers.
        consent: String,
    },
    /// There is no evidence that a listing is complete. The operator decides.
    #[error(
        "{}; nothing was removed. If this target cannot provide one, set complete_without_proof = \"allow\", or run `bridgehead sync {app} --allow-removals` once: {consent}",
        unproven(.slugs)
    )]
    Unproven {
        /// The app's name in the configuration.
        app: String,
        /// The resource types.
        slugs: String,
        /// What the approval covers.
        consent: String,
    },
    /// Iden has records of this app, and it is unknown which of them completing would remove. The operator decides.
    #[error(
        "{}; nothing was removed. Check `bridgehead sync {app} --dry-run`; if it shows every account, run `bridgehead sync {app} --allow-removals` once: {consent}",
        lost_state(.app, .evidence)
    )]
    LostState {
        /// The app's name in the configuration.
        app: String,
        /// How this was detected.
        evidence: String,
        /// What the approval covers.
        consent: String,
    },
    /// Iden has seen a later sync of this app than the last one recorded here. The operator decides.
    #[error(
        "{}; nothing was removed. Check `bridgehead sync {app} --dry-run`; if it shows every account, run `bridgehead sync {app} --allow-removals` once: {consent}",
        stale_state(.evidence)
    )]
    StaleState {
        /// The app's name in the configuration.
        app: String,
        /// Both times.
        evidence: String,
        /// What the approval covers.
        consent: String,
    },
    /// The first sync of an app whose `sync.first` is `ask`. The operator decides.
    #[error(
        "{}; nothing was removed. Check `bridgehead sync {app} --dry-run`; if it shows every account, run `bridgehead sync {app} --allow-removals` once: {consent}",
        FIRST_SYNC
    )]
    FirstSync {
        /// The app's name in the configuration.
        app: String,
        /// What the approval covers.
        consent: String,
    },
    /// The operator approved what was shown, but nothing was shown. The operator must look first.
    #[error(
        "--allow-removals allows what the last dry run or held sync of {app} showed, but there has been \
         none since the last completed sync; run `bridgehead sync {app} --dry-run` first, or give the \
         number of losses that you allow, such as `--allow-removals 30`"
    )]
    NothingShown {
        /// The app's name in the configuration.
        app: String,
    },
    /// An account changed after it had been pushed, and the sync could not catch up: it starts over.
    #[error("{0} was changed by a task after it had been pushed; the sync starts over")]
    Overtaken(String),
    /// It is unknown whether Iden received `complete`. The next sync finds out.
    #[error("complete was sent, but it is unknown whether Iden received it: {0}")]
    Unheard(String),
    /// Iden could not remove stale records. A new sync is the remedy.
    #[error("Iden reports {code}: {message} A new sync fixes this")]
    CleanupFailed {
        /// Iden's error code.
        code: String,
        /// Iden's error message.
        message: String,
    },
    /// The state folder could not be read or written.
    #[error("state folder: {0}")]
    Journal(#[from] journal::Error),
    /// The daemon is stopping.
    #[error("stopped before the end; no account was removed")]
    ShuttingDown,
    /// An operator has cancelled the sync.
    #[error("cancelled by an operator; no account was removed")]
    Cancelled,
    /// The daemon is stopping before Iden has finished its cleanup, which continues without the daemon.
    #[error("completed; stopped before Iden finished its cleanup")]
    Unwatched,
}

impl Error {
    pub(crate) fn bridge(what: &'static str) -> impl FnOnce(bridge::Error) -> Self {
        move |source| Self::Bridge { what, source }
    }

    /// The outcome of a sync that ended with this error.
    pub(super) fn outcome(&self) -> SyncOutcome {
        match self {
            Self::Unwatched => SyncOutcome::Completed { cleaned_up: false },
            Self::Held { .. } => SyncOutcome::Held(HeldReason::AccessGuard),
            Self::LostState { .. } => SyncOutcome::Held(HeldReason::LostState),
            Self::StaleState { .. } => SyncOutcome::Held(HeldReason::StaleState),
            Self::FirstSync { .. } => SyncOutcome::Held(HeldReason::FirstSync),
            Self::Unproven { .. } => SyncOutcome::Held(HeldReason::NotProven),
            Self::Unreadable { .. } => SyncOutcome::Abandoned(Abandoned::Unreadable),
            Self::RepeatedCursor { .. } => SyncOutcome::Abandoned(Abandoned::RepeatedCursor),
            Self::Incomplete { .. } => SyncOutcome::Abandoned(Abandoned::Incomplete),
            Self::NothingShown { .. } => SyncOutcome::Abandoned(Abandoned::NothingShown),
            Self::Invalid { .. } => SyncOutcome::Abandoned(Abandoned::InvalidRecords),
            Self::Overtaken(_) => SyncOutcome::Abandoned(Abandoned::Overtaken),
            Self::Cancelled => SyncOutcome::Abandoned(Abandoned::Cancelled),
            Self::ShuttingDown => SyncOutcome::Stopped,
            Self::Undescribed(_) => SyncOutcome::Failed(Failed::Undescribed),
            Self::Unregistered(_) => SyncOutcome::Failed(Failed::Unregistered),
            Self::Bridge { .. } => SyncOutcome::Failed(Failed::Bridge),
            Self::SessionLost { .. } => SyncOutcome::Failed(Failed::SessionLost),
            Self::Uncounted(_) => SyncOutcome::Failed(Failed::Uncounted),
            Self::Unheard(_) => SyncOutcome::Failed(Failed::Unheard),
            Self::CleanupFailed { .. } => SyncOutcome::Failed(Failed::CleanUp),
            Self::Journal(_) => SyncOutcome::Failed(Failed::State),
        }
    }

    /// What is wrong, without the advice, for callers that add their own. `None` if the message has no advice.
    pub(crate) fn cause(&self) -> Option<String> {
        match self {
            Self::Held { why, .. } => Some(why.clone()),
            Self::Unproven { slugs, .. } => Some(unproven(slugs)),
            Self::LostState { app, evidence, .. } => Some(lost_state(app, evidence)),
            Self::StaleState { evidence, .. } => Some(stale_state(evidence)),
            Self::FirstSync { .. } => Some(FIRST_SYNC.to_owned()),
            _ => None,
        }
    }
}

const FIRST_SYNC: &str = "this is the first sync of the app, and sync.first = \"ask\" holds it";

fn unproven(slugs: &str) -> String {
    format!("no proof that the listing of {slugs} is complete")
}

fn lost_state(app: &str, evidence: &str) -> String {
    format!(
        "this state folder has no completed sync of {app}, but {evidence}: the state folder was lost, the first sync was \
         killed while it pushed, or the app was synced from elsewhere. How many records completing would remove is unknown"
    )
}

fn stale_state(evidence: &str) -> String {
    format!(
        "{evidence}: the state folder is an old copy, or the app is also synced from elsewhere. How many records completing \
         would remove is unknown"
    )
}
