//! Whether an app is paused: then no new task is begun and no sync, and what runs is finished.

use bridgehead_store::Pause;
use tokio::sync::watch;

/// The switch of one app.
#[derive(Debug)]
pub(crate) struct Pausing(watch::Sender<Option<Pause>>);

impl Default for Pausing {
    fn default() -> Self {
        Self(watch::Sender::new(None))
    }
}

impl Pausing {
    /// Since when, by whom and why, if it is paused.
    pub(crate) fn now(&self) -> Option<Pause> {
        self.0.borrow().clone()
    }

    /// Pauses, or resumes.
    pub(crate) fn set(&self, pause: Option<Pause>) {
        self.0.send_replace(pause);
    }

    /// Until the app is not paused. Says whether it was.
    pub(crate) async fn wait(&self) -> bool {
        let mut paused = self.0.subscribe();
        let was_paused = paused.borrow_and_update().is_some();
        if was_paused {
            // The sender lives as long as this.
            drop(paused.wait_for(Option::is_none).await);
        }
        was_paused
    }
}
