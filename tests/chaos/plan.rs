//! The faults and their times: a schedule derived from the seed alone.

use std::time::Duration;

use bridgehead::sandbox::{Effect, Fault, Loss};
use rand::Rng;
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use serde_json::{Value, json};

use crate::evidence::people::{Iden, Size, Wish};

/// The kinds of faults in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mix {
    /// The network between the daemon and Iden, Iden itself, and the API key.
    Bridge,
    /// The target, the connector, and killed processes.
    Target,
    /// All of it at once.
    Everything,
}

/// A scheduled event.
#[derive(Debug)]
pub(crate) enum Event {
    /// Iden creates tasks.
    Tasks(Vec<Wish>),
    /// SIGKILL, and a restart after the pause.
    Kill(Duration),
    /// SIGTERM, and a restart once the daemon has ended.
    Terminate,
    /// SIGKILL of the connector's process.
    KillConnector,
    /// A fault of the sandbox for a limited time.
    Fault(Box<Fault>, Duration),
    /// The key loses access to the app for a limited time.
    Deny(Duration),
    /// The next cleanups fail.
    FailCleanup(u32),
    /// Changes how the target behaves.
    Target(Value),
    /// SIGKILL, damage to the state, and a restart.
    State(Damage),
    /// SIGKILL, a copy of the whole state, and a restart. Only the first copy is kept.
    Backup,
    /// SIGKILL; the state and the target's listings go back to the time of the copy, and a restart. The target keeps listing its accounts
    /// as of then for this long.
    Restore(Duration),
    /// Removes the lock file, and starts a second daemon on the same state.
    SecondDaemon,
    /// Sets the machine's clock ahead by this many seconds from the next start on.
    Clock(i64),
}

/// Damage to the state while no daemon runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Damage {
    /// The journal is missing.
    NoJournal,
    /// The journal exists but is empty.
    EmptyJournal,
    /// The journal is an older copy.
    OldJournal,
    /// The journal's write-ahead log is missing.
    NoLog,
    /// The whole folder is an older copy.
    OldState,
}

/// A schedule.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) length: Duration,
    pub(crate) events: Vec<(Duration, Event)>,
    /// Whether the daemon is restarted when the faults end; otherwise it must recover without a restart.
    pub(crate) fresh_end: bool,
}

impl Plan {
    pub(crate) fn new(seed: u64, length: Duration, mix: Mix) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut iden = Iden::new(Size::LARGE);
        let (bridge, target) = (mix != Mix::Target, mix != Mix::Bridge);
        let mut events = vec![(Duration::ZERO, Event::Target(behaviour(&mut rng, seed, target)))];
        let seconds = length.as_secs_f64();
        let mut every = |rng: &mut StdRng, mean: f64, make: &mut dyn FnMut(&mut StdRng) -> Event| {
            let mut at = rng.random_range(0.0..mean);
            while at < seconds {
                let event = make(rng);
                events.push((Duration::from_secs_f64(at), event));
                at += rng.random_range(0.3 * mean..1.7 * mean);
            }
        };
        every(&mut rng, 0.5, &mut |rng| {
            let count = rng.random_range(1..4);
            Event::Tasks((0..count).map(|_| iden.wish(rng)).collect())
        });
        if bridge {
            every(&mut rng, 1.2, &mut |rng| {
                let fault = bridge_fault(rng);
                Event::Fault(Box::new(fault), Duration::from_millis(rng.random_range(500..5000)))
            });
            every(&mut rng, 35.0, &mut |rng| Event::Deny(Duration::from_millis(rng.random_range(300..3000))));
            every(&mut rng, 40.0, &mut |rng| Event::FailCleanup(rng.random_range(1..3)));
        }
        if target {
            every(&mut rng, 9.0, &mut |rng| Event::Target(behaviour(rng, seed, true)));
            every(&mut rng, 8.0, &mut |_| Event::KillConnector);
            every(&mut rng, 7.0, &mut |rng| Event::Kill(Duration::from_millis(rng.random_range(0..800))));
            every(&mut rng, 25.0, &mut |_| Event::Terminate);
            every(&mut rng, 20.0, &mut |rng| Event::State(*DAMAGE.choose(rng).expect("a damage")));
            every(&mut rng, 30.0, &mut |_| Event::SecondDaemon);
            every(&mut rng, 15.0, &mut |rng| {
                Event::Clock(*[0, 3600, -3600, 40 * 86400].choose(rng).expect("a step"))
            });
        }
        let fresh_end = rng.random_bool(0.5);
        // Restoring both sides needs two completed syncs: one that the backup contains, and one that it does not.
        if target && rng.random_bool(0.4) {
            for part in [0.25, 0.3, 0.35, 0.4, 0.45] {
                events.push((length.mul_f64(part), Event::Backup));
            }
            for part in [0.65, 0.8] {
                events
                    .push((length.mul_f64(part), Event::Restore(length.mul_f64(rng.random_range(0.2..0.3)))));
            }
        }
        events.sort_by_key(|(at, _)| *at);
        Self { seed, length, events, fresh_end }
    }
}

/// The time limit of one attempt, in seconds. The target's faults depend on it.
pub(crate) const TIMEOUT: u64 = 4;

/// A target without faults.
pub(crate) fn peace(seed: u64) -> Value {
    json!({"seed": seed, "timeout": TIMEOUT, "work": [0.0, 0.02]})
}

const DAMAGE: [Damage; 5] =
    [Damage::NoJournal, Damage::EmptyJournal, Damage::OldJournal, Damage::NoLog, Damage::OldState];

/// Faults of a call that changes the target; `target.py` explains each.
const WRITES: [&str; 15] = [
    "slow",
    "refused",
    "refused",
    "down",
    "unknown",
    "applied_unknown",
    "applied_die",
    "applied_hang",
    "applied_garbage",
    "applied_wrong",
    "die",
    "late",
    "idle",
    "idle",
    "hang",
];

/// Faults of a page.
const LISTS: [&str; 9] = ["repeat", "cut", "short", "shrunk", "shrunk", "empty", "bad", "asleep", "alone"];

/// A target with faults; the keys are explained in `target.py`.
pub(crate) fn behaviour(rng: &mut StdRng, seed: u64, faulty: bool) -> Value {
    if !faulty {
        return json!({"seed": seed, "timeout": TIMEOUT, "work": [0.0, 0.3], "lag": 0.8});
    }
    // Only some kinds at a time, so that one does not always mask another.
    let mut some = |all: &[&'static str], count: usize| -> Vec<&'static str> {
        (0..count).map(|_| *all.choose(rng).expect("a kind")).collect()
    };
    let (write_kinds, list) = (some(&WRITES, 5), some(&LISTS, 3));
    // Sometimes so slow that most of the changes interrupted by a kill are applied while the next daemon is already reading.
    let work = *[0.1, 0.4, 1.1].choose(rng).expect("a speed");
    json!({
        "seed": seed, "timeout": TIMEOUT, "work": [0.0, work], "delay": 0.6, "lag": 0.8, "linger": 0.5,
        "write": rng.random_range(0.1..0.6), "write_kinds": write_kinds,
        "read": rng.random_range(0.0..0.08),
        "listing": rng.random_range(0.0..0.3), "list": list,
    })
}

pub(crate) fn bridge_fault(rng: &mut StdRng) -> Fault {
    let milliseconds = |rng: &mut StdRng, range| Duration::from_millis(rng.random_range(range));
    let effect = match rng.random_range(0..19) {
        0 => Effect::answer(429),
        1 | 2 => Effect::retry_after(429, rng.random_range(0..3)),
        3 => Effect::answer(500),
        4 => Effect::answer(503),
        5 => Effect::Delay(milliseconds(rng, 100..4000)),
        6 => Effect::Stall(milliseconds(rng, 100..4000)),
        7 | 8 => Effect::Cut,
        9 | 10 => Effect::Lose(Loss::Cut),
        11 => Effect::Lose(Loss::Truncate),
        12 => Effect::Lose(Loss::Status(*[500, 502, 504].choose(rng).expect("a status"))),
        13 => Effect::Garbage { status: *[200, 502].choose(rng).expect("a status") },
        14 => Effect::SlowLoris { every: milliseconds(rng, 1..60) },
        15 => Effect::answer(401),
        16 if rng.random_bool(0.5) => Effect::Endless,
        16 => Effect::ForeignNext { to: None },
        17 => return Fault::new(Effect::Forget).method("PATCH").path("**/status/"),
        _ => Effect::LoopingNext,
    };
    let fault = Fault::new(effect);
    let fault = match rng.random_range(0..6) {
        0 => fault.method("PATCH").path("**/status/"),
        1 => fault.method("GET").path("**/tasks/**"),
        2 => fault.path("**/sync/**"),
        3 => fault.method("POST"),
        _ => fault,
    };
    Fault { probability: rng.random_range(0.2..1.0), seed: rng.random(), ..fault }
}
