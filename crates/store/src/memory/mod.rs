//! State in memory, for tests and simulations: nothing survives the process.
//!
//! It behaves like [`Sqlite`](super::Sqlite), including the order of results; `src/contract` tests both. It needs no clock, thread or
//! runtime: each method completes when it is first polled, so simulations are deterministic.

mod attempts;
mod compared;
mod history;
mod holds;
mod instant;
mod journal;
pub mod shared;
mod snapshots;
mod syncs;
mod tasks;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use super::doubt::CLOCKS;
use super::{AppKey, Doubt, Error, Pause, Reason};
use history::Hours;
use syncs::Syncs;
use tasks::Tasks;

/// A [`TaskJournal`](super::TaskJournal) and [`SnapshotStore`](super::SnapshotStore) for tests and simulations: nothing survives the
/// process. Clones share the same data.
///
/// Use [`reopened`](Self::reopened) to simulate a restart of the process. No disk can fail, so the only errors are those caused by the
/// state of a task or a snapshot, and [`Error::Closed`].
#[derive(Clone)]
pub struct Memory(Arc<Mutex<Option<Data>>>);

/// All data.
#[derive(Default)]
struct Data {
    /// The question of a new folder; see [`Doubt`].
    doubt: Option<Doubt>,
    apps: BTreeMap<AppKey, App>,
    /// The number of syncs ever recorded, of all apps.
    runs_ever: u64,
}

/// The data of one app.
#[derive(Default)]
struct App {
    tasks: Tasks,
    syncs: Syncs,
    pause: Option<Pause>,
    hours: Hours,
}

impl Memory {
    /// Creates empty state, like a new folder: whether Iden was synced before is a question, asked at this instant.
    pub fn new(now: Timestamp) -> Self {
        let found_at = instant::kept(now);
        let until = instant::kept(now.saturating_add(CLOCKS).unwrap_or(now));
        let doubt = Some(Doubt { found_at, until, reason: Reason::New });
        Self::of(Data { doubt, ..Data::default() })
    }

    /// The state that a new process would find after this one, however this one ended: unfinished work is dropped, and a snapshot for which
    /// `prepare_commit` was called is committed. After that, clones of the old state return [`Error::Closed`], and so does a second call.
    pub fn reopened(&self) -> Result<Self, Error> {
        let mut data = self.data().take().ok_or(Error::Closed)?;
        for app in data.apps.values_mut() {
            app.syncs.drop_unfinished();
        }
        Ok(Self::of(data))
    }

    fn of(data: Data) -> Self {
        Self(Arc::new(Mutex::new(Some(data))))
    }

    fn data(&self) -> MutexGuard<'_, Option<Data>> {
        // If a thread panicked, it had not changed anything yet, or it was a test.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Accesses all data.
    fn whole<T>(&self, work: impl FnOnce(&mut Data) -> T) -> Result<T, Error> {
        self.data().as_mut().map(work).ok_or(Error::Closed)
    }

    /// Reads the data of an app, which may be empty.
    fn look<T>(&self, app: &AppKey, look: impl FnOnce(&App) -> T) -> Result<T, Error> {
        self.whole(|data| match data.apps.get(app) {
            Some(app) => look(app),
            None => look(&App::default()),
        })
    }

    /// Changes the data of an app.
    fn change<T>(&self, app: &AppKey, change: impl FnOnce(&mut App) -> T) -> Result<T, Error> {
        self.whole(|data| change(data.apps.entry(app.clone()).or_default()))
    }
}

impl fmt::Debug for Memory {
    /// Shows only the amount of data, never its contents.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let apps = self.data().as_ref().map(|data| data.apps.len());
        f.debug_struct("Memory").field("apps", &apps).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::super::TaskJournal;
    use super::super::contract::{app, at, completed, intent};
    use super::*;

    #[tokio::test]
    async fn ended_process_cannot_access_the_reopened_state() {
        let first = Memory::new(at(0));
        let clone = first.clone();
        first.intent(&app(1), &intent("t1", 1, 1)).await.unwrap();
        let next = first.reopened().unwrap();
        for ended in [&first, &clone] {
            let late = ended.record_outcome(&app(1), &intent("t1", 1, 1), &completed("a1")).await;
            assert!(matches!(late, Err(Error::Closed)), "{late:?}");
            assert!(matches!(ended.open(&app(1)).await, Err(Error::Closed)));
            assert!(matches!(ended.verify().await, Err(Error::Closed)));
            assert!(matches!(ended.reopened(), Err(Error::Closed)));
        }
        assert_eq!(next.counts(&app(1)).await.unwrap().intended, 1);
    }

    #[tokio::test]
    async fn debug_hides_accounts() {
        let memory = Memory::new(at(0));
        memory.record_outcome(&app(1), &intent("t1", 1, 1), &completed("alice")).await.unwrap();
        let text = format!("{memory:?}");
        assert!(text.contains("apps: Some(1)") && !text.contains("alice") && !text.contains("t1"), "{text}");
    }
}
