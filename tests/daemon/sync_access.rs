//! The removal guard: accounts that lose access although they still exist, and incomplete listings.

use serde_json::{Value, json};

use crate::support::World;
use crate::sync_world::{Synced, ids, people};

/// A target with these accounts, each modified by `change`.
fn target(numbers: std::ops::Range<usize>, change: impl Fn(usize, &mut Value)) -> Value {
    let mut records = people(numbers);
    records.iter_mut().enumerate().for_each(|(number, record)| change(number, record));
    json!({"records": {"account": records, "team": [{"id": "t1", "name": "One"}, {"id": "t2", "name": "Two"}]}})
}

fn inactive(record: &mut Value) {
    record["status"] = json!("inactive");
}

async fn synced(said: Value, sync: &str) -> World {
    let world = World::with_target(said, sync).await;
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
    assert_eq!(world.count("complete"), 0);
}

/// The number of losses of a kind, and the number of records that could have been lost.
fn losses(synced: &Synced, kind: &str) -> Option<(u64, u64)> {
    let all = synced.summary["losses"].as_array()?;
    let one = all.iter().find(|one| one["kind"] == kind)?;
    Some((one["count"].as_u64()?, one["of"].as_u64()?))
}

#[tokio::test]
async fn mass_deactivation_is_held_until_allowed() {
    let world = synced(target(0..200, |_, _| {}), "").await;
    world.target(target(0..200, |_, record| inactive(record)));
    let dry = world.sync(&["--dry-run"]).await;
    held(&world, &dry, &["200 of 200 active records of account are no longer active", "the limit is 100"]);
    // Pushing the records does not make the next sync accept them.
    for _ in 0..2 {
        let synced = world.sync(&[]).await;
        held(&world, &synced, &["200 of 200 active records of account are no longer active"]);
        assert!(synced.stderr.contains("alarm=\"removal_guard\""), "{}", synced.stderr);
        assert_eq!(losses(&synced, "deactivated"), Some((200, 200)));
        assert_eq!((losses(&synced, "removed"), synced.figures("account")[3]), (None, 0));
    }
    world.sync(&["--allow-removals"]).await.assert(0, "completed");
    world.sync(&[]).await.assert(0, "completed");
}

#[tokio::test]
async fn few_deactivations_pass_but_add_up() {
    let world = synced(target(0..100, |_, _| {}), "").await;
    let gone = |most: usize| {
        target(0..100, move |number, record| {
            if number < most {
                record["status"] = json!("suspended");
            }
        })
    };
    for most in [4, 8] {
        world.target(gone(most));
        world.sync(&[]).await.assert(0, "completed");
    }
    world.target(gone(12));
    world.sandbox.clear_ledger();
    held(&world, &world.sync(&[]).await, &["4 of 92 active records of account", "12 within 24h"]);
}

#[tokio::test]
async fn lost_memberships_count_by_account_even_if_the_group_is_gone() {
    let member = |_: usize, record: &mut Value| record["memberships"] = json!({"team": ["t1", "t2"]});
    let without = |most: usize| {
        target(0..40, move |number, record| {
            record["memberships"] =
                json!({"team": if number < most { vec!["t2"] } else { vec!["t1", "t2"] }});
        })
    };
    let world = synced(target(0..40, member), "").await;
    world.target(without(10));
    world.sync(&[]).await.assert(0, "completed");
    world.target(without(21));
    world.sandbox.clear_ledger();
    let synced = world.sync(&[]).await;
    held(
        &world,
        &synced,
        &["11 of 40 records of account with memberships or assignments lose some", "27.5 %"],
    );
    assert_eq!(losses(&synced, "memberships"), Some((11, 40)));

    // When a group disappears from the target, its members lose the membership.
    let mut said = target(0..40, |_, record| record["memberships"] = json!({"team": ["t1"]}));
    said["records"]["team"] = json!([{"id": "t1", "name": "One"}]);
    world.target(said);
    let synced = world.sync(&["--dry-run"]).await;
    held(&world, &synced, &["40 of 40 records of account with memberships"]);
    assert_eq!((losses(&synced, "removed"), losses(&synced, "memberships")), (Some((1, 2)), Some((40, 40))));
}

#[tokio::test]
async fn losses_caused_by_tasks_do_not_count() {
    let world = synced(target(0..40, |_, _| {}), "every = \"6h\", on_start = false").await;
    let daemon = world.start();
    let suspend = |n: usize| {
        let key = if n.is_multiple_of(2) { "id" } else { "username" };
        ("suspend_account", json!({"account": {key: format!("u{n:06}")}}))
    };
    world.all_done((0..20).map(suspend).collect()).await;
    let synced = world.sync(&[]).await;
    assert_eq!(losses(synced.assert(0, "completed"), "deactivated"), None);
    daemon.stop().await;
    // Changes in the target that were not made by tasks do count.
    std::fs::remove_file(world.path("state.json")).expect("what tasks changed");
    world.target(target(0..40, |number, record| {
        if number < 30 {
            inactive(record);
        }
    }));
    world.sandbox.clear_ledger();
    held(&world, &world.sync(&[]).await, &["10 of 20 active records of account"]);
}

#[tokio::test]
async fn access_given_by_tasks_can_be_lost() {
    let world = synced(target(0..40, |_, record| inactive(record)), "every = \"6h\", on_start = false").await;
    let daemon = world.start();
    let unsuspend = |n: usize| ("unsuspend_account", json!({"account": {"id": format!("u{n:06}")}}));
    world.all_done((0..20).map(unsuspend).collect()).await;
    daemon.stop().await;
    // The target forgets them before any sync has read them.
    std::fs::remove_file(world.path("state.json")).expect("what tasks changed");
    held(&world, &world.sync(&[]).await, &["20 of 20 active records of account are no longer active"]);
}

#[tokio::test]
async fn access_of_accounts_created_by_tasks_can_be_lost_before_any_sync_has_read_them() {
    let world = synced(target(0..40, |_, _| {}), "every = \"6h\", on_start = false").await;
    let daemon = world.start();
    let create = |n: usize| {
        let id = format!("u{n:06}");
        ("create_account", json!({"account": {"username": id, "email": format!("{id}@example.org")}}))
    };
    world.all_done((40..60).map(create).collect()).await;
    daemon.stop().await;
    std::fs::remove_file(world.path("state.json")).expect("what tasks changed");
    world.target(target(0..60, |number, record| {
        if number >= 40 {
            inactive(record);
        }
    }));
    held(&world, &world.sync(&[]).await, &["20 of 60 active records of account are no longer active"]);
}

#[tokio::test]
async fn access_given_by_a_sync_that_was_not_completed_can_be_lost() {
    let said = |change: fn(&mut Value)| target(0..40, move |_, record| change(record));
    let world = synced(said(inactive), "").await;
    let mut incomplete = said(|record| record["memberships"] = json!({"team": ["t1"]}));
    incomplete["totals"] = json!({"account": 41});
    world.target(incomplete);
    world.sync(&[]).await.assert(1, "abandoned");
    world.target(said(inactive));
    let synced = world.sync(&[]).await;
    held(&world, &synced, &["40 of 40 active records of account are no longer active"]);
    assert_eq!(losses(&synced, "memberships"), Some((40, 40)));
}

#[tokio::test]
async fn listing_below_its_reported_total_is_incomplete() {
    let world = synced(target(0..150, |_, _| {}), "").await;
    let said = |numbers, total: u64| {
        let mut said = target(numbers, |_, _| {});
        said["totals"] = json!({"account": total});
        said
    };
    world.target(said(0..148, 149));
    for arguments in [[].as_slice(), &["--dry-run"]] {
        let synced = world.sync(arguments).await;
        synced.assert(1, "abandoned");
        assert!(
            synced.detail().contains("it had 148 distinct records, but the target reports 149"),
            "{}",
            synced.detail()
        );
    }
    assert_eq!(world.count("complete"), 0);
    assert_eq!(world.active_ids("account"), ids(0..150));
    // A duplicate record counts once.
    let mut twice = said(0..148, 149);
    twice["raw"] = json!({"account": people(0..1)});
    world.target(twice);
    world.sync(&[]).await.assert(1, "abandoned");
    world.target(said(0..148, 148));
    let synced = world.sync(&[]).await;
    synced.assert(0, "completed");
    assert_eq!(synced.summary["evidence"], json!({"account": "end_of_cursor", "team": "end_of_cursor"}));
}

#[tokio::test]
async fn invalid_records_count_once_towards_the_total() {
    let mut said = target(0..10, |_, _| {});
    let bad = |id: &str| json!({"id": id, "email": 7});
    said["raw"] = json!({"account": [bad("b1"), bad("b1"), bad("b2"), {"email": "nobody@example.org"}, bad("u000001")]});
    let world = World::with_target(said.clone(), "on_invalid = \"skip\"").await;
    said["totals"] = json!({"account": 14});
    world.target(said.clone());
    let synced = world.sync(&[]).await;
    assert!(synced.assert(1, "abandoned").detail().contains("it had 13 distinct"), "{}", synced.detail());
    said["totals"] = json!({"account": 13});
    world.target(said);
    world.sync(&[]).await.assert(0, "completed");
}
