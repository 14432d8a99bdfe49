//! Three daemons on one PostgreSQL database, disturbed by a plan that follows from a seed. Every task must be applied once, one call at a
//! time for each account, and no sync may remove an account that exists. `docs/chaos.md` says how to run more seeds.

mod clock;
mod evidence;
mod faults;
mod owners;
mod plan;
mod report;
mod run;
mod site;
mod stories;

use std::fmt::Write as _;

use self::clock::Clock;
use self::plan::Plan;
use crate::support::{Daemon, KEY, World};

const NAMES: [&str; plan::NODES] = ["a", "b", "c"];

/// A number from the environment.
fn given(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().expect("a number"))
}

/// Starts a node.
fn start(world: &World, node: &str, clock: &Clock) -> Daemon {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_bridgehead"));
    command.arg("--config").arg(world.path(format!("{node}.toml"))).arg("run");
    command
        .env_remove("NOTIFY_SOCKET")
        .env("IDEN_API_KEY", KEY)
        .env("BRIDGEHEAD__BRIDGE__REQUEST_TIMEOUT", "3s");
    clock.give_to(&mut command);
    World::started(command)
}

async fn chaos(seed: u64) {
    let plan = Plan::new(seed, given("CHAOS_SECONDS", 12) * 1000);
    let run = run::run(&plan).await;
    println!("CHAOS {}", report::figures(&plan, &run));
    let kept = report::keep(&plan, &run);
    if run.violations.is_empty() {
        return;
    }
    let mut text = String::new();
    for violation in &run.violations {
        // Writing to a string cannot fail.
        writeln!(text, "seed {seed}: {violation}").ok();
    }
    panic!("\n{text}\n{plan}\n{kept}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_task_is_applied_once_whatever_happens_to_three_nodes() {
    chaos(given("CHAOS_SEED", 1)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_task_is_applied_once_whatever_else_happens_to_three_nodes() {
    chaos(2).await;
}
