//! Converts rows to records.

use bridgehead_sdk::{RejectedRecord, ResourceKind};
use serde_json::{Map, Value};

use crate::driver::Row;
use crate::fault::Fault;
use crate::plan::Type;
use crate::settings::{FieldSettings, Fields};
use crate::value::as_text;

/// Fields that are strings whatever the type of their column: a user name may be a staff number.
const TEXTS: [&str; 6] = ["email", "username", "first_name", "last_name", "display_name", "name"];

/// The value of a column, or an error if the column does not exist: otherwise it would be NULL in every row.
pub(crate) fn cell<'a>(row: &'a Row, column: &str, key: &str) -> Result<&'a Value, Fault> {
    row.get(column).ok_or_else(|| {
        let columns: Vec<&str> = row.keys().map(String::as_str).collect();
        Fault::Unreadable(format!(
            "{key} returns no column {column}; it returns {}. Name the column with AS, or correct the \
             configuration",
            columns.join(", ")
        ))
    })
}

/// The fields of a record in a row. The inner error is an invalid record, the outer one a wrong statement.
pub(crate) fn fields(
    fields: &Fields,
    row: &Row,
    key: &str,
) -> Result<Result<Map<String, Value>, RejectedRecord>, Fault> {
    let mut record = Map::new();
    let mut rejected = None;
    for (name, field) in fields {
        let value = cell(row, &field.column, key)?;
        let value = match (name.as_str(), value) {
            (_, Value::Null) => continue,
            ("status", value) => match status(field, value) {
                Ok(status) => status,
                Err(rule) => {
                    rejected = Some((name.clone(), rule));
                    continue;
                }
            },
            (name, Value::Number(number)) if TEXTS.contains(&name) => Value::from(number.to_string()),
            (_, value) => value.clone(),
        };
        record.insert(name.clone(), value);
    }
    Ok(match rejected {
        Some((field, rule)) => Err(RejectedRecord::new(record.get("id").and_then(as_text), field, rule)),
        None => Ok(record),
    })
}

/// The status for a value, from the field's table. The table may write a boolean as the database does, or as a number.
fn status(field: &FieldSettings, value: &Value) -> Result<Value, String> {
    let Some(values) = &field.values else { return Ok(value.clone()) };
    let written = match value {
        Value::Bool(yes) => vec![yes.to_string(), u8::from(*yes).to_string()],
        other => as_text(other).into_iter().collect(),
    };
    let found = written.iter().find_map(|written| values.get(written));
    found.map(|status| Value::from(status.as_str())).ok_or_else(|| {
        let known: Vec<&str> = values.keys().map(String::as_str).collect();
        format!("one of the values that accounts.fields.status.values names: {}", known.join(", "))
    })
}

/// Adds references to the fields of an account: memberships for groups, assignments for licenses.
pub(crate) fn put_references(record: &mut Map<String, Value>, one: &Type, references: Vec<String>) {
    let field = match one.resource_type.kind {
        ResourceKind::License => "assignments",
        ResourceKind::Group | ResourceKind::Account => "memberships",
    };
    let slugs = record.entry(field).or_insert_with(|| Value::Object(Map::new()));
    if let Value::Object(slugs) = slugs {
        slugs.insert(one.resource_type.slug.as_str().to_owned(), references.into());
    }
}

/// The references in a cell: an array, a JSON list, or a string with a separator.
pub(crate) fn references(value: &Value, separator: Option<&str>) -> Result<Vec<String>, String> {
    let parsed;
    let items = match (value, separator) {
        (Value::Null, _) => return Ok(Vec::new()),
        (Value::Array(items), _) => items,
        (Value::String(text), Some(separator)) => {
            let parts = text.split(separator).map(str::trim).filter(|part| !part.is_empty());
            return Ok(distinct(parts.map(str::to_owned)));
        }
        (Value::String(text), None) if text.is_empty() => return Ok(Vec::new()),
        (Value::String(text), None) => {
            parsed = serde_json::from_str::<Vec<Value>>(text)
                .map_err(|_| "a list in JSON; set members.separator if it is text".to_owned())?;
            &parsed
        }
        _ => return Err("a list of identifiers".to_owned()),
    };
    // An aggregate over an outer join returns a single NULL if there are no members.
    let ids = items.iter().filter(|item| !item.is_null()).map(|item| match item {
        Value::String(id) if !id.is_empty() => Ok(id.clone()),
        Value::Number(id) if !id.is_f64() => Ok(id.to_string()),
        _ => Err("a list of identifiers, each a text or a whole number".to_owned()),
    });
    Ok(distinct(ids.collect::<Result<Vec<_>, _>>()?.into_iter()))
}

fn distinct(ids: impl Iterator<Item = String>) -> Vec<String> {
    let mut seen = std::collections::HashSet::new();
    ids.filter(|id| seen.insert(id.clone())).collect()
}

#[cfg(test)]
mod tests {
    use bridgehead_sdk::AccountStatus;
    use serde_json::json;

    use super::*;

    fn row(value: &Value) -> Row {
        value.as_object().cloned().unwrap()
    }

    fn mapping() -> Fields {
        let plain = |column: &str| FieldSettings { column: column.into(), values: None };
        let values =
            [("true".to_owned(), AccountStatus::Active), ("false".to_owned(), AccountStatus::Suspended)];
        Fields::from([
            ("id".into(), plain("id")),
            ("username".into(), plain("login")),
            ("status".into(), FieldSettings { column: "active".into(), values: Some(values.into()) }),
        ])
    }

    #[test]
    fn columns_map_to_fields_and_values_to_a_status() {
        let read = fields(&mapping(), &row(&json!({"id": 7, "login": 12, "active": false, "other": 1})), "k");
        assert_eq!(
            Value::from(read.unwrap().unwrap()),
            json!({"id": 7, "username": "12", "status": "suspended"})
        );
    }

    #[test]
    fn unmapped_status_rejects_the_record_but_not_the_listing() {
        let read =
            fields(&mapping(), &row(&json!({"id": 7, "login": "ann", "active": "maybe"})), "k").unwrap();
        let rejected = read.unwrap_err();
        assert_eq!((rejected.id.as_deref(), rejected.field.as_str()), (Some("7"), "status"));
    }

    #[test]
    fn missing_column_is_a_statement_error_and_not_null() {
        let fault = fields(&mapping(), &row(&json!({"id": 7, "active": true})), "accounts.list").unwrap_err();
        assert!(
            fault.to_string().starts_with("accounts.list returns no column login; it returns id, active"),
            "{fault}"
        );
    }

    #[test]
    fn references_are_read_in_every_form() {
        let read = |value: Value, separator| references(&value, separator);
        assert_eq!(read(json!(["a", 7, null, "a"]), None).unwrap(), ["a", "7"]);
        assert_eq!(read(json!("[\"a\", 7]"), None).unwrap(), ["a", "7"]);
        assert_eq!(read(json!(" a, b ,,a"), Some(",")).unwrap(), ["a", "b"]);
        for nobody in [json!(null), json!(""), json!([]), json!([null]), json!("[]")] {
            assert_eq!(read(nobody, None).unwrap(), Vec::<String>::new());
        }
        for other in [json!(7), json!("a,b"), json!([1.5]), json!([["a"]]), json!([""])] {
            assert!(read(other.clone(), None).is_err(), "{other}");
        }
    }
}
