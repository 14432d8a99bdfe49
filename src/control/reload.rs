//! Reloading, as it is asked for and answered.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

use super::About;
use bridgehead_runtime::audit::Actor;

/// The facts about the daemon as they are now; a reload replaces them.
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

/// Someone asks for a reload.
#[derive(Debug)]
pub(crate) struct Ask {
    /// Whether it is to be made, or only said what it would do.
    pub(crate) apply: bool,
    /// Who asks.
    pub(crate) actor: Actor,
    /// Where the answer goes.
    pub(crate) answer: oneshot::Sender<Reloaded>,
}

/// Where reloads are asked for. They are made one after the other.
pub(crate) type Asking = mpsc::Sender<Ask>;

/// The result of a reload, or would.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Reloaded {
    /// Only what would come of it is said; nothing was changed.
    #[serde(default)]
    pub(crate) dry_run: bool,
    /// Why the configuration cannot be used, if it cannot. Then nothing was changed.
    #[serde(default)]
    pub(crate) refused: Option<String>,
    /// The result for each app.
    #[serde(default)]
    pub(crate) apps: BTreeMap<String, AppReloaded>,
    /// What has changed for the daemon as a whole, and counts now.
    #[serde(default)]
    pub(crate) daemon: Vec<Changed>,
    /// What has changed in the files and counts only after a restart.
    #[serde(default)]
    pub(crate) needs_restart: Vec<Changed>,
}

/// The result for one app.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AppReloaded {
    /// In a word.
    pub(crate) result: Fate,
    /// The keys that have another value.
    #[serde(default)]
    pub(crate) changes: Vec<Changed>,
    /// Why it failed, or what else there is to say.
    #[serde(default)]
    pub(crate) detail: Option<String>,
}

/// The result for one app, in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Fate {
    /// It was not touched.
    Unchanged,
    /// It ended in order, and runs with the new settings.
    Changed,
    /// It was started.
    Added,
    /// It ended in order, and is gone.
    Removed,
    /// It could not be changed, added or removed. One that ran continues as it was, unless `detail` says otherwise.
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

/// A key that has another value. Of a secret, neither value is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Changed {
    /// The key, such as `apps.hr.tasks.concurrency`.
    pub(crate) key: String,
    /// Its value before, as TOML; absent if there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) old: Option<String>,
    /// Its value now; absent if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) new: Option<String>,
    /// It is written as it was; what it refers to has changed: the secret, or the content of a file.
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
    /// Whether the daemon runs with the whole of the configuration as it is now.
    pub(crate) fn is_whole(&self) -> bool {
        let failed = self.apps.values().any(|app| app.result == Fate::Failed);
        self.refused.is_none() && self.needs_restart.is_empty() && !failed
    }
}
