//! How long to wait before trying again: exponential, with full jitter.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

/// How waits grow from one try to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Backoff {
    /// The ceiling of the first wait.
    pub(crate) base: Duration,
    /// No wait is longer.
    pub(crate) cap: Duration,
}

impl Backoff {
    /// Tries at a target: often enough that a short failure costs little.
    pub(crate) const TARGET: Self = Self { base: Duration::from_millis(500), cap: Duration::from_mins(1) };
    /// Reports, polls and pages at the Bridge, on top of what its client paces by itself.
    pub(crate) const BRIDGE: Self = Self { base: Duration::from_millis(500), cap: Duration::from_secs(30) };
    /// A refused key: somebody has to act, so there is no hurry.
    pub(crate) const ACCESS: Self = Self { base: Duration::from_secs(5), cap: Duration::from_mins(5) };
    /// Something of the daemon itself that failed: a full disk, an app that panicked.
    pub(crate) const LOCAL: Self = Self { base: Duration::from_secs(1), cap: Duration::from_mins(1) };

    /// The ceiling before try `attempt` is repeated; the first attempt is 1.
    pub(crate) fn ceiling(self, attempt: u32) -> Duration {
        let doublings = attempt.saturating_sub(1).min(31);
        self.base.saturating_mul(1 << doublings).min(self.cap)
    }

    /// A wait between nothing and the ceiling: full jitter spreads those who failed together.
    pub(crate) fn wait(self, attempt: u32, dice: &Dice) -> Duration {
        dice.up_to(self.ceiling(attempt))
    }

    /// A wait between half the ceiling and the ceiling, for what must not come at once.
    pub(crate) fn patient_wait(self, attempt: u32, dice: &Dice) -> Duration {
        let half = self.ceiling(attempt) / 2;
        half + dice.up_to(half)
    }
}

/// The one source of randomness, seeded so that a test repeats itself.
#[derive(Debug)]
pub(crate) struct Dice(Mutex<SmallRng>);

impl Dice {
    pub(crate) fn seeded(seed: u64) -> Self {
        Self(Mutex::new(SmallRng::seed_from_u64(seed)))
    }

    /// Seeded by the operating system.
    pub(crate) fn random() -> Self {
        Self(Mutex::new(SmallRng::from_os_rng()))
    }

    /// A duration from zero up to and including `ceiling`.
    pub(crate) fn up_to(&self, ceiling: Duration) -> Duration {
        let nanos = u64::try_from(ceiling.as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(self.0.lock().unwrap_or_else(PoisonError::into_inner).random_range(0..=nanos))
    }

    /// `interval`, a tenth shorter or longer at most, so that daemons do not poll in step.
    pub(crate) fn around(&self, interval: Duration) -> Duration {
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
        fn a_wait_never_passes_its_ceiling_and_the_ceiling_never_the_cap(seed: u64, attempt: u32) {
            let dice = Dice::seeded(seed);
            let ceiling = Backoff::TARGET.ceiling(attempt);
            prop_assert!(ceiling <= Backoff::TARGET.cap);
            prop_assert!(Backoff::TARGET.wait(attempt, &dice) <= ceiling);
            let patient = Backoff::TARGET.patient_wait(attempt, &dice);
            prop_assert!(patient <= ceiling && patient >= ceiling / 2);
        }

        #[test]
        fn ceilings_do_not_shrink(attempt in 1_u32..100) {
            prop_assert!(Backoff::BRIDGE.ceiling(attempt) <= Backoff::BRIDGE.ceiling(attempt + 1));
        }

        #[test]
        fn around_stays_within_a_tenth(seed: u64, seconds in 1_u64..100_000) {
            let interval = Duration::from_secs(seconds);
            let wait = Dice::seeded(seed).around(interval);
            prop_assert!(wait >= interval * 9 / 10 && wait <= interval * 11 / 10);
        }
    }

    #[test]
    fn the_ceiling_doubles() {
        let ceilings: Vec<_> = (1..=4).map(|attempt| Backoff::TARGET.ceiling(attempt).as_millis()).collect();
        assert_eq!(ceilings, [500, 1000, 2000, 4000]);
    }
}
