//! The tasks of every row: the six actions, and an update that removes an account from all groups.

use bridgehead_sdk::Action;
use serde_json::{Value, json};

pub(super) const PASSWORD: &str = "Quiet-Harbour-9";

/// A task, and the state of the account when it is done.
pub(super) struct Task {
    pub(super) name: &'static str,
    pub(super) action: Action,
    pub(super) who: &'static str,
    pub(super) payload: Value,
    pub(super) is_done: fn(Option<&Sight>) -> bool,
}

/// The state of an account, in the target or as shown.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Sight {
    pub(super) title: String,
    pub(super) active: bool,
    pub(super) groups: Vec<String>,
}

pub(super) fn all() -> [Task; 7] {
    let task = |name, action, who, mut payload: Value, is_done| {
        if action != Action::CreateAccount {
            payload["account"] = json!({ "id": who });
        }
        Task { name, action, who, payload, is_done }
    };
    [
        task(
            "create",
            Action::CreateAccount,
            "new",
            json!({ "account": { "username": "new", "email": "new@example.com" }, "memberships": { "group": ["g1"] } }),
            |sight| sight.is_some_and(|sight| sight.active && sight.groups == ["g1"]),
        ),
        task(
            "update",
            Action::UpdateAccount,
            "u03",
            json!({ "changes": { "title": "new" }, "memberships": { "group": ["g2"] } }),
            |sight| sight.is_some_and(|sight| sight.title == "new" && sight.groups == ["g2"]),
        ),
        task("leave", Action::UpdateAccount, "u08", json!({ "memberships": { "group": [] } }), |sight| {
            sight.is_some_and(|sight| sight.groups.is_empty())
        }),
        task("delete", Action::DeleteAccount, "u07", json!({}), |sight| sight.is_none()),
        task("suspend", Action::SuspendAccount, "u04", json!({}), |sight| {
            sight.is_some_and(|sight| !sight.active)
        }),
        task("unsuspend", Action::UnsuspendAccount, "u05", json!({}), |sight| {
            sight.is_some_and(|sight| sight.active)
        }),
        task("reset", Action::ResetPassword, "u06", json!({ "password": PASSWORD }), |sight| sight.is_some()),
    ]
}
