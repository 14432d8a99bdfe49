//! Whether an app is paused: no new tasks or syncs are started, and running work is finished.

use bridgehead_store::Pause;
use tokio::sync::{Mutex, MutexGuard, watch};

/// The pause switch of an app.
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
    /// Locks the pause while the journal and [`set`](Self::set) are brought in line. Take it before reading or writing the journal: a
    /// command that arrives while the app starts must not be undone by an older value.
    pub(crate) async fn change(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().await
    }

    /// Since when, by whom and why the app is paused; `None` if it is not.
    pub(crate) fn now(&self) -> Option<Pause> {
        self.now.borrow().clone()
    }

    /// Pauses or resumes the app.
    pub(crate) fn set(&self, pause: Option<Pause>) {
        self.now.send_replace(pause);
    }

    /// Waits until the app is not paused. Returns whether it was.
    pub(crate) async fn wait(&self) -> bool {
        let mut paused = self.now.subscribe();
        let was_paused = paused.borrow_and_update().is_some();
        if was_paused {
            // `self` owns the sender, so it cannot be dropped.
            drop(paused.wait_for(Option::is_none).await);
        }
        was_paused
    }
}
