//! Reads or copies a database that another process may be using, without creating files next to it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bridgehead_resilience::{Next, Retry, RetryPolicy, SeededRng};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};
use url::Url;

use super::super::Error;

/// The maximum number of attempts, in case a daemon starts or stops in the middle of a copy.
const ATTEMPTS: u32 = 3;
/// No delay between attempts.
const AT_ONCE: RetryPolicy = RetryPolicy::new(Duration::ZERO, Duration::ZERO);

/// The SQLite option for a database that does not change.
const STILL: &str = "immutable=1";
/// The SQLite options to read a database in use and the index of its log, without writing to either.
const LIVE: &str = "mode=ro&readonly_shm=1";

/// How a database can be read without leaving traces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    /// It does not exist, or is empty.
    Nothing,
    /// No process has it open, so it does not change.
    Still,
    /// A process has it open, or died with it open. The index of its log can be read without writing it.
    Live,
    /// It has a log without an index, so no process has it open. SQLite would create an index next to it.
    Orphaned,
}

/// Copies the database at `from`, if it exists, to `to`, which must be an empty file. The copy is consistent.
pub(super) async fn copy(from: &Path, to: &Path) -> Result<(), Error> {
    let from = std::path::absolute(from).map_err(|error| Error::from_io(from, error))?;
    let rng = SeededRng::seeded(0);
    let retry = Retry::new(AT_ONCE, &rng).max_attempts(ATTEMPTS);
    let copied = retry.run(
        |_| copy_once(&from, to),
        |unsettled| if unsettled.may_settle { Next::Retry } else { Next::GiveUp },
        |_| {},
    );
    copied.await.or_else(|unsettled| unsettled.copied)
}

/// A failed copy, or one that may be inconsistent.
struct Unsettled {
    copied: Result<(), Error>,
    /// Whether a daemon started or stopped in the meantime.
    may_settle: bool,
}

impl From<Error> for Unsettled {
    fn from(error: Error) -> Self {
        Self { copied: Err(error), may_settle: false }
    }
}

async fn copy_once(from: &Path, to: &Path) -> Result<(), Unsettled> {
    tokio::fs::write(to, []).await.map_err(|error| Error::from_io(to, error))?;
    let access = access_to(from)?;
    let copied = copy_as(from, to, access).await;
    if access == access_to(from)? {
        return copied.map_err(Unsettled::from);
    }
    Err(Unsettled { copied, may_settle: true })
}

/// Returns the URL to open the database at `path` for reading, now and for a while. `None` if it is empty, or if reading it would create
/// files next to it: then the next start of the daemon recovers it.
pub(super) fn in_place(path: &Path) -> Result<Option<Url>, Error> {
    let path = std::path::absolute(path).map_err(|error| Error::from_io(path, error))?;
    match access_to(&path)? {
        Access::Nothing | Access::Orphaned => Ok(None),
        Access::Still => url(&path, STILL).map(Some),
        Access::Live => url(&path, LIVE).map(Some),
    }
}

fn url(path: &Path, query: &str) -> Result<Url, Error> {
    let mut url = Url::from_file_path(path)
        .map_err(|()| Error::from_io(path, std::io::ErrorKind::InvalidFilename.into()))?;
    url.set_query(Some(query));
    Ok(url)
}

fn access_to(path: &Path) -> Result<Access, Error> {
    access(path).map_err(|error| Error::from_io(path, error))
}

async fn copy_as(from: &Path, to: &Path, access: Access) -> Result<(), Error> {
    let query = match access {
        Access::Nothing => return Ok(()),
        Access::Still => STILL,
        Access::Live => LIVE,
        Access::Orphaned => {
            return copy_files(from, to).await.map_err(|error| of_copy(to, Error::from_io(from, error)));
        }
    };
    let fault = |error| of_copy(to, Error::from_database(from, error));
    let mut connection = SqliteConnectOptions::new()
        .filename(url(from, query)?.as_str())
        .read_only(true)
        .disable_statement_logging()
        .connect()
        .await
        .map_err(fault)?;
    sqlx::query("VACUUM INTO ?1")
        .bind(to.to_string_lossy().as_ref())
        .execute(&mut connection)
        .await
        .map_err(fault)?;
    connection.close().await.map_err(fault)
}

/// Only the copy is written, so it is the copy that has no space.
fn of_copy(to: &Path, error: Error) -> Error {
    match error {
        Error::Full { .. } => Error::Full { path: to.to_owned() },
        other => other,
    }
}

async fn copy_files(from: &Path, to: &Path) -> std::io::Result<()> {
    tokio::fs::copy(from, to).await?;
    tokio::fs::copy(beside(from, "-wal"), beside(to, "-wal")).await?;
    Ok(())
}

fn access(path: &Path) -> std::io::Result<Access> {
    if length(path)? == 0 {
        Ok(Access::Nothing)
    } else if beside(path, "-shm").try_exists()? {
        Ok(Access::Live)
    } else if length(&beside(path, "-wal"))? == 0 {
        Ok(Access::Still)
    } else {
        Ok(Access::Orphaned)
    }
}

/// Zero for a file that does not exist. Any other error must not count as that: "nothing is known" would let a dry run report that nothing
/// is removed.
fn length(path: &Path) -> std::io::Result<u64> {
    match std::fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_file() => Ok(metadata.len()),
        // A link may point to another user's files.
        Ok(_) => Err(std::io::Error::other(format!("{} is not a regular file", path.display()))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error),
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
