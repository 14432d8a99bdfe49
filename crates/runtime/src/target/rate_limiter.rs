//! Rate limiting for a target: one rate for tasks and syncs together, tasks first.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter as Governor};
use tokio::sync::Notify;

/// Limits the rate of calls to a target.
#[derive(Debug, Default)]
pub struct RateLimiter {
    limiter: Option<DefaultDirectRateLimiter>,
    tasks_waiting: AtomicUsize,
    no_task_waits: Notify,
}

impl RateLimiter {
    /// Allows `per_second` calls on average, and bursts of `burst`. Without a rate, nothing is ever delayed.
    pub fn new(rate: Option<(f64, u32)>) -> Self {
        let limiter = rate.and_then(|(per_second, burst)| {
            let period = Duration::try_from_secs_f64(1.0 / per_second).ok()?;
            let burst = NonZeroU32::new(burst.max(1))?;
            Some(Governor::direct(Quota::with_period(period)?.allow_burst(burst)))
        });
        Self { limiter, ..Self::default() }
    }

    /// Waits until a task may make a call.
    pub async fn for_task(&self) {
        let Some(limiter) = &self.limiter else { return };
        let _waiting = Waiting::new(self);
        limiter.until_ready().await;
    }

    /// Waits until a sync may make a call: not while a task waits.
    pub async fn for_sync(&self) {
        let Some(limiter) = &self.limiter else { return };
        loop {
            let nobody = self.no_task_waits.notified();
            if self.tasks_waiting.load(Ordering::Acquire) == 0 {
                break;
            }
            nobody.await;
        }
        limiter.until_ready().await;
    }
}

/// Counts a waiting task until dropped, even if its future is dropped.
struct Waiting<'a>(&'a RateLimiter);

impl<'a> Waiting<'a> {
    fn new(pacing: &'a RateLimiter) -> Self {
        pacing.tasks_waiting.fetch_add(1, Ordering::AcqRel);
        Self(pacing)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if self.0.tasks_waiting.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.no_task_waits.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn sync_waits_while_a_task_waits() {
        let pacing = RateLimiter::new(Some((0.000_1, 1)));
        pacing.for_task().await;
        let mut task = Box::pin(pacing.for_task());
        assert!((&mut task).now_or_never().is_none());
        let mut sync = Box::pin(pacing.for_sync());
        assert!((&mut sync).now_or_never().is_none());
        assert_eq!(pacing.tasks_waiting.load(Ordering::Acquire), 1);
        drop(task);
        assert_eq!(pacing.tasks_waiting.load(Ordering::Acquire), 0, "a dropped wait is not counted for ever");
        assert!((&mut sync).now_or_never().is_none(), "the rate holds for syncs too");
    }

    #[tokio::test]
    async fn nothing_waits_without_a_rate_limit() {
        let pacing = RateLimiter::new(None);
        for _ in 0..1000 {
            pacing.for_task().await;
            pacing.for_sync().await;
        }
    }
}
