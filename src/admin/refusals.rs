//! Counts refused requests to the page for the audit log. Anyone who can reach the port can cause them, and must not be able to fill the
//! log with them, because old entries would be dropped.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// At most one entry is written in this time; other refusals in between are only counted.
const PACE: Duration = Duration::from_mins(1);

/// Decides which refusals are recorded.
#[derive(Debug, Default)]
pub(super) struct Refusals(Mutex<Counted>);

#[derive(Debug, Default)]
struct Counted {
    recorded: Option<Instant>,
    /// The number of refusals since the last entry.
    unrecorded: u64,
}

impl Refusals {
    /// Counts a refusal. If it should be recorded, returns the number of refusals since the last entry, including this one.
    pub(super) fn count(&self) -> Option<u64> {
        let now = Instant::now();
        let mut counted = self.lock();
        counted.unrecorded += 1;
        if counted.recorded.is_some_and(|recorded| now < recorded + PACE) {
            return None;
        }
        counted.recorded = Some(now);
        Some(std::mem::take(&mut counted.unrecorded))
    }

    /// Returns and resets the number of refusals since the last entry, for an entry that is written anyway.
    pub(super) fn take(&self) -> u64 {
        std::mem::take(&mut self.lock().unrecorded)
    }

    fn lock(&self) -> MutexGuard<'_, Counted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn however_many_refusals_there_are_one_a_minute_is_recorded_and_all_are_counted() {
        let refusals = Refusals::default();
        assert_eq!(refusals.count(), Some(1));
        for _ in 0..10 {
            assert_eq!(refusals.count(), None);
        }
        tokio::time::advance(PACE).await;
        assert_eq!(refusals.count(), Some(11));
        assert_eq!(refusals.count(), None);
        assert_eq!((refusals.take(), refusals.take()), (1, 0));
    }
}
