//! The delay before a process that died is started again.
//!
//! Nothing waits here, and there is no loop: it computes a time, and calls before that time get an error that says when
//! to retry.

use std::time::Duration;

use bridgehead_resilience::{Backoff, Jitter, RetryPolicy};
use tokio::time::Instant;

/// The delay after the first death.
const FIRST: Duration = Duration::from_millis(100);

/// The maximum delay.
const LONGEST: Duration = Duration::from_secs(30);

/// 100 ms after the first death, doubling up to 30 s. Each process is restarted independently, so there is no jitter.
const POLICY: RetryPolicy = RetryPolicy::new(FIRST, LONGEST).with_jitter(Jitter::None);

/// Counts deaths, and determines when the next process may be started.
#[derive(Debug)]
pub(crate) struct Restart {
    deaths: Backoff,
    not_before: Option<Instant>,
}

impl Default for Restart {
    fn default() -> Self {
        Self { deaths: Backoff::new(POLICY), not_before: None }
    }
}

impl Restart {
    /// Records that a process ended at this time. If it was healthy, that is, had responded to a call, the delay is
    /// reset.
    pub(crate) fn died(&mut self, at: Instant, was_healthy: bool) {
        if was_healthy {
            self.deaths.succeeded();
        }
        self.not_before = Some(at + self.deaths.failed(0.0));
    }

    /// How long the next start must wait; `None` if it is allowed now.
    pub(crate) fn remaining(&self, now: Instant) -> Option<Duration> {
        self.not_before
            .map(|moment| moment.saturating_duration_since(now))
            .filter(|remaining| !remaining.is_zero())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn restart_delay_doubles_up_to_30_seconds() {
        let mut restart = Restart::default();
        assert_eq!(restart.remaining(Instant::now()), None);
        let mut delays = Vec::new();
        for _ in 0..10 {
            restart.died(Instant::now(), false);
            delays.push(restart.remaining(Instant::now()).unwrap().as_millis());
        }
        assert_eq!(delays, [100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 30000]);
    }

    #[tokio::test(start_paused = true)]
    async fn healthy_process_resets_the_restart_delay() {
        let mut restart = Restart::default();
        for _ in 0..5 {
            restart.died(Instant::now(), false);
        }
        restart.died(Instant::now(), true);
        assert_eq!(restart.remaining(Instant::now()), Some(FIRST));
    }

    #[tokio::test(start_paused = true)]
    async fn restart_delay_counts_from_process_exit() {
        let mut restart = Restart::default();
        let death = Instant::now();
        tokio::time::advance(Duration::from_millis(40)).await;
        restart.died(death, false);
        assert_eq!(restart.remaining(Instant::now()), Some(Duration::from_millis(60)));
        tokio::time::advance(Duration::from_millis(60)).await;
        assert_eq!(restart.remaining(Instant::now()), None);
    }
}
