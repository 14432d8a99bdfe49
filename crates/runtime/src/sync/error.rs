//! What ends a sync before it is complete.

use super::summary::NextSync;
use bridgehead_bridge as bridge;
use bridgehead_store as journal;
use bridgehead_store::RunResult;

/// Why a sync did not go through. Nobody was removed in any of these cases but
/// [`Unwatched`](Self::Unwatched), and perhaps [`Unheard`](Self::Unheard).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The target could not be listed to its end. Whoever runs the target has to act.
    #[error("{slug} could not be read to the end: {message}; nobody was removed")]
    Unreadable {
        /// The resource type.
        slug: String,
        /// What the connector said.
        message: String,
    },
    /// A listing goes in circles: a fault of the connector or of its target.
    #[error(
        "the listing of {slug} repeats its cursor after {pages} pages, so its end is not known; nobody was removed. This is a fault of the connector"
    )]
    RepeatedCursor {
        /// The resource type.
        slug: String,
        /// How many pages had been read.
        pages: usize,
    },
    /// The connector cannot say what it offers. See its message.
    #[error("the connector cannot say what it offers: {0}")]
    Undescribed(String),
    /// A resource type is not registered in Iden, and the configuration says not to register it.
    #[error(
        "Iden knows no resource type '{0}', and register_resource_types is off; register it, or switch that on"
    )]
    Unregistered(String),
    /// The Bridge could not be reached, or refused.
    #[error("{what}: {source}")]
    Bridge {
        /// What was being done.
        what: &'static str,
        /// What came back.
        #[source]
        source: bridge::Error,
    },
    /// The session does not hold what was pushed: another process has begun a sync of the same app.
    #[error(
        "the session is not ours any more ({detail}); a newer sync of the same app cancels an older one, so make sure that only one process syncs it"
    )]
    SessionLost {
        /// How it was noticed.
        detail: String,
    },
    /// Iden does not count what was pushed, so nothing shows that the session is still this one's.
    #[error(
        "Iden gives no count of {0} in this session, so nothing shows that no other sync has cancelled it; nobody was removed"
    )]
    Uncounted(String),
    /// Some records are bad, and `on_invalid` is `abandon`. Whoever keeps the data has to act.
    #[error("{count} {} not valid; {}", if *.count == 1 { "record is" } else { "records are" }, if *.dry_run {
        "nothing was pushed"
    } else {
        "the good ones were pushed, nobody was removed"
    })]
    Invalid {
        /// How many.
        count: u64,
        /// Whether nothing was to be pushed.
        dry_run: bool,
    },
    /// Fewer records were read than the target says it has. Nobody has to act: the next sync comes soon.
    #[error(
        "the listing of {slug} is incomplete: it had {read} distinct records, and the target says that it has {total}; nobody was removed"
    )]
    Incomplete {
        /// The resource type.
        slug: String,
        /// How many distinct records were read.
        read: u64,
        /// How many the target has, as it said on one of the pages.
        total: u64,
    },
    /// Completing would take away more than the guard lets pass. The operator decides.
    #[error(
        "{why}; nothing was removed. If this is right, run `bridgehead sync {app} --allow-removals` once: {consent}"
    )]
    Held {
        /// The app, as the configuration names it.
        app: String,
        /// The figures.
        why: String,
        /// What the consent covers.
        consent: String,
    },
    /// Nothing shows that a listing was read to its end. The operator decides.
    #[error(
        "nothing shows that the listing of {slugs} was read to its end; nothing was removed. If this target cannot show it, set complete_without_proof = \"allow\", or run `bridgehead sync {app} --allow-removals` once: {consent}"
    )]
    Unproven {
        /// The app, as the configuration names it.
        app: String,
        /// The resource types.
        slugs: String,
        /// What the consent covers.
        consent: String,
    },
    /// Iden holds records of this app, and what completing would remove of them is not known. The operator decides.
    #[error(
        "no completed sync of {app} is known here, but {evidence}: the state folder was lost, the first sync was killed while it pushed, or the app was synced from elsewhere, and how many records completing would remove cannot be known; nothing was removed. Look at `bridgehead sync {app} --dry-run`; if that is everybody, run `bridgehead sync {app} --allow-removals` once: {consent}"
    )]
    LostState {
        /// The app, as the configuration names it.
        app: String,
        /// How it was noticed.
        evidence: String,
        /// What the consent covers.
        consent: String,
    },
    /// Iden has seen a later sync of this app than the last one known here. The operator decides.
    #[error(
        "{evidence}: the state folder is an old copy, or the app is synced from elsewhere, too, and how many records completing would remove cannot be known; nothing was removed. Look at `bridgehead sync {app} --dry-run`; if that is everybody, run `bridgehead sync {app} --allow-removals` once: {consent}"
    )]
    StaleState {
        /// The app, as the configuration names it.
        app: String,
        /// Both times.
        evidence: String,
        /// What the consent covers.
        consent: String,
    },
    /// The operator allows what was shown, and nothing was. They look first.
    #[error(
        "--allow-removals allows what the last dry run or held sync of {app} has shown, and nothing has been shown since the last completed sync; run `bridgehead sync {app} --dry-run` first, or say how many losses you allow, such as `--allow-removals 30`"
    )]
    NothingShown {
        /// The app, as the configuration names it.
        app: String,
    },
    /// The guard was asked before anything was measured: a mistake in the runtime.
    #[error(
        "what completing would remove was not measured; nobody was removed. This is a fault of bridgehead"
    )]
    Unmeasured,
    /// An account was deleted after it had been pushed, and its record is not known: the sync begins anew.
    #[error("{0} was deleted by a task after it had been pushed; the sync begins anew")]
    Overtaken(String),
    /// Nobody knows whether Iden has heard that the sync is complete. The next sync tells.
    #[error("complete was sent, and whether Iden heard of it is not known: {0}")]
    Unheard(String),
    /// Iden could not remove stale records. A new sync is the remedy.
    #[error("Iden reports {code}: {message} A new sync is the remedy")]
    CleanupFailed {
        /// The code Iden gave.
        code: String,
        /// The message Iden gave.
        message: String,
    },
    /// The daemon's own state could not be read or written.
    #[error("the state folder: {0}")]
    Journal(#[from] journal::Error),
    /// The daemon is stopping.
    #[error("stopped before the end; nobody was removed")]
    ShuttingDown,
    /// An operator has cancelled it.
    #[error("cancelled by an operator; nobody was removed")]
    Cancelled,
    /// The daemon is stopping, and Iden has not cleaned up yet. It does so by itself.
    #[error("completed; stopped before Iden had cleaned up")]
    Unwatched,
}

impl Error {
    pub(crate) fn bridge(what: &'static str) -> impl FnOnce(bridge::Error) -> Self {
        move |source| Self::Bridge { what, source }
    }

    /// How a sync that ended with this is recorded.
    pub(crate) fn result(&self) -> RunResult {
        match self {
            Self::Unwatched => RunResult::Completed,
            Self::Held { .. } | Self::LostState { .. } | Self::StaleState { .. } | Self::Unproven { .. } => {
                RunResult::Held
            }
            Self::Unreadable { .. }
            | Self::RepeatedCursor { .. }
            | Self::Incomplete { .. }
            | Self::NothingShown { .. }
            | Self::Invalid { .. }
            | Self::Overtaken(_)
            | Self::Cancelled
            | Self::ShuttingDown => RunResult::Abandoned,
            Self::Undescribed(_)
            | Self::Unregistered(_)
            | Self::Bridge { .. }
            | Self::SessionLost { .. }
            | Self::Uncounted(_)
            | Self::Unheard(_)
            | Self::CleanupFailed { .. }
            | Self::Unmeasured
            | Self::Journal(_) => RunResult::Failed,
        }
    }

    /// What the schedule is to do about it.
    pub(crate) fn follow_up(&self) -> NextSync {
        match self {
            Self::Held { .. }
            | Self::LostState { .. }
            | Self::StaleState { .. }
            | Self::Unproven { .. }
            | Self::NothingShown { .. }
            | Self::Invalid { .. }
            | Self::Cancelled
            | Self::Unwatched => NextSync::Regular,
            Self::Overtaken(_) => NextSync::AtOnce,
            Self::CleanupFailed { .. } => NextSync::CleanUp,
            _ => NextSync::Soon,
        }
    }
}
