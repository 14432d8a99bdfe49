//! Accounts that are missing because reading failed are not removed.

use serde_json::{Value, json};

use crate::support::World;
use crate::sync_world::{BOLD, accounts, ids, people};

/// A target of 350 accounts in four pages that fails after a first successful sync, without a removal guard that would help: treating what
/// was read so far as complete would remove a hundred accounts or more.
async fn spoilt(fault: Value) -> (World, crate::sync_world::Synced) {
    spoilt_for(fault, "5m").await
}

/// The same with a sync that gives up after the limit. Only tests of giving up set a short one, because a busy machine may need that long
/// for a request that succeeds.
async fn spoilt_for(fault: Value, limit: &str) -> (World, crate::sync_world::Synced) {
    let world = World::with_target(json!({"records": {"account": accounts(350)}}), BOLD).await;
    let limits = |limit: &str| format!("timeout = \"{limit}\", give_up_after = \"{limit}\"");
    world.target_settings(BOLD, &limits("5m"), "");
    world.sync(&[]).await.assert(0, "completed");
    world.target_settings(BOLD, &limits(limit), "");
    let records = json!({"account": accounts(350)});
    world.target(json!({"records": records, "faults": [fault]}));
    world.sandbox.clear_ledger();
    let synced = world.sync(&[]).await;
    (world, synced)
}

#[track_caller]
fn nothing_was_removed(world: &World, synced: &crate::sync_world::Synced, result: &str, says: &str) {
    synced.assert(1, result);
    assert!(synced.detail().contains(says), "{}", synced.detail());
    assert!(synced.detail().contains("no account was removed"), "{}", synced.detail());
    assert_eq!(synced.figures("account")[3], 0);
    assert_eq!(world.count("complete"), 0);
    assert_eq!(world.count("abandon"), world.count("sync"), "{:?}", world.steps());
    assert_eq!(world.active_ids("account"), ids(0..350));
}

#[tokio::test]
async fn permanently_failing_page_abandons_the_sync() {
    let data = json!({"code": "INTERNAL_ERROR", "effect": "not_applied", "retry": "never"});
    let fault =
        json!({"do": "error", "type": "account", "page": 3, "data": data, "message": "HR lost page three"});
    let (world, synced) = spoilt(fault).await;
    nothing_was_removed(
        &world,
        &synced,
        "abandoned",
        "account could not be read completely: HR lost page three",
    );
    assert_eq!(world.count("abandon"), 1);
}

#[tokio::test]
async fn failing_page_is_retried_until_give_up_after() {
    let data = json!({"code": "RATE_LIMITED", "retry_after": 0.05});
    let fault = json!({"do": "error", "type": "account", "page": 2, "data": data});
    let (world, synced) = spoilt_for(fault, "10s").await;
    nothing_was_removed(&world, &synced, "abandoned", "HR does not answer");
    let fired: Value = serde_json::from_str(&world.read("fired.json")).unwrap();
    assert!(fired["0"].as_u64() > Some(1), "{fired}");
}

#[tokio::test]
async fn failing_first_page_starts_no_session() {
    let data = json!({"code": "PERMISSION_DENIED", "subject": "connection", "retry": "never"});
    let (world, synced) = spoilt(json!({"do": "error", "data": data})).await;
    nothing_was_removed(&world, &synced, "abandoned", "team could not be read");
    assert_eq!(world.count("sync"), 0, "somebody else's session would have been cancelled for nothing");
}

#[tokio::test]
async fn temporarily_failing_page_does_not_affect_the_sync() {
    let data = json!({"code": "TIMEOUT", "effect": "unknown", "retry": "backoff"});
    let fault = json!({"do": "error", "type": "account", "page": 3, "data": data, "times": 1});
    let (world, synced) = spoilt(fault).await;
    assert_eq!(synced.assert(0, "completed").figures("account"), [350, 0, 0, 0]);
    assert_eq!(world.active_ids("account"), ids(0..350));
}

#[tokio::test]
async fn repeated_cursor_abandons_the_sync() {
    let (world, synced) = spoilt(json!({"do": "repeat", "type": "account", "page": 3})).await;
    nothing_was_removed(
        &world,
        &synced,
        "abandoned",
        "the listing of account repeats its cursor after 3 pages",
    );
}

#[tokio::test]
async fn incomplete_listing_abandons_the_sync() {
    let data = json!({"code": "INTERNAL_ERROR", "effect": "not_applied", "retry": "never"});
    let message = "HR's search was cut at 250 results";
    let fault = json!({"do": "error", "type": "account", "page": 3, "data": data, "message": message});
    let (world, synced) = spoilt(fault).await;
    nothing_was_removed(&world, &synced, "abandoned", message);
}

#[tokio::test]
async fn unmarked_last_page_abandons_the_sync() {
    let (world, synced) = spoilt(json!({"do": "short", "type": "account", "page": 2})).await;
    nothing_was_removed(&world, &synced, "abandoned", "next must be present");
}

#[tokio::test]
async fn crashed_connector_is_restarted_and_the_listing_continues() {
    let (world, synced) = spoilt(json!({"do": "die", "type": "account", "page": 3, "times": 1})).await;
    assert_eq!(synced.assert(0, "completed").figures("account"), [350, 0, 0, 0]);
    assert_eq!(world.active_ids("account"), ids(0..350));
}

#[tokio::test]
async fn always_crashing_connector_abandons_the_sync() {
    let (world, synced) = spoilt_for(json!({"do": "die", "type": "account", "page": 3}), "10s").await;
    nothing_was_removed(&world, &synced, "abandoned", "account could not be read completely");
    assert!(synced.detail().contains("exited with status 7"), "{}", synced.detail());
}

#[tokio::test]
async fn hanging_page_times_out_and_abandons_the_sync() {
    let (world, synced) = spoilt_for(json!({"do": "hang", "type": "account", "page": 2}), "5s").await;
    nothing_was_removed(&world, &synced, "abandoned", "no response within 5s");
}

#[tokio::test]
async fn failed_sync_reports_no_removals() {
    // Listing the accounts fails: none was read, and none may be reported as removed.
    let world = World::with_target(json!({"records": {"account": people(0..30)}}), "").await;
    world.sync(&[]).await.assert(0, "completed");
    let data = json!({"code": "INTERNAL_ERROR", "retry": "never"});
    let faults = json!([{"do": "error", "type": "account", "data": data}]);
    world.target(json!({"records": {"account": people(0..30)}, "faults": faults}));
    let synced = world.sync(&[]).await;
    assert_eq!(synced.assert(1, "abandoned").figures("account"), [0, 0, 0, 0]);
    assert_eq!(synced.summary["removals"], json!({}));
}
