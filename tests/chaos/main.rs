//! Injects all kinds of faults at once for a while, from a seed, then checks every guarantee against the ledgers of both sides.
//! `docs/chaos.md` explains it, and `tests/chaos/run` runs many seeds.

#![allow(clippy::disallowed_methods, reason = "these tests run in real time")]
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test says what is wrong by failing")]
#![allow(
    clippy::print_stderr,
    clippy::large_futures,
    clippy::needless_pass_by_value,
    reason = "it is a runner"
)]
#![allow(clippy::print_stdout, reason = "the person who runs it reads the figures")]

#[path = "../daemon/support.rs"]
#[allow(dead_code, reason = "the tests of the daemon use the rest")]
mod support;

mod evidence;
mod plan;
mod run;

use std::time::Duration;

use plan::{Mix, Plan};

/// A number from the environment.
fn given(name: &str) -> Option<u64> {
    std::env::var(name)
        .ok()
        .map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is not a number: {text}")))
}

async fn chaos(mix: Mix) {
    let seed = given("CHAOS_SEED").unwrap_or(1);
    let length = Duration::from_secs(given("CHAOS_SECONDS").unwrap_or(20));
    Box::pin(run::run(Plan::new(seed, length, mix))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_promise_is_broken_while_iden_fails() {
    chaos(Mix::Bridge).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_promise_is_broken_while_the_target_fails_and_processes_are_killed() {
    chaos(Mix::Target).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_promise_is_broken_while_everything_fails() {
    chaos(Mix::Everything).await;
}

/// The code that `tests/chaos/reverts` undoes must still exist.
#[test]
fn every_reverted_fix_still_exists() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/chaos/reverts");
    let checked = std::process::Command::new("python3").args([script, "--check"]).output().expect("python3");
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
}

#[test]
fn same_seed_makes_the_same_plan() {
    let plan = |seed| format!("{:?}", Plan::new(seed, Duration::from_secs(60), Mix::Everything).events);
    assert_eq!(plan(7), plan(7));
    assert_ne!(plan(7), plan(8));
}
