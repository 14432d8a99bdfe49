//! Refusals on the page, for the audit log. Everyone who reaches the port can cause them, and must not be able to fill the log with
//! them, because that would drop its old entries.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// One entry in this time; what comes in between is counted.
const PACE: Duration = Duration::from_mins(1);

/// Which refusals are recorded.
#[derive(Debug, Default)]
pub(super) struct Refusals(Mutex<Counted>);

#[derive(Debug, Default)]
struct Counted {
    recorded: Option<Instant>,
    /// Since the last entry.
    unrecorded: u64,
}

impl Refusals {
    /// One more. If it is to be recorded: how many there were since the last entry, with this one.
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

    /// How many there were since the last entry, for an entry that is made anyway.
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
