//! Why a command could not reach the daemon, or was rejected by it.

use std::path::PathBuf;

/// Why a command could not reach the daemon, or was rejected by it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The socket exists, but this user may not use it. The operator must use another user.
    #[error("the daemon's control socket {} cannot be used: {source}; run this command as the daemon's \
             user, or as root", path.display())]
    Denied {
        /// The socket.
        path: PathBuf,
        /// The error of the operating system.
        #[source]
        source: std::io::Error,
    },
    /// The connection was lost before the last event. The daemon's log shows whether the request was executed.
    #[error("the daemon disconnected before it responded; see its log for the result")]
    Lost,
    /// There was no response in time. The operator must check the daemon.
    #[error("the daemon did not respond within {0:?}; check its log, and restart it if it hangs")]
    Silent(std::time::Duration),
    /// The daemon rejected the request.
    #[error("{message}")]
    Refused {
        /// The reason.
        message: String,
        /// Whether a retry may work.
        temporary: bool,
    },
    /// The response is invalid: the daemon is a different version. The operator must restart it.
    #[error(
        "the daemon's response cannot be read: the daemon does not run this version of bridgehead \
         ({version}); restart it",
        version = env!("CARGO_PKG_VERSION")
    )]
    Malformed,
}

impl Error {
    /// Whether a retry may work.
    pub(crate) fn is_temporary(&self) -> bool {
        match self {
            Self::Lost | Self::Silent(_) => true,
            Self::Refused { temporary, .. } => *temporary,
            Self::Denied { .. } | Self::Malformed => false,
        }
    }
}
