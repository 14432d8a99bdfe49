//! The schema version of each database.

use std::collections::BTreeMap;

use super::Sqlite;
use crate::Error;

impl Sqlite {
    /// The number of the last migration of each database, by its contents.
    pub async fn schema_versions(&self) -> Result<BTreeMap<&'static str, i64>, Error> {
        let mut versions = BTreeMap::new();
        for (what, store) in [("tasks", self.tasks()), ("listings", self.listings())] {
            let version: Option<i64> = sqlx::query_scalar("SELECT max(version) FROM _sqlx_migrations")
                .fetch_one(store.readers())
                .await
                .map_err(|error| store.fault(error))?;
            versions.insert(what, version.unwrap_or_default());
        }
        Ok(versions)
    }
}
