//! Commands while a daemon is running, and without one.

use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::process::{Output, Stdio};

use bridgehead::sandbox::{Effect, Fault};
use serde_json::{Value, json};

use crate::support::{World, eventually};

const NO_SYNC: &str = "connector = \"file\"\nsync = { enabled = false }\ntasks = { poll_interval = \"100ms\" }\n\
                       [apps.hr.target]\npath = \"people\"\n";

async fn world(people: usize, app: &str) -> World {
    let world = World::new().await;
    people_of(&world, people);
    world.configure(app);
    world
}

fn people_of(world: &World, people: usize) {
    let lines = (0..people).map(|n| format!("u{n},u{n}@example.org,u{n},active\n"));
    let text: String = std::iter::once("id,email,username,status\n".to_owned()).chain(lines).collect();
    world.write("people/accounts.csv", &text);
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn active(world: &World) -> usize {
    world.sandbox.records(world.app, "account").iter().filter(|record| record["active"] == true).count()
}

/// A suspension whose report Iden rejects this many times.
fn rejected(world: &World, times: u64) -> String {
    let fault = Fault::new(Effect::answer_json(400, json!({"detail": "unknown field"})));
    world.sandbox.add_fault(fault.method("PATCH").path("**/status/").times(times));
    world
        .sandbox
        .add_task(world.app, json!({"action": "suspend_account", "payload": {"account": {"id": "u0"}}}))
}

#[tokio::test]
async fn sync_command_is_run_by_the_daemon_and_followed() {
    let world = world(30, NO_SYNC).await;
    let daemon = world.start();
    daemon.says("ready").await;
    let done = world.run(&["sync", "hr", "--json"]).await;
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    let summary: Value = serde_json::from_slice(&done.stdout).expect("JSON");
    assert_eq!(summary["hr"]["result"], "completed");
    assert_eq!(summary["hr"]["resource_types"]["account"]["listed"], 30);
    assert_eq!(active(&world), 30);

    people_of(&world, 10);
    let held = world.run(&["sync"]).await;
    assert_eq!(held.status.code(), Some(1), "{held:?}");
    assert!(stdout(&held).contains("hr: held") && stdout(&held).contains("--allow-removals"), "{held:?}");
    assert_eq!(active(&world), 30);
    let allowed = world.run(&["sync", "hr", "--allow-removals"]).await;
    assert_eq!(allowed.status.code(), Some(0), "{allowed:?}");
    assert!(stdout(&allowed).contains("hr: completed") && stdout(&allowed).contains("account removed:"));
    eventually("Iden has cleaned up", || active(&world) == 10).await;
    let log = daemon.stop().await;
    assert_eq!(log.matches("INFO sync requested by the operator").count(), 3, "{log}");
}

#[tokio::test]
async fn interrupted_sync_command_makes_the_daemon_abandon_it() {
    let app = "connector = \"simulated\"\nsync = { enabled = false }\ntasks = { poll_interval = \"100ms\" }\n\
               [apps.hr.target]\naccounts = 100000\nlatency = \"100ms\"\n";
    let world = world(0, app).await;
    let daemon = world.start();
    daemon.says("ready").await;
    let mut command = world.command(&["sync", "hr"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    daemon.says("sync requested by the operator").await;
    eventually("something is pushed", || world.sandbox.ledger().iter().any(|entry| entry.method == "PUT"))
        .await;
    let id = child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &id]).status().expect("kill runs").success());
    let ended =
        tokio::task::spawn_blocking(move || child.wait_with_output().expect("it ends")).await.unwrap();
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    assert!(stdout(&ended).contains("hr: abandoned"), "{ended:?}");
    daemon.says("the sync requested by the operator has ended").await;
    eventually("it is abandoned in Iden", || {
        world.sandbox.ledger().iter().any(|entry| entry.path.ends_with("/abandon/"))
    })
    .await;
    daemon.stop().await;
}

#[tokio::test]
async fn rejected_report_is_retried_through_the_daemon() {
    let world = world(1, NO_SYNC).await;
    let daemon = world.start();
    let task = rejected(&world, 2);
    daemon.says("Iden rejected the report of this task").await;
    let shown = world.run(&["tasks", "list", "hr", "--rejected", "--json"]).await;
    let rows: Value = serde_json::from_slice(&shown.stdout).expect("JSON");
    assert_eq!((&rows[0]["task"], &rows[0]["status"]), (&json!(task), &json!("completed")));
    assert!(rows[0]["detail"].as_str().expect("a reason").contains("unknown field"), "{rows}");

    let again = world.run(&["tasks", "retry", "hr", &task]).await;
    assert_eq!(again.status.code(), Some(1), "{again:?}");
    assert!(
        stdout(&again).contains("rejected again") && stdout(&again).contains("unknown field"),
        "{again:?}"
    );
    assert_eq!(world.task(&task)["status"], "pending");

    let done = world.run(&["tasks", "retry", "hr", "--all", "--json"]).await;
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    let answer: Value = serde_json::from_slice(&done.stdout).expect("JSON");
    assert_eq!(answer["retried"], json!([{"task": task, "answer": "accepted", "detail": null}]));
    assert_eq!((&answer["by"], &world.task(&task)["status"]), (&json!("daemon"), &json!("completed")));
    let none = world.run(&["tasks", "retry", "hr", &task]).await;
    assert_eq!(none.status.code(), Some(1));
    assert!(stderr(&none).contains("no rejected report"), "{none:?}");
    daemon.stop().await;
}

#[tokio::test]
async fn rejected_report_is_retried_without_a_daemon() {
    let world = world(1, NO_SYNC).await;
    let daemon = world.start();
    let task = rejected(&world, 1);
    daemon.says("Iden rejected the report of this task").await;
    daemon.stop().await;
    let outage = world.sandbox.add_fault(Fault::new(Effect::answer(503)).method("PATCH"));
    let later = world.run(&["tasks", "retry", "hr", "--all"]).await;
    assert_eq!(later.status.code(), Some(75), "{later:?}");
    assert!(stdout(&later).contains("could not be reported now"), "{later:?}");
    world.sandbox.remove_fault(outage);
    let done = world.run(&["tasks", "retry", "hr", "--all"]).await;
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    assert_eq!(stdout(&done), format!("{task}: reported and accepted\n"));
    assert_eq!(world.task(&task)["status"], "completed");
    let none = world.run(&["tasks", "retry", "hr", "--all"]).await;
    assert_eq!((none.status.code(), stdout(&none).as_str()), (Some(0), "No rejected reports in hr.\n"));
}

#[tokio::test]
async fn control_socket_is_private_and_removed_with_the_daemon() {
    let world = world(1, NO_SYNC).await;
    let socket = world.path("state/control.sock");
    let daemon = world.start();
    daemon.says("ready").await;
    let found = std::fs::metadata(&socket).expect("it is there");
    assert!(found.file_type().is_socket());
    assert_eq!(found.permissions().mode() & 0o777, 0o600);
    // A killed daemon leaves the socket behind: it is treated as missing, and the next daemon replaces it.
    daemon.kill();
    assert!(socket.exists());
    let alone = world.run(&["sync"]).await;
    assert_eq!(alone.status.code(), Some(0), "{alone:?}");
    let daemon = world.start();
    daemon.says("ready").await;
    let beside = world.run(&["tasks", "release", "hr", "--all"]).await;
    assert_eq!(stdout(&beside), "No held tasks in hr.\n");
    daemon.stop().await;
    assert!(!socket.exists());
}

#[tokio::test]
async fn removed_control_socket_is_restored_while_the_daemon_runs() {
    let world = world(1, NO_SYNC).await;
    let socket = world.path("state/control.sock");
    let daemon = world.start();
    daemon.says("ready").await;
    std::fs::remove_file(&socket).expect("it is there");
    eventually("the daemon listens again", || socket.exists()).await;
    let found = std::fs::metadata(&socket).expect("it is there");
    assert_eq!(found.permissions().mode() & 0o777, 0o600);
    let beside = world.run(&["tasks", "release", "hr", "--all"]).await;
    assert_eq!(stdout(&beside), "No held tasks in hr.\n");
    let log = daemon.stop().await;
    assert!(log.contains("the control socket was removed by another program"), "{log}");
    assert!(!socket.exists());
}

#[tokio::test]
async fn daemon_runs_without_a_socket_if_its_path_is_too_long() {
    let world = world(1, NO_SYNC).await;
    let long = format!("path = \"{}\"", "s".repeat(120));
    world.write("bridgehead.toml", &world.read("bridgehead.toml").replace("path = \"state\"", &long));
    let daemon = world.start();
    daemon.says("commands cannot reach this daemon").await;
    daemon.says("ready").await;
    for arguments in [&["sync"][..], &["tasks", "release", "hr", "--all"], &["tasks", "retry", "hr", "--all"]]
    {
        let refused = world.run(arguments).await;
        assert_eq!(refused.status.code(), Some(75), "{refused:?}");
        let said = stderr(&refused);
        let process = format!("(process {})", daemon.pid());
        assert!(said.contains(&process) && said.contains("its log says why"), "{said}");
    }
    daemon.stop().await;
    assert!(world.run(&["tasks", "release", "hr", "--all"]).await.status.success());
}

#[tokio::test]
async fn task_commands_require_an_app_and_tasks_or_all() {
    let world = world(1, NO_SYNC).await;
    for arguments in [
        &["tasks", "release"][..],
        &["tasks", "release", "hr"],
        &["tasks", "retry", "hr"],
        &["tasks", "release", "hr", "t1", "--all"],
        &["tasks", "release", "nobody", "--all"],
        &["tasks", "list", "--held", "--rejected"],
    ] {
        assert_eq!(world.run(arguments).await.status.code(), Some(2), "{arguments:?}");
    }
    let help = stdout(&world.run(&["tasks", "release", "--help"]).await);
    assert!(help.contains("apps.NAME.tasks.guard") && help.contains("cancel it in Iden"), "{help}");
    let completions = stdout(&world.run(&["completions", "bash"]).await);
    assert!(completions.contains("release") && completions.contains("retry"));
    let unknown = world.run(&["tasks", "release", "hr", "t1"]).await;
    assert_eq!(unknown.status.code(), Some(1), "no such task is held: {unknown:?}");
}

#[tokio::test]
async fn signals_of_programs_that_rotate_logs_do_not_end_the_daemon() {
    let world = World::new().await;
    world.script("poll_interval = \"100ms\"\n", "");
    let daemon = world.start();
    daemon.says("ready").await;
    for name in ["USR1", "USR2"] {
        daemon.signal(name).await;
        daemon.says(&format!("SIG{name} received and ignored")).await;
    }
    let task = world.task_for("create_account", json!("ann"));
    world.drained().await;
    daemon.stop().await;
    assert_eq!(world.task(&task)["status"], "completed");
}
