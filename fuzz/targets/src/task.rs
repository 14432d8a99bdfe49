//! What a task requests, and which account it concerns.

use bridgehead_runtime::fuzz;
use bridgehead_sdk::{Account, AccountId, Action, Operation, Payload};
use serde_json::{Value, json};

use crate::invariant::{self, keeps_fields, shows_no_secret, tainted};

const ACTIONS: [Action; 6] = [
    Action::CreateAccount,
    Action::UpdateAccount,
    Action::DeleteAccount,
    Action::SuspendAccount,
    Action::UnsuspendAccount,
    Action::ResetPassword,
];

/// Parses a payload as an operation: no field is lost, and no secret shows.
pub fn operation(data: &[u8]) {
    invariant::begin(data);
    let Some(value) = invariant::json(data) else { return };
    read(&value);
    if let Some(mut tainted) = tainted(value.clone()) {
        // The keys here are slugs of resource types: a type called `token` has references, not secrets.
        for place in ["", "/account", "/changes"] {
            for field in ["memberships", "assignments"] {
                let path = format!("{place}/{field}");
                if let (Some(to), Some(from)) = (tainted.pointer_mut(&path), value.pointer(&path)) {
                    to.clone_from(from);
                }
            }
        }
        read(&tainted);
    }
}

fn read(value: &Value) {
    let Ok(payload) = serde_json::from_value::<Payload>(value.clone()) else {
        assert!(!value.is_object(), "an object is always a payload");
        return;
    };
    shows_no_secret(&format!("{payload:?}"));
    for action in ACTIONS {
        match Operation::parse(action, payload.clone()) {
            Ok(operation) => {
                assert_eq!(operation.action(), action);
                assert!(operation.account().is_identified());
                assert!(!operation.account().label().is_empty());
                shows_no_secret(&format!("{operation:?}"));
                assert_eq!(operation.payload(), &payload);
                let written = serde_json::to_value(operation.payload()).unwrap_or_default();
                keeps_fields(value.as_object().unwrap_or(&serde_json::Map::new()), &written, &[]);
                if let Some(fields) = value.get("account").and_then(Value::as_object) {
                    let extra = Value::Object(operation.account().extra.clone());
                    keeps_fields(fields, &extra, &NAMED);
                }
            }
            Err(error) => {
                shows_no_secret(&format!("{error} {error:?}"));
                assert!(error.to_string().len() <= value.to_string().len() + 200);
            }
        }
    }
}

/// Account fields with a defined meaning.
const NAMED: [&str; 8] =
    ["id", "account_id", "email", "username", "first_name", "last_name", "display_name", "status"];

/// The lanes of a task: however the operation identifies its account, the task waits for every other task about that account.
pub fn account_keys(data: &[u8]) {
    invariant::begin(data);
    let Some(value) = invariant::json(data) else { return };
    let keys = fuzz::account_keys("t1", &value);
    assert!(!keys.is_empty(), "a task without a lane would never run");
    assert!(keys.is_sorted() && keys.windows(2).all(|pair| pair.first() != pair.last()));
    assert!(keys.len() <= 16, "{} keys", keys.len());
    assert_eq!(keys, fuzz::account_keys("t1", &value));
    let Ok(payload) = serde_json::from_value::<Payload>(value) else { return };
    for action in ACTIONS {
        let Ok(operation) = Operation::parse(action, payload.clone()) else { continue };
        let Account { id, username, email, .. } = operation.account();
        let texts = [
            ("id", id.as_ref().map(AccountId::as_str)),
            ("username", username.as_deref()),
            ("email", email.as_deref()),
        ];
        for (field, text) in texts {
            let Some(text) = text else { continue };
            // The ways in which another task may refer to the account.
            for alias in [
                json!({"account": {field: text}}),
                json!({"account": {field: text}, "changes": {"email": "other@example.org"}}),
            ] {
                let others = fuzz::account_keys("t2", &alias);
                assert!(
                    keys.iter().any(|key| others.contains(key)),
                    "two tasks of {field} {text:?} would overtake each other"
                );
            }
        }
    }
}
