//! The only source of randomness.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

/// A random number generator that threads can share. Not for secrets.
#[derive(Debug)]
pub struct SeededRng(Mutex<SmallRng>);

impl SeededRng {
    /// The same seed gives the same numbers.
    pub fn seeded(seed: u64) -> Self {
        Self(Mutex::new(SmallRng::seed_from_u64(seed)))
    }

    /// Seeded by the operating system.
    pub fn from_os() -> Self {
        Self(Mutex::new(SmallRng::from_os_rng()))
    }

    /// A number from 0.0 (inclusive) to 1.0 (exclusive).
    pub fn unit(&self) -> f64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).random()
    }

    /// A duration from zero to `ceiling`, inclusive.
    pub fn up_to(&self, ceiling: Duration) -> Duration {
        let nanos = u64::try_from(ceiling.as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(self.0.lock().unwrap_or_else(PoisonError::into_inner).random_range(0..=nanos))
    }

    /// `interval`, up to a tenth shorter or longer, so that daemons do not poll in lockstep.
    pub fn around(&self, interval: Duration) -> Duration {
        let tenth = interval / 10;
        interval.saturating_sub(tenth) + self.up_to(tenth * 2)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn jitter_stays_within_ten_percent(seed: u64, seconds in 1_u64..100_000) {
            let interval = Duration::from_secs(seconds);
            let wait = SeededRng::seeded(seed).around(interval);
            prop_assert!(wait >= interval * 9 / 10 && wait <= interval * 11 / 10);
        }

        #[test]
        fn same_seed_repeats_the_numbers(seed: u64) {
            let (one, other) = (SeededRng::seeded(seed), SeededRng::seeded(seed));
            for _ in 0..10 {
                prop_assert_eq!(one.up_to(Duration::from_secs(9)), other.up_to(Duration::from_secs(9)));
                let unit = one.unit();
                prop_assert!((0.0..1.0).contains(&unit));
                prop_assert!((unit - other.unit()).abs() < f64::EPSILON);
            }
        }
    }
}
