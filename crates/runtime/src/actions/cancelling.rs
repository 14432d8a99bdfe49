//! Cancels the running sync.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

/// The running sync of an app, if any.
#[derive(Debug, Default)]
pub(crate) struct Cancelling(Mutex<Option<Running>>);

#[derive(Debug)]
struct Running {
    stop: CancellationToken,
    /// Cancelled when this sync has ended, whatever starts after it.
    ended: CancellationToken,
    is_cancelled: bool,
}

impl Cancelling {
    /// Registers a sync that `stop` cancels. It counts as running until the returned value is dropped.
    pub(crate) fn begin(&self, stop: CancellationToken) -> RunningSync<'_> {
        *self.running() = Some(Running { stop, ended: CancellationToken::new(), is_cancelled: false });
        RunningSync(self)
    }

    /// Cancels the running sync. Returns what tells its end, or `None` if no sync is running.
    pub(crate) fn cancel(&self) -> Option<CancellationToken> {
        let mut running = self.running();
        let running = running.as_mut()?;
        running.is_cancelled = true;
        running.stop.cancel();
        Some(running.ended.clone())
    }

    /// Whether the running sync was cancelled.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.running().as_ref().is_some_and(|running| running.is_cancelled)
    }

    fn running(&self) -> MutexGuard<'_, Option<Running>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A registered sync.
#[derive(Debug)]
pub(crate) struct RunningSync<'a>(&'a Cancelling);

impl Drop for RunningSync<'_> {
    fn drop(&mut self) {
        if let Some(running) = self.0.running().take() {
            running.ended.cancel();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn end_of_a_cancelled_sync_is_seen_although_the_next_one_has_begun() {
        let cancelling = Cancelling::default();
        assert!(cancelling.cancel().is_none(), "no sync is running");
        let (first, second) = (CancellationToken::new(), CancellationToken::new());
        let running = cancelling.begin(first.clone());
        let ended = cancelling.cancel().unwrap();
        assert!(first.is_cancelled() && !ended.is_cancelled());
        drop(running);
        let _next = cancelling.begin(second.clone());
        assert!(ended.is_cancelled());
        assert!(!second.is_cancelled() && !cancelling.is_cancelled(), "the next sync goes on");
    }
}
