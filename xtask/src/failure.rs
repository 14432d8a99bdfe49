//! Why a task failed.

use std::path::{Path, PathBuf};

/// The result of a task.
pub(crate) type Result<T> = std::result::Result<T, Failure>;

/// Why a task failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// A tool is not installed.
    #[error("`{tool}` is missing; {remedy}")]
    Missing { tool: String, remedy: String },
    /// A tool failed with an error message.
    #[error("{command} failed ({status}){said}")]
    Tool { command: String, status: String, said: String },
    /// A file cannot be read or written.
    #[error("{}: {source}", .path.display())]
    File { path: PathBuf, source: std::io::Error },
    /// A result does not meet the requirements.
    #[error("{0}")]
    Unfit(String),
}

impl Failure {
    /// For `map_err` when a file is read or written.
    pub(crate) fn of(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { path, source }
    }

    /// Prints the error for the user who runs the task.
    #[expect(clippy::print_stderr, reason = "this is a command's own output")]
    pub(crate) fn complain(&self) {
        eprintln!("xtask: {self}");
    }
}
