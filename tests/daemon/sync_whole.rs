//! A complete sync, and the following ones: pages, order, figures, output.

use bridgehead_sdk::ResourceType;
use serde_json::{Value, json};

use crate::support::{World, eventually};
use crate::sync_world::{accounts, ids, people};

fn company() -> Value {
    json!({"records": {"account": accounts(1234), "team": {"count": 150, "prefix": "t"}}, "page_size": 137})
}

#[tokio::test]
async fn sync_pushes_full_pages_groups_first_and_awaits_cleanup() {
    let world = World::with_target(company(), "").await;
    let synced = world.sync(&[]).await;
    synced.assert(0, "completed");
    assert_eq!(synced.figures("account"), [1234, 1234, 0, 0]);
    assert_eq!(synced.figures("team"), [150, 150, 0, 0]);
    let sizes = |slug| {
        let mut pages = world.pages(slug);
        pages.sort_unstable();
        pages
    };
    assert_eq!(sizes("team"), [50, 100]);
    assert_eq!(sizes("account"), [[34].as_slice(), &[100; 12]].concat());
    assert_eq!(world.steps(), ["sync", "complete"]);

    let ledger = world.sandbox.ledger();
    let places = |method: &str, end: &str| -> Vec<usize> {
        let of = |(_, entry): &(usize, &bridgehead::sandbox::Entry)| {
            entry.method == method && entry.path.ends_with(end)
        };
        ledger.iter().enumerate().filter(of).map(|(place, _)| place).collect()
    };
    let (teams, accounts) = (places("PUT", "/team/"), places("PUT", "/account/"));
    assert!(teams.iter().max() < accounts.iter().min(), "groups come before accounts");
    let session = ledger[teams[0]].path.trim_end_matches("team/").to_owned();
    let (asked, completed) = (places("GET", &session), places("POST", "/complete/"));
    assert!(
        asked.iter().any(|place| accounts.iter().max() < Some(place) && *place < completed[0]),
        "the counts are compared between the last page and complete"
    );
    assert!(asked.iter().max() > Some(&completed[0]), "the clean-up is watched");
    assert_eq!(world.active_ids("account"), ids(0..1234));
    assert_eq!(world.active_ids("team").len(), 150);
}

#[tokio::test]
async fn existing_resource_type_is_an_error_only_if_its_kind_differs() {
    let world = World::with_target(json!({"records": {"account": accounts(3)}}), "").await;
    world.sandbox.add_resource_type(world.app, ResourceType::group("team", "Teams of old"));
    world.sandbox.add_resource_type(world.app, ResourceType::account("account", "Account"));
    world.sync(&[]).await.assert(0, "completed");

    let world = World::with_target(json!({"records": {"account": accounts(3)}}), "").await;
    world.sandbox.add_resource_type(world.app, ResourceType::license("team", "Team"));
    let synced = world.sync(&[]).await;
    synced.assert(1, "failed");
    assert!(synced.detail().contains("'team'") && synced.detail().contains("license"), "{synced:?}");
    assert_eq!(world.steps(), [""; 0]);
}

#[tokio::test]
async fn unregistered_type_is_named_when_registration_is_off() {
    let world = World::with_target(json!({"records": {"account": accounts(3)}}), "").await;
    world.target_settings("", "", "register_resource_types = false");
    world.sandbox.add_resource_type(world.app, ResourceType::account("account", "Account"));
    let synced = world.sync(&[]).await;
    synced.assert(1, "failed");
    assert!(synced.detail().contains("does not know the resource type 'team'"), "{synced:?}");
    world.sandbox.add_resource_type(world.app, ResourceType::group("team", "Team"));
    world.sync(&[]).await.assert(0, "completed");
}

#[tokio::test]
async fn only_removed_accounts_become_inactive_and_counts_are_correct() {
    let world = World::with_target(json!({"records": {"account": people(0..40)}}), "").await;
    world.sync(&[]).await.assert(0, "completed");
    let again = world.sync(&[]).await;
    assert_eq!(again.assert(0, "completed").figures("account"), [40, 0, 0, 0]);

    // 7 is removed, 40 and 41 are added, 1 to 3 are renamed.
    let mut records = people((0..42).filter(|number| *number != 7));
    records.iter_mut().skip(1).take(3).for_each(|record| record["display_name"] = json!("Anew"));
    world.target(json!({"records": {"account": records}}));
    let synced = world.sync(&[]).await;
    assert_eq!(synced.assert(0, "completed").figures("account"), [41, 2, 3, 1]);
    assert_eq!(synced.summary["removals"], json!({"account": ["u000007"]}));
    assert_eq!(world.active_ids("account"), ids((0..42).filter(|number| *number != 7)));
    assert_eq!(world.sandbox.stats(world.app).unwrap().records[1].inactive, 1);

    let after = world.sync(&[]).await;
    assert_eq!(after.assert(0, "completed").figures("account"), [41, 0, 0, 0]);
}

#[tokio::test]
async fn empty_target_is_a_valid_first_sync() {
    let world = World::with_target(json!({"records": {}}), "").await;
    let synced = world.sync(&[]).await;
    assert_eq!(synced.assert(0, "completed").figures("account"), [0, 0, 0, 0]);
    assert_eq!(world.steps(), ["sync", "complete"]);
}

#[tokio::test]
async fn sync_prints_a_table() {
    let said = json!({"records": {"account": people(0..12), "team": [{"id": "t1", "name": "One"}]}});
    let world = World::with_target(said, "").await;
    let output = world.run(&["sync", "hr"]).await;
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
    assert!(text.starts_with("hr: completed - sync completed, stale records removed\n"), "{text}");
    assert_eq!(rows[1], ["TYPE", "RECORDS", "CREATED", "CHANGED", "REMOVED"]);
    assert_eq!(rows[2], ["account", "12", "12", "0", "0"]);
    assert_eq!(rows[3], ["team", "1", "1", "0", "0"]);

    world.target(json!({"records": {"account": people(1..12), "team": [{"id": "t1", "name": "One"}]}}));
    let output = world.run(&["sync"]).await;
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("account removed: u000000 (1 of 1)\n"), "{text}");
}

#[tokio::test]
async fn unknown_app_and_invalid_configuration_have_exit_codes() {
    let world = World::with_target(json!({"records": {}}), "").await;
    assert_eq!(world.run(&["sync", "rh"]).await.status.code(), Some(2));
    assert_eq!(world.run(&["sync", "hr", "--dry-run", "--allow-removals"]).await.status.code(), Some(2));
    world.target_settings("every = \"soon\"", "", "");
    assert_eq!(world.run(&["sync", "hr"]).await.status.code(), Some(78));
}

#[tokio::test]
async fn sync_command_while_a_daemon_runs_cancels_nothing() {
    let world = World::with_target(json!({"records": {"account": people(0..30)}}), "").await;
    let daemon = world.start();
    eventually("the daemon syncs", || world.count("sync") == 1).await;
    let synced = world.sync(&[]).await;
    assert_eq!(synced.assert(0, "completed").figures("account")[0], 30);
    daemon.says("sync requested by the operator").await;
    daemon.stop().await;
    assert_eq!(world.steps(), ["sync", "complete", "sync", "complete"], "one after the other");
}
