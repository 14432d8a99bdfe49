//! Detects a failover that may have lost confirmed commits.
//!
//! By its [`position`](super::position), a node detects that the database lacks commits of its own. But the commits of another node may be
//! missing too, and that node may have crashed with the server. Each promotion of a replica, and each recovery from an archive, begins a new
//! timeline. So the database records on which timeline it was used, and whether its commits waited for a replica at that time. If they did
//! not, a new timeline is treated like a restored backup: a doubt is recorded, and each node releases its apps.
//!
//! A node also remembers this itself: a replica that was behind may show settings that were changed since.

use sqlx::{Connection, PgConnection};

use super::super::lease::claims::Claims;
use super::super::{Error, Reason};
use super::connect::Server;
use super::position::doubt;

/// The name of a file of the write-ahead log starts with the timeline, in hexadecimal digits. The function for the current checkpoint shows
/// a new timeline too late.
const HERE: &str = "SELECT ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::bigint, \
     current_setting('synchronous_standby_names') <> '' AND current_setting('synchronous_commit') <> 'local'";

const FIRST: &str = "INSERT INTO timeline (number, is_synchronous) VALUES ($1, $2) ON CONFLICT DO NOTHING";

/// One node after the other: only the first one finds the old row.
const RECORDED: &str = "SELECT number, is_synchronous FROM timeline FOR UPDATE";

/// How a server was last used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Timeline {
    number: i64,
    is_synchronous: bool,
}

impl Timeline {
    /// Whether commits that were confirmed on this timeline may be missing on another one. A new cluster, such as after an upgrade of
    /// PostgreSQL, starts with the first timeline again.
    fn may_lack_in(self, now: Self) -> bool {
        now.number > self.number && !self.is_synchronous
    }
}

/// Opens a connection for writing. If the server may lack confirmed commits, this records a doubt, and all apps are released in memory.
pub(super) async fn connect(server: &Server, claims: &Claims) -> Result<PgConnection, Error> {
    let mut connection = server.connect().await?;
    check(server, claims, &mut connection).await?;
    Ok(connection)
}

/// Does the same for an open connection, and records whether commits wait for a replica.
pub(super) async fn check(
    server: &Server,
    claims: &Claims,
    connection: &mut PgConnection,
) -> Result<(), Error> {
    let now = match here(connection).await {
        Ok(now) => now,
        Err(error) if has_no_timelines(&error) => {
            tracing::debug!(%error, "the server does not show its timeline");
            return Ok(());
        }
        Err(error) => return Err(server.fault(error)),
    };
    let before = server.timeline();
    if before == Some(now) {
        return Ok(());
    }
    // This process has used a later timeline: the server is an old primary that came back.
    let is_doubted = before.is_some_and(|before| before.may_lack_in(now) || now.number < before.number);
    let is_doubted =
        record(connection, claims, now, is_doubted).await.map_err(|error| server.fault(error))?;
    // Another connection of this process may have found the same.
    if server.remember(now) && is_doubted {
        tracing::error!(
            place = %server.address, timeline = now.number,
            "the database has failed over, and may lack commits that it had confirmed, because they did not wait for a replica; \
             tasks that may have been started are looked up first"
        );
        for (key, held) in claims.all() {
            claims.lose(&key, held.epoch);
        }
    }
    Ok(())
}

/// Whether a service is no PostgreSQL inside: it does not know the functions, or permits nobody to use them.
fn has_no_timelines(error: &sqlx::Error) -> bool {
    /// Syntax or access, features, and the state of objects.
    const CLASSES: [&str; 3] = ["42", "0A", "55"];
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| CLASSES.iter().any(|class| code.starts_with(class)))
}

async fn here(connection: &mut PgConnection) -> Result<Timeline, sqlx::Error> {
    let (number, is_synchronous) = sqlx::query_as(HERE).fetch_one(connection).await?;
    Ok(Timeline { number, is_synchronous })
}

/// Compares the database with the server, and records the timeline. Returns whether commits may be missing.
async fn record(
    connection: &mut PgConnection,
    claims: &Claims,
    now: Timeline,
    is_doubted: bool,
) -> Result<bool, sqlx::Error> {
    let mut transaction = connection.begin().await?;
    sqlx::query(FIRST).bind(now.number).bind(now.is_synchronous).execute(&mut *transaction).await?;
    let (number, is_synchronous) = sqlx::query_as(RECORDED).fetch_one(&mut *transaction).await?;
    let recorded = Timeline { number, is_synchronous };
    let is_doubted = is_doubted || recorded.may_lack_in(now);
    if is_doubted {
        doubt(&mut transaction, &claims.durations(), Reason::Restored).await?;
    }
    if recorded != now {
        sqlx::query("UPDATE timeline SET number = $1, is_synchronous = $2")
            .bind(now.number)
            .bind(now.is_synchronous)
            .execute(&mut *transaction)
            .await?;
    }
    transaction.commit().await?;
    Ok(is_doubted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_later_timeline_lacks_something_and_only_if_commits_did_not_wait() {
        let at = |number, is_synchronous| Timeline { number, is_synchronous };
        assert!(at(1, false).may_lack_in(at(2, true)));
        assert!(!at(1, true).may_lack_in(at(2, false)));
        assert!(!at(2, false).may_lack_in(at(2, true)));
        assert!(!at(2, false).may_lack_in(at(1, false)));
    }
}
