//! What the operator allows: exactly what was shown, and no more.

use serde_json::{Value, json};

use crate::support::World;
use crate::sync_world::{ids, people};

fn target(numbers: impl IntoIterator<Item = usize>) -> Value {
    json!({"records": {"account": people(numbers)}})
}

async fn synced(numbers: impl IntoIterator<Item = usize>, sync: &str) -> World {
    let world = World::with_target(target(numbers), sync).await;
    world.sync(&[]).await.assert(0, "completed");
    world.sandbox.clear_ledger();
    world
}

#[tokio::test]
async fn target_failing_after_the_dry_run_removes_no_account() {
    let world = synced(0..200, "every = \"6h\", on_start = false").await;
    let daemon = world.start();
    daemon.says("ready").await;
    world.target(target(30..200));
    let shown = world.sync(&["--dry-run"]).await;
    assert!(shown.assert(1, "held").detail().contains("30 of 200"), "{}", shown.detail());
    world.target(target(195..200));
    let digest = shown.summary["digest"].as_str().expect("a digest").to_owned();
    for consent in
        [["--allow-removals"].as_slice(), &["--allow-removals", "30"], &["--allow-removals", &digest]]
    {
        // Each time, the removals shown by the first dry run are checked.
        world.target(target(30..200));
        world.sync(&["--dry-run"]).await.assert(1, "held");
        world.target(target(195..200));
        let synced = world.sync(consent).await;
        synced.assert(1, "held");
        assert!(synced.detail().contains("completing would remove 195 of 200"), "{}", synced.detail());
        assert!(
            synced.detail().ends_with("allowed") || synced.detail().ends_with("the allowed number"),
            "{}",
            synced.detail()
        );
    }
    assert_eq!((world.count("complete"), world.active_ids("account")), (0, ids(0..200)));
    // The same number of other removals was not shown either.
    world.target(target(0..170));
    world.sync(&["--allow-removals", &digest]).await.assert(1, "held");
    world.target(target(30..200));
    world.sync(&["--allow-removals", &digest]).await.assert(0, "completed");
    assert_eq!(world.active_ids("account"), ids(30..200));
    daemon.stop().await;
}

#[tokio::test]
async fn allowed_number_limits_losses_of_all_kinds() {
    let world = synced(0..200, "").await;
    let mut said = target(30..200);
    for record in &mut said["records"]["account"].as_array_mut().expect("accounts")[..25] {
        record["status"] = json!("inactive");
    }
    world.target(said);
    let synced = world.sync(&["--allow-removals", "54"]).await;
    assert!(synced.assert(1, "held").detail().contains("exceeds the allowed number"), "{}", synced.detail());
    assert!(synced.detail().contains("(55 losses, digest r-"), "{}", synced.detail());
    world.sync(&["--allow-removals", "55"]).await.assert(0, "completed");
}

#[tokio::test]
async fn removals_cannot_be_allowed_without_a_dry_run() {
    let world = synced(0..60, "").await;
    world.target(target(0..30));
    let refused = world.sync(&["--allow-removals"]).await;
    assert_eq!(refused.code, Some(1));
    assert!(refused.detail().contains("there has been none since the last completed sync"), "{refused:?}");
    assert_eq!(world.steps(), [""; 0]);
    // A dry run without a daemon writes nothing; its digest can be used to allow the removals.
    let shown = world.sync(&["--dry-run"]).await;
    let digest = shown.assert(1, "held").summary["digest"].as_str().expect("a digest").to_owned();
    assert_eq!(world.steps(), [""; 0]);
    world.sync(&["--allow-removals", &digest]).await.assert(0, "completed");
    assert_eq!(world.active_ids("account"), ids(0..30));
}

#[tokio::test]
async fn completed_sync_invalidates_shown_losses() {
    let world = synced(0..60, "").await;
    world.target(target(0..30));
    world.sync(&[]).await.assert(1, "held");
    world.target(target(0..60));
    world.sync(&[]).await.assert(0, "completed");
    world.target(target(0..30));
    assert_eq!(world.sync(&["--allow-removals"]).await.code, Some(1));
    assert_eq!(world.active_ids("account"), ids(0..60));
}

#[tokio::test]
async fn app_after_the_allow_flag_is_parsed_as_an_app() {
    let world = synced(0..60, "").await;
    world.target(target(0..30));
    world.sync(&[]).await.assert(1, "held");
    let done = world.run(&["sync", "--allow-removals", "hr"]).await;
    assert!(done.status.success(), "{done:?}");
    assert_eq!(world.run(&["sync", "--allow-removals", "rh"]).await.status.code(), Some(2));
}

#[tokio::test]
async fn dry_run_goes_through_the_daemon_without_side_effects() {
    let world = synced(0..60, "every = \"6h\", on_start = false").await;
    let daemon = world.start();
    daemon.says("ready").await;
    let mut said = target(0..40);
    for record in &mut said["records"]["account"].as_array_mut().expect("accounts")[..12] {
        record["status"] = json!("suspended");
        record["display_name"] = json!("Ann Lee");
    }
    world.target(said.clone());
    let dry_run = |more: &'static [&'static str]| {
        let mut command = world.command(&[&["sync", "hr", "--dry-run"], more].concat());
        command.env_remove("IDEN_API_KEY");
        tokio::task::spawn_blocking(move || command.output().expect("it runs"))
    };
    let printed = dry_run(&["--json"]).await.expect("waited for");
    let all: Value = serde_json::from_slice(&printed.stdout).expect("JSON");
    let losses = &all["hr"]["losses"];
    assert_eq!(
        (all["hr"]["result"].as_str(), losses[0]["count"].as_u64()),
        (Some("held"), Some(20)),
        "{all}"
    );
    assert_eq!(losses[1]["records"].as_array().map(Vec::len), Some(12));
    assert_eq!(losses[1]["records"][0], json!({"id": "u000000", "name": "Ann Lee"}));
    let text = dry_run(&[]).await.expect("waited for");
    let text = String::from_utf8(text.stdout).expect("text");
    for says in [
        "account would be removed: u000040, ",
        "(20 of 20)",
        "account would be deactivated: u000000 (Ann Lee), ",
        "(12 of 12)",
        "to allow exactly these removals once:\n  bridgehead sync hr --allow-removals r-",
    ] {
        assert!(text.contains(says), "{says}: {text}");
    }
    assert_eq!(world.steps(), [""; 0]);
    // A dry run does not affect the daemon's syncs, and the flag without a value allows what was last shown.
    world.target(target(0..60));
    world.sync(&[]).await.assert(0, "completed");
    world.target(said);
    world.sync(&["--dry-run"]).await.assert(1, "held");
    world.sync(&["--allow-removals"]).await.assert(0, "completed");
    daemon.stop().await;
}

#[tokio::test]
async fn dry_run_json_lists_all_removals_and_text_lists_twenty() {
    let world = synced(0..400, "").await;
    world.target(target(0..150));
    let synced = world.sync(&["--dry-run"]).await;
    assert_eq!(synced.summary["removals"]["account"].as_array().map(Vec::len), Some(250));
    assert_eq!(synced.summary["losses"][0]["records"].as_array().map(Vec::len), Some(250));
    let text = world.run(&["sync", "hr", "--dry-run"]).await;
    let text = String::from_utf8(text.stdout).expect("text");
    assert!(text.contains("u000169 (20 of 250; --json lists more)"), "{text}");
    assert!(!text.contains("u000170"), "{text}");
}
