//! Ensures that there is only one writer at a time, also among processes: an advisory lock on a file in the folder.
//!
//! Scripts that write to the folder take the same lock: `flock people/.bridgehead-lock -c '…'`.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::Instant;

use crate::error::Error;

/// The file that is locked; it stays in the folder, and is always empty.
pub(crate) const LOCK_FILE: &str = ".bridgehead-lock";

/// How long to wait for another process. Rewriting a large file takes seconds; after that, the runtime decides when to
/// retry.
const PATIENCE: Duration = Duration::from_secs(5);

const LOOK_AGAIN: Duration = Duration::from_millis(25);

/// Takes the lock. It is released when the file is dropped.
pub(crate) async fn acquire(folder: &Path) -> Result<File, Error> {
    let path = folder.join(LOCK_FILE);
    let mut file = open(path.clone()).await?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        match file.try_lock() {
            Ok(()) if is_still_at(&file, &path) => return Ok(file),
            // It was removed or replaced meanwhile: the next process would lock another file.
            Ok(()) if Instant::now() < deadline => file = open(path.clone()).await?,
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
            Ok(()) | Err(TryLockError::WouldBlock) => return Err(Error::Locked { path }),
            Err(TryLockError::Error(error)) => return Err(Error::io("lock", path, error)),
        }
    }
}

fn is_still_at(file: &File, path: &Path) -> bool {
    let (Ok(ours), Ok(there)) = (file.metadata(), std::fs::symlink_metadata(path)) else { return false };
    (ours.dev(), ours.ino()) == (there.dev(), there.ino())
}

async fn open(path: PathBuf) -> Result<File, Error> {
    let opened = tokio::task::spawn_blocking(move || {
        // Opened for writing, because some network file systems grant exclusive locks only to writers.
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        // A link could lead to a file of another program.
        options.custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed());
        let file = options.open(&path);
        file.map_err(|error| Error::io("open", path, error))
    });
    opened.await.unwrap_or_else(|error| Err(Error::io("open", LOCK_FILE, std::io::Error::other(error))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn lock_times_out_while_held_and_succeeds_when_free() {
        let folder = tempfile::tempdir().unwrap();
        let held = acquire(folder.path()).await.unwrap();
        let error = acquire(folder.path()).await.unwrap_err();
        assert!(matches!(error, Error::Locked { .. }), "{error}");
        drop(held);
        acquire(folder.path()).await.unwrap();
    }
}
