//! Fields with the name of a secret are neither sent to Iden nor written to the folder, at any depth.

use bridgehead_sdk::is_secret_name;
use serde_json::Value;

use crate::settings::PASSWORD_CHANGED_AT;

/// Whether the name of a field indicates a secret.
pub(crate) fn is_secret(name: &str) -> bool {
    name != PASSWORD_CHANGED_AT && is_secret_name(name)
}

/// Whether a value contains a secret at any depth.
pub(crate) fn holds_secret(value: &Value) -> bool {
    match value {
        Value::Object(fields) => fields.iter().any(|(name, value)| is_secret(name) || holds_secret(value)),
        Value::Array(items) => items.iter().any(holds_secret),
        _ => false,
    }
}

/// The value without the secrets in it.
pub(crate) fn without_secrets(mut value: Value) -> Value {
    strip(&mut value);
    value
}

fn strip(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, _| !is_secret(name));
            fields.values_mut().for_each(strip);
        }
        Value::Array(items) => items.iter_mut().for_each(strip),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_secrets_are_removed_at_any_depth() {
        let value =
            json!({"a": [{"password": "x", "b": 1}], "password_changed_at": "t", "c": {"api_token": 7}});
        assert!(holds_secret(&value));
        let clean = without_secrets(value);
        assert_eq!(clean, json!({"a": [{"b": 1}], "password_changed_at": "t", "c": {}}));
        assert!(!holds_secret(&clean));
    }
}
