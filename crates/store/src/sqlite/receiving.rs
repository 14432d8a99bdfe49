//! Folders that state is moved from, and folders that receive it.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use bridgehead_resilience::{Clock, SystemClock};

use super::super::Error;
use super::files::{self, Folder, Guest, LISTINGS, TASKS};
use super::given_up::{MARK, Mark};
use super::lock::Lock;
use super::witness;

/// The subfolder in which moved state is assembled.
const WORKSHOP: &str = "moving";

/// Marks a folder. The caller has the lock.
pub(crate) fn set_mark(path: &Path, mark: &Mark) -> Result<(), Error> {
    let failed = |error| Error::from_io(path, error);
    let folder = open(path)?;
    let mut file = folder.open_private(MARK)?;
    file.set_len(0).map_err(failed)?;
    writeln!(file, "{}\n{}", mark.identity, mark.place).and_then(|()| file.sync_all()).map_err(failed)?;
    folder.directory.sync_all().map_err(failed)
}

/// Removes the mark.
pub(crate) fn remove_mark(path: &Path) -> Result<(), Error> {
    match std::fs::remove_file(path.join(MARK)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::from_io(path, error)),
        _ => open(path)?.directory.sync_all().map_err(|error| Error::from_io(path, error)),
    }
}

/// Moves the remaining files of moved state into a subfolder. `None` if there are none.
pub(crate) fn put_aside(path: &Path) -> Result<Option<PathBuf>, Error> {
    let lock = Lock::take(open(path)?)?;
    // It is about a database that this one replaces.
    match std::fs::remove_file(path.join(witness::OF_DATABASE)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(Error::from_io(path, error)),
        _ => {}
    }
    let now = SystemClock.now().strftime("%Y%m%dT%H%M%SZ").to_string();
    lock.folder.move_aside(&format!("moved-{now}"))
}

fn open(path: &Path) -> Result<Folder, Error> {
    files::prepare(path, Guest::Helper)?.ok_or_else(|| Error::from_io(path, io::ErrorKind::NotFound.into()))
}

/// A locked folder without state that will receive some.
#[derive(Debug)]
pub(crate) struct Receiving {
    lock: Lock,
}

impl Receiving {
    /// Locks a folder without state, and creates it if necessary.
    pub(crate) fn prepare(path: &Path) -> Result<Self, Error> {
        let lock = Lock::take(open(path)?)?;
        let has_state = path.join(TASKS).symlink_metadata().is_ok_and(|found| found.len() > 0);
        if has_state {
            return Err(Error::Backup {
                path: path.to_owned(),
                problem:
                    "this folder already contains state, so nothing was moved; set state.path to another \
                          folder"
                        .to_owned(),
            });
        }
        // Left behind by an interrupted move.
        match std::fs::remove_dir_all(path.join(WORKSHOP)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::from_io(path, error)),
            _ => Ok(Self { lock }),
        }
    }

    /// The subfolder in which the state is assembled.
    pub(crate) fn workshop(&self) -> PathBuf {
        self.lock.folder.path.join(WORKSHOP)
    }

    /// Moves the finished state to its final place.
    pub(crate) fn finish(self) -> Result<(), Error> {
        let (path, workshop) = (self.lock.folder.path.clone(), self.workshop());
        let failed = |error| Error::from_io(&path, error);
        // The witness first: an older one must never be next to the new state.
        for name in [witness::FILE, LISTINGS, TASKS] {
            std::fs::rename(workshop.join(name), path.join(name)).map_err(failed)?;
        }
        self.lock.folder.directory.sync_all().map_err(failed)?;
        std::fs::remove_dir_all(&workshop).map_err(failed)?;
        remove_mark(&path)
    }
}
