//! Detects whether the daemon's own loops are running.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};

/// The interval between heartbeats.
const BEAT: Duration = Duration::from_secs(1);
/// After this time without a heartbeat, the supervisor counts as blocked: ten missed beats cannot be explained by a busy machine.
const SILENCE: Duration = Duration::from_secs(10);

/// Why the daemon counts as unhealthy. Only a restart helps.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unhealthy {
    /// The supervisor is blocked.
    #[error("the supervisor has not responded for {} seconds; restart the daemon", .0.as_secs())]
    Silent(Duration),
    /// Background loops stopped unexpectedly.
    #[error("background loops stopped unexpectedly: {0}; restart the daemon")]
    Ended(String),
}

/// The heartbeat of a runtime, and its loops that stopped unexpectedly.
#[derive(Debug)]
pub struct Liveness {
    beat: Mutex<Instant>,
    ended: Mutex<BTreeSet<String>>,
}

impl Default for Liveness {
    fn default() -> Self {
        Self::new()
    }
}

impl Liveness {
    /// Starts out healthy.
    pub fn new() -> Self {
        Self { beat: Mutex::new(Instant::now()), ended: Mutex::default() }
    }

    /// Runs the supervisor's future with heartbeats between its polls: if it blocks, the heartbeat stops.
    ///
    /// Cancel: dropping this drops the future. Error: none. Panic: a panic of the future is propagated, and the heartbeat stops.
    pub async fn during<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        let mut beats = interval(BEAT);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                _ = beats.tick() => self.beat(),
            }
        }
    }

    /// Records that a loop ended although the daemon is not stopping.
    pub fn ended(&self, app: &str, name: &str) {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner).insert(format!("{name} of {app}"));
    }

    /// Records that an app ended cleanly: its loops are no longer expected.
    pub fn forget(&self, app: &str) {
        let of_app = format!(" of {app}");
        self.ended.lock().unwrap_or_else(PoisonError::into_inner).retain(|ended| !ended.ends_with(&of_app));
    }

    /// Checks whether the runtime is healthy.
    pub fn check(&self) -> Result<(), Unhealthy> {
        let silence = self.beat.lock().unwrap_or_else(PoisonError::into_inner).elapsed();
        if silence >= SILENCE {
            return Err(Unhealthy::Silent(silence));
        }
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        if ended.is_empty() {
            return Ok(());
        }
        Err(Unhealthy::Ended(ended.iter().map(String::as_str).collect::<Vec<_>>().join(", ")))
    }

    fn beat(&self) {
        *self.beat.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn working_supervisor_stays_alive() {
        let vitals = Liveness::new();
        vitals.during(tokio::time::sleep(Duration::from_hours(1))).await;
        assert_eq!(vitals.check(), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn silent_supervisor_is_detected() {
        let vitals = Liveness::new();
        vitals.during(async {}).await;
        tokio::time::advance(SILENCE.saturating_sub(BEAT)).await;
        assert_eq!(vitals.check(), Ok(()));
        tokio::time::advance(BEAT).await;
        let ailment = vitals.check().unwrap_err();
        assert!(ailment.to_string().contains("has not responded for 10 seconds"), "{ailment}");
    }

    #[tokio::test]
    async fn ended_loop_is_named() {
        let vitals = Liveness::new();
        vitals.ended("hr", "sync");
        assert!(vitals.check().unwrap_err().to_string().contains("sync of hr"));
    }
}
