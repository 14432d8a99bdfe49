//! What ends a sync before it is complete.

use crate::{bridge, journal};

/// Why a sync was not completed. Nobody was removed in any of these cases.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The target could not be listed to its end. Whoever runs the target has to act.
    #[error("{slug} could not be read to the end: {message}")]
    Unreadable {
        /// The resource type.
        slug: String,
        /// What the connector said.
        message: String,
    },
    /// A listing goes in circles: a fault of the connector or of its target.
    #[error(
        "the listing of {slug} repeats its cursor after {pages} pages; the connector would never come to an end"
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
    /// Some records are bad, and `on_invalid` is `abandon`. Whoever keeps the data has to act.
    #[error("{count} records are not valid; the good ones were pushed, nobody was removed")]
    Invalid {
        /// How many.
        count: u64,
    },
    /// Completing would remove more than the guard lets pass. The operator decides.
    #[error("{0}; nothing was removed. If this is right, run `bridgehead sync APP --allow-removals` once")]
    Held(String),
    /// An account was deleted after it had been pushed, and its record is not known: the sync begins anew.
    #[error("{0} was deleted by a task after it had been pushed; the sync begins anew")]
    Overtaken(String),
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
    #[error("stopped before the end")]
    Stopped,
}

impl Error {
    pub(crate) fn bridge(what: &'static str) -> impl FnOnce(bridge::Error) -> Self {
        move |source| Self::Bridge { what, source }
    }
}
