//! Why an action was not done.

use bridgehead_sdk::TaskId;
use bridgehead_store::{self as journal, Pause};

/// Why an action was not done. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such app in the running daemon. The operator reloads the configuration if it was added there.
    #[error(
        "the running daemon has no app '{0}'; if you added it to the configuration, apply it with `bridgehead reload`"
    )]
    UnknownApp(String),
    /// Another node runs the app, or none does now. The operator asks there.
    #[error("{app} does not run on this node{}; do this on the node that runs it (`bridgehead status` names it)", on(.node))]
    Elsewhere {
        /// The app.
        app: String,
        /// The node; empty if none runs it.
        node: String,
    },
    /// The app is paused. The operator resumes it first.
    #[error("{app} is paused, since {}{}; resume it first with `bridgehead apps resume {app}`", .pause.since, why(.pause))]
    Paused {
        /// The app.
        app: String,
        /// The pause.
        pause: Pause,
    },
    /// The task is not one that an operator can resolve.
    #[error("{task} of {app} cannot be resolved: {why}")]
    NotResolvable {
        /// The app.
        app: String,
        /// The task.
        task: TaskId,
        /// Why not.
        why: &'static str,
    },
    /// There is no reason, or it is too long.
    #[error(
        "the reason must have 1 to {LONGEST_REASON} characters; it is recorded in the audit log and sent to Iden"
    )]
    Reason,
    /// The journal could not be read or written. The operator does what it says.
    #[error(transparent)]
    Journal(#[from] journal::Error),
}

/// How long a reason may be, in characters.
pub const LONGEST_REASON: usize = 500;

fn why(pause: &Pause) -> String {
    pause.reason.as_ref().map_or_else(String::new, |reason| format!(" ({reason})"))
}

fn on(node: &str) -> String {
    if node.is_empty() { String::new() } else { format!(", but on {node}") }
}

impl Error {
    /// A word for it, such as `paused`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnknownApp(_) => "unknown_app",
            Self::Elsewhere { .. } => "elsewhere",
            Self::Paused { .. } => "paused",
            Self::NotResolvable { .. } => "not_resolvable",
            Self::Reason => "reason",
            Self::Journal(_) => "journal",
        }
    }
}
