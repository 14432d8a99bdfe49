//! What the control plane can change while the sandbox runs.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Behaviour that can be changed at any time; see `PATCH /sandbox/v1/settings`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// How the cleanup after `complete` goes.
    pub cleanup: Cleanup,
    /// In which order tasks are listed.
    pub task_order: TaskOrder,
    /// Whether resource types are listed by page or as a bare array; the documents leave it open.
    pub resource_type_list: ListShape,
    /// Whether an unknown app is made when it is first asked for.
    pub auto_create_apps: bool,
}

/// How the cleanup after `complete` goes. It is read when `complete` is called.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cleanup {
    /// How long after `complete` it runs; until then the session is `cleaning`.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    pub delay: Duration,
    /// How many of the clean-ups that are asked for from now on end with `CLEANUP_FAILED`.
    pub failures: u32,
    /// Of which app the clean-ups fail; of any, where absent.
    pub app: Option<Uuid>,
}

impl Default for Cleanup {
    fn default() -> Self {
        Self { delay: Duration::from_millis(200), failures: 0, app: None }
    }
}

impl Cleanup {
    /// Clean-ups that run after `delay`, and succeed.
    pub fn after(delay: Duration) -> Self {
        Self { delay, ..Self::default() }
    }

    /// The same, but the next `times` of them fail.
    pub fn failing(self, times: u32) -> Self {
        Self { failures: times, ..self }
    }
}

/// The order of a task list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskOrder {
    /// By `created_at`, the oldest first.
    #[default]
    OldestFirst,
    /// By `created_at`, the newest first.
    NewestFirst,
}

/// The shape of the list of resource types.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ListShape {
    /// `{"count", "next", "previous", "results"}`.
    #[default]
    Paginated,
    /// `[…]`.
    Array,
}
