//! Memory use of large syncs: it does not grow with the number of records.

use std::process::Stdio;
use std::time::Duration;

use bridgehead::sandbox::{Effect, Fault};
use serde_json::json;

use crate::support::World;

/// The maximum memory of a sync in KiB, not counting the pages of the program itself, which are many in a debug build.
const MOST: u64 = 32 * 1024;

/// Runs a command to completion, and returns its exit code and its peak anonymous resident memory in KiB.
#[expect(clippy::print_stderr, reason = "these are measurements")]
async fn peak_of(world: &World, arguments: &[&str], what: &str) -> (Option<i32>, u64) {
    let began = tokio::time::Instant::now();
    let mut child = world
        .command(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary starts");
    let status = format!("/proc/{}/status", child.id());
    let mut most = 0;
    let ended = loop {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:"));
        if let Some(peak) = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()) {
            most = most.max(peak);
        }
        if let Some(ended) = child.try_wait().expect("it can be waited for") {
            break ended;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    eprintln!("{arguments:?} of {what}: {most} KiB, {:?}", began.elapsed());
    (ended.code(), most)
}

fn simulated(world: &World, accounts: usize) {
    world.configure(&format!(
        "connector = \"simulated\"\n[apps.hr.target]\naccounts = {accounts}\npage_size = 500\n"
    ));
}

/// Syncs this many simulated accounts twice, so that the second listing replaces the first, then compares a third one with it. Returns the
/// peak resident memory in KiB.
async fn peak(accounts: usize) -> u64 {
    let world = World::new().await;
    simulated(&world, accounts);
    let mut most = 0;
    for arguments in [["sync", "hr"].as_slice(), &["sync", "hr"], &["sync", "hr", "--dry-run"]] {
        let (code, peak) = peak_of(&world, arguments, &format!("{accounts} accounts")).await;
        assert_eq!(code, Some(0), "{arguments:?}");
        most = most.max(peak);
    }
    let stats = world.sandbox.stats(world.app).expect("the app");
    let active = stats.records.iter().find(|of| of.slug == "account").map(|of| of.active);
    assert_eq!(active, Some(accounts));
    most
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_does_not_grow_with_accounts() {
    let few = peak(2_000).await;
    let many = peak(20_000).await;
    // Caches grow up to their limit, and five pages are read ahead; if records were kept in memory, ten times as many would need ten times
    // as much.
    assert!(many < few + 12 * 1024, "{few} KiB for 2,000 accounts, {many} KiB for 20,000");
    assert!(many < MOST, "{many} KiB");
}

/// Runs syncs that end without completing: the records that they pushed are stored, the second time in addition to the first.
async fn peak_of_abandoned(accounts: usize) -> u64 {
    let world = World::new().await;
    simulated(&world, accounts);
    // As if another session had cancelled this one.
    let progress = json!({"sync_id": "x", "status": "in_progress", "progress": []});
    world.sandbox.add_fault(Fault::new(Effect::answer_json(200, progress)).method("GET").path("**/sync/*/"));
    let mut most = 0;
    for time in ["first", "second"] {
        let (code, peak) =
            peak_of(&world, &["sync", "hr"], &format!("{accounts} accounts, abandoned, {time} time")).await;
        assert_eq!(code, Some(1), "it is not completed");
        most = most.max(peak);
    }
    most
}

#[tokio::test(flavor = "multi_thread")]
async fn abandoned_syncs_stay_within_the_memory_limit() {
    let peak = peak_of_abandoned(20_000).await;
    assert!(peak < MOST, "{peak} KiB");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes; BRIDGEHEAD_ACCOUNTS says how many, 200,000 if it does not"]
async fn any_number_of_accounts_fits_in_64_mib() {
    let accounts = std::env::var("BRIDGEHEAD_ACCOUNTS").ok().and_then(|count| count.parse().ok());
    let accounts = accounts.unwrap_or(200_000);
    let few = peak(20_000).await;
    let many = peak(accounts).await.max(peak_of_abandoned(accounts).await);
    assert!(many < few * 3 / 2, "{few} KiB for 20,000 accounts, {many} KiB for more");
    assert!(many < MOST, "{many} KiB");
}
