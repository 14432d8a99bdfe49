//! A wall clock that does not follow forward jumps of the machine's clock.

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

/// The wall clock, capped at the start time plus the time this process has been running. If the machine's clock is set forward, nothing
/// ages early; the jump takes effect at the next start.
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
            // The machine's clock was set back: continue from there.
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
    async fn clock_set_forward_ages_nothing() {
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
