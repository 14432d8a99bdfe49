//! Consecutive failures, for event loops.

use std::time::Duration;

use crate::RetryPolicy;

/// Counts consecutive failures and returns how long to wait after each.
///
/// For an event loop that does other work while it waits. If there is no other work, use [`Retry`](crate::Retry).
#[derive(Clone, Debug)]
pub struct Backoff {
    policy: RetryPolicy,
    failures: u32,
}

impl Backoff {
    /// Starts without failures.
    pub const fn new(policy: RetryPolicy) -> Self {
        Self { policy, failures: 0 }
    }

    /// Returns the backoff after this many failures that were counted elsewhere.
    pub const fn after(self, failures: u32) -> Self {
        Self { failures, ..self }
    }

    /// Counts a failure; returns the wait before the next attempt, for a random number from 0.0 to 1.0
    /// ([`SeededRng::unit`](crate::SeededRng::unit)).
    pub fn failed(&mut self, random: f64) -> Duration {
        self.failures = self.failures.saturating_add(1);
        self.policy.delay(self.failures, random)
    }

    /// Resets the count after a success.
    pub fn succeeded(&mut self) {
        self.failures = 0;
    }

    /// The number of consecutive failures.
    pub const fn failures(&self) -> u32 {
        self.failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SeededRng;

    #[test]
    fn backoff_grows_until_a_success() {
        let rng = SeededRng::seeded(1);
        let mut backoff = Backoff::new(RetryPolicy::new(Duration::from_secs(1), Duration::from_secs(8)));
        for (failures, ceiling) in [(1, 1), (2, 2), (3, 4), (4, 8), (5, 8)] {
            let wait = backoff.failed(rng.unit());
            assert!(wait <= Duration::from_secs(ceiling) && wait >= Duration::from_secs(ceiling) / 2);
            assert_eq!(backoff.failures(), failures);
        }
        assert_eq!(backoff.clone().after(1).failed(0.0), Duration::from_secs(1), "the second failure");
        backoff.succeeded();
        assert!(backoff.failed(rng.unit()) <= Duration::from_secs(1));
    }
}
