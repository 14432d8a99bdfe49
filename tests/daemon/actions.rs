//! What an operator sees of one task, and can do about tasks, syncs and apps: with the daemon running, and without one.

use std::process::{Output, Stdio};

use serde_json::{Value, json};

use crate::support::{Daemon, World, eventually};

/// Limits that are long enough for a task to wait until the operator acts.
pub(crate) const PATIENT: &str = "poll_interval = \"100ms\"\ntimeout = \"1s\"\ngive_up_after = \"30m\"\n";
/// An app with quick tasks and a slow sync.
pub(crate) const SLOW_SYNC: &str = "connector = \"simulated\"\nsync = { enabled = false }\ntasks = { poll_interval = \"100ms\" }\n\
                         [apps.hr.target]\naccounts = 100000\nlatency = \"100ms\"\n";

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn parsed(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

pub(crate) fn error(code: &str, more: Value) -> Value {
    let mut data = more;
    data["code"] = json!(code);
    json!({"message": format!("HR says {code}"), "data": data})
}

async fn story(world: &World, task: &str) -> Value {
    let shown = world.run(&["tasks", "show", "hr", task, "--json"]).await;
    assert_eq!(shown.status.code(), Some(0), "{shown:?}");
    parsed(&shown)
}

/// Polls the task's history until it is as wanted.
pub(crate) async fn story_until(world: &World, task: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    let deadline = tokio::time::Instant::now() + crate::support::PATIENCE;
    loop {
        let story = story(world, task).await;
        if is_so(&story) {
            return story;
        }
        assert!(tokio::time::Instant::now() < deadline, "this did not happen in time: {story:#}");
    }
}

pub(crate) fn phases(story: &Value) -> Vec<&str> {
    let steps = story["steps"].as_array().expect("steps");
    steps.iter().map(|step| step["phase"].as_str().expect("a phase")).collect()
}

/// A suspension that was applied without a response, in a target that does not show accounts: its outcome is unknown.
pub(crate) async fn unknown(world: &World) -> (Daemon, String) {
    unknown_with(world, "", &[]).await
}

/// The same with additional configuration and environment variables.
pub(crate) async fn unknown_with(world: &World, more: &str, variables: &[(&str, &str)]) -> (Daemon, String) {
    world.script(PATIENT, more);
    world.account(&json!({"id": "id-ann", "username": "ann", "status": "active"}));
    world.rules(&json!([
        {"method": "suspend_account", "apply": true, "hang": 3},
        {"method": "find_account", "error": error("RATE_LIMITED", json!({"retry_after": 900}))},
    ]));
    let task = world.task_for("suspend_account", json!({"id": "id-ann"}));
    let daemon = world.start_with(variables);
    daemon.says("ready").await;
    let told = story_until(world, &task, |story| {
        story["effect_unknown"] == true && phases(story).last() == Some(&"wait")
    })
    .await;
    assert!(told["next"].as_str().expect("a sentence").contains("tasks resolve hr"), "{told:#}");
    (daemon, task)
}

#[tokio::test]
async fn waiting_task_is_shown_and_retried_on_request() {
    let world = World::new().await;
    world.script(PATIENT, "");
    world.rules(&json!([
        {"method": "create_account", "account": "ann", "error": error("RATE_LIMITED", json!({"retry_after": 900})), "times": 1},
    ]));
    let task = world.task_for("create_account", json!("ann"));
    let daemon = world.start();
    daemon.says("ready").await;
    let waits = story_until(&world, &task, |story| phases(story).last() == Some(&"wait")).await;
    assert_eq!((&waits["standing"], &waits["by"]), (&json!("begun"), &json!("daemon")));
    assert_eq!((&waits["attempts"], &waits["username"]), (&json!(1), &json!("ann")));
    assert_eq!(phases(&waits), ["fetch", "admit", "look_up", "execute", "wait"], "{waits:#}");
    let steps = waits["steps"].as_array().expect("steps");
    assert_eq!(steps[3]["code"], "RATE_LIMITED");
    assert!(steps[3]["message"].as_str().expect("a message").contains("HR says RATE_LIMITED"));
    assert!(steps[4]["next_try_at"].is_string() && waits["next_try_at"].is_string(), "{waits:#}");
    let text = stdout(&world.run(&["tasks", "show", "hr", &task]).await);
    assert!(text.contains("Iden created the task") && text.contains("HR says RATE_LIMITED"), "{text}");
    assert!(text.contains(&format!("tasks retry hr {task}")), "{text}");

    let retried = world.run(&["tasks", "retry", "hr", &task, "--json"]).await;
    assert_eq!(retried.status.code(), Some(0), "{retried:?}");
    assert_eq!(parsed(&retried)["woken"], json!([task]));
    world.drained().await;
    assert_eq!(
        (world.attempts(&task), world.task(&task)["status"].as_str()),
        (vec![1, 2], Some("completed"))
    );
    let done = story_until(&world, &task, |story| story["standing"] == "reported").await;
    assert_eq!((&done["report"], &done["outcome"]), (&json!("accepted"), &json!("completed")));
    assert!(done["reported_at"].is_string());
    assert_eq!(
        phases(&done),
        ["fetch", "admit", "look_up", "execute", "wait", "execute", "verify"],
        "{done:#}"
    );
    let late = world.run(&["tasks", "retry", "hr", &task]).await;
    assert_eq!(late.status.code(), Some(1), "it does not wait any more: {late:?}");
    daemon.stop().await;
}

#[tokio::test]
async fn task_history_is_shown_without_a_daemon() {
    let world = World::new().await;
    world.script(PATIENT, "");
    world.rules(&json!([
        {"method": "create_account", "account": "ann", "error": error("RATE_LIMITED", json!({"retry_after": 900}))},
    ]));
    let task = world.task_for("create_account", json!("ann"));
    let daemon = world.start();
    daemon.says("ready").await;
    story_until(&world, &task, |story| phases(story).last() == Some(&"wait")).await;
    daemon.kill();
    let told = story(&world, &task).await;
    assert_eq!((&told["by"], &told["standing"]), (&json!("state"), &json!("begun")));
    assert_eq!(phases(&told), ["fetch", "admit", "look_up", "execute", "wait"]);
    assert!(told["next"].as_str().expect("a sentence").contains("is not running"), "{told:#}");
    let by_id = world.run(&["tasks", "show", &task, "--json"]).await;
    assert_eq!((by_id.status.code(), &parsed(&by_id)["task"]), (Some(0), &told["task"]), "{by_id:?}");
    let nowhere = world.run(&["tasks", "show", "no-such-task"]).await;
    assert_eq!(nowhere.status.code(), Some(1));
    assert!(stderr(&nowhere).contains("no app (hr) has a task no-such-task"), "{nowhere:?}");
    let unknown = world.run(&["tasks", "show", "hr", "no-such-task"]).await;
    assert_eq!(unknown.status.code(), Some(1));
    assert!(
        stderr(&unknown).contains("hr has no task no-such-task: neither Iden nor the journal knows it"),
        "{unknown:?}"
    );
}

#[tokio::test]
async fn resolved_task_of_unknown_effect_is_never_executed_again() {
    let world = World::new().await;
    let (daemon, task) = unknown(&world).await;
    let asked = ["tasks", "resolve", "hr", &task, "--completed", "--reason", "seen in HR"];
    let unasked = world.run(&asked).await;
    assert_eq!(unasked.status.code(), Some(2), "nobody is there to agree: {unasked:?}");
    assert_eq!(world.task(&task)["status"], "pending");
    let resolved = world.run(&[&asked[..], &["--yes"]].concat()).await;
    assert_eq!(resolved.status.code(), Some(0), "{resolved:?}");
    world.drained().await;
    let task_in_iden = world.task(&task);
    assert_eq!(
        (&task_in_iden["status"], &task_in_iden["result"]["resolved_by"]),
        (&json!("completed"), &json!("operator"))
    );
    assert_eq!(task_in_iden["result"]["reason"], "seen in HR");
    let told = story_until(&world, &task, |story| story["standing"] == "reported").await;
    assert!(phases(&told).contains(&"resolve"), "{told:#}");
    let again = world.run(&[&asked[..], &["--yes"]].concat()).await;
    assert_eq!(again.status.code(), Some(1));
    assert!(stderr(&again).contains("it is resolved, and the result was reported to Iden"), "{again:?}");
    daemon.stop().await;
    assert_eq!(world.attempts(&task), [1]);
}

#[tokio::test]
async fn task_resolved_without_a_daemon_is_reported_at_next_start() {
    let world = World::new().await;
    let (daemon, task) = unknown(&world).await;
    daemon.kill();
    let asked = ["tasks", "resolve", "hr", &task, "--failed", "--reason", "not seen in HR", "--yes"];
    let resolved = world.run(&asked).await;
    assert_eq!(resolved.status.code(), Some(0), "{resolved:?}");
    assert_eq!(world.task(&task)["status"], "pending");
    let daemon = world.start();
    world.drained().await;
    assert_eq!(
        (world.task(&task)["status"].as_str(), world.code(&task).as_str()),
        (Some("failed"), "INTERNAL_ERROR")
    );
    assert!(world.message(&task).contains("not seen in HR"), "{}", world.message(&task));
    daemon.stop().await;
    assert_eq!(world.attempts(&task), [1]);
}

#[tokio::test]
async fn only_a_task_of_unknown_effect_can_be_resolved() {
    let world = World::new().await;
    world.script(PATIENT, "");
    world.rules(&json!([
        {"method": "create_account", "account": "ann", "error": error("RATE_LIMITED", json!({"retry_after": 900}))},
    ]));
    let task = world.task_for("create_account", json!("ann"));
    let daemon = world.start();
    daemon.says("ready").await;
    story_until(&world, &task, |story| phases(story).last() == Some(&"wait")).await;
    let refused =
        world.run(&["tasks", "resolve", "hr", &task, "--completed", "--reason", "why not", "--yes"]).await;
    assert_eq!(refused.status.code(), Some(1));
    assert!(stderr(&refused).contains("known to have changed nothing"), "{refused:?}");
    assert_eq!(world.task(&task)["status"], "pending");
    for wrong in [
        &["tasks", "resolve", "hr", "t", "--reason", "x"][..],
        &["tasks", "resolve", "hr", "t", "--completed", "--failed", "--reason", "x"],
        &["tasks", "resolve", "hr", "t", "--completed"],
    ] {
        assert_eq!(world.run(wrong).await.status.code(), Some(2), "{wrong:?}");
    }
    daemon.stop().await;
}

#[tokio::test]
async fn paused_app_starts_nothing_across_restarts_until_resumed() {
    let world = World::new().await;
    world.script(PATIENT, "");
    let daemon = world.start();
    daemon.says("ready").await;
    let paused = world.run(&["apps", "pause", "hr", "--reason", "migration of HR"]).await;
    assert_eq!(paused.status.code(), Some(0), "{paused:?}");
    let task = world.task_for("create_account", json!("ann"));
    world.polled().await;
    assert_eq!((world.task(&task)["status"].as_str(), world.attempts(&task)), (Some("pending"), vec![]));
    let refused = world.run(&["sync", "hr"]).await;
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        stderr(&refused).contains("hr is paused") && stderr(&refused).contains("apps resume hr"),
        "{refused:?}"
    );
    let status = parsed(&world.run(&["status", "--json"]).await);
    assert_eq!(status["apps"]["hr"]["paused"]["reason"], "migration of HR");
    let alarms = status["apps"]["hr"]["alarms"].as_array().expect("alarms");
    assert_eq!(
        alarms.iter().map(|alarm| &alarm["kind"]).collect::<Vec<_>>(),
        [&json!("paused")],
        "{alarms:?}"
    );
    daemon.stop().await;

    let alone = world.run(&["sync", "hr"]).await;
    assert!(stderr(&alone).contains("hr is paused"), "{alone:?}");
    let daemon = world.start();
    daemon.says("the app is paused").await;
    world.polled().await;
    assert_eq!(world.attempts(&task), Vec::<u64>::new());
    let told = story(&world, &task).await;
    assert!(told["next"].as_str().expect("a sentence").contains("apps resume hr"), "{told:#}");
    let resumed = world.run(&["apps", "resume", "hr"]).await;
    assert_eq!(stdout(&resumed), "hr is resumed.\n");
    world.drained().await;
    assert_eq!(world.task(&task)["status"], "completed");
    assert_eq!(stdout(&world.run(&["apps", "resume", "hr"]).await), "hr was not paused.\n");
    daemon.stop().await;
}

#[tokio::test]
async fn tasks_started_before_a_pause_are_finished() {
    let world = World::new().await;
    world.script(PATIENT, "");
    world.rules(&json!([
        {"method": "create_account", "account": "ann", "error": error("RATE_LIMITED", json!({"retry_after": 900})), "times": 1},
    ]));
    let task = world.task_for("create_account", json!("ann"));
    let daemon = world.start();
    daemon.says("ready").await;
    story_until(&world, &task, |story| phases(story).last() == Some(&"wait")).await;
    assert!(world.run(&["apps", "pause", "hr"]).await.status.success());
    assert!(world.run(&["tasks", "retry", "hr", &task]).await.status.success());
    world.drained().await;
    assert_eq!(world.task(&task)["status"], "completed");
    daemon.stop().await;
}

#[tokio::test]
async fn cancelled_sync_removes_no_account() {
    let world = World::new().await;
    world.configure(SLOW_SYNC);
    let daemon = world.start();
    daemon.says("ready").await;
    let none = world.run(&["sync", "--cancel", "hr"]).await;
    assert_eq!((none.status.code(), stdout(&none).as_str()), (Some(1), ""), "{none:?}");
    let told = String::from_utf8_lossy(&none.stderr).into_owned();
    assert!(told.starts_with("No sync of hr is running, so none was cancelled."), "{told}");
    let child = world.command(&["sync", "hr"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let child = child.expect("it starts");
    eventually("something is pushed", || world.sandbox.ledger().iter().any(|entry| entry.method == "PUT"))
        .await;
    let cancelled = world.run(&["sync", "--cancel", "hr", "--json"]).await;
    assert_eq!(cancelled.status.code(), Some(0), "{cancelled:?}");
    assert_eq!(parsed(&cancelled)["ended"], "abandoned");
    let ended =
        tokio::task::spawn_blocking(move || child.wait_with_output().expect("it ends")).await.unwrap();
    assert!(stdout(&ended).contains("hr: abandoned - cancelled by an operator"), "{ended:?}");
    let ledger = world.sandbox.ledger();
    assert!(ledger.iter().any(|entry| entry.path.ends_with("/abandon/")));
    assert!(!ledger.iter().any(|entry| entry.path.ends_with("/complete/")));
    assert_eq!(world.run(&["sync", "--cancel", "hr", "other"]).await.status.code(), Some(2));
    daemon.stop().await;
    let alone = world.run(&["sync", "--cancel", "hr"]).await;
    assert_eq!(alone.status.code(), Some(1), "{alone:?}");
}

#[tokio::test]
async fn lists_are_sorted_filtered_and_exported() {
    let world = World::new().await;
    world.script(PATIENT, "");
    for (number, name) in ["zoe", "ann", "=bob"].into_iter().enumerate() {
        let account =
            json!({"id": format!("u{number}"), "username": name, "email": format!("{number}@example.org")});
        let created_at = format!("2026-01-01T00:00:0{number}Z");
        world.sandbox.add_task(
            world.app,
            json!({"action": "delete_account", "created_at": created_at, "payload": {"account": account}}),
        );
    }
    let csv = stdout(&world.run(&["tasks", "list", "hr", "--csv", "--sort", "who"]).await);
    let lines: Vec<&str> = csv.lines().collect();
    assert!(lines[0].starts_with("app,task,action,account,username,email"), "{csv}");
    let names: Vec<&str> = lines[1..].iter().map(|line| line.split(',').nth(4).expect("a name")).collect();
    assert_eq!(names, ["'=bob", "ann", "zoe"], "no cell is a formula");
    let newest = parsed(&world.run(&["tasks", "list", "--sort", "newest", "--limit", "2", "--json"]).await);
    let names: Vec<&str> = newest
        .as_array()
        .expect("rows")
        .iter()
        .map(|row| row["username"].as_str().expect("a name"))
        .collect();
    assert_eq!(names, ["=bob", "ann"]);
    let one = stdout(&world.run(&["tasks", "list", "--account", "ANN"]).await);
    assert!(one.contains("1@example.org") && one.contains("hr: 1 of 1 pending task"), "{one}");
    let none = stdout(&world.run(&["tasks", "list", "--action", "create_account"]).await);
    assert_eq!(none, "No pending tasks of this selection.\n");
}
