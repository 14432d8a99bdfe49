//! The breaker of an app: while its target is unreachable, tasks are held instead of failed.
//!
//! A connection error affects every task alike. After a few in a row (one is enough if the target rejects the
//! connector's credential) the breaker opens: only probes are sent, at growing intervals, until one succeeds.
//!
//! A target may also hang: it accepts calls but does not respond. A single call without a response proves little,
//! because one account may be slow. So it counts if several accounts in a row get no response, or if the target does
//! not respond to `check()` either, which is called as soon as two calls in a row fail. A successful check closes the
//! breaker again, but proves little if it was opened by silence: the next call without a response opens it immediately.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bridgehead_resilience::Watched;
use bridgehead_sdk::{Code, Effect, Error, Retry, Subject};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

/// This many consecutive connection errors open the breaker.
const HANDFUL: u32 = 5;
/// This many different accounts in a row without a response open it.
const SEVERAL: usize = 3;
/// After this many consecutive calls without a response, `check()` is called.
const DOUBTFUL: u32 = 2;
/// A silence that is older than this is ignored.
const FORGOTTEN: Duration = Duration::from_mins(15);

/// Why an app's tasks are held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outage {
    /// The code that tasks fail with after they have been held for too long.
    pub(crate) code: Code,
    /// The connector's error message.
    pub(crate) message: String,
    /// Since when the target has been unreachable.
    pub(crate) since: Instant,
}

impl From<Outage> for Error {
    fn from(cause: Outage) -> Self {
        Self::new(cause.code, cause.message)
            .with_effect(Effect::NotApplied)
            .with_retry(Retry::Backoff)
            .with_subject(Subject::Connection)
    }
}

/// Consecutive calls without a response from the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Silence {
    /// When the first of them ended.
    pub(crate) since: Instant,
    /// The number of calls.
    pub(crate) calls: u32,
    last: Instant,
    accounts: HashSet<String>,
    /// How often this silence has opened the breaker.
    opened: u32,
}

#[derive(Debug, Default)]
struct Counts {
    /// Connection errors since the last response.
    failures: u32,
    silence: Option<Silence>,
}

/// The breaker of one app.
#[derive(Debug)]
pub(crate) struct Breaker {
    counts: Mutex<Counts>,
    state: Watched<Option<Outage>>,
    /// How often there was doubt about whether the target responds at all.
    doubts: watch::Sender<u32>,
    /// An operator does not want to wait for the next probe.
    asked: Notify,
}

impl Default for Breaker {
    fn default() -> Self {
        Self {
            counts: Mutex::default(),
            state: Watched::new(None),
            doubts: watch::Sender::new(0),
            asked: Notify::new(),
        }
    }
}

impl Breaker {
    /// Records that the target responded, whatever the response was.
    pub(crate) fn succeeded(&self) {
        *self.counts() = Counts::default();
        self.close();
    }

    /// Records that `check()` succeeded. After connection errors, that is sufficient; after calls without a response, the next call
    /// decides.
    pub(crate) fn checked(&self) {
        self.counts().failures = 0;
        self.close();
    }

    /// Requests a probe for an operator.
    pub(crate) fn ask(&self) {
        self.asked.notify_waiters();
    }

    /// Waits until an operator requests a probe.
    pub(crate) async fn asked(&self) {
        self.asked.notified().await;
    }

    fn close(&self) {
        self.state.modify(|state| state.take().is_some());
    }

    /// Records a call that ended in an error. `account` is the account it was about, if any. Returns whether this opened the breaker.
    pub(crate) fn observe(&self, account: Option<&str>, error: &Error) -> bool {
        if error.subject() == Subject::Connection {
            return self.failed(error);
        }
        if is_silence(error) {
            return self.unanswered(account, error);
        }
        // Only a rejection shows that the target works: an interrupted call proves nothing.
        if error.effect() == Effect::NotApplied {
            self.succeeded();
        }
        false
    }

    /// Records that `check()` got no response, after calls without a response. Returns whether this opened the breaker. Any other error
    /// counts as a response.
    pub(crate) fn check_failed(&self, error: &Error) -> bool {
        let no_answer = error.subject() == Subject::Connection || error.effect() == Effect::Unknown;
        if !no_answer && !is_silence(error) {
            return false;
        }
        let since = {
            let mut counts = self.counts();
            // The target may have responded to another call in the meantime.
            let Some(silence) = &mut counts.silence else { return false };
            silence.opened += 1;
            silence.since
        };
        self.open(error.code(), error.message(), Some(since))
    }

    fn failed(&self, error: &Error) -> bool {
        let failures = {
            let mut counts = self.counts();
            counts.failures = counts.failures.saturating_add(1);
            counts.failures
        };
        let at_once = error.code() == Code::PermissionDenied;
        (failures >= HANDFUL || at_once) && self.open(error.code(), error.message(), None)
    }

    fn unanswered(&self, account: Option<&str>, error: &Error) -> bool {
        let now = Instant::now();
        let opens = {
            let mut counts = self.counts();
            if counts.silence.as_ref().is_some_and(|silence| silence.last.elapsed() >= FORGOTTEN) {
                counts.silence = None;
            }
            let silence = counts.silence.get_or_insert_with(|| Silence {
                since: now,
                calls: 0,
                last: now,
                accounts: HashSet::new(),
                opened: 0,
            });
            silence.calls = silence.calls.saturating_add(1);
            silence.last = now;
            if silence.accounts.len() < SEVERAL {
                silence.accounts.extend(account.map(str::to_owned));
            }
            if silence.accounts.len() >= SEVERAL || silence.opened > 0 {
                silence.opened = silence.opened.saturating_add(1);
                Some(silence.since)
            } else {
                if silence.calls >= DOUBTFUL {
                    self.doubts.send_modify(|doubts| *doubts = doubts.wrapping_add(1));
                }
                None
            }
        };
        opens.is_some_and(|since| self.open(Code::Timeout, error.message(), Some(since)))
    }

    fn open(&self, code: Code, message: &str, since: Option<Instant>) -> bool {
        self.state.modify(|state| {
            let opened = state.is_none();
            let since = state.as_ref().map(|cause| cause.since).or(since).unwrap_or_else(Instant::now);
            *state = Some(Outage { code, message: message.to_owned(), since });
            opened
        })
    }

    /// Why tasks are held; `None` if they are not.
    pub(crate) fn cause(&self) -> Option<Outage> {
        self.state.read(Option::clone)
    }

    /// Consecutive calls without a response, if the last one is recent.
    pub(crate) fn silence(&self) -> Option<Silence> {
        self.counts().silence.clone().filter(|silence| silence.last.elapsed() < FORGOTTEN)
    }

    /// How often the current silence has opened the breaker.
    pub(crate) fn relapses(&self) -> u32 {
        self.counts().silence.as_ref().map_or(0, |silence| silence.opened)
    }

    /// Waits until the breaker is open.
    pub(crate) async fn opened(&self) {
        self.state.wait_for(|state| state.is_some().then_some(())).await;
    }

    /// Waits until the breaker is closed.
    async fn closed(&self) {
        self.state.wait_for(|state| state.is_none().then_some(())).await;
    }

    /// Subscribes to doubts about whether the target responds at all.
    pub(crate) fn doubts(&self) -> watch::Receiver<u32> {
        self.doubts.subscribe()
    }

    /// Waits until calls may be made, for at most `patience`; then returns why they may not.
    pub(crate) async fn wait_available(&self, patience: Duration) -> Result<(), Outage> {
        match tokio::time::timeout(patience, self.closed()).await {
            Ok(()) => Ok(()),
            // The breaker may have closed at the very end of the wait.
            Err(_) => self.cause().map_or(Ok(()), Err),
        }
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a call ended without a response, judging by its error; not for connection errors. A timeout that is known to have changed
/// nothing and must not be retried counts as a response.
fn is_silence(error: &Error) -> bool {
    let is_answer = error.effect() == Effect::NotApplied && error.retry() == Retry::Never;
    error.code() == Code::Timeout && !is_answer
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unreachable() -> Error {
        Error::unreachable("HR does not answer")
    }

    #[tokio::test(start_paused = true)]
    async fn consecutive_connection_errors_open_the_breaker() {
        let breaker = Breaker::default();
        for _ in 1..HANDFUL {
            assert!(!breaker.observe(None, &unreachable()));
        }
        breaker.observe(None, &Error::account_not_found("an answer, and so a connection"));
        for _ in 1..HANDFUL {
            assert!(!breaker.observe(None, &unreachable()));
        }
        assert!(breaker.observe(None, &unreachable()));
        assert!(!breaker.observe(None, &unreachable()), "it opens once");
        assert!(breaker.wait_available(Duration::from_mins(1)).await.is_err());
        breaker.succeeded();
        assert!(breaker.wait_available(Duration::from_mins(1)).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn refused_credential_opens_the_breaker_at_once() {
        let breaker = Breaker::default();
        assert!(breaker.observe(None, &Error::credential_refused("HR refuses the password")));
        let cause = breaker.wait_available(Duration::from_secs(1)).await.unwrap_err();
        assert_eq!(cause.code, Code::PermissionDenied);
    }

    #[test]
    fn unanswered_call_does_not_close_the_breaker() {
        let breaker = Breaker::default();
        breaker.observe(None, &Error::credential_refused("HR refuses the password"));
        breaker.observe(None, &Error::timeout("HR has not answered a call from before"));
        assert!(breaker.cause().is_some());
        breaker.observe(None, &Error::account_not_found("HR has"));
        assert!(breaker.cause().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn waiters_continue_when_the_target_recovers() {
        let breaker = std::sync::Arc::new(Breaker::default());
        breaker.observe(None, &Error::credential_refused("HR refuses the password"));
        let waiting = tokio::spawn({
            let breaker = breaker.clone();
            async move { breaker.wait_available(Duration::from_hours(1)).await }
        });
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert!(!waiting.is_finished());
        breaker.succeeded();
        assert!(waiting.await.unwrap().is_ok());
    }

    fn hangs(breaker: &Breaker, account: &str) -> bool {
        breaker.observe(Some(account), &Error::timeout(format!("{account}: no response within 60s")))
    }

    #[tokio::test(start_paused = true)]
    async fn timeouts_of_several_accounts_open_the_breaker() {
        let breaker = Breaker::default();
        assert!(!hangs(&breaker, "ann") && !hangs(&breaker, "bob"));
        tokio::time::advance(Duration::from_mins(1)).await;
        assert!(hangs(&breaker, "eve"));
        let cause = breaker.cause().unwrap();
        assert_eq!(cause.code, Code::Timeout);
        assert_eq!(cause.since.elapsed(), Duration::from_mins(1), "since the first call without an answer");
    }

    #[tokio::test(start_paused = true)]
    async fn single_slow_account_does_not_open_the_breaker() {
        let breaker = Breaker::default();
        for _ in 0..100 {
            assert!(!hangs(&breaker, "ann"));
        }
        assert!(!breaker.check_failed(&Error::permission_denied("an answer, if not a kind one")));
        assert_eq!((breaker.cause(), breaker.silence().unwrap().calls), (None, 100));
        breaker.succeeded();
        assert_eq!(breaker.silence(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn responses_between_timeouts_keep_the_breaker_closed() {
        let breaker = Breaker::default();
        for account in ["ann", "bob", "eve", "joe", "kim"] {
            assert!(!hangs(&breaker, account));
            breaker.observe(Some("max"), &Error::account_not_found("no max"));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn failed_check_after_two_timeouts_opens_the_breaker() {
        let breaker = Breaker::default();
        let mut doubts = breaker.doubts();
        hangs(&breaker, "ann");
        assert!(!doubts.has_changed().unwrap());
        hangs(&breaker, "ann");
        assert!(doubts.has_changed().unwrap());
        doubts.mark_unchanged();
        assert!(breaker.check_failed(&Error::timeout("checking: no response within 60s")));
        assert_eq!(breaker.cause().unwrap().code, Code::Timeout);
    }

    #[tokio::test(start_paused = true)]
    async fn failed_check_after_a_response_keeps_the_breaker_closed() {
        let breaker = Breaker::default();
        hangs(&breaker, "ann");
        hangs(&breaker, "ann");
        breaker.succeeded();
        assert!(!breaker.check_failed(&Error::timeout("checking: no response within 60s")));
        assert_eq!(breaker.cause(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn one_timeout_after_a_successful_check_reopens_the_breaker() {
        let breaker = Breaker::default();
        for account in ["ann", "bob", "eve"] {
            hangs(&breaker, account);
        }
        let since = breaker.cause().unwrap().since;
        breaker.checked();
        assert_eq!(breaker.cause(), None);
        tokio::time::advance(Duration::from_mins(1)).await;
        assert!(hangs(&breaker, "ann"));
        assert_eq!((breaker.cause().unwrap().since, breaker.relapses()), (since, 2), "the same silence");
        breaker.succeeded();
        assert!(!hangs(&breaker, "ann"), "an answer is an answer");
    }

    #[tokio::test(start_paused = true)]
    async fn old_timeouts_are_forgotten() {
        let breaker = Breaker::default();
        hangs(&breaker, "ann");
        hangs(&breaker, "bob");
        tokio::time::advance(FORGOTTEN).await;
        assert_eq!(breaker.silence(), None);
        assert!(!hangs(&breaker, "eve"));
        assert_eq!(breaker.silence().unwrap().calls, 1);
    }
}
