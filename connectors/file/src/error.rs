//! Errors of a folder of files, and what they mean for tasks and listings.

use std::io;
use std::path::PathBuf;

use bridgehead_sdk as sdk;
use sdk::{Effect, Retry, Subject};

use crate::access::Lost;

/// A problem with the folder, or with a file as a whole. A problem with a single account is an [`sdk::Error`] from the
/// start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The operating system reports an error. The operator must fix the path, the mount or the permissions.
    #[error("cannot {action} {}: {source}", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    /// A file has invalid contents, so that it is unknown which accounts it contains. The operator must fix the file.
    #[error("{file}{}: {reason}", line.map(|line| format!(" line {line}")).unwrap_or_default())]
    Damaged { file: String, line: Option<u64>, reason: String },
    /// It is unclear which file has which type. The operator must rename a file, or name the types in the settings.
    #[error("{0}")]
    Layout(String),
    /// Another program wrote to a file while it was being read. No action needed: it is retried.
    #[error(
        "{file} was changed by another program while it was being read; replace files by renaming, never in place"
    )]
    Changed { file: String },
    /// The file that a listing was reading is no longer open. No action needed: the next sync starts over.
    #[error("the listing of {file} cannot continue: {reason}; the next sync starts over")]
    Lost { file: String, reason: &'static str },
    /// Another process holds the lock of the folder. No action needed, unless it persists.
    #[error("{} is locked by another process; nothing was changed", path.display())]
    Locked { path: PathBuf },
    /// An editor has the file open. A person closes it, or removes the mark of an editor that crashed.
    #[error(
        "{} is open in an editor, which would undo changes when it saves the file; close it, or remove {} if no editor is \
         running. Nothing was changed",
        path.display(),
        mark.display()
    )]
    Edited { path: PathBuf, mark: PathBuf },
    /// A file cannot be replaced without locking out programs that have access to it. The operator must allow
    /// bridgehead to preserve the access.
    #[error(
        "{} was not changed: {lost}, which would lock out a program that uses the file; run bridgehead as \
         the file's owner, or give it CAP_CHOWN",
        path.display()
    )]
    Access { path: PathBuf, lost: Lost },
    /// A file was written to a moment ago. No action needed: it is retried.
    #[error("{file} is being written: it changed within `settle`; replace files by renaming, never in place")]
    Unsettled { file: String },
    /// A file was replaced, but it is unknown whether the change survives a power failure. It is verified by reading
    /// back.
    #[error("{} was written, but it is not confirmed to be on disk: {source}", path.display())]
    Unconfirmed { path: PathBuf, source: io::Error },
}

impl Error {
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        let path = path.into();
        Self::Io { action, path, source }
    }

    pub(crate) fn damaged(file: &str, line: impl Into<Option<u64>>, reason: impl Into<String>) -> Self {
        Self::Damaged { file: file.to_owned(), line: line.into(), reason: reason.into() }
    }

    /// The error for a task, a lookup or a check. A problem with the folder affects every task in the same way, so its
    /// subject is the connection: tasks are held until it is fixed, and none fails because of it.
    pub(crate) fn for_task(self, system: &str) -> sdk::Error {
        let message = format!("{system}: {self}");
        match &self {
            Self::Io { source, .. } => match source.kind() {
                io::ErrorKind::PermissionDenied => sdk::Error::credential_refused(format!(
                    "{message}; give the user that runs bridgehead access to it"
                )),
                io::ErrorKind::ReadOnlyFilesystem => sdk::Error::credential_refused(format!(
                    "{message}; mount it writable. Under systemd, the unit must name the folder in ReadWritePaths=, as the example \
                     drop-ins/local-folder.conf does"
                )),
                // The folder itself is there or not: nothing timed out.
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
                    held(format!("{message}; create it, or correct the app's target"))
                }
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                    held(format!("{message}; free space on its disk. Nothing was changed"))
                }
                _ => sdk::Error::unreachable(message),
            },
            Self::Damaged { .. } | Self::Layout(_) => held(message),
            Self::Edited { .. } => sdk::Error::unreachable(message),
            Self::Access { .. } => sdk::Error::credential_refused(message),
            Self::Changed { .. } | Self::Lost { .. } | Self::Unsettled { .. } => {
                sdk::Error::internal(message).with_retry(Retry::Backoff)
            }
            Self::Locked { .. } => sdk::Error::timeout(message).with_effect(Effect::NotApplied),
            Self::Unconfirmed { .. } => {
                sdk::Error::internal(message).with_effect(Effect::Unknown).with_retry(Retry::Backoff)
            }
        }
        .with_source(self)
    }

    /// The error for a listing. Unless the file is only unreachable or still being written, the listing can never be
    /// read to its end.
    pub(crate) fn for_listing(self, system: &str) -> sdk::Error {
        match self {
            Self::Io { .. } | Self::Unsettled { .. } => self.for_task(system),
            other => sdk::Error::incomplete_listing(format!("{system}: {other}")).with_source(other),
        }
    }
}

/// An error that concerns every task, so that none is executed until an operator has fixed it.
fn held(message: String) -> sdk::Error {
    sdk::Error::internal(message).with_retry(Retry::Backoff).with_subject(Subject::Connection)
}

#[cfg(test)]
mod tests {
    use sdk::Code;

    use super::*;

    fn io(kind: io::ErrorKind) -> Error {
        Error::io("open", "/srv/people", kind.into())
    }

    #[test]
    fn inaccessible_folder_is_a_connection_error() {
        for kind in [io::ErrorKind::PermissionDenied, io::ErrorKind::ReadOnlyFilesystem] {
            let error = io(kind).for_task("hr");
            assert_eq!((error.code(), error.subject()), (Code::PermissionDenied, Subject::Connection));
            assert_eq!(error.retry(), Retry::Backoff);
        }
        for kind in [io::ErrorKind::NotFound, io::ErrorKind::StorageFull] {
            let error = io(kind).for_task("hr");
            assert_eq!((error.code(), error.subject()), (Code::InternalError, Subject::Connection));
            assert_eq!((error.effect(), error.retry()), (Effect::NotApplied, Retry::Backoff));
        }
        let error = io(io::ErrorKind::StaleNetworkFileHandle).for_task("hr");
        assert_eq!((error.code(), error.subject()), (Code::Timeout, Subject::Connection));
    }

    #[test]
    fn damaged_file_fails_listings_and_holds_tasks() {
        let damaged = || Error::damaged("accounts.csv", 7, "a quote is never closed");
        assert_eq!(damaged().for_listing("hr").retry(), Retry::Never);
        let error = damaged().for_task("hr");
        assert_eq!((error.retry(), error.subject()), (Retry::Backoff, Subject::Connection));
        assert_eq!(error.message(), "hr: accounts.csv line 7: a quote is never closed");
    }

    #[test]
    fn only_an_unconfirmed_write_has_an_unknown_effect() {
        let path = PathBuf::from("accounts.csv");
        let unconfirmed = Error::Unconfirmed { path: path.clone(), source: io::ErrorKind::Other.into() };
        assert_eq!(unconfirmed.for_task("hr").effect(), Effect::Unknown);
        let locked = Error::Locked { path }.for_task("hr");
        assert_eq!((locked.effect(), locked.retry()), (Effect::NotApplied, Retry::Backoff));
    }
}
