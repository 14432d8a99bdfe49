//! What the daemon does when the Bridge refuses the key (401) or the app (403): it waits, longer each time, and lets one
//! call at a time find out whether the key works again.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::Instant;

use super::policies;
use bridgehead_resilience::SeededRng;

#[derive(Debug, Default)]
struct State {
    refusals: u32,
    until: Option<Instant>,
}

/// The door through which an app's calls to the Bridge go.
#[derive(Debug)]
pub(crate) struct Access {
    state: Mutex<State>,
    /// While the key is refused, one call at a time.
    probe: Arc<Semaphore>,
    /// Why the app is paused, for those who ask.
    cause: watch::Sender<Option<String>>,
    rng: Arc<SeededRng>,
}

/// Leave to make one call; the outcome is to be told to the [`Access`] it came from.
#[derive(Debug)]
pub(crate) struct Leave {
    /// Held while one call finds out whether the key works again.
    _probe: Option<OwnedSemaphorePermit>,
}

impl Access {
    pub(crate) fn new(rng: Arc<SeededRng>) -> Self {
        Self {
            state: Mutex::default(),
            probe: Arc::new(Semaphore::new(1)),
            cause: watch::Sender::new(None),
            rng,
        }
    }

    /// Waits until a call may be made.
    pub(crate) async fn enter(&self) -> Leave {
        if self.paused_until().is_none() {
            return Leave { _probe: None };
        }
        let permit = Arc::clone(&self.probe).acquire_owned().await.ok();
        while let Some(until) = self.paused_until() {
            if until <= Instant::now() {
                return Leave { _probe: permit };
            }
            tokio::time::sleep_until(until).await;
        }
        Leave { _probe: None }
    }

    /// Leave to make a call that an operator orders: it does not wait, and its answer counts as any other.
    pub(crate) fn ordered() -> Leave {
        Leave { _probe: None }
    }

    /// Leave to make one call at once; none while key or app are refused.
    pub(crate) fn enter_now(&self) -> Option<Leave> {
        self.paused_until().is_none().then_some(Leave { _probe: None })
    }

    /// The Bridge let the call through, whatever else it said. Says whether the app was paused until now.
    pub(crate) fn granted(&self, leave: Leave) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        *state = State::default();
        drop(state);
        drop(leave);
        self.cause.send_if_modified(|cause| cause.take().is_some())
    }

    /// The Bridge refused the key or the app. Returns how often in a row by now, unless this refusal belongs to the last.
    pub(crate) fn refused(&self, leave: Leave, cause: String) -> Option<u32> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        // Calls that were under way together are refused together; that is one refusal.
        let is_new = state.until.is_none_or(|until| until <= Instant::now());
        if is_new {
            state.refusals += 1;
            state.until = Some(Instant::now() + policies::ACCESS.delay(state.refusals, self.rng.unit()));
        }
        let refusals = state.refusals;
        drop(state);
        self.cause.send_replace(Some(cause));
        drop(leave);
        is_new.then_some(refusals)
    }

    /// Why the app is paused, if it is.
    pub(crate) fn cause(&self) -> Option<String> {
        self.cause.borrow().clone()
    }

    fn paused_until(&self) -> Option<Instant> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).until
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::FutureExt;

    use super::*;

    fn access() -> Access {
        Access::new(Arc::new(SeededRng::seeded(1)))
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_pauses_with_growing_intervals_and_a_success_ends_it() {
        let access = access();
        let mut waits = Vec::new();
        for n in 1..=4 {
            let leave = access.enter().await;
            assert_eq!(access.refused(leave, "the key is refused".into()), Some(n));
            let before = Instant::now();
            drop(access.enter().await);
            waits.push(before.elapsed());
        }
        assert!(waits[0] >= Duration::from_millis(2500) && waits[3] > waits[0], "{waits:?}");
        assert!(access.cause().is_some());
        let leave = access.enter().await;
        assert!(access.granted(leave));
        assert!(access.cause().is_none());
        assert!(access.enter().now_or_never().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn calls_that_were_under_way_together_are_refused_together() {
        let access = access();
        let (one, other) = (access.enter().await, access.enter().await);
        assert_eq!(access.refused(one, "the key is refused".into()), Some(1));
        assert_eq!(access.refused(other, "the key is refused".into()), None);
    }

    #[tokio::test(start_paused = true)]
    async fn one_call_at_a_time_finds_out() {
        let access = access();
        let leave = access.enter().await;
        access.refused(leave, "the key is refused".into());
        let probe = access.enter().await;
        let mut second = Box::pin(access.enter());
        assert!((&mut second).now_or_never().is_none());
        access.granted(probe);
        second.await;
    }
}
