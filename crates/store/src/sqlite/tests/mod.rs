//! Tests of the state as a whole, against real files.

mod custody;
mod folder;
mod format;
mod grouped;
mod lineage;
mod losses;
mod read_only_copy;
mod reading;
mod runs;
mod scale;
mod secure_delete;
mod snapshots;
mod tasks;
mod writer;

use std::path::Path;
use std::time::Duration;

use bridgehead_sdk::TaskId;
use tempfile::TempDir;

use super::super::contract::{app, at, completed, failed, intent, seen};
use super::Sqlite;

fn temporary() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// State that is discarded and does not wait for the disk.
async fn fleeting() -> Sqlite {
    Sqlite::rehearsal(Path::new("/nonexistent")).await.unwrap()
}

/// Waits for an asynchronous effect, for as long as a slow machine may need.
async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    for _ in 0..3000 {
        if let Some(found) = look().await {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{what} did not happen");
}

/// Waits until maintenance after opening is done: after that, files only change through writes.
async fn at_rest(folder: &Path) {
    let log = folder.join("tasks.db-wal");
    eventually("emptying the log", async || (std::fs::metadata(&log).ok()?.len() == 0).then_some(())).await;
}

/// Copies all files of a folder, as after a crash.
fn copy_folder(from: &Path, to: &Path) {
    for file in std::fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}
