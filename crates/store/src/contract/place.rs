//! The states that are held to the contract.

use std::path::Path;

use bridgehead_resilience::{Clock, SystemClock};
use tempfile::TempDir;

use super::super::{HistoryStore, Memory, SnapshotStore, Sqlite, TaskJournal};

/// Where state is kept: what outlives the process that has it open.
pub(crate) trait Place: Sized {
    type State: TaskJournal + SnapshotStore + HistoryStore;

    /// A new one, opened.
    async fn empty() -> Self;

    /// What the process that has it open works on.
    fn state(&self) -> &Self::State;

    /// That process ends, and another one opens it.
    async fn reopen(self) -> Self;

    /// State in a place that is not needed.
    async fn fleeting() -> Self::State;
}

/// SQLite in a folder.
pub(super) struct Folder {
    folder: TempDir,
    state: Sqlite,
}

impl Place for Folder {
    type State = Sqlite;

    async fn empty() -> Self {
        // In memory, where the machine has a folder there: nothing here waits for a disk.
        let memory = Path::new("/dev/shm");
        let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
        let folder = folder.unwrap();
        let state = Sqlite::open(folder.path()).await.unwrap();
        Self { folder, state }
    }

    fn state(&self) -> &Sqlite {
        &self.state
    }

    async fn reopen(self) -> Self {
        self.state.close().await;
        let state = Sqlite::open(self.folder.path()).await.unwrap();
        Self { state, ..self }
    }

    async fn fleeting() -> Sqlite {
        Sqlite::rehearsal(Path::new("/nonexistent")).await.unwrap()
    }
}

/// Memory.
pub(super) struct Nowhere(Memory);

impl Nowhere {
    pub(crate) fn since(now: jiff::Timestamp) -> Self {
        Self(Memory::new(now))
    }
}

impl Place for Nowhere {
    type State = Memory;

    async fn empty() -> Self {
        Self::since(SystemClock.now())
    }

    fn state(&self) -> &Memory {
        &self.0
    }

    async fn reopen(self) -> Self {
        Self(self.0.reopened().unwrap())
    }

    async fn fleeting() -> Memory {
        Self::empty().await.0
    }
}
