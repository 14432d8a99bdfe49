//! The implementations that are tested.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bridgehead_resilience::{Clock, SystemClock};
use tempfile::TempDir;

use super::super::lease::Terms;
use super::super::shared::{Database, Direct, Identity, Node};
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

/// Memory that several nodes share, as one of them uses it.
pub(super) struct Shared {
    database: Database,
    node: Node,
}

impl Shared {
    /// Joins as a node that owns all apps together.
    async fn join(database: Database) -> Self {
        let identity = Identity { name: "a".to_owned(), process: "a".to_owned(), ended: Vec::new() };
        let terms = Terms { lease: Duration::from_mins(1), longest_call: Duration::from_mins(1) };
        let node = Node::open(&database, identity, terms, Arc::new(Direct)).await;
        Self { database, node }
    }
}

impl Place for Shared {
    type State = Node;

    async fn empty() -> Self {
        Self::join(Database::new(SystemClock.now())).await
    }

    fn state(&self) -> &Node {
        &self.node
    }

    async fn reopen(self) -> Self {
        self.node.close(true).await;
        Self::join(self.database).await
    }

    async fn fleeting() -> Node {
        Self::empty().await.node
    }
}
