//! An unreachable target holds its tasks, and fails none of them before `hold_for`.

use serde_json::{Value, json};

use crate::support::{World, eventually};
use crate::target::QUICK;

fn down(code: &str, more: &Value) -> Value {
    let mut data =
        json!({"code": code, "effect": "not_applied", "retry": "backoff", "subject": "connection"});
    data.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
    json!({"message": "HR does not answer on port 5432", "data": data})
}

/// The number of task calls that have reached the target.
fn tried(world: &World) -> usize {
    world.calls().iter().filter(|line| line.event == "start" && !line.task.is_empty()).count()
}

#[tokio::test]
async fn unreachable_target_holds_tasks_until_it_recovers() {
    let world = World::new().await;
    world.script(QUICK, "");
    let out = down("TIMEOUT", &json!({}));
    world.rules(&json!([{"method": "create_account", "error": out}, {"method": "check", "error": out}]));
    let tasks: Vec<String> =
        (0..20).map(|n| world.task_for("create_account", json!(format!("user-{n}")))).collect();
    let daemon = world.start();
    daemon.says("the target is unreachable, tasks are held: HR does not answer on port 5432").await;
    daemon.says("the target is still unreachable").await;
    let calls = tried(&world);
    assert!((5..=tasks.len()).contains(&calls), "a handful is enough to know: {calls}");
    // While it is down, the daemon only checks whether it is back.
    let (checks, before) = (world.called("check", ""), tried(&world));
    eventually("it is asked again", || world.called("check", "") > checks).await;
    assert!(tried(&world) <= before + 8, "those that were under way by then, and no other");
    assert_eq!(world.tasks_that_are("pending"), 20);
    assert!(tasks.iter().all(|task| world.reported(task).is_empty()));

    world.rules(&json!([]));
    world.drained().await;
    let log = daemon.stop().await;
    assert!(log.contains("the target is reachable again"), "{log}");
    assert_eq!(log.matches("tasks are held").count(), 1, "{log}");
    for task in &tasks {
        assert_eq!((world.task(task)["status"].as_str(), world.applied(task)), (Some("completed"), 1));
    }
}

#[tokio::test]
async fn refused_credential_holds_tasks_at_once() {
    let world = World::new().await;
    world.script(&format!("{QUICK}concurrency = 1\n"), "");
    // Even if the connector says not to retry, because an operator can fix the credential.
    let refused = down("PERMISSION_DENIED", &json!({"retry": "never"}));
    world.rules(
        &json!([{"method": "create_account", "error": refused}, {"method": "check", "error": refused}]),
    );
    let tasks: Vec<String> =
        (0..10).map(|n| world.task_for("create_account", json!(format!("user-{n}")))).collect();
    let daemon = world.start();
    daemon.says("the target is still unreachable").await;
    assert!(tried(&world) < 5, "{}", tried(&world));
    assert_eq!(world.tasks_that_are("pending"), 10);
    world.rules(&json!([]));
    world.drained().await;
    daemon.stop().await;
    assert!(tasks.iter().all(|task| world.task(task)["status"] == "completed"));
}

#[tokio::test]
async fn tasks_held_longer_than_hold_for_fail_with_the_code() {
    let world = World::new().await;
    world.script(&format!("{QUICK}hold_for = \"1s\"\n"), "");
    let refused = down("PERMISSION_DENIED", &json!({}));
    world.rules(
        &json!([{"method": "create_account", "error": refused}, {"method": "check", "error": refused}]),
    );
    let tasks: Vec<String> =
        (0..3).map(|n| world.task_for("create_account", json!(format!("user-{n}")))).collect();
    let daemon = world.start();
    world.drained().await;
    daemon.stop().await;
    for (n, task) in tasks.iter().enumerate() {
        let message = format!(
            "create_account for user-{n} in hr: HR does not answer on port 5432; held for 1s, then gave up"
        );
        assert_eq!(world.task(task)["error"], json!({"code": "PERMISSION_DENIED", "message": message}));
        assert_eq!(world.applied(task), 0);
    }
}

#[tokio::test]
async fn single_unreachable_task_fails_after_hold_for() {
    let world = World::new().await;
    world.script(&format!("{QUICK}hold_for = \"2s\"\n"), "");
    world.rules(
        &json!([{"account": "ann", "method": "create_account", "error": down("TIMEOUT", &json!({}))}]),
    );
    let task = world.task_for("create_account", json!("ann"));
    let daemon = world.start();
    // Other tasks reach the target all the time, so it is not unreachable.
    let mut others = 0;
    while world.task(&task)["status"] == "pending" {
        let other = world.task_for("create_account", json!(format!("user-{others}")));
        eventually("another task is done", || world.task(&other)["status"] == "completed").await;
        others += 1;
        assert!(others < 1000, "it is tried for ever: {:?}", world.attempts(&task));
    }
    daemon.stop().await;
    assert_eq!(world.code(&task), "TIMEOUT");
    assert!(world.message(&task).ends_with("held for 2s, then gave up"), "{}", world.message(&task));
}

#[tokio::test]
async fn unstartable_connector_holds_tasks_and_then_fails_them() {
    for hold_for in ["1h", "1s"] {
        let world = World::new().await;
        world.script(&format!("{QUICK}hold_for = \"{hold_for}\"\n"), "");
        world.rules(&json!([{"method": "initialize", "error": {"message": "HR refuses the token", "data": {"code": "PERMISSION_DENIED"}}}]));
        let tasks: Vec<String> =
            (0..10).map(|n| world.task_for("create_account", json!(format!("user-{n}")))).collect();
        let daemon = world.start();
        daemon.says("HR refuses the token").await;
        if hold_for == "1h" {
            daemon.says("the target is still unreachable").await;
            assert_eq!(world.tasks_that_are("pending"), 10);
            world.rules(&json!([]));
        }
        world.drained().await;
        let log = daemon.stop().await;
        for task in &tasks {
            if hold_for == "1h" {
                assert_eq!(
                    (world.task(task)["status"].as_str(), world.applied(task)),
                    (Some("completed"), 1)
                );
            } else {
                assert_eq!(world.code(task), "PERMISSION_DENIED");
                let message = world.message(task);
                assert!(
                    message.contains("HR refuses the token") && message.contains("held for 1s"),
                    "{message}"
                );
            }
        }
        assert!(log.matches("cannot describe what it offers").count() <= 8, "not once for each task: {log}");
    }
}

#[tokio::test]
async fn outage_before_verification_loses_nothing() {
    let world = World::new().await;
    world.script_with(", own_ids = true", QUICK, "");
    let cut = down("TIMEOUT", &json!({"effect": "unknown"}));
    let out = down("PERMISSION_DENIED", &json!({}));
    world.rules(&json!([
        {"method": "create_account", "apply": true, "error": cut},
        {"method": "find_account", "error": out},
        {"method": "check", "error": out},
    ]));
    let task = world.task_for("create_account", json!("ann"));
    let daemon = world.start();
    daemon.says("the target is still unreachable").await;
    assert_eq!(world.task(&task)["status"], "pending");
    world.rules(&json!([]));
    world.drained().await;
    daemon.stop().await;
    assert_eq!((world.attempts(&task), world.applied(&task)), (vec![1], 1));
    assert_eq!(world.task(&task)["result"], json!({"account_id": "e-1"}));
}
