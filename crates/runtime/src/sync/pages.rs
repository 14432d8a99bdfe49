//! What a sync does with a page of records, for measuring it.

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
) -> Result<Vec<Prepared>, String> {
    let mut page = Preparing::new(Refs::Id, records.len());
    for record in records {
        if let Some(kinds) = kinds {
            validate::check(&record, of, kinds).map_err(|error| format!("{error:?}"))?;
        }
        page.add(record).map_err(|error| format!("{error:?}"))?;
    }
    Ok(page.finish())
}

/// From what a connector gives to what is pushed, and what the listing keeps.
pub(crate) fn prepare(
    records: Vec<Record>,
    of: &ResourceType,
    kinds: &BTreeMap<String, ResourceKind>,
) -> Result<(Vec<WireRecord>, Vec<RecordHash>), String> {
    let prepared = prepared(records, of, Some(kinds))?;
    let seen = prepared.iter().map(Prepared::seen).collect();
    Ok((prepared.into_iter().map(Prepared::into_wire).collect(), seen))
}

/// What the listing keeps.
#[cfg(test)]
pub(crate) fn seen(records: Vec<Record>, of: &ResourceType) -> Result<Vec<RecordHash>, String> {
    Ok(prepared(records, of, None)?.iter().map(Prepared::seen).collect())
}
