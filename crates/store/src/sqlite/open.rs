//! Opens and closes the state.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use sqlx::migrate::Migrator;
use tempfile::TempDir;

use super::super::{Error, Reason};
use super::custody::Custody;
use super::files::{self, Guest, Identity, LISTINGS, TASKS};
use super::lock::Lock;
use super::store::{Format, Store, Surroundings};
use super::writer::{Maintenance, Observer};
use super::{commit, given_up, lineage, read_only_copy};

static TASKS_MIGRATIONS: Migrator = sqlx::migrate!("src/migrations/tasks");
static LISTINGS_MIGRATIONS: Migrator = sqlx::migrate!("src/migrations/listings");

/// The journal. It is small, and its data cannot be recreated.
pub(super) static TASKS_FORMAT: Format = Format {
    migrator: &TASKS_MIGRATIONS,
    cache: [8 * 1024, 2 * 1024],
    erase: true,
    check: true,
    chore: Some(Maintenance::Erase),
};

/// The snapshots. They are large; their ids are not secret, and are read in order. The caches are small anyway: other pages are usually in
/// the operating system's memory, and a sync of any size should need less than 64 MiB.
pub(super) static LISTINGS_FORMAT: Format = Format {
    migrator: &LISTINGS_MIGRATIONS,
    cache: [2 * 1024, 256],
    erase: false,
    check: false,
    chore: Some(Maintenance::Discard),
};

/// The state of the daemon, in a folder: a [`TaskJournal`](super::super::TaskJournal) and [`SnapshotStore`](super::super::SnapshotStore).
/// Clones share the same state.
///
/// The lock on the folder is held until [`close`](Self::close) returns. If the last clone is dropped without it, the lock is held a moment
/// longer, until the writers have finished all waiting writes.
#[derive(Clone, Debug)]
pub struct Sqlite(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    tasks: Store,
    listings: Store,
    /// Owned by the writers. `None` for a private copy.
    custody: Option<Weak<Custody>>,
    /// The folder of a private copy, removed with it.
    _temporary: Option<TempDir>,
}

/// How much the journal has written since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Commits, each of which waited for the disk.
    pub commits: u64,
    /// Writes in these commits, including those that were refused.
    pub writes: u64,
}

impl Sqlite {
    /// Opens the state in this folder, which is created if necessary, and locks it.
    ///
    /// The folder must belong to the user of this process. It gets the mode 0700, its files 0600; links in it are not followed. Unfinished
    /// snapshots of an earlier process are dropped. Must be called within a tokio runtime.
    pub async fn open(folder: &Path) -> Result<Self, Error> {
        let state = Self::open_as(folder, Guest::Owner, None).await?;
        state.ok_or_else(|| nothing(folder))
    }

    /// Like [`open`](Self::open), with an observer for every durable step.
    pub async fn open_observed(folder: &Path, observer: Observer) -> Result<Self, Error> {
        let state = Self::open_as(folder, Guest::Owner, Some(observer)).await?;
        state.ok_or_else(|| nothing(folder))
    }

    /// Like [`open`](Self::open), for a one-time command. Root may run it for the owner of the folder, who then owns all created files.
    pub async fn open_to_help(folder: &Path) -> Result<Self, Error> {
        let state = Self::open_as(folder, Guest::Helper, None).await?;
        state.ok_or_else(|| nothing(folder))
    }

    /// Like [`open_to_help`](Self::open_to_help), for a command that needs existing state: returns `None` if there is none.
    pub async fn open_existing(folder: &Path) -> Result<Option<Self>, Error> {
        Self::open_as(folder, Guest::Visitor, None).await
    }

    /// The same for who moves the state elsewhere, also if it is marked as moved already.
    #[cfg(feature = "postgres")]
    pub(crate) async fn open_to_move(folder: &Path) -> Result<Option<Self>, Error> {
        Self::open_marked_or_not(folder, Guest::Visitor, None, true).await
    }

    async fn open_as(folder: &Path, guest: Guest, observer: Option<Observer>) -> Result<Option<Self>, Error> {
        Self::open_marked_or_not(folder, guest, observer, false).await
    }

    async fn open_marked_or_not(
        folder: &Path,
        guest: Guest,
        observer: Option<Observer>,
        may_be_marked: bool,
    ) -> Result<Option<Self>, Error> {
        let prepared = folder.to_owned();
        let locked = blocking(move || {
            let Some(folder) = files::prepare(&prepared, guest)? else { return Ok(None) };
            let lock = Lock::take(folder)?;
            if !may_be_marked {
                given_up::refuse_moved(&lock.folder)?;
            }
            let databases = lock.folder.create_databases()?;
            Ok(Some((lock, databases)))
        })
        .await?;
        match locked {
            Some((lock, databases)) => {
                Self::take_over(folder, lock, databases, observer, None).await.map(Some)
            }
            None => Ok(None),
        }
    }

    /// Takes over databases that were restored from a backup: they are old, whatever their witnesses say.
    pub(super) async fn take_over_restored(
        folder: &Path,
        lock: Lock,
        databases: [Identity; 2],
    ) -> Result<Self, Error> {
        Self::take_over(folder, lock, databases, None, Some(Reason::Restored)).await
    }

    async fn take_over(
        folder: &Path,
        lock: Lock,
        databases: [Identity; 2],
        observer: Option<Observer>,
        known: Option<Reason>,
    ) -> Result<Self, Error> {
        let paths = [folder.join(TASKS), folder.join(LISTINGS)];
        let mut tasks = Store::prepare(&paths[0], &TASKS_FORMAT, true).await?;
        let mut listings = match Store::prepare(&paths[1], &LISTINGS_FORMAT, true).await {
            Ok(listings) => listings,
            Err(error) => {
                tasks.close().await;
                return Err(error);
            }
        };
        let taken = match lineage::take_over(lock, databases, &mut tasks, &mut listings, known).await {
            Ok(taken) => taken,
            Err(error) => {
                tasks.close().await;
                listings.close().await;
                return Err(error);
            }
        };
        let surroundings = |fence| Surroundings { fence: Some(fence), observer: observer.clone() };
        let tasks = Store::start(&paths[0], &TASKS_FORMAT, tasks, surroundings(taken.tasks));
        let listings = Store::start(&paths[1], &LISTINGS_FORMAT, listings, surroundings(taken.listings));
        let custody = Some(Arc::downgrade(&taken.custody));
        drop(taken.custody);
        Self(Arc::new(Inner { tasks, listings, custody, _temporary: None })).ready().await
    }

    /// State for a `sync --dry-run` next to a running daemon: a private copy of the snapshots in `folder`, with an empty journal. It takes
    /// no lock and writes nothing into the folder; without a folder, or without state in it, it is empty.
    pub async fn rehearsal(folder: &Path) -> Result<Self, Error> {
        Self::private(Some(folder)).await
    }

    /// Temporary state for manual commands: it starts empty, and nothing is kept.
    pub async fn scratch() -> Result<Self, Error> {
        Self::private(None).await
    }

    async fn private(folder: Option<&Path>) -> Result<Self, Error> {
        let temporary = blocking(temporary_folder).await?;
        let copy = temporary.path().to_owned();
        let prepared = copy.clone();
        blocking(move || {
            let folder = files::prepare(&prepared, Guest::Owner)?.ok_or_else(|| nothing(&prepared))?;
            folder.create_databases()
        })
        .await?;
        if let Some(folder) = folder {
            read_only_copy::copy(&folder.join(LISTINGS), &copy.join(LISTINGS)).await?;
        }
        let tasks = Self::copied(&copy.join(TASKS), &TASKS_FORMAT).await?;
        let listings = Self::copied(&copy.join(LISTINGS), &LISTINGS_FORMAT).await?;
        let custody = None;
        Self(Arc::new(Inner { tasks, listings, custody, _temporary: Some(temporary) })).ready().await
    }

    async fn copied(path: &Path, format: &Format) -> Result<Store, Error> {
        let prepared = Store::prepare(path, format, false).await?;
        Ok(Store::start(path, format, prepared, Surroundings { fence: None, observer: None }))
    }

    /// Opens the state in this folder for reading only, next to a daemon that may be running. It takes no lock and writes nothing into the
    /// folder; every write returns [`Error::Closed`]. `None` if there is nothing to read.
    pub async fn read_only(folder: &Path) -> Result<Option<Self>, Error> {
        let [tasks, listings] = [folder.join(TASKS), folder.join(LISTINGS)];
        let paths = [tasks.clone(), listings.clone()];
        let urls = blocking(move || {
            Ok((read_only_copy::in_place(&paths[0])?, read_only_copy::in_place(&paths[1])?))
        });
        let (Some(tasks_url), Some(listings_url)) = urls.await? else {
            return Ok(None);
        };
        Ok(Some(Self(Arc::new(Inner {
            tasks: Store::read_only(&tasks, &tasks_url, &TASKS_FORMAT),
            listings: Store::read_only(&listings, &listings_url, &LISTINGS_FORMAT),
            custody: None,
            _temporary: None,
        }))))
    }

    /// Drops unfinished work of an earlier process.
    async fn ready(self) -> Result<Self, Error> {
        match self.listings().write(commit::DropUnfinished { app: None }).await {
            Ok(()) => Ok(self),
            Err(error) => {
                // Otherwise, the lock would be held until the writers notice, and a retry would report it.
                self.close().await;
                Err(error)
            }
        }
    }

    /// Runs waiting writes, empties the write-ahead logs, closes the files and releases the lock. After that, other clones return
    /// [`Error::Closed`].
    pub async fn close(self) {
        self.0.tasks.close().await;
        self.0.listings.close().await;
    }

    /// How much the journal has written.
    pub fn stats(&self) -> Stats {
        let counters = &self.0.tasks.counters;
        Stats {
            commits: counters.commits.load(Ordering::Relaxed),
            writes: counters.writes.load(Ordering::Relaxed),
        }
    }

    /// Checks that the folder and its files are still the opened ones. Always true for a private copy.
    pub(super) fn in_place(&self) -> Result<(), Error> {
        match &self.0.custody {
            None => Ok(()),
            Some(custody) => custody.upgrade().ok_or(Error::Closed)?.verify(),
        }
    }

    pub(super) fn tasks(&self) -> &Store {
        &self.0.tasks
    }

    pub(super) fn listings(&self) -> &Store {
        &self.0.listings
    }
}

/// The error for a folder that should contain state, but does not.
fn nothing(folder: &Path) -> Error {
    Error::from_io(folder, std::io::ErrorKind::NotFound.into())
}

fn temporary_folder() -> Result<TempDir, Error> {
    tempfile::Builder::new()
        .prefix("bridgehead-rehearsal-")
        .permissions(files::folder_permissions())
        .tempdir()
        .map_err(|error| Error::from_io(&std::env::temp_dir(), error))
}

/// Runs blocking file system operations on a thread where they may block.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    // The task is never cancelled and does not panic; if it did, nothing was opened.
    tokio::task::spawn_blocking(work).await.map_err(|_| Error::Closed)?
}
