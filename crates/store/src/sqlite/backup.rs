//! Creates and restores copies of the state.
//!
//! A backup is a folder with both databases and a file with the time of the backup. It contains a consistent copy of each database, and can
//! be made while the daemon runs: nothing is locked, and only the note about the backup is written into the state folder.
//!
//! Restored state is old: it does not contain tasks that were started since. So [`restore`] records a doubt, and continues the commit
//! counter beyond every value that the replaced state had reached. See `docs/decisions/0020-backups-are-old-copies.md`.

use std::fs::{DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use bridgehead_resilience::{Clock, SystemClock};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode};
use sqlx::{ConnectOptions, Connection};

use super::super::doubt::CLOCKS;
use super::super::{AppKey, Error};
use super::files::{self, Guest, LISTINGS, TASKS};
use super::lock::Lock;
use super::open::{Sqlite, blocking};
use super::read_only_copy;

/// The manifest file in a backup.
const MANIFEST: &str = "backup.json";
/// The file in the state folder with the time of the last backup.
const NOTE: &str = "last-backup";
/// The maximum size of a manifest in bytes.
const LONGEST: u64 = 4096;
/// The backup format that this version creates and reads.
const FORMAT: u32 = 1;

/// The manifest of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backup {
    format: u32,
    /// When the backup was started.
    pub made_at: Timestamp,
    /// The version of bridgehead that created it.
    pub version: String,
}

/// The result of a restore.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// The restored backup.
    pub backup: Backup,
    /// Tasks that Iden created before this time are looked up in the target before their first attempt.
    pub until: Timestamp,
    /// Where the replaced state is, if there was any.
    pub replaced: Option<PathBuf>,
}

/// Copies the state of a folder into a new folder. A daemon may be running. `None` if there is no state.
pub async fn back_up(folder: &Path, to: &Path) -> Result<Option<Backup>, Error> {
    let made_at = SystemClock.now();
    let (source, target) = (folder.to_owned(), to.to_owned());
    let is_there = blocking(move || {
        let has_state = match source.join(TASKS).symlink_metadata() {
            Ok(found) => found.len() > 0,
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            // What this user may not see is not the same as nothing.
            Err(error) => return Err(Error::from_io(&source, error)),
        };
        if has_state {
            make_folder(&target)?;
        }
        Ok(has_state)
    });
    if !is_there.await? {
        return Ok(None);
    }
    // Copy the snapshots first: they contain the journal's position when they were written, and the journal must not be behind it.
    for database in [LISTINGS, TASKS] {
        let copy = to.join(database);
        let made = copy.clone();
        blocking(move || private(&made).map(drop).map_err(|error| Error::from_io(&made, error))).await?;
        read_only_copy::copy(&folder.join(database), &copy).await?;
        settle(&copy).await?;
    }
    let backup = Backup { format: FORMAT, made_at, version: env!("CARGO_PKG_VERSION").to_owned() };
    let (kept, state, target) = (backup.clone(), folder.to_owned(), to.to_owned());
    blocking(move || {
        let failed = |error| Error::from_io(&target, error);
        let text = serde_json::to_vec_pretty(&kept).map_err(|error| failed(error.into()))?;
        // Written last: without it, the folder is not a backup.
        let mut file = private(&target.join(MANIFEST)).map_err(failed)?;
        file.write_all(&text).and_then(|()| file.sync_all()).map_err(failed)?;
        File::open(&target).and_then(|folder| folder.sync_all()).map_err(failed)?;
        if let Err(error) = note(&state, kept.made_at) {
            tracing::warn!(%error, "the backup is made, but that cannot be recorded in the state folder, so that `bridgehead check` does not know its age");
        }
        Ok(())
    })
    .await?;
    Ok(Some(backup))
}

/// When the last backup of this folder was made; `None` if there was none.
pub fn last_backup(folder: &Path) -> Option<Timestamp> {
    let mut text = String::new();
    File::open(folder.join(NOTE)).ok()?.take(LONGEST).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

/// Reads the manifest of a backup.
pub fn read_backup(from: &Path) -> Result<Backup, Error> {
    let wrong = |problem: String| Error::Backup { path: from.to_owned(), problem };
    let mut text = String::new();
    let file = File::open(from.join(MANIFEST)).map_err(|error| {
        wrong(format!(
            "this is no backup that was made to its end ({MANIFEST}: {error}); name the folder that `bridgehead state backup` wrote"
        ))
    })?;
    file.take(LONGEST).read_to_string(&mut text).map_err(|error| Error::from_io(from, error))?;
    let backup: Backup = serde_json::from_str(&text).map_err(|error| {
        wrong(format!("{MANIFEST} cannot be read ({error}); it was changed or is damaged"))
    })?;
    if backup.format != FORMAT {
        return Err(wrong(format!(
            "it was made by bridgehead {}, in a format that this version does not know; use that version",
            backup.version
        )));
    }
    Ok(backup)
}

/// Restores a backup in a folder that no process may be using. Existing state is moved aside, and moved back if anything fails.
pub async fn restore(from: &Path, folder: &Path) -> Result<Restored, Error> {
    let (source, target) = (from.to_owned(), folder.to_owned());
    let checked = source.clone();
    let backup = blocking(move || read_backup(&checked)).await?;
    for database in [TASKS, LISTINGS] {
        check(&from.join(database)).await?;
    }
    let now = SystemClock.now();
    let (lock, databases, replaced) = blocking(move || {
        let folder = files::prepare(&target, Guest::Helper)?
            .ok_or_else(|| Error::from_io(&target, io::ErrorKind::NotFound.into()))?;
        let lock = Lock::take(folder)?;
        let replaced = lock.folder.move_aside(&format!("replaced-{}", now.strftime("%Y%m%dT%H%M%SZ")))?;
        let placed = [TASKS, LISTINGS].into_iter().try_for_each(|name| place(&lock, &source, name));
        match placed.and_then(|()| lock.folder.create_databases()) {
            Ok(databases) => Ok((lock, databases, replaced)),
            Err(error) => {
                bring_back(&target, replaced.as_deref());
                Err(error)
            }
        }
    })
    .await?;
    match Sqlite::take_over_restored(folder, lock, databases).await {
        Ok(state) => state.close().await,
        Err(error) => {
            let (target, aside) = (folder.to_owned(), replaced.clone());
            blocking(move || {
                bring_back(&target, aside.as_deref());
                Ok(())
            })
            .await?;
            return Err(error);
        }
    }
    Ok(Restored { backup, until: now.saturating_add(CLOCKS).unwrap_or(now), replaced })
}

fn place(lock: &Lock, source: &Path, name: &str) -> Result<(), Error> {
    let copied = || -> Result<(), io::Error> {
        let mut from = File::open(source.join(name))?;
        let mut to = lock.folder.open_private(name).map_err(io::Error::other)?;
        io::copy(&mut from, &mut to)?;
        to.sync_all()
    };
    copied().map_err(|error| Error::from_io(&lock.folder.path, error))
}

/// Reverts an incomplete restore. Failures are logged: the operator finds the files where they are.
fn bring_back(folder: &Path, replaced: Option<&Path>) {
    for name in files::all_databases() {
        drop(std::fs::remove_file(folder.join(&name)));
        if let Some(replaced) = replaced
            && replaced.join(&name).exists()
            && let Err(error) = std::fs::rename(replaced.join(&name), folder.join(&name))
        {
            tracing::error!(%error, from = %replaced.display(), file = name, "the state could not be put back as it was; move the file back by hand");
        }
    }
    if let Some(replaced) = replaced {
        drop(std::fs::remove_dir(replaced));
    }
}

/// Creates the folder, or checks that it is empty.
fn make_folder(path: &Path) -> Result<(), Error> {
    let wrong = |problem: &str| Error::Backup { path: path.to_owned(), problem: problem.to_owned() };
    match std::fs::read_dir(path).map(|mut entries| entries.next().is_none()) {
        Ok(true) => std::fs::set_permissions(path, files::folder_permissions()),
        Ok(false) => {
            return Err(wrong("there is something in this folder already; name a new one for each backup"));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            DirBuilder::new().recursive(true).mode(0o700).create(path)
        }
        Err(error) => Err(error),
    }
    .map_err(|error| wrong(&format!("the folder cannot be made: {error}")))
}

fn private(path: &Path) -> io::Result<File> {
    File::options().write(true).create_new(true).mode(0o600).open(path)
}

/// Merges a copied database and its log into one file.
async fn settle(path: &Path) -> Result<(), Error> {
    let fault = |error| Error::from_database(path, error);
    let options = SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Delete)
        .disable_statement_logging();
    let connection = options.connect().await.map_err(fault)?;
    connection.close().await.map_err(fault)?;
    let copied = path.to_owned();
    blocking(move || {
        File::open(&copied).and_then(|file| file.sync_all()).map_err(|error| Error::from_io(&copied, error))
    })
    .await
}

/// Checks the integrity of a database in a backup.
async fn check(path: &Path) -> Result<(), Error> {
    let fault = |error| Error::from_database(path, error);
    let options = SqliteConnectOptions::new()
        .filename(path)
        .read_only(true)
        .immutable(true)
        .disable_statement_logging();
    let mut connection = options.connect().await.map_err(fault)?;
    let found: String =
        sqlx::query_scalar("PRAGMA quick_check(1)").fetch_one(&mut connection).await.map_err(fault)?;
    connection.close().await.map_err(fault)?;
    if found == "ok" { Ok(()) } else { Err(Error::Corrupt { path: path.to_owned(), detail: found }) }
}

/// Records in the state folder that a backup was made, for `check`.
fn note(folder: &Path, at: Timestamp) -> Result<(), Error> {
    let Some(folder) = files::prepare(folder, Guest::Visitor)? else { return Ok(()) };
    let failed = |error| Error::from_io(&folder.path, error);
    let mut file = folder.open_private(NOTE)?;
    file.set_len(0).map_err(failed)?;
    writeln!(file, "{at}").map_err(failed)
}

impl Sqlite {
    /// The apps in the state.
    pub async fn apps(&self) -> Result<Vec<AppKey>, Error> {
        let mut apps = std::collections::BTreeSet::new();
        for (store, query) in [
            (self.tasks(), "SELECT DISTINCT app FROM tasks"),
            (self.listings(), "SELECT DISTINCT app FROM runs"),
        ] {
            let rows: Vec<String> = sqlx::query_scalar(query)
                .fetch_all(store.readers())
                .await
                .map_err(|error| store.fault(error))?;
            apps.extend(rows.iter().filter_map(|app| app.parse().ok()));
        }
        Ok(apps.into_iter().collect())
    }
}
