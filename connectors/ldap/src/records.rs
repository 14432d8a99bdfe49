//! Converts entries to records.

use bridgehead_sdk::{AccountRecord, AccountStatus, EntityRecord, Memberships, Record, RejectedRecord};
use serde_json::Value;

use crate::entry::Entry;
use crate::layout::{GroupLayout, Layout};

/// The maximum number of groups or licenses of one type per account in the Bridge API.
const MOST_REFS: usize = 100;

/// The record of an account with its memberships, which are not part of the entry.
pub(crate) fn account(
    layout: &Layout,
    entry: &Entry,
    (memberships, assignments): (Memberships, Memberships),
) -> Result<AccountRecord, RejectedRecord> {
    let id = identifier(layout, entry)?;
    let rejected =
        |field: &str, rule: &str| RejectedRecord::new(id.clone(), field, format!("{rule} ({})", entry.dn));
    if entry.garbled {
        return Err(rejected("id", "an entry whose name is UTF-8 text; rename the entry"));
    }
    for (of, refs) in [&memberships, &assignments].into_iter().flat_map(|held| &held.0) {
        if refs.len() > MOST_REFS {
            let field = if memberships.0.contains_key(of) { "memberships" } else { "assignments" };
            let key = layout
                .groups
                .iter()
                .find(|group| group.resource_type.slug == *of)
                .map_or("groups", |of| &of.key);
            let rule = format!(
                "at most {MOST_REFS} of one type, not {}; limit the governed groups with {key}.only, \
                 {key}.filter or {key}.base",
                refs.len()
            );
            return Err(rejected(&format!("{field}.{of}"), &rule));
        }
    }
    let mut record = AccountRecord::new(id.as_str());
    for (field, attribute) in &layout.accounts.attributes {
        let slot = match field.as_str() {
            "username" => &mut record.username,
            "email" => &mut record.email,
            "first_name" => &mut record.first_name,
            "last_name" => &mut record.last_name,
            "display_name" => &mut record.display_name,
            _ => {
                let texts: Option<Vec<Value>> =
                    entry.texts(attribute).map(|text| text.map(Value::from)).collect();
                let mut texts = texts.ok_or_else(|| rejected(field, "UTF-8 text"))?;
                match texts.len() {
                    0 => {}
                    1 => {
                        record.extra.insert(field.clone(), texts.remove(0));
                    }
                    _ => {
                        record.extra.insert(field.clone(), Value::Array(texts));
                    }
                }
                continue;
            }
        };
        let value = entry.main_value(attribute).map(|value| String::from_utf8(value.to_vec()));
        *slot = value.transpose().map_err(|_| rejected(field, "UTF-8 text"))?;
    }
    if record.username.is_none() && record.email.is_none() {
        let rule = "present, or else email: every account needs at least one of them";
        return Err(rejected("username", rule));
    }
    record.status = layout.suspension.as_ref().map_or(AccountStatus::Active, |of| of.status(entry));
    record.memberships = memberships;
    record.assignments = assignments;
    Ok(record)
}

/// The record of a group or license.
pub(crate) fn group(layout: &Layout, of: &GroupLayout, entry: &Entry) -> Result<Record, RejectedRecord> {
    let id = identifier(layout, entry)?;
    if entry.garbled {
        let rule = format!("a group whose name is UTF-8 text ({})", entry.dn);
        return Err(RejectedRecord::new(id, "id", rule));
    }
    let name = entry.main_value(&of.name).and_then(|value| String::from_utf8(value.to_vec()).ok());
    let name = name.ok_or_else(|| {
        let rule = format!("text, in the attribute {} ({})", of.name, entry.dn);
        RejectedRecord::new(id.clone(), "name", rule)
    })?;
    Ok(EntityRecord::new(id, name).into())
}

/// The identifier of an entry.
pub(crate) fn identifier(layout: &Layout, entry: &Entry) -> Result<String, RejectedRecord> {
    let value = entry.values(&layout.id.name).first();
    value.and_then(|value| layout.id.text(value)).ok_or_else(|| {
        let rule = format!("in the attribute {}, which bind_dn must be allowed to read", layout.id.name);
        RejectedRecord::new(entry.dn.clone(), "id", rule)
    })
}
