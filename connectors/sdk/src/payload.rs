//! Reads what Iden sends, tolerantly: the payload of a task is only partly documented.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::is_secret_name;

/// The payload of a task as Iden sent it, including unknown fields.
///
/// `Debug` shows the names of the fields, never their values: a password may be among them.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Payload {
    /// Describes the account.
    #[serde(default)]
    pub account: Value,
    /// The requested memberships and assignments, by slug.
    #[serde(default)]
    pub memberships: Value,
    /// What an update changes: `{field: new value}`.
    #[serde(default)]
    pub changes: Value,
    /// Everything else.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl Payload {
    /// A payload with only this account; [`Operation::parse`](crate::Operation::parse) says in which forms.
    pub fn new(account: impl Into<Value>) -> Self {
        Self { account: account.into(), ..Self::default() }
    }

    /// Adds the requested memberships and assignments: `{"team": ["t1"]}`.
    pub fn with_memberships(mut self, memberships: impl Into<Value>) -> Self {
        self.memberships = memberships.into();
        self
    }

    /// Adds what an update changes: `{"email": "ann@example.org"}`.
    pub fn with_changes(mut self, changes: impl Into<Value>) -> Self {
        self.changes = changes.into();
        self
    }

    /// Adds a field that has no method here.
    pub fn with_field(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.extra.insert(name.into(), value.into());
        self
    }

    /// Every string at any depth under a name that indicates a secret, such as `password`. They are erased from memory
    /// when they are dropped.
    pub fn secrets(&self) -> Vec<Zeroizing<String>> {
        let mut found = Vec::new();
        for value in [&self.account, &self.memberships, &self.changes] {
            collect_secrets(value, false, &mut found);
        }
        for (name, value) in &self.extra {
            collect_secrets(value, is_secret_name(name), &mut found);
        }
        found
    }
}

fn collect_secrets(value: &Value, secret: bool, found: &mut Vec<Zeroizing<String>>) {
    match value {
        Value::String(text) if secret => found.push(Zeroizing::new(text.clone())),
        Value::Number(number) if secret => found.push(Zeroizing::new(number.to_string())),
        Value::Array(items) => items.iter().for_each(|item| collect_secrets(item, secret, found)),
        Value::Object(fields) => {
            for (name, item) in fields {
                collect_secrets(item, secret || is_secret_name(name), found);
            }
        }
        _ => {}
    }
}

impl std::fmt::Debug for Payload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names = |value: &Value| -> Vec<String> {
            value.as_object().map(|fields| fields.keys().cloned().collect()).unwrap_or_default()
        };
        f.debug_struct("Payload")
            .field("account", &names(&self.account))
            .field("memberships", &names(&self.memberships))
            .field("changes", &names(&self.changes))
            .field("extra", &self.extra.keys().collect::<Vec<_>>())
            .finish()
    }
}

/// An invalid field. The value itself is omitted, because it may be a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} must be {expected}{}", found.map(|found| format!(", not {found}")).unwrap_or_default())]
#[non_exhaustive]
pub struct PayloadError {
    /// The path of the field, such as `account.email`.
    pub field: String,
    /// What it must be.
    pub expected: String,
    /// The JSON type that was found; absent when the field was missing.
    pub found: Option<&'static str>,
}

impl PayloadError {
    pub(crate) fn new(field: impl Into<String>, expected: impl Into<String>, found: &Value) -> Self {
        let found = match found {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::String(_) => "other text",
            Value::Array(_) => "a list",
            Value::Object(_) => "an object",
        };
        Self { field: field.into(), expected: expected.into(), found: Some(found) }
    }

    pub(crate) fn missing(field: impl Into<String>, expected: impl Into<String>) -> Self {
        Self { field: field.into(), expected: expected.into(), found: None }
    }

    pub(crate) fn within(mut self, parent: &str) -> Self {
        self.field = format!("{parent}.{}", self.field);
        self
    }
}

/// An identifier: a non-empty string, or a whole number.
pub(crate) fn identifier(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) if !number.is_f64() => Some(number.to_string()),
        _ => None,
    }
}

/// Takes an identifier from a map; absent and `null` are `None`, anything else an error.
pub(crate) fn take_identifier(
    fields: &mut Map<String, Value>,
    name: &str,
) -> Result<Option<String>, PayloadError> {
    match fields.shift_remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.is_empty() => Ok(None),
        Some(value) => identifier(Some(&value))
            .map(Some)
            .ok_or_else(|| PayloadError::new(name, "text or a whole number", &value)),
    }
}

/// Takes a required identifier.
pub(crate) fn take_required_identifier(
    fields: &mut Map<String, Value>,
    name: &str,
) -> Result<String, PayloadError> {
    take_identifier(fields, name)?.ok_or_else(|| PayloadError::missing(name, "non-empty text"))
}

/// Takes a string from a map; absent, `null` and an empty string are `None`, anything else an error.
pub(crate) fn take_text(fields: &mut Map<String, Value>, name: &str) -> Result<Option<String>, PayloadError> {
    match fields.shift_remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text).filter(|text| !text.is_empty())),
        Some(value) => Err(PayloadError::new(name, "text", &value)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn secrets_are_found_at_any_depth() {
        let payload: Payload = serde_json::from_value(json!({
            "account": {"id": "u1", "credentials": {"new_password": "one"}},
            "changes": {"password": "two", "title": "Boss"},
            "api_token": ["three", 4444]
        }))
        .unwrap();
        let mut secrets: Vec<String> = payload.secrets().iter().map(|secret| secret.to_string()).collect();
        secrets.sort();
        assert_eq!(secrets, ["4444", "one", "three", "two"]);
    }

    #[test]
    fn debug_shows_no_value() {
        let payload: Payload =
            serde_json::from_value(json!({"account": {"password": "hunter2"}, "pin": "9876"})).unwrap();
        let shown = format!("{payload:?}");
        assert!(!shown.contains("hunter2") && !shown.contains("9876"), "{shown}");
    }

    #[test]
    fn unknown_fields_survive_a_round_trip() {
        let value =
            json!({"account": {"id": 1}, "memberships": null, "changes": {"a": null}, "later": [1, 2]});
        let payload: Payload = serde_json::from_value(value.clone()).unwrap();
        assert_eq!(serde_json::to_value(payload).unwrap(), value);
    }
}
