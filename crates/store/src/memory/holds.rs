//! The destructive tasks that the deprovision limit holds.

use std::collections::BTreeMap;

use bridgehead_sdk::TaskId;
use jiff::Timestamp;

use super::super::Held;
use super::instant::kept;

/// The holds of an app.
#[derive(Default)]
pub(super) struct Holds(BTreeMap<TaskId, Hold>);

struct Hold {
    held_at: Timestamp,
    released_at: Option<Timestamp>,
}

impl Holds {
    pub(super) fn hold(&mut self, tasks: &[TaskId], at: Timestamp) {
        for task in tasks {
            let hold = Hold { held_at: kept(at), released_at: None };
            self.0.entry(task.clone()).or_insert(hold);
        }
    }

    pub(super) fn release(&mut self, tasks: &[TaskId], at: Timestamp) {
        let at = kept(at);
        for task in tasks {
            let hold = self.0.entry(task.clone()).or_insert(Hold { held_at: at, released_at: None });
            hold.released_at.get_or_insert(at);
        }
    }

    pub(super) fn unhold(&mut self, tasks: &[TaskId]) {
        for task in tasks {
            self.0.remove(task);
        }
    }

    pub(super) fn all(&self) -> Vec<Held> {
        let mut all: Vec<Held> = self.0.iter().map(|(task, hold)| hold.of(task)).collect();
        // The sort is stable, and the map is ordered by task.
        all.sort_by_key(|held| held.held_at);
        all
    }

    /// Removes releases that are as old, or whose task has been passed to the connector.
    pub(super) fn prune(&mut self, before: Timestamp, was_called: impl Fn(&TaskId) -> bool) {
        let before = kept(before);
        self.0.retain(|task, hold| hold.released_at.is_none_or(|at| at >= before && !was_called(task)));
    }
}

impl Hold {
    fn of(&self, task: &TaskId) -> Held {
        Held { task: task.clone(), held_at: self.held_at, released_at: self.released_at }
    }
}
