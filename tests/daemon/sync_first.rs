//! `sync.first = "ask"`: the first sync of an app completes only after an operator has reviewed it.

use serde_json::json;

use crate::support::World;
use crate::sync_world::{ids, people};

async fn world(first: &str) -> World {
    let target = json!({"records": {"account": people(0..20)}});
    World::with_target(target, &format!("first = \"{first}\"")).await
}

#[tokio::test]
async fn first_sync_completes_only_after_consent() {
    let world = world("ask").await;
    // Repeating the sync does not complete it without approval.
    for _ in 0..2 {
        let synced = world.sync(&[]).await;
        synced.assert(1, "held");
        assert_eq!(synced.summary["held_because"], json!(["first_sync"]));
        assert!(synced.detail().contains("first sync"), "{}", synced.detail());
        assert_eq!(world.count("complete"), 0);
    }
    world.sync(&["--allow-removals"]).await.assert(0, "completed");
    assert_eq!(world.active_ids("account"), ids(0..20));
    // After that, it is like any other sync.
    world.target(json!({"records": {"account": people(0..21)}}));
    world.sync(&[]).await.assert(0, "completed");
}

#[tokio::test]
async fn first_dry_run_succeeds_and_shows_how_to_allow_it() {
    let world = world("ask").await;
    let shown = world.sync(&["--dry-run"]).await;
    shown.assert(0, "rehearsed");
    assert_eq!(shown.summary["held_because"], json!(["first_sync"]));
    let digest = shown.summary["digest"].as_str().expect("a digest").to_owned();
    // A target other than the one shown makes another sync.
    world.target(json!({"records": {"account": people(0..19)}}));
    world.sync(&["--allow-removals", &digest]).await.assert(1, "held");
    assert_eq!(world.count("complete"), 0);
    world.target(json!({"records": {"account": people(0..20)}}));
    world.sync(&["--allow-removals", &digest]).await.assert(0, "completed");
    assert_eq!(world.active_ids("account"), ids(0..20));
}

#[tokio::test]
async fn first_sync_completes_without_consent_if_so_configured() {
    let world = world("complete").await;
    world.sync(&[]).await.assert(0, "completed");
    assert_eq!(world.count("complete"), 1);
}
