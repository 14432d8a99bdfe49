//! What every state promises, whatever it is kept in.

mod doubts;
mod holds;
mod listings;
mod listings_model;
pub(super) mod losses;
mod model;
mod tasks;

use std::path::Path;

use bridgehead_sdk::{Code, TaskId};
use jiff::Timestamp;
use serde_json::json;
use tempfile::TempDir;

use super::{AppKey, Intent, Outcome, PriorAccount, Seen, Sqlite};

pub(super) fn app(number: u128) -> AppKey {
    uuid::Uuid::from_u128(number).into()
}

pub(super) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

pub(super) fn intent(task: &str, attempt: u32, second: i64) -> Intent {
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

pub(super) fn completed(account: &str) -> Outcome {
    let result = json!({"account_id": account}).as_object().cloned();
    Outcome::Completed { result }
}

pub(super) fn failed(message: &str) -> Outcome {
    Outcome::Failed { code: Code::AccountNotFound, message: message.to_owned() }
}

pub(super) fn seen(id: &str, hash: u64) -> Seen {
    Seen { id: id.to_owned(), hash, facts: None }
}

pub(super) fn temporary() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// State that is thrown away and does not wait for the disk.
pub(super) async fn fleeting() -> Sqlite {
    Sqlite::rehearsal(Path::new("/nonexistent")).await.unwrap()
}
