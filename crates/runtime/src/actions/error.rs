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
    /// No node runs the app at the moment. The operator waits until one does.
    #[error("no node runs {app} at the moment; nothing was changed. `bridgehead status` shows why")]
    Elsewhere {
        /// The app.
        app: String,
    },
    /// The node that runs the app did not respond. The request was withdrawn.
    #[error(
        "node {node}, which runs {app}, does not respond; nothing was changed. Try again when another node runs it"
    )]
    Silent {
        /// The app.
        app: String,
        /// The node.
        node: String,
    },
    /// The node that runs the app has started the request and stopped before its answer. The operator must look at the effect.
    #[error(
        "node {node} started this for {app} and stopped before it answered; `bridgehead status` and the audit log \
         of {node} show what was done"
    )]
    Unanswered {
        /// The app.
        app: String,
        /// The node.
        node: String,
    },
    /// The node that runs the app refused the request.
    #[error("{message}")]
    Remote {
        /// Its code for the error.
        code: &'static str,
        /// Its message.
        message: String,
    },
    /// The app is paused. The operator must resume it first.
    #[error("{app} is paused, since {:.0}{}; resume it first with `bridgehead apps resume {app}`", .pause.since, why(.pause))]
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

impl Error {
    /// The error of another node.
    pub(super) fn remote(code: &str, message: String) -> Self {
        const CODES: [&str; 7] =
            ["unknown_app", "elsewhere", "paused", "not_resolvable", "reason", "journal", "unknown_command"];
        let code = CODES.into_iter().find(|known| *known == code).unwrap_or("failed");
        Self::Remote { code, message }
    }

    /// A short name, such as `paused`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnknownApp(_) => "unknown_app",
            Self::Elsewhere { .. } => "elsewhere",
            Self::Silent { .. } => "silent",
            Self::Unanswered { .. } => "unanswered",
            Self::Remote { code, .. } => code,
            Self::Paused { .. } => "paused",
            Self::NotResolvable { .. } => "not_resolvable",
            Self::Reason => "reason",
            Self::Journal(_) => "journal",
        }
    }
}
