//! The breaker of an app: while its target cannot be reached, tasks are held instead of failed.
//!
//! A connection error is about every task alike. After a few in a row (one is enough if the target refuses the
//! connector's credential) the breaker opens: nothing is sent but probes, at growing intervals, until one succeeds.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bridgehead_sdk::{Code, Effect, Error, Retry, Subject};
use tokio::sync::watch;
use tokio::time::Instant;

/// So many connection errors in a row open the breaker.
const HANDFUL: u32 = 5;

/// Why an app's tasks are held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cause {
    /// The code that tasks are failed with when they have been held for too long.
    pub(crate) code: Code,
    /// What the connector said.
    pub(crate) message: String,
    /// Since when the target has been out of reach.
    pub(crate) since: Instant,
}

impl From<Cause> for Error {
    fn from(cause: Cause) -> Self {
        Self::new(cause.code, cause.message)
            .effect(Effect::NotApplied)
            .retry(Retry::Backoff)
            .subject(Subject::Connection)
    }
}

/// One app's breaker.
#[derive(Debug)]
pub(crate) struct Breaker {
    failures: Mutex<u32>,
    state: watch::Sender<Option<Cause>>,
}

impl Default for Breaker {
    fn default() -> Self {
        Self { failures: Mutex::new(0), state: watch::Sender::new(None) }
    }
}

impl Breaker {
    /// The target answered, whatever it said.
    pub(crate) fn reached(&self) {
        *self.failures.lock().unwrap_or_else(PoisonError::into_inner) = 0;
        self.state.send_if_modified(|state| state.take().is_some());
    }

    /// A call ended in an error. Says whether this opened the breaker.
    pub(crate) fn observe(&self, error: &Error) -> bool {
        if error.about() != Subject::Connection {
            // Only a refusal shows that the target is there: a call that ended without an answer says nothing.
            if error.effect_on_target() == Effect::NotApplied {
                self.reached();
            }
            return false;
        }
        let failures = {
            let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
            *failures = failures.saturating_add(1);
            *failures
        };
        let at_once = error.code() == Code::PermissionDenied;
        if failures < HANDFUL && !at_once {
            return false;
        }
        self.state.send_if_modified(|state| {
            let opened = state.is_none();
            let since = state.as_ref().map_or_else(Instant::now, |cause| cause.since);
            *state = Some(Cause { code: error.code(), message: error.message().to_owned(), since });
            opened
        })
    }

    /// Why tasks are held, if they are.
    pub(crate) fn cause(&self) -> Option<Cause> {
        self.state.borrow().clone()
    }

    /// Follows the breaker.
    pub(crate) fn watch(&self) -> watch::Receiver<Option<Cause>> {
        self.state.subscribe()
    }

    /// Waits until calls may be made, `patience` at most; then says why they may not.
    pub(crate) async fn admit(&self, patience: Duration) -> Result<(), Cause> {
        let mut state = self.watch();
        let closed = tokio::time::timeout(patience, state.wait_for(Option::is_none)).await;
        match closed {
            Ok(_) => Ok(()),
            // The breaker may have closed at the very end of the wait.
            Err(_) => self.cause().map_or(Ok(()), Err),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unreachable() -> Error {
        Error::unreachable("HR does not answer")
    }

    #[tokio::test(start_paused = true)]
    async fn a_handful_of_connection_errors_in_a_row_opens_it() {
        let breaker = Breaker::default();
        for _ in 1..HANDFUL {
            assert!(!breaker.observe(&unreachable()));
        }
        breaker.observe(&Error::account_not_found("an answer, and so a connection"));
        for _ in 1..HANDFUL {
            assert!(!breaker.observe(&unreachable()));
        }
        assert!(breaker.observe(&unreachable()));
        assert!(!breaker.observe(&unreachable()), "it opens once");
        assert!(breaker.admit(Duration::from_mins(1)).await.is_err());
        breaker.reached();
        assert!(breaker.admit(Duration::from_mins(1)).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_credential_opens_it_at_once() {
        let breaker = Breaker::default();
        assert!(breaker.observe(&Error::credential_refused("HR refuses the password")));
        let cause = breaker.admit(Duration::from_secs(1)).await.unwrap_err();
        assert_eq!(cause.code, Code::PermissionDenied);
    }

    #[test]
    fn a_call_without_an_answer_does_not_close_it() {
        let breaker = Breaker::default();
        breaker.observe(&Error::credential_refused("HR refuses the password"));
        breaker.observe(&Error::timeout("HR has not answered a call from before"));
        assert!(breaker.cause().is_some());
        breaker.observe(&Error::account_not_found("HR has"));
        assert!(breaker.cause().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn those_who_wait_go_on_when_the_target_is_back() {
        let breaker = std::sync::Arc::new(Breaker::default());
        breaker.observe(&Error::credential_refused("HR refuses the password"));
        let waiting = tokio::spawn({
            let breaker = breaker.clone();
            async move { breaker.admit(Duration::from_hours(1)).await }
        });
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert!(!waiting.is_finished());
        breaker.reached();
        assert!(waiting.await.unwrap().is_ok());
    }
}
