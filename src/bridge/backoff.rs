//! Exponential backoff with full jitter.

use std::time::Duration;

use rand::Rng;

/// A wait that doubles from `base` up to `cap`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Backoff {
    pub(super) base: Duration,
    pub(super) cap: Duration,
}

impl Backoff {
    /// The longest wait after that many attempts; attempts count from 1.
    pub(super) fn ceiling(self, attempt: u32) -> Duration {
        let doublings = attempt.saturating_sub(1).min(31);
        self.base.saturating_mul(1 << doublings).min(self.cap)
    }

    /// A wait after that many attempts, anywhere between nothing and the longest: callers that failed
    /// together do not come back together.
    pub(super) fn delay(self, attempt: u32, rng: &mut impl Rng) -> Duration {
        rng.random_range(Duration::ZERO..=self.ceiling(attempt))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand::rngs::SmallRng;

    use super::*;

    const BACKOFF: Backoff = Backoff { base: Duration::from_millis(250), cap: Duration::from_secs(8) };

    #[test]
    fn the_longest_wait_doubles_up_to_its_cap() {
        let ceilings: Vec<_> = (0..8).map(|attempt| BACKOFF.ceiling(attempt).as_millis()).collect();
        assert_eq!(ceilings, [250, 250, 500, 1000, 2000, 4000, 8000, 8000]);
        assert_eq!(BACKOFF.ceiling(u32::MAX), Duration::from_secs(8));
    }

    #[test]
    fn waits_use_the_whole_range() {
        let mut rng = SmallRng::seed_from_u64(7);
        let waits: Vec<_> = (0..1000).map(|_| BACKOFF.delay(6, &mut rng)).collect();
        assert!(waits.iter().any(|wait| *wait < Duration::from_millis(800)));
        assert!(waits.iter().any(|wait| *wait > Duration::from_millis(7200)));
    }

    proptest! {
        #[test]
        fn no_wait_exceeds_its_ceiling(attempt: u32, seed: u64) {
            let wait = BACKOFF.delay(attempt, &mut SmallRng::seed_from_u64(seed));
            prop_assert!(wait <= BACKOFF.ceiling(attempt));
        }
    }
}
