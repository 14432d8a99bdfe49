//! Where the state is stored: in memory, or in SQLite as in production.
//!
//! SQLite works in separate threads, in real time. The simulated thread is blocked until SQLite responds, so that no simulated time passes
//! and nothing else runs meanwhile: the contents of the disk at each event are the same in every replay.

use std::future::Future;
use std::path::Path;
use std::sync::{Arc, LazyLock, Mutex};

use bridgehead::journal::shared::Node;
use bridgehead::journal::{Memory, SnapshotStore, Sqlite, TaskJournal};
use jiff::Timestamp;

/// The kind of storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// In memory; the state is new as of this time.
    Memory(Timestamp),
    /// In a folder.
    Sqlite,
}

/// The state, which outlives the processes.
pub(crate) enum State {
    Memory(Mutex<Memory>),
    Sqlite(tempfile::TempDir),
}

impl State {
    pub(crate) fn new(kind: Kind) -> Self {
        match kind {
            Kind::Memory(now) => Self::Memory(Mutex::new(Memory::new(now))),
            Kind::Sqlite => Self::Sqlite(folder()),
        }
    }

    /// Opens the state as a new process does.
    pub(crate) fn open(&self) -> Opened {
        match self {
            Self::Memory(memory) => {
                let mut memory = memory.lock().unwrap();
                *memory = memory.reopened().expect("it was not closed");
                let state = Arc::new(memory.clone());
                Opened { journal: Arc::clone(&state) as Arc<dyn TaskJournal>, snapshots: state, sqlite: None }
            }
            Self::Sqlite(folder) => {
                let folder = folder.path().join("state");
                let sqlite = DISK.wait(Sqlite::open(&folder)).expect("the state opens");
                let state = Arc::new(sqlite.clone());
                let journal = Arc::clone(&state) as Arc<dyn TaskJournal>;
                Opened { journal, snapshots: state, sqlite: Some(sqlite) }
            }
        }
    }

    /// The contents of all its files.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let Self::Sqlite(folder) = self else { return Vec::new() };
        let mut bytes = Vec::new();
        for file in std::fs::read_dir(folder.path().join("state")).into_iter().flatten().flatten() {
            bytes.extend(std::fs::read(file.path()).unwrap_or_default());
        }
        bytes
    }
}

/// A folder in memory, if the machine supports it: the guarantees do not depend on the speed of a disk.
fn folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    folder.expect("a temporary folder")
}

/// The state as opened by one process.
pub(crate) struct Opened {
    pub(crate) journal: Arc<dyn TaskJournal>,
    pub(crate) snapshots: Arc<dyn SnapshotStore>,
    sqlite: Option<Sqlite>,
}

impl Opened {
    /// State that several nodes share, as one of them has it open.
    pub(crate) fn shared(node: &Node) -> Self {
        let state = Arc::new(node.clone());
        Self { journal: Arc::clone(&state) as Arc<dyn TaskJournal>, snapshots: state, sqlite: None }
    }

    /// Runs a call of the state.
    pub(crate) async fn answer<T>(&self, work: impl Future<Output = T>) -> T {
        if self.sqlite.is_some() { DISK.wait(work) } else { work.await }
    }

    /// Closes the state after the process has ended.
    pub(crate) fn close(&self) {
        if let Some(sqlite) = &self.sqlite {
            DISK.wait(sqlite.clone().close());
        }
    }
}

/// Runs SQLite outside of simulated time. Shared by all simulated runs, because a runtime cannot be dropped within another.
static DISK: LazyLock<Disk> = LazyLock::new(Disk::new);

struct Disk(tokio::runtime::Runtime);

impl Disk {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime for SQLite");
        Self(runtime)
    }

    /// Blocks the thread until the result is there.
    fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        let _within = self.0.enter();
        futures::executor::block_on(work)
    }
}
