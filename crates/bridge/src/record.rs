//! Records in the wire format.

use bridgehead_sdk::Record;
use bytes::Bytes;
use serde_json::Value;

use super::Refs;

/// A record in wire format: serialized once, and sent as often as necessary.
///
/// `Debug` shows only the identifier and the length.
#[derive(Clone, PartialEq, Eq)]
pub struct WireRecord {
    id: String,
    json: Bytes,
}

impl WireRecord {
    /// Wraps the output of [`write()`] for one record.
    pub fn new(id: String, json: Bytes) -> Self {
        Self { id, json }
    }

    /// Serializes a single record.
    pub fn of(record: &Record, refs: Refs) -> Result<Self, serde_json::Error> {
        let mut json = Vec::new();
        write(record, refs, &mut json)?;
        Ok(Self { id: record.id().to_owned(), json: json.into() })
    }

    /// The identifier in the target system.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The JSON object.
    pub fn json(&self) -> &[u8] {
        &self.json
    }
}

impl std::fmt::Debug for WireRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WireRecord").field("id", &self.id).field("bytes", &self.json.len()).finish()
    }
}

/// The body of a page of records.
pub(super) fn page(records: &[WireRecord]) -> Vec<u8> {
    const BEGIN: &[u8] = br#"{"records":["#;
    const END: &[u8] = b"]}";
    let length = records.iter().map(|record| record.json.len() + 1).sum::<usize>();
    let mut body = Vec::with_capacity(BEGIN.len() + length + END.len());
    body.extend_from_slice(BEGIN);
    for (number, record) in records.iter().enumerate() {
        if number > 0 {
            body.push(b',');
        }
        body.extend_from_slice(&record.json);
    }
    body.extend_from_slice(END);
    body
}

/// Appends a record in wire format. After an error, the appended bytes are meaningless.
pub fn write(record: &Record, refs: Refs, into: &mut Vec<u8>) -> Result<(), serde_json::Error> {
    match record {
        Record::Entity(entity) if !entity.extra.keys().any(|name| is_in(name, &ENTITY)) => {
            serde_json::to_writer(into, entity)
        }
        Record::Account(account)
            if refs == Refs::Id && !account.extra.keys().any(|name| is_in(name, &ACCOUNT)) =>
        {
            serde_json::to_writer(into, &**account)
        }
        // The slower way through a JSON tree replaces references, and keeps only one of two fields with the same name.
        _ => serde_json::to_writer(into, &one(record, refs)?),
    }
}

/// The names of the fields that records have. An additional field with such a name replaces the regular one.
const ENTITY: [&str; 2] = ["id", "name"];
const ACCOUNT: [&str; 9] = [
    "id",
    "email",
    "username",
    "first_name",
    "last_name",
    "display_name",
    "status",
    "memberships",
    "assignments",
];

fn is_in(name: &str, fields: &[&str]) -> bool {
    fields.contains(&name)
}

/// A record in the wire format.
pub fn one(record: &Record, refs: Refs) -> Result<Value, serde_json::Error> {
    let account = match record {
        Record::Entity(entity) => return serde_json::to_value(entity),
        Record::Account(account) => account,
    };
    let mut value = serde_json::to_value(account)?;
    if refs == Refs::Object {
        for (field, map) in [("memberships", &account.memberships), ("assignments", &account.assignments)] {
            if let Some(refs) = value.get_mut(field) {
                *refs = map.to_json(true);
            }
        }
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use bridgehead_sdk::{AccountRecord, EntityRecord, Memberships, Ref};

    use super::*;

    fn records() -> [Record; 3] {
        let mut account = AccountRecord::new("u1");
        account.email = Some("ann@example.org".into());
        let named = Ref::new("g2").with_name("Sales");
        account.memberships = Memberships([("team".into(), vec!["g1".into(), named])].into());
        account.extra.insert("cost_centre".into(), 42.into());
        [account.into(), AccountRecord::new("u2").into(), EntityRecord::new("g1", "Support").into()]
    }

    #[test]
    fn references_use_the_configured_form() {
        let body = |refs| {
            let records: Vec<_> =
                records().iter().map(|record| WireRecord::of(record, refs).unwrap()).collect();
            String::from_utf8(page(&records)).unwrap().replace("},{", "},\n{")
        };
        insta::assert_snapshot!(body(Refs::Id), @r#"
        {"records":[{"id":"u1","email":"ann@example.org","status":"active","memberships":{"team":["g1","g2"]},"cost_centre":42},
        {"id":"u2","status":"active"},
        {"id":"g1","name":"Support"}]}
        "#);
        insta::assert_snapshot!(body(Refs::Object), @r#"
        {"records":[{"id":"u1","email":"ann@example.org","status":"active","memberships":{"team":[{"id":"g1"},
        {"id":"g2","name":"Sales"}]},"cost_centre":42},
        {"id":"u2","status":"active"},
        {"id":"g1","name":"Support"}]}
        "#);
    }

    #[test]
    fn a_record_is_written_as_its_tree_is() {
        let mut twice = AccountRecord::new("u1").with_field("email", "b@example.org").with_field("x", 1.5);
        twice.email = Some("a@example.org".into());
        let entity = EntityRecord::new("g1", "A").with_field("name", "B").with_field("nested", vec![1, 2]);
        let strange = AccountRecord::new("\u{1}\"ü").with_email("e").with_field("ID", Value::Null);
        let plain = AccountRecord::new("u2").with_status(bridgehead_sdk::AccountStatus::Suspended);
        for record in records().into_iter().chain([twice.into(), entity.into(), strange.into(), plain.into()])
        {
            for refs in [Refs::Id, Refs::Object] {
                let tree = one(&record, refs).unwrap().to_string();
                assert_eq!(WireRecord::of(&record, refs).unwrap().json(), tree.as_bytes(), "{tree}");
            }
        }
        assert_eq!(page(&[]), br#"{"records":[]}"#);
    }

    #[test]
    fn every_field_of_a_record_is_known_by_its_name() {
        let mut account = AccountRecord::new("u").with_email("e").with_username("u").with_first_name("f");
        account = account.with_last_name("l").with_display_name("d").with_memberships("team", ["t"]);
        account = account.with_assignments("seat", ["s"]);
        let names = |value: Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(serde_json::to_value(account).unwrap()), ACCOUNT);
        assert_eq!(names(serde_json::to_value(EntityRecord::new("g", "G")).unwrap()), ENTITY);
    }
}
