//! The implementations that are tested.

use std::path::Path;

use bridgehead_resilience::{Clock, SystemClock};
use tempfile::TempDir;

use super::super::{HistoryStore, Memory, SnapshotStore, Sqlite, TaskJournal};

/// A place where state is stored, which outlives the process that has it open.
pub(crate) trait Place: Sized {
    type State: TaskJournal + SnapshotStore + HistoryStore;

    /// Creates and opens an empty place.
    async fn empty() -> Self;

    /// The state as used by the process that has it open.
    fn state(&self) -> &Self::State;

    /// Ends that process, and opens the state in another one.
    async fn reopen(self) -> Self;

    /// State that is discarded after use.
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
        // Use memory if the machine has a folder in it, so that nothing waits for a disk.
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
