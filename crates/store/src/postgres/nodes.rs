//! The nodes that share a database, and the leases of this node.

use std::time::Duration;

use async_trait::async_trait;
use sqlx::{Connection, FromRow, PgConnection};
use tokio::time::Instant;

use super::super::lease::{Acquired, Leases, Mailbox, NodeSeen, OwnerSeen, Presence, SharedStatus, View};
use super::super::{AppKey, Error};
use super::failover;
use super::open::Postgres;
use super::owners::{Node, from_milliseconds, milliseconds};

/// A node is forgotten after it was silent for this many leases.
const FORGOTTEN: i32 = 40;

const HERE: &str = "INSERT INTO nodes AS known (process, node, version, started_at, seen_at, is_leaving, apps) \
     VALUES ($1, $2, $3, clock_timestamp(), clock_timestamp(), $4, $5) \
     ON CONFLICT (process) DO UPDATE SET seen_at = clock_timestamp(), is_leaving = $4, apps = $5";

/// Removes nodes that are gone. Earlier processes of this node, which are known to have ended, are removed immediately.
const FORGET: &str = "DELETE FROM nodes WHERE process = ANY($1) \
     OR seen_at < clock_timestamp() - $2 * interval '1 ms'";

const NODES: &str = "SELECT node, process, version, is_leaving, apps, \
     (extract(epoch FROM clock_timestamp() - started_at) * 1000)::bigint AS up, \
     (extract(epoch FROM clock_timestamp() - seen_at) * 1000)::bigint AS silent \
     FROM nodes ORDER BY node, process";

const OWNERS: &str = "SELECT app, node, process, epoch, \
     (extract(epoch FROM clock_timestamp() - taken_at) * 1000)::bigint AS owned, \
     CASE WHEN is_released THEN 0 ELSE \
     ceil(greatest(0, extract(epoch FROM expires_at - clock_timestamp())) * 1000)::bigint END AS left \
     FROM owners ORDER BY app";

#[derive(FromRow)]
struct NodeRow {
    node: String,
    process: String,
    version: String,
    is_leaving: bool,
    apps: Vec<String>,
    up: i64,
    silent: i64,
}

#[derive(FromRow)]
struct OwnerRow {
    app: String,
    node: String,
    process: String,
    epoch: i64,
    owned: i64,
    left: i64,
}

/// Announces that this node is alive, and returns its view of the others.
async fn look(
    connection: &mut PgConnection,
    node: &Node,
    lease: Duration,
    presence: &Presence,
) -> Result<View, sqlx::Error> {
    let apps: Vec<&str> = presence.apps.iter().map(AppKey::as_str).collect();
    sqlx::query(HERE)
        .bind(&node.process)
        .bind(&node.name)
        .bind(env!("CARGO_PKG_VERSION"))
        .bind(presence.is_leaving)
        .bind(apps)
        .execute(&mut *connection)
        .await?;
    sqlx::query(FORGET)
        .bind(&node.ended)
        .bind(milliseconds(lease) * i64::from(FORGOTTEN))
        .execute(&mut *connection)
        .await?;
    view(connection, &node.process).await
}

/// The nodes, and the owners of all apps.
pub(super) async fn view(connection: &mut PgConnection, me: &str) -> Result<View, sqlx::Error> {
    let nodes: Vec<NodeRow> = sqlx::query_as(NODES).fetch_all(&mut *connection).await?;
    let owners: Vec<OwnerRow> = sqlx::query_as(OWNERS).fetch_all(connection).await?;
    let node = |row: NodeRow| NodeSeen {
        name: row.node,
        process: row.process,
        version: row.version,
        up_for: from_milliseconds(row.up.max(0)),
        silent_for: from_milliseconds(row.silent.max(0)),
        presence: Presence {
            apps: row.apps.iter().filter_map(|app| app.parse().ok()).collect(),
            is_leaving: row.is_leaving,
        },
    };
    let owner = |row: OwnerRow| OwnerSeen {
        app: row.app,
        node: row.node,
        process: row.process,
        epoch: row.epoch,
        owned_for: from_milliseconds(row.owned.max(0)),
        lasts_for: from_milliseconds(row.left),
    };
    Ok(View {
        me: me.to_owned(),
        nodes: nodes.into_iter().map(node).collect(),
        owners: owners.into_iter().map(owner).collect(),
    })
}

#[async_trait]
impl Leases for Postgres {
    fn lease(&self) -> Duration {
        self.terms().lease
    }

    fn node_name(&self) -> &str {
        &self.node().name
    }

    async fn look(&self, presence: &Presence) -> Result<View, Error> {
        let (node, lease) = (self.node(), self.terms().lease);
        let mut looking = self.looking().lock().await;
        let mut connection = match looking.take() {
            Some(connection) => connection,
            None => self.server().connect().await?,
        };
        // If one of these fails, the connection is dropped and not used again.
        failover::check(self.server(), self.claims(), &mut connection).await?;
        let view = look(&mut connection, node, lease, presence).await.map_err(|error| self.fault(error))?;
        *looking = Some(connection);
        Ok(view)
    }

    async fn acquire(&self, app: &AppKey) -> Result<Acquired, Error> {
        self.acquire(app).await
    }

    async fn release(&self, app: &AppKey, is_over: bool) -> Result<(), Error> {
        self.release(app, is_over).await
    }

    fn holds(&self, app: &AppKey) -> bool {
        self.has(app)
    }

    fn settled_at(&self, app: &AppKey) -> Option<Instant> {
        self.app_settled_at(app)
    }

    fn may_start(&self, app: &AppKey) -> bool {
        self.may_start(app).is_ok()
    }

    async fn allow_calls(&self, longest: Duration) -> Result<(), Error> {
        self.allow_longer_calls(longest).await
    }

    fn mailbox(&self) -> &dyn Mailbox {
        self
    }

    fn shared_status(&self) -> Option<&dyn SharedStatus> {
        Some(self)
    }
}

/// Removes this node, which has released all apps, from the list of nodes, and closes the connection that reads it.
pub(super) async fn stop_looking(state: &Postgres) {
    if let Some(mut connection) = state.looking().lock().await.take() {
        let left = sqlx::query("DELETE FROM nodes WHERE process = $1")
            .bind(&state.node().process)
            .execute(&mut connection)
            .await;
        if let Err(error) = left {
            tracing::debug!(error = %state.fault(error), "the other nodes see this one for a while yet");
        }
        drop(connection.close().await);
    }
}
