//! A copy of a database that another process may be using, made without writing beside it.

use std::path::{Path, PathBuf};

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};
use url::Url;

use super::super::Error;

/// How often a copy is made again because a daemon started or stopped in the middle of it.
const TRIES: u32 = 3;

/// How a database can be read without a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    /// There is none, or nothing was ever in it.
    Nothing,
    /// No process has it open, so it does not change.
    Still,
    /// A process has it open, or died with it open. The index of its log is read, and not written.
    Live,
    /// It has a log without the index, so no process has it open. SQLite would write an index beside it.
    Orphaned,
}

/// Copies the database at `from`, if there is one, to `to`, which must be an empty file. The copy is of one
/// moment.
pub(super) async fn copy(from: &Path, to: &Path) -> Result<(), Error> {
    let from = std::path::absolute(from).map_err(|error| Error::from_io(from, error))?;
    let mut tries = 1;
    loop {
        let access = access(&from);
        let copied = copy_as(&from, to, access).await;
        if access == self::access(&from) || tries == TRIES {
            return copied;
        }
        tries += 1;
        tokio::fs::write(to, [])
            .await
            .map_err(|error| Error::from_io(to, error))?;
    }
}

async fn copy_as(from: &Path, to: &Path, access: Access) -> Result<(), Error> {
    let query = match access {
        Access::Nothing => return Ok(()),
        Access::Still => "immutable=1",
        Access::Live => "mode=ro&readonly_shm=1",
        Access::Orphaned => {
            return copy_files(from, to)
                .await
                .map_err(|error| Error::from_io(from, error));
        }
    };
    let fault = |error| Error::from_database(from, error);
    let mut url = Url::from_file_path(from)
        .map_err(|()| Error::from_io(from, std::io::ErrorKind::InvalidFilename.into()))?;
    url.set_query(Some(query));
    let mut connection = SqliteConnectOptions::new()
        .filename(url.as_str())
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

async fn copy_files(from: &Path, to: &Path) -> std::io::Result<()> {
    tokio::fs::copy(from, to).await?;
    tokio::fs::copy(beside(from, "-wal"), beside(to, "-wal")).await?;
    Ok(())
}

fn access(path: &Path) -> Access {
    let is_empty = |path: &Path| std::fs::metadata(path).map_or(true, |metadata| metadata.len() == 0);
    if is_empty(path) {
        Access::Nothing
    } else if beside(path, "-shm").exists() {
        Access::Live
    } else if is_empty(&beside(path, "-wal")) {
        Access::Still
    } else {
        Access::Orphaned
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
