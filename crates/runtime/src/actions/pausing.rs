//! Whether an app is paused: then no new task is started and no sync, and what runs is finished.

use bridgehead_store::Pause;
use tokio::sync::{Mutex, MutexGuard, watch};

/// The switch of one app.
#[derive(Debug)]
pub(crate) struct Pausing {
    now: watch::Sender<Option<Pause>>,
    changing: Mutex<()>,
}

impl Default for Pausing {
    fn default() -> Self {
        Self { now: watch::Sender::new(None), changing: Mutex::new(()) }
    }
}

impl Pausing {
    /// To be held while what the journal says and [`set`](Self::set) are brought together, from reading or writing it on: an order that
    /// comes while the app starts must not be undone by what was read before it.
    pub(crate) async fn change(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().await
    }

    /// Since when, by whom and why, if it is paused.
    pub(crate) fn now(&self) -> Option<Pause> {
        self.now.borrow().clone()
    }

    /// Pauses, or resumes.
    pub(crate) fn set(&self, pause: Option<Pause>) {
        self.now.send_replace(pause);
    }

    /// Until the app is not paused. Says whether it was.
    pub(crate) async fn wait(&self) -> bool {
        let mut paused = self.now.subscribe();
        let was_paused = paused.borrow_and_update().is_some();
        if was_paused {
            // The sender lives as long as this.
            drop(paused.wait_for(Option::is_none).await);
        }
        was_paused
    }
}
