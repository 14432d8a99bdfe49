//! The time of day, where dates matter. Everything that waits uses `tokio::time` instead.

#[cfg(debug_assertions)]
use std::sync::LazyLock;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

/// Tells the time.
pub trait Clock: Send + Sync + std::fmt::Debug + 'static {
    /// Now.
    fn now(&self) -> Timestamp;
}

/// The clock of the machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now().saturating_add(ahead()).unwrap_or(Timestamp::MAX)
    }
}

/// How far the clock goes wrong, in seconds, for the tests that let it jump from one process to the next. Not part of a
/// release build.
#[cfg(debug_assertions)]
fn ahead() -> SignedDuration {
    static AHEAD: LazyLock<SignedDuration> = LazyLock::new(|| {
        let seconds = std::env::var("BRIDGEHEAD_TEST_CLOCK_AHEAD").ok().and_then(|text| text.parse().ok());
        SignedDuration::from_secs(seconds.unwrap_or(0))
    });
    *AHEAD
}

#[cfg(not(debug_assertions))]
fn ahead() -> SignedDuration {
    SignedDuration::ZERO
}

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
