//! Opening and closing the state.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bridgehead_resilience::{Clock, SystemClock};
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::{PgPool, PgPoolOptions};
use sqlx::{Connection, PgConnection};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use uuid::Uuid;

use super::super::doubt::CLOCKS;
use super::super::lease::{Grant, Terms};
use super::super::sqlite::{Stats, time};
use super::super::{AppKey, Error, Reason};
use super::claims::{ALL, Claims, Held};
use super::commit::DropUnfinished;
use super::connect::{Address, Server};
use super::owners::{self, Acquired, Node, Owner};
use super::writer::{Counters, Message, QUEUE, Queued, Write, Writer};

static MIGRATIONS: Migrator = sqlx::migrate!("src/migrations/postgres");

const READERS: u32 = 4;
/// How long a reader waits for a connection.
const READER_WAIT: Duration = Duration::from_secs(10);
/// How long after a renewal that failed the next one is tried.
const AGAIN: Duration = Duration::from_millis(500);

/// How the state is opened.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where it is.
    pub address: Address,
    /// The name of this node, for people.
    pub node: String,
    /// How long things last.
    pub terms: Terms,
}

/// The state of the daemon, in PostgreSQL. Clones share it.
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
}

/// The way to a writer.
#[derive(Debug)]
pub(super) struct Queue {
    sender: mpsc::Sender<Message>,
    counters: Arc<Counters>,
}

impl Postgres {
    /// Opens the state as the only node, which owns all apps. The database is brought to this version's format.
    ///
    /// [`Error::Owned`] if another node has a lease that lasts. Returns when no call of an earlier owner can be under way any more.
    pub async fn open(settings: &Settings) -> Result<Self, Error> {
        let state = Self::connect(settings, true).await?;
        match state.take_all().await {
            Ok(()) => Ok(state),
            Err(error) => {
                state.close().await;
                Err(error)
            }
        }
    }

    /// Opens the state as one of several nodes, which owns nothing yet: see [`acquire`](Self::acquire).
    pub async fn join(settings: &Settings) -> Result<Self, Error> {
        Self::connect(settings, false).await
    }

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

    async fn connect(settings: &Settings, is_sole: bool) -> Result<Self, Error> {
        let server =
            Arc::new(Server { address: settings.address.clone(), idle: settings.terms.lease.max(AGAIN) });
        let mut connection = server.check().await?;
        bring_up(&server, &mut connection).await?;
        begin(&server, &mut connection).await?;
        drop(connection.close().await);
        let claims = Arc::new(Claims::new(is_sole, settings.terms));
        let readers = PgPoolOptions::new()
            .max_connections(READERS)
            .acquire_timeout(READER_WAIT)
            .connect_lazy_with(settings.address.options());
        let node = Node { name: settings.node.clone(), process: Uuid::new_v4().simple().to_string() };
        let tasks = Queue::start(&server, &claims, false);
        let listings = Queue::start(&server, &claims, true);
        let inner = Arc::new(Inner { server, node, claims, tasks, listings, readers });
        tokio::spawn(keep(Arc::downgrade(&inner)));
        Ok(Self(inner))
    }

    /// Takes an app over, if nobody has a lease on it that lasts: else [`Error::Owned`]. What an earlier owner left unfinished is
    /// dropped, as after a crash.
    pub async fn acquire(&self, app: &AppKey) -> Result<Acquired, Error> {
        let acquired = self.acquire_key(app.as_str()).await?;
        self.write_listings(DropUnfinished { app: Some(app.clone()) }).await?;
        Ok(acquired)
    }

    async fn acquire_key(&self, key: &str) -> Result<Acquired, Error> {
        let inner = &self.0;
        let mut connection = inner.server.connect().await?;
        let (acquired, grant) =
            owners::acquire(&inner.server, &mut connection, &inner.node, key, &inner.claims.terms).await?;
        inner.claims.hold(key, Held { epoch: acquired.epoch, grant });
        drop(connection.close().await);
        Ok(acquired)
    }

    /// Gives an app back. The caller has nothing under way for it any more.
    pub async fn release(&self, app: &AppKey) -> Result<(), Error> {
        self.release_key(app.as_str()).await
    }

    async fn release_key(&self, key: &str) -> Result<(), Error> {
        let inner = &self.0;
        let Some(held) = inner.claims.held(key) else { return Ok(()) };
        // Before the database is told: from now on, nothing is written and nothing is started.
        inner.claims.lose(key, held.epoch);
        let mut connection = inner.server.connect().await?;
        owners::release(&inner.server, &mut connection, &inner.node, (key, held.epoch)).await?;
        drop(connection.close().await);
        Ok(())
    }

    /// Who owns what.
    pub async fn owners(&self) -> Result<Vec<Owner>, Error> {
        let mut connection = self.0.readers.acquire().await.map_err(|error| self.fault(error))?;
        owners::all(&self.0.server, &mut connection).await
    }

    /// [`Error::Fenced`] unless a call for this app may be started now.
    pub fn may_start(&self, app: &AppKey) -> Result<(), Error> {
        self.0.claims.may_start(app)
    }

    /// Runs what waits, gives back what is owned, and closes the connections.
    pub async fn close(self) {
        let inner = &self.0;
        inner.tasks.close().await;
        inner.listings.close().await;
        for key in inner.claims.all().into_keys() {
            if let Err(error) = self.release_key(&key).await {
                tracing::warn!(%error, "the state could not be given back; the next owner waits until its lease has ended");
            }
        }
        inner.readers.close().await;
    }

    /// How much the journal has written.
    pub fn stats(&self) -> Stats {
        let counters = &self.0.tasks.counters;
        Stats {
            commits: counters.commits.load(Ordering::Relaxed),
            writes: counters.writes.load(Ordering::Relaxed),
        }
    }

    /// Whether every app that this process holds is still its own, and the server answers.
    pub(super) async fn in_place(&self) -> Result<(), Error> {
        let inner = &self.0;
        let owners = self.owners().await?;
        for (key, held) in inner.claims.all() {
            if !owners.iter().any(|owner| owner.app == key && owner.epoch == held.epoch) {
                inner.claims.lose(&key, held.epoch);
            }
        }
        let has_lost = inner.claims.all().is_empty();
        if has_lost { Err(inner.server.unfit("another node has taken this state over")) } else { Ok(()) }
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
    fn start(server: &Arc<Server>, claims: &Arc<Claims>, discarded: bool) -> Self {
        let (sender, queue) = mpsc::channel(QUEUE);
        let counters = Arc::new(Counters::default());
        let writer = Writer {
            server: Arc::clone(server),
            connection: None,
            queue,
            counters: Arc::clone(&counters),
            claims: Arc::clone(claims),
            discarded,
        };
        tokio::spawn(writer.run());
        Self { sender, counters }
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
            // An error means that the writer is gone, which is as closed as it gets.
            drop(closed.await);
        }
    }
}

/// Renews the leases of a process, for as long as it has the state open.
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
                tracing::warn!(%error, "the lease on the state could not be renewed; trying again");
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
    let terms = inner.claims.terms;
    for (key, held) in inner.claims.all() {
        if Instant::now() < held.grant.renew_at(&terms) {
            continue;
        }
        if connection.is_none() {
            *connection = Some(inner.server.connect().await?);
        }
        let Some(connected) = connection else { continue };
        let asked_at = Instant::now();
        if owners::renew(&inner.server, connected, &inner.node, (&key, held.epoch), &terms).await? {
            inner.claims.renew(&key, held.epoch, Grant { asked_at });
        } else {
            inner.claims.lose(&key, held.epoch);
            tracing::error!(
                app = key,
                "another node has taken this app over; nothing is executed for it here"
            );
        }
    }
    Ok(())
}

/// Brings the database to this version's format.
async fn bring_up(server: &Server, connection: &mut PgConnection) -> Result<(), Error> {
    let fault = |error| server.fault(error);
    let is_made: bool = sqlx::query_scalar("SELECT to_regclass('_sqlx_migrations') IS NOT NULL")
        .fetch_one(&mut *connection)
        .await
        .map_err(fault)?;
    if is_made {
        let found: Option<i64> = sqlx::query_scalar("SELECT max(version) FROM _sqlx_migrations")
            .fetch_one(&mut *connection)
            .await
            .map_err(fault)?;
        let known = MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or(0);
        if let Some(found) = found.filter(|found| *found > known) {
            return Err(Error::TooNew { path: server.address.to_string().into(), found, known });
        }
    }
    MIGRATIONS.run_direct(None, connection, false).await.map_err(|error| match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => fault(error),
        other => server.unfit(format!("its tables are not those of any version: {other}")),
    })
}

/// Gives new state its identity, and the question that new state puts.
async fn begin(server: &Server, connection: &mut PgConnection) -> Result<(), Error> {
    let now = SystemClock.now();
    let until = now.saturating_add(CLOCKS).unwrap_or(now);
    // One statement: two nodes may find the database empty at the same time.
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
