//! The owners of apps, according to the database's clock.

use std::time::Duration;

use sqlx::{FromRow, PgConnection};
use tokio::time::Instant;

use super::super::Error;
use super::super::lease::claims::Durations;
use super::super::lease::{Acquired, Grant};
use super::connect::Server;
use super::open as opening;

/// An owner, as recorded in the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The app's id, or `*` for all apps.
    pub app: String,
    /// The name of the node.
    pub node: String,
    /// The epoch.
    pub epoch: i64,
    /// The remaining time of its lease; zero if it has expired.
    pub lasts_for: Duration,
}

#[derive(FromRow)]
struct Row {
    app: String,
    node: String,
    epoch: i64,
    left: i64,
}

/// Takes over an app unless another process has a valid lease. `settled_at` is when all calls of earlier owners have ended. An owner that
/// released the app has already set it; any other owner may start calls until its lease expires, and each lasts up to `longest_call`. A
/// process of this machine that is known to have ended has neither a lease nor calls; its unfinished work is handled as after any crash.
const ACQUIRE: &str = "INSERT INTO owners AS held \
     (app, epoch, node, process, taken_at, expires_at, longest_call, settled_at) \
     SELECT $1, 1, $2, $3, clock_timestamp(), clock_timestamp() + $4::bigint * interval '1 ms', $5::bigint, clock_timestamp() \
     FROM lineage WHERE moved_to IS NULL \
     ON CONFLICT (app) DO UPDATE SET epoch = held.epoch + 1, node = excluded.node, process = excluded.process, \
     taken_at = excluded.taken_at, expires_at = excluded.expires_at, longest_call = excluded.longest_call, \
     is_released = FALSE, settled_at = CASE WHEN held.is_released OR held.process = ANY($6) THEN held.settled_at \
     ELSE greatest(held.settled_at, held.expires_at + held.longest_call * interval '1 ms') END \
     WHERE held.is_released OR held.process = ANY($6) OR held.expires_at <= clock_timestamp() \
     RETURNING epoch, ceil(greatest(0, extract(epoch FROM settled_at - clock_timestamp())) * 1000)::bigint";

/// Renews all leases that this process still holds, and returns them.
const RENEW: &str = "UPDATE owners SET expires_at = clock_timestamp() + $4 * interval '1 ms', \
     longest_call = greatest(longest_call, $5) FROM unnest($1::text[], $2::bigint[]) AS mine (app, epoch) \
     WHERE owners.app = mine.app AND owners.epoch = mine.epoch AND process = $3 AND NOT is_released \
     RETURNING owners.app";

const RELEASE: &str = "UPDATE owners SET is_released = TRUE, expires_at = clock_timestamp(), settled_at = CASE WHEN $4 \
     THEN settled_at ELSE greatest(settled_at, clock_timestamp() + longest_call * interval '1 ms') END \
     WHERE app = $1 AND process = $2 AND epoch = $3";

const ALL: &str = "SELECT app, node, epoch, \
     CASE WHEN is_released THEN 0 ELSE \
     ceil(greatest(0, extract(epoch FROM expires_at - clock_timestamp())) * 1000)::bigint END AS left \
     FROM owners ORDER BY app";

/// The requesting node.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// Its name, for display.
    pub(super) name: String,
    /// A random id for each start.
    pub(super) process: String,
    /// Earlier processes of this node, all of which have ended.
    pub(super) ended: Vec<String>,
}

pub(super) fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

pub(super) fn from_milliseconds(milliseconds: i64) -> Duration {
    Duration::from_millis(milliseconds.unsigned_abs())
}

/// Takes over an app; [`Error::Owned`] names the owner if there is one.
pub(super) async fn acquire(
    server: &Server,
    connection: &mut PgConnection,
    node: &Node,
    key: &str,
    durations: &Durations,
) -> Result<(Acquired, Grant), Error> {
    let asked_at = Instant::now();
    let row: Option<(i64, i64)> = sqlx::query_as(ACQUIRE)
        .bind(key)
        .bind(&node.name)
        .bind(&node.process)
        .bind(milliseconds(durations.lease))
        .bind(milliseconds(durations.longest_call))
        .bind(&node.ended)
        .fetch_optional(&mut *connection)
        .await
        .map_err(|error| server.fault(error))?;
    if let Some((epoch, settles_in)) = row {
        let settles_in = from_milliseconds(settles_in);
        return Ok((Acquired { epoch, settles_in }, Grant { asked_at }));
    }
    opening::refuse_moved(server, connection).await?;
    let owner = all(server, connection).await?.into_iter().find(|owner| owner.app == key);
    let (node, lasts_for) = owner.map(|owner| (owner.node, owner.lasts_for)).unwrap_or_default();
    Err(Error::Owned { place: server.address.to_string(), node, lasts_for })
}

/// Returns which of these leases were renewed. The others belong to another process now.
pub(super) async fn renew(
    server: &Server,
    connection: &mut PgConnection,
    node: &Node,
    leases: &[(String, i64)],
    durations: &Durations,
) -> Result<Vec<String>, Error> {
    let (apps, epochs): (Vec<&str>, Vec<i64>) =
        leases.iter().map(|(app, epoch)| (app.as_str(), *epoch)).unzip();
    sqlx::query_scalar(RENEW)
        .bind(apps)
        .bind(epochs)
        .bind(&node.process)
        .bind(milliseconds(durations.lease))
        .bind(milliseconds(durations.longest_call))
        .fetch_all(connection)
        .await
        .map_err(|error| server.fault(error))
}

/// Releases an app. Unless everything that was started for it `is_over`, the next owner waits for the longest call.
pub(super) async fn release(
    server: &Server,
    connection: &mut PgConnection,
    node: &Node,
    (key, epoch): (&str, i64),
    is_over: bool,
) -> Result<(), Error> {
    sqlx::query(RELEASE)
        .bind(key)
        .bind(&node.process)
        .bind(epoch)
        .bind(is_over)
        .execute(connection)
        .await
        .map_err(|error| server.fault(error))?;
    Ok(())
}

/// The owners of all apps.
pub(crate) async fn all(server: &Server, connection: &mut PgConnection) -> Result<Vec<Owner>, Error> {
    let rows: Vec<Row> =
        sqlx::query_as(ALL).fetch_all(connection).await.map_err(|error| server.fault(error))?;
    let owner = |row: Row| Owner {
        app: row.app,
        node: row.node,
        epoch: row.epoch,
        lasts_for: from_milliseconds(row.left),
    };
    Ok(rows.into_iter().map(owner).collect())
}
