//! The settings that the control plane can change while the sandbox runs.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Settings that can be changed at any time; see `PATCH /sandbox/v1/settings`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The behavior of the cleanup after `complete`.
    pub cleanup: Cleanup,
    /// The order of task lists.
    pub task_order: TaskOrder,
    /// Whether resource types are listed in pages or as a bare array; the documentation leaves it open.
    pub resource_type_list: ListShape,
    /// Whether an unknown app is created on first access.
    pub auto_create_apps: bool,
}

/// The behavior of the cleanup after `complete`. It is read when `complete` is called.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cleanup {
    /// The time between `complete` and the cleanup; until then the session is `cleaning`.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    pub delay: Duration,
    /// How many of the next cleanups end with `CLEANUP_FAILED`.
    pub failures: u32,
    /// The app whose cleanups fail; any if absent.
    pub app: Option<Uuid>,
}

impl Default for Cleanup {
    fn default() -> Self {
        Self { delay: Duration::from_millis(200), failures: 0, app: None }
    }
}

impl Cleanup {
    /// Cleanups that run after `delay` and succeed.
    pub fn after(delay: Duration) -> Self {
        Self { delay, ..Self::default() }
    }

    /// The same, but the next `times` cleanups fail.
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
