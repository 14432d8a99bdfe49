//! Checks in every write transaction that the database still belongs to this process, and counts commits.

use std::sync::Arc;

use sqlx::{Connection, SqliteConnection};

use super::super::{Error, Loss};
use super::custody::Custody;
use super::files::Identity;
use super::witness::Database;
use super::writer::Problem;

/// A writer's permission to write.
#[derive(Debug)]
pub(super) struct Fence {
    custody: Arc<Custody>,
    database: Database,
    epoch: i64,
    /// The number of commits in the database.
    commits: i64,
    /// The write-ahead log of the current connection, once it was written to.
    log: Option<Identity>,
}

impl Fence {
    pub(super) fn new(custody: Arc<Custody>, database: Database, epoch: i64, commits: i64) -> Self {
        Self { custody, database, epoch, commits, log: None }
    }

    pub(super) fn is_lost(&self) -> bool {
        self.custody.is_lost()
    }

    /// Called before and after each transaction: checks that all files are in place.
    pub(super) fn verify(&self) -> Result<(), Error> {
        self.custody.verify()?;
        match self.log {
            Some(log) if self.log_now() != Some(log) => {
                Err(self.custody.lose(Loss::Replaced(self.database.log())))
            }
            _ => Ok(()),
        }
    }

    /// Called when the connection was closed; SQLite may recreate the log.
    pub(super) fn disconnected(&mut self) {
        self.log = None;
    }

    /// Called first in each transaction: checks that no other process has taken over or changed the database. Returns the number of the
    /// commit.
    pub(super) async fn enter(&mut self, connection: &mut SqliteConnection) -> Result<i64, Problem> {
        let statement = match self.database {
            Database::Tasks => "UPDATE lineage SET commits = commits + 1 WHERE epoch = ?1 RETURNING commits",
            Database::Snapshots => {
                "UPDATE lineage SET commits = commits + 1, tasks_commits = max(tasks_commits, ?2) WHERE epoch = ?1 \
                 RETURNING commits"
            }
        };
        let mut query = sqlx::query_scalar(statement).bind(self.epoch);
        if self.database == Database::Snapshots {
            query = query.bind(self.custody.witness.tasks());
        }
        let commits: Option<i64> = query.fetch_optional(connection).await?;
        match commits {
            None => Err(self.custody.lose(Loss::TakenOver(self.database.file())).into()),
            Some(commits) if commits <= self.commits => {
                Err(self.custody.lose(Loss::Replaced(self.database.file())).into())
            }
            Some(commits) => {
                // The transaction has opened its log by now.
                if self.log.is_none() {
                    self.log = self.log_now();
                }
                Ok(commits)
            }
        }
    }

    /// Called when the transaction is durable. Its writes can only be relied on if all files are still in place.
    pub(super) fn committed(&mut self, commits: i64) -> Result<(), Error> {
        self.commits = commits;
        self.custody.witness.note(self.database, commits);
        self.verify()
    }

    /// Called last: marks the database as closed, and records its last commit in the witness.
    pub(super) async fn leave(&mut self, connection: &mut SqliteConnection) -> Result<(), Problem> {
        // Without a transaction, a statement that returns a row does not report that its own commit has failed, for example on a full disk.
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
        if self.database == Database::Tasks {
            sqlx::query("UPDATE lineage SET pid = NULL, started = NULL WHERE epoch = ?1")
                .bind(self.epoch)
                .execute(&mut *transaction)
                .await?;
        }
        let commits = self.enter(&mut transaction).await?;
        transaction.commit().await?;
        // Only now: with a witness ahead of it, the next start would take the database for an old copy.
        self.custody.witness.note(self.database, commits);
        self.custody.witness.sync();
        Ok(())
    }

    fn log_now(&self) -> Option<Identity> {
        let path = self.custody.folder().join(self.database.log());
        path.symlink_metadata().ok().map(|metadata| Identity::from(&metadata))
    }
}
