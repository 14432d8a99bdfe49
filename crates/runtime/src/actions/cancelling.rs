//! Cancelling the sync that is under way.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

/// The sync of an app that is under way, if one is.
#[derive(Debug, Default)]
pub(crate) struct Cancelling(Mutex<Option<Running>>);

#[derive(Debug)]
struct Running {
    stop: CancellationToken,
    is_cancelled: bool,
}

impl Cancelling {
    /// A sync begins, which `stop` stops. It ends when what is returned is dropped.
    pub(crate) fn begin(&self, stop: CancellationToken) -> RunningSync<'_> {
        *self.running() = Some(Running { stop, is_cancelled: false });
        RunningSync(self)
    }

    /// Cancels the sync that is under way. False if none is.
    pub(crate) fn cancel(&self) -> bool {
        let mut running = self.running();
        let Some(running) = running.as_mut() else { return false };
        running.is_cancelled = true;
        running.stop.cancel();
        true
    }

    /// Whether the one that is under way was cancelled.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.running().as_ref().is_some_and(|running| running.is_cancelled)
    }

    fn running(&self) -> MutexGuard<'_, Option<Running>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A sync while it is under way.
#[derive(Debug)]
pub(crate) struct RunningSync<'a>(&'a Cancelling);

impl Drop for RunningSync<'_> {
    fn drop(&mut self) {
        *self.0.running() = None;
    }
}
