//! The first sync of a state folder: for an app that was never synced, or after the state was lost.

use std::time::Duration;

use bridgehead::sandbox::{Effect, Fault, Loss};
use serde_json::{Value, json};

use crate::support::{World, eventually};
use crate::sync_world::{BOLD, Synced, accounts, ids, people};

fn target(numbers: impl IntoIterator<Item = usize>) -> Value {
    json!({"records": {"account": people(numbers)}})
}

/// A target with an additional invalid record, so that its sync is abandoned.
fn spoilt(numbers: impl IntoIterator<Item = usize>) -> Value {
    let mut target = target(numbers);
    let bad = json!({"id": "bad", "email": 7});
    target["records"]["account"].as_array_mut().expect("accounts").push(bad);
    target
}

/// A sandbox and a target that were synced, and whose state folder was lost.
async fn amnesia() -> World {
    let world = World::with_target(target(0..40), "").await;
    world.sync(&[]).await.assert(0, "completed");
    std::fs::remove_dir_all(world.path("state")).expect("there is a state");
    world.sandbox.clear_ledger();
    world
}

#[track_caller]
fn held(world: &World, synced: &Synced, says: &str) {
    synced.assert(1, "held");
    assert!(synced.detail().contains(says), "{}", synced.detail());
    assert!(synced.detail().contains("this state folder has no completed sync of hr"), "{}", synced.detail());
    assert_eq!(world.count("complete"), 0);
}

#[tokio::test]
async fn lost_state_removes_no_account_until_allowed() {
    let world = amnesia().await;
    world.target(target(0..20));
    for _ in 0..2 {
        let synced = world.sync(&[]).await;
        held(&world, &synced, "the app was last synced at 20");
        assert!(synced.stderr.contains("alarm=\"removal_guard\""), "{}", synced.stderr);
        world.sync(&["--dry-run"]).await.assert(1, "held");
    }
    assert_eq!(world.active_ids("account"), ids(0..40));

    world.sync(&["--allow-removals"]).await.assert(0, "completed");
    assert_eq!(world.active_ids("account"), ids(0..20));
    world.target(target(0..22));
    world.sync(&[]).await.assert(0, "completed");
    assert_eq!(world.active_ids("account"), ids(0..22));
}

#[tokio::test]
async fn complete_listing_is_held_after_a_lost_state() {
    let world = amnesia().await;
    held(&world, &world.sync(&[]).await, "was last synced at");
}

#[tokio::test]
async fn daemon_keeps_pushing_after_a_lost_state() {
    let world = amnesia().await;
    world.target(target((0..20).chain(50..60)));
    let daemon = world.start();
    daemon.says("this state folder has no completed sync of hr").await;
    eventually("the new ones are there", || world.active_ids("account").len() == 50).await;
    daemon.stop().await;
}

#[tokio::test]
async fn push_counts_reveal_lost_state_if_sync_time_is_unavailable() {
    let world = amnesia().await;
    world.sandbox.add_fault(Fault::new(Effect::answer(403)).method("GET").path("**/bridge/apps/"));
    world.target(target(0..20));
    held(&world, &world.sync(&[]).await, "Iden already had 20 of the 20 records that were pushed");
    let lists = world.sandbox.ledger().into_iter().filter(|entry| entry.path.ends_with("/bridge/apps/"));
    assert_eq!(lists.count(), 1, "nothing changes if a refused list is requested again");
    held(&world, &world.sync(&[]).await, "an earlier sync here found records in Iden");
    assert_eq!(world.active_ids("account"), ids(0..40));
    world.sync(&["--allow-removals"]).await.assert(0, "completed");
    assert_eq!(world.active_ids("account"), ids(0..20));
}

#[tokio::test]
async fn first_sync_completes_despite_errors_and_lost_responses() {
    let world = World::with_target(json!({"records": {"account": accounts(250)}}), "").await;
    world.sandbox.add_fault(Fault::new(Effect::answer(404)).method("GET").path("**/bridge/apps/"));
    // Two pages arrive but the responses are lost, so the pages are sent again; Iden then already knows them.
    world.sandbox.add_fault(Fault::new(Effect::Lose(Loss::Cut)).method("PUT").times(2));
    let synced = world.sync(&[]).await;
    assert_eq!(synced.assert(0, "completed").figures("account"), [250, 250, 0, 0]);
}

#[tokio::test]
async fn unproven_first_sync_is_held() {
    let world = World::with_target(json!({"records": {"account": accounts(50)}}), "").await;
    world.sandbox.add_fault(Fault::new(Effect::answer(404)).method("GET").path("**/bridge/apps/"));
    // The response to the only page is lost, so it is unknown whether Iden knew the records before.
    world.sandbox.add_fault(Fault::new(Effect::Lose(Loss::Cut)).method("PUT").times(1));
    held(&world, &world.sync(&[]).await, "Iden did not say when it was last synced");
}

#[tokio::test]
async fn state_and_target_restored_from_a_snapshot_are_held() {
    let world = World::with_target(target(0..60), BOLD).await;
    world.sync(&[]).await.assert(0, "completed");
    copy(&world.path("state"), &world.path("snapshot"));
    world.target(target(0..100));
    world.sync(&[]).await.assert(0, "completed");
    let go_back = || {
        std::fs::remove_dir_all(world.path("state")).expect("there is a state");
        copy(&world.path("snapshot"), &world.path("state"));
    };
    go_back();
    for listing in [target(0..60), target(0..100)] {
        world.target(listing);
        world.sandbox.clear_ledger();
        for _ in 0..2 {
            let synced = world.sync(&[]).await;
            synced.assert(1, "held");
            assert!(synced.detail().contains("the state folder is an old copy"), "{}", synced.detail());
            assert_eq!(synced.summary["held_because"][0], "stale_state");
            assert!(synced.stderr.contains("alarm=\"removal_guard\""), "{}", synced.stderr);
        }
        world.sync(&["--dry-run"]).await.assert(1, "held");
        assert_eq!(world.count("complete"), 0);
        assert_eq!(world.active_ids("account"), ids(0..100));
        go_back();
    }
    // The held sync listed all accounts, so it may be completed; after that, the state is current again.
    world.sync(&[]).await.assert(1, "held");
    world.sync(&["--allow-removals"]).await.assert(0, "completed");
    world.target(target(0..99));
    world.sync(&[]).await.assert(0, "completed");
    assert_eq!(world.active_ids("account"), ids(0..99));
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for file in std::fs::read_dir(from).expect("a folder").flatten() {
        if file.path().is_file() {
            std::fs::copy(file.path(), to.join(file.file_name())).expect("a copy");
        }
    }
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    std::fs::set_permissions(to, mode).expect("a mode");
}

#[tokio::test]
async fn first_sync_completes_after_failed_ones() {
    let data = json!({"code": "INTERNAL_ERROR", "retry": "never"});
    let fault = json!({"do": "error", "type": "account", "page": 4, "data": data});
    let records = json!({"account": accounts(350)});
    let world =
        World::with_target(json!({"records": records, "faults": [fault]}), "push_concurrency = 1").await;
    world.sandbox.add_fault(Fault::new(Effect::answer(404)).method("GET").path("**/bridge/apps/"));
    world.sync(&[]).await.assert(1, "abandoned");
    assert!(world.active("account").len() >= 100, "the first attempt left something there");
    world.target(json!({"records": records}));
    world.sync(&[]).await.assert(0, "completed");
}

#[tokio::test]
async fn accounts_of_a_first_sync_killed_while_abandoning_are_guarded() {
    let world = World::with_target(spoilt(0..40), "").await;
    let lost = Fault::new(Effect::Lose(Loss::Status(504))).method("POST").path("**/abandon/");
    let fault = world.sandbox.add_fault(lost);
    let mut sync = world.command(&["sync", "hr"]).spawn().expect("the binary starts");
    eventually("Iden has abandoned the session", || world.count("abandon") > 0).await;
    sync.kill().expect("it can be killed");
    sync.wait().expect("it ends");
    world.sandbox.remove_fault(fault);
    world.target(target(0..20));
    let synced = world.sync(&[]).await;
    assert!(synced.assert(1, "held").detail().contains("20 of 40 records of account"), "{}", synced.detail());
    assert_eq!(world.active_ids("account"), ids(0..40));
    world.target(target(0..39));
    world.sync(&[]).await.assert(0, "completed");
}

#[tokio::test]
async fn accounts_of_an_abandoned_first_sync_are_guarded() {
    let world = World::with_target(spoilt(0..40), "").await;
    world.sync(&[]).await.assert(1, "abandoned");
    assert_eq!(world.active_ids("account"), ids(0..40));
    world.target(target(0..20));
    let synced = world.sync(&[]).await;
    assert!(synced.assert(1, "held").detail().contains("20 of 40 records of account"), "{}", synced.detail());
    assert_eq!(world.active_ids("account"), ids(0..40));
    world.target(target(0..39));
    world.sync(&[]).await.assert(0, "completed");
    assert_eq!(world.active_ids("account"), ids(0..39));
}

#[tokio::test]
async fn crash_after_the_first_complete_is_not_a_lost_state() {
    let world = World::with_target(target(0..40), "").await;
    let slow = Effect::Delay(Duration::from_mins(1));
    let fault = world.sandbox.add_fault(Fault::new(slow).method("POST").path("**/complete/"));
    let daemon = world.start();
    eventually("Iden has completed", || {
        world.sandbox.stats(world.app).is_some_and(|stats| stats.last_synced_at.is_some())
    })
    .await;
    daemon.kill();
    world.sandbox.remove_fault(fault);
    world.target(target(0..20));
    let synced = world.sync(&[]).await;
    assert!(synced.assert(1, "held").detail().contains("20 of 40 records of account"), "{}", synced.detail());
    world.target(target(0..39));
    world.sync(&[]).await.assert(0, "completed");
    assert_eq!(world.active_ids("account"), ids(0..39));
}
