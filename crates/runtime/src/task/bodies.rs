//! Whole tasks as they were listed, within a budget of memory.
//!
//! A task that waits for its turn was listed whole; keeping it saves a request for each. Tasks differ in size a thousand times, so the
//! budget counts bytes. What does not fit, or was listed too long ago, is read again when its turn comes.

use std::collections::HashMap;

use bridgehead_sdk::TaskId;
use serde_json::Value;
use tokio::time::Instant;

use super::executor::FRESH;
use bridgehead_bridge::Task;

/// How many bytes the kept tasks of one app may take, about.
pub(super) const BUDGET: usize = 16 * 1024 * 1024;
/// What a value of a JSON tree takes beside its text, about.
const NODE: usize = 72;

/// The tasks of one app that wait, as they were listed.
#[derive(Debug, Default)]
pub(super) struct Bodies {
    tasks: HashMap<TaskId, Listed>,
    weight: usize,
}

#[derive(Debug)]
struct Listed {
    task: Task,
    at: Instant,
    weight: usize,
}

impl Bodies {
    /// How many bytes are left of the budget.
    pub(super) fn room(&self) -> usize {
        BUDGET.saturating_sub(self.weight)
    }

    /// Keeps a task that was listed at this instant, if there is room. A later listing replaces an earlier one.
    pub(super) fn keep(&mut self, task: Task, at: Instant) {
        let weight = weight_of(&task);
        self.remove(&task.id);
        if weight <= self.room() {
            self.weight += weight;
            self.tasks.insert(task.id.clone(), Listed { task, at, weight });
        }
    }

    /// Takes out a task; `None` if it is not kept, or was listed too long ago to be believed.
    pub(super) fn take(&mut self, id: &TaskId) -> Option<Task> {
        self.remove(id).filter(|listed| listed.at.elapsed() < FRESH).map(|listed| listed.task)
    }

    /// Drops a task.
    pub(super) fn drop_task(&mut self, id: &TaskId) {
        drop(self.remove(id));
    }

    /// Drops all tasks that a whole list does not show any more.
    pub(super) fn retain(&mut self, is_listed: impl Fn(&TaskId) -> bool) {
        let gone: Vec<TaskId> = self.tasks.keys().filter(|id| !is_listed(id)).cloned().collect();
        for id in gone {
            self.drop_task(&id);
        }
    }

    fn remove(&mut self, id: &TaskId) -> Option<Listed> {
        let listed = self.tasks.remove(id)?;
        self.weight -= listed.weight;
        Some(listed)
    }
}

/// How many bytes a task takes, about.
pub(super) fn weight_of(task: &Task) -> usize {
    let extra: usize = task.extra.iter().map(|(name, value)| name.len() + value_weight(value)).sum();
    size_of::<Listed>() + 2 * task.id.as_str().len() + task.action.len() + value_weight(&task.payload) + extra
}

fn value_weight(value: &Value) -> usize {
    NODE + match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(value_weight).sum(),
        Value::Object(fields) => fields.iter().map(|(name, value)| name.len() + value_weight(value)).sum(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;

    fn task(id: &str, size: usize) -> Task {
        let fields = json!({ "id": id, "payload": { "account": { "username": "x".repeat(size) } } });
        Task::from_json(fields, &bridgehead_bridge::TaskStatus::Pending).unwrap()
    }

    /// Not yet too old.
    const RECENT: Duration = FRESH.saturating_sub(Duration::from_secs(1));

    #[tokio::test(start_paused = true)]
    async fn a_task_is_believed_while_it_is_fresh_and_a_later_listing_refreshes_it() {
        let (mut bodies, id) = (Bodies::default(), TaskId::from("a"));
        bodies.keep(task("a", 10), Instant::now());
        tokio::time::advance(RECENT).await;
        bodies.keep(task("a", 10), Instant::now());
        tokio::time::advance(RECENT).await;
        assert!(bodies.take(&id).is_some());
        bodies.keep(task("a", 10), Instant::now());
        tokio::time::advance(FRESH).await;
        assert!(bodies.take(&id).is_none());
        assert_eq!(bodies.room(), BUDGET, "what was taken weighs nothing");
    }

    #[tokio::test]
    async fn no_more_is_kept_than_the_budget_and_what_is_dropped_makes_room() {
        let (mut bodies, now) = (Bodies::default(), Instant::now());
        for id in ["a", "b", "c"] {
            bodies.keep(task(id, BUDGET / 2 - 10_000), now);
        }
        assert!(bodies.room() < BUDGET / 2 && bodies.take(&TaskId::from("c")).is_none());
        bodies.retain(|id| id.as_str() == "b");
        bodies.keep(task("c", BUDGET / 2 - 10_000), now);
        assert!(bodies.take(&TaskId::from("c")).is_some() && bodies.take(&TaskId::from("b")).is_some());
        assert_eq!(bodies.room(), BUDGET);
    }
}
