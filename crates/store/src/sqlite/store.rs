//! One database: its writer, its readers, its format.

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

/// How long a connection waits for another one. Only opening, closing and emptying the log can meet one.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
const READERS: u32 = 4;
/// After how many pages the log is copied into the database on a commit.
const CHECKPOINT_PAGES: &str = "8192";

/// How a database is opened.
#[derive(Debug)]
pub(super) struct Format {
    /// What brings it from any earlier version to this one.
    pub(super) migrator: &'static Migrator,
    /// Memory for pages of the writer, and of each reader, in KiB.
    pub(super) cache: [u32; 2],
    /// Zero what is deleted.
    pub(super) erase: bool,
    /// Check the whole database when it is opened, which reads all of it.
    pub(super) check: bool,
    /// What may be left to do from the last time.
    pub(super) chore: Option<Maintenance>,
}

/// What a database gets from the one who opens it.
pub(super) struct Surroundings {
    /// What proves with each write that the database is still ours; `None` for a private copy.
    pub(super) fence: Option<Fence>,
    pub(super) observer: Option<Observer>,
}

/// A database that is brought to this version's format, before it has a writer.
#[derive(Debug)]
pub(super) struct Prepared {
    options: SqliteConnectOptions,
    pub(super) connection: SqliteConnection,
    /// The version of its format when it was opened; `None` if it was empty.
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
    /// Opens the database, which must exist, if only as an empty file, and brings it to this version's format. A private
    /// copy that is discarded is not `durable`: nothing waits for the disk.
    pub(super) async fn prepare(path: &Path, format: &Format, durable: bool) -> Result<Prepared, Error> {
        let options = options(path, format, durable);
        let mut connection = options.connect().await.map_err(|error| Error::from_database(path, error))?;
        let version = match bring_up(path, format, &mut connection).await {
            Ok(version) => version,
            Err(error) => {
                // An immediate retry finds it closed.
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

    /// A database for reading alone, opened as `url` says; `path` is for messages. There is no writer, so a write is
    /// told that the state is closed.
    pub(super) fn read_only(path: &Path, url: &Url, format: &Format) -> Self {
        let reading = private(Path::new(url.as_str()), format.cache[1]).read_only(true);
        let readers = SqlitePoolOptions::new().max_connections(1).connect_lazy_with(reading);
        let (queue, _nobody) = mpsc::channel(1);
        Self { path: path.to_owned(), queue, readers, counters: Arc::default() }
    }

    /// Hands a write to the writer and waits until it is on the disk.
    pub(super) async fn write<W: Write>(&self, write: W) -> Result<W::Answer, Error> {
        let (caller, answer) = oneshot::channel();
        let message = Message::Write(Box::new(Queued::new(write, caller)));
        self.queue.send(message).await.map_err(|_| Error::Closed)?;
        answer.await.map_err(|_| Error::Closed)?
    }

    /// The connections for reading.
    pub(super) fn readers(&self) -> &SqlitePool {
        &self.readers
    }

    /// What an error of a reader means.
    pub(super) fn fault(&self, error: sqlx::Error) -> Error {
        Error::from_database(&self.path, error)
    }

    /// Runs what waits and closes the database.
    pub(super) async fn close(&self) {
        // Readers first: they would be in the way of emptying the log.
        self.readers.close().await;
        let (caller, closed) = oneshot::channel();
        if self.queue.send(Message::Close(caller)).await.is_ok() {
            // An error means that the writer is gone, which is as closed as it gets.
            drop(closed.await);
        }
    }
}

impl Prepared {
    /// Closes it again, without a writer ever having been started.
    pub(super) async fn close(self) {
        drop(self.connection.close().await);
    }
}

/// Gives the version that was found.
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
    // A crash may have left what had been erased. If a reader is in the way, it is done later.
    secure_delete::empty_log(connection).await.map_err(|error| Error::from_database(path, error))?;
    Ok(version)
}

/// What every connection has in common.
fn private(path: &Path, cache: u32) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .busy_timeout(BUSY_TIMEOUT)
        .foreign_keys(true)
        // What SQLite would put into a temporary file may hold a secret.
        .pragma("temp_store", "MEMORY")
        .pragma("cache_size", format!("-{cache}"))
        .pragma("trusted_schema", "OFF")
        .disable_statement_logging()
}

fn options(path: &Path, format: &Format, durable: bool) -> SqliteConnectOptions {
    let synchronous = if durable { SqliteSynchronous::Full } else { SqliteSynchronous::Off };
    private(path, format.cache[0])
        .page_size(4096)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(synchronous)
        .pragma("secure_delete", if format.erase { "ON" } else { "OFF" })
        // Pages of an open transaction stay in memory, so that one that is undone leaves nothing in the log.
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
        // A format that no version of this program has made.
        other => Error::Corrupt { path: path.to_owned(), detail: other.to_string() },
    })
}
