//! Why a task could not be done.

use std::path::{Path, PathBuf};

/// What a task comes to.
pub(crate) type Result<T> = std::result::Result<T, Failure>;

/// Why a task could not be done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// A tool is not installed.
    #[error("`{tool}` is missing; {remedy}")]
    Missing { tool: String, remedy: String },
    /// A tool has failed, and said why.
    #[error("{command} failed ({status}){said}")]
    Tool { command: String, status: String, said: String },
    /// A file cannot be read or written.
    #[error("{}: {source}", .path.display())]
    File { path: PathBuf, source: std::io::Error },
    /// What was found is not as it must be.
    #[error("{0}")]
    Unfit(String),
}

impl Failure {
    /// For `map_err` where a file is read or written.
    pub(crate) fn of(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { path, source }
    }

    /// Says it to whoever runs the task.
    #[expect(clippy::print_stderr, reason = "this is a command's own output")]
    pub(crate) fn complain(&self) {
        eprintln!("xtask: {self}");
    }
}
