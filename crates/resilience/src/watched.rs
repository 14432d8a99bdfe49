//! A value that many tasks wait for.

use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

/// A value that many tasks wait for, like tokio's `watch`. Waiters wake up in the order in which they started to wait: `watch` uses a
/// random order, which would make a simulation impossible to replay.
#[derive(Debug, Default)]
pub struct Watched<T> {
    value: Mutex<T>,
    changed: Notify,
}

impl<T> Watched<T> {
    /// Creates it with an initial value.
    pub fn new(value: T) -> Self {
        Self { value: Mutex::new(value), changed: Notify::new() }
    }

    /// Reads the value. It cannot be read or changed elsewhere during the call.
    pub fn read<R>(&self, look: impl FnOnce(&T) -> R) -> R {
        look(&self.value.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes the value. If `change` returns true, waiters check it again. Returns that result.
    pub fn modify(&self, change: impl FnOnce(&mut T) -> bool) -> bool {
        let wakes = change(&mut self.value.lock().unwrap_or_else(PoisonError::into_inner));
        if wakes {
            self.changed.notify_waiters();
        }
        wakes
    }

    /// Waits until `look` returns a value.
    pub async fn wait_for<R>(&self, mut look: impl FnMut(&T) -> Option<R>) -> R {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            // Registered before the check, so that a change right after it is not missed.
            changed.as_mut().enable();
            if let Some(found) = self.read(&mut look) {
                return found;
            }
            changed.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn waiters_wake_in_arrival_order() {
        let watched = Arc::new(Watched::new(0));
        let (tell, mut told) = mpsc::unbounded_channel();
        for number in 0..100 {
            let (watched, tell) = (Arc::clone(&watched), tell.clone());
            tokio::spawn(async move {
                watched.wait_for(|value| (*value > 0).then_some(())).await;
                tell.send(number).unwrap();
            });
            tokio::task::yield_now().await;
        }
        assert!(!watched.modify(|_| false));
        assert!(told.try_recv().is_err());
        watched.modify(|value| {
            *value = 1;
            true
        });
        for number in 0..100 {
            assert_eq!(told.recv().await, Some(number));
        }
    }

    #[tokio::test]
    async fn present_value_is_returned_without_waiting() {
        assert_eq!(Watched::new(7).wait_for(|value| Some(*value)).await, 7);
    }
}
