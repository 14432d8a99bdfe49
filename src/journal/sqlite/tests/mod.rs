//! Tests of the state as a whole, against real files.

mod custody;
mod erasure;
mod folder;
mod format;
mod holds;
mod lineage;
mod listings;
mod listings_model;
mod losses;
mod model;
mod reading;
mod rehearsal;
mod scale;
mod tasks;
mod writer;

use std::path::Path;
use std::time::Duration;

use bridgehead_sdk::{Code, TaskId};
use jiff::Timestamp;
use serde_json::json;
use tempfile::TempDir;

use super::super::{AppKey, Intent, Outcome, PriorAccount, Seen};
use super::Sqlite;

fn app(number: u128) -> AppKey {
    uuid::Uuid::from_u128(number).into()
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn intent(task: &str, attempt: u32, second: i64) -> Intent {
    Intent {
        task: TaskId::from(task),
        action: "create_account".to_owned(),
        created_at: Some(at(1_000)),
        keys: vec![7, u64::MAX],
        attempt,
        prior: PriorAccount::Absent,
        at: at(second),
    }
}

fn completed(account: &str) -> Outcome {
    let result = json!({"account_id": account}).as_object().cloned();
    Outcome::Completed { result }
}

fn failed(message: &str) -> Outcome {
    Outcome::Failed { code: Code::AccountNotFound, message: message.to_owned() }
}

fn seen(id: &str, hash: u64) -> Seen {
    Seen { id: id.to_owned(), hash, facts: None }
}

fn temporary() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// State that is thrown away and does not wait for the disk.
async fn fleeting() -> Sqlite {
    Sqlite::rehearsal(Path::new("/nonexistent")).await.unwrap()
}

/// Waits for what happens a moment later, for as long as a slow machine may need.
async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    for _ in 0..3000 {
        if let Some(found) = look().await {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{what} did not happen");
}

/// Waits until what is tidied up after opening is done: from then on, files change by writes alone.
async fn at_rest(folder: &Path) {
    let log = folder.join("tasks.db-wal");
    eventually("emptying the log", async || (std::fs::metadata(&log).ok()?.len() == 0).then_some(())).await;
}

/// Copies every file of a folder, as a crash would leave it.
fn copy_folder(from: &Path, to: &Path) {
    for file in std::fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}
