//! The circuit breaker and its permits.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bridgehead_resilience::{Clock, SeededRng, Watched};
use tokio::sync::{Semaphore, SemaphorePermit, watch};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::BreakerSettings;
use super::state::State;
use crate::Health;

/// The result of a call, as far as the breaker is concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The Bridge responded, with any content.
    Answered,
    /// It rejected the key.
    Refused(String),
    /// It is rate limiting, and may have said how long to wait.
    Throttled(Option<Duration>),
    /// It did not respond, or failed.
    Failed(String),
}

/// Why a call was not permitted in time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The remaining time of the pause that the Bridge requested.
    Paused(Duration),
    /// The Bridge is down; the error of the last call.
    Down(String),
}

/// The circuit breaker of one client.
#[derive(Debug)]
pub(crate) struct BridgeBreaker {
    clock: Arc<dyn Clock>,
    rng: Arc<SeededRng>,
    /// Waiting callers are woken only when the breaker allows parallel calls again.
    state: Watched<State>,
    /// Held by the only caller that may send while parallel calls are not allowed.
    probe: Semaphore,
    /// How many callers wait until calls may be sent in parallel again.
    waiting: AtomicU32,
    health: watch::Sender<Health>,
}

/// The maximum number of waiting callers that may all send immediately once parallel calls are allowed again.
const AT_ONCE: u32 = 64;
/// Each further caller extends the period over which all of them are spread by this much, so that a Bridge that has recovered is not
/// flooded.
const EACH: Duration = Duration::from_millis(10);
/// The maximum length of that period.
const LONGEST: Duration = Duration::from_secs(10);

/// Counts a caller that waits until calls may be sent in parallel again.
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

/// Permission to make a call.
#[derive(Debug)]
pub(crate) struct Permit<'a> {
    breaker: &'a BridgeBreaker,
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

    /// Waits until `deadline` for a permit. Waiting may be cancelled at any time.
    pub(crate) async fn pass(&self, deadline: Instant) -> Result<Permit<'_>, Refusal> {
        // Nothing ends a pause early, so waiting for one that ends after the deadline is pointless.
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
            let (permits_all, pauses, not_before) =
                self.state.read(|state| (state.permits_all(), state.pauses(), state.not_before()));
            if permits_all {
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
            let opening = self.state.wait_for(|state| state.permits_all().then_some(()));
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
                // The interval before the next probe starts here, so that a cancelled call does not shorten it.
                self.state.modify(|state| {
                    state.probed(Instant::now(), &self.rng);
                    false
                });
                return self.leave(probe, pauses);
            }
        }
    }

    fn leave<'a>(&'a self, probe: Option<SemaphorePermit<'a>>, pauses: u64) -> Permit<'a> {
        Permit { breaker: self, probe, pauses }
    }

    fn record(&self, outcome: Outcome, is_probe: bool, pauses: u64) {
        let mut health = None;
        self.state.modify(|state| {
            let permitted_all = state.permits_all();
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
            state.permits_all() && !permitted_all
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

/// Logs a change that matters to operators: once when it begins, and once when it is over.
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
    /// Whether the permit is still valid: the breaker's state may have changed while its holder waited for something else.
    pub(crate) fn is_valid(&self) -> bool {
        self.breaker
            .state
            .read(|state| self.pauses == state.pauses() && (self.probe.is_some() || state.permits_all()))
    }

    /// Reports the result of the call.
    pub(crate) fn record(self, outcome: Outcome) {
        self.breaker.record(outcome, self.probe.is_some(), self.pauses);
    }
}
