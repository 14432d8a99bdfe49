//! Tasks that Iden still lists as pending after their end. A report is only final if Iden agrees: Iden may lose it after a 200, and a 409
//! or 404 may be a temporary error. So the outcome is reported again, with growing delays, and an alarm is raised if that does not help.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use bridgehead_sdk::TaskId;
use tokio::time::Instant;

use bridgehead_resilience::RetryPolicy;

/// The delays between repeated reports of the same task.
const WAITS: RetryPolicy = RetryPolicy::new(Duration::from_secs(15), Duration::from_hours(1));
/// After this many repetitions, an alarm is raised.
const PATIENCE: u32 = 3;
/// The maximum number of ended tasks remembered to recognize lists that were read before the end.
const REMEMBERED: usize = 100_000;

/// The state of relisted tasks.
#[derive(Debug, Default)]
pub(super) struct Relisted {
    /// When this process ended a task: a list that was requested earlier may still show it.
    ended: HashMap<TaskId, Instant>,
    told: HashMap<TaskId, Told>,
}

#[derive(Debug)]
struct Told {
    times: u32,
    next: Instant,
}

impl Relisted {
    /// Records that a task was reported.
    pub(super) fn ended(&mut self, task: TaskId) {
        if self.ended.len() < REMEMBERED {
            self.ended.insert(task, Instant::now());
        }
    }

    /// Whether a task that has ended should be reported again now, given a list requested at `list_began` that still shows it.
    pub(super) fn is_due(&mut self, task: &TaskId, list_began: Instant) -> bool {
        if self.ended.get(task).is_some_and(|at| *at >= list_began) {
            return false;
        }
        let now = Instant::now();
        let told = self.told.entry(task.clone()).or_insert(Told { times: 0, next: now });
        if now < told.next {
            return false;
        }
        told.times = told.times.saturating_add(1);
        told.next = now + WAITS.ceiling(told.times);
        true
    }

    /// Forgets tasks that a complete list, requested at `list_began`, no longer shows.
    pub(super) fn settle(&mut self, listed: &HashSet<&TaskId>, list_began: Instant) {
        self.ended.retain(|_, at| *at >= list_began);
        self.told.retain(|task, _| listed.contains(task));
    }

    /// The number of tasks that were reported repeatedly without success.
    pub(super) fn stuck(&self) -> usize {
        self.told.values().filter(|told| told.times >= PATIENCE).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn reported_task_still_listed_is_reported_again_with_backoff() {
        let mut relisted = Relisted::default();
        let task = TaskId::from("t1");
        let before = Instant::now();
        tokio::time::advance(Duration::from_secs(1)).await;
        relisted.ended(task.clone());
        assert!(!relisted.is_due(&task, before), "the list was read before the report");
        let mut told = Vec::new();
        for second in 0..200 {
            tokio::time::advance(Duration::from_secs(1)).await;
            let began = Instant::now();
            if relisted.is_due(&task, began) {
                told.push(second);
            }
            relisted.settle(&HashSet::from([&task]), began);
        }
        assert_eq!(told, [0, 15, 45, 105]);
        assert_eq!(relisted.stuck(), 1);
        relisted.settle(&HashSet::new(), Instant::now());
        assert_eq!(relisted.stuck(), 0, "Iden agrees at last");
    }
}
