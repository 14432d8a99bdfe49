//! Detects that the database was restored from an older copy.
//!
//! A backup that was restored, or a failover to a replica that was behind, lacks commits that were confirmed. So each process counts its
//! commits to the journal in its own row of `positions`, and remembers the last confirmed count: in memory, and in a file in its state
//! folder for the next process. A row that is missing or behind proves the loss. Then a doubt is recorded, as for a state folder that was
//! restored, and calls that the lost rows knew about get time to end before their accounts are looked up.

use std::fs::File;

use bridgehead_resilience::{Clock, SystemClock};
use sqlx::{Connection, PgConnection};

use super::super::doubt::CLOCKS;
use super::super::lease::claims::Durations;
use super::super::sqlite::open::blocking;
use super::super::sqlite::time;
use super::super::sqlite::witness::{Database, Found, Mark, Marks, Witness};
use super::super::{Error, Reason};
use super::connect::Server;
use super::owners::milliseconds;

const ADVANCE: &str = "UPDATE positions SET commits = commits + 1, changed_at = clock_timestamp() \
     WHERE process = $1 AND commits >= $2 RETURNING commits";

const BEGIN: &str = "INSERT INTO positions (process, commits, changed_at) VALUES ($1, $2, clock_timestamp()) \
     ON CONFLICT (process) DO UPDATE SET commits = excluded.commits, changed_at = excluded.changed_at";

/// Removes rows of processes that ended long ago, and that no process of the same folder has followed.
const FORGET: &str = "DELETE FROM positions WHERE changed_at < clock_timestamp() - interval '30 days' \
     AND process <> $1 AND process NOT IN (SELECT process FROM nodes)";

/// The count of this process's commits to the journal.
#[derive(Debug)]
pub(super) struct Position {
    process: String,
    /// The last count whose commit was confirmed.
    confirmed: i64,
    witness: Option<Witness>,
}

/// What the previous process of the same folder left there.
#[derive(Debug)]
pub(super) struct Left {
    pub(super) file: File,
    pub(super) found: Found,
}

impl Position {
    /// Compares the database with what the previous process of this folder has confirmed, and starts counting.
    pub(super) async fn begin(
        server: &Server,
        connection: &mut PgConnection,
        durations: &Durations,
        process: &str,
        left: Option<Left>,
    ) -> Result<Self, Error> {
        let fault = |error| server.fault(error);
        let mut transaction = connection.begin().await.map_err(fault)?;
        let identity: String = sqlx::query_scalar("SELECT identity FROM lineage")
            .fetch_one(&mut *transaction)
            .await
            .map_err(fault)?;
        let previous = match left.as_ref().map(|left| &left.found) {
            Some(Found::Marks(marks)) => Some(marks.clone()),
            _ => None,
        };
        let commits: Option<i64> = sqlx::query_scalar("SELECT commits FROM positions WHERE process = $1")
            .bind(previous.as_ref().map(|marks| marks.tasks.identity.as_str()))
            .fetch_optional(&mut *transaction)
            .await
            .map_err(fault)?;
        if let Some(reason) = left.as_ref().and_then(|left| judge(&left.found, &identity, commits)) {
            tracing::error!(place = %server.address, "{reason}; tasks that may have been started are looked up first");
            doubt(&mut transaction, durations, reason).await.map_err(fault)?;
        }
        sqlx::query(BEGIN).bind(process).bind(0_i64).execute(&mut *transaction).await.map_err(fault)?;
        sqlx::query(FORGET).bind(process).execute(&mut *transaction).await.map_err(fault)?;
        transaction.commit().await.map_err(fault)?;
        let witness = match left {
            Some(left) => Some(start(server, left.file, &identity, process).await?),
            None => None,
        };
        // Not earlier: until the file names this process, a crash must leave the row that the file does name.
        if let Some(marks) = previous {
            sqlx::query("DELETE FROM positions WHERE process = $1")
                .bind(marks.tasks.identity)
                .execute(connection)
                .await
                .map_err(fault)?;
        }
        Ok(Self { process: process.to_owned(), confirmed: 0, witness })
    }

    /// Counts the commit of this transaction. `None` if the database lacks commits that were confirmed.
    pub(super) async fn advance(&self, connection: &mut PgConnection) -> Result<Option<i64>, sqlx::Error> {
        sqlx::query_scalar(ADVANCE).bind(&self.process).bind(self.confirmed).fetch_optional(connection).await
    }

    /// Remembers a count whose commit was confirmed.
    pub(super) fn confirm(&mut self, commits: i64) {
        self.confirmed = commits;
        if let Some(witness) = &self.witness {
            witness.note(Database::Tasks, commits);
        }
    }

    /// Records that the database lacks confirmed commits, and continues to count from the last one.
    pub(super) async fn recover(
        &self,
        connection: &mut PgConnection,
        durations: &Durations,
    ) -> Result<(), sqlx::Error> {
        let mut transaction = connection.begin().await?;
        doubt(&mut transaction, durations, Reason::Restored).await?;
        sqlx::query(BEGIN).bind(&self.process).bind(self.confirmed).execute(&mut *transaction).await?;
        transaction.commit().await
    }
}

/// Whether the database lacks something, given what the folder says and the row of the process that the folder names.
fn judge(found: &Found, identity: &str, commits: Option<i64>) -> Option<Reason> {
    match found {
        Found::Nothing => None,
        Found::Damaged => Some(Reason::WitnessDamaged),
        Found::Marks(marks) if marks.listings.identity != identity => Some(Reason::Foreign),
        Found::Marks(marks) => {
            commits.is_none_or(|commits| commits < marks.tasks.commits).then_some(Reason::Restored)
        }
    }
}

/// Records a doubt that covers every task that may have been started by now. Every owner of before may still be making calls: the database
/// may have lost its lease.
pub(super) async fn doubt(
    connection: &mut PgConnection,
    durations: &Durations,
    reason: Reason,
) -> Result<(), sqlx::Error> {
    let now = SystemClock.now();
    let until = now.saturating_add(CLOCKS).unwrap_or(now);
    sqlx::query("INSERT INTO doubts (found_at, until, reason) VALUES ($1, $2, $3)")
        .bind(time::to_column(now))
        .bind(time::to_column(until))
        .bind(reason.as_str())
        .execute(&mut *connection)
        .await?;
    sqlx::query(
        "UPDATE owners SET settled_at = greatest(settled_at, clock_timestamp() + $1 * interval '1 ms')",
    )
    .bind(milliseconds(durations.lease + durations.longest_call))
    .execute(connection)
    .await?;
    Ok(())
}

/// Starts the file of this process. Its line has the format of a folder's witness: the count of the process, and whose state it is.
async fn start(server: &Server, file: File, identity: &str, process: &str) -> Result<Witness, Error> {
    let mark = |identity: &str| Mark { identity: identity.to_owned(), commits: 0 };
    let marks = Marks { tasks: mark(process), listings: mark(identity), at: SystemClock.now() };
    let place = server.address.to_string();
    blocking(move || Witness::begin(file, marks).map_err(|error| Error::from_io(place.as_ref(), error))).await
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn a_row_that_is_missing_or_behind_proves_a_loss() {
        let mark = |identity: &str, commits| Mark { identity: identity.to_owned(), commits };
        let found = Found::Marks(Marks {
            tasks: mark("process", 7),
            listings: mark("state", 0),
            at: Timestamp::UNIX_EPOCH,
        });
        for commits in [None, Some(0), Some(6)] {
            assert_eq!(judge(&found, "state", commits), Some(Reason::Restored), "{commits:?}");
        }
        for commits in [7, 8] {
            assert_eq!(judge(&found, "state", Some(commits)), None, "{commits}");
        }
        assert_eq!(judge(&found, "other", Some(7)), Some(Reason::Foreign));
        assert_eq!(judge(&Found::Damaged, "state", Some(7)), Some(Reason::WitnessDamaged));
        assert_eq!(judge(&Found::Nothing, "state", None), None, "a new folder");
    }
}
