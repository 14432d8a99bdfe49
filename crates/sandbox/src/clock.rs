//! The sandbox's clock: it starts at the machine's time and can be moved forward, so that a key expires and a scheduled task falls due
//! without waiting.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

#[derive(Debug)]
pub(crate) struct Clock {
    origin: i64,
    started: Instant,
    /// How far the clock was moved forward, in microseconds.
    advanced: AtomicI64,
}

impl Clock {
    pub(crate) fn starting_at(time: Timestamp) -> Self {
        Self { origin: time.as_microsecond(), started: Instant::now(), advanced: AtomicI64::new(0) }
    }

    /// The current time with microsecond precision, the format of the Bridge API.
    pub(crate) fn now(&self) -> Timestamp {
        let elapsed = microseconds(self.started.elapsed());
        let microsecond =
            self.origin.saturating_add(elapsed).saturating_add(self.advanced.load(Ordering::SeqCst));
        Timestamp::from_microsecond(microsecond).unwrap_or(Timestamp::MAX)
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.advanced.fetch_add(microseconds(by), Ordering::SeqCst);
    }
}

fn microseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// The time `by` after `time`; the latest representable time if that overflows.
pub(crate) fn later(time: Timestamp, by: Duration) -> Timestamp {
    Timestamp::from_microsecond(time.as_microsecond().saturating_add(microseconds(by)))
        .unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advancing_the_clock_adds_to_the_time() {
        let clock = Clock::starting_at(Timestamp::UNIX_EPOCH);
        let before = clock.now();
        clock.advance(Duration::from_hours(1));
        let moved = clock.now().duration_since(before);
        assert!(moved.as_secs() >= 3600 && moved.as_secs() < 3700, "{moved:?}");
    }

    #[test]
    fn clock_saturates_at_the_maximum() {
        assert_eq!(later(Timestamp::MAX, Duration::MAX), Timestamp::MAX);
    }
}
