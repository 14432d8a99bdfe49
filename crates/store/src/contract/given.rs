//! Test data.

use bridgehead_sdk::{Code, TaskId};
use jiff::Timestamp;
use serde_json::json;

use super::super::{AppKey, Intent, Outcome, PriorAccount, RecordHash};

pub(crate) fn app(number: u128) -> AppKey {
    uuid::Uuid::from_u128(number).into()
}

pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

pub(crate) fn intent(task: &str, attempt: u32, second: i64) -> Intent {
    Intent {
        task: TaskId::from(task),
        action: "create_account".to_owned(),
        created_at: Some(at(1_000)),
        keys: vec![7, u64::MAX],
        attempt,
        prior: PriorAccount::Absent,
        at: at(second),
        steps: Vec::new(),
    }
}

pub(crate) fn completed(account: &str) -> Outcome {
    let result = json!({"account_id": account}).as_object().cloned();
    Outcome::Completed { result }
}

pub(crate) fn failed(message: &str) -> Outcome {
    Outcome::Failed { code: Code::AccountNotFound, message: message.to_owned() }
}

pub(crate) fn seen(id: &str, hash: u64) -> RecordHash {
    RecordHash { id: id.to_owned(), hash, facts: None }
}
