//! Accounts that tasks must not change.

use serde_json::{Value, json};

use crate::support::World;
use crate::target::{ACTIONS, QUICK};

const RULES: &str = "[apps.hr.protect]\naccounts = [\"admin\", \"svc-*\", \"*@root.example\"]";

fn mutations(world: &World) -> usize {
    world
        .calls()
        .iter()
        .filter(|line| line.event == "start" && ACTIONS.contains(&line.method.as_str()))
        .count()
}

#[tokio::test]
async fn protected_account_is_never_changed_under_any_name() {
    let world = World::new().await;
    world.script(QUICK, RULES);
    world.account(&json!({"id": "id-1", "username": "Admin", "email": "boss@example.org"}));
    world.account(&json!({"id": "id-2", "username": "backup", "email": "ops@Root.example"}));
    world.account(&json!({"id": "svc-3", "username": "printer", "email": "printer@example.org"}));
    let mut tasks = Vec::new();
    let mut add = |action: &str, payload: Value| {
        tasks.push(world.sandbox.add_task(world.app, json!({"action": action, "payload": payload})));
    };
    for action in ACTIONS {
        // Identified directly.
        add(action, json!({"account": {"username": "ADMIN"}}));
        add(action, json!({"account": {"id": "x", "username": "y", "email": "z@root.example"}}));
        // Identified by another name of the same account.
        add(action, json!({"account": {"id": "id-1"}}));
        add(action, json!({"account": {"email": "BOSS@example.org"}}));
        add(action, json!({"account": {"username": "backup"}}));
        add(action, json!({"account_id": "id-2"}));
        add(action, json!({"account": "svc-3"}));
        add(action, json!({"account": {"username": "printer"}}));
    }
    // An unprotected account must not become a protected one.
    world.account(&json!({"id": "id-4", "username": "ann", "email": "ann@example.org"}));
    add("update_account", json!({"account": {"id": "id-4"}, "changes": {"username": "svc-new"}}));
    add("update_account", json!({"account": {"id": "id-4"}, "changes": {"email": "ann@root.example"}}));
    let daemon = world.start();
    world.drained().await;
    daemon.stop().await;
    for task in &tasks {
        assert_eq!(world.code(task), "PERMISSION_DENIED", "{}", world.task(task));
        let message = world.message(task);
        assert!(message.contains("is protected in hr: it matches '"), "{message}");
        assert!(message.contains("apps.hr.protect.accounts"), "{message}");
    }
    assert_eq!(mutations(&world), 0);
}

#[tokio::test]
async fn unprotected_accounts_are_changed() {
    let world = World::new().await;
    world.script(QUICK, RULES);
    world.account(&json!({"id": "id-1", "username": "administrator", "email": "a@example.org"}));
    let tasks = [
        world.task_for("suspend_account", json!({"id": "id-1"})),
        world.task_for("create_account", json!("my-svc-account")),
    ];
    let daemon = world.start();
    world.drained().await;
    daemon.stop().await;
    for task in &tasks {
        assert_eq!((world.task(task)["status"].as_str(), world.applied(task)), (Some("completed"), 1));
    }
}

#[tokio::test]
async fn failed_lookup_prevents_changes_if_accounts_are_protected() {
    let world = World::new().await;
    world.script("poll_interval = \"100ms\"\ntimeout = \"1s\"\ngive_up_after = \"2s\"\n", RULES);
    world.account(&json!({"id": "id-1", "username": "admin"}));
    let error = |code: &str| json!({"message": format!("HR says {code}"), "data": {"code": code}});
    world.rules(&json!([
        {"method": "find_account", "account": "id-1", "error": error("PERMISSION_DENIED")},
        {"method": "find_account", "account": "id-2", "error": error("TIMEOUT")},
    ]));
    let refused = world.task_for("suspend_account", json!({"id": "id-1"}));
    let late = world.task_for("suspend_account", json!({"id": "id-2"}));
    let daemon = world.start();
    world.drained().await;
    daemon.stop().await;
    assert_eq!((world.code(&refused).as_str(), world.code(&late).as_str()), ("PERMISSION_DENIED", "TIMEOUT"));
    assert_eq!(mutations(&world), 0);
}

#[tokio::test]
async fn only_allowed_actions_are_executed() {
    let world = World::new().await;
    world.script(QUICK, "[apps.hr.protect]\nactions = [\"suspend_account\", \"unsuspend_account\"]");
    world.account(&json!({"id": "ann", "username": "ann"}));
    let tasks = ACTIONS.map(|action| (action, world.task_for(action, json!({"id": "ann"}))));
    let daemon = world.start();
    world.drained().await;
    daemon.stop().await;
    for (action, task) in &tasks {
        if action.contains("suspend") {
            assert_eq!(
                (world.task(task)["status"].as_str(), world.applied(task)),
                (Some("completed"), 1),
                "{action}"
            );
        } else {
            let message = format!("{action} is not allowed in hr: apps.hr.protect.actions does not name it");
            assert_eq!(world.task(task)["error"], json!({"code": "PERMISSION_DENIED", "message": message}));
            assert!(world.attempts(task).is_empty(), "{action}");
        }
    }
}
