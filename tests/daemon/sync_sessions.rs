//! Sessions that another client ends, cleanups that fail, and processes that are killed midway.

use std::time::Duration;

use bridgehead::sandbox::{Cleanup, Effect, Fault};
use serde_json::json;

use crate::support::{World, eventually};
use crate::sync_world::{crowd, ids, people};

/// Completes one sync, and pauses the next at `point`.
async fn in_the_middle(world: &World, point: &str) -> tokio::task::JoinHandle<std::process::Output> {
    world.sync(&[]).await.assert(0, "completed");
    world.sandbox.clear_ledger();
    world.target(crowd(true));
    let mut command = world.command(&["sync", "hr", "--json"]);
    let running = tokio::task::spawn_blocking(move || command.output().expect("it runs"));
    world.go_to(point).await;
    running
}

async fn ended(running: tokio::task::JoinHandle<std::process::Output>) -> (Option<i32>, String, String) {
    let output = running.await.expect("it was waited for");
    let summary: serde_json::Value = serde_json::from_slice(&output.stdout).expect("a summary");
    let text = |name: &str| summary["hr"][name].as_str().unwrap_or_default().to_owned();
    (output.status.code(), text("result"), text("detail"))
}

#[tokio::test]
async fn session_cancelled_by_another_sync_is_detected_by_its_counts() {
    let world = World::with_target(crowd(false), "").await;
    let running = in_the_middle(&world, "account-3").await;
    eventually("two pages are pushed", || world.pages("account").len() == 2).await;
    assert!(world.post("sync/").await.contains("201"));
    world.go("open");
    let (code, result, detail) = ended(running).await;
    assert_eq!((code, result.as_str()), (Some(1), "failed"));
    assert!(detail.contains("the session no longer belongs to this sync"), "{detail}");
    assert!(detail.contains("cancels an older one"), "{detail}");
    assert_eq!(world.steps(), ["sync", "sync"], "neither completed nor abandoned");
    assert_eq!(world.active_ids("account"), ids(0..250));
}

#[tokio::test]
async fn too_small_counts_are_reported() {
    let world = World::with_target(crowd(false), "").await;
    let progress = json!({"sync_id": "x", "status": "in_progress", "progress": [
        {"slug": "team", "name": "Team", "type": "group", "synced_count": 0},
        {"slug": "account", "name": "Account", "type": "account", "synced_count": 0},
    ]});
    world
        .sandbox
        .add_fault(Fault::new(Effect::answer_json(200, progress)).method("GET").path("**/sync/*/").times(1));
    let synced = world.sync(&[]).await;
    let detail = synced.assert(1, "failed").detail();
    assert!(detail.contains("1 records of team were pushed, Iden counts 0"), "{detail}");
    assert_eq!(world.count("complete"), 0);
}

#[tokio::test]
async fn missing_count_prevents_completing() {
    let world = World::with_target(crowd(false), "").await;
    let counts = json!([{"slug": "team", "synced_count": 1}, {"slug": "account", "name": "Account"}]);
    let progress = json!({"sync_id": "x", "status": "in_progress", "progress": counts});
    world
        .sandbox
        .add_fault(Fault::new(Effect::answer_json(200, progress)).method("GET").path("**/sync/*/").times(1));
    let synced = world.sync(&[]).await;
    let detail = synced.assert(1, "failed").detail();
    assert!(detail.contains("Iden gives no count of account"), "{detail}");
    assert_eq!(world.steps(), ["sync", "abandon"]);
}

#[tokio::test]
async fn session_cancelled_after_the_count_check_fails_to_complete() {
    let world = World::with_target(crowd(false), "").await;
    world.sync(&[]).await.assert(0, "completed");
    world.sandbox.clear_ledger();
    // The counts are read immediately but sent later, so they were correct when they were read.
    let late = Fault::new(Effect::Delay(Duration::from_secs(1)));
    world.sandbox.add_fault(late.method("GET").path("**/sync/*/").times(1));
    let mut command = world.command(&["sync", "hr", "--json"]);
    let running = tokio::task::spawn_blocking(move || command.output().expect("it runs"));
    let asked =
        || world.sandbox.ledger().iter().any(|entry| !entry.faults.is_empty() && entry.handled.is_some());
    eventually("the counts were read", asked).await;
    world.post("sync/").await;
    let (code, result, detail) = ended(running).await;
    assert_eq!((code, result.as_str()), (Some(1), "failed"));
    assert!(detail.contains("its status is 'cancelled'"), "{detail}");
    assert_eq!(world.active_ids("account"), ids(0..250));
}

#[tokio::test]
async fn ended_session_is_distinguished_from_an_invalid_page() {
    let world = World::with_target(crowd(false), "").await;
    let running = in_the_middle(&world, "account-3").await;
    let filter =
        |entry: &bridgehead::sandbox::Entry| entry.path.ends_with("/account/") && entry.handled == Some(200);
    eventually("a page is pushed", || world.sandbox.ledger().iter().any(filter)).await;
    let put = world.sandbox.ledger().into_iter().find(filter).unwrap();
    let session = put.path.split("/sync/").nth(1).unwrap().split('/').next().unwrap().to_owned();
    assert!(world.post(&format!("sync/{session}/abandon/")).await.contains("204"));
    world.go("open");
    let (code, result, detail) = ended(running).await;
    assert_eq!((code, result.as_str()), (Some(1), "failed"));
    assert!(detail.contains("its status is 'abandoned'"), "{detail}");
    assert_eq!(world.count("complete"), 0);
}

#[tokio::test]
async fn daemon_restarts_the_sync_after_its_session_was_cancelled() {
    let world = World::with_target(crowd(true), "every = \"6s\"").await;
    let daemon = world.start();
    world.go_to("account-3").await;
    world.post("sync/").await;
    world.go("open");
    daemon.says("sync failed: the session no longer belongs to this sync").await;
    daemon.says("sync completed").await;
    assert_eq!(world.active_ids("account"), ids(0..250));
    daemon.stop().await;
}

#[tokio::test]
async fn failed_cleanup_fails_the_command_with_advice() {
    let world = World::with_target(json!({"records": {"account": people(0..30)}}), "").await;
    world.sync(&[]).await.assert(0, "completed");
    world.target(json!({"records": {"account": people(1..30)}}));
    world.sandbox.set_cleanup(Cleanup::after(Duration::ZERO).failing(1));
    let synced = world.sync(&[]).await;
    let detail = synced.assert(1, "failed").detail();
    assert!(detail.contains("CLEANUP_FAILED") && detail.contains("new sync fixes this"), "{detail}");
    assert_eq!(world.active_ids("account"), ids(0..30));
    world.sync(&[]).await.assert(0, "completed");
    assert_eq!(world.active_ids("account"), ids(1..30));
}

#[tokio::test]
async fn cleanup_failing_twice_is_repaired_without_an_alarm() {
    let world = World::with_target(json!({"records": {"account": people(0..30)}}), "every = \"12s\"").await;
    world.sandbox.set_cleanup(Cleanup::after(Duration::ZERO).failing(2));
    let daemon = world.start();
    daemon.says("sync completed").await;
    assert_eq!(world.count("complete"), 3);
    let log = daemon.stop().await;
    assert_eq!(log.matches("CLEANUP_FAILED").count(), 2, "{log}");
    assert!(!log.contains("alarm"), "{log}");
}

#[tokio::test]
async fn persistent_cleanup_failure_raises_an_alarm_after_retries() {
    let world = World::with_target(json!({"records": {"account": people(0..30)}}), "every = \"12s\"").await;
    world.sandbox.set_cleanup(Cleanup::after(Duration::ZERO).failing(1000));
    let daemon = world.start();
    daemon.says("alarm=\"cleanup_failed\"").await;
    assert_eq!(world.count("complete"), 4);
    daemon.says("after 4 syncs in a row").await;
    daemon.stop().await;
}

#[tokio::test]
async fn crashed_sync_is_repeated_at_startup_even_without_on_start() {
    let world = World::with_target(crowd(false), "").await;
    world.sync(&[]).await.assert(0, "completed");
    world.target(crowd(true));
    let daemon = world.start();
    world.go_to("account-3").await;
    daemon.kill();
    assert_eq!(world.active_ids("account"), ids(0..250));

    world.target_settings("on_start = false, every = \"6h\"", "", "");
    world.target(crowd(false));
    let daemon = world.start();
    daemon.says("the last sync was interrupted").await;
    daemon.says("sync completed").await;
    daemon.stop().await;

    // After that sync, the next start waits for the schedule again.
    let syncs = world.count("sync");
    let daemon = world.start();
    daemon.says("ready").await;
    world.done("suspend_account", json!({"account": {"id": "u000001"}})).await;
    assert_eq!(world.count("sync"), syncs);
    daemon.stop().await;
}

#[tokio::test]
async fn stopped_sync_is_repeated_at_the_next_start() {
    let world = World::with_target(crowd(false), "").await;
    world.sync(&[]).await.assert(0, "completed");
    world.target(crowd(true));
    let daemon = world.start();
    world.go_to("account-2").await;
    eventually("the team is pushed", || world.pages("team").len() == 2).await;
    let log = daemon.stop().await;
    assert!(log.contains("sync abandoned: stopped before the end; no account was removed"), "{log}");
    assert_eq!(world.steps().last().unwrap(), "abandon");
    assert_eq!(world.active_ids("account"), ids(0..250));

    world.target_settings("on_start = false, every = \"6h\"", "", "");
    world.target(crowd(false));
    let daemon = world.start();
    daemon.says("sync completed").await;
    daemon.stop().await;
}
