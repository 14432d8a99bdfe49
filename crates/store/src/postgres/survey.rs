//! Examines the database for operators who set it up. Writes nothing.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use sqlx::Connection;

use super::super::{AppKey, Error, StateStore};
use super::connect::Server;
use super::open::{self, Postgres, Settings};
use super::owners::{self, Owner};

/// The result.
#[derive(Clone, Debug)]
pub struct Survey {
    /// The server's version, as it names it.
    pub version: String,
    /// The version of the tables; `None` if there are none yet.
    pub tables: Option<i64>,
    /// Whether the role may create tables.
    pub may_create: bool,
    /// The owners of all apps.
    pub owners: Vec<Owner>,
}

impl Postgres {
    /// Connects to the server and checks whether it can hold state, as opening the state would.
    pub async fn survey(settings: &Settings) -> Result<Survey, Error> {
        let server = Server::of(settings);
        let fault = |error| server.fault(error);
        let mut connection = server.check().await?;
        let (version, may_create): (String, bool) = sqlx::query_as(
            "SELECT current_setting('server_version'), \
             coalesce(has_schema_privilege(current_schema(), 'CREATE'), FALSE)",
        )
        .fetch_one(&mut connection)
        .await
        .map_err(fault)?;
        let (mut tables, mut owners) = (None, Vec::new());
        if open::is_made(&server, &mut connection).await? {
            tables = Some(open::refuse_newer(&server, &mut connection).await?);
            open::refuse_moved(&server, &mut connection).await?;
            owners = owners::all(&server, &mut connection).await?;
        }
        drop(connection.close().await);
        Ok(Survey { version, tables, may_create, owners })
    }

    /// The size of each table with its indexes, in bytes.
    pub async fn sizes(&self) -> Result<BTreeMap<String, u64>, Error> {
        let rows: Vec<(String, i64)> = sqlx::query_as(
            "SELECT relname::text, pg_total_relation_size(oid) FROM pg_class \
             WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace",
        )
        .fetch_all(self.readers())
        .await
        .map_err(|error| self.fault(error))?;
        Ok(rows.into_iter().map(|(table, bytes)| (table, bytes.unsigned_abs())).collect())
    }
}

#[async_trait]
impl StateStore for Postgres {
    async fn known_apps(&self) -> Result<Vec<AppKey>, Error> {
        let rows: Vec<String> = sqlx::query_scalar("SELECT app FROM tasks UNION SELECT app FROM runs")
            .fetch_all(self.readers())
            .await
            .map_err(|error| self.fault(error))?;
        let apps: BTreeSet<AppKey> = rows.iter().filter_map(|app| app.parse().ok()).collect();
        Ok(apps.into_iter().collect())
    }

    async fn versions(&self) -> Result<BTreeMap<&'static str, i64>, Error> {
        let version: Option<i64> = sqlx::query_scalar("SELECT max(version) FROM _sqlx_migrations")
            .fetch_one(self.readers())
            .await
            .map_err(|error| self.fault(error))?;
        Ok(BTreeMap::from([("state", version.unwrap_or_default())]))
    }

    async fn shut(&self, is_over: bool) {
        self.end(is_over).await;
    }
}
