//! The one writer of a database.
//!
//! Writes wait in a queue. The writer takes the waiting ones, runs them in one transaction, commits, and only then answers. While it
//! commits, the next ones gather: the busier the daemon, the more writes share a commit, and no write waits for others. If one of them
//! fails, all of it is undone and run once more, each write in a savepoint, so that a failing write fails alone; savepoints for all of
//! them would cost more than what most writes do.

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

/// How many writes share a commit at most.
const BATCH: usize = 256;
/// How many writes wait at most, before callers wait to get in.
pub(super) const QUEUE: usize = 1024;
/// How long nothing must have been written for the write-ahead log to be emptied after an erasure.
const QUIET: Duration = Duration::from_millis(100);
/// When an erasure is this old, the log is emptied even if it is not quiet.
const OVERDUE: Duration = Duration::from_secs(10);

/// How long to wait if that could not be done.
const LATER: Duration = Duration::from_secs(5);

/// Watches the durable steps of a writer. For tests that cut the process off at each of them; it is called
/// from the writer, which waits for it.
pub type Observer = Arc<dyn Fn(&Step<'_>) + Send + Sync>;

/// A durable step.
#[derive(Clone, Copy, Debug)]
pub struct Step<'a> {
    /// Where in the step the writer is.
    pub moment: CommitPhase,
    /// The writes that share the commit, by name: `intent`, `decide`, `ended`, `promote`…
    pub writes: &'a [&'static str],
}

/// Where in a durable step a writer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitPhase {
    /// The writes are in the transaction, and nothing of them is durable.
    BeforeCommit,
    /// The writes are durable, and not confirmed to the callers yet.
    AfterCommit,
}

/// A write, as a piece of work on the writer's connection.
#[async_trait]
pub(super) trait Write: Send + 'static {
    /// What the caller gets after the commit.
    type Answer: Send + 'static;

    /// The name that an [`Observer`] sees.
    const NAME: &'static str;

    /// What is to be done when it is quiet, after this.
    const CHORE: Option<Maintenance> = None;

    /// What it is to a group that shares its statements, and the answer if that works; `None` if it always runs alone.
    fn shared(&self) -> Option<(Shared<'_>, Self::Answer)> {
        None
    }

    /// Runs inside the transaction. What it did is undone if it fails, or if another one does, and it is run again then: it keeps
    /// nothing of an earlier run.
    async fn run(&mut self, connection: &mut SqliteConnection) -> Result<Self::Answer, Problem>;
}

/// What a writer does when nothing waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Maintenance {
    /// Empty the write-ahead log: it still holds what was erased.
    Erase,
    /// Remove the records of discarded listings.
    Discard,
}

/// Why a write failed, before the path of the database is added.
#[derive(Debug)]
pub(super) enum Problem {
    /// The state does not allow it.
    Refused(Error),
    /// The database failed.
    Database(sqlx::Error),
}

impl Problem {
    /// The error, for the database at `path`.
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

/// What a writer receives.
pub(super) enum Message {
    Write(Box<dyn Command>),
    /// Run what waits, then close, then answer.
    Close(oneshot::Sender<()>),
}

/// A [`Write`] whose answer is hidden, so that different ones can wait in one queue.
#[async_trait]
pub(super) trait Command: Send {
    fn name(&self) -> &'static str;
    fn chore(&self) -> Option<Maintenance>;
    fn shared(&self) -> Option<Shared<'_>>;
    /// It was run with a group.
    fn was_shared(&mut self);
    async fn run(&mut self, connection: &mut SqliteConnection) -> Result<(), Problem>;
    /// Tells the caller, if it still waits.
    fn answer(self: Box<Self>, committed: Result<(), Error>);
}

/// A write and the one who waits for it.
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
        // A caller that went away does not mind.
        drop(caller.send(committed.and_then(|()| answer.ok_or(Error::Closed))));
    }
}

/// How much was written.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) commits: AtomicU64,
    pub(super) writes: AtomicU64,
}

/// See the module.
pub(super) struct Writer {
    pub(super) options: SqliteConnectOptions,
    /// None after a failure that left the connection in doubt; the next batch opens another.
    pub(super) connection: Option<SqliteConnection>,
    pub(super) queue: mpsc::Receiver<Message>,
    pub(super) counters: Arc<Counters>,
    pub(super) observer: Option<Observer>,
    /// Proves with each transaction that the database is ours; the lock is held until the database is closed.
    pub(super) fence: Option<Fence>,
    pub(super) chores: Chores,
}

/// What is to be done when it is quiet.
#[derive(Debug, Default)]
pub(super) struct Chores {
    /// Since when the log holds something that was erased.
    erased_at: Option<Instant>,
    /// Whether discarded listings may still have records.
    discarded: bool,
    /// When the next one is due.
    due: Option<Instant>,
}

impl Chores {
    /// What a database that was just opened may need.
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
            // It is done in small pieces, and the queue goes first.
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
    /// Runs until it is told to close, or until no writer is left.
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

    /// One result for each command, or the error that all of them share.
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
                    // On some failures, such as a full disk, SQLite has undone all of it by itself.
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

    /// Opens a connection if the last one was given up.
    async fn connect(&mut self) -> Result<(), sqlx::Error> {
        if self.connection.is_none() {
            self.connection = Some(self.options.connect().await?);
        }
        Ok(())
    }

    /// Gives up a connection whose transaction is in doubt: closing it undoes what was not committed.
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

    /// Whether the database no longer belongs to this process, so its file is left unchanged.
    fn is_lost(&self) -> bool {
        // What cannot be told now is told by the next transaction.
        self.fence.as_ref().is_some_and(|fence| fence.verify().is_err() && fence.is_lost())
    }

    /// Does one piece of what is to be done when it is quiet.
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

    /// False if it could not be done now.
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

/// Proves first of all that the database is ours. The number of the commit.
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

/// Runs all writes in their order, up to the first that fails: then all of them have to be undone. Neighbours that are of different
/// tasks share their statements.
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

/// Runs a write in a separate savepoint: if it fails, it fails alone. An error is one of the whole transaction.
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
        // On some failures, such as a full disk, SQLite undoes the whole transaction: then the savepoint is gone, and the
        // batch fails for the reason of this write.
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
