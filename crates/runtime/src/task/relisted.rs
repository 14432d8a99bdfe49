//! Tasks that Iden still lists as pending after their end. A report is final when Iden agrees: a 200 may be lost on its
//! side, and a 409 or 404 may be a temporary mistake. So the outcome is reported again, with growing delays, and an
//! alarm is raised if that does not help.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use bridgehead_sdk::TaskId;
use tokio::time::Instant;

use bridgehead_resilience::RetryPolicy;

/// The waits between two reports of the same task.
const WAITS: RetryPolicy = RetryPolicy::new(Duration::from_secs(15), Duration::from_hours(1));
/// After so many of them, an alarm is raised.
const PATIENCE: u32 = 3;
/// So many ends of this process are remembered, to tell a list that was read before them.
const REMEMBERED: usize = 100_000;

/// What is known of them.
#[derive(Debug, Default)]
pub(super) struct Relisted {
    /// When this process ended a task: a list that was read before shows it still.
    ended: HashMap<TaskId, Instant>,
    told: HashMap<TaskId, Told>,
}

#[derive(Debug)]
struct Told {
    times: u32,
    next: Instant,
}

impl Relisted {
    /// A report has ended.
    pub(super) fn ended(&mut self, task: TaskId) {
        if self.ended.len() < REMEMBERED {
            self.ended.insert(task, Instant::now());
        }
    }

    /// A list that was begun at this instant shows a task which has ended. Whether it is to be reported again now.
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

    /// The whole list was read, and showed these tasks; it was begun at this instant.
    pub(super) fn settle(&mut self, listed: &HashSet<&TaskId>, list_began: Instant) {
        self.ended.retain(|_, at| *at >= list_began);
        self.told.retain(|task, _| listed.contains(task));
    }

    /// How many were told about more than once without success.
    pub(super) fn stuck(&self) -> usize {
        self.told.values().filter(|told| told.times >= PATIENCE).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_task_that_stays_listed_is_told_again_with_growing_waits() {
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
