//! The gate itself, and its passes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bridgehead_resilience::{Clock, SeededRng, Watched};
use tokio::sync::{Semaphore, SemaphorePermit, watch};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::BreakerSettings;
use super::state::State;
use crate::Health;

/// How a call went, as far as the gate is concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The Bridge answered, whatever it said.
    Answered,
    /// It answered that the key is refused.
    Refused(String),
    /// It asked to wait, perhaps for how long.
    Throttled(Option<Duration>),
    /// It did not answer, or failed.
    Failed(String),
}

/// Why a call was not let through in time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The Bridge asked to wait this much longer.
    Paused(Duration),
    /// The Bridge is down, and what the last call failed with.
    Down(String),
}

/// The gate of one client.
#[derive(Debug)]
pub(crate) struct BridgeBreaker {
    clock: Arc<dyn Clock>,
    rng: Arc<SeededRng>,
    /// Waiters are told about openings alone.
    state: Watched<State>,
    /// Held by the one that is let through while the gate is not open.
    probe: Semaphore,
    /// How many wait for an opening.
    waiting: AtomicU32,
    health: watch::Sender<Health>,
}

/// So many callers may pass at once when the gate opens.
const AT_ONCE: u32 = 64;
/// For each further one, all of them are spread over so much more time: a Bridge that is back is not met by everybody at once.
const EACH: Duration = Duration::from_millis(10);
/// But never over more than this.
const LONGEST: Duration = Duration::from_secs(10);

/// One who waits for an opening.
struct Waiting<'a>(&'a AtomicU32);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicU32) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Leave to make a call.
#[derive(Debug)]
pub(crate) struct Permit<'a> {
    gate: &'a BridgeBreaker,
    probe: Option<SemaphorePermit<'a>>,
    pauses: u64,
}

impl BridgeBreaker {
    pub(crate) fn new(pace: BreakerSettings, clock: Arc<dyn Clock>, rng: Arc<SeededRng>) -> Self {
        Self {
            clock,
            rng,
            state: Watched::new(State::new(pace)),
            probe: Semaphore::new(1),
            waiting: AtomicU32::new(0),
            health: watch::Sender::new(Health::Unknown),
        }
    }

    pub(crate) fn health(&self) -> watch::Receiver<Health> {
        self.health.subscribe()
    }

    /// No key could be read, so nothing was sent.
    pub(crate) fn without_key(&self, cause: String) {
        self.show(Health::Refused { cause });
    }

    /// Waits for leave to make a call, until `deadline`. Waiting may be cancelled at any time.
    pub(crate) async fn pass(&self, deadline: Instant) -> Result<Permit<'_>, Refusal> {
        // Nothing ends a pause early, so there is no use in waiting for one that outlasts the deadline.
        if let Some(until) = self.state.read(State::paused_until).filter(|until| *until > deadline) {
            return Err(Refusal::Paused(until - Instant::now()));
        }
        if let Ok(pass) = timeout_at(deadline, self.wait()).await {
            return Ok(pass);
        }
        self.state.read(|state| match (state.paused_until(), state.down()) {
            (Some(until), _) => Err(Refusal::Paused(until.saturating_duration_since(Instant::now()))),
            (None, Some(down)) => Err(Refusal::Down(down.cause.clone())),
            (None, None) => Ok(self.leave(None, state.pauses())),
        })
    }

    async fn wait(&self) -> Permit<'_> {
        let mut probe = None;
        let (mut waiting, mut had_its_turn) = (None, false);
        loop {
            let (is_open, pauses, not_before) =
                self.state.read(|state| (state.is_open(), state.pauses(), state.not_before()));
            if is_open {
                let all = waiting.as_ref().map_or(0, |_| self.waiting.load(Ordering::Relaxed));
                if all <= AT_ONCE || had_its_turn {
                    return self.leave(None, pauses);
                }
                had_its_turn = true;
                tokio::time::sleep(self.rng.up_to((EACH * (all - AT_ONCE)).min(LONGEST))).await;
                continue;
            }
            had_its_turn = false;
            waiting.get_or_insert_with(|| Waiting::new(&self.waiting));
            let opening = self.state.wait_for(|state| state.is_open().then_some(()));
            if probe.is_none() {
                tokio::select! {
                    biased;
                    permit = self.probe.acquire() => probe = permit.ok(),
                    () = opening => {}
                }
            } else if Instant::now() < not_before {
                tokio::select! {
                    biased;
                    () = sleep_until(not_before) => {}
                    () = opening => {}
                }
            } else {
                // The next one's distance counts from here, so that a call which is given up does not shorten
                // it.
                self.state.modify(|state| {
                    state.probed(Instant::now(), &self.rng);
                    false
                });
                return self.leave(probe, pauses);
            }
        }
    }

    fn leave<'a>(&'a self, probe: Option<SemaphorePermit<'a>>, pauses: u64) -> Permit<'a> {
        Permit { gate: self, probe, pauses }
    }

    fn record(&self, outcome: Outcome, is_probe: bool, pauses: u64) {
        let mut health = None;
        self.state.modify(|state| {
            let was_open = state.is_open();
            let now = Instant::now();
            match &outcome {
                Outcome::Answered | Outcome::Refused(_) => {
                    state.answered(is_probe && pauses == state.pauses());
                }
                Outcome::Throttled(wait) => {
                    state.throttled(*wait, is_probe, now, self.clock.now(), &self.rng);
                }
                Outcome::Failed(cause) => state.failed(cause, is_probe, now, self.clock.now(), &self.rng),
            }
            health = state.health();
            state.is_open() && !was_open
        });
        let health = match (health, outcome) {
            (None, Outcome::Failed(_)) => return,
            (None, Outcome::Refused(cause)) => Health::Refused { cause },
            (None, Outcome::Answered | Outcome::Throttled(_)) => Health::Up,
            (Some(health), _) => health,
        };
        self.show(health);
    }

    fn show(&self, health: Health) {
        self.health.send_if_modified(|shown| {
            let changed = *shown != health;
            if changed {
                tell(shown, &health);
                *shown = health;
            }
            changed
        });
    }
}

/// Tells the log what an operator wants to know: once when it begins, once when it is over.
fn tell(before: &Health, now: &Health) {
    match (before, now) {
        (Health::Down { .. }, Health::Down { .. })
        | (Health::Paused { .. }, Health::Paused { .. })
        | (Health::Refused { .. }, Health::Refused { .. })
        | (Health::Unknown | Health::Up, Health::Unknown | Health::Up) => {}
        (_, Health::Down { cause, .. }) => {
            tracing::warn!(%cause, "the Bridge does not respond; making one call at a time until it does");
        }
        (_, Health::Paused { until }) => {
            tracing::warn!(%until, "rate limited by the Bridge; delaying calls");
        }
        (_, Health::Refused { cause }) => tracing::warn!(%cause, "the Bridge rejects the API key"),
        (_, Health::Unknown | Health::Up) => tracing::info!("the Bridge responds again"),
    }
}

impl Permit<'_> {
    /// Whether it still counts: the gate may have closed since, while the holder waited for something else.
    pub(crate) fn is_valid(&self) -> bool {
        self.gate
            .state
            .read(|state| self.pauses == state.pauses() && (self.probe.is_some() || state.is_open()))
    }

    /// Says how the call went.
    pub(crate) fn record(self, outcome: Outcome) {
        self.gate.record(outcome, self.probe.is_some(), self.pauses);
    }
}
