//! Checks that the state is still in place while a process has it open.
//!
//! A file that was removed or replaced stays usable through its old descriptor: all writes would seem to succeed, but be lost when the
//! process ends. So the paths are checked before and after each commit: they must still refer to the opened files.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::super::{Error, Loss};
use super::files::{Identity, LISTINGS, TASKS};
use super::lock::{self, Lock};
use super::witness::{Database, Witness};

/// The files that a process has open, and the lock.
#[derive(Debug)]
pub(super) struct Custody {
    lock: Lock,
    pieces: Vec<Piece>,
    pub(super) witness: Witness,
    /// Why nothing may be written any more. Once lost, state is not trusted again by the same process, even if it reappears: another
    /// process may have used it.
    lost: OnceLock<Loss>,
}

#[derive(Debug)]
struct Piece {
    name: &'static str,
    path: PathBuf,
    identity: Identity,
    /// The minimum length: databases never shrink.
    length: u64,
}

impl Custody {
    /// Starts checking a folder whose databases have these identities. Fails if one of them does not exist.
    pub(super) fn begin(lock: Lock, databases: [Identity; 2], witness: Witness) -> Result<Self, Error> {
        let folder = lock.folder.path.clone();
        let failed = |error| Error::from_io(&folder, error);
        let [tasks, listings] = databases;
        let own = Identity::from(&lock.folder.directory.metadata().map_err(failed)?);
        let locked = Identity::from(&lock.file.metadata().map_err(failed)?);
        let piece = |name, identity, path: PathBuf| -> io::Result<Piece> {
            let length = if matches!(name, TASKS | LISTINGS) { path.symlink_metadata()?.len() } else { 0 };
            Ok(Piece { name, path, identity, length })
        };
        let pieces = || -> io::Result<Vec<Piece>> {
            Ok(vec![
                piece("the folder itself", own, folder.clone())?,
                piece(lock::FILE, locked, folder.join(lock::FILE))?,
                piece(TASKS, tasks, folder.join(TASKS))?,
                piece(LISTINGS, listings, folder.join(LISTINGS))?,
            ])
        };
        let pieces = pieces().map_err(failed)?;
        let custody = Self { lock, pieces, witness, lost: OnceLock::new() };
        custody.verify()?;
        Ok(custody)
    }

    pub(super) fn folder(&self) -> &Path {
        &self.lock.folder.path
    }

    /// Returns [`Error::NotOurs`] if a file is not in place, or was not at any earlier check.
    pub(super) fn verify(&self) -> Result<(), Error> {
        if let Some(loss) = self.lost.get() {
            return Err(self.error(*loss));
        }
        for piece in &self.pieces {
            // The folder may be reached through a link, as set up by systemd; the files in it may not.
            let is_folder = piece.path == self.folder();
            let found = if is_folder { piece.path.metadata() } else { piece.path.symlink_metadata() };
            let loss = match found {
                Ok(metadata) if Identity::from(&metadata) != piece.identity => Loss::Replaced(piece.name),
                Ok(metadata) if !is_folder && metadata.len() < piece.length => Loss::Cut(piece.name),
                Ok(_) => continue,
                Err(error) if is_absence(&error) => Loss::Gone(piece.name),
                // The state is unknown, so nothing is written; the next check may succeed.
                Err(error) => return Err(Error::from_io(self.folder(), error)),
            };
            return Err(self.lose(loss));
        }
        Ok(())
    }

    /// Blocks all further writes.
    pub(super) fn lose(&self, loss: Loss) -> Error {
        if self.lost.set(loss).is_ok() {
            tracing::error!("{}", self.error(loss));
        }
        self.error(*self.lost.get_or_init(|| loss))
    }

    pub(super) fn is_lost(&self) -> bool {
        self.lost.get().is_some()
    }

    fn error(&self, loss: Loss) -> Error {
        Error::NotOurs { folder: self.folder().to_owned(), loss }
    }
}

fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

impl Database {
    pub(super) fn file(self) -> &'static str {
        match self {
            Self::Tasks => TASKS,
            Self::Snapshots => LISTINGS,
        }
    }

    /// The name of the write-ahead log.
    pub(super) fn log(self) -> &'static str {
        match self {
            Self::Tasks => "tasks.db-wal",
            Self::Snapshots => "listings.db-wal",
        }
    }
}
