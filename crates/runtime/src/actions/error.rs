//! Errors of operator actions.

use bridgehead_sdk::TaskId;
use bridgehead_store::{self as journal, Pause};

/// Why an action was not executed. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The running daemon does not have this app. If it was added to the configuration, the operator must reload it.
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
    /// The app is paused. The operator must resume it first.
    #[error("{app} is paused, since {}{}; resume it first with `bridgehead apps resume {app}`", .pause.since, why(.pause))]
    Paused {
        /// The app.
        app: String,
        /// The pause.
        pause: Pause,
    },
    /// An operator cannot resolve this task.
    #[error("{task} of {app} cannot be resolved: {why}")]
    NotResolvable {
        /// The app.
        app: String,
        /// The task.
        task: TaskId,
        /// The reason.
        why: &'static str,
    },
    /// The reason is missing or too long.
    #[error(
        "the reason must have 1 to {LONGEST_REASON} characters; it is recorded in the audit log and sent to Iden"
    )]
    Reason,
    /// The journal could not be read or written. The operator must follow its message.
    #[error(transparent)]
    Journal(#[from] journal::Error),
}

/// The maximum length of a reason, in characters.
pub const LONGEST_REASON: usize = 500;

fn why(pause: &Pause) -> String {
    pause.reason.as_ref().map_or_else(String::new, |reason| format!(" ({reason})"))
}

fn on(node: &str) -> String {
    if node.is_empty() { String::new() } else { format!(", but on {node}") }
}

impl Error {
    /// A short name, such as `paused`.
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
