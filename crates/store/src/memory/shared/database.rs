//! The database: the state, and what nodes know of each other.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use super::super::super::{AppKey, Error, Memory};
use super::mailbox::Letters;
use super::owners::{Owner, Seen};

/// The checks that the database and its nodes make. Tests switch one off to prove that it is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checks {
    /// A write with an older epoch is refused.
    pub epochs: bool,
    /// A node starts a call only while its lease is valid.
    pub may_start: bool,
    /// After a takeover, calls of the previous owner get time to end.
    pub settling: bool,
}

impl Default for Checks {
    fn default() -> Self {
        Self { epochs: true, may_start: true, settling: true }
    }
}

/// A database in memory. Clones share the same data.
#[derive(Clone)]
pub struct Database(Arc<Inner>);

struct Inner {
    memory: Memory,
    checks: Checks,
    rows: Mutex<Rows>,
}

/// What nodes know of each other.
#[derive(Default)]
pub(super) struct Rows {
    /// By app.
    pub(super) owners: BTreeMap<String, Owner>,
    /// By process.
    pub(super) nodes: BTreeMap<String, Seen>,
    pub(super) letters: Letters,
}

impl Database {
    /// Creates an empty database at this instant.
    pub fn new(now: Timestamp) -> Self {
        Self::checking(now, Checks::default())
    }

    /// The same with only some of the checks.
    pub fn checking(now: Timestamp, checks: Checks) -> Self {
        Self(Arc::new(Inner { memory: Memory::new(now), checks, rows: Mutex::default() }))
    }

    pub(super) fn checks(&self) -> Checks {
        self.0.checks
    }

    pub(super) fn memory(&self) -> &Memory {
        &self.0.memory
    }

    pub(super) fn rows(&self) -> MutexGuard<'_, Rows> {
        self.0.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The newest epoch of an app, or of all apps together.
    pub(super) fn epoch(&self, key: &str) -> Option<i64> {
        self.rows().owners.get(key).map(|owner| owner.epoch)
    }

    /// Drops unfinished snapshots of all apps.
    #[cfg(test)]
    pub(super) fn drop_all_unfinished(&self) {
        let dropped = self.0.memory.whole(|data| {
            data.apps.values_mut().for_each(|app| app.syncs.drop_unfinished());
        });
        dropped.expect("it is open");
    }

    /// Drops unfinished snapshots of an app's previous owner.
    pub(super) fn drop_unfinished(memory: &Memory, app: &AppKey) -> Result<(), Error> {
        memory.change(app, |app| app.syncs.drop_unfinished())
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database").field("memory", self.memory()).finish_non_exhaustive()
    }
}
