//! The events of a run with several nodes, derived from the seed alone.

use std::time::Duration;

use bridgehead::sandbox::Fault;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use super::process::LEASE;
use crate::evidence::people::{Iden, Size, Wish};
use crate::life::{Crash, Side};
use crate::plan::{TIMEOUT, behaviour, bridge_fault};

/// A scheduled event. Nodes and apps have numbers.
#[derive(Debug)]
pub(super) enum Event {
    /// Iden creates tasks of an app.
    Tasks(usize, Vec<Wish>),
    /// The process of a node is killed, and restarted after the pause.
    Kill(usize, Duration),
    /// The process of a node is stopped, and restarted after the pause once it has ended.
    Terminate(usize, Duration),
    /// The process of a node is suspended.
    Suspend(usize, Duration),
    /// A node cannot reach the database.
    CutDatabase(usize, Duration),
    /// A node cannot reach the Bridge.
    CutBridge(usize, Duration),
    /// The process of a connector dies on a node.
    KillConnector(usize, usize),
    /// A fault of the sandbox for a limited time.
    Fault(Box<Fault>, Duration),
    /// The key loses access to an app for a limited time.
    Deny(usize, Duration),
    /// The next cleanups fail.
    FailCleanup(u32),
    /// Changes how the target of an app behaves.
    Target(usize, Value),
    /// Sets the clock of a node ahead by this many seconds from its next start on.
    Clock(usize, i64),
}

/// A schedule.
#[derive(Debug)]
pub(super) struct Schedule {
    pub(super) length: Duration,
    pub(super) apps: usize,
    pub(super) events: Vec<(Duration, Event)>,
    /// Crashes at events, whichever process they belong to.
    pub(super) crashes: Vec<Crash>,
    /// For each node, whether it finds the folder of its earlier processes, which proves that they have ended.
    pub(super) keep_folder: Vec<bool>,
    /// How long a message to or from the database takes at most, in milliseconds.
    pub(super) database_delay: u64,
    /// Whether all nodes are restarted when the faults end; otherwise they must recover without a restart.
    pub(super) fresh_end: bool,
}

/// Every fourth seed.
pub(crate) const HARSH: u64 = 4;

impl Schedule {
    pub(super) fn new(seed: u64, nodes: Option<usize>) -> Self {
        if seed.is_multiple_of(HARSH) {
            return Self::harsh(seed, nodes);
        }
        let mut rng = StdRng::seed_from_u64(seed);
        let drawn = rng.random_range(2..=5);
        let nodes = nodes.unwrap_or(drawn);
        let apps = rng.random_range(2..=3);
        let mut schedule = Self {
            length: Duration::from_secs(rng.random_range(8..20)),

            apps,
            events: Vec::new(),
            crashes: Vec::new(),
            keep_folder: (0..nodes).map(|_| rng.random_bool(0.7)).collect(),
            fresh_end: rng.random_bool(0.3),
            database_delay: 20,
        };
        // Not all kinds at a time, so that one fault does not always mask another.
        let kinds: [bool; 5] = std::array::from_fn(|_| rng.random_bool(0.65));
        let [bridge, target, death, suspension, cut] = kinds;
        for app in 0..apps {
            let mut iden = Iden::new(Size::SMALL);
            schedule.events.push((Duration::ZERO, Event::Target(app, target_of(&mut rng, seed, target))));
            schedule.every(&mut rng, 2.0, |rng| {
                let count = rng.random_range(1..4);
                Event::Tasks(app, (0..count).map(|_| iden.wish(rng)).collect())
            });
        }
        let any = |rng: &mut StdRng, count: usize| rng.random_range(0..count);
        if bridge {
            schedule.every(&mut rng, 4.0, |rng| {
                Event::Fault(Box::new(bridge_fault(rng)), milliseconds(rng, 500, 5000))
            });
            schedule.every(&mut rng, 30.0, |rng| Event::Deny(any(rng, apps), milliseconds(rng, 300, 3000)));
            schedule.every(&mut rng, 30.0, |rng| Event::FailCleanup(rng.random_range(1..3)));
        }
        if target {
            schedule.every(&mut rng, 6.0, |rng| {
                let app = any(rng, apps);
                Event::Target(app, target_of(rng, seed, true))
            });
            schedule.every(&mut rng, 8.0, |rng| Event::KillConnector(any(rng, nodes), any(rng, apps)));
        }
        if death {
            schedule.every(&mut rng, 5.0, |rng| Event::Kill(any(rng, nodes), milliseconds(rng, 0, 4000)));
            schedule
                .every(&mut rng, 10.0, |rng| Event::Terminate(any(rng, nodes), milliseconds(rng, 0, 2000)));
            schedule.every(&mut rng, 15.0, |rng| {
                let ahead = *[0, 3600, -3600, 40 * 86400].choose(rng).expect("a step");
                Event::Clock(any(rng, nodes), ahead)
            });
            let crashes = rng.random_range(0..3);
            schedule.crashes = (0..crashes)
                .map(|_| {
                    let side = if rng.random_bool(0.5) { Side::Before } else { Side::After };
                    Crash { at: rng.random_range(0..4000), side }
                })
                .collect();
        }
        // From less than a lease, which nobody notices, to a takeover that is over before the node comes back.
        let most = 4 * u64::try_from(LEASE.as_millis()).expect("short");
        if suspension {
            schedule
                .every(&mut rng, 4.0, |rng| Event::Suspend(any(rng, nodes), milliseconds(rng, 300, most)));
        }
        if cut {
            schedule.every(&mut rng, 5.0, |rng| {
                Event::CutDatabase(any(rng, nodes), milliseconds(rng, 300, most))
            });
            schedule
                .every(&mut rng, 8.0, |rng| Event::CutBridge(any(rng, nodes), milliseconds(rng, 300, most)));
        }
        schedule.events.sort_by_key(|(at, _)| *at);
        schedule
    }

    /// Many tasks, slow calls, a slow network to the database, and nodes that are often away for longer than a lease and a call together.
    fn harsh(seed: u64, nodes: Option<usize>) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let drawn = rng.random_range(2..=5);
        let (nodes, apps) = (nodes.unwrap_or(drawn), 2);
        let mut schedule = Self {
            length: Duration::from_secs(30),
            apps,
            events: Vec::new(),
            crashes: Vec::new(),
            keep_folder: vec![true; nodes],
            fresh_end: false,
            database_delay: 400,
        };
        for app in 0..apps {
            let mut iden = Iden::new(Size::SMALL);
            let slow = json!({"seed": seed, "timeout": TIMEOUT, "work": [0.0, 3.5], "linger": 0.5});
            schedule.events.push((Duration::ZERO, Event::Target(app, slow)));
            schedule.every(&mut rng, 1.0, |rng| {
                let count = rng.random_range(1..4);
                Event::Tasks(app, (0..count).map(|_| iden.wish(rng)).collect())
            });
        }
        let node = |rng: &mut StdRng| rng.random_range(0..nodes);
        // Until another node has taken over, waited for earlier calls, and looked twice.
        schedule.every(&mut rng, 4.0, |rng| Event::Suspend(node(rng), milliseconds(rng, 6000, 25000)));
        schedule.every(&mut rng, 8.0, |rng| Event::CutDatabase(node(rng), milliseconds(rng, 3000, 15000)));
        schedule.events.sort_by_key(|(at, _)| *at);
        schedule
    }

    fn every(&mut self, rng: &mut StdRng, mean: f64, mut make: impl FnMut(&mut StdRng) -> Event) {
        let mut at = rng.random_range(0.0..mean);
        while at < self.length.as_secs_f64() {
            self.events.push((Duration::from_secs_f64(at), make(rng)));
            at += rng.random_range(0.3 * mean..1.7 * mean);
        }
    }
}

fn milliseconds(rng: &mut StdRng, least: u64, most: u64) -> Duration {
    Duration::from_millis(rng.random_range(least..most))
}

/// How a target behaves. Calls are often so slow that another node takes the app over before they end.
fn target_of(rng: &mut StdRng, seed: u64, faulty: bool) -> Value {
    let mut behaviour = behaviour(rng, seed, faulty);
    let work = *[0.1, 0.4, 1.1, 3.5].choose(rng).expect("a speed");
    behaviour["work"] = json!([0.0, work]);
    behaviour
}
