//! What a sync of many needs: memory does not grow with the number of records.

use std::process::Stdio;
use std::time::Duration;

use crate::support::World;

/// The most that a sync may ever need, in KiB.
const MOST: u64 = 64 * 1024;

/// Syncs so many simulated accounts, then compares a listing of as many with it, and returns the peak of resident memory in
/// KiB.
async fn peak(accounts: usize) -> u64 {
    let world = World::new().await;
    world.configure(&format!(
        "connector = \"simulated\"\n[apps.hr.target]\naccounts = {accounts}\npage_size = 500\n"
    ));
    let mut most = 0;
    for arguments in [["sync", "hr"].as_slice(), &["sync", "hr", "--dry-run"]] {
        let began = tokio::time::Instant::now();
        let mut child = world.command(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let status = format!("/proc/{}/status", child.id());
        let ended = loop {
            let text = std::fs::read_to_string(&status).unwrap_or_default();
            let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            if let Some(peak) = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()) {
                most = most.max(peak);
            }
            if let Some(ended) = child.try_wait().unwrap() {
                break ended;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        assert!(ended.success(), "{arguments:?}: {ended}");
        println!("{arguments:?} of {accounts} accounts: {most} KiB, {:?}", began.elapsed());
    }
    assert_eq!(world.sandbox.stats(world.app).unwrap().records.last().unwrap().active, accounts);
    most
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_does_not_grow_with_the_number_of_accounts() {
    let few = peak(2_000).await;
    let many = peak(20_000).await;
    // Caches fill up to their limit; ten times the records kept in memory would be ten times the growth.
    assert!(many < few + 8 * 1024, "{few} KiB for 2,000 accounts, {many} KiB for 20,000");
    assert!(many < MOST, "{many} KiB");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes; BRIDGEHEAD_ACCOUNTS says how many, 200,000 if it does not"]
async fn as_many_accounts_as_one_likes_fit_into_64_mib() {
    let accounts = std::env::var("BRIDGEHEAD_ACCOUNTS").ok().and_then(|count| count.parse().ok());
    let few = peak(20_000).await;
    let many = peak(accounts.unwrap_or(200_000)).await;
    assert!(many < few * 3 / 2, "{few} KiB for 20,000 accounts, {many} KiB for more");
    assert!(many < MOST, "{many} KiB");
}
