//! Stored doubts about the journal.

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::SqliteConnection;

use super::super::{AppKey, Doubt, Error, Reason};
use super::open::Sqlite;
use super::time;
use super::writer::{Problem, Write};

impl Sqlite {
    /// The doubt that covers the most, definite ones first.
    pub(super) async fn doubt(&self, app: &AppKey) -> Result<Option<Doubt>, Error> {
        let store = self.tasks();
        let rows: Vec<(i64, i64, String)> = sqlx::query_as("SELECT found_at, until, reason FROM doubts")
            .fetch_all(store.readers())
            .await
            .map_err(|error| store.fault(error))?;
        if rows.is_empty() {
            return Ok(None);
        }
        let synced_before: Option<bool> =
            sqlx::query_scalar("SELECT synced_before <> 0 FROM new_apps WHERE app = ?1")
                .bind(app.as_str())
                .fetch_optional(store.readers())
                .await
                .map_err(|error| store.fault(error))?;
        let mut doubts = Vec::new();
        for row in rows {
            doubts.extend(of_app(doubt(row)?, synced_before));
        }
        Ok(doubts.into_iter().max_by_key(|doubt| (!doubt.is_question(), doubt.until)))
    }

    pub(super) async fn settle(&self, app: &AppKey, synced_before: bool) -> Result<(), Error> {
        self.tasks().write(Settle { app: app.clone(), synced_before }).await
    }

    pub(super) async fn prune_doubts(&self, before: Timestamp) -> Result<(), Error> {
        let store = self.tasks();
        let old: bool = sqlx::query_scalar("SELECT count(*) > 0 FROM doubts WHERE until < ?1")
            .bind(time::to_column(before))
            .fetch_one(store.readers())
            .await
            .map_err(|error| store.fault(error))?;
        if old { store.write(Prune { before }).await } else { Ok(()) }
    }
}

/// Applies Iden's answer about an app to a doubt about the folder.
pub(crate) fn of_app(doubt: Doubt, synced_before: Option<bool>) -> Option<Doubt> {
    match (doubt.reason, synced_before) {
        (Reason::New, Some(false)) => None,
        (Reason::New, Some(true)) => Some(Doubt { reason: Reason::NewButSynced, ..doubt }),
        _ => Some(doubt),
    }
}

pub(crate) fn doubt((found_at, until, reason): (i64, i64, String)) -> Result<Doubt, Error> {
    let what = || "a doubt about the journal".to_owned();
    let reason = Reason::ALL.into_iter().find(|known| known.as_str() == reason);
    Ok(Doubt {
        found_at: time::from_column(found_at, &what)?,
        until: time::from_column(until, &what)?,
        reason: reason.ok_or_else(|| Error::Unreadable {
            what: what(),
            detail: "this version does not know its reason".to_owned(),
        })?,
    })
}

struct Settle {
    app: AppKey,
    synced_before: bool,
}

#[async_trait]
impl Write for Settle {
    type Answer = ();
    const NAME: &'static str = "settle_new";

    async fn run(&mut self, connection: &mut SqliteConnection) -> Result<(), Problem> {
        sqlx::query("INSERT INTO new_apps (app, synced_before) VALUES (?1, ?2) ON CONFLICT DO NOTHING")
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
    const NAME: &'static str = "prune_doubts";

    async fn run(&mut self, connection: &mut SqliteConnection) -> Result<(), Problem> {
        sqlx::query("DELETE FROM doubts WHERE until < ?1")
            .bind(time::to_column(self.before))
            .execute(connection)
            .await?;
        Ok(())
    }
}
