//! Why a command could not reach the daemon, or was refused by it.

use std::path::PathBuf;

/// Why a command could not reach the daemon, or was refused by it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The socket is there, and this user may not use it. The operator becomes another user.
    #[error("the daemon's control socket {} cannot be used: {source}; run this command as the daemon's \
             user, or as root", path.display())]
    Denied {
        /// The socket.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// The connection broke before the last event. Whether it was done is in the daemon's log.
    #[error("the daemon disconnected before it responded; see its log for the result")]
    Lost,
    /// There was no answer in time. The operator looks at the daemon.
    #[error("the daemon did not respond within {0:?}; check its log, and restart it if it hangs")]
    Silent(std::time::Duration),
    /// The daemon said no.
    #[error("{message}")]
    Refused {
        /// Why.
        message: String,
        /// Whether it may work later.
        temporary: bool,
    },
    /// The daemon speaks otherwise: it is of another version. The operator restarts it.
    #[error(
        "the daemon's response cannot be read: the daemon does not run this version of bridgehead \
         ({version}); restart it",
        version = env!("CARGO_PKG_VERSION")
    )]
    Malformed,
}

impl Error {
    /// Whether it may work later.
    pub(crate) fn is_temporary(&self) -> bool {
        match self {
            Self::Lost | Self::Silent(_) => true,
            Self::Refused { temporary, .. } => *temporary,
            Self::Denied { .. } | Self::Malformed => false,
        }
    }
}
