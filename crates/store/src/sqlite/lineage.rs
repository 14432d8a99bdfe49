//! Takes over the state from the previous process, and checks that it is unchanged.
//!
//! Each database has a row with its identity and its number of commits. The journal has two witnesses: the file `witness`, which records
//! each commit, and the snapshot database, which records the journal's position with each of its own commits. A journal that is behind a
//! witness has lost commits. See `docs/decisions/0009-state-is-witnessed.md`.

use bridgehead_resilience::{Clock, SystemClock};
use jiff::Timestamp;
use sqlx::{Connection, SqliteConnection};
use uuid::Uuid;

use super::super::doubt::CLOCKS;
use super::super::{Error, Reason};
use super::custody::Custody;
use super::fence::Fence;
use super::files::{Identity, LISTINGS, TASKS};
use super::lock::Lock;
use super::process::Process;
use super::store::Prepared;
use super::time;
use super::witness::{self, Database, Found, Mark, Marks, Witness};

/// The first format versions that have this row.
const TASKS_VERSION: i64 = 4;
const LISTINGS_VERSION: i64 = 5;

/// The state of a database when it was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Side {
    /// The format version before the migration; `None` if the database was empty.
    version: Option<i64>,
    /// The database's position; `None` if no process has used it since it has the row.
    mark: Option<Mark>,
}

/// The taken-over state.
pub(super) struct Taken {
    pub(super) tasks: Fence,
    pub(super) listings: Fence,
    pub(super) custody: std::sync::Arc<Custody>,
}

/// Makes this process the only writer, and records a doubt if something was lost. Everything is on disk when this returns. `known` is the
/// reason for a doubt, if the caller knows one.
pub(super) async fn take_over(
    lock: Lock,
    databases: [Identity; 2],
    tasks: &mut Prepared,
    listings: &mut Prepared,
    known: Option<Reason>,
) -> Result<Taken, Error> {
    let folder = lock.folder.path.clone();
    let failed = |error| Error::from_io(&folder, error);
    let in_tasks = |error| Error::from_database(&folder.join(TASKS), error);
    let in_listings = |error| Error::from_database(&folder.join(LISTINGS), error);

    let row = read_tasks(&mut tasks.connection).await.map_err(in_tasks)?;
    if let Some(owner) = row.as_ref().and_then(|(_, owner)| owner.clone())
        && owner.id != std::process::id()
        && owner.runs()
    {
        // That process has another folder open: this one is a copy of it, or was moved away while in use.
        return Err(Error::Locked { pid: Some(owner.id), folder });
    }
    let journal = Side { version: tasks.version, mark: row.map(|(mark, _)| mark) };
    let (mark, seen) = read_listings(&mut listings.connection).await.map_err(in_listings)?.unzip();
    let listing = Side { version: listings.version, mark };
    let file = lock.folder.open_private(witness::FILE)?;
    let found = witness::read(&file).map_err(failed)?;
    let reason = known.or_else(|| judge(&journal, &listing, seen.as_ref(), &found));
    if known.is_none() {
        complain_of_listings(&listing, &journal, &found);
    }

    let epoch = epoch();
    let now = SystemClock.now();
    let (told, at) = match &found {
        Found::Marks(marks) => (Some(marks), marks.at.max(now)),
        Found::Nothing | Found::Damaged => (None, now),
    };
    let tasks_mark = next(journal.mark.as_ref(), &[told.map(|marks| &marks.tasks), seen.as_ref()]);
    let listings_mark = next(listing.mark.as_ref(), &[told.map(|marks| &marks.listings)]);
    if let Some(reason) = reason {
        let until = at.saturating_add(CLOCKS).unwrap_or(at);
        announce(&folder, reason, until);
        write_tasks(&mut tasks.connection, &tasks_mark, epoch, Some((now, until, reason))).await
    } else {
        write_tasks(&mut tasks.connection, &tasks_mark, epoch, None).await
    }
    .map_err(in_tasks)?;
    // The witness may be behind a database, but never ahead of it: this start may be interrupted before it has written the snapshots.
    let listings_before = Mark { commits: listings_mark.commits - 1, ..listings_mark.clone() };
    let marks = Marks { tasks: tasks_mark.clone(), listings: listings_before, at: now };
    let witness = Witness::begin(file, marks).map_err(failed)?;
    lock.folder.directory.sync_all().map_err(failed)?;
    write_listings(&mut listings.connection, &listings_mark, epoch, &tasks_mark)
        .await
        .map_err(in_listings)?;
    witness.note(Database::Snapshots, listings_mark.commits);

    let custody = std::sync::Arc::new(Custody::begin(lock, databases, witness)?);
    let fence = |database, commits| Fence::new(std::sync::Arc::clone(&custody), database, epoch, commits);
    Ok(Taken {
        tasks: fence(Database::Tasks, tasks_mark.commits),
        listings: fence(Database::Snapshots, listings_mark.commits),
        custody,
    })
}

/// Why the journal may lack tasks that were started; `None` if it is complete. `seen` is the journal's position as last recorded in the
/// snapshot database.
fn judge(tasks: &Side, listings: &Side, seen: Option<&Mark>, found: &Found) -> Option<Reason> {
    let told = if let Found::Marks(marks) = found { Some(&marks.tasks) } else { None };
    let mut marks = told.into_iter().chain(seen);
    let Some(own) = &tasks.mark else {
        if marks.next().is_some() {
            return Some(if tasks.version.is_some() { Reason::Older } else { Reason::Missing });
        }
        if *found == Found::Damaged {
            return Some(Reason::WitnessDamaged);
        }
        return match (tasks.version, listings.version) {
            // Written by a version that had no witnesses, and always opened both databases.
            (Some(version), Some(_)) if version < TASKS_VERSION => None,
            (None, Some(version)) if version < LISTINGS_VERSION => Some(Reason::Missing),
            // If the journal has tables, an earlier start was interrupted while it created or updated the databases.
            _ => Some(Reason::New),
        };
    };
    let marks: Vec<&Mark> = marks.collect();
    if marks.iter().any(|mark| mark.identity != own.identity) {
        return Some(Reason::Foreign);
    }
    if marks.iter().any(|mark| mark.commits > own.commits) {
        return Some(Reason::Older);
    }
    match found {
        Found::Marks(_) => None,
        Found::Damaged => Some(Reason::WitnessDamaged),
        // The very first start was interrupted before it had created the witnesses.
        Found::Nothing if seen.is_none() && own.commits <= 1 => None,
        Found::Nothing => Some(Reason::WitnessMissing),
    }
}

/// The position of a database after this start: greater than any earlier one.
fn next(own: Option<&Mark>, seen: &[Option<&Mark>]) -> Mark {
    let furthest = seen.iter().flatten().map(|mark| mark.commits).chain(own.map(|mark| mark.commits)).max();
    Mark {
        identity: own.map_or_else(|| Uuid::new_v4().simple().to_string(), |mark| mark.identity.clone()),
        commits: furthest.unwrap_or(0).saturating_add(1),
    }
}

/// A random number for each start.
fn epoch() -> i64 {
    let bytes = Uuid::new_v4().into_bytes();
    let mut half = [0; 8];
    half.copy_from_slice(&bytes[8..]);
    i64::from_ne_bytes(half)
}

fn announce(folder: &std::path::Path, reason: Reason, until: Timestamp) {
    let folder = folder.display();
    if reason == Reason::New {
        tracing::info!(%folder, "the state folder is new");
    } else if reason == Reason::Restored {
        tracing::info!(%folder, %until, "{reason}; tasks that Iden made before {until} are looked up in the target before their first attempt");
    } else {
        tracing::error!(
            %folder, %until,
            "{reason}. Tasks that Iden created before {until} may already have been started: each one is \
             looked up in the target before its first attempt. Find out what happened to the folder"
        );
    }
}

/// Lost snapshots only cause syncs to be held; each sync asks Iden itself whether the app was synced before.
fn complain_of_listings(listings: &Side, tasks: &Side, found: &Found) {
    if are_listings_lost(listings, tasks, found) {
        tracing::error!(
            "the database listings.db was missing or out of date: the results of earlier syncs are lost. \
             Find out what happened to the state folder"
        );
    }
}

fn are_listings_lost(listings: &Side, tasks: &Side, found: &Found) -> bool {
    let told = if let Found::Marks(marks) = found { Some(&marks.listings) } else { None };
    let journal = tasks.mark.as_ref().map_or(0, |mark| mark.commits);
    match (&listings.mark, told) {
        // Created by a start that was interrupted before it used the file. If an earlier file was lost, that start has reported it.
        (None, Some(_)) => listings.version.is_none_or(|version| version < LISTINGS_VERSION),
        (None, None) => journal > 1,
        (Some(own), Some(told)) => own.identity != told.identity || own.commits < told.commits,
        (Some(_), None) => false,
    }
}

type Owner = Option<Process>;

async fn read_tasks(connection: &mut SqliteConnection) -> Result<Option<(Mark, Owner)>, sqlx::Error> {
    let row: Option<(String, i64, Option<i64>, Option<String>)> =
        sqlx::query_as("SELECT identity, commits, pid, started FROM lineage")
            .fetch_optional(connection)
            .await?;
    Ok(row.map(|(identity, commits, pid, started)| {
        let id = pid.and_then(|pid| u32::try_from(pid).ok());
        let owner = id.zip(started).map(|(id, started)| Process { id, started });
        (Mark { identity, commits }, owner)
    }))
}

async fn read_listings(connection: &mut SqliteConnection) -> Result<Option<(Mark, Mark)>, sqlx::Error> {
    let row: Option<(String, i64, String, i64)> =
        sqlx::query_as("SELECT identity, commits, tasks_identity, tasks_commits FROM lineage")
            .fetch_optional(connection)
            .await?;
    Ok(row.map(|(identity, commits, seen, seen_commits)| {
        (Mark { identity, commits }, Mark { identity: seen, commits: seen_commits })
    }))
}

async fn write_tasks(
    connection: &mut SqliteConnection,
    mark: &Mark,
    epoch: i64,
    doubt: Option<(Timestamp, Timestamp, Reason)>,
) -> Result<(), sqlx::Error> {
    let (pid, started) = Process::this().map(|this| (i64::from(this.id), this.started)).unzip();
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    sqlx::query(
        "INSERT OR REPLACE INTO lineage (only, identity, epoch, commits, pid, started) VALUES (1, ?1, ?2, ?3, ?4, ?5)",
    )
    .bind(&mark.identity)
    .bind(epoch)
    .bind(mark.commits)
    .bind(pid)
    .bind(started)
    .execute(&mut *transaction)
    .await?;
    if let Some((found_at, until, reason)) = doubt {
        sqlx::query("INSERT INTO doubts (found_at, until, reason) VALUES (?1, ?2, ?3)")
            .bind(time::to_column(found_at))
            .bind(time::to_column(until))
            .bind(reason.as_str())
            .execute(&mut *transaction)
            .await?;
    }
    transaction.commit().await
}

async fn write_listings(
    connection: &mut SqliteConnection,
    mark: &Mark,
    epoch: i64,
    tasks: &Mark,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT OR REPLACE INTO lineage (only, identity, epoch, commits, tasks_identity, tasks_commits) \
         VALUES (1, ?1, ?2, ?3, ?4, ?5)",
    )
    .bind(&mark.identity)
    .bind(epoch)
    .bind(mark.commits)
    .bind(&tasks.identity)
    .bind(tasks.commits)
    .execute(connection)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(identity: &str, commits: i64) -> Mark {
        Mark { identity: identity.to_owned(), commits }
    }

    fn side(version: Option<i64>, mark: Option<Mark>) -> Side {
        Side { version, mark }
    }

    fn told(tasks: Mark) -> Found {
        Found::Marks(Marks { tasks, listings: mark("l", 9), at: Timestamp::UNIX_EPOCH })
    }

    /// The verdict on a journal, with snapshots that were written by this version.
    fn judged(tasks: &Side, seen: Option<&Mark>, found: &Found) -> Option<Reason> {
        let listings = side(seen.map(|_| LISTINGS_VERSION), seen.map(|_| mark("l", 9)));
        judge(tasks, &listings, seen, found)
    }

    #[test]
    fn journal_at_or_past_its_witnesses_is_trusted() {
        let own = side(Some(4), Some(mark("t", 9)));
        assert_eq!(judged(&own, Some(&mark("t", 3)), &told(mark("t", 9))), None);
        assert_eq!(judged(&own, Some(&mark("t", 9)), &told(mark("t", 5))), None, "a power failure");
        assert_eq!(judged(&own, None, &told(mark("t", 9))), None, "what syncs saw is lost, and nothing else");
    }

    #[test]
    fn journal_behind_any_witness_is_old() {
        let own = side(Some(4), Some(mark("t", 8)));
        assert_eq!(judged(&own, Some(&mark("t", 3)), &told(mark("t", 9))), Some(Reason::Older));
        assert_eq!(judged(&own, Some(&mark("t", 9)), &told(mark("t", 8))), Some(Reason::Older));
        assert_eq!(judged(&own, Some(&mark("x", 1)), &told(mark("t", 8))), Some(Reason::Foreign));
        let earlier_version = side(Some(2), None);
        assert_eq!(judged(&earlier_version, None, &told(mark("t", 1))), Some(Reason::Older));
    }

    #[test]
    fn missing_journal_with_other_state_is_lost_and_not_new() {
        let none = side(None, None);
        assert_eq!(judged(&none, None, &told(mark("t", 1))), Some(Reason::Missing));
        assert_eq!(judged(&none, Some(&mark("t", 1)), &Found::Nothing), Some(Reason::Missing));
        let of_an_earlier_version = side(Some(3), None);
        assert_eq!(judge(&none, &of_an_earlier_version, None, &Found::Nothing), Some(Reason::Missing));
        assert_eq!(judged(&none, None, &Found::Nothing), Some(Reason::New));
        assert_eq!(judged(&none, None, &Found::Damaged), Some(Reason::WitnessDamaged));
    }

    #[test]
    fn missing_witness_is_detected_unless_it_never_existed() {
        let own = side(Some(4), Some(mark("t", 8)));
        assert_eq!(judged(&own, Some(&mark("t", 8)), &Found::Nothing), Some(Reason::WitnessMissing));
        assert_eq!(judged(&own, Some(&mark("t", 8)), &Found::Damaged), Some(Reason::WitnessDamaged));
        let first_start = side(Some(4), Some(mark("t", 1)));
        assert_eq!(judged(&first_start, None, &Found::Nothing), None);
        let earlier_version = side(Some(2), None);
        assert_eq!(judge(&earlier_version, &side(Some(3), None), None, &Found::Nothing), None);
    }

    #[test]
    fn interrupted_first_start_is_still_new() {
        let none = side(None, None);
        for tasks in 1..=6 {
            let tasks = side(Some(tasks), None);
            assert_eq!(judge(&tasks, &none, None, &Found::Nothing), Some(Reason::New), "{tasks:?}");
        }
        let tasks = side(Some(6), None);
        for listings in 1..=7 {
            let listings = side(Some(listings), None);
            assert_eq!(judge(&tasks, &listings, None, &Found::Nothing), Some(Reason::New), "{listings:?}");
        }
    }

    #[test]
    fn snapshots_that_no_start_has_used_yet_are_not_lost() {
        let told = |tasks, listings| {
            let (tasks, listings) = (mark("t", tasks), mark("l", listings));
            Found::Marks(Marks { tasks, listings, at: Timestamp::UNIX_EPOCH })
        };
        let tasks = |commits| side(Some(6), Some(mark("t", commits)));
        let prepared = side(Some(7), None);
        assert!(!are_listings_lost(&prepared, &tasks(1), &told(1, 1)));
        assert!(!are_listings_lost(&prepared, &tasks(2), &told(2, 2)));
        assert!(!are_listings_lost(&prepared, &tasks(3), &told(2, 1)), "two starts were interrupted");
        let used = |commits| side(Some(7), Some(mark("l", commits)));
        assert!(!are_listings_lost(&used(9), &tasks(9), &told(9, 9)));
        assert!(are_listings_lost(&used(8), &tasks(9), &told(9, 9)), "an old copy");
        assert!(are_listings_lost(&side(None, None), &tasks(2), &told(2, 2)), "the file was removed");
        let of_an_earlier_version = side(Some(4), None);
        assert!(are_listings_lost(&of_an_earlier_version, &tasks(2), &told(2, 2)), "an old copy");
    }

    #[test]
    fn commit_count_continues_after_the_witnesses() {
        let (seen, own) = (mark("t", 500), mark("t", 20));
        assert_eq!(next(Some(&own), &[Some(&seen), None]), mark("t", 501));
        assert_eq!(next(Some(&own), &[None]), mark("t", 21));
        assert_eq!(next(None, &[Some(&seen)]).commits, 501);
    }
}
