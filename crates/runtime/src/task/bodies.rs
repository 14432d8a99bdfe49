//! Keeps whole tasks as they were listed, within a memory budget.
//!
//! The list contains whole tasks, and keeping one until its turn saves a request. Task sizes differ by a factor of a thousand, so the
//! budget is in bytes. A task that does not fit, or was listed too long ago, is read again when its turn comes.

use std::collections::HashMap;

use bridgehead_sdk::TaskId;
use tokio::time::Instant;

use super::executor::FRESH;
use bridgehead_bridge::Task;

/// The approximate number of bytes for the kept tasks of one app.
pub(super) const BUDGET: usize = 16 * 1024 * 1024;
/// The approximate overhead of a task in bytes: the struct itself and its entry in the table.
const OWN: usize = 2 * size_of::<Listed>() + 64;

/// Waiting tasks of one app, as they were listed.
#[derive(Debug, Default)]
pub(super) struct Bodies {
    tasks: HashMap<TaskId, Listed>,
    weight: usize,
}

#[derive(Debug)]
struct Listed {
    body: Body,
    at: Instant,
}

/// A listed task in compact form. Only the documented fields are kept.
pub(super) struct Body {
    /// The task without its payload.
    task: Task,
    payload: Box<str>,
}

impl Body {
    pub(super) fn of(mut task: Task) -> Self {
        task.extra = serde_json::Map::new();
        let payload = std::mem::take(&mut task.payload).to_string().into();
        Self { task, payload }
    }

    /// The approximate size in bytes.
    pub(super) fn weight(&self) -> usize {
        OWN + 2 * self.task.id.as_str().len() + self.task.action.len() + self.payload.len()
    }

    /// Returns the task. A payload that was written as JSON can be parsed again; if parsing failed nevertheless, the task would be fetched
    /// again.
    fn open(self) -> Option<Task> {
        let Self { mut task, payload } = self;
        task.payload = serde_json::from_str(&payload).ok()?;
        Some(task)
    }
}

/// Omits the payload, which may contain a password.
impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Body").field("task", &self.task).finish_non_exhaustive()
    }
}

impl Bodies {
    /// The remaining bytes of the budget.
    pub(super) fn room(&self) -> usize {
        BUDGET.saturating_sub(self.weight)
    }

    /// Keeps a task that was listed at this instant, if it fits. Replaces an earlier version.
    pub(super) fn keep(&mut self, body: Body, at: Instant) {
        let weight = body.weight();
        self.drop_task(&body.task.id);
        if weight <= self.room() {
            self.weight += weight;
            self.tasks.insert(body.task.id.clone(), Listed { body, at });
        }
    }

    /// Takes a task; `None` if it is not kept, or was listed too long ago to be trusted.
    pub(super) fn take(&mut self, id: &TaskId) -> Option<Task> {
        self.remove(id).filter(|listed| listed.at.elapsed() < FRESH)?.body.open()
    }

    /// Drops a task.
    pub(super) fn drop_task(&mut self, id: &TaskId) {
        drop(self.remove(id));
    }

    /// Drops all tasks that a complete list no longer contains.
    pub(super) fn retain(&mut self, is_listed: impl Fn(&TaskId) -> bool) {
        let gone: Vec<TaskId> = self.tasks.keys().filter(|id| !is_listed(id)).cloned().collect();
        for id in gone {
            self.drop_task(&id);
        }
    }

    fn remove(&mut self, id: &TaskId) -> Option<Listed> {
        let listed = self.tasks.remove(id)?;
        self.weight -= listed.body.weight();
        Some(listed)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;

    fn read(fields: serde_json::Value) -> Task {
        Task::from_json(fields, &bridgehead_bridge::TaskStatus::Pending).unwrap()
    }

    fn task(id: &str, size: usize) -> Body {
        Body::of(read(json!({ "id": id, "payload": { "account": { "username": "x".repeat(size) } } })))
    }

    #[test]
    fn a_task_comes_out_as_it_was_listed_without_what_nobody_asks_for() {
        for payload in [
            json!(null),
            json!({"account": {"id": "ü\u{0}", "n": 48.858_370_099_999_99}}),
            json!(bridgehead_bridge::TOO_LARGE),
        ] {
            let fields = json!({"id": "a", "action": "create_account", "created_at": "2026-01-02T03:04:05Z", "payload": payload});
            let mut more = fields.clone();
            more["requested_by"] = "Ann".into();
            let body = Body::of(read(more));
            assert!(!format!("{body:?}").contains("48.8"), "{body:?}");
            assert_eq!(body.open(), Some(read(fields)));
        }
    }

    /// Just within the limit.
    const RECENT: Duration = FRESH.saturating_sub(Duration::from_secs(1));

    #[tokio::test(start_paused = true)]
    async fn task_body_is_used_while_fresh_and_refreshed_by_listings() {
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
    async fn task_bodies_stay_within_the_memory_budget() {
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
