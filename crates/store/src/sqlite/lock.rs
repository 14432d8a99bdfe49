//! Allows only one process per folder.
//!
//! Both the folder itself and a file in it are locked. The file contains the id of the process, and is what earlier versions lock; the lock
//! on the folder holds even if a user removes the file as a leftover.

use std::fs::{File, TryLockError};
use std::io::{self, Read, Seek, Write};

use super::super::Error;
use super::files::Folder;

/// The lock file. It is not removed when the lock is released; only the lock on it counts.
pub(super) const FILE: &str = "lock";

/// The maximum number of digits of a pid.
const LONGEST_PID: u64 = 20;

/// The lock on a folder, released when the last writer drops it. The operating system releases it whenever the process ends.
#[derive(Debug)]
pub(crate) struct Lock {
    pub(crate) folder: Folder,
    pub(super) file: File,
}

impl Lock {
    /// Takes the lock, or returns the process that holds it.
    pub(crate) fn take(folder: Folder) -> Result<Self, Error> {
        let locked = |mut file: File| Error::Locked { pid: holder(&mut file), folder: folder.path.clone() };
        match folder.directory.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                // Do not create anything in another user's folder.
                let path = folder.path.join(FILE);
                let is_file = path.symlink_metadata().is_ok_and(|metadata| metadata.is_file());
                let file = is_file.then(|| File::open(path).ok()).flatten();
                return Err(file.map_or(Error::Locked { pid: None, folder: folder.path.clone() }, locked));
            }
            Err(TryLockError::Error(error)) => {
                // Some network file systems cannot lock folders. The lock file remains, and the journal records its owner.
                tracing::debug!(%error, "the state folder itself cannot be locked");
            }
        }
        let mut file = folder.open_private(FILE)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(locked(file)),
            Err(TryLockError::Error(error)) => return Err(Error::from_io(&folder.path, error)),
        }
        sign(&mut file).map_err(|error| Error::from_io(&folder.path, error))?;
        Ok(Self { folder, file })
    }
}

fn sign(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

fn holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(LONGEST_PID).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}
