//! The audit log: its contents, detection of changes to it, and that nothing waits for it.

use std::process::Output;

use serde_json::{Value, json};

use crate::admin::{ADMIN, address, get, status};
use crate::support::{KEY, World, eventually};
use crate::target::QUICK;

const PASSWORD: &str = "first-password-that-must-never-leak-0815";

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

async fn entries(world: &World, filter: &[&str]) -> Vec<Value> {
    let exported = world.run(&[&["audit", "export"][..], filter].concat()).await;
    assert_eq!(exported.status.code(), Some(0), "{exported:?}");
    stdout(&exported).lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

fn actions(entries: &[Value]) -> Vec<&str> {
    entries.iter().map(|entry| entry["action"].as_str().expect("an action")).collect()
}

/// A daemon that completed one task, and whose app was paused and resumed: the log of a quiet day.
async fn a_quiet_day() -> (World, String) {
    let world = World::new().await;
    world.script(QUICK, "");
    let task = world.sandbox.add_task(
        world.app,
        json!({"action": "create_account", "payload": {"account":
            {"username": "ann", "email": "ann@example.org", "password": PASSWORD}}}),
    );
    let daemon = world.start();
    world.drained().await;
    assert!(world.run(&["apps", "pause", "hr", "--reason", "migration"]).await.status.success());
    assert!(world.run(&["apps", "resume", "hr"]).await.status.success());
    daemon.stop().await;
    (world, task)
}

#[tokio::test]
async fn decisions_and_orders_are_recorded_in_one_chain() {
    let (world, task) = a_quiet_day().await;
    let all = entries(&world, &[]).await;
    assert_eq!(actions(&all), ["start", "create_account", "report", "pause", "resume", "stop"], "{all:#?}");
    let done = &all[1];
    assert_eq!((&done["task"], &done["account"]), (&json!(task), &json!("ann")));
    assert_eq!(
        (&done["actor"], &done["decision"], &done["outcome"]),
        (&json!("daemon"), &json!("execute"), &json!("completed"))
    );
    assert_eq!((&done["evidence"]["attempts"], &done["evidence"]["read_back"]), (&json!(1), &json!(true)));
    assert!(done["duration_ms"].is_u64());
    assert_eq!((&all[2]["action"], &all[2]["outcome"]), (&json!("report"), &json!("accepted")));
    let uid = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(world.path("state")).expect("a folder"));
    assert!(all[3]["actor"].as_str().expect("an actor").contains(&format!("uid {uid}")), "{}", all[3]);
    assert_eq!(all[3]["evidence"]["reason"], "migration");

    let daemon = world.start();
    daemon.says("ready").await;
    let proven = world.run(&["audit", "verify"]).await;
    assert_eq!(proven.status.code(), Some(0), "{proven:?}");
    assert!(
        stdout(&proven)
            .contains("It ends with the entry that the running daemon reports as the last one: entry 7."),
        "{proven:?}"
    );
    daemon.stop().await;
    let again = entries(&world, &[]).await;
    assert_eq!(again[6]["prev"], again[5]["hash"]);
    assert_eq!(again[6]["evidence"]["configuration_changed"], false);
    world.write("bridgehead.toml", &format!("{}\n[log]\nlevel = \"debug\"\n", world.read("bridgehead.toml")));
    let daemon = world.start();
    daemon.says("ready").await;
    daemon.stop().await;
    assert_eq!(entries(&world, &[]).await[8]["evidence"]["configuration_changed"], true);
}

#[tokio::test]
async fn audit_entries_are_filtered_by_app_task_account_and_time() {
    let (world, task) = a_quiet_day().await;
    assert_eq!(actions(&entries(&world, &["--task", &task]).await), ["create_account", "report"]);
    assert_eq!(actions(&entries(&world, &["--account", "ANN"]).await), ["create_account"]);
    assert_eq!(entries(&world, &["--app", "hr"]).await.len(), 4);
    assert_eq!(entries(&world, &["--since", "24h"]).await.len(), 6);
    assert_eq!(entries(&world, &["--since", "2999-01-01T00:00:00Z"]).await, Vec::<Value>::new());
    let csv = stdout(&world.run(&["audit", "export", "--format", "csv"]).await);
    assert!(csv.starts_with("seq,at,actor,app,task,account,action,decision,evidence,outcome,code"), "{csv}");
    assert_eq!(csv.lines().count(), 7);
    let shown = stdout(&world.run(&["audit", "show", "--task", &task]).await);
    assert!(shown.contains("create_account") && shown.contains("completed"), "{shown}");
}

#[tokio::test]
async fn audit_verify_locates_a_modified_entry() {
    let (world, _) = a_quiet_day().await;
    let file = "state/audit/audit-00000001.jsonl";
    let whole = world.read(file);
    world.write(file, &whole.replace("ann", "bob"));
    let broken = world.run(&["audit", "verify"]).await;
    assert_eq!(broken.status.code(), Some(1), "{broken:?}");
    assert!(stderr(&broken).contains("breaks at entry 2 (audit-00000001.jsonl line 2)"), "{broken:?}");
    // An entry is removed, and the end of the log is cut off.
    let lines: Vec<&str> = whole.lines().collect();
    let without = [&lines[..2], &lines[3..]].concat().join("\n");
    world.write(file, &format!("{without}\n"));
    assert!(stderr(&world.run(&["audit", "verify"]).await).contains("breaks at entry 3"));
    let last: Value = serde_json::from_str(lines[5]).expect("JSON");
    let head = format!("{}:{}", last["seq"], last["hash"].as_str().expect("a hash"));
    world.write(file, &format!("{}\n", lines[..4].join("\n")));
    assert!(world.run(&["audit", "verify"]).await.status.success(), "the chain itself is whole");
    let cut = world.run(&["audit", "verify", "--head", &head, "--json"]).await;
    assert_eq!(cut.status.code(), Some(1), "{cut:?}");
    let said: Value = serde_json::from_slice(&cut.stdout).expect("JSON");
    assert_eq!((&said["ok"], &said["broken"]["seq"]), (&json!(false), &json!(5)));
    world.write(file, &whole);
    assert!(world.run(&["audit", "verify", "--head", &head]).await.status.success());
}

#[tokio::test]
async fn audit_head_is_a_metric() {
    let world = World::new().await;
    world.script(QUICK, ADMIN);
    let daemon = world.start();
    let address = address(&daemon).await;
    let metrics = get(&address, "/metrics").await.body;
    let last = entries(&world, &[]).await.pop().expect("an entry");
    let head = format!(
        "bridgehead_audit_head{{hash=\"{}\"}} {}",
        last["hash"].as_str().expect("a hash"),
        last["seq"]
    );
    assert!(metrics.contains(&head), "{head}: {metrics}");
    assert!(metrics.contains("bridgehead_audit_unwritten 0"), "{metrics}");
    daemon.stop().await;
}

#[tokio::test]
async fn truncated_audit_log_is_repaired_and_reported_at_startup() {
    let (world, _) = a_quiet_day().await;
    let file = "state/audit/audit-00000001.jsonl";
    let whole = world.read(file);
    world.write(file, &whole[..whole.len() - 20]);
    assert_eq!(world.run(&["audit", "verify"]).await.status.code(), Some(1));
    let daemon = world.start();
    daemon.says("the audit log was damaged and has been repaired").await;
    daemon.says("ready").await;
    daemon.stop().await;
    assert!(world.run(&["audit", "verify"]).await.status.success());
    let all = entries(&world, &[]).await;
    assert_eq!(actions(&all)[4..7], ["resume", "repair", "start"]);
    assert!(all[5]["evidence"]["bytes"].is_u64(), "{}", all[5]);
}

#[tokio::test]
async fn unwritable_audit_log_raises_an_alarm_but_stops_no_task() {
    let world = World::new().await;
    world.script(QUICK, ADMIN);
    // A file in place of the folder, so that not even root can write there.
    std::fs::create_dir_all(world.path("state")).expect("a folder");
    std::fs::set_permissions(world.path("state"), std::os::unix::fs::PermissionsExt::from_mode(0o700))
        .expect("its owner");
    world.write("state/audit", "in the way");
    let task = world.task_for("create_account", json!("ann"));
    let daemon = world.start();
    daemon.says("the audit log cannot be written").await;
    eventually("the task is done", || world.task(&task)["status"] == "completed").await;
    let address = address(&daemon).await;
    let seen = status(&address, "the alarm", |status| {
        let alarms = status["apps"]["hr"]["alarms"].as_array().cloned().unwrap_or_default();
        alarms.iter().any(|alarm| alarm["kind"] == "audit_unwritable")
    })
    .await;
    assert!(seen["daemon"]["audit"]["unwritten"].as_u64().expect("a number") >= 2, "{seen:#}");
    std::fs::remove_file(world.path("state/audit")).expect("it is there");
    daemon.says("the audit log can be written again").await;
    daemon.stop().await;
    assert!(world.run(&["audit", "verify"]).await.status.success());
    let all = entries(&world, &["--task", &task]).await;
    assert_eq!(actions(&all), ["create_account", "report"]);
}

#[tokio::test]
async fn audit_log_contains_no_secret() {
    let (world, _) = a_quiet_day().await;
    let bytes = world.bytes_below("state/audit");
    let text = String::from_utf8_lossy(&bytes);
    assert!(text.contains("create_account"));
    for secret in [KEY, PASSWORD] {
        assert!(!text.contains(secret), "{text}");
    }
}

#[tokio::test]
async fn orders_without_a_daemon_are_recorded() {
    let (world, _) = a_quiet_day().await;
    assert!(world.run(&["apps", "pause", "hr"]).await.status.success());
    let all = entries(&world, &[]).await;
    assert_eq!(
        all.last().map(|entry| (&entry["action"], &entry["outcome"])),
        Some((&json!("pause"), &json!("done")))
    );
    assert!(world.run(&["audit", "verify"]).await.status.success());
    assert_eq!(world.run(&["audit", "verify", "--head", "7"]).await.status.code(), Some(2));
}
