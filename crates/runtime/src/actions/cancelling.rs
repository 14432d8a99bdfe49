//! Cancels the running sync.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

/// The running sync of an app, if any.
#[derive(Debug, Default)]
pub(crate) struct Cancelling(Mutex<Option<Running>>);

#[derive(Debug)]
struct Running {
    stop: CancellationToken,
    is_cancelled: bool,
}

impl Cancelling {
    /// Registers a sync that `stop` cancels. It counts as running until the returned value is dropped.
    pub(crate) fn begin(&self, stop: CancellationToken) -> RunningSync<'_> {
        *self.running() = Some(Running { stop, is_cancelled: false });
        RunningSync(self)
    }

    /// Cancels the running sync. Returns false if there is none.
    pub(crate) fn cancel(&self) -> bool {
        let mut running = self.running();
        let Some(running) = running.as_mut() else { return false };
        running.is_cancelled = true;
        running.stop.cancel();
        true
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
        *self.0.running() = None;
    }
}
