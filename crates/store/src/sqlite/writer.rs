//! The single writer of a database.
//!
//! Writes wait in a queue. The writer takes all waiting writes, runs them in one transaction, commits, and only then responds. New writes
//! accumulate during the commit: the busier the daemon, the more writes share a commit, and no write waits for more to arrive. If one of
//! them fails, the transaction is rolled back and run again with a savepoint for each write, so that a failing write fails alone; using
//! savepoints every time would cost more than most writes themselves.

use std::collections::HashSet;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, SqliteConnection};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::super::Error;
use super::commit;
use super::fence::Fence;
use super::grouped::{self, Shared};
use super::secure_delete;

/// The maximum number of writes per commit.
const BATCH: usize = 256;
/// The maximum length of the queue; further callers wait to enter it.
pub(super) const QUEUE: usize = 1024;
/// After an erasure, the write-ahead log is emptied once nothing was written for this long.
const QUIET: Duration = Duration::from_millis(100);
/// The maximum age of an erasure: after that, the log is emptied even during writes.
const OVERDUE: Duration = Duration::from_secs(10);

/// The delay before a failed attempt is repeated.
const LATER: Duration = Duration::from_secs(5);

/// Observes the durable steps of a writer, for tests that interrupt the process at each of them. The writer waits for each call.
pub type Observer = Arc<dyn Fn(&Step<'_>) + Send + Sync>;

/// A durable step.
#[derive(Clone, Copy, Debug)]
pub struct Step<'a> {
    /// The writer's position in the step.
    pub moment: CommitPhase,
    /// The names of the writes in the commit: `intent`, `decide`, `ended`, `promote`…
    pub writes: &'a [&'static str],
}

/// A writer's position in a durable step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitPhase {
    /// The writes are in the transaction, but not durable yet.
    BeforeCommit,
    /// The writes are durable, but not confirmed to their callers yet.
    AfterCommit,
}

/// A write that runs on the writer's connection.
#[async_trait]
pub(super) trait Write: Send + 'static {
    /// The value returned to the caller after the commit.
    type Answer: Send + 'static;

    /// The name for an [`Observer`].
    const NAME: &'static str;

    /// Maintenance that this write makes necessary.
    const CHORE: Option<Maintenance> = None;

    /// The write as part of a group that shares statements, and its answer on success; `None` if it always runs alone.
    fn shared(&self) -> Option<(Shared<'_>, Self::Answer)> {
        None
    }

    /// Runs inside the transaction. If this or another write fails, its changes are rolled back and it is run again, so it must not keep
    /// anything from an earlier run.
    async fn run(&mut self, connection: &mut SqliteConnection) -> Result<Self::Answer, Problem>;
}

/// What a writer does while no writes wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Maintenance {
    /// Empty the write-ahead log, which still contains erased data.
    Erase,
    /// Remove the records of discarded snapshots.
    Discard,
}

/// Why a write failed, without the path of the database.
#[derive(Debug)]
pub(super) enum Problem {
    /// The state does not allow it.
    Refused(Error),
    /// The database failed.
    Database(sqlx::Error),
}

impl Problem {
    /// Adds the path of the database.
    pub(super) fn at(self, path: &Path) -> Error {
        match self {
            Self::Refused(error) => error,
            Self::Database(error) => Error::from_database(path, error),
        }
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

impl From<sqlx::Error> for Problem {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

/// A message to the writer.
pub(super) enum Message {
    Write(Box<dyn Command>),
    /// Run waiting writes, close, then respond.
    Close(oneshot::Sender<()>),
}

/// A [`Write`] with its answer type erased, so that different writes can wait in one queue.
#[async_trait]
pub(super) trait Command: Send {
    fn name(&self) -> &'static str;
    fn chore(&self) -> Option<Maintenance>;
    fn shared(&self) -> Option<Shared<'_>>;
    /// Records that the write ran in a group.
    fn was_shared(&mut self);
    async fn run(&mut self, connection: &mut SqliteConnection) -> Result<(), Problem>;
    /// Responds to the caller, if it still waits.
    fn answer(self: Box<Self>, committed: Result<(), Error>);
}

/// A write and the channel to its caller.
pub(super) struct Queued<W: Write> {
    write: W,
    answer: Option<W::Answer>,
    caller: oneshot::Sender<Result<W::Answer, Error>>,
}

impl<W: Write> Queued<W> {
    pub(super) fn new(write: W, caller: oneshot::Sender<Result<W::Answer, Error>>) -> Self {
        Self { write, answer: None, caller }
    }
}

#[async_trait]
impl<W: Write> Command for Queued<W> {
    fn name(&self) -> &'static str {
        W::NAME
    }

    fn chore(&self) -> Option<Maintenance> {
        W::CHORE
    }

    fn shared(&self) -> Option<Shared<'_>> {
        self.write.shared().map(|(shared, _)| shared)
    }

    fn was_shared(&mut self) {
        self.answer = self.write.shared().map(|(_, answer)| answer);
    }

    async fn run(&mut self, connection: &mut SqliteConnection) -> Result<(), Problem> {
        self.answer = Some(self.write.run(connection).await?);
        Ok(())
    }

    fn answer(self: Box<Self>, committed: Result<(), Error>) {
        let Self { answer, caller, .. } = *self;
        // It does not matter if the caller is gone.
        drop(caller.send(committed.and_then(|()| answer.ok_or(Error::Closed))));
    }
}

/// Counts the writes.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) commits: AtomicU64,
    pub(super) writes: AtomicU64,
}

/// See the module documentation.
pub(super) struct Writer {
    pub(super) options: SqliteConnectOptions,
    /// `None` after a failure that left the connection in an unknown state; the next batch opens another one.
    pub(super) connection: Option<SqliteConnection>,
    pub(super) queue: mpsc::Receiver<Message>,
    pub(super) counters: Arc<Counters>,
    pub(super) observer: Option<Observer>,
    /// Checks in each transaction that the database is ours; the lock is held until the database is closed.
    pub(super) fence: Option<Fence>,
    pub(super) chores: Chores,
}

/// Pending maintenance.
#[derive(Debug, Default)]
pub(super) struct Chores {
    /// Since when the log has contained erased data.
    erased_at: Option<Instant>,
    /// Whether discarded snapshots may still have records.
    discarded: bool,
    /// When the next maintenance is due.
    due: Option<Instant>,
}

impl Chores {
    /// Maintenance that a newly opened database may need.
    pub(super) fn at_start(chore: Option<Maintenance>) -> Self {
        let mut chores = Self::default();
        if let Some(chore) = chore {
            chores.add(chore);
        }
        chores
    }

    fn add(&mut self, chore: Maintenance) {
        match chore {
            Maintenance::Erase => self.erased_at = self.erased_at.or_else(|| Some(Instant::now())),
            Maintenance::Discard => self.discarded = true,
        }
    }

    fn schedule(&mut self) {
        let wait = if self.discarded {
            // Records are removed in small pieces, and queued writes take precedence.
            Duration::ZERO
        } else if self.erased_at.is_some() {
            QUIET
        } else {
            self.due = None;
            return;
        };
        self.due = Some(Instant::now() + wait);
    }

    fn overdue(&self) -> bool {
        self.erased_at.is_some_and(|since| since.elapsed() > OVERDUE)
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").field("database", &self.options.get_filename()).finish_non_exhaustive()
    }
}

impl Writer {
    /// Runs until it is closed, or until all senders are gone.
    pub(super) async fn run(mut self) {
        let mut messages = Vec::with_capacity(BATCH);
        let mut closing = Vec::new();
        self.chores.schedule();
        loop {
            let received = self.queue.recv_many(&mut messages, BATCH);
            let count = match self.chores.due {
                None => Some(received.await),
                Some(due) => tokio::time::timeout_at(due, received).await.ok(),
            };
            let Some(count) = count else {
                self.work().await;
                continue;
            };
            if count == 0 {
                break;
            }
            let mut commands = Vec::with_capacity(count);
            for message in messages.drain(..) {
                match message {
                    Message::Write(command) => commands.push(command),
                    Message::Close(caller) => {
                        closing.push(caller);
                        self.queue.close();
                    }
                }
            }
            if !commands.is_empty() {
                self.batch(commands).await;
            }
            if self.chores.overdue() {
                self.work().await;
            } else {
                self.chores.schedule();
            }
        }
        self.finish().await;
        for caller in closing {
            caller.send(()).ok();
        }
    }

    async fn batch(&mut self, mut commands: Vec<Box<dyn Command>>) {
        let results = self.commit(&mut commands).await;
        match results {
            Ok(results) => {
                self.counters.commits.fetch_add(1, Ordering::Relaxed);
                self.counters.writes.fetch_add(commands.len() as u64, Ordering::Relaxed);
                for (command, result) in commands.into_iter().zip(results) {
                    if let (Ok(()), Some(chore)) = (&result, command.chore()) {
                        self.chores.add(chore);
                    }
                    command.answer(result);
                }
            }
            Err(error) => {
                tracing::error!(error = %error, writes = commands.len(), "the state could not be written");
                self.abandon().await;
                for command in commands {
                    command.answer(Err(error.clone()));
                }
            }
        }
    }

    /// Returns one result for each command, or the error that all of them share.
    async fn commit(&mut self, commands: &mut [Box<dyn Command>]) -> Result<Vec<Result<(), Error>>, Error> {
        if let Some(fence) = &self.fence {
            fence.verify()?;
        }
        let path = self.options.get_filename().to_owned();
        let fault = |error| Error::from_database(&path, error);
        self.connect().await.map_err(fault)?;
        let Some(connection) = &mut self.connection else {
            return Err(Error::Closed);
        };
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.map_err(fault)?;
        let mut number = enter(&mut self.fence, &mut transaction, &path).await?;
        let results = match together(&mut transaction, commands).await {
            Ok(()) => commands.iter().map(|_| Ok(())).collect(),
            Err(problem) => {
                if let Err(error) = transaction.rollback().await {
                    // On some errors, such as a full disk, SQLite has already rolled back the transaction.
                    return Err(match problem {
                        Problem::Database(reason) => fault(reason),
                        Problem::Refused(_) => fault(error),
                    });
                }
                transaction = connection.begin_with("BEGIN IMMEDIATE").await.map_err(fault)?;
                number = enter(&mut self.fence, &mut transaction, &path).await?;
                let mut results = Vec::with_capacity(commands.len());
                for command in commands.iter_mut() {
                    results.push(apart(&mut transaction, command.as_mut(), &path).await.map_err(fault)?);
                }
                results
            }
        };
        let names: Vec<&'static str> = commands.iter().map(|command| command.name()).collect();
        self.observer.observe(CommitPhase::BeforeCommit, &names);
        transaction.commit().await.map_err(fault)?;
        self.observer.observe(CommitPhase::AfterCommit, &names);
        if let (Some(fence), Some(number)) = (&mut self.fence, number) {
            fence.committed(number)?;
        }
        Ok(results)
    }

    /// Opens a connection if the last one was closed.
    async fn connect(&mut self) -> Result<(), sqlx::Error> {
        if self.connection.is_none() {
            self.connection = Some(self.options.connect().await?);
        }
        Ok(())
    }

    /// Closes a connection with an uncertain transaction, which rolls back everything that was not committed.
    async fn abandon(&mut self) {
        if let Some(connection) = self.connection.take()
            && let Err(error) = connection.close().await
        {
            tracing::debug!(error = %error, "a failed database connection did not close");
        }
        if let Some(fence) = &mut self.fence {
            fence.disconnected();
        }
    }

    /// Whether the database no longer belongs to this process, so its file must not be changed.
    fn is_lost(&self) -> bool {
        // If it cannot be determined now, the next transaction finds out.
        self.fence.as_ref().is_some_and(|fence| fence.verify().is_err() && fence.is_lost())
    }

    /// Performs one piece of maintenance.
    async fn work(&mut self) {
        if self.is_lost() {
            self.chores = Chores::default();
            return;
        }
        let result = self.try_work().await;
        if let Err(error) = &result {
            let file = self.options.get_filename().display();
            tracing::warn!(error = %error, file = %file, "cleaning up the state failed; retrying later");
            self.abandon().await;
        }
        if let Ok(true) = result {
            self.chores.schedule();
        } else {
            self.chores.due = Some(Instant::now() + LATER);
        }
    }

    /// Returns false if it could not be done now.
    async fn try_work(&mut self) -> Result<bool, sqlx::Error> {
        self.connect().await?;
        let Some(connection) = &mut self.connection else {
            return Err(sqlx::Error::WorkerCrashed);
        };
        if self.chores.erased_at.is_some() {
            if !secure_delete::empty_log(connection).await? {
                return Ok(false);
            }
            self.chores.erased_at = None;
        } else if self.chores.discarded {
            self.chores.discarded = commit::remove_discarded(connection).await?;
        }
        Ok(true)
    }

    async fn finish(&mut self) {
        if !self.is_lost() {
            self.leave().await;
        }
        self.abandon().await;
        self.fence = None;
    }

    async fn leave(&mut self) {
        if self.fence.is_some()
            && let Err(error) = self.connect().await
        {
            tracing::warn!(error = %error, "the state could not be closed cleanly");
        }
        let Some(connection) = &mut self.connection else { return };
        if let Some(fence) = &mut self.fence
            && let Err(problem) = fence.leave(connection).await
        {
            let error = problem.at(self.options.get_filename());
            tracing::warn!(error = %error, "the state could not be closed cleanly");
        }
        match secure_delete::empty_log(connection).await {
            Ok(true) => {}
            Ok(false) => tracing::warn!("the write-ahead log was not truncated: a reader is using it"),
            Err(error) => tracing::warn!(error = %error, "the write-ahead log was not truncated"),
        }
    }
}

/// Checks that the database is ours. Returns the number of the commit.
async fn enter(
    fence: &mut Option<Fence>,
    transaction: &mut SqliteConnection,
    path: &Path,
) -> Result<Option<i64>, Error> {
    match fence {
        Some(fence) => fence.enter(transaction).await.map(Some).map_err(|problem| problem.at(path)),
        None => Ok(None),
    }
}

/// Runs all writes in order, up to the first failure: then all of them must be rolled back. Consecutive writes of different tasks share
/// their statements.
async fn together(
    transaction: &mut SqliteConnection,
    commands: &mut [Box<dyn Command>],
) -> Result<(), Problem> {
    let mut rest = commands;
    while !rest.is_empty() {
        let mut group = 0;
        {
            let mut subjects = HashSet::new();
            let mut shared = Vec::new();
            for write in rest.iter().map_while(|command| command.shared()) {
                if !subjects.insert(write.subject()) {
                    break;
                }
                shared.push(write);
            }
            if shared.len() > 1 {
                grouped::run(transaction, &shared).await?;
                group = shared.len();
            }
        }
        if group == 0 {
            rest[0].run(transaction).await?;
            group = 1;
        } else {
            rest[..group].iter_mut().for_each(|command| command.was_shared());
        }
        rest = &mut rest[group..];
    }
    Ok(())
}

/// Runs a write in a separate savepoint, so that it fails alone. An error affects the whole transaction.
async fn apart(
    transaction: &mut SqliteConnection,
    command: &mut dyn Command,
    path: &Path,
) -> Result<Result<(), Error>, sqlx::Error> {
    let mut savepoint = transaction.begin().await?;
    let problem = match command.run(&mut savepoint).await {
        Ok(()) => {
            savepoint.commit().await?;
            return Ok(Ok(()));
        }
        Err(problem) => problem,
    };
    if let Err(error) = savepoint.rollback().await {
        // On some errors, such as a full disk, SQLite rolls back the whole transaction: then the savepoint is gone, and the batch fails
        // with the error of this write.
        return Err(match problem {
            Problem::Database(reason) => reason,
            Problem::Refused(_) => error,
        });
    }
    Ok(Err(problem.at(path)))
}

/// Calls an observer, if there is one.
trait Observe {
    fn observe(&self, moment: CommitPhase, writes: &[&'static str]);
}

impl Observe for Option<Observer> {
    fn observe(&self, moment: CommitPhase, writes: &[&'static str]) {
        if let Some(observer) = self {
            observer(&Step { moment, writes });
        }
    }
}
