//! Handles an API key that the Bridge refuses (401), or an app (403): calls wait, for longer each time, and one call at a time tests
//! whether access works again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bridgehead_resilience::{Backoff, SeededRng};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::policies;

/// What a response shows about whether the key and the app are accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum AccessEvidence {
    /// Accepted: the response came from Iden itself.
    Granted,
    /// Refused, with advice.
    Refused(String),
    /// Unknown: there was no request or no response, or a proxy in between responded.
    None,
}

#[derive(Debug)]
struct State {
    backoff: Backoff,
    until: Option<Instant>,
    /// Why calls wait.
    cause: Option<String>,
}

impl Default for State {
    fn default() -> Self {
        Self { backoff: Backoff::new(policies::ACCESS), until: None, cause: None }
    }
}

/// Whether the Bridge accepts the key for an app.
#[derive(Debug)]
pub(super) struct AccessState {
    state: Mutex<State>,
    /// While access is refused, allows one call at a time.
    probe: Arc<Semaphore>,
    rng: Arc<SeededRng>,
}

/// Permission to make one call. The result must be reported to the [`AccessState`].
#[derive(Debug)]
pub(super) struct CallPermit {
    /// Held while a call tests whether access works again.
    _probe: Option<OwnedSemaphorePermit>,
}

/// A change of the access state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// The key and the app are accepted again.
    Granted,
    /// Access is refused, with the number of consecutive refusals.
    Refused(u32),
}

impl AccessState {
    pub(super) fn new(rng: Arc<SeededRng>) -> Self {
        Self { state: Mutex::default(), probe: Arc::new(Semaphore::new(1)), rng }
    }

    /// Waits until a call may be made.
    pub(super) async fn permit(&self) -> CallPermit {
        if self.paused_until().is_none() {
            return Self::at_once();
        }
        let probe = Arc::clone(&self.probe).acquire_owned().await.ok();
        while let Some(until) = self.paused_until() {
            if until <= Instant::now() {
                return CallPermit { _probe: probe };
            }
            tokio::time::sleep_until(until).await;
        }
        Self::at_once()
    }

    /// Returns a permit for a call that does not wait; its response counts like any other.
    pub(super) fn at_once() -> CallPermit {
        CallPermit { _probe: None }
    }

    /// Records the result of a call. Returns the change, once for all calls that ran at the same time.
    pub(super) fn record(&self, permit: CallPermit, evidence: AccessEvidence) -> Option<Change> {
        let mut state = self.state();
        let change = match evidence {
            AccessEvidence::None => None,
            AccessEvidence::Granted => {
                let before = std::mem::take(&mut *state);
                before.cause.map(|_| Change::Granted)
            }
            AccessEvidence::Refused(cause) => {
                state.cause = Some(cause);
                // Concurrent calls are refused together; that counts as one refusal.
                if state.until.is_none_or(|until| until <= Instant::now()) {
                    let wait = state.backoff.failed(self.rng.unit());
                    state.until = Some(Instant::now() + wait);
                    Some(Change::Refused(state.backoff.failures()))
                } else {
                    None
                }
            }
        };
        drop(state);
        drop(permit);
        change
    }

    /// Why calls wait; `None` if they do not.
    pub(super) fn cause(&self) -> Option<String> {
        self.state().cause.clone()
    }

    fn paused_until(&self) -> Option<Instant> {
        self.state().until
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::FutureExt;

    use super::*;

    fn access() -> AccessState {
        AccessState::new(Arc::new(SeededRng::seeded(1)))
    }

    fn refuse(access: &AccessState, permit: CallPermit) -> Option<Change> {
        access.record(permit, AccessEvidence::Refused("the key is refused".into()))
    }

    #[tokio::test(start_paused = true)]
    async fn refusals_pause_with_backoff_until_a_success() {
        let access = access();
        let mut waits = Vec::new();
        for n in 1..=4 {
            let permit = access.permit().await;
            assert_eq!(refuse(&access, permit), Some(Change::Refused(n)));
            let before = Instant::now();
            drop(access.permit().await);
            waits.push(before.elapsed());
        }
        assert!(waits[0] >= Duration::from_millis(2500) && waits[3] > waits[0], "{waits:?}");
        assert!(access.cause().is_some());
        let permit = access.permit().await;
        assert_eq!(access.record(permit, AccessEvidence::Granted), Some(Change::Granted));
        assert!(access.cause().is_none());
        assert!(access.permit().now_or_never().is_some());
        assert_eq!(access.record(AccessState::at_once(), AccessEvidence::Granted), None, "nothing new");
    }

    #[tokio::test(start_paused = true)]
    async fn concurrent_refusals_count_once() {
        let access = access();
        let (one, other) = (access.permit().await, access.permit().await);
        assert_eq!(refuse(&access, one), Some(Change::Refused(1)));
        assert_eq!(refuse(&access, other), None);
    }

    #[tokio::test(start_paused = true)]
    async fn inconclusive_result_changes_no_access_state() {
        let access = access();
        assert_eq!(access.record(AccessState::at_once(), AccessEvidence::None), None);
        refuse(&access, AccessState::at_once());
        assert_eq!(access.record(AccessState::at_once(), AccessEvidence::None), None);
        assert!(access.cause().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn one_call_at_a_time_probes_access() {
        let access = access();
        let permit = access.permit().await;
        refuse(&access, permit);
        let probe = access.permit().await;
        let mut second = Box::pin(access.permit());
        assert!((&mut second).now_or_never().is_none());
        access.record(probe, AccessEvidence::Granted);
        second.await;
    }
}
