//! Opening and closing the state.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use sqlx::migrate::Migrator;
use tempfile::TempDir;

use super::super::Error;
use super::files::{self, LISTINGS, TASKS};
use super::lock::Lock;
use super::store::{Format, Store, Surroundings};
use super::writer::{Chore, Observer};
use super::{promotion, rehearsal};

static TASKS_MIGRATIONS: Migrator = sqlx::migrate!("src/journal/migrations/tasks");
static LISTINGS_MIGRATIONS: Migrator = sqlx::migrate!("src/journal/migrations/listings");

/// The journal. It is small, and what it holds cannot be had again.
pub(super) static TASKS_FORMAT: Format = Format {
    migrator: &TASKS_MIGRATIONS,
    cache: [8 * 1024, 2 * 1024],
    erase: true,
    check: true,
    chore: Some(Chore::Erase),
};

/// What syncs saw. It is large; the ids in it are no secret, and lists of them are read in order. Its caches are small all
/// the same: what does not fit is in the memory of the operating system as a rule, and a sync of any size shall need
/// less than 64 MiB.
pub(super) static LISTINGS_FORMAT: Format = Format {
    migrator: &LISTINGS_MIGRATIONS,
    cache: [2 * 1024, 256],
    erase: false,
    check: false,
    chore: Some(Chore::Discard),
};

/// The state of the daemon, in a folder: a [`Journal`](super::super::Journal) and
/// [`Listings`](super::super::Listings). Clones share it.
///
/// The lock on the folder is held until [`close`](Self::close) returns, or, when the last clone is dropped
/// without it, until the writers have run what was waiting and have ended, a moment later.
#[derive(Clone, Debug)]
pub struct Sqlite(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    tasks: Store,
    listings: Store,
    /// The folder of a rehearsal, removed with it.
    _temporary: Option<TempDir>,
}

/// How much the journal has written since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Commits, each of which waited for the disk.
    pub commits: u64,
    /// Writes that shared them, those that were refused included.
    pub writes: u64,
}

impl Sqlite {
    /// Opens the state in this folder, which is made if there is none, and takes the lock on it.
    ///
    /// The folder gets the mode 0700, its files 0600. Listings that an earlier process left unfinished are
    /// dropped. Must be called within a tokio runtime.
    pub async fn open(folder: &Path) -> Result<Self, Error> {
        Self::open_with(folder, None).await
    }

    /// The same, watched at every durable step.
    pub async fn open_observed(folder: &Path, observer: Observer) -> Result<Self, Error> {
        Self::open_with(folder, Some(observer)).await
    }

    async fn open_with(folder: &Path, observer: Option<Observer>) -> Result<Self, Error> {
        let prepared = folder.to_owned();
        let lock = blocking(move || {
            files::prepare(&prepared)?;
            let lock = Lock::take(&prepared)?;
            files::create_databases(&prepared)?;
            Ok(lock)
        })
        .await?;
        let surroundings = Surroundings { lock: Some(Arc::new(lock)), observer, durable: true };
        Self::assemble(folder, surroundings, None).await
    }

    /// State for a `sync --dry-run` beside a running daemon: a private copy of what the syncs of `folder` have
    /// seen, with an empty journal. It takes no lock and writes nothing into the folder; without a folder,
    /// or without state in it, nothing is known.
    pub async fn rehearsal(folder: &Path) -> Result<Self, Error> {
        let temporary = blocking(temporary_folder).await?;
        let copy = temporary.path().to_owned();
        let prepared = copy.clone();
        blocking(move || files::create_databases(&prepared)).await?;
        rehearsal::copy(&folder.join(LISTINGS), &copy.join(LISTINGS)).await?;
        let surroundings = Surroundings { lock: None, observer: None, durable: false };
        Self::assemble(&copy, surroundings, Some(temporary)).await
    }

    /// The state in this folder for reading alone, beside a daemon that may be running. It takes no lock and writes
    /// nothing into the folder; every write is [`Error::Closed`]. `None` if there is nothing that can be read.
    pub async fn read_only(folder: &Path) -> Result<Option<Self>, Error> {
        let [tasks, listings] = [folder.join(TASKS), folder.join(LISTINGS)];
        let paths = [tasks.clone(), listings.clone()];
        let urls = blocking(move || Ok((rehearsal::in_place(&paths[0])?, rehearsal::in_place(&paths[1])?)));
        let (Some(tasks_url), Some(listings_url)) = urls.await? else {
            return Ok(None);
        };
        Ok(Some(Self(Arc::new(Inner {
            tasks: Store::read_only(&tasks, &tasks_url, &TASKS_FORMAT),
            listings: Store::read_only(&listings, &listings_url, &LISTINGS_FORMAT),
            _temporary: None,
        }))))
    }

    async fn assemble(
        folder: &Path,
        surroundings: Surroundings,
        temporary: Option<TempDir>,
    ) -> Result<Self, Error> {
        let tasks = Store::open(&folder.join(TASKS), &TASKS_FORMAT, surroundings.clone()).await?;
        let listings = match open_listings(folder, surroundings).await {
            Ok(listings) => listings,
            Err(error) => {
                // Otherwise the lock would be held until the writer notices, and trying again would say so.
                tasks.close().await;
                return Err(error);
            }
        };
        Ok(Self(Arc::new(Inner { tasks, listings, _temporary: temporary })))
    }

    /// Runs what waits, empties the write-ahead logs, closes the files and releases the lock. Other clones get
    /// [`Error::Closed`] from then on.
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

    pub(super) fn tasks(&self) -> &Store {
        &self.0.tasks
    }

    pub(super) fn listings(&self) -> &Store {
        &self.0.listings
    }
}

async fn open_listings(folder: &Path, surroundings: Surroundings) -> Result<Store, Error> {
    let listings = Store::open(&folder.join(LISTINGS), &LISTINGS_FORMAT, surroundings).await?;
    match listings.write(promotion::DropUnfinished).await {
        Ok(()) => Ok(listings),
        Err(error) => {
            listings.close().await;
            Err(error)
        }
    }
}

fn temporary_folder() -> Result<TempDir, Error> {
    tempfile::Builder::new()
        .prefix("bridgehead-rehearsal-")
        .permissions(files::folder_permissions())
        .tempdir()
        .map_err(|error| Error::from_io(&std::env::temp_dir(), error))
}

/// Runs what waits for the file system where it may wait.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    // It is neither cancelled nor does it panic; if it did, nothing was opened.
    tokio::task::spawn_blocking(work).await.map_err(|_| Error::Closed)?
}
