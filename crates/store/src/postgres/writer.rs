//! The two writers: one for the journal, one for the snapshots.
//!
//! As with SQLite, writes wait in a queue. Waiting writes share a transaction, each in a separate savepoint, and are answered after the
//! commit. The first statement of each transaction reads the owners of the apps that it writes, with a lock that a takeover waits for: if a
//! node has lost an app, its write is refused within the transaction.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use sqlx::{Connection, Executor, PgConnection};
use tokio::sync::{mpsc, oneshot};

use super::super::lease::claims::Claims;
use super::super::{AppKey, Error};
use super::commit;
use super::connect::Server;
use super::failover;
use super::position::Position;

/// The maximum number of writes per commit. With more savepoints, PostgreSQL has to look them up on disk.
const BATCH: usize = 60;
/// The maximum length of the queue; further callers wait to enter it.
pub(super) const QUEUE: usize = 1024;

/// The timeout for a transaction. If the network fails silently, there is never a response.
const LIMIT: Duration = Duration::from_secs(120);

/// A write that runs on the writer's connection.
#[async_trait]
pub(super) trait Write: Send + 'static {
    /// The value returned to the caller after the commit.
    type Answer: Send + 'static;

    /// Whether this may leave records of discarded snapshots.
    const DISCARDS: bool = false;

    /// The app whose state is written.
    fn app(&self) -> Option<&AppKey>;

    /// Runs inside the transaction. If it fails, its changes are rolled back.
    async fn run(&mut self, connection: &mut PgConnection) -> Result<Self::Answer, Problem>;
}

/// Why a write failed, without the name of the server.
#[derive(Debug)]
pub(super) enum Problem {
    /// The state does not allow it.
    Refused(Error),
    /// The database failed.
    Database(sqlx::Error),
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

/// A [`Write`] with its answer type erased.
#[async_trait]
pub(super) trait Command: Send {
    fn app(&self) -> Option<&AppKey>;
    fn discards(&self) -> bool;
    async fn run(&mut self, connection: &mut PgConnection) -> Result<(), Problem>;
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
    fn app(&self) -> Option<&AppKey> {
        self.write.app()
    }

    fn discards(&self) -> bool {
        W::DISCARDS
    }

    async fn run(&mut self, connection: &mut PgConnection) -> Result<(), Problem> {
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
    pub(super) server: Arc<Server>,
    /// `None` after a failure that left the connection in an unknown state; the next batch opens another one.
    pub(super) connection: Option<PgConnection>,
    pub(super) queue: mpsc::Receiver<Message>,
    pub(super) counters: Arc<Counters>,
    pub(super) claims: Arc<Claims>,
    /// Whether discarded snapshots may still have records.
    pub(super) discarded: bool,
    /// Only the journal has one: a sync after a restore is held because Iden knows a later one.
    pub(super) position: Option<Position>,
}

impl Writer {
    /// Runs until it is closed, or until all senders are gone.
    pub(super) async fn run(mut self) {
        let mut messages = Vec::with_capacity(BATCH);
        let mut closing = Vec::new();
        loop {
            if self.discarded && self.queue.is_empty() && !self.queue.is_closed() {
                self.discard().await;
            }
            if self.queue.recv_many(&mut messages, BATCH).await == 0 {
                break;
            }
            let mut commands = Vec::with_capacity(messages.len());
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
        }
        self.abandon().await;
        for caller in closing {
            caller.send(()).ok();
        }
    }

    async fn batch(&mut self, mut commands: Vec<Box<dyn Command>>) {
        let done = tokio::time::timeout(LIMIT, self.commit(&mut commands)).await;
        let late = || Err(self.server.fault(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())));
        match done.unwrap_or_else(|_| late()) {
            Ok(results) => {
                self.counters.commits.fetch_add(1, Ordering::Relaxed);
                self.counters.writes.fetch_add(commands.len() as u64, Ordering::Relaxed);
                for (command, result) in commands.into_iter().zip(results) {
                    self.discarded |= result.is_ok() && command.discards();
                    command.answer(result);
                }
            }
            Err(error) => {
                tracing::error!(error = %error, writes = commands.len(), "the state could not be written");
                // Dropped without a clean close, which would wait for a dead network.
                self.connection = None;
                for command in commands {
                    command.answer(Err(error.clone()));
                }
            }
        }
    }

    /// Returns one result for each command, or the error that all of them share.
    async fn commit(&mut self, commands: &mut [Box<dyn Command>]) -> Result<Vec<Result<(), Error>>, Error> {
        let server = Arc::clone(&self.server);
        let fault = |error| server.fault(error);
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => none.insert(failover::connect(&server, &self.claims).await?),
        };
        let mut transaction = connection.begin().await.map_err(fault)?;
        let mut commits = 0;
        if let Some(position) = &self.position {
            let Some(count) = position.advance(&mut transaction).await.map_err(fault)? else {
                transaction.rollback().await.map_err(fault)?;
                return Err(replaced(&server, connection, &self.claims, position).await);
            };
            commits = count;
        }
        let keys: BTreeSet<&str> =
            commands.iter().filter_map(|command| command.app()).map(|app| self.claims.key(app)).collect();
        let keys: Vec<String> = keys.into_iter().map(ToOwned::to_owned).collect();
        let epochs: HashMap<String, i64> =
            sqlx::query_as("SELECT app, epoch FROM owners WHERE app = ANY($1) ORDER BY app FOR KEY SHARE")
                .bind(&keys)
                .fetch_all(&mut *transaction)
                .await
                .map_err(fault)?
                .into_iter()
                .collect();
        let mut results = Vec::with_capacity(commands.len());
        let mut is_open = false;
        for command in commands.iter_mut() {
            if let Some(app) = command.app()
                && let Err(error) = self.claims.check(app, epochs.get(self.claims.key(app)).copied())
            {
                results.push(Err(error));
                continue;
            }
            let next = if is_open { "RELEASE SAVEPOINT one; SAVEPOINT one" } else { "SAVEPOINT one" };
            transaction.execute(next).await.map_err(fault)?;
            is_open = true;
            match command.run(&mut transaction).await {
                Ok(()) => results.push(Ok(())),
                Err(problem) => {
                    let undone = transaction.execute("ROLLBACK TO SAVEPOINT one").await;
                    let error = match problem {
                        Problem::Refused(error) => error,
                        Problem::Database(error) => fault(error),
                    };
                    // If the savepoint cannot be rolled back, the connection is lost, because of this write's error.
                    if undone.is_err() {
                        return Err(error);
                    }
                    results.push(Err(error));
                }
            }
        }
        transaction.commit().await.map_err(fault)?;
        if let Some(position) = &mut self.position {
            position.confirm(commits);
        }
        Ok(results)
    }

    /// Removes some obsolete records. They belong to no app, so no epoch is checked.
    async fn discard(&mut self) {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => match failover::connect(&self.server, &self.claims).await {
                Ok(connection) => none.insert(connection),
                // The next write connects again, and may find obsolete records later.
                Err(_) => return self.discarded = false,
            },
        };
        match commit::remove_discarded(connection).await {
            Ok(left) => self.discarded = left,
            Err(error) => {
                tracing::warn!(error = %self.server.fault(error), "cleaning up the state failed; retrying later");
                self.discarded = false;
                self.abandon().await;
            }
        }
    }

    /// Closes the connection: the server rolls back everything that was not committed.
    async fn abandon(&mut self) {
        if let Some(connection) = self.connection.take() {
            drop(connection.close().await);
        }
    }
}

/// Handles a database that was restored from an older copy while this process runs. All apps are released in memory: they are taken over
/// again like those of a node that crashed, so that nothing continues with what the database no longer knows.
async fn replaced(
    server: &Server,
    connection: &mut PgConnection,
    claims: &Claims,
    position: &Position,
) -> Error {
    if let Err(error) = position.recover(connection, &claims.durations()).await {
        return server.fault(error);
    }
    for (key, held) in claims.all() {
        claims.lose(&key, held.epoch);
    }
    server.unfit(
        "it lacks commits that it had confirmed, so it was restored from an older copy; \
         tasks that may have been started are looked up before they are executed",
    )
}
