//! How quickly the breaker reacts to failures, and how slowly it then permits calls.

use std::time::Duration;

use bridgehead_resilience::{Jitter, RetryPolicy, SeededRng};

/// The thresholds and delays of a breaker.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BreakerSettings {
    /// How many consecutive failures mark the Bridge as down.
    pub(crate) failures: u32,
    /// The shortest interval between calls during an outage.
    pub(crate) shortest: Duration,
    /// The growth of that interval, and its maximum.
    pub(crate) outage: RetryPolicy,
    /// The length of a pause if the Bridge gave none.
    pub(crate) pause: RetryPolicy,
}

const fn full(base: Duration, cap: Duration) -> RetryPolicy {
    RetryPolicy::new(base, cap).with_jitter(Jitter::Full)
}

impl Default for BreakerSettings {
    fn default() -> Self {
        Self {
            failures: 3,
            shortest: Duration::from_secs(1),
            outage: full(Duration::from_secs(1), Duration::from_secs(15)),
            pause: full(Duration::from_secs(2), Duration::from_mins(1)),
        }
    }
}

impl BreakerSettings {
    /// The interval after this many probes. Full jitter alone could return zero, hence the minimum.
    pub(super) fn distance(&self, probes: u32, rng: &SeededRng) -> Duration {
        self.outage.delay(probes, rng.unit()).max(self.shortest)
    }

    /// The pause after this many consecutive `429` responses without a wait time.
    pub(super) fn pause(&self, throttles: u32, rng: &SeededRng) -> Duration {
        self.pause.delay(throttles, rng.unit()).max(self.shortest)
    }
}
