//! Tracks tasks that wait for their next attempt or for the target, so that an operator can end the wait or resolve the task.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bridgehead_sdk::TaskId;
use tokio::sync::{Notify, watch};

/// The waiting tasks of an app.
#[derive(Debug, Default)]
pub(crate) struct Waiting(Arc<Mutex<HashMap<TaskId, Arc<Waiter>>>>);

#[derive(Debug)]
struct Waiter {
    wake: Notify,
    hold: watch::Sender<Hold>,
}

/// Whether a waiting task may continue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hold {
    Free,
    /// An operator is about to resolve the task.
    Taken,
    /// An operator has resolved the task.
    Decided,
}

impl Waiting {
    /// Registers a task as waiting.
    pub(crate) fn enter(&self, task: &TaskId) -> WaitingTask {
        let waiter = Arc::new(Waiter { wake: Notify::new(), hold: watch::Sender::new(Hold::Free) });
        self.all().insert(task.clone(), Arc::clone(&waiter));
        WaitingTask { all: Arc::clone(&self.0), task: task.clone(), waiter }
    }

    /// All waiting tasks.
    pub(crate) fn tasks(&self) -> Vec<TaskId> {
        let mut tasks: Vec<TaskId> = self.all().keys().cloned().collect();
        tasks.sort();
        tasks
    }

    /// The number of waiting tasks.
    pub(crate) fn count(&self) -> usize {
        self.all().len()
    }

    /// Ends the wait of a task. Returns false if it is not waiting.
    pub(crate) fn wake(&self, task: &TaskId) -> bool {
        let waiter = self.all().get(task).cloned();
        waiter.is_some_and(|waiter| {
            waiter.wake.notify_one();
            true
        })
    }

    /// Keeps a task waiting until the returned value is dropped; `None` if the task is not waiting.
    pub(crate) fn take(&self, task: &TaskId) -> Option<Taken> {
        // Keep the lock, so that the task cannot continue in between.
        let all = self.all();
        let waiter = all.get(task).cloned()?;
        let mut is_free = false;
        waiter.hold.send_modify(|hold| {
            is_free = *hold == Hold::Free;
            if is_free {
                *hold = Hold::Taken;
            }
        });
        // Create it only if free: dropping it would release a task that another command has taken.
        is_free.then(|| Taken(waiter))
    }

    fn all(&self) -> MutexGuard<'_, HashMap<TaskId, Arc<Waiter>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A task while it is waiting.
#[derive(Debug)]
pub(crate) struct WaitingTask {
    all: Arc<Mutex<HashMap<TaskId, Arc<Waiter>>>>,
    task: TaskId,
    waiter: Arc<Waiter>,
}

impl WaitingTask {
    /// Waits until an operator ends the wait.
    pub(crate) async fn woken(&self) {
        self.waiter.wake.notified().await;
    }

    /// Waits until an operator has resolved the task.
    pub(crate) async fn decided(&self) {
        let mut hold = self.waiter.hold.subscribe();
        // `self` owns the sender, so it cannot be dropped.
        drop(hold.wait_for(|hold| *hold == Hold::Decided).await);
    }

    /// Ends the wait. Returns whether the task may continue: not if an operator has resolved it in the meantime.
    pub(crate) async fn leave(self) -> bool {
        let mut hold = self.waiter.hold.subscribe();
        self.all.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.task);
        let free = hold.wait_for(|hold| *hold != Hold::Taken).await;
        // `self` owns the sender, so it cannot be dropped.
        free.is_ok_and(|hold| *hold == Hold::Free)
    }
}

impl Drop for WaitingTask {
    fn drop(&mut self) {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        if all.get(&self.task).is_some_and(|waiter| Arc::ptr_eq(waiter, &self.waiter)) {
            all.remove(&self.task);
        }
    }
}

/// A task that is kept waiting. It continues when this is dropped.
#[derive(Debug)]
pub(crate) struct Taken(Arc<Waiter>);

impl Taken {
    /// Marks the task as resolved: it does not continue.
    pub(crate) fn decide(self) {
        self.0.hold.send_replace(Hold::Decided);
        self.0.wake.notify_one();
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.0.hold.send_if_modified(|hold| {
            let was_taken = *hold == Hold::Taken;
            if was_taken {
                *hold = Hold::Free;
            }
            was_taken
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_named_waiting_task_is_woken() {
        let waiting = Waiting::default();
        let task = waiting.enter(&"t1".into());
        assert_eq!(waiting.tasks(), ["t1".into()]);
        assert!(!waiting.wake(&"t2".into()));
        assert!(waiting.wake(&"t1".into()));
        task.woken().await;
        assert!(task.leave().await);
        assert!(!waiting.wake(&"t1".into()) && waiting.tasks().is_empty());
    }

    #[tokio::test]
    async fn decided_task_does_not_continue() {
        let waiting = Waiting::default();
        let task = waiting.enter(&"t1".into());
        waiting.take(&"t1".into()).unwrap().decide();
        task.woken().await;
        assert!(!task.leave().await);
    }

    #[tokio::test]
    async fn taken_task_waits_until_it_is_released() {
        let waiting = Waiting::default();
        let task = waiting.enter(&"t1".into());
        let taken = waiting.take(&"t1".into()).unwrap();
        assert!(waiting.take(&"t1".into()).is_none(), "one decides at a time");
        let mut leaving = Box::pin(task.leave());
        assert!(futures::poll!(&mut leaving).is_pending());
        drop(taken);
        assert!(leaving.await);
    }

    #[tokio::test]
    async fn dropped_waiter_is_replaced_by_the_next_of_the_same_task() {
        let waiting = Waiting::default();
        let first = waiting.enter(&"t1".into());
        let second = waiting.enter(&"t1".into());
        drop(first);
        assert!(waiting.wake(&"t1".into()));
        drop(second);
        assert!(!waiting.wake(&"t1".into()));
    }
}
