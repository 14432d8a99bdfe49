//! The events of a simulated run and their times: a schedule derived from the seed alone.

use std::time::Duration;

use bridgehead::sandbox::Fault;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use crate::evidence::people::{Iden, Size, Wish};
use crate::plan::{TIMEOUT, behaviour, bridge_fault};

/// A scheduled event.
#[derive(Debug)]
pub(crate) enum Event {
    /// Iden creates tasks.
    Tasks(Vec<Wish>),
    /// The process is killed, and restarted after the pause.
    Kill(Duration),
    /// The process is stopped, and restarted once it has ended.
    Terminate,
    /// The connector's process dies.
    KillConnector,
    /// A fault of the sandbox for a limited time.
    Fault(Box<Fault>, Duration),
    /// The key loses access to the app for a limited time.
    Deny(Duration),
    /// The next cleanups fail.
    FailCleanup(u32),
    /// Changes how the target behaves.
    Target(Value),
    /// Sets the machine's clock ahead by this many seconds from the next start on.
    Clock(i64),
}

/// A schedule.
#[derive(Debug)]
pub(crate) struct Schedule {
    pub(crate) length: Duration,
    pub(crate) events: Vec<(Duration, Event)>,
    /// Whether the daemon is restarted when the faults end; otherwise it must recover without a restart.
    pub(crate) fresh_end: bool,
}

impl Schedule {
    /// A schedule with all kinds of faults.
    pub(crate) fn new(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let length = Duration::from_secs(rng.random_range(6..16));
        let mut iden = Iden::new(Size::SMALL);
        // Not all kinds at a time, so that one fault does not always mask another.
        let (bridge, target, death) = (rng.random_bool(0.7), rng.random_bool(0.7), rng.random_bool(0.7));
        let mut schedule = Self { length, events: Vec::new(), fresh_end: rng.random_bool(0.5) };
        schedule.events.push((Duration::ZERO, Event::Target(behaviour(&mut rng, seed, target))));
        schedule.every(&mut rng, 1.5, |rng| {
            let count = rng.random_range(1..4);
            Event::Tasks((0..count).map(|_| iden.wish(rng)).collect())
        });
        if bridge {
            schedule.every(&mut rng, 2.5, |rng| {
                Event::Fault(Box::new(bridge_fault(rng)), Duration::from_millis(rng.random_range(500..5000)))
            });
            schedule
                .every(&mut rng, 30.0, |rng| Event::Deny(Duration::from_millis(rng.random_range(300..3000))));
            schedule.every(&mut rng, 30.0, |rng| Event::FailCleanup(rng.random_range(1..3)));
        }
        if target {
            schedule.every(&mut rng, 8.0, |rng| Event::Target(behaviour(rng, seed, true)));
            schedule.every(&mut rng, 10.0, |_| Event::KillConnector);
        }
        if death {
            schedule.every(&mut rng, 5.0, |rng| Event::Kill(Duration::from_millis(rng.random_range(0..800))));
            schedule.every(&mut rng, 20.0, |_| Event::Terminate);
            schedule.every(&mut rng, 20.0, |rng| {
                Event::Clock(*[0, 3600, -3600, 40 * 86400].choose(rng).expect("a step"))
            });
        }
        schedule.events.sort_by_key(|(at, _)| *at);
        schedule
    }

    /// Tasks of every action and a sync, without faults.
    pub(crate) fn quiet(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut iden = Iden::new(Size::SMALL);
        let mut wishes = vec![iden.create(&mut rng)];
        for action in
            ["update_account", "suspend_account", "unsuspend_account", "reset_password", "delete_account"]
        {
            wishes.push(iden.on_account(action, &mut rng));
        }
        let slow = json!({"seed": seed, "timeout": TIMEOUT, "work": [0.0, 0.3], "lag": 0.3, "linger": 0.7});
        let events =
            vec![(Duration::ZERO, Event::Target(slow)), (Duration::from_millis(300), Event::Tasks(wishes))];
        Self { length: Duration::from_secs(5), events, fresh_end: false }
    }

    fn every(&mut self, rng: &mut StdRng, mean: f64, mut make: impl FnMut(&mut StdRng) -> Event) {
        let mut at = rng.random_range(0.0..mean);
        while at < self.length.as_secs_f64() {
            self.events.push((Duration::from_secs_f64(at), make(rng)));
            at += rng.random_range(0.3 * mean..1.7 * mean);
        }
    }
}
