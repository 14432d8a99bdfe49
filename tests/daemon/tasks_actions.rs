//! The six actions and the seven codes, exactly as reported.

use bridgehead::sandbox::{Settings, TaskOrder};
use serde_json::{Value, json};

use crate::support::World;
use crate::target::{ACTIONS, QUICK};

#[tokio::test]
async fn all_six_actions_reach_an_account_in_creation_order() {
    let world = World::new().await;
    world.sandbox.set_settings(Settings { task_order: TaskOrder::NewestFirst, ..Settings::default() });
    world.script(QUICK, "");
    let payload = |action: &str| match action {
        "create_account" => json!({
            "account": {"username": "ann", "email": "ann@example.org", "first_name": "Ann", "cost_centre": 42},
            "memberships": {"team": ["t1"], "seat": ["s1"]}
        }),
        "update_account" => {
            json!({"account": {"email": "ANN@example.org"}, "changes": {"last_name": "Other"}})
        }
        "reset_password" => json!({"account": {"username": "Ann", "new_password": "correct-horse"}}),
        _ => json!({"account": {"id": "ann"}}),
    };
    // Created in this order, but added and listed in another.
    let mut tasks: Vec<(usize, Value)> = ACTIONS
        .iter()
        .enumerate()
        .map(|(n, action)| {
            let created_at = format!("2026-01-01T00:00:{n:02}Z");
            (n, json!({"id": format!("task-{n}"), "action": action, "created_at": created_at, "payload": payload(action)}))
        })
        .collect();
    tasks.sort_by_key(|(n, _)| (n * 5) % 6);
    world.sandbox.add_tasks(world.app, tasks.into_iter().map(|(_, task)| task));
    let daemon = world.start();
    world.drained().await;
    daemon.stop().await;
    for (n, action) in ACTIONS.into_iter().enumerate() {
        let task = world.task(&format!("task-{n}"));
        assert_eq!(task["status"], "completed", "{action}: {task}");
        let result = if action == "create_account" { json!({"account_id": "ann"}) } else { Value::Null };
        assert_eq!((&task["result"], &task["error"]), (&result, &Value::Null), "{action}");
        assert_eq!(world.sandbox.reports(&format!("task-{n}")).len(), 1, "{action}");
    }
    let applied: Vec<String> =
        world.calls().into_iter().filter(|line| line.event == "applied").map(|line| line.method).collect();
    assert_eq!(applied, ACTIONS);
    assert!(world.accounts().is_empty());
    let states = world.changes();
    assert_eq!(
        states[1],
        json!({
            "status": "active", "username": "ann", "email": "ann@example.org", "first_name": "Ann", "cost_centre": 42,
            "id": "ann", "memberships": {"team": ["t1"]}, "assignments": {"seat": ["s1"]}, "last_name": "Other"
        })
    );
    assert_eq!((&states[2]["status"], &states[3]["status"]), (&json!("suspended"), &json!("active")));
}

#[tokio::test]
async fn tasks_created_at_the_same_time_keep_list_order() {
    // An API with times in whole seconds lists them in the order of their creation, or in reverse.
    for order in [TaskOrder::OldestFirst, TaskOrder::NewestFirst] {
        let world = World::new().await;
        world.sandbox.set_settings(Settings { task_order: order, ..Settings::default() });
        world.script(QUICK, "");
        world.account(&json!({"id": "ann", "username": "ann"}));
        let task = |action: &str, second: u32| {
            let created_at = format!("2026-01-01T00:00:{second:02}Z");
            json!({"action": action, "created_at": created_at, "payload": {"account": {"id": "ann"}}})
        };
        let wanted = [
            "suspend_account",
            "unsuspend_account",
            "suspend_account",
            "reset_password",
            "unsuspend_account",
        ];
        world.sandbox.add_tasks(world.app, wanted.iter().take(4).map(|action| task(action, 1)));
        world.sandbox.add_task(world.app, task(wanted[4], 2));
        let daemon = world.start();
        world.drained().await;
        daemon.stop().await;
        let applied: Vec<String> = world
            .calls()
            .into_iter()
            .filter(|line| line.event == "applied")
            .map(|line| line.method)
            .collect();
        assert_eq!(applied, wanted, "{order:?}");
    }
}

#[tokio::test]
async fn every_code_is_reported_with_its_exact_message() {
    let world = World::new().await;
    world.script("poll_interval = \"100ms\"\ntimeout = \"1s\"\ngive_up_after = \"1s\"\n", "");
    let codes = [
        ("ACCOUNT_NOT_FOUND", json!({})),
        ("ACCOUNT_ALREADY_EXISTS", json!({})),
        ("LICENSE_EXHAUSTED", json!({})),
        ("PERMISSION_DENIED", json!({})),
        // The wait that the target asks for exceeds `give_up_after`, so it is reported without a retry.
        ("RATE_LIMITED", json!({"retry_after": 2})),
        ("TIMEOUT", json!({"effect": "not_applied", "retry": "never"})),
        ("INTERNAL_ERROR", json!({"effect": "not_applied"})),
    ];
    let message =
        |code: &str| format!("{code}: User \"{code}\" – Zoë's – was refused by HR\\2; ask <hr@example.org>.");
    let mut rules = Vec::new();
    let mut tasks = Vec::new();
    for (code, more) in &codes {
        let mut data = more.clone();
        data["code"] = json!(code);
        rules.push(json!({"method": "update_account", "account": code, "error": {"message": message(code), "data": data}}));
        tasks.push(world.task_for("update_account", json!(code)));
    }
    let neighbour = world.task_for("create_account", json!("neighbour"));
    world.rules(&json!(rules));
    let daemon = world.start();
    world.drained().await;
    daemon.stop().await;
    for ((code, _), task) in codes.iter().zip(&tasks) {
        let wanted = json!({"status": "failed", "error": {"code": code, "message": message(code)}});
        assert_eq!(world.reported(task), [wanted]);
        assert_eq!(world.attempts(task), [1], "{code}");
    }
    assert_eq!(world.task(&neighbour)["status"], "completed");
}

#[tokio::test]
async fn connector_result_is_reported_unchanged() {
    let world = World::new().await;
    // The account cannot be found, so verification is off.
    world.script(&format!("{QUICK}verify = false\n"), "");
    let answer = json!({"account_id": "ext-7", "note": "Grüße", "nested": {"list": [1, 2.5, null, true]}, "empty": {}});
    world.rules(&json!([{"method": "create_account", "apply": true, "answer": answer}]));
    let task = world.task_for("create_account", json!("ann"));
    let daemon = world.start();
    world.drained().await;
    daemon.stop().await;
    assert_eq!(world.reported(&task), [json!({"status": "completed", "result": answer})]);
}
