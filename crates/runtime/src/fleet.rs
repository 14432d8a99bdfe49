//! The apps of a running daemon, by name. A reload can replace some of them while others read the list.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use super::app::AppContext;
use super::report::LastReload;

/// The current apps, and the result of the last reload.
#[derive(Debug, Default)]
pub(crate) struct Fleet {
    apps: RwLock<BTreeMap<String, Arc<AppContext>>>,
    last_reload: Mutex<Option<LastReload>>,
    /// How many times an app was replaced, added or removed.
    exchanges: AtomicU64,
}

impl Fleet {
    pub(crate) fn new(apps: BTreeMap<String, Arc<AppContext>>) -> Self {
        Self { apps: RwLock::new(apps), last_reload: Mutex::default(), exchanges: AtomicU64::new(0) }
    }

    /// All apps, as of this moment.
    pub(crate) fn all(&self) -> BTreeMap<String, Arc<AppContext>> {
        self.apps.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn get(&self, name: &str) -> Option<Arc<AppContext>> {
        self.apps.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// Adds an app, replacing any app with the same name.
    pub(crate) fn put(&self, app: Arc<AppContext>) {
        self.apps.write().unwrap_or_else(PoisonError::into_inner).insert(app.name.clone(), app);
        self.exchanges.fetch_add(1, Ordering::AcqRel);
    }

    pub(crate) fn remove(&self, name: &str) {
        self.apps.write().unwrap_or_else(PoisonError::into_inner).remove(name);
        self.exchanges.fetch_add(1, Ordering::AcqRel);
    }

    /// The number of changes so far. If it has grown, apps that were read earlier may have been replaced.
    pub(crate) fn exchanges(&self) -> u64 {
        self.exchanges.load(Ordering::Acquire)
    }

    pub(crate) fn last_reload(&self) -> Option<LastReload> {
        self.last_reload.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn reloaded(&self, reload: LastReload) {
        *self.last_reload.lock().unwrap_or_else(PoisonError::into_inner) = Some(reload);
    }
}
