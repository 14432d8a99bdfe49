//! Decisions of the runtime about what came over the network. For the fuzz targets alone; nothing here is part of the
//! library's interface.

use serde_json::Value;

use super::task::account_queues;

/// The keys of the lanes that a task takes.
pub fn lane_keys(task: &str, payload: &Value) -> Vec<u64> {
    account_queues::keys_of(&task.into(), payload)
}
