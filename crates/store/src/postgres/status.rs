//! The status of apps that other nodes run, as rows.

use async_trait::async_trait;
use sqlx::FromRow;

use super::super::lease::{Reported, SharedStatus};
use super::super::{AppKey, Error};
use super::open::Postgres;
use super::owners::from_milliseconds;

/// Replaces what was reported. Removes apps that nobody has reported for a day, such as those that were removed from the configuration.
const REPORT: &str = "WITH old AS (DELETE FROM reported WHERE at < clock_timestamp() - interval '1 day') \
     INSERT INTO reported (app, process, body, at) \
     SELECT told.app, $1, told.body, clock_timestamp() FROM unnest($2::text[], $3::bytea[]) AS told (app, body) \
     JOIN owners ON owners.app = told.app AND owners.process = $1 AND NOT owners.is_released \
     ON CONFLICT (app) DO UPDATE SET process = excluded.process, body = excluded.body, at = excluded.at";

const REPORTED: &str = "SELECT reported.app, body, \
     (extract(epoch FROM clock_timestamp() - at) * 1000)::bigint AS age \
     FROM reported JOIN owners ON owners.app = reported.app AND owners.process = reported.process \
     WHERE NOT owners.is_released AND owners.process <> $1";

#[derive(FromRow)]
struct Row {
    app: String,
    body: Vec<u8>,
    age: i64,
}

#[async_trait]
impl SharedStatus for Postgres {
    async fn report(&self, apps: &[(AppKey, Vec<u8>)]) -> Result<(), Error> {
        let (keys, bodies): (Vec<&str>, Vec<&[u8]>) =
            apps.iter().map(|(app, body)| (app.as_str(), body.as_slice())).unzip();
        sqlx::query(REPORT)
            .bind(&self.node().process)
            .bind(keys)
            .bind(bodies)
            .execute(self.readers())
            .await
            .map_err(|error| self.fault(error))?;
        Ok(())
    }

    async fn reported(&self) -> Result<Vec<Reported>, Error> {
        let rows: Vec<Row> = sqlx::query_as(REPORTED)
            .bind(&self.node().process)
            .fetch_all(self.readers())
            .await
            .map_err(|error| self.fault(error))?;
        let told =
            |row: Row| Reported { app: row.app, body: row.body, age: from_milliseconds(row.age.max(0)) };
        Ok(rows.into_iter().map(told).collect())
    }
}
