//! Converts cells to the records of a listing.

use bridgehead_sdk::{
    AccountRecord, AccountStatus, EntityRecord, Memberships, Record, RejectedRecord, ResourceKind, folded,
};

use serde_json::{Map, Value};

use crate::layout::{Layout, TypeFile};
use crate::schema::{Cells, Fault, Schema};
use crate::secrets::{is_secret, without_secrets};
use crate::settings::{OWN_FIELDS, PASSWORD_CHANGED_AT};

/// The record of a row.
pub(crate) fn record(
    layout: &Layout,
    of: &TypeFile,
    schema: &Schema,
    cells: &Cells,
) -> Result<Record, Fault> {
    match of.kind() {
        ResourceKind::Account => account(layout, schema, cells).map(Record::from),
        ResourceKind::Group | ResourceKind::License => entity(schema, cells).map(Record::from),
    }
}

/// The account of a row.
pub(crate) fn account(layout: &Layout, schema: &Schema, cells: &Cells) -> Result<AccountRecord, Fault> {
    let mut record = identity(schema, cells)?;
    let text = |name: &str| Ok(schema.text(cells, name)?.map(std::borrow::Cow::into_owned));
    record.first_name = text("first_name")?;
    record.last_name = text("last_name")?;
    record.display_name = text("display_name")?;
    if let Some(status) = text("status")? {
        record.status = AccountStatus::from_name(&status.to_lowercase())
            .ok_or_else(|| Fault::new("status", "active, inactive or suspended, or empty for active"))?;
    }
    for reserved in ["memberships", "assignments"] {
        if schema.names().iter().any(|name| name == reserved) || schema.text(cells, reserved).is_err() {
            return Err(Fault::new(reserved, "omitted: each resource type has its own column"));
        }
    }
    for other in layout.others.iter().filter(|other| schema.has(other.slug())) {
        let refs = schema.refs(cells, other.slug())?;
        if refs.is_empty() {
            continue;
        }
        let Memberships(map) = match other.kind() {
            ResourceKind::License => &mut record.assignments,
            _ => &mut record.memberships,
        };
        map.insert(other.resource_type.slug.clone(), refs);
    }
    let others: Vec<&str> = layout.others.iter().map(TypeFile::slug).collect();
    well_written(cells, OWN_FIELDS.iter().chain(&others))?;
    record.extra = schema.rest(cells, |name| {
        (OWN_FIELDS.contains(&name) && name != PASSWORD_CHANGED_AT)
            || is_secret(name)
            || layout.others.iter().any(|other| other.slug() == name)
    });
    keep_secrets_in(&mut record.extra);
    Ok(record)
}

/// The field that a column is meant to be, if its name differs only in case: after a spreadsheet has changed the header, everybody would
/// seem to be active, or in no group. Not if the file `has` that field as well.
pub(crate) fn misspelled<'a>(
    layout: &'a Layout,
    of: &TypeFile,
    column: &str,
    has: impl Fn(&str) -> bool,
) -> Option<&'a str> {
    let own = if of.kind() == ResourceKind::Account { &OWN_FIELDS[..] } else { &["id", "name"] };
    let others = layout.others.iter().filter(|_| of.kind() == ResourceKind::Account);
    let known: Vec<&str> = own.iter().copied().chain(others.map(TypeFile::slug)).collect();
    meant(&known, column, has)
}

fn meant<'a>(known: &[&'a str], column: &str, has: impl Fn(&str) -> bool) -> Option<&'a str> {
    if known.contains(&column) {
        return None;
    }
    known.iter().copied().find(|known| folded(known) == folded(column) && !has(known))
}

/// Checks that a row that names its fields writes these as bridgehead does.
fn well_written<'a>(cells: &Cells, known: impl Iterator<Item = &'a &'a str>) -> Result<(), Fault> {
    let Cells::Jsonl(fields) = cells else { return Ok(()) };
    let known: Vec<&str> = known.copied().collect();
    let has = |known: &str| fields.contains_key(known);
    match fields.keys().find_map(|name| Some((name, meant(&known, name, has)?))) {
        Some((name, known)) => {
            Err(Fault::new(name, format!("written as '{known}', otherwise it would be ignored")))
        }
        None => Ok(()),
    }
}

/// Removes secrets from inside fields that are not secrets themselves.
fn keep_secrets_in(extra: &mut Map<String, Value>) {
    for value in extra.values_mut() {
        *value = without_secrets(value.take());
    }
}

/// Only the part of an account that identifies it.
pub(crate) fn identity(schema: &Schema, cells: &Cells) -> Result<AccountRecord, Fault> {
    well_written(cells, ["id", "email", "username"].iter())?;
    let text = |name: &str| Ok(schema.text(cells, name)?.map(std::borrow::Cow::into_owned));
    let id = text("id")?.ok_or_else(|| Fault::new("id", "non-empty text"))?;
    let mut record = AccountRecord::new(id);
    record.email = text("email")?;
    record.username = text("username")?;
    Ok(record)
}

fn entity(schema: &Schema, cells: &Cells) -> Result<EntityRecord, Fault> {
    let missing = |name: &str| Fault::new(name, "non-empty text");
    let id = schema.text(cells, "id")?.ok_or_else(|| missing("id"))?;
    let name = schema.text(cells, "name")?.ok_or_else(|| missing("name"))?;
    let mut record = EntityRecord::new(id, name);
    record.extra = schema.rest(cells, |name| matches!(name, "id" | "name") || is_secret(name));
    keep_secrets_in(&mut record.extra);
    Ok(record)
}

/// An invalid row as it is reported: by its identifier if it has one, and always with its line.
pub(crate) fn rejected(file: &str, line: u64, id: Option<&str>, fault: Fault) -> RejectedRecord {
    let place = format!("{file} line {line}");
    match id {
        Some(id) => RejectedRecord::new(id.to_owned(), fault.field, format!("{} ({place})", fault.rule)),
        None => RejectedRecord::new(place, fault.field, fault.rule),
    }
}
