//! Records in the wire format.

use bridgehead_sdk::Record;
use serde_json::Value;

use super::Refs;

/// The body of a page of records.
pub(super) fn page(records: &[Record], refs: Refs) -> Result<Vec<u8>, serde_json::Error> {
    let records = records.iter().map(|record| one(record, refs)).collect::<Result<Vec<_>, _>>()?;
    serde_json::to_vec(&serde_json::json!({ "records": records }))
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
    fn references_take_the_form_that_is_set() {
        let body = |refs| String::from_utf8(page(&records(), refs).unwrap()).unwrap().replace("},{", "},\n{");
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
}
