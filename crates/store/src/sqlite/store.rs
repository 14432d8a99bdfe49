//! A database with its writer, readers and format.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, SqliteConnection, SqlitePool};
use tokio::sync::{mpsc, oneshot};
use url::Url;

use super::super::Error;
use super::fence::Fence;
use super::secure_delete;
use super::writer::{Chores, Counters, Maintenance, Message, Observer, QUEUE, Queued, Write, Writer};

/// How long a connection waits for another one. Conflicts only occur while opening, closing and emptying the log.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
const READERS: u32 = 4;
/// How long a read waits for a connection.
const READER_WAIT: Duration = Duration::from_secs(30);
/// How many prepared statements the writer keeps: those of the busiest commits, in each of their sizes. Preparing one for many rows takes
/// longer than running it.
const STATEMENTS: usize = 160;
/// The size of the log, in pages, at which a commit copies it into the database.
const CHECKPOINT_PAGES: &str = "8192";

/// The format and settings of a database.
#[derive(Debug)]
pub(super) struct Format {
    /// Migrates any earlier version to this one.
    pub(super) migrator: &'static Migrator,
    /// Page cache size of the writer and of each reader, in KiB.
    pub(super) cache: [u32; 2],
    /// Whether to zero deleted data.
    pub(super) erase: bool,
    /// Whether to check the integrity of the whole database when it is opened, which reads all of it.
    pub(super) check: bool,
    /// Maintenance that may be left over from the last time.
    pub(super) chore: Option<Maintenance>,
}

/// What the opener of a database provides.
pub(super) struct Surroundings {
    /// Checks with each write that the database is still ours; `None` for a private copy.
    pub(super) fence: Option<Fence>,
    pub(super) observer: Option<Observer>,
}

/// A migrated database without a writer.
#[derive(Debug)]
pub(super) struct Prepared {
    options: SqliteConnectOptions,
    pub(super) connection: SqliteConnection,
    /// The format version when it was opened; `None` if it was empty.
    pub(super) version: Option<i64>,
}

/// An open database.
#[derive(Debug)]
pub(super) struct Store {
    path: PathBuf,
    queue: mpsc::Sender<Message>,
    readers: SqlitePool,
    pub(super) counters: Arc<Counters>,
}

impl Store {
    /// Opens a database, which must at least exist as an empty file, and migrates it to this version's format. A private copy that is
    /// discarded is not `durable`: its writes do not wait for the disk.
    pub(super) async fn prepare(path: &Path, format: &Format, durable: bool) -> Result<Prepared, Error> {
        let options = options(path, format, durable);
        let mut connection = options.connect().await.map_err(|error| Error::from_database(path, error))?;
        let version = match bring_up(path, format, &mut connection).await {
            Ok(version) => version,
            Err(error) => {
                // Close it, so that an immediate retry does not find it open.
                drop(connection.close().await);
                return Err(error);
            }
        };
        Ok(Prepared { options, connection, version })
    }

    /// Starts the writer of a database.
    pub(super) fn start(
        path: &Path,
        format: &Format,
        prepared: Prepared,
        surroundings: Surroundings,
    ) -> Self {
        let Prepared { options, connection, .. } = prepared;
        let reading = private(path, format.cache[1]).read_only(true);
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            // Waiting for a connection is how reads are limited; only giving up is worth a line in the log.
            .acquire_timeout(READER_WAIT)
            .acquire_slow_threshold(READER_WAIT)
            .test_before_acquire(false)
            .connect_lazy_with(reading);
        let (sender, receiver) = mpsc::channel(QUEUE);
        let counters = Arc::new(Counters::default());
        let writer = Writer {
            options,
            connection: Some(connection),
            queue: receiver,
            counters: Arc::clone(&counters),
            observer: surroundings.observer,
            fence: surroundings.fence,
            chores: Chores::at_start(format.chore),
        };
        tokio::spawn(writer.run());
        Self { path: path.to_owned(), queue: sender, readers, counters }
    }

    /// Opens a database for reading only, with the given `url`; `path` is for messages. There is no writer, so writes return an error that
    /// the state is closed.
    pub(super) fn read_only(path: &Path, url: &Url, format: &Format) -> Self {
        let reading = private(Path::new(url.as_str()), format.cache[1]).read_only(true);
        let readers = SqlitePoolOptions::new().max_connections(1).connect_lazy_with(reading);
        let (queue, _nobody) = mpsc::channel(1);
        Self { path: path.to_owned(), queue, readers, counters: Arc::default() }
    }

    /// Passes a write to the writer and waits until it is on disk.
    pub(super) async fn write<W: Write>(&self, write: W) -> Result<W::Answer, Error> {
        let (caller, answer) = oneshot::channel();
        let message = Message::Write(Box::new(Queued::new(write, caller)));
        self.queue.send(message).await.map_err(|_| Error::Closed)?;
        answer.await.map_err(|_| Error::Closed)?
    }

    /// The read-only connections.
    pub(super) fn readers(&self) -> &SqlitePool {
        &self.readers
    }

    /// Converts an error of a reader.
    pub(super) fn fault(&self, error: sqlx::Error) -> Error {
        Error::from_database(&self.path, error)
    }

    /// Runs waiting writes and closes the database.
    pub(super) async fn close(&self) {
        // Close readers first: they would prevent the log from being emptied.
        self.readers.close().await;
        let (caller, closed) = oneshot::channel();
        if self.queue.send(Message::Close(caller)).await.is_ok() {
            // An error means that the writer is gone, which is fine here.
            drop(closed.await);
        }
    }
}

impl Prepared {
    /// Closes it without having started a writer.
    pub(super) async fn close(self) {
        drop(self.connection.close().await);
    }
}

/// Migrates the database. Returns the version that was found.
async fn bring_up(
    path: &Path,
    format: &Format,
    connection: &mut SqliteConnection,
) -> Result<Option<i64>, Error> {
    let version = refuse_newer(path, format.migrator, connection).await?;
    if format.check {
        check(path, connection).await?;
    }
    migrate(path, format.migrator, connection).await?;
    // A crash may have left erased data in the log. If a reader prevents emptying it, that happens later.
    secure_delete::empty_log(connection).await.map_err(|error| Error::from_database(path, error))?;
    Ok(version)
}

/// Options common to all connections.
fn private(path: &Path, cache: u32) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .busy_timeout(BUSY_TIMEOUT)
        .foreign_keys(true)
        // Data that SQLite would put into a temporary file may contain secrets.
        .pragma("temp_store", "MEMORY")
        .pragma("cache_size", format!("-{cache}"))
        .pragma("trusted_schema", "OFF")
        .disable_statement_logging()
}

fn options(path: &Path, format: &Format, durable: bool) -> SqliteConnectOptions {
    let synchronous = if durable { SqliteSynchronous::Full } else { SqliteSynchronous::Off };
    private(path, format.cache[0])
        .statement_cache_capacity(STATEMENTS)
        .page_size(4096)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(synchronous)
        .pragma("secure_delete", if format.erase { "ON" } else { "OFF" })
        // Pages of an open transaction stay in memory, so that a rollback leaves nothing in the log.
        .pragma("cache_spill", if format.erase { "OFF" } else { "ON" })
        .pragma("wal_autocheckpoint", CHECKPOINT_PAGES)
}

async fn refuse_newer(
    path: &Path,
    migrator: &Migrator,
    connection: &mut SqliteConnection,
) -> Result<Option<i64>, Error> {
    let fault = |error| Error::from_database(path, error);
    let migrated: bool =
        sqlx::query_scalar("SELECT count(*) > 0 FROM sqlite_schema WHERE name = '_sqlx_migrations'")
            .fetch_one(&mut *connection)
            .await
            .map_err(fault)?;
    if !migrated {
        return Ok(None);
    }
    let found: Option<i64> = sqlx::query_scalar("SELECT max(version) FROM _sqlx_migrations")
        .fetch_one(connection)
        .await
        .map_err(fault)?;
    let known = migrator.iter().map(|migration| migration.version).max().unwrap_or(0);
    match found {
        Some(found) if found > known => Err(Error::TooNew { path: path.to_owned(), found, known }),
        found => Ok(found),
    }
}

async fn check(path: &Path, connection: &mut SqliteConnection) -> Result<(), Error> {
    let found: String = sqlx::query_scalar("PRAGMA quick_check(1)")
        .fetch_one(connection)
        .await
        .map_err(|error| Error::from_database(path, error))?;
    if found == "ok" { Ok(()) } else { Err(Error::Corrupt { path: path.to_owned(), detail: found }) }
}

async fn migrate(path: &Path, migrator: &Migrator, connection: &mut SqliteConnection) -> Result<(), Error> {
    migrator.run_direct(None, connection, false).await.map_err(|error| match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => {
            Error::from_database(path, error)
        }
        // A format that no version of this program has written.
        other => Error::Corrupt { path: path.to_owned(), detail: other.to_string() },
    })
}
