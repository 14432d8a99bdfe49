//! What ends a sync before it is complete.

use super::summary::NextSync;
use bridgehead_bridge as bridge;
use bridgehead_store as journal;
use bridgehead_store::RunResult;

/// Why a sync did not go through. No account was removed in any of these cases except for
/// [`Unwatched`](Self::Unwatched), and perhaps [`Unheard`](Self::Unheard).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The target could not be listed completely. The target's operator must act.
    #[error("{slug} could not be read completely: {message}; no account was removed")]
    Unreadable {
        /// The resource type.
        slug: String,
        /// What the connector said.
        message: String,
    },
    /// A listing goes in circles: a fault of the connector or of its target.
    #[error(
        "the listing of {slug} repeats its cursor after {pages} pages, so where it ends is unknown; no \
         account was removed. This is a bug in the connector"
    )]
    RepeatedCursor {
        /// The resource type.
        slug: String,
        /// How many pages had been read.
        pages: usize,
    },
    /// The connector cannot say what it offers. See its message.
    #[error("the connector cannot describe what it offers: {0}")]
    Undescribed(String),
    /// A resource type is not registered in Iden, and the configuration says not to register it.
    #[error(
        "Iden does not know the resource type '{0}', and register_resource_types is off; register the type, \
         or turn register_resource_types on"
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
        "the session no longer belongs to this sync ({detail}); a newer sync of the same app cancels an \
         older one, so make sure that only one process syncs it"
    )]
    SessionLost {
        /// How it was noticed.
        detail: String,
    },
    /// Iden does not count what was pushed, so nothing shows that the session is still this one's.
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
        /// How many.
        count: u64,
        /// Whether nothing was to be pushed.
        dry_run: bool,
    },
    /// Fewer records were read than the target reports. No action needed: the next sync comes soon.
    #[error(
        "the listing of {slug} is incomplete: it had {read} distinct records, but the target reports \
         {total}; no account was removed"
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
        "{why}; nothing was removed. If this is intended, run `bridgehead sync {app} --allow-removals` \
         once: {consent}"
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
        "no proof that the listing of {slugs} is complete; nothing was removed. If this target cannot \
         provide one, set complete_without_proof = \"allow\", or run `bridgehead sync {app} \
         --allow-removals` once: {consent}"
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
        "this state folder has no completed sync of {app}, but {evidence}: the state folder was lost, the \
         first sync was killed while it pushed, or the app was synced from elsewhere. How many records \
         completing would remove is unknown; nothing was removed. Check `bridgehead sync {app} --dry-run`; \
         if it shows every account, run `bridgehead sync {app} --allow-removals` once: {consent}"
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
        "{evidence}: the state folder is an old copy, or the app is also synced from elsewhere. How many \
         records completing would remove is unknown; nothing was removed. Check `bridgehead sync {app} \
         --dry-run`; if it shows every account, run `bridgehead sync {app} --allow-removals` once: {consent}"
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
        "--allow-removals allows what the last dry run or held sync of {app} showed, but there has been \
         none since the last completed sync; run `bridgehead sync {app} --dry-run` first, or give the \
         number of losses that you allow, such as `--allow-removals 30`"
    )]
    NothingShown {
        /// The app, as the configuration names it.
        app: String,
    },
    /// The guard was asked before anything was measured: a mistake in the runtime.
    #[error("the removals were not counted; no account was removed. This is a bug in bridgehead")]
    Unmeasured,
    /// An account was deleted after it had been pushed, and its record is not known: the sync starts over.
    #[error("{0} was deleted by a task after it had been pushed; the sync starts over")]
    Overtaken(String),
    /// It is unknown whether Iden received that the sync is complete. The next sync finds out.
    #[error("complete was sent, but it is unknown whether Iden received it: {0}")]
    Unheard(String),
    /// Iden could not remove stale records. A new sync is the remedy.
    #[error("Iden reports {code}: {message} A new sync fixes this")]
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
    #[error("stopped before the end; no account was removed")]
    ShuttingDown,
    /// The daemon is stopping, and Iden has not cleaned up yet. It does so without the daemon.
    #[error("completed; stopped before Iden finished its cleanup")]
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
            | Self::Unwatched => NextSync::Regular,
            Self::Overtaken(_) => NextSync::AtOnce,
            Self::CleanupFailed { .. } => NextSync::CleanUp,
            _ => NextSync::Soon,
        }
    }
}
