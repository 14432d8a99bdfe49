//! When syncs run, and how they end when the daemon stops.

use std::process::{Command, Stdio};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::support::{World, eventually};
use crate::sync_world::{crowd, ids, people};

/// The start times of the sessions.
fn starts(world: &World) -> Vec<Timestamp> {
    let entries = world.sandbox.ledger().into_iter();
    entries
        .filter(|entry| entry.method == "POST" && entry.path.ends_with("/sync/"))
        .map(|entry| entry.time)
        .collect()
}

/// Waits until a daemon that should not sync has done other things.
async fn idle(world: &World) {
    world.done("suspend_account", json!({"account": {"id": "u000001"}})).await;
    world.polled().await;
}

#[tokio::test]
async fn sync_interval_counts_from_start_to_start() {
    let world = World::with_target(json!({"records": {"account": people(0..3)}}), "every = \"1s\"").await;
    let began = Timestamp::now();
    let daemon = world.start();
    eventually("three syncs were started", || starts(&world).len() >= 3).await;
    daemon.stop().await;
    // A session starts after its sync, with a varying delay: two sessions may be close together, but none starts before its sync could have
    // begun.
    for (n, start) in (0..).zip(starts(&world)) {
        let after = start.duration_since(began);
        assert!(after >= SignedDuration::from_millis(950 * n), "sync {n} came after {after:?}");
    }
}

#[tokio::test]
async fn sync_runs_at_startup_unless_disabled() {
    let world = World::with_target(json!({"records": {"account": people(0..3)}}), "every = \"6h\"").await;
    world.sync(&[]).await.assert(0, "completed");
    let daemon = world.start();
    daemon.says("sync completed").await;
    daemon.stop().await;
    assert_eq!(starts(&world).len(), 2);

    for sync in
        ["every = \"6h\", on_start = false", "cron = \"0 3 1 1 *\", on_start = false", "enabled = false"]
    {
        world.target_settings(sync, "", "");
        let daemon = world.start();
        idle(&world).await;
        daemon.stop().await;
        assert_eq!(starts(&world).len(), 2, "{sync}");
    }
    world.target_settings("cron = \"0 3 1 1 *\", timezone = \"Europe/Paris\"", "", "");
    let daemon = world.start();
    daemon.says("sync completed").await;
    daemon.stop().await;
}

#[tokio::test]
async fn never_synced_app_is_synced_at_once() {
    let world = World::with_target(json!({"records": {}}), "every = \"6h\", on_start = false").await;
    let daemon = world.start();
    daemon.says("sync completed").await;
    daemon.stop().await;
}

#[tokio::test]
async fn sync_interval_continues_across_a_restart() {
    let world = World::with_target(json!({"records": {}}), "every = \"2s\", on_start = false").await;
    world.sync(&[]).await.assert(0, "completed");
    let daemon = world.start();
    daemon.says("sync completed").await;
    daemon.stop().await;
    let starts = starts(&world);
    let apart = starts[1].duration_since(starts[0]);
    assert!(apart >= SignedDuration::from_millis(1500), "{apart:?}");
}

#[tokio::test]
#[ignore = "takes up to a minute, the shortest time that a cron expression knows"]
async fn cron_schedule_is_followed() {
    let world = World::with_target(json!({"records": {}}), "cron = \"* * * * *\", on_start = false").await;
    world.sync(&[]).await.assert(0, "completed");
    let daemon = world.start();
    tokio::time::sleep(Duration::from_secs(10)).await;
    daemon.says("sync completed").await;
    daemon.stop().await;
    let second = jiff::tz::TimeZone::UTC.to_datetime(*starts(&world).last().unwrap()).second();
    assert!(second < 10, "at the full minute, not at {second} s");
}

#[tokio::test]
async fn failed_sync_is_retried_soon() {
    let data = json!({"code": "INTERNAL_ERROR", "retry": "never"});
    let fault = json!({"do": "error", "type": "account", "data": data, "times": 2});
    let said = json!({"records": {"account": people(0..3)}, "faults": [fault]});
    // The first wait is a sixtieth of this interval.
    let world = World::with_target(said, "every = \"30s\"").await;
    let began = Timestamp::now();
    let daemon = world.start();
    daemon.says("sync completed").await;
    let log = daemon.stop().await;
    assert_eq!(log.matches("sync abandoned: account could not be read").count(), 2, "{log}");
    let last = *starts(&world).last().unwrap();
    assert!(last.duration_since(began) < SignedDuration::from_secs(30), "not on schedule");
}

#[tokio::test]
async fn stopped_daemon_abandons_the_sync_and_exits_cleanly() {
    let world = World::with_target(crowd(false), "").await;
    world.sync(&[]).await.assert(0, "completed");
    world.sandbox.clear_ledger();
    world.target(crowd(true));
    let daemon = world.start();
    world.go_to("account-2").await;
    eventually("a session is open", || world.count("sync") == 1).await;
    let told = tokio::time::Instant::now();
    let log = daemon.stop().await;
    assert!(told.elapsed() < Duration::from_secs(20), "it waited for the grace to pass: {log}");
    assert_eq!(world.steps(), ["sync", "abandon"]);
    assert_eq!(world.active_ids("account"), ids(0..250));
}

#[tokio::test]
async fn stop_before_a_session_abandons_nothing() {
    let world = World::with_target(crowd(true), "").await;
    let daemon = world.start();
    world.go_to("team-1").await;
    daemon.stop().await;
    assert_eq!(world.steps(), [""; 0]);
}

#[tokio::test]
async fn stopped_sync_command_abandons_and_fails() {
    for signal in ["INT", "TERM"] {
        let world = World::with_target(crowd(true), "").await;
        let mut command = world.command(&["sync", "hr", "--json"]);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        world.go_to("account-3").await;
        eventually("a page is pushed", || !world.pages("account").is_empty()).await;
        let sent =
            Command::new("kill").arg(format!("-{signal}")).arg(child.id().to_string()).status().unwrap();
        assert!(sent.success());
        let output = tokio::task::spawn_blocking(|| child.wait_with_output().unwrap()).await.unwrap();
        assert_eq!(output.status.code(), Some(1), "{signal}");
        let summary: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(summary["hr"]["result"], "abandoned");
        assert_eq!(world.steps(), ["sync", "abandon"], "{signal}");
    }
}
