//! The removal guard: what may be removed without the operator's approval, by ids and not only by numbers.

use serde_json::{Value, json};

use crate::support::{World, eventually};
use crate::sync_world::{BOLD, Synced, ids, people};

fn target(numbers: impl IntoIterator<Item = usize>) -> Value {
    json!({"records": {"account": people(numbers)}})
}

/// A sandbox and a target whose last completed sync had these accounts.
async fn synced(numbers: impl IntoIterator<Item = usize>, sync: &str) -> World {
    let world = World::with_target(target(numbers), sync).await;
    world.sync(&[]).await.assert(0, "completed");
    world.sandbox.clear_ledger();
    world
}

#[track_caller]
fn held(world: &World, synced: &Synced, says: &[&str]) {
    synced.assert(1, "held");
    for says in says.iter().chain(&["nothing was removed", "`bridgehead sync hr --allow-removals`"]) {
        assert!(synced.detail().contains(says), "{}", synced.detail());
    }
    assert!(synced.stderr.contains("alarm=\"removal_guard\""), "{}", synced.stderr);
    assert_eq!(world.steps().last().map(String::as_str), Some("abandon"));
    assert_eq!(world.count("complete"), 0);
}

#[tokio::test]
async fn removing_half_the_accounts_is_held_with_counts_and_names() {
    let world = synced(0..400, "").await;
    world.target(target(0..200));
    let synced = world.sync(&[]).await;
    held(&world, &synced, &["completing would remove 200 of 400 records of account", "the limit is 100"]);
    assert_eq!(synced.figures("account"), [200, 0, 0, 200]);
    assert_eq!(synced.summary["removals"]["account"].as_array().unwrap().len(), 200, "all of them");
    assert_eq!(synced.summary["removals"]["account"][0], "u000200");
    assert_eq!(world.active_ids("account"), ids(0..400));
}

#[tokio::test]
async fn emptied_or_vanished_type_is_held() {
    let seats = json!([{"id": "s1", "name": "One"}, {"id": "s2", "name": "Two"}]);
    let account = json!({"slug": "account", "name": "Account", "type": "account"});
    let types = json!([{"slug": "seat", "name": "Seat", "type": "license"}, account]);
    let said = json!({"types": types, "records": {"account": people(0..20), "seat": seats}});
    let world = World::with_target(said, "guard = { min_records = 2 }").await;
    world.sync(&[]).await.assert(0, "completed");
    world.sandbox.clear_ledger();

    world.target(json!({"types": types, "records": {"seat": seats}}));
    held(&world, &world.sync(&[]).await, &["20 of 20 records of account"]);
    world.target(json!({"types": [account], "records": {"account": people(0..20)}}));
    let synced = world.sync(&[]).await;
    held(&world, &synced, &["2 of 2 records of seat", "the connector no longer offers seat"]);
    assert_eq!(synced.figures("seat"), [0, 0, 0, 2]);
    assert_eq!((world.active("seat").len(), world.active("account").len()), (2, 20));
}

#[tokio::test]
async fn replaced_accounts_of_equal_number_are_held() {
    let world = synced(0..50, "").await;
    world.target(target(100..150));
    let synced = world.sync(&[]).await;
    held(&world, &synced, &["50 of 50 records of account", "100.0 %, the limit is 10 %"]);
    assert_eq!(synced.figures("account"), [50, 50, 0, 50]);
    // The new accounts exist in Iden, because pushed records stay.
    assert_eq!(world.active_ids("account"), ids((0..50).chain(100..150)));
}

/// A listing with an invalid record, which makes a sync end without completing.
fn with_a_bad_record(numbers: impl IntoIterator<Item = usize>) -> Value {
    let mut said = target(numbers);
    let bad = json!({"id": "bad", "email": 7});
    said["records"]["account"].as_array_mut().expect("accounts").push(bad);
    said
}

/// A listing that fails on its fourth page, after 300 accounts.
fn cut(numbers: impl IntoIterator<Item = usize>) -> Value {
    let mut said = target(numbers);
    let data = json!({"code": "INTERNAL_ERROR", "retry": "never"});
    said["faults"] = json!([{"do": "error", "type": "account", "page": 4, "data": data}]);
    said
}

#[tokio::test]
async fn recovered_listing_completes_without_using_up_the_limit() {
    let world = synced(0..50, "").await;
    world.target(target(100..150));
    for _ in 0..2 {
        world.sync(&[]).await.assert(1, "held");
    }
    world.target(target(0..50));
    let synced = world.sync(&[]).await;
    assert_eq!(synced.assert(0, "completed").figures("account"), [50, 0, 0, 50]);
    assert!(synced.stderr.contains("the listing has recovered"), "{}", synced.stderr);
    assert_eq!(world.active_ids("account"), ids(0..50));
    // They do not count as removals, so the removal of another account on the same day is not one too many.
    world.target(target(5..50));
    world.sync(&[]).await.assert(0, "completed");
    assert_eq!(world.active_ids("account"), ids(5..50));
}

#[tokio::test]
async fn listing_recovers_after_abandoned_and_held_syncs() {
    let world = synced(0..50, "push_concurrency = 1").await;
    world.target(with_a_bad_record(100..150));
    world.sync(&[]).await.assert(1, "abandoned");
    world.target(cut(1000..1350));
    world.sync(&[]).await.assert(1, "abandoned");
    assert!(world.active("account").len() >= 300, "part of it was pushed");
    world.target(target(1000..1350));
    world.sync(&[]).await.assert(1, "held");
    world.target(target(0..50));
    world.sync(&[]).await.assert(0, "completed");
    assert_eq!(world.active_ids("account"), ids(0..50));
}

#[tokio::test]
async fn held_syncs_never_make_accounts_removable() {
    let world = synced(0..50, "").await;
    for listing in [target(100..150), target(0..25), with_a_bad_record(200..250), target([]), target(25..75)]
    {
        world.target(listing);
        assert_eq!(world.sync(&[]).await.code, Some(1));
    }
    world.target(target(0..25));
    world.sandbox.clear_ledger();
    held(&world, &world.sync(&[]).await, &["25 of 50 records of account"]);
    assert!(world.active_ids("account").is_superset(&ids(0..75)));
}

#[tokio::test]
async fn accounts_seen_only_by_abandoned_syncs_are_guarded() {
    let world = synced(0..50, "").await;
    // The invalid record stays for weeks; meanwhile some accounts are removed, and many are added.
    for day in 1..=4 {
        world.target(with_a_bad_record(day..50 + day * 10));
        world.sync(&[]).await.assert(1, "abandoned");
    }
    world.target(target(4..50));
    world.sandbox.clear_ledger();
    held(&world, &world.sync(&[]).await, &["44 of 90 records of account"]);
    assert_eq!(world.active_ids("account"), ids(0..90));
    world.target(target(4..91));
    world.sync(&[]).await.assert(0, "completed");
    assert_eq!(world.active_ids("account"), ids(4..91));
}

#[tokio::test]
async fn valid_records_are_guarded_despite_many_invalid_ones() {
    let world = synced(0..50, "").await;
    let mut said = target(0..90);
    for record in &mut said["records"]["account"].as_array_mut().expect("accounts")[..20] {
        record["email"] = json!(7);
    }
    world.target(said);
    world.sync(&[]).await.assert(1, "abandoned");
    world.target(target(0..50));
    world.sandbox.clear_ledger();
    held(&world, &world.sync(&[]).await, &["40 of 90 records of account"]);
}

#[tokio::test]
async fn accounts_seen_only_in_partial_listings_are_guarded() {
    let world = synced(0..50, "push_concurrency = 1").await;
    world.target(cut(0..350));
    world.sync(&[]).await.assert(1, "abandoned");
    let there = world.active("account").len();
    assert!(there >= 200, "most of it was pushed: {there}");
    world.target(target(0..50));
    world.sandbox.clear_ledger();
    held(&world, &world.sync(&[]).await, &["records of account; the limit is 100"]);
    assert_eq!(world.active("account").len(), there);
}

#[tokio::test]
async fn gradual_removals_are_held_once_they_add_up() {
    let world = synced(0..100, "").await;
    for gone in [4, 8] {
        world.target(target(gone..100));
        world.sync(&[]).await.assert(0, "completed");
    }
    world.target(target(12..100));
    world.sandbox.clear_ledger();
    held(&world, &world.sync(&[]).await, &["4 of 92 records of account, 12 within 24h", "12.0 %"]);
    assert_eq!(world.active_ids("account"), ids(8..100));
}

#[tokio::test]
async fn clock_set_forward_does_not_empty_the_window() {
    let world = synced(0..100, "on_start = false").await;
    let clock = world.path("clock");
    let daemon = world.start_with(&[("BRIDGEHEAD_TEST_CLOCK_AHEAD", &clock.display().to_string())]);
    daemon.says("ready").await;
    for gone in [4, 8] {
        world.target(target(gone..100));
        world.sync(&[]).await.assert(0, "completed");
    }
    let two_years = 2 * 365 * 86_400;
    world.write("clock", &two_years.to_string());
    world.target(target(12..100));
    let synced = world.sync(&[]).await;
    synced.assert(1, "held");
    assert!(synced.detail().contains("4 of 92 records of account, 12 within 24h"), "{}", synced.detail());
    // Set back again, all of it still counts.
    world.write("clock", "0");
    world.sync(&[]).await.assert(1, "held");
    assert_eq!(world.active_ids("account"), ids(8..100));
    daemon.stop().await;
}

#[tokio::test]
async fn removals_older_than_the_window_do_not_count() {
    let world = synced(0..100, "guard = { window = \"1ms\" }").await;
    for gone in [4, 8, 12, 16] {
        world.target(target(gone..100));
        world.sync(&[]).await.assert(0, "completed");
    }
    assert_eq!(world.active_ids("account"), ids(16..100));
}

#[tokio::test]
async fn small_target_is_exempt_unless_it_shrank() {
    let world = synced(0..9, "").await;
    world.target(target(0..2));
    world.sync(&[]).await.assert(0, "completed");
    assert_eq!(world.active_ids("account"), ids(0..2));

    let world = synced(0..10, "").await;
    world.target(target(1..10));
    world.sync(&[]).await.assert(0, "completed");
    world.target(target(1..3));
    world.sandbox.clear_ledger();
    held(&world, &world.sync(&[]).await, &["7 of 9 records of account"]);
}

#[tokio::test]
async fn losing_all_of_two_or_more_records_is_always_held() {
    let seats = |count: usize| {
        [json!({"id": "s1", "name": "One"}), json!({"id": "s2", "name": "Two"})][..count].to_vec()
    };
    let account = json!({"slug": "account", "name": "Account", "type": "account"});
    let types = json!([{"slug": "seat", "name": "Seat", "type": "license"}, account]);
    let said = json!({"types": types, "records": {"account": people(0..2), "seat": seats(2)}});
    let world = World::with_target(said, BOLD).await;
    world.sync(&[]).await.assert(0, "completed");
    world.sandbox.clear_ledger();
    let all = "losing all records of a type";
    // Empty, no longer offered, or with entirely different records: all records of the type would be lost.
    world.target(json!({"types": types, "records": {"account": people(0..2)}}));
    held(&world, &world.sync(&[]).await, &["2 of 2 records of seat", all]);
    world.target(json!({"types": [account], "records": {"account": people(0..2)}}));
    held(&world, &world.sync(&[]).await, &["2 of 2 records of seat", all, "no longer offers seat"]);
    world.target(json!({"types": types, "records": {"account": people(5..9), "seat": seats(2)}}));
    held(&world, &world.sync(&[]).await, &["2 of 2 records of account", all]);
    assert_eq!(world.active("seat").len(), 2);
    // One of two may be removed, but the other not on the same day.
    world.target(json!({"types": types, "records": {"account": people(0..2), "seat": seats(1)}}));
    world.sync(&[]).await.assert(0, "completed");
    world.target(json!({"types": types, "records": {"account": people(0..2)}}));
    world.sandbox.clear_ledger();
    held(&world, &world.sync(&[]).await, &["1 of 1 records of seat", all]);
}

#[tokio::test]
async fn allowing_removals_applies_to_one_sync() {
    let world = synced(0..300, "").await;
    world.target(target(0..150));
    world.sync(&[]).await.assert(1, "held");
    let allowed = world.sync(&["--allow-removals"]).await;
    assert_eq!(allowed.assert(0, "completed").figures("account"), [150, 0, 0, 150]);
    assert_eq!(world.active_ids("account"), ids(0..150));

    // After the allowed removals, the removal of another account is not held…
    world.target(target(0..149));
    world.sync(&[]).await.assert(0, "completed");
    // …but neither is the removal of the next half allowed.
    world.target(target(0..75));
    world.sandbox.clear_ledger();
    held(&world, &world.sync(&[]).await, &["74 of 149"]);
    assert_eq!(world.active_ids("account"), ids(0..149));
}

#[tokio::test]
async fn recovered_listing_completes_by_itself() {
    let world = synced(0..60, "").await;
    world.target(target(0..30));
    world.sync(&[]).await.assert(1, "held");
    world.target(target(1..60));
    let synced = world.sync(&[]).await;
    assert_eq!(synced.assert(0, "completed").figures("account"), [59, 0, 0, 1]);
    assert_eq!(world.active_ids("account"), ids(1..60));
}

#[tokio::test]
async fn daemon_holds_alarms_and_continues_once_the_listing_recovers() {
    let world = synced(0..60, "every = \"1s\"").await;
    world.target(target(0..30));
    let daemon = world.start();
    daemon.says("alarm=\"removal_guard\"").await;
    daemon.says("completing would remove 30 of 60 records of account").await;
    world.target(target(0..61));
    daemon.says("sync completed").await;
    eventually("Iden has the new one", || world.active_ids("account") == ids(0..61)).await;
    daemon.stop().await;
}

#[tokio::test]
async fn allowing_removals_through_the_daemon_applies_to_one_sync() {
    let world = synced(0..60, "every = \"6h\"").await;
    world.target(target(0..30));
    let daemon = world.start();
    daemon.says("sync held").await;
    world.sync(&["--allow-removals"]).await.assert(0, "completed");
    assert_eq!(world.active_ids("account"), ids(0..30));
    world.target(target(0..15));
    world.sync(&[]).await.assert(1, "held");
    assert_eq!(world.active_ids("account"), ids(0..30));
    daemon.stop().await;
}

#[tokio::test]
async fn dry_run_finds_the_same_removals_and_changes_nothing() {
    let world = synced(0..60, "").await;
    world.target(target(0..30));
    for _ in 0..2 {
        let synced = world.sync(&["--dry-run"]).await;
        assert_eq!(synced.assert(1, "held").figures("account"), [30, 0, 0, 30]);
        assert!(synced.detail().contains("30 of 60 records of account"), "{}", synced.detail());
    }
    assert_eq!(world.steps(), [""; 0]);
    world.target(target(0..61));
    let synced = world.sync(&["--dry-run"]).await;
    assert_eq!(synced.assert(0, "rehearsed").figures("account"), [61, 1, 0, 0]);
    assert_eq!(world.active_ids("account"), ids(0..60));
}

#[tokio::test]
async fn accounts_created_by_tasks_are_guarded_before_any_sync() {
    let create = |n: usize| {
        let id = format!("u{n:06}");
        ("create_account", json!({"account": {"username": id, "email": format!("{id}@example.org")}}))
    };
    // Accounts that no sync has listed.
    let world = synced(0..50, "every = \"6h\", on_start = false").await;
    let daemon = world.start();
    world.all_done((50..70).map(create).collect()).await;
    // The listing is as if they had never been created.
    world.write("state.json", "{}");
    let synced = world.sync(&[]).await;
    assert!(synced.assert(1, "held").detail().contains("20 of 70 records of account"), "{}", synced.detail());
    // Accounts that were listed by a sync that was held because others are missing.
    world.target(target(25..70));
    world.sync(&[]).await.assert(1, "held");
    world.target(target(0..50));
    let synced = world.sync(&[]).await;
    assert!(synced.assert(1, "held").detail().contains("20 of 70 records of account"), "{}", synced.detail());

    // Accounts that a task has deleted since, by id or by name, do not count as losses.
    let gone = |n: usize| {
        let key = if n.is_multiple_of(2) { "id" } else { "username" };
        ("delete_account", json!({"account": {key: format!("u{n:06}")}}))
    };
    world.target(target(0..70));
    world.sync(&[]).await.assert(0, "completed");
    world.all_done((70..90).map(create).collect()).await;
    world.all_done((70..90).map(gone).collect()).await;
    world.sync(&[]).await.assert(0, "completed");
    daemon.stop().await;
    assert_eq!(world.active_ids("account"), ids(0..70));
}
