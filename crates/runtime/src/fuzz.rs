//! Exposes decisions about untrusted network input to the fuzz targets, and parts to the benchmarks. Not part of the library's public
//! interface.

use std::collections::BTreeMap;

use bridgehead_bridge::WireRecord;
use bridgehead_sdk::{Record, ResourceKind, ResourceType};
use bridgehead_store::RecordHash;
use serde_json::Value;

use super::sync::pages;

use super::task::account_queues;

/// The keys of the account queues that a task belongs to.
pub fn account_keys(task: &str, payload: &Value) -> Vec<u64> {
    account_queues::keys_of(&task.into(), payload)
}

/// What a sync makes of a page of records: what is pushed, and what the snapshot keeps.
pub fn prepared_page(
    records: Vec<Record>,
    of: &ResourceType,
    kinds: &BTreeMap<String, ResourceKind>,
) -> Result<(Vec<WireRecord>, Vec<RecordHash>), String> {
    pages::prepare(records, of, kinds)
}
