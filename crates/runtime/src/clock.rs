//! A time of day that no jump of the machine's clock moves forward.

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

/// The time of day, but never further from the start than the process has been running: a clock that is set forward makes
/// nothing old. What it would have aged is old after the next start.
#[derive(Debug)]
pub(crate) struct SteadyClock {
    began: Instant,
    began_at: Timestamp,
}

impl SteadyClock {
    pub(crate) fn start(now: Timestamp) -> Self {
        Self { began: Instant::now(), began_at: now }
    }

    pub(crate) fn now(&mut self, wall: Timestamp) -> Timestamp {
        let ran = SignedDuration::try_from(self.began.elapsed()).unwrap_or(SignedDuration::MAX);
        let steady = self.began_at.saturating_add(ran).unwrap_or(Timestamp::MAX);
        if wall < steady {
            // It was set back; from here on it counts from there.
            *self = Self::start(wall);
        }
        wall.min(steady)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_is_set_forward_makes_nothing_old() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let mut clock = SteadyClock::start(at(1_000_000));
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(clock.now(at(1_000_060)), at(1_000_060));
        assert_eq!(clock.now(at(99_000_000)), at(1_000_060), "two years ahead");
        assert_eq!(clock.now(at(900_000)), at(900_000), "it was ahead all the time");
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(clock.now(at(1_000_070)), at(900_010));
    }
}
