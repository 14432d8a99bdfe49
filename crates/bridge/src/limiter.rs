//! The operator's own rate limit.

use governor::clock::{Clock, DefaultClock};
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use tokio::sync::Mutex;

/// A token bucket that serves callers in the order of their arrival.
#[derive(Debug)]
pub(super) struct Limiter {
    bucket: RateLimiter<NotKeyed, InMemoryState, DefaultClock>,
    clock: DefaultClock,
    /// Held while waiting for a token, so that waiting calls are served in order.
    turn: Mutex<()>,
}

impl Limiter {
    pub(super) fn new(quota: Quota) -> Self {
        let clock = DefaultClock::default();
        Self { bucket: RateLimiter::direct_with_clock(quota, clock.clone()), clock, turn: Mutex::new(()) }
    }

    /// Waits for a token. A cancelled wait takes none.
    pub(super) async fn ready(&self) {
        let _turn = self.turn.lock().await;
        while let Err(not_yet) = self.bucket.check() {
            tokio::time::sleep(not_yet.wait_time_from(self.clock.now())).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::{Instant, timeout};

    use super::*;
    use crate::RateLimit;

    #[tokio::test]
    async fn burst_passes_and_later_calls_wait() {
        let limiter = Limiter::new(RateLimit { per_second: 10.0, burst: 2 }.quota().unwrap());
        let start = Instant::now();
        for _ in 0..5 {
            limiter.ready().await;
        }
        assert!(start.elapsed() >= Duration::from_millis(290), "{:?}", start.elapsed());
        let hour = Limiter::new(RateLimit { per_second: 1.0 / 3600.0, burst: 1 }.quota().unwrap());
        hour.ready().await;
        assert!(timeout(Duration::from_millis(50), hour.ready()).await.is_err());
    }
}
