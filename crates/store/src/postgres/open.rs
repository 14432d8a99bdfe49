//! Opens and closes the state.

use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use bridgehead_resilience::{Clock, SystemClock};
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::{PgPool, PgPoolOptions};
use sqlx::{Connection, PgConnection};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::Instant;
use uuid::Uuid;

use super::super::doubt::CLOCKS;
#[cfg(test)]
use super::super::lease::claims::ALL;
use super::super::lease::claims::{Claims, Held};
use super::super::lease::{Acquired, Grant, Terms};
use super::super::sqlite::files::Guest;
use super::super::sqlite::open::blocking;
use super::super::sqlite::{Stats, time};
use super::super::{AppKey, Error, Reason, Sqlite, moving};
use super::commit::DropUnfinished;
use super::connect::{Address, Server};
use super::failover;
use super::local::Local;
use super::nodes;
use super::owners::{self, Node, Owner};
use super::position::Position;
use super::writer::{Counters, Message, QUEUE, Queued, Write, Writer};

static MIGRATIONS: Migrator = sqlx::migrate!("src/migrations/postgres");

const READERS: u32 = 4;
/// How many apps are taken over and released at the same time.
const MOVES: usize = 4;
/// How long a read waits for a connection.
const READER_WAIT: Duration = Duration::from_secs(10);
/// The delay after a failed renewal.
const AGAIN: Duration = Duration::from_millis(500);

/// The options for opening the state.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The address of the database.
    pub address: Address,
    /// The name of this node, for display.
    pub node: String,
    /// The durations that leases depend on.
    pub terms: Terms,
    /// A folder on this machine whose lock proves that this is the node's only process, so that it can take over immediately from earlier
    /// processes of the folder. Without a folder, an earlier process counts as a different node.
    pub folder: Option<PathBuf>,
}

/// The daemon's state in PostgreSQL. Clones share it.
#[derive(Clone, Debug)]
pub struct Postgres(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    server: Arc<Server>,
    node: Node,
    claims: Arc<Claims>,
    tasks: Queue,
    listings: Queue,
    readers: PgPool,
    /// Limits the connections with which apps are taken over and released. A node may take over hundreds of apps at the same time, but the
    /// server has connections for a few dozen.
    moves: Semaphore,
    /// The connection for reading the nodes and announcing this one.
    looking: tokio::sync::Mutex<Option<PgConnection>>,
    /// Held until the state is closed, or its last clone is dropped.
    local: Mutex<Option<Local>>,
}

/// The queue of a writer.
#[derive(Debug)]
pub(super) struct Queue {
    sender: mpsc::Sender<Message>,
    counters: Arc<Counters>,
}

impl Postgres {
    /// Opens the state as the owner of all apps together, for tests of the contract. Nodes own apps one by one.
    #[cfg(test)]
    pub(crate) async fn open(settings: &Settings) -> Result<Self, Error> {
        let state = Self::connect(settings, true, Guest::Owner).await?;
        match state.take_all().await {
            Ok(()) => Ok(state),
            Err(error) => {
                state.close().await;
                Err(error)
            }
        }
    }

    /// Opens the state for a one-time command, as the owner of these apps. Root may run it on behalf of the owner of the folder on this
    /// machine, who then owns the files that it creates.
    ///
    /// [`Error::Owned`] if another node owns one of them.
    pub async fn open_to_help(settings: &Settings, apps: &[AppKey]) -> Result<Self, Error> {
        Self::open_with(settings, Guest::Helper, apps).await
    }

    /// Does the same for a command that is useless without state: `None` if there is no state, and none is created.
    pub async fn open_existing(settings: &Settings, apps: &[AppKey]) -> Result<Option<Self>, Error> {
        let server = Server::of(settings);
        let mut connection = server.plain().await?;
        let is_made = is_made(&server, &mut connection).await?;
        drop(connection.close().await);
        if is_made { Self::open_with(settings, Guest::Visitor, apps).await.map(Some) } else { Ok(None) }
    }

    async fn open_with(settings: &Settings, guest: Guest, apps: &[AppKey]) -> Result<Self, Error> {
        let state = Self::connect(settings, false, guest).await?;
        for app in apps {
            if let Err(error) = state.acquire(app).await {
                state.close().await;
                return Err(error);
            }
        }
        Ok(state)
    }

    /// Opens the state as one of several nodes, at first without any app: see [`acquire`](Self::acquire). Migrates the database to this
    /// version's format.
    pub async fn join(settings: &Settings) -> Result<Self, Error> {
        Self::connect(settings, false, Guest::Owner).await
    }

    /// Opens the state only for reading, next to any node. Nothing is written, and every write fails with [`Error::Closed`]. `None` if the
    /// database has no state.
    pub async fn read_only(settings: &Settings) -> Result<Option<Self>, Error> {
        let server = Arc::new(Server::of(settings));
        let mut connection = server.plain().await?;
        let is_made = is_made(&server, &mut connection).await?;
        if is_made {
            refuse_newer(&server, &mut connection).await?;
            refuse_moved(&server, &mut connection).await?;
        }
        drop(connection.close().await);
        if !is_made {
            return Ok(None);
        }
        let claims = Arc::new(Claims::new(false, settings.terms));
        let node = Node { name: settings.node.clone(), process: String::new(), ended: Vec::new() };
        let readers = readers(settings);
        let (tasks, listings) = (Queue::nobody(), Queue::nobody());
        let (looking, local) = (tokio::sync::Mutex::new(None), Mutex::new(None));
        let moves = Semaphore::new(MOVES);
        let inner = Inner { server, node, claims, tasks, listings, readers, moves, looking, local };
        Ok(Some(Self(Arc::new(inner))))
    }

    #[cfg(test)]
    async fn take_all(&self) -> Result<(), Error> {
        let acquired = self.acquire_key(ALL).await?;
        if acquired.settles_in > Duration::ZERO {
            tracing::warn!(
                seconds = acquired.settles_in.as_secs(),
                "the last owner of this state did not give it back; waiting until no call of it can be under way"
            );
            tokio::time::sleep(acquired.settles_in).await;
        }
        self.write_listings(DropUnfinished { app: None }).await
    }

    async fn connect(settings: &Settings, is_sole: bool, guest: Guest) -> Result<Self, Error> {
        let process = Uuid::new_v4().simple().to_string();
        let mut local = match settings.folder.clone() {
            Some(folder) => {
                let process = process.clone();
                blocking(move || Local::take(&folder, guest, &process)).await?
            }
            None => None,
        };
        let server = Arc::new(Server::of(settings));
        let mut connection = server.check().await?;
        bring_up(&server, &mut connection).await?;
        begin(&server, &mut connection).await?;
        let claims = Arc::new(Claims::new(is_sole, settings.terms));
        let left = local.as_mut().and_then(|local| local.left.take());
        failover::check(&server, &claims, &mut connection).await?;
        let position = Position::begin(&server, &mut connection, &claims.durations(), &process, left).await?;
        drop(connection.close().await);
        let readers = readers(settings);
        let ended = local.as_ref().map(|local| local.ended.clone()).unwrap_or_default();
        let node = Node { name: settings.node.clone(), process, ended };
        let tasks = Queue::start(&server, &claims, Some(position));
        let listings = Queue::start(&server, &claims, None);
        let (looking, local) = (tokio::sync::Mutex::new(None), Mutex::new(local));
        let moves = Semaphore::new(MOVES);
        let inner = Arc::new(Inner { server, node, claims, tasks, listings, readers, moves, looking, local });
        tokio::spawn(keep(Arc::downgrade(&inner)));
        Ok(Self(inner))
    }

    /// Takes over an app unless another node has a valid lease on it, which is [`Error::Owned`]. Unfinished work of a previous owner is
    /// dropped, as after a crash.
    pub async fn acquire(&self, app: &AppKey) -> Result<Acquired, Error> {
        let acquired = self.acquire_key(app.as_str()).await?;
        let dropped = self.write_listings(DropUnfinished { app: Some(app.clone()) }).await;
        if let Err(error) = dropped {
            // Otherwise the app would be started although its unfinished work is still there.
            if let Err(error) = self.release(app, true).await {
                tracing::debug!(%error, "the app can be taken over again when this lease has ended");
            }
            return Err(error);
        }
        Ok(acquired)
    }

    async fn acquire_key(&self, key: &str) -> Result<Acquired, Error> {
        let inner = &self.0;
        let _turn = inner.moves.acquire().await;
        let mut connection = failover::connect(&inner.server, &inner.claims).await?;
        let (acquired, grant) =
            owners::acquire(&inner.server, &mut connection, &inner.node, key, &inner.claims.durations())
                .await?;
        let settled_at = Instant::now() + acquired.settles_in;
        inner.claims.hold(key, Held { epoch: acquired.epoch, grant, settled_at });
        drop(connection.close().await);
        Ok(acquired)
    }

    /// Releases an app. `is_over` means that everything started for it has ended; otherwise a call may still be running, and the next owner
    /// waits until it must have ended.
    pub async fn release(&self, app: &AppKey, is_over: bool) -> Result<(), Error> {
        self.release_key(app.as_str(), is_over).await
    }

    async fn release_key(&self, key: &str, is_over: bool) -> Result<(), Error> {
        let inner = &self.0;
        let Some(held) = inner.claims.held(key) else { return Ok(()) };
        // This comes before the database is updated: from now on, this process writes nothing and starts nothing for the app.
        inner.claims.lose(key, held.epoch);
        let _turn = inner.moves.acquire().await;
        let mut connection = failover::connect(&inner.server, &inner.claims).await?;
        owners::release(&inner.server, &mut connection, &inner.node, (key, held.epoch), is_over).await?;
        drop(connection.close().await);
        Ok(())
    }

    /// The owners of all apps.
    pub async fn owners(&self) -> Result<Vec<Owner>, Error> {
        let mut connection = self.0.readers.acquire().await.map_err(|error| self.fault(error))?;
        owners::all(&self.0.server, &mut connection).await
    }

    /// State for a `sync --dry-run` next to running nodes: a private copy of the snapshots, with an empty journal. If the database has no
    /// state, the copy is empty.
    pub async fn rehearsal(settings: &Settings) -> Result<Sqlite, Error> {
        let copy = Sqlite::scratch().await?;
        let Some(state) = Self::read_only(settings).await? else { return Ok(copy) };
        let server = &state.0.server;
        let fault = |error| server.fault(error);
        let mut connection = state.readers().acquire().await.map_err(fault)?;
        let mut transaction = connection.begin().await.map_err(fault)?;
        sqlx::query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            .execute(&mut *transaction)
            .await
            .map_err(fault)?;
        for table in moving::TABLES.iter().filter(|table| table.is_listing) {
            moving::copy_table(server, &mut transaction, table, &copy).await?;
        }
        transaction.rollback().await.map_err(fault)?;
        drop(connection);
        state.close().await;
        Ok(copy)
    }

    /// Fails with [`Error::Fenced`] unless a call for this app may be started now.
    pub fn may_start(&self, app: &AppKey) -> Result<(), Error> {
        self.0.claims.may_start(app)
    }

    /// Runs waiting writes, releases all apps, and closes the connections. No call may be running any more.
    pub async fn close(self) {
        self.end(true).await;
    }

    pub(super) async fn end(&self, is_over: bool) {
        let inner = &self.0;
        inner.tasks.close().await;
        inner.listings.close().await;
        for key in inner.claims.all().into_keys() {
            if let Err(error) = self.release_key(&key, is_over).await {
                tracing::warn!(%error, "the state could not be returned; the next owner waits until its lease has ended");
            }
        }
        nodes::stop_looking(self).await;
        inner.readers.close().await;
        inner.local.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// How much the journal has written.
    pub fn stats(&self) -> Stats {
        let counters = &self.0.tasks.counters;
        Stats {
            commits: counters.commits.load(Ordering::Relaxed),
            writes: counters.writes.load(Ordering::Relaxed),
        }
    }

    /// Checks that the server responds, and drops all apps that this process no longer owns.
    pub(super) async fn in_place(&self) -> Result<(), Error> {
        let inner = &self.0;
        let owners = self.owners().await?;
        for (key, held) in inner.claims.all() {
            if !owners.iter().any(|owner| owner.app == key && owner.epoch == held.epoch) {
                inner.claims.lose(&key, held.epoch);
            }
        }
        // A node may own no apps at all, but the owner of all apps must not have lost them.
        let has_lost = inner.claims.is_sole() && inner.claims.all().is_empty();
        if has_lost { Err(inner.server.unfit("another node has taken this state over")) } else { Ok(()) }
    }

    /// Whether this process owns an app, as far as it knows.
    pub(super) fn has(&self, app: &AppKey) -> bool {
        self.0.claims.held(self.0.claims.key(app)).is_some()
    }

    /// When calls of earlier owners of an app have certainly ended; `None` if this process does not own it.
    pub(super) fn app_settled_at(&self, app: &AppKey) -> Option<Instant> {
        self.0.claims.settled_at(app)
    }

    /// Allows calls to last up to `longest`. The rows of all owned apps say so before this returns.
    pub(super) async fn allow_longer_calls(&self, longest: Duration) -> Result<(), Error> {
        let inner = &self.0;
        if !inner.claims.allow_calls(longest) {
            return Ok(());
        }
        let mut connection = failover::connect(&inner.server, &inner.claims).await?;
        let all: Vec<(String, i64)> =
            inner.claims.all().into_iter().map(|(key, held)| (key, held.epoch)).collect();
        renew(inner, &mut connection, &all).await?;
        drop(connection.close().await);
        Ok(())
    }

    pub(super) fn terms(&self) -> &Terms {
        &self.0.claims.terms
    }

    pub(super) fn node(&self) -> &Node {
        &self.0.node
    }

    pub(super) fn server(&self) -> &Server {
        &self.0.server
    }

    pub(super) fn claims(&self) -> &Claims {
        &self.0.claims
    }

    pub(super) fn looking(&self) -> &tokio::sync::Mutex<Option<PgConnection>> {
        &self.0.looking
    }

    pub(super) fn readers(&self) -> &PgPool {
        &self.0.readers
    }

    pub(super) fn fault(&self, error: sqlx::Error) -> Error {
        self.0.server.fault(error)
    }

    pub(super) async fn write_tasks<W: Write>(&self, write: W) -> Result<W::Answer, Error> {
        self.0.tasks.write(write).await
    }

    pub(super) async fn write_listings<W: Write>(&self, write: W) -> Result<W::Answer, Error> {
        self.0.listings.write(write).await
    }
}

impl Queue {
    /// Starts the writer of the journal, which has a position, or that of the snapshots.
    fn start(server: &Arc<Server>, claims: &Arc<Claims>, position: Option<Position>) -> Self {
        let (sender, queue) = mpsc::channel(QUEUE);
        let counters = Arc::new(Counters::default());
        let writer = Writer {
            server: Arc::clone(server),
            connection: None,
            queue,
            counters: Arc::clone(&counters),
            claims: Arc::clone(claims),
            discarded: position.is_none(),
            position,
        };
        tokio::spawn(writer.run());
        Self { sender, counters }
    }

    /// A queue without a writer: every write fails with [`Error::Closed`].
    fn nobody() -> Self {
        let (sender, _nobody) = mpsc::channel(1);
        Self { sender, counters: Arc::default() }
    }

    async fn write<W: Write>(&self, write: W) -> Result<W::Answer, Error> {
        let (caller, answer) = oneshot::channel();
        let message = Message::Write(Box::new(Queued::new(write, caller)));
        self.sender.send(message).await.map_err(|_| Error::Closed)?;
        answer.await.map_err(|_| Error::Closed)?
    }

    async fn close(&self) {
        let (caller, closed) = oneshot::channel();
        if self.sender.send(Message::Close(caller)).await.is_ok() {
            // An error means that the writer is gone, so it is closed as well.
            drop(closed.await);
        }
    }
}

/// Renews the leases of this process while it has the state open.
async fn keep(inner: Weak<Inner>) {
    let mut connection: Option<PgConnection> = None;
    let mut wait = Duration::ZERO;
    loop {
        tokio::time::sleep(wait).await;
        let Some(inner) = inner.upgrade() else { return };
        let terms = inner.claims.terms;
        let limit = terms.renew_after();
        wait = match tokio::time::timeout(limit, renew_due(&inner, &mut connection)).await {
            Ok(Ok(())) => AGAIN.min(terms.renew_after() / 2),
            Ok(Err(error)) => {
                tracing::warn!(%error, "the lease on the state could not be renewed; retrying");
                connection = None;
                AGAIN.min(terms.renew_after() / 2)
            }
            Err(_) => {
                tracing::warn!(
                    "the state database does not answer; no call is started once the lease has ended"
                );
                connection = None;
                Duration::ZERO
            }
        };
    }
}

async fn renew_due(inner: &Inner, connection: &mut Option<PgConnection>) -> Result<(), Error> {
    let (terms, now) = (inner.claims.terms, Instant::now());
    let due = inner.claims.all().into_iter().filter(|(_, held)| now >= held.grant.renew_at(&terms));
    let due: Vec<(String, i64)> = due.map(|(key, held)| (key, held.epoch)).collect();
    if due.is_empty() {
        return Ok(());
    }
    if connection.is_none() {
        *connection = Some(failover::connect(&inner.server, &inner.claims).await?);
    }
    let Some(connected) = connection else { return Ok(()) };
    renew(inner, connected, &due).await
}

/// Renews leases, and drops those of apps that another node has taken over.
async fn renew(inner: &Inner, connection: &mut PgConnection, leases: &[(String, i64)]) -> Result<(), Error> {
    let asked_at = Instant::now();
    let durations = inner.claims.durations();
    let renewed = owners::renew(&inner.server, connection, &inner.node, leases, &durations).await?;
    for (key, epoch) in leases {
        if renewed.contains(key) {
            inner.claims.renew(key, *epoch, Grant { asked_at });
        } else if inner.claims.lose(key, *epoch) {
            tracing::error!(
                app = key,
                "another node has taken this app over; nothing is executed for it here"
            );
        }
    }
    Ok(())
}

fn readers(settings: &Settings) -> PgPool {
    PgPoolOptions::new()
        .max_connections(READERS)
        .acquire_timeout(READER_WAIT)
        // Waiting for a connection is how reads are limited; only giving up is worth a line in the log.
        .acquire_slow_threshold(READER_WAIT)
        .connect_lazy_with(settings.address.options())
}

/// Whether the database has state, of any version.
pub(crate) async fn is_made(server: &Server, connection: &mut PgConnection) -> Result<bool, Error> {
    sqlx::query_scalar(
        "SELECT to_regclass('_sqlx_migrations') IS NOT NULL AND to_regclass('lineage') IS NOT NULL",
    )
    .fetch_one(connection)
    .await
    .map_err(|error| server.fault(error))
}

/// Returns the version of the tables. They may be newer than this version of bridgehead: during an upgrade, nodes of two releases use them.
/// It is an error if this version can no longer work with them.
pub(super) async fn refuse_newer(server: &Server, connection: &mut PgConnection) -> Result<i64, Error> {
    let fault = |error| server.fault(error);
    let found: Option<i64> = sqlx::query_scalar("SELECT max(version) FROM _sqlx_migrations")
        .fetch_one(&mut *connection)
        .await
        .map_err(fault)?;
    let (found, known) = (found.unwrap_or_default(), known());
    if found > known {
        let oldest: Option<i64> = sqlx::query_scalar("SELECT max(oldest) FROM compatibility")
            .fetch_one(connection)
            .await
            .map_err(fault)?;
        if oldest.is_none_or(|oldest| oldest > known) {
            return Err(Error::TooNew { path: server.address.to_string().into(), found, known });
        }
    }
    Ok(found)
}

/// The version of the tables that this version of bridgehead creates.
fn known() -> i64 {
    MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or(0)
}

/// Refuses state that was moved into a folder.
pub(super) async fn refuse_moved(server: &Server, connection: &mut PgConnection) -> Result<(), Error> {
    let moved: Option<String> = sqlx::query_scalar("SELECT max(moved_to) FROM lineage")
        .fetch_one(connection)
        .await
        .map_err(|error| server.fault(error))?;
    moved.map_or(Ok(()), |to| Err(Error::Moved { from: server.address.to_string(), to }))
}

/// Migrates the database to this version's format.
async fn bring_up(server: &Server, connection: &mut PgConnection) -> Result<(), Error> {
    if is_made(server, connection).await? {
        let found = refuse_newer(server, connection).await?;
        refuse_moved(server, connection).await?;
        if found > known() {
            return Ok(());
        }
    }
    run_migrations(server, connection).await
}

/// Does the same for a database whose state may have been moved away.
pub(crate) async fn bring_up_tables(server: &Server, connection: &mut PgConnection) -> Result<(), Error> {
    if is_made(server, connection).await? {
        let (found, known) = (refuse_newer(server, connection).await?, known());
        if found > known {
            // A copy would lack what the newer version has added.
            return Err(Error::TooNew { path: server.address.to_string().into(), found, known });
        }
    }
    run_migrations(server, connection).await
}

async fn run_migrations(server: &Server, connection: &mut PgConnection) -> Result<(), Error> {
    let fault = |error| server.fault(error);
    MIGRATIONS.run_direct(None, connection, false).await.map_err(|error| match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => fault(error),
        other => server.unfit(format!("its tables are not those of any version: {other}")),
    })
}

/// Gives new state an identity, and records the doubt that new state starts with.
async fn begin(server: &Server, connection: &mut PgConnection) -> Result<(), Error> {
    let now = SystemClock.now();
    let until = now.saturating_add(CLOCKS).unwrap_or(now);
    // A single statement, because two nodes may find the database empty at the same time.
    sqlx::query(
        "WITH made AS (INSERT INTO lineage (identity) VALUES ($1) ON CONFLICT DO NOTHING RETURNING 1) \
         INSERT INTO doubts (found_at, until, reason) SELECT $2, $3, $4 FROM made",
    )
    .bind(Uuid::new_v4().simple().to_string())
    .bind(time::to_column(now))
    .bind(time::to_column(until))
    .bind(Reason::New.as_str())
    .execute(connection)
    .await
    .map_err(|error| server.fault(error))?;
    Ok(())
}
