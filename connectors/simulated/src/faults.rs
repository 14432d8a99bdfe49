//! Random errors that are the same in every run: they depend on the seed, the task and the attempt.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bridgehead_sdk::{Context, Error, Retry};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// A simulated error. Together, the variants cover what the runtime has to distinguish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// `RATE_LIMITED`: not applied, with a delay for the retry.
    RateLimited,
    /// `TIMEOUT`, effect unknown: the operation was applied, and the response was lost.
    AnswerLost,
    /// `TIMEOUT`, effect unknown: the request was lost, and nothing was applied.
    QuestionLost,
    /// `INTERNAL_ERROR`, not applied: a temporary problem of the target.
    Trouble,
    /// `PERMISSION_DENIED`, not applied, permanently.
    Refused,
}

/// How often each error occurs, in tenths.
const SPREAD: [Fault; 10] = [
    Fault::RateLimited,
    Fault::RateLimited,
    Fault::RateLimited,
    Fault::AnswerLost,
    Fault::AnswerLost,
    Fault::QuestionLost,
    Fault::QuestionLost,
    Fault::Trouble,
    Fault::Trouble,
    Fault::Refused,
];

/// How long a rate-limited caller is asked to wait: short, so that a trial run does not take hours.
const COME_AGAIN: Duration = Duration::from_millis(100);

/// Determines errors at random.
#[derive(Debug)]
pub(crate) struct Faults {
    seed: u64,
    rate: f64,
    /// Counts the calls without a task or attempt, so that a repeated call differs from the first.
    reads: AtomicU64,
}

impl Faults {
    pub(crate) fn new(seed: u64, rate: f64) -> Self {
        Self { seed, rate, reads: AtomicU64::new(0) }
    }

    /// The error of an attempt of a task, if any.
    pub(crate) fn of_task(&self, context: &Context) -> Option<Fault> {
        self.draw(context.task_id.as_str(), u64::from(context.attempt))
    }

    /// The error of a lookup or a page, if any. It is always temporary, so that no sync fails permanently by chance.
    pub(crate) fn of_read(&self) -> Option<Error> {
        if self.rate <= 0.0 {
            return None;
        }
        let fault = self.draw("", self.reads.fetch_add(1, Ordering::Relaxed))?;
        let fault = if fault == Fault::Refused { Fault::Trouble } else { fault };
        Some(fault.error("the call"))
    }

    fn draw(&self, what: &str, attempt: u64) -> Option<Fault> {
        let mut bytes = what.as_bytes().to_vec();
        bytes.extend_from_slice(&attempt.to_le_bytes());
        let drawn = xxh3_64_with_seed(&bytes, self.seed);
        // The upper 53 bits are a fraction from 0 to 1, the lower ones choose among the faults.
        let fraction = (drawn >> 11) as f64 / (1_u64 << 53) as f64;
        let position = usize::try_from(drawn % (1 << 11)).unwrap_or(0) % SPREAD.len();
        SPREAD.get(position).copied().filter(|_| fraction < self.rate)
    }
}

impl Fault {
    /// Whether the target executed the operation nevertheless.
    pub(crate) fn applies(self) -> bool {
        self == Self::AnswerLost
    }

    /// The error that the caller gets.
    pub(crate) fn error(self, what: &str) -> Error {
        match self {
            Self::RateLimited => Error::rate_limited(format!("simulated: {what} was rate limited"))
                .with_retry(Retry::After(COME_AGAIN)),
            Self::AnswerLost | Self::QuestionLost => {
                Error::timeout(format!("simulated: {what} got no response"))
            }
            Self::Trouble => Error::internal(format!("simulated: {what} had a temporary failure"))
                .with_retry(Retry::Backoff),
            Self::Refused => Error::permission_denied(format!("simulated: {what} was rejected")),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn drawn(seed: u64, rate: f64) -> Vec<Option<Fault>> {
        let faults = Faults::new(seed, rate);
        (0..20_000).map(|n| faults.draw(&format!("task-{n}"), 1)).collect()
    }

    #[test]
    fn same_seed_yields_the_same_faults() {
        assert_eq!(drawn(1, 0.2), drawn(1, 0.2));
        assert_ne!(drawn(1, 0.2), drawn(2, 0.2));
    }

    #[test]
    fn error_rate_and_distribution_match_the_settings() {
        assert!(drawn(0, 0.0).iter().all(Option::is_none));
        assert!(drawn(0, 1.0).iter().all(Option::is_some));
        let some: Vec<_> = drawn(0, 0.2).into_iter().flatten().collect();
        assert!((3_600..4_400).contains(&some.len()), "{}", some.len());
        let mut counts: HashMap<String, usize> = HashMap::new();
        for fault in &some {
            *counts.entry(format!("{fault:?}")).or_default() += 1;
        }
        for fault in SPREAD {
            let share = SPREAD.iter().filter(|other| **other == fault).count();
            let count = counts[&format!("{fault:?}")];
            assert!(count.abs_diff(share * some.len() / 10) < some.len() / 20, "{fault:?}: {count}");
        }
    }

    #[test]
    fn each_attempt_draws_independently() {
        let faults = Faults::new(0, 0.5);
        let attempts: Vec<_> = (1..50).map(|attempt| faults.draw("task-1", attempt).is_some()).collect();
        assert!(attempts.contains(&true) && attempts.contains(&false));
    }

    #[test]
    fn reads_never_fail_permanently() {
        let faults = Faults::new(0, 1.0);
        for _ in 0..200 {
            assert_ne!(faults.of_read().unwrap().retry(), Retry::Never);
        }
    }
}
