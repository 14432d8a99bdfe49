//! What runs, as the operating system tells it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::Command;
use std::time::Duration;

/// Processes of a group that are more than a name waiting for their parent to read how they ended.
pub(crate) fn running(group: u32) -> Vec<String> {
    let output = Command::new("ps").args(["-eo", "pgid=,stat=,args="]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let of_group = |line: &&str| {
        let mut words = line.split_whitespace();
        words.next() == Some(&group.to_string()) && !words.next().is_some_and(|state| state.starts_with('Z'))
    };
    text.lines().filter(of_group).map(str::to_owned).collect()
}

/// Waits until a group is empty.
pub(crate) async fn until_nothing_runs(group: u32) {
    for _ in 0..600 {
        if running(group).is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("still running: {:?}", running(group));
}
