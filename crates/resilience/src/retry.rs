//! The one loop that tries again.

use std::future::Future;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use backon::Retryable as _;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{RetryPolicy, SeededRng};

/// What a failure means for the next attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Trying again would not help.
    GiveUp,
    /// Try again after the policy's wait.
    Retry,
    /// Try again after the policy's wait, but not before this long: the other side asked for it.
    RetryAfter(Duration),
}

/// A failed attempt that will be repeated.
#[derive(Clone, Copy, Debug)]
pub struct Attempt<'a, E> {
    /// Which attempt failed, counted from 1, or from where [`Retry::resumed`] said.
    pub number: u32,
    /// What it failed with.
    pub error: &'a E,
    /// How long until the next one.
    pub wait: Duration,
}

/// Why there is no result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Interrupted<E> {
    /// The stop token was cancelled before an attempt succeeded.
    Stopped,
    /// The last error: final, or the time or the attempts are used up.
    Failed(E),
}

/// Runs a call until it succeeds, fails for good, runs out of time, or is stopped.
///
/// A stop ends a wait at once. It never cuts a call that is under way, and the first attempt is made in any case: a daemon that stops
/// still writes down what it has done. A caller that must not begin checks its token first.
#[derive(Debug)]
pub struct Retry<'a> {
    policy: RetryPolicy,
    rng: &'a SeededRng,
    stop: Option<&'a CancellationToken>,
    first: u32,
    max_attempts: Option<u32>,
    give_up_after: Option<Duration>,
}

impl<'a> Retry<'a> {
    /// Without limits, and not to be stopped.
    pub const fn new(policy: RetryPolicy, rng: &'a SeededRng) -> Self {
        Self { policy, rng, stop: None, first: 1, max_attempts: None, give_up_after: None }
    }

    /// Ends with [`Interrupted::Stopped`] when this is cancelled during a wait.
    pub const fn until(self, stop: &'a CancellationToken) -> Self {
        Self { stop: Some(stop), ..self }
    }

    /// The number of the first attempt, where earlier ones were made by another process.
    pub const fn resumed(self, first: u32) -> Self {
        Self { first, ..self }
    }

    /// Makes so many attempts at most, at least one.
    pub const fn max_attempts(self, attempts: u32) -> Self {
        Self { max_attempts: Some(attempts), ..self }
    }

    /// Begins no wait that would end this long after the first attempt began.
    pub const fn give_up_after(self, limit: Duration) -> Self {
        Self { give_up_after: Some(limit), ..self }
    }

    /// Makes the call; `next` judges each failure, `notify` hears of each one that will be repeated.
    ///
    /// `call` gets the number of the attempt.
    pub async fn run<T, E, F>(
        &self,
        mut call: impl FnMut(u32) -> F,
        next: impl Fn(&E) -> Next,
        mut notify: impl FnMut(Attempt<'_, E>),
    ) -> Result<T, Interrupted<E>>
    where
        F: Future<Output = Result<T, E>>,
    {
        let began = Instant::now();
        let stop = self.stop.cloned();
        let first = self.first.max(1);
        // `backon` keeps the count; the number of an attempt is read off its position.
        let made = AtomicU32::new(first);
        // One wait fewer than attempts.
        let waits = self.max_attempts.map_or(usize::MAX, |max| max.saturating_sub(1) as usize);
        let delays = (first..=u32::MAX)
            .chain(std::iter::repeat(u32::MAX))
            .map(|attempt| self.policy.delay(attempt, self.rng.unit()))
            .take(waits);
        let guarded = || {
            // After a sleep that was cut short, `backon` makes one more call. It must not reach the other side.
            let number = made.load(Relaxed);
            let stopped = number > first && self.stop.is_some_and(CancellationToken::is_cancelled);
            let attempt = (!stopped).then(|| call(number));
            async move {
                match attempt {
                    Some(attempt) => attempt.await.map_err(Interrupted::Failed),
                    None => Err(Interrupted::Stopped),
                }
            }
        };
        guarded
            .retry(Delays(delays))
            .sleep(move |wait| sleep(wait, stop.clone()))
            .when(|error| matches!(error, Interrupted::Failed(error) if next(error) != Next::GiveUp))
            .adjust(|error, wait| {
                let asked = match error {
                    Interrupted::Failed(error) => match next(error) {
                        Next::RetryAfter(asked) => asked,
                        Next::GiveUp | Next::Retry => Duration::ZERO,
                    },
                    Interrupted::Stopped => Duration::ZERO,
                };
                wait.map(|wait| wait.max(asked)).filter(|wait| {
                    self.give_up_after.is_none_or(|limit| began.elapsed().saturating_add(*wait) < limit)
                })
            })
            .notify(|error, wait| {
                if let Interrupted::Failed(error) = error {
                    notify(Attempt { number: made.load(Relaxed), error, wait });
                }
                made.fetch_add(1, Relaxed);
            })
            .await
    }
}

async fn sleep(wait: Duration, stop: Option<CancellationToken>) {
    let sleep = tokio::time::sleep(wait);
    match stop {
        Some(stop) => {
            let _ended = stop.run_until_cancelled(sleep).await;
        }
        None => sleep.await,
    }
}

/// Any iterator of waits, as `backon` takes them.
struct Delays<I>(I);

impl<I: Iterator<Item = Duration>> backon::BackoffBuilder for Delays<I>
where
    I: Send + Sync + Unpin,
{
    type Backoff = I;

    fn build(self) -> I {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use super::*;

    const POLICY: RetryPolicy = RetryPolicy::new(Duration::from_millis(500), Duration::from_secs(30));

    fn always(_: &&str) -> Next {
        Next::Retry
    }

    fn unheard<E>(_: Attempt<'_, E>) {}

    #[tokio::test(start_paused = true)]
    async fn success_after_failures_is_returned_with_every_attempt_numbered() {
        let rng = SeededRng::seeded(7);
        let (seen, heard) = (RefCell::new(Vec::new()), RefCell::new(Vec::new()));
        let result = Retry::new(POLICY, &rng)
            .resumed(5)
            .run(
                |attempt| {
                    seen.borrow_mut().push(attempt);
                    async move { if attempt < 8 { Err("down") } else { Ok(attempt) } }
                },
                always,
                |failed| heard.borrow_mut().push((failed.number, *failed.error, failed.wait)),
            )
            .await;
        assert_eq!(result, Ok(8));
        assert_eq!(*seen.borrow(), [5, 6, 7, 8]);
        let heard = heard.into_inner();
        assert_eq!(heard.iter().map(|(number, ..)| *number).collect::<Vec<_>>(), [5, 6, 7]);
        for (number, error, wait) in heard {
            assert_eq!(error, "down");
            assert!(
                wait <= POLICY.ceiling(number) && wait >= POLICY.ceiling(number) / 2,
                "{number}: {wait:?}"
            );
        }
    }

    /// Loops run in tasks of their own.
    #[test]
    fn a_run_can_be_spawned() {
        fn is_send<T: Send>(_: &T) {}
        let rng = SeededRng::seeded(1);
        is_send(&Retry::new(POLICY, &rng).run(|_| async { Ok::<_, &str>(()) }, always, unheard));
    }

    #[tokio::test(start_paused = true)]
    async fn final_error_ends_at_once() {
        let rng = SeededRng::seeded(1);
        let calls = Cell::new(0);
        let result: Result<(), _> = Retry::new(POLICY, &rng)
            .run(
                |_| {
                    calls.set(calls.get() + 1);
                    async { Err("refused") }
                },
                |_| Next::GiveUp,
                unheard,
            )
            .await;
        assert_eq!((result, calls.get()), (Err(Interrupted::Failed("refused")), 1));
    }

    #[tokio::test(start_paused = true)]
    async fn retry_after_beyond_the_cap_is_honoured_and_time_counts_with_the_calls() {
        let rng = SeededRng::seeded(1);
        let (began, calls) = (Instant::now(), Cell::new(0));
        let result: Result<(), _> = Retry::new(POLICY, &rng)
            .give_up_after(Duration::from_secs(600))
            .run(
                |_| {
                    calls.set(calls.get() + 1);
                    async {
                        tokio::time::sleep(Duration::from_secs(100)).await;
                        Err("busy")
                    }
                },
                |_| Next::RetryAfter(Duration::from_secs(120)),
                unheard,
            )
            .await;
        assert_eq!(result, Err(Interrupted::Failed("busy")));
        // 100 + 120 + 100 + 120 + 100: one more wait would end after 640 s.
        assert_eq!((calls.get(), began.elapsed().as_secs()), (3, 540));
    }

    #[tokio::test(start_paused = true)]
    async fn attempts_are_bounded() {
        for max in [0, 1, 4] {
            let rng = SeededRng::seeded(1);
            let calls = Cell::new(0);
            let result: Result<(), _> = Retry::new(POLICY, &rng)
                .max_attempts(max)
                .run(
                    |_| {
                        calls.set(calls.get() + 1);
                        async { Err("down") }
                    },
                    always,
                    unheard,
                )
                .await;
            assert_eq!((result, calls.get()), (Err(Interrupted::Failed("down")), max.max(1)));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn stop_ends_a_wait_at_once_and_makes_no_further_call() {
        let (rng, stop) = (SeededRng::seeded(1), CancellationToken::new());
        let (calls, stopper) = (Cell::new(0), stop.clone());
        let retry = Retry::new(POLICY, &rng).until(&stop).resumed(9);
        let run = retry.run(
            |_| {
                calls.set(calls.get() + 1);
                async { Err::<(), _>("down") }
            },
            always,
            unheard,
        );
        let (result, ()) = tokio::join!(run, async move {
            tokio::time::sleep(Duration::from_secs(3)).await;
            stopper.cancel();
        });
        assert_eq!((result, calls.get()), (Err(Interrupted::Stopped), 1));
    }

    #[tokio::test(start_paused = true)]
    async fn stop_lets_the_call_under_way_end() {
        let (rng, stop) = (SeededRng::seeded(1), CancellationToken::new());
        let stopper = stop.clone();
        let retry = Retry::new(POLICY, &rng).until(&stop);
        let run = retry.run(
            |_| async {
                tokio::time::sleep(Duration::from_secs(10)).await;
                Ok::<_, &str>("done")
            },
            always,
            unheard,
        );
        let (result, ()) = tokio::join!(run, async move {
            tokio::time::sleep(Duration::from_secs(3)).await;
            stopper.cancel();
        });
        assert_eq!(result, Ok("done"));
    }

    #[tokio::test(start_paused = true)]
    async fn stopped_before_it_began_makes_the_first_attempt_and_no_other() {
        let (rng, stop) = (SeededRng::seeded(1), CancellationToken::new());
        stop.cancel();
        let calls = Cell::new(0);
        let retry = Retry::new(POLICY, &rng).until(&stop);
        let failing: Result<(), _> = retry
            .run(
                |_| {
                    calls.set(calls.get() + 1);
                    async { Err("down") }
                },
                always,
                unheard,
            )
            .await;
        assert_eq!((failing, calls.get()), (Err(Interrupted::Stopped), 1));
        assert_eq!(retry.run(|_| async { Ok::<_, &str>("written") }, always, unheard).await, Ok("written"));
    }
}
