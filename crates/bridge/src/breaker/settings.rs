//! How fast a gate closes, and how slowly it lets through.

use std::time::Duration;

use bridgehead_resilience::{Jitter, RetryPolicy, SeededRng};

/// The figures of a gate.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BreakerSettings {
    /// So many failures in a row, and the Bridge counts as down.
    pub(crate) failures: u32,
    /// The shortest distance between calls while it is down.
    pub(crate) shortest: Duration,
    /// What the distance grows by and to.
    pub(crate) outage: RetryPolicy,
    /// How long a pause is that came without a time.
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
    /// The distance after so many probes. Full jitter would allow for no distance at all, hence the shortest.
    pub(super) fn distance(&self, probes: u32, rng: &SeededRng) -> Duration {
        self.outage.delay(probes, rng.unit()).max(self.shortest)
    }

    /// The pause after so many `429` in a row that did not say how long.
    pub(super) fn pause(&self, throttles: u32, rng: &SeededRng) -> Duration {
        self.pause.delay(throttles, rng.unit()).max(self.shortest)
    }
}
