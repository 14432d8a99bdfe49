//! Requests for reloads, and their results.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

use super::About;
use bridgehead_runtime::audit::Actor;

/// The current facts about the daemon; a reload replaces them.
#[derive(Clone, Debug)]
pub(crate) struct Current(Arc<RwLock<Arc<About>>>);

impl Current {
    pub(crate) fn new(about: About) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(about))))
    }

    pub(crate) fn get(&self) -> Arc<About> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn set(&self, about: About) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(about);
    }
}

/// A request for a reload.
#[derive(Debug)]
pub(crate) struct Ask {
    /// Whether to apply it, or only to show the effect.
    pub(crate) apply: bool,
    /// The actor who requests it.
    pub(crate) actor: Actor,
    /// Receives the result.
    pub(crate) answer: oneshot::Sender<Reloaded>,
}

/// Accepts requests for reloads, which are processed one after the other.
pub(crate) type Asking = mpsc::Sender<Ask>;

/// The result of a reload, or of a dry run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Reloaded {
    /// Whether it was a dry run that changed nothing.
    #[serde(default)]
    pub(crate) dry_run: bool,
    /// Why the configuration is invalid, if it is. Then nothing was changed.
    #[serde(default)]
    pub(crate) refused: Option<String>,
    /// The result for each app.
    #[serde(default)]
    pub(crate) apps: BTreeMap<String, AppReloaded>,
    /// Changes that affect the daemon as a whole, and are in effect.
    #[serde(default)]
    pub(crate) daemon: Vec<Changed>,
    /// Changes that take effect only after a restart.
    #[serde(default)]
    pub(crate) needs_restart: Vec<Changed>,
}

/// The result for one app.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AppReloaded {
    /// The result in one word.
    pub(crate) result: Fate,
    /// The keys with a different value.
    #[serde(default)]
    pub(crate) changes: Vec<Changed>,
    /// Why it failed, or other details.
    #[serde(default)]
    pub(crate) detail: Option<String>,
}

/// The result for one app in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Fate {
    /// It was not touched.
    Unchanged,
    /// It shut down cleanly, and runs with the new settings.
    Changed,
    /// It was started.
    Added,
    /// It shut down cleanly, and was removed.
    Removed,
    /// It could not be changed, added or removed. A running app continues unchanged, unless `detail` says otherwise.
    Failed,
}

impl Fate {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Unchanged => "unchanged",
            Self::Changed => "changed",
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Failed => "failed",
        }
    }
}

/// A key with a different value. For a secret, neither value is included.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Changed {
    /// The key, such as `apps.hr.tasks.concurrency`.
    pub(crate) key: String,
    /// Its old value as TOML; absent if there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) old: Option<String>,
    /// Its new value; absent if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) new: Option<String>,
    /// The value itself is unchanged, but the secret or the file that it refers to has changed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) content: bool,
}

impl std::fmt::Display for Changed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { key, old, new, content } = self;
        match (old, new) {
            _ if *content => write!(f, "{key}: what it refers to has changed"),
            (Some(old), Some(new)) => write!(f, "{key}: {old} → {new}"),
            (None, Some(new)) => write!(f, "{key}: {new} (new)"),
            (Some(old), None) => write!(f, "{key}: {old} (taken away)"),
            (None, None) => f.write_str(key),
        }
    }
}

impl Reloaded {
    /// Whether the daemon runs with the complete current configuration.
    pub(crate) fn is_whole(&self) -> bool {
        let failed = self.apps.values().any(|app| app.result == Fate::Failed);
        self.refused.is_none() && self.needs_restart.is_empty() && !failed
    }
}
