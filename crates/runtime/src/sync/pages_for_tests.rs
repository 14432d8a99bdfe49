//! What a sync does with a page of records, for counting its instructions.

use std::collections::BTreeMap;

use bridgehead_sdk::{Record, ResourceKind, ResourceType};

use super::prepared::{Prepared, Preparing};
use super::validate;
use bridgehead_bridge::{Refs, WireRecord};
use bridgehead_store::RecordHash;

fn prepared(
    records: Vec<Record>,
    of: &ResourceType,
    kinds: Option<&BTreeMap<String, ResourceKind>>,
) -> Vec<Prepared> {
    let mut page = Preparing::new(Refs::Id, records.len());
    for record in records {
        if let Some(kinds) = kinds {
            validate::check(&record, of, kinds).unwrap();
        }
        page.add(record).unwrap();
    }
    page.finish()
}

/// From what a connector gives to what is pushed, with what the listing keeps.
pub(crate) fn prepare(
    records: Vec<Record>,
    of: &ResourceType,
    kinds: &BTreeMap<String, ResourceKind>,
) -> Vec<WireRecord> {
    let prepared = prepared(records, of, Some(kinds));
    let seen: Vec<RecordHash> = prepared.iter().map(Prepared::seen).collect();
    assert_eq!(seen.len(), prepared.len());
    prepared.into_iter().map(Prepared::into_wire).collect()
}

/// What the listing keeps.
pub(crate) fn seen(records: Vec<Record>, of: &ResourceType) -> Vec<RecordHash> {
    prepared(records, of, None).iter().map(Prepared::seen).collect()
}
