//! The only retry loop.

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
    /// A retry would not help.
    GiveUp,
    /// Retry after the policy's wait.
    Retry,
    /// Retry after the policy's wait, but not sooner than this: the server asked for it.
    RetryAfter(Duration),
}

/// A failed attempt that will be repeated.
#[derive(Clone, Copy, Debug)]
pub struct Attempt<'a, E> {
    /// The number of the failed attempt, counted from 1, or from the number passed to [`Retry::resumed`].
    pub number: u32,
    /// Its error.
    pub error: &'a E,
    /// The wait before the next attempt.
    pub wait: Duration,
}

/// Why a run has no result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Interrupted<E> {
    /// The stop token was cancelled before an attempt succeeded.
    Stopped,
    /// The last error: it is permanent, or the time or the attempts are used up.
    Failed(E),
}

/// Runs a call until it succeeds, fails permanently, runs out of time, or is stopped.
///
/// Without a stop token, [`run`](Self::run) returns the last error unchanged; with one ([`until`](Self::until)), an [`Interrupted`].
#[derive(Debug)]
pub struct Retry<'a, S = Unstoppable> {
    policy: RetryPolicy,
    rng: &'a SeededRng,
    stop: S,
    first: u32,
    max_attempts: Option<u32>,
    give_up_after: Option<Duration>,
}

impl<'a> Retry<'a> {
    /// Without limits or a stop token.
    pub const fn new(policy: RetryPolicy, rng: &'a SeededRng) -> Self {
        Self { policy, rng, stop: Unstoppable, first: 1, max_attempts: None, give_up_after: None }
    }

    /// Makes the call until it succeeds, however long that takes: for work that must not be given up.
    pub async fn until_success<T, E, F>(
        &self,
        mut call: impl FnMut(u32) -> F,
        mut notify: impl FnMut(Attempt<'_, E>),
    ) -> T
    where
        F: Future<Output = Result<T, E>>,
    {
        loop {
            if let Ok(result) = self.run(&mut call, |_| Next::Retry, &mut notify).await {
                return result;
            }
        }
    }

    /// Ends with [`Interrupted::Stopped`] when the token is cancelled during a wait.
    ///
    /// A stop ends a wait immediately. It never interrupts a call in progress, and the first attempt is always made: a daemon that shuts
    /// down still records what it has done. A caller that must not start checks its token first.
    pub const fn until(self, stop: &'a CancellationToken) -> Retry<'a, &'a CancellationToken> {
        let Self { policy, rng, stop: Unstoppable, first, max_attempts, give_up_after } = self;
        Retry { policy, rng, stop, first, max_attempts, give_up_after }
    }
}

impl<S: StopSignal> Retry<'_, S> {
    /// The number of the first attempt, if earlier ones were made by another process.
    pub fn resumed(self, first: u32) -> Self {
        Self { first, ..self }
    }

    /// The maximum number of attempts, at least one.
    pub fn max_attempts(self, attempts: u32) -> Self {
        Self { max_attempts: Some(attempts), ..self }
    }

    /// Starts no wait that would end later than this after the first attempt started.
    pub fn give_up_after(self, limit: Duration) -> Self {
        Self { give_up_after: Some(limit), ..self }
    }

    /// Makes the call; `next` decides about each failure, `notify` is called for each failure that will be retried.
    ///
    /// `call` gets the number of the attempt.
    pub async fn run<T, E, F>(
        &self,
        mut call: impl FnMut(u32) -> F,
        next: impl Fn(&E) -> Next,
        mut notify: impl FnMut(Attempt<'_, E>),
    ) -> Result<T, S::Error<E>>
    where
        F: Future<Output = Result<T, E>>,
    {
        let began = Instant::now();
        let token = self.stop.token();
        let first = self.first.max(1);
        // `backon` keeps the count; the number of the attempt follows from its position.
        let made = AtomicU32::new(first);
        // There is one wait less than attempts.
        let waits = self.max_attempts.map_or(usize::MAX, |max| max.saturating_sub(1) as usize);
        let delays = (first..=u32::MAX)
            .chain(std::iter::repeat(u32::MAX))
            .map(|attempt| self.policy.delay(attempt, self.rng.unit()))
            .take(waits);
        let guarded = || {
            // After a sleep that was interrupted, `backon` makes one more call. It must not reach the server.
            let number = made.load(Relaxed);
            let stopped = self.stop.stopped().filter(|_| number > first);
            let attempt = stopped.is_none().then(|| call(number));
            async move {
                match (attempt, stopped) {
                    (Some(attempt), _) => attempt.await.map_err(S::failed),
                    (None, Some(stopped)) => Err(stopped),
                    // One of them is always present.
                    (None, None) => std::future::pending().await,
                }
            }
        };
        guarded
            .retry(Delays(delays))
            .sleep(move |wait| sleep(wait, token.clone()))
            .when(|error| S::error(error).is_some_and(|error| next(error) != Next::GiveUp))
            .adjust(|error, wait| {
                let asked = match S::error(error).map(&next) {
                    Some(Next::RetryAfter(asked)) => asked,
                    Some(Next::GiveUp | Next::Retry) | None => Duration::ZERO,
                };
                wait.map(|wait| wait.max(asked)).filter(|wait| {
                    self.give_up_after.is_none_or(|limit| began.elapsed().saturating_add(*wait) < limit)
                })
            })
            .notify(|error, wait| {
                if let Some(error) = S::error(error) {
                    notify(Attempt { number: made.load(Relaxed), error, wait });
                }
                made.fetch_add(1, Relaxed);
            })
            .await
    }
}

/// What can stop a [`Retry`]: nothing ([`Unstoppable`]), or a token.
pub trait StopSignal: sealed::Sealed + Send + Sync {
    /// The error of a run without a result.
    type Error<E>;

    #[doc(hidden)]
    fn failed<E>(error: E) -> Self::Error<E>;
    #[doc(hidden)]
    fn error<E>(end: &Self::Error<E>) -> Option<&E>;
    /// The error of a run that was stopped, if it was.
    #[doc(hidden)]
    fn stopped<E>(&self) -> Option<Self::Error<E>>;
    #[doc(hidden)]
    fn token(&self) -> Option<CancellationToken>;
}

/// Never stops a run.
#[derive(Clone, Copy, Debug)]
pub struct Unstoppable;

impl StopSignal for Unstoppable {
    type Error<E> = E;

    fn failed<E>(error: E) -> E {
        error
    }

    fn error<E>(end: &E) -> Option<&E> {
        Some(end)
    }

    fn stopped<E>(&self) -> Option<E> {
        None
    }

    fn token(&self) -> Option<CancellationToken> {
        None
    }
}

impl StopSignal for &CancellationToken {
    type Error<E> = Interrupted<E>;

    fn failed<E>(error: E) -> Interrupted<E> {
        Interrupted::Failed(error)
    }

    fn error<E>(end: &Interrupted<E>) -> Option<&E> {
        match end {
            Interrupted::Failed(error) => Some(error),
            Interrupted::Stopped => None,
        }
    }

    fn stopped<E>(&self) -> Option<Interrupted<E>> {
        self.is_cancelled().then_some(Interrupted::Stopped)
    }

    fn token(&self) -> Option<CancellationToken> {
        Some((*self).clone())
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

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::Unstoppable {}
    impl Sealed for &tokio_util::sync::CancellationToken {}
}

/// Adapts any iterator of waits to `backon`.
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
    async fn success_after_numbered_failures_is_returned() {
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

    /// Loops run in separate tasks, so their future must be `Send`.
    #[test]
    fn retry_future_is_send() {
        fn is_send<T: Send>(_: &T) {}
        let rng = SeededRng::seeded(1);
        is_send(&Retry::new(POLICY, &rng).run(|_| async { Ok::<_, &str>(()) }, always, unheard));
    }

    #[tokio::test(start_paused = true)]
    async fn final_error_is_not_retried() {
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
        assert_eq!((result, calls.get()), (Err("refused"), 1));
    }

    #[tokio::test(start_paused = true)]
    async fn retry_after_may_exceed_the_cap_and_call_time_counts() {
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
        assert_eq!(result, Err("busy"));
        // 100 + 120 + 100 + 120 + 100: one more wait would end after 640 s.
        assert_eq!((calls.get(), began.elapsed().as_secs()), (3, 540));
    }

    #[tokio::test(start_paused = true)]
    async fn max_attempts_limits_attempts() {
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
            assert_eq!((result, calls.get()), (Err("down"), max.max(1)));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn stop_ends_a_wait_without_another_call() {
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
    async fn stop_lets_the_current_call_finish() {
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
    async fn stop_before_start_allows_only_the_first_attempt() {
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
