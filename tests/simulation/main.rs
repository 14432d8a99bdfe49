//! The whole daemon in one thread, on a clock that only advances when there is nothing to do: a million seconds pass in minutes, a crash
//! can happen at any commit and any call, and a seed replays exactly. `docs/simulation.md` explains it.
//!
//! Real: the runtime, the Bridge client, the sandbox in the role of Iden. Simulated: time, the network between client and sandbox, the
//! target, and the death of the process. The state is in memory; with `SIM_STATE=sqlite` it is real, too.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test says what is wrong by failing")]
#![allow(clippy::large_futures, clippy::needless_pass_by_value, reason = "a test is read, not called")]
#![allow(clippy::print_stdout, reason = "the person who runs it reads the figures")]

#[path = "../chaos/evidence/mod.rs"]
#[allow(dead_code, reason = "the chaos tests use the rest")]
mod evidence;
#[path = "../chaos/plan.rs"]
#[allow(dead_code, reason = "the chaos tests use the rest")]
mod plan;

mod bridge;
mod connector;
mod daemon;
mod life;
mod schedule;
mod several;
mod state;
mod store;
mod target;
mod world;

use bridgehead::journal::shared::Checks;
use bridgehead_resilience::{Clock, SystemClock};
use life::{Crash, Outage, Side};
use state::Kind;
use world::{Verdict, simulate, simulate_on};

/// A number from the environment.
fn given(name: &str) -> Option<u64> {
    std::env::var(name)
        .ok()
        .map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is not a number: {text}")))
}

/// Seeds that failed before; they run in addition to the range.
const SEEDS: [u64; 0] = [];

fn fail_on(verdict: &Verdict) {
    assert!(verdict.violations.is_empty(), "seed {}:\n{}", verdict.seed, verdict.story());
}

/// Runs seeds until one violates a guarantee. `SIM_SEED` runs one, `SIM_FIRST` and `SIM_SEEDS` a range.
#[test]
fn no_promise_is_broken_by_any_of_the_first_seeds() {
    let seeds = if cfg!(debug_assertions) { 100 } else { 300 };
    run_seeds(&SEEDS, seeds, simulate);
}

fn run_seeds(known: &[u64], otherwise: u64, run: impl Fn(u64) -> Verdict) {
    let first = given("SIM_SEED").or(given("SIM_FIRST")).unwrap_or(1);
    let count = if given("SIM_SEED").is_some() { 1 } else { given("SIM_SEEDS").unwrap_or(otherwise) };
    let began = std::time::SystemTime::now();
    let mut sum = world::TypeCounts::default();
    for seed in known.iter().copied().chain(first..first + count) {
        let verdict = run(seed);
        if std::env::var_os("SIM_EACH").is_some() {
            println!(
                "SIMULATION seed {seed}, {} violations: {:?}",
                verdict.violations.len(),
                verdict.figures
            );
        }
        if std::env::var_os("SIM_TRACE").is_some() {
            println!("{}", verdict.trace.join("\n"));
        }
        fail_on(&verdict);
        sum.add(&verdict.figures);
    }
    let seconds = began.elapsed().map_or(0.0, |time| time.as_secs_f64());
    println!(
        "SIMULATION {count} seeds in {seconds:.1} s, {:.0} a minute: {sum:?}",
        count as f64 * 60.0 / seconds
    );
}

/// Seeds of several nodes that failed before; they run in addition to the range.
const SEEDS_OF_SEVERAL: [u64; 13] = [6, 461, 566, 755, 1287, 1365, 1795, 1870, 3053, 4142, 5290, 6085, 8382];

/// Does the same with several nodes: 2 to 5, or `SIM_NODES`.
#[test]
fn several_nodes_break_no_promise_in_any_of_the_first_seeds() {
    let nodes = given("SIM_NODES").map(|nodes| usize::try_from(nodes).expect("a number of nodes"));
    run_seeds(&SEEDS_OF_SEVERAL, 12, |seed| several::simulate(seed, nodes));
}

/// Does the same where the state also cannot be written for some time.
#[test]
fn no_promise_is_broken_by_a_full_disk_in_any_of_the_first_seeds() {
    let seeds = if cfg!(debug_assertions) { 20 } else { 300 };
    run_seeds(&[], seeds, world::simulate_full);
}

/// Does the same where most requests to complete a sync arrive after their process has ended, and it takes long to start a session.
#[test]
fn late_requests_to_complete_a_sync_have_no_effect() {
    run_seeds(&SEEDS_OF_LATE, 20, world::simulate_late);
}

/// The same with several nodes.
#[test]
fn late_requests_of_other_nodes_have_no_effect() {
    run_seeds(&SEEDS_OF_LATE_NODES, 4, |seed| several::simulate_late(seed, None));
}

/// Seeds that fail if tasks do not wait until the earlier session has been cancelled.
const SEEDS_OF_LATE: [u64; 2] = [37, 48];
const SEEDS_OF_LATE_NODES: [u64; 1] = [19];

/// Asserts that the same events happened in two runs.
fn assert_same(one: &Verdict, other: &Verdict) {
    let seed = one.seed;
    let differs = one.trace.iter().zip(&other.trace).position(|(one, other)| one != other);
    if let Some(at) = differs {
        let from = at.saturating_sub(5);
        panic!(
            "seed {seed} differs at event {at}:\n{}\n--- and\n{}",
            one.trace[from..=at].join("\n"),
            other.trace[from..=at].join("\n")
        );
    }
    assert_eq!(one.trace.len(), other.trace.len(), "seed {seed}");
}

#[test]
fn a_seed_replays_exactly() {
    for seed in 1..=10 {
        assert_same(&simulate(seed), &simulate(seed));
    }
}

#[test]
fn a_seed_with_several_nodes_replays_exactly() {
    for seed in 1..=4 {
        assert_same(&several::simulate(seed, None), &several::simulate(seed, None));
    }
}

/// Checks that SQLite behaves like the state in memory: every event is the same, and no guarantee is violated, including those about files.
#[test]
fn a_seed_runs_on_sqlite_as_it_does_in_memory() {
    for seed in 1..=10 {
        let real = simulate_on(Kind::Sqlite, seed);
        fail_on(&real);
        // SQLite uses the machine's clock for the age of a new folder.
        let memory = simulate_on(Kind::Memory(SystemClock.now()), seed);
        assert_same(&real, &memory);
    }
}

/// A test that cannot fail proves nothing: without verification, the daemon believes the target's false responses.
#[test]
fn a_daemon_that_believes_everything_is_found_out() {
    let found = (1..=100).find(|seed| !world::simulate_credulously(*seed).violations.is_empty());
    assert!(found.is_some(), "a hundred seeds do not notice that tasks.verify is off");
}

/// Without epochs, or without the check before each call, a task is done twice.
#[test]
fn several_nodes_without_a_check_of_their_leases_are_found_out() {
    let all = Checks::default();
    // With a seed that finds it, so that the test is quick.
    let without = [(Checks { epochs: false, ..all }, 152), (Checks { may_start: false, ..all }, 116)];
    for (checks, known) in without {
        // Those seeds in which nodes are away for long.
        let others = (1..=50).map(|number| number * several::schedule::HARSH);
        let mut seeds = std::iter::once(known).chain(others);
        let found = seeds.find(|seed| !several::simulate_checking(*seed, None, checks).violations.is_empty());
        println!("SIMULATION {checks:?}: seed {found:?}");
        assert!(found.is_some(), "no seed notices {checks:?}");
    }
}

/// Crashes after each commit, each call of the Bridge and each call of the target, with one seed and no other fault. Without optimization,
/// after every second one. With it, also before each of them, which leaves almost the same behind as a crash after the previous one.
#[test]
fn no_promise_is_broken_by_a_crash_at_any_event() {
    let seed = given("SIM_SEED").unwrap_or(1);
    let quiet = world::simulate_quietly(seed, None);
    fail_on(&quiet);
    let step = given("SIM_STEP").unwrap_or(if cfg!(debug_assertions) { 2 } else { 1 });
    let step = usize::try_from(step).expect("a step");
    let sides: &[Side] = if cfg!(debug_assertions) { &[Side::After] } else { &[Side::Before, Side::After] };
    for at in (0..quiet.figures.events).step_by(step) {
        for side in sides.iter().copied() {
            let verdict = world::simulate_quietly(seed, Some(Crash { at, side }));
            assert!(
                verdict.violations.is_empty(),
                "seed {seed}, a crash {side:?} event {at}:\n{}",
                verdict.story()
            );
        }
    }
}

/// The state cannot be written for some time, from each write on, with one seed and no other fault: the disk is full, or the database is
/// away. The first write fails, or only its response is lost.
#[test]
fn no_promise_is_broken_if_the_state_cannot_be_written_from_any_write_on() {
    let seed = given("SIM_SEED").unwrap_or(1);
    let quiet = world::simulate_quietly(seed, None);
    fail_on(&quiet);
    let step = given("SIM_STEP").unwrap_or(if cfg!(debug_assertions) { 3 } else { 1 });
    let step = usize::try_from(step).expect("a step");
    let writes = quiet.trace.iter().filter_map(|event| {
        let (number, name) = event.split_once(' ')?;
        store::WRITES.contains(&name).then(|| number.parse().expect("a number"))
    });
    let writes: Vec<u64> = writes.collect();
    println!("SIMULATION {} writes of {} events", writes.len(), quiet.figures.events);
    assert!(writes.len() > 50, "{writes:?}");
    for at in writes.into_iter().step_by(step) {
        for is_first_applied in [false, true] {
            let lasts = std::time::Duration::from_secs(20);
            let verdict = world::simulate_outage(seed, Outage { at, lasts, is_first_applied });
            assert!(
                verdict.violations.is_empty(),
                "seed {seed}, no write from event {at} on, the first one applied: {is_first_applied}\n{}",
                verdict.story()
            );
        }
    }
}
