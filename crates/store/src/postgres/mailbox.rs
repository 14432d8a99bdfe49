//! Requests of operators between nodes, as rows.

use async_trait::async_trait;
use sqlx::FromRow;
use uuid::Uuid;

use super::super::lease::{Mailbox, Progress, Request};
use super::super::{AppKey, Error};
use super::open::Postgres;

/// Sends a request. Removes what nobody has fetched for a day, such as the answer to a node that has crashed since.
const SEND: &str = "WITH old AS (DELETE FROM requests WHERE asked_at < clock_timestamp() - interval '1 day') \
     INSERT INTO requests (id, app, process, actor, body, asked_at) VALUES ($1, $2, $3, $4, $5, clock_timestamp())";

/// Takes new requests. The sender of an older one has stopped waiting, and a database that was restored may contain it again.
const TAKE: &str = "UPDATE requests SET taken_at = clock_timestamp() WHERE process = $1 AND taken_at IS NULL \
     AND asked_at > clock_timestamp() - interval '1 minute' RETURNING id, app, actor, body";

#[derive(FromRow)]
struct Taken {
    id: String,
    app: String,
    actor: String,
    body: Vec<u8>,
}

#[async_trait]
impl Mailbox for Postgres {
    async fn send(&self, app: &AppKey, process: &str, actor: &str, body: &[u8]) -> Result<String, Error> {
        let id = Uuid::new_v4().simple().to_string();
        sqlx::query(SEND)
            .bind(&id)
            .bind(app.as_str())
            .bind(process)
            .bind(actor)
            .bind(body)
            .execute(self.readers())
            .await
            .map_err(|error| self.fault(error))?;
        Ok(id)
    }

    async fn progress(&self, id: &str) -> Result<Progress, Error> {
        let found: Option<(bool, Option<Vec<u8>>)> =
            sqlx::query_as("SELECT taken_at IS NOT NULL, answer FROM requests WHERE id = $1")
                .bind(id)
                .fetch_optional(self.readers())
                .await
                .map_err(|error| self.fault(error))?;
        Ok(match found {
            None => Progress::Gone,
            Some((_, Some(answer))) => Progress::Answered(answer),
            Some((true, None)) => Progress::Taken,
            Some((false, None)) => Progress::Waiting,
        })
    }

    async fn withdraw(&self, id: &str) -> Result<bool, Error> {
        let done =
            sqlx::query("DELETE FROM requests WHERE id = $1 AND (taken_at IS NULL OR answer IS NOT NULL)")
                .bind(id)
                .execute(self.readers())
                .await
                .map_err(|error| self.fault(error))?;
        Ok(done.rows_affected() > 0)
    }

    async fn take(&self) -> Result<Vec<Request>, Error> {
        let rows: Vec<Taken> = sqlx::query_as(TAKE)
            .bind(&self.node().process)
            .fetch_all(self.readers())
            .await
            .map_err(|error| self.fault(error))?;
        // An app whose id cannot be read is not from any version of bridgehead, and is not answered.
        let request = |row: Taken| {
            let app = row.app.parse().ok()?;
            Some(Request { id: row.id, app, actor: row.actor, body: row.body })
        };
        Ok(rows.into_iter().filter_map(request).collect())
    }

    async fn answer(&self, id: &str, body: &[u8]) -> Result<(), Error> {
        sqlx::query("UPDATE requests SET answer = $2 WHERE id = $1")
            .bind(id)
            .bind(body)
            .execute(self.readers())
            .await
            .map_err(|error| self.fault(error))?;
        Ok(())
    }
}
