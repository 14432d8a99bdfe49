//! Errors of durable state.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bridgehead_sdk::TaskId;

use super::{AppKey, Distrust, Loss};

/// Why the state could not be read or written.
///
/// It is `Clone` because writes that share a commit share its failure.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// Another process uses this folder. The operator must stop one of them. A second folder does not help: two daemons that serve the same
    /// app would execute every task twice.
    #[error(
        "the state folder {} is in use by another bridgehead{}; stop that one first. Run one daemon per \
         app: a second daemon with a different state folder would execute every task twice",
        folder.display(), process(*pid)
    )]
    Locked {
        /// The process that holds the lock, if it could be read.
        pid: Option<u32>,
        /// The folder.
        folder: PathBuf,
    },
    /// The folder cannot be created or used. The operator must repair it.
    #[error("cannot use the state folder {}: {source}; check state.path and its permissions", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// The operating system's error.
        #[source]
        source: Arc<std::io::Error>,
    },
    /// Other users can access the state, and the permissions could not be fixed. The operator must change them.
    #[error(
        "the state folder {} is accessible to other users (mode {mode:04o}) and {why}; set state.path to a \
         folder that contains nothing else, with mode 0700. If bridgehead has used this folder before, stop \
         bridgehead and move its files to the new one",
        path.display()
    )]
    Permissions {
        /// The folder.
        path: PathBuf,
        /// The permission bits.
        mode: u32,
        /// Why they were not fixed.
        why: String,
    },
    /// Other users may have access to a file or to the folder. The operator must find out why.
    #[error("{} {why}", path.display())]
    Untrusted {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong with it.
        why: Distrust,
    },
    /// The state that this process opened was removed or replaced. No task is executed and no sync runs until the operator has found out
    /// what happened and restarts the daemon.
    #[error(
        "the state folder {} no longer belongs to this daemon: {loss}. No task is executed. Stop this \
         daemon, restore the state if you can, make sure that no other bridgehead serves the same apps, \
         then start it again",
        folder.display()
    )]
    NotOurs {
        /// The folder.
        folder: PathBuf,
        /// What happened to it.
        loss: Loss,
    },
    /// A newer bridgehead wrote this state. The operator must start that version again; going back is not possible without losing its data.
    #[error(
        "{} was written by a newer bridgehead (format version {found}; this one supports {known}); install \
         the newer version again",
        path.display()
    )]
    TooNew {
        /// The database file.
        path: PathBuf,
        /// The version found.
        found: i64,
        /// The newest version that this program supports.
        known: i64,
    },
    /// The database is damaged. The operator must restore it from a backup, or move the file away and check the pending tasks in Iden
    /// manually.
    #[error(
        "the database {} is damaged ({detail}); restore a backup with `bridgehead state restore DIR`, or check in \
         Iden which tasks were running, then move the file away",
        path.display()
    )]
    Corrupt {
        /// The database file.
        path: PathBuf,
        /// The problem that SQLite reported.
        detail: String,
    },
    /// A backup cannot be created there, or the folder contains none. The operator must specify another folder.
    #[error("{}: {problem}", path.display())]
    Backup {
        /// The folder.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// The disk is full. The operator must free space; the runtime retries.
    #[error("no space left for {}; free space on that disk (see `df` and `df -i`)", path.display())]
    Full {
        /// The database file or folder.
        path: PathBuf,
    },
    /// The disk is read-only. The operator must mount it read-write or grant the daemon write access.
    #[error("{} cannot be written: the file system or the file is read-only; make it writable", path.display())]
    ReadOnly {
        /// The database file or folder.
        path: PathBuf,
    },
    /// The task has an outcome, so it must not be executed again. The runtime drops the task.
    #[error("task {task} already has an outcome; it is not executed or decided again")]
    AlreadyDecided {
        /// The task.
        task: TaskId,
    },
    /// A report ended, but the journal has no outcome for it: a bug in the runtime, which logs it.
    #[error("task {task} has no outcome in the journal, so its report cannot be finished")]
    NotDecided {
        /// The task.
        task: TaskId,
    },
    /// No snapshot of this app is in progress, so nothing can be added to it, compared or committed. The runtime starts the sync over.
    #[error("no listing of app {app} is in progress; begin one first")]
    NoListing {
        /// The app.
        app: AppKey,
    },
    /// This version cannot read a row. Nothing is executed based on it; the operator must install the version that wrote it, or restore a
    /// backup.
    #[error(
        "{what} cannot be read: {detail}; install the version of bridgehead that wrote it, or restore a backup"
    )]
    Unreadable {
        /// The task, snapshot or run.
        what: String,
        /// The problem. Never contains the value itself.
        detail: String,
    },
    /// The state is closed, or its writer has stopped. A write in progress may or may not be on disk. The runtime opens the state again.
    #[error("the state is closed; open it again")]
    Closed,
    /// This node does not own the app, or its lease is about to end. Nothing is executed for the app here; the node that owns it
    /// does that.
    #[error("this node does not own app {app}, or its lease has ended; nothing is executed for the app here")]
    Fenced {
        /// The app.
        app: AppKey,
    },
    /// Another node owns the state. The operator stops it, or waits: a node that has died loses its lease.
    #[error(
        "the state in {place} belongs to node {node}, whose lease lasts for another {} s; stop that node, or wait until \
         its lease has ended",
        lasts_for.as_secs() + 1
    )]
    Owned {
        /// The server and the database.
        place: String,
        /// The name of the node.
        node: String,
        /// For how long.
        lasts_for: std::time::Duration,
    },
    /// The state was moved elsewhere, where it goes on. The operator sets the place, or moves it back.
    #[error(
        "the state in {from} was moved to {to} with `bridgehead state migrate`, and goes on there; set state.url or state.path \
         accordingly, or move it back"
    )]
    Moved {
        /// Where it was.
        from: String,
        /// Where it is.
        to: String,
    },
    /// The configuration names a database, but the folder contains state. The operator must move it or delete it.
    #[error(
        "the folder {} contains state (tasks.db), but state.url is set to a database; move the state there with `bridgehead \
         state migrate --to url`. Delete tasks.db and listings.db only if you no longer need this state",
        folder.display()
    )]
    Unmoved {
        /// The folder.
        folder: PathBuf,
    },
    /// The database cannot hold state. The operator changes its settings or names another one.
    #[error("{place} cannot hold the state: {problem}")]
    Unfit {
        /// The server and the database.
        place: String,
        /// What is wrong, and what to do.
        problem: String,
    },
    /// The database is a replica. It is promoted in a failover, or the operator names the primary; the runtime retries.
    #[error("the state database {place} is a standby, which is read-only; use the primary")]
    Standby {
        /// The server and the database.
        place: String,
    },
    /// PostgreSQL cannot be reached or has failed. The operator reads the cause; the runtime retries.
    #[error("the state database {place} failed: {source}")]
    Postgres {
        /// The server and the database.
        place: String,
        /// What the database said. It never names a value.
        #[source]
        source: Arc<sqlx::Error>,
    },
    /// Any other SQLite error. The operator must read the cause; the runtime retries.
    #[error("the database {} failed: {source}", path.display())]
    Database {
        /// The database file.
        path: PathBuf,
        /// The database error. It never contains a value.
        #[source]
        source: Arc<sqlx::Error>,
    },
}

/// Primary SQLite result codes with a separate variant.
mod code {
    pub(super) const READ_ONLY: u32 = 8;
    pub(super) const CORRUPT: u32 = 11;
    pub(super) const FULL: u32 = 13;
    pub(super) const CANNOT_OPEN: u32 = 14;
    pub(super) const NOT_A_DATABASE: u32 = 26;
    /// An extended code: the index of the write-ahead log cannot grow, which is how SQLite reports a full disk in that case.
    pub(super) const NO_ROOM_FOR_INDEX: u32 = 0x130a;
}

impl Error {
    /// Whether the same may work later, without anybody having changed anything here: there is room again, the database is back, the
    /// lease of another node has ended, the standby is promoted.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Full { .. } | Self::Owned { .. } | Self::Standby { .. } => true,
            Self::Postgres { source, .. } => is_away(source),
            _ => false,
        }
    }

    /// When that is to be expected, where it is known.
    pub fn passes_in(&self) -> Option<std::time::Duration> {
        match self {
            Self::Owned { lasts_for, .. } => Some((*lasts_for).max(std::time::Duration::from_millis(100))),
            _ => None,
        }
    }

    /// Converts an error of the database at `path`.
    pub(super) fn from_database(path: &Path, error: sqlx::Error) -> Self {
        let path = path.to_owned();
        let extended = extended_code(&error);
        // The primary code is the lowest byte of the extended code that sqlx returns.
        match (&error, extended.map(|code| code & 0xff)) {
            (_, Some(code::FULL)) => Self::Full { path },
            _ if extended == Some(code::NO_ROOM_FOR_INDEX) => Self::Full { path },
            // SQLite does not say why it could not create a file next to the database.
            (_, Some(code::CANNOT_OPEN)) if has_no_room(&path) => Self::Full { path },
            (_, Some(code::READ_ONLY)) => Self::ReadOnly { path },
            (_, Some(code::CORRUPT | code::NOT_A_DATABASE)) => {
                Self::Corrupt { path, detail: error.to_string() }
            }
            (sqlx::Error::PoolClosed, _) => Self::Closed,
            _ => Self::Database { path, source: Arc::new(error) },
        }
    }

    /// Converts an operating system error for the folder at `path`.
    pub(super) fn from_io(path: &Path, error: std::io::Error) -> Self {
        let path = path.to_owned();
        match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Self::Full { path },
            std::io::ErrorKind::ReadOnlyFilesystem => Self::ReadOnly { path },
            _ => Self::Folder { folder: path, source: Arc::new(error) },
        }
    }
}

/// Whether the file system of this file has no free block, or no free inode for another file.
fn has_no_room(path: &Path) -> bool {
    let folder = path.parent().unwrap_or(path);
    // Some file systems do not count inodes: they report none at all.
    rustix::fs::statvfs(folder)
        .is_ok_and(|found| found.f_bavail == 0 || (found.f_files > 0 && found.f_favail == 0))
}

/// Whether a server cannot be reached, or cannot serve anybody now. What it says of this client in particular stays true.
fn is_away(error: &sqlx::Error) -> bool {
    /// Connections, resources, and what an operator does to the server.
    const CLASSES: [&str; 3] = ["08", "53", "57"];
    match error {
        sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::Protocol(_) => true,
        sqlx::Error::Database(error) => {
            error.code().is_some_and(|code| CLASSES.iter().any(|class| code.starts_with(class)))
        }
        _ => false,
    }
}

fn process(pid: Option<u32>) -> String {
    pid.map_or_else(String::new, |pid| format!(" (process {pid})"))
}

fn extended_code(error: &sqlx::Error) -> Option<u32> {
    error.as_database_error()?.code()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use super::*;

    #[test]
    fn full_disk_and_read_only_file_system_have_distinct_errors() {
        let folder = Path::new("/state");
        let full = Error::from_io(folder, ErrorKind::StorageFull.into());
        assert!(matches!(full, Error::Full { .. }), "{full:?}");
        let read_only = Error::from_io(folder, ErrorKind::ReadOnlyFilesystem.into());
        assert!(matches!(read_only, Error::ReadOnly { .. }), "{read_only:?}");
        let other = Error::from_io(folder, ErrorKind::PermissionDenied.into());
        assert!(matches!(other, Error::Folder { .. }), "{other:?}");
    }

    #[test]
    fn lock_error_names_the_process_and_folder() {
        let error = Error::Locked { pid: Some(4711), folder: "/var/lib/bridgehead".into() };
        let text = error.to_string();
        assert!(text.contains("(process 4711)") && text.contains("/var/lib/bridgehead"), "{text}");
    }

    #[test]
    fn lock_error_does_not_suggest_another_state_folder() {
        let text = Error::Locked { pid: None, folder: "/var/lib/bridgehead".into() }.to_string();
        assert!(text.contains("stop that one") && text.contains("would execute every task twice"), "{text}");
        assert!(!text.contains("state.path"), "{text}");
    }
}
