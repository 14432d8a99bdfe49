//! Exposes decisions about untrusted network input to the fuzz targets. Not part of the library's public interface.

use serde_json::Value;

use super::task::account_queues;

/// The keys of the account queues that a task belongs to.
pub fn account_keys(task: &str, payload: &Value) -> Vec<u64> {
    account_queues::keys_of(&task.into(), payload)
}
