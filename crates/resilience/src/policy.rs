//! How long to wait before a retry.

use std::time::Duration;

/// How much of a wait is random.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Jitter {
    /// None of it: every wait equals its ceiling. For waits that no other caller shares.
    None,
    /// All of it, from zero to the ceiling: callers that failed together do not retry together.
    Full,
    /// Half of it, from half the ceiling to the ceiling: never immediately.
    Equal,
}

/// Exponential backoff with a cap and jitter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// The ceiling of the first wait.
    pub base: Duration,
    /// The maximum wait, unless the server asks for more (`Retry-After`).
    pub cap: Duration,
    /// How much of each wait is random.
    pub jitter: Jitter,
}

impl RetryPolicy {
    /// A policy with [`Jitter::Equal`].
    pub const fn new(base: Duration, cap: Duration) -> Self {
        Self { base, cap, jitter: Jitter::Equal }
    }

    /// The same policy with a different jitter.
    pub const fn with_jitter(self, jitter: Jitter) -> Self {
        Self { jitter, ..self }
    }

    /// The maximum wait after attempt `attempt` failed. Attempts count from 1; 0 is treated as 1.
    pub fn ceiling(self, attempt: u32) -> Duration {
        let doublings = attempt.saturating_sub(1).min(31);
        self.base.saturating_mul(1 << doublings).min(self.cap)
    }

    /// The wait after attempt `attempt` failed, for a random number from 0.0 to 1.0. Numbers outside are clamped.
    pub fn delay(self, attempt: u32, random: f64) -> Duration {
        let ceiling = self.ceiling(attempt);
        let random = if random.is_nan() { 0.0 } else { random.clamp(0.0, 1.0) };
        match self.jitter {
            Jitter::None => ceiling,
            Jitter::Full => ceiling.mul_f64(random),
            Jitter::Equal => {
                let half = ceiling / 2;
                half + half.mul_f64(random)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const POLICY: RetryPolicy = RetryPolicy::new(Duration::from_millis(500), Duration::from_mins(1));

    #[test]
    fn ceiling_doubles_up_to_the_cap() {
        let ceilings: Vec<_> =
            [0, 1, 2, 3, 4, 8, u32::MAX].map(|attempt| POLICY.ceiling(attempt).as_millis()).into();
        assert_eq!(ceilings, [500, 500, 1000, 2000, 4000, 60_000, 60_000]);
    }

    #[test]
    fn out_of_range_random_number_is_clamped() {
        for (random, wait) in [(-1.0, 500), (2.0, 1000), (f64::NAN, 500), (f64::INFINITY, 1000)] {
            assert_eq!(POLICY.delay(2, random).as_millis(), wait, "{random}");
        }
    }

    proptest! {
        #[test]
        fn delay_stays_within_its_bounds(attempt: u32, random in 0.0..=1.0_f64) {
            let ceiling = POLICY.ceiling(attempt);
            let equal = POLICY.delay(attempt, random);
            prop_assert!(equal <= ceiling && equal >= ceiling / 2);
            prop_assert!(POLICY.with_jitter(Jitter::Full).delay(attempt, random) <= ceiling);
        }

        #[test]
        fn ceilings_never_shrink(attempt in 0_u32..100) {
            prop_assert!(POLICY.ceiling(attempt) <= POLICY.ceiling(attempt + 1));
        }
    }
}
