//! Stored doubts about the journal.

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::PgConnection;

use super::super::sqlite::doubts::{doubt, of_app};
use super::super::sqlite::time;
use super::super::{AppKey, Doubt, Error};
use super::open::Postgres;
use super::writer::{Problem, Write};

impl Postgres {
    /// The doubt that covers the most, definite ones first.
    pub(super) async fn doubt(&self, app: &AppKey) -> Result<Option<Doubt>, Error> {
        let rows: Vec<(i64, i64, String)> = sqlx::query_as("SELECT found_at, until, reason FROM doubts")
            .fetch_all(self.readers())
            .await
            .map_err(|error| self.fault(error))?;
        if rows.is_empty() {
            return Ok(None);
        }
        let synced_before: Option<bool> =
            sqlx::query_scalar("SELECT synced_before FROM new_apps WHERE app = $1")
                .bind(app.as_str())
                .fetch_optional(self.readers())
                .await
                .map_err(|error| self.fault(error))?;
        let mut doubts = Vec::new();
        for row in rows {
            doubts.extend(of_app(doubt(row)?, synced_before));
        }
        Ok(doubts.into_iter().max_by_key(|doubt| (!doubt.is_question(), doubt.until)))
    }

    pub(super) async fn settle(&self, app: &AppKey, synced_before: bool) -> Result<(), Error> {
        self.write_tasks(Settle { app: app.clone(), synced_before }).await
    }

    pub(super) async fn prune_doubts(&self, before: Timestamp) -> Result<(), Error> {
        let old: bool = sqlx::query_scalar("SELECT count(*) > 0 FROM doubts WHERE until < $1")
            .bind(time::to_column(before))
            .fetch_one(self.readers())
            .await
            .map_err(|error| self.fault(error))?;
        if old { self.write_tasks(Prune { before }).await } else { Ok(()) }
    }
}

struct Settle {
    app: AppKey,
    synced_before: bool,
}

#[async_trait]
impl Write for Settle {
    type Answer = ();

    fn app(&self) -> Option<&AppKey> {
        Some(&self.app)
    }

    async fn run(&mut self, connection: &mut PgConnection) -> Result<(), Problem> {
        sqlx::query("INSERT INTO new_apps (app, synced_before) VALUES ($1, $2) ON CONFLICT DO NOTHING")
            .bind(self.app.as_str())
            .bind(self.synced_before)
            .execute(connection)
            .await?;
        Ok(())
    }
}

struct Prune {
    before: Timestamp,
}

#[async_trait]
impl Write for Prune {
    type Answer = ();

    fn app(&self) -> Option<&AppKey> {
        None
    }

    async fn run(&mut self, connection: &mut PgConnection) -> Result<(), Problem> {
        sqlx::query("DELETE FROM doubts WHERE until < $1")
            .bind(time::to_column(self.before))
            .execute(connection)
            .await?;
        Ok(())
    }
}
