//! The sixty tasks, and the expected result of each.

use bridgehead_sdk::{Action, Code};
use serde_json::{Value, json};

/// Which of the two apps a task is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum App {
    People,
    Crm,
}

/// The expected result of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Completed,
    Failed(Code),
    /// The sandbox resolves it while the connector is working: 409.
    Conflict,
}

/// One task of the demo.
#[derive(Clone, Debug)]
pub(super) struct Planned {
    pub(super) app: App,
    pub(super) action: String,
    pub(super) account: String,
    pub(super) payload: Value,
    pub(super) end: End,
    /// What is notable about it, if anything.
    pub(super) note: Option<&'static str>,
}

impl Planned {
    pub(super) fn to_json(&self) -> Value {
        json!({ "action": self.action, "payload": self.payload })
    }
}

/// All tasks, in the order in which Iden creates them.
pub(super) fn tasks() -> Vec<Planned> {
    let mut tasks = people();
    tasks.extend(odd_ones());
    tasks.extend(crm());
    tasks
}

fn people() -> Vec<Planned> {
    let joiner = |n: u32| format!("joiner{n:02}");
    let by_id = |n: u32| format!("p{n:04}");
    let mut tasks = Vec::new();
    for n in 1..=12 {
        let name = joiner(n);
        let payload = json!({
            "account": { "username": name, "email": format!("{name}@example.org"), "first_name": "Joiner",
                         "last_name": format!("Number {n}") },
            "memberships": { "team": [format!("team-{n:02}")], "mail": ["mail-basic"] },
        });
        tasks.push(planned(Action::CreateAccount, &name, payload));
    }
    for n in 10..18 {
        let payload = json!({ "account": { "id": by_id(n) }, "changes": { "title": "Principal" } });
        tasks.push(planned(Action::UpdateAccount, &by_id(n), payload));
    }
    for n in 30..38 {
        tasks.push(planned(Action::SuspendAccount, &by_id(n), json!({ "account": { "id": by_id(n) } })));
    }
    for n in 30..34 {
        let mut task = planned(Action::UnsuspendAccount, &by_id(n), json!({ "account": { "id": by_id(n) } }));
        task.note = Some("waits for the suspension of the same account");
        tasks.push(task);
    }
    for n in 40..46 {
        let payload = json!({ "account": { "id": by_id(n), "password": "A-Secret-Nobody-Sees" } });
        tasks.push(planned(Action::ResetPassword, &by_id(n), payload));
    }
    for n in 1..=6 {
        let mut task =
            planned(Action::DeleteAccount, &joiner(n), json!({ "account": { "username": joiner(n) } }));
        task.note = Some("waits for the creation of the same account");
        tasks.push(task);
    }
    tasks
}

fn planned(action: Action, account: &str, payload: Value) -> Planned {
    let (action, account) = (action.to_string(), account.to_owned());
    Planned { app: App::People, action, account, payload, end: End::Completed, note: None }
}

fn odd_ones() -> [Planned; 6] {
    let odd = |action: &str, account: &str, payload: Value, code: Code| Planned {
        app: App::People,
        action: action.to_owned(),
        account: account.to_owned(),
        payload,
        end: End::Failed(code),
        note: None,
    };
    [
        odd(
            "suspend_account",
            "nobody",
            json!({ "account": { "username": "nobody" } }),
            Code::AccountNotFound,
        ),
        odd(
            "create_account",
            "amberly.lanternby",
            json!({ "account": { "username": "amberly.lanternby", "last_name": "Somebody-Else" } }),
            Code::AccountAlreadyExists,
        ),
        odd(
            "create_account",
            "designer",
            json!({ "account": { "username": "designer", "email": "designer@example.org" },
                    "memberships": { "design": ["design-suite"] } }),
            Code::LicenseExhausted,
        ),
        odd(
            "delete_account",
            "svc-backup",
            json!({ "account": { "username": "svc-backup" } }),
            Code::PermissionDenied,
        ),
        odd("merge_accounts", "p0100", json!({ "account": { "id": "p0100" } }), Code::InternalError),
        odd("update_account", "?", json!({ "account": ["p0101"] }), Code::InternalError),
    ]
}

fn crm() -> Vec<Planned> {
    let make = |action: Action, name: &str, end: End, note: Option<&'static str>| Planned {
        app: App::Crm,
        action: action.to_string(),
        account: name.to_owned(),
        payload: json!({ "account": { "username": name, "email": format!("{name}@example.org") } }),
        end,
        note,
    };
    let create = |name: &str, end, note| make(Action::CreateAccount, name, end, note);
    let mut tasks: Vec<Planned> =
        (1..=4).map(|n| create(&format!("seller{n}"), End::Completed, None)).collect();
    tasks.extend([
        make(Action::DeleteAccount, "seller4", End::Completed, None),
        create("rate-limited-once-ann", End::Completed, Some("rate limited, retried, completed")),
        create("unknown-once-bob", End::Completed, Some("response lost; verified instead of repeated")),
        create("slow-carol", End::Conflict, Some("already resolved in Iden (409)")),
        create("fail-rate-limited-dan", End::Failed(Code::RateLimited), Some("retried until give_up_after")),
        create("fail-timeout-eve", End::Failed(Code::Timeout), Some("verified, retried, then given up")),
    ]);
    tasks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn script_has_60_tasks_with_all_actions_and_codes() {
        let tasks = tasks();
        assert_eq!(tasks.len(), 60);
        for action in Action::ALL {
            assert!(
                tasks.iter().any(|task| task.action == action.as_str() && task.end == End::Completed),
                "{action}"
            );
        }
        for code in Code::ALL {
            assert!(tasks.iter().any(|task| task.end == End::Failed(code)), "{code}");
        }
        assert_eq!(tasks.iter().filter(|task| task.end == End::Conflict).count(), 1);
    }
}
