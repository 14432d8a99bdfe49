//! Tasks continue during a sync: whatever they change, at any point, Iden has afterwards.

use serde_json::{Value, json};

use crate::support::{Daemon, World, eventually};
use crate::sync_world::{BOLD, crowd, ids};

/// A target that was synced, and a daemon in the middle of the next sync at this point, with all previous pages pushed.
async fn daemon_at(point: &str, said: Value) -> (World, Daemon) {
    let world = World::with_target(crowd(false), BOLD).await;
    world.sync(&[]).await.assert(0, "completed");
    world.sandbox.clear_ledger();
    world.target(said);
    let daemon = world.start();
    world.go_to(point).await;
    let pushed = match point {
        "account-2" => 1,
        "account-3" | "account-end" => 2,
        _ => 0,
    };
    eventually("what was read is pushed", || world.pages("account").len() >= pushed).await;
    (world, daemon)
}

async fn finish(world: &World, daemon: Daemon) {
    world.go("open");
    daemon.says("sync completed").await;
    daemon.stop().await;
    assert_eq!(world.steps(), ["sync", "complete"]);
}

fn account(id: &str) -> Value {
    json!({"account": {"id": id}})
}

/// Runs every kind of task at one point, for accounts of every page.
async fn everything_at(point: &str) {
    let (world, daemon) = daemon_at(point, crowd(true)).await;
    let mut tasks = Vec::new();
    for page in ["u0000", "u0001", "u0002"] {
        let id = |last: &str| format!("{page}{last}");
        tasks.extend([
            ("delete_account", account(&id("05"))),
            ("delete_account", json!({"account": {"username": id("06").to_uppercase()}})),
            ("suspend_account", account(&id("07"))),
            ("update_account", json!({"account": {"id": id("08")}, "changes": {"display_name": "Anew"}})),
            ("suspend_account", account(&id("09"))),
            ("unsuspend_account", account(&id("09"))),
            ("delete_account", json!({"account": {"id": id("10"), "username": id("10")}})),
            ("create_account", json!({"account": {"username": id("10"), "email": "again@example.org"}})),
        ]);
    }
    // Accounts that sort before all others, among them and after them, and one that is deleted again.
    for name in ["anew", "u000100a", "znew", "brief"] {
        tasks.push(("create_account", json!({"account": {"username": name, "email": "new@example.org"}})));
    }
    tasks.push(("delete_account", json!({"account": {"username": "brief"}})));
    world.all_done(tasks).await;
    finish(&world, daemon).await;

    let mut expected = ids((0..250).filter(|number| ![5, 6].contains(&(number % 100))));
    expected.extend(["anew", "u000100a", "znew"].map(str::to_owned));
    let active = world.active("account");
    assert_eq!(world.active_ids("account"), expected);
    for page in ["u0000", "u0001", "u0002"] {
        let record = |last: &str| &active[&format!("{page}{last}")];
        assert_eq!(record("07")["status"], "suspended");
        assert_eq!(record("08")["display_name"], "Anew");
        assert_eq!(record("09")["status"], "active");
        assert_eq!(record("10")["email"], "again@example.org");
    }

    // The next sync finds nothing to correct.
    world.target(crowd(false));
    let synced = world.sync(&[]).await;
    let [_, created, changed, removed] = synced.assert(0, "completed").figures("account");
    assert_eq!((created, changed), (0, 0), "{synced:?}");
    assert!(removed <= 6, "no more than those who were pushed as inactive: {synced:?}");
    assert_eq!(world.active_ids("account"), expected);
}

#[tokio::test]
async fn task_changes_before_reading_teams_reach_iden() {
    everything_at("team-1").await;
}

#[tokio::test]
async fn task_changes_after_reading_teams_reach_iden() {
    everything_at("team-end").await;
}

#[tokio::test]
async fn task_changes_before_the_first_page_reach_iden() {
    everything_at("account-1").await;
}

#[tokio::test]
async fn task_changes_after_the_first_page_reach_iden() {
    everything_at("account-2").await;
}

#[tokio::test]
async fn task_changes_after_the_second_page_reach_iden() {
    everything_at("account-3").await;
}

#[tokio::test]
async fn task_changes_after_the_last_page_reach_iden() {
    everything_at("account-end").await;
}

#[tokio::test]
async fn running_task_delays_complete_until_it_ends() {
    let (world, daemon) = daemon_at("account-2", crowd(true)).await;
    let task = world.sandbox.add_task(
        world.app,
        json!({"action": "create_account", "payload": {"account": {"username": "slow", "email": "slow@example.org"}}}),
    );
    world.reached("task-slow").await;
    for point in ["account-2", "account-3", "account-end"] {
        world.go(point);
    }
    eventually("everything is pushed", || world.pages("account").iter().sum::<usize>() == 250).await;
    world.polled().await;
    assert_eq!(world.count("complete"), 0, "nobody knows yet whether the account will be there");
    world.go("task-slow");
    eventually("the task has ended", || world.task(&task)["status"] == "completed").await;
    finish(&world, daemon).await;
    assert!(world.active_ids("account").contains("slow"));
}

#[tokio::test]
async fn group_appearing_between_listings_invalidates_no_record() {
    let member = json!({"id": "new", "username": "new", "memberships": {"team": ["t1", "t2"]}});
    let mut said = crowd(false);
    said["raw"] = json!({"account": [member]});
    said["appears"] = json!({"team": [{"id": "t2", "name": "Two"}]});
    let world = World::with_target(said, "").await;
    let synced = world.sync(&[]).await;
    assert_eq!(synced.assert(0, "completed").figures("team"), [2, 2, 0, 0]);
    assert_eq!(synced.summary["invalid_count"], 0);
    assert_eq!(world.active("account")["new"]["memberships"]["team"], json!(["t1", "t2"]));
}

#[tokio::test]
async fn membership_in_a_new_group_added_by_a_task_is_kept() {
    let mut said = crowd(true);
    said["appears"] = json!({"team": [{"id": "t2", "name": "Two"}]});
    let (world, daemon) = daemon_at("account-3", said).await;
    for id in ["u000005", "u000205"] {
        let payload = json!({"account": {"id": id}, "memberships": {"team": ["t2"]}});
        world.done("update_account", payload).await;
    }
    finish(&world, daemon).await;
    let active = world.active("account");
    for id in ["u000005", "u000205"] {
        assert_eq!(active[id]["memberships"]["team"], json!(["t2"]));
    }
    assert!(world.active_ids("team").contains("t2"));
}

#[tokio::test]
async fn failed_task_does_not_affect_the_sync() {
    let (world, daemon) = daemon_at("account-2", crowd(true)).await;
    let tasks = world.sandbox.add_tasks(
        world.app,
        [
            json!({"action": "create_account", "payload": {"account": {"username": "full", "email": "f@example.org"}}}),
            json!({"action": "delete_account", "payload": {"account": {"username": "nobody"}}}),
            json!({"action": "suspend_account", "payload": {"account": {"email": "nobody@example.org"}}}),
        ],
    );
    eventually("all have failed", || tasks.iter().all(|task| world.task(task)["status"] == "failed")).await;
    finish(&world, daemon).await;
    assert_eq!(world.active_ids("account"), ids(0..250));
}

#[tokio::test]
async fn account_listed_twice_due_to_a_task_is_not_a_duplicate() {
    let mut said = crowd(true);
    said["order"] = json!("status");
    let (world, daemon) = daemon_at("account-2", said).await;
    // It was on the first page and is now on the last; u000100 is on the first.
    world.done("suspend_account", account("u000005")).await;
    world.done("suspend_account", account("u000100")).await;
    finish(&world, daemon).await;
    let active = world.active("account");
    assert_eq!(active["u000005"]["status"], "suspended");
    assert_eq!(active["u000100"]["status"], "suspended");
}

#[tokio::test]
async fn failed_lookup_is_not_treated_as_removal() {
    let mut said = crowd(true);
    let (world, daemon) = daemon_at("account-3", said.clone()).await;
    world.done("suspend_account", account("u000005")).await;
    let data = json!({"code": "INTERNAL_ERROR", "effect": "not_applied", "retry": "never"});
    said["faults"] = json!([{"do": "find", "data": data}]);
    world.target(said);
    world.go("open");
    daemon.says("sync abandoned: account could not be read completely: HR does not find anybody now").await;
    assert_eq!(world.steps(), ["sync", "abandon"]);
    assert_eq!(world.active_ids("account"), ids(0..250));
    daemon.stop().await;
}

#[tokio::test]
async fn failed_lookup_is_retried() {
    let mut said = crowd(true);
    let (world, daemon) = daemon_at("account-3", said.clone()).await;
    world.done("suspend_account", account("u000005")).await;
    let data = json!({"code": "TIMEOUT", "effect": "not_applied", "retry": "backoff"});
    said["faults"] = json!([{"do": "find", "data": data, "times": 1}]);
    world.target(said);
    finish(&world, daemon).await;
    assert_eq!(world.active("account")["u000005"]["status"], "suspended");
}
