//! Beyond the allowed number of deletions within a period, further ones wait for the operator.

use serde_json::{Value, json};

use crate::support::{Daemon, World, eventually};

/// A folder of accounts `u0`, `u1`… and a deprovision limit.
async fn world(people: usize, guard: &str) -> World {
    let world = World::new().await;
    let lines = (0..people).map(|n| format!("u{n},u{n}@example.org,u{n},,active\n"));
    let header = "id,email,username,display_name,status\n".to_owned();
    let accounts: String = std::iter::once(header).chain(lines).collect();
    world.write("people/accounts.csv", &accounts);
    configure(&world, guard);
    world
}

fn configure(world: &World, guard: &str) {
    world.configure(&format!(
        "connector = \"file\"\nsync = {{ enabled = false }}\n\
         tasks = {{ poll_interval = \"100ms\", {guard} }}\n[apps.hr.target]\npath = \"people\"\n"
    ));
}

/// A task created at this second.
fn task(world: &World, action: &str, account: &str, second: usize, changes: &Value) -> String {
    let payload = json!({"account": {"id": account}, "changes": changes});
    let created_at = format!("2026-01-01T00:{:02}:{:02}Z", second / 60, second % 60);
    world.sandbox.add_task(world.app, json!({"action": action, "created_at": created_at, "payload": payload}))
}

fn delete(world: &World, account: &str, second: usize) -> String {
    task(world, "delete_account", account, second, &Value::Null)
}

fn statuses(world: &World, tasks: &[String]) -> Vec<String> {
    tasks.iter().map(|id| world.task(id)["status"].as_str().expect("a status").to_owned()).collect()
}

/// Runs the first one of its kind until `count` tasks are held and everything else has ended.
async fn held(world: &World, daemon: &Daemon, tasks: &[String]) {
    daemon.says("task_guard").await;
    eventually("all but the held ones have ended", || world.tasks_that_are("pending") == tasks.len()).await;
    world.polled().await;
    assert!(statuses(world, tasks).iter().all(|status| status == "pending"), "{}", daemon.log());
}

#[tokio::test]
async fn deletion_over_the_hourly_limit_is_held_while_others_run() {
    let world = world(60, "guard = { max = 50, per = \"1h\" }").await;
    let passed: Vec<String> = (0..50).map(|n| delete(&world, &format!("u{n}"), n)).collect();
    let last = delete(&world, "u50", 50);
    let behind = task(&world, "update_account", "u50", 51, &json!({"display_name": "Late"}));
    let suspension = task(&world, "suspend_account", "u51", 52, &Value::Null);
    let other = task(&world, "update_account", "u52", 53, &json!({"display_name": "Ann"}));
    let create = world.sandbox.add_task(
        world.app,
        json!({"action": "create_account", "payload": {"account": {"username": "new", "email": "new@example.org"}}}),
    );
    let daemon = world.start();
    let waiting = [last.clone(), behind, suspension];
    held(&world, &daemon, &waiting).await;
    assert!(statuses(&world, &passed).iter().all(|status| status == "completed"));
    assert_eq!(statuses(&world, &[other, create]), ["completed", "completed"]);
    let log = daemon.log();
    assert!(log.contains("50 executed within 1h (apps.hr.tasks.guard allows 50)"), "{log}");
    assert!(log.contains("`bridgehead tasks release hr --all`"), "{log}");

    // Later tasks of other accounts: those that remove no access run, those that do are held as well.
    let later = delete(&world, "u53", 60);
    let fine = task(&world, "update_account", "u54", 61, &json!({"display_name": "Bob"}));
    eventually("the update goes on", || world.task(&fine)["status"] == "completed").await;
    world.polled().await;
    assert_eq!(world.task(&later)["status"], "pending");
    let log = daemon.stop().await;
    assert_eq!(log.matches("alarm=\"task_guard\"").count(), 1, "one alarm for one holding: {log}");
    let people = world.read("people/accounts.csv");
    assert!(
        people.contains("u50,u50@example.org,u50,,active")
            && people.contains("u51,u51@example.org,u51,,active")
    );
}

#[tokio::test]
async fn limit_counts_and_held_tasks_survive_a_restart() {
    let world = world(5, "guard = { max = 2, per = \"1h\" }").await;
    let done: Vec<String> = (0..2).map(|n| delete(&world, &format!("u{n}"), n)).collect();
    let daemon = world.start();
    world.drained().await;
    daemon.stop().await;
    assert_eq!(statuses(&world, &done), ["completed", "completed"]);

    let third = delete(&world, "u2", 2);
    let daemon = world.start();
    held(&world, &daemon, std::slice::from_ref(&third)).await;
    daemon.kill();

    // Although enough time has passed by now, held tasks need the operator.
    configure(&world, "guard = { max = 2, per = \"1s\" }");
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    let daemon = world.start();
    let fourth = delete(&world, "u3", 3);
    held(&world, &daemon, &[third.clone(), fourth]).await;
    assert!(daemon.log().contains("task_guard"), "a new process tells of it again");
    daemon.stop().await;
}

#[tokio::test]
async fn held_task_resolved_in_iden_blocks_no_other() {
    let world = world(5, "guard = { max = 1, per = \"1s\" }").await;
    let tasks: Vec<String> = (0..2).map(|n| delete(&world, &format!("u{n}"), n)).collect();
    let daemon = world.start();
    held(&world, &daemon, &tasks[1..]).await;
    // An administrator resolves it in Iden.
    let url =
        format!("{}/api/v1/bridge/apps/{}/tasks/{}/status/", world.sandbox.base_url(), world.app, tasks[1]);
    let answer = reqwest::Client::new()
        .patch(url)
        .header("Authorization", format!("Api-Key {}", crate::support::KEY))
        .header("Content-Type", "application/json")
        .body(
            json!({"status": "failed", "error": {"code": "INTERNAL_ERROR", "message": "cancelled"}})
                .to_string(),
        )
        .send()
        .await
        .expect("an answer");
    assert!(answer.status().is_success());
    daemon.says("dropping held tasks that are no longer pending in Iden").await;
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    let next = delete(&world, "u2", 2);
    eventually("the next one passes", || world.task(&next)["status"] == "completed").await;
    assert!(world.read("people/accounts.csv").contains("u1,"), "it was never executed");
    daemon.stop().await;
}

fn listed(output: &std::process::Output) -> Vec<String> {
    let rows: Vec<Value> = serde_json::from_slice(&output.stdout).expect("JSON");
    rows.iter().map(|row| row["task"].as_str().expect("an id").to_owned()).collect()
}

#[tokio::test]
async fn release_executes_only_the_named_tasks_in_account_order() {
    let world = world(8, "guard = { max = 1, per = \"1h\" }").await;
    let tasks: Vec<String> = (0..4).map(|n| delete(&world, &format!("u{n}"), n)).collect();
    let behind = task(&world, "update_account", "u1", 10, &json!({"display_name": "Late"}));
    let daemon = world.start();
    let mut waiting = tasks[1..].to_vec();
    waiting.push(behind.clone());
    held(&world, &daemon, &waiting).await;

    let shown = world.run(&["tasks", "list", "hr", "--held", "--json"]).await;
    assert_eq!(listed(&shown), tasks[1..]);
    let shown = world.run(&["tasks", "list"]).await;
    let text = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert_eq!(text.lines().filter(|line| line.contains(" held ")).count(), 3, "{text}");
    assert!(text.contains("`bridgehead tasks release hr TASK…`"), "{text}");

    let done = world.run(&["tasks", "release", "hr", &tasks[1], "--json"]).await;
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    let answer: Value = serde_json::from_slice(&done.stdout).expect("JSON");
    assert_eq!(answer, json!({"app": "hr", "by": "daemon", "released": [tasks[1]], "not_held": []}));
    eventually("the one behind it follows", || world.task(&behind)["status"] == "failed").await;
    assert_eq!(world.task(&behind)["error"]["code"], "ACCOUNT_NOT_FOUND", "it came after the deletion");
    world.polled().await;
    assert_eq!(statuses(&world, &tasks), ["completed", "completed", "pending", "pending"]);

    let again = world.run(&["tasks", "release", "hr", &tasks[1], &tasks[2]]).await;
    assert_eq!(again.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&again.stderr).contains(&format!("so not released: {}", tasks[1])));
    let done = world.run(&["tasks", "release", "hr", "--all"]).await;
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(said.contains(&format!("Released 1 task of hr, they are executed now: {}", tasks[3])), "{said}");
    world.drained().await;
    assert!(statuses(&world, &tasks).iter().all(|status| status == "completed"));

    // The window is now over the limit.
    let next = delete(&world, "u5", 20);
    eventually("another alarm", || daemon.log().matches("alarm=\"task_guard\"").count() == 2).await;
    assert_eq!(world.task(&next)["status"], "pending");
    daemon.stop().await;
}

#[tokio::test]
async fn release_without_a_daemon_applies_at_next_start() {
    let world = world(5, "guard = { max = 0, per = \"1h\" }").await;
    let tasks: Vec<String> = (0..2).map(|n| delete(&world, &format!("u{n}"), n)).collect();
    let daemon = world.start();
    held(&world, &daemon, &tasks).await;
    daemon.stop().await;

    let shown = world.run(&["tasks", "list", "--held", "--json"]).await;
    assert_eq!(listed(&shown), tasks);
    let done = world.run(&["tasks", "release", "hr", "--all"]).await;
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(said.contains("Released 2 tasks of hr, they are executed when the daemon runs"), "{said}");
    let none = world.run(&["tasks", "release", "hr", "--all"]).await;
    assert!(none.status.success());
    assert_eq!(String::from_utf8_lossy(&none.stdout), "No held tasks in hr.\n");

    let third = delete(&world, "u2", 2);
    let daemon = world.start();
    held(&world, &daemon, std::slice::from_ref(&third)).await;
    assert!(statuses(&world, &tasks).iter().all(|status| status == "completed"));
    daemon.stop().await;
}

#[tokio::test]
async fn restart_after_a_release_keeps_released_and_held_tasks() {
    let world = world(5, "guard = { max = 0, per = \"1h\" }").await;
    let tasks: Vec<String> = (0..2).map(|n| delete(&world, &format!("u{n}"), n)).collect();
    let daemon = world.start();
    held(&world, &daemon, &tasks).await;
    // The target is unreachable when the task is released, and the daemon is killed before it is reachable again.
    std::fs::rename(world.path("people"), world.path("away")).expect("moved");
    let done = world.run(&["tasks", "release", "hr", &tasks[0]]).await;
    assert!(done.status.success(), "{done:?}");
    daemon.kill();
    std::fs::rename(world.path("away"), world.path("people")).expect("moved back");
    let daemon = world.start();
    held(&world, &daemon, &tasks[1..]).await;
    assert_eq!(world.task(&tasks[0])["status"], "completed");
    daemon.stop().await;
}

#[tokio::test]
async fn held_tasks_run_once_the_limit_is_removed() {
    let world = world(3, "guard = { max = 0, per = \"1h\" }").await;
    let tasks = [delete(&world, "u0", 0)];
    let daemon = world.start();
    held(&world, &daemon, &tasks).await;
    daemon.stop().await;
    configure(&world, "enabled = true");
    let daemon = world.start();
    world.drained().await;
    assert_eq!(statuses(&world, &tasks), ["completed"]);
    daemon.stop().await;
    configure(&world, "guard = { max = 0, per = \"1h\" }");
    let shown = world.run(&["tasks", "list", "--held", "--json"]).await;
    assert!(listed(&shown).is_empty(), "it is forgotten for good");
}
