//! Iden's times of our syncs, and the removals that the operator was shown.

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::PgConnection;

use super::super::sqlite::time;
use super::super::{AppKey, Error, IdenTime, Shown};
use super::open::Postgres;
use super::writer::{Problem, Write};

pub(super) async fn iden_time(state: &Postgres, app: &AppKey) -> Result<IdenTime, Error> {
    let row: Option<(Option<i64>, Option<i64>)> =
        sqlx::query_as("SELECT iden_synced_at, iden_pending_at FROM syncs WHERE app = $1")
            .bind(app.as_str())
            .fetch_optional(state.readers())
            .await
            .map_err(|error| state.fault(error))?;
    let (synced_at, pending) = row.unwrap_or_default();
    let what = || format!("when Iden last heard of a sync of app {app}");
    let read = |column: Option<i64>| column.map(|at| time::from_column(at, &what)).transpose();
    Ok(IdenTime { synced_at: read(synced_at)?, pending_since: read(pending)? })
}

pub(super) async fn shown(state: &Postgres, app: &AppKey) -> Result<Option<Shown>, Error> {
    let row: Option<(Option<i64>, Option<i64>)> =
        sqlx::query_as("SELECT shown_digest, shown_losses FROM syncs WHERE app = $1")
            .bind(app.as_str())
            .fetch_optional(state.readers())
            .await
            .map_err(|error| state.fault(error))?;
    Ok(match row {
        Some((Some(digest), Some(losses))) => {
            Some(Shown { digest: digest.cast_unsigned(), losses: losses.unsigned_abs() })
        }
        _ => None,
    })
}

pub(super) struct SetIdenTime {
    pub(super) app: AppKey,
    pub(super) synced_at: Timestamp,
}

#[async_trait]
impl Write for SetIdenTime {
    type Answer = ();

    fn app(&self) -> Option<&AppKey> {
        Some(&self.app)
    }

    async fn run(&mut self, connection: &mut PgConnection) -> Result<(), Problem> {
        sqlx::query(
            "INSERT INTO syncs (app, under_way, iden_synced_at) VALUES ($1, FALSE, $2) \
             ON CONFLICT (app) DO UPDATE SET iden_synced_at = excluded.iden_synced_at, iden_pending_at = NULL",
        )
        .bind(self.app.as_str())
        .bind(time::to_column(self.synced_at))
        .execute(connection)
        .await?;
        Ok(())
    }
}

pub(super) struct SetShown {
    pub(super) app: AppKey,
    pub(super) shown: Shown,
}

#[async_trait]
impl Write for SetShown {
    type Answer = ();

    fn app(&self) -> Option<&AppKey> {
        Some(&self.app)
    }

    async fn run(&mut self, connection: &mut PgConnection) -> Result<(), Problem> {
        sqlx::query(
            "INSERT INTO syncs (app, under_way, shown_digest, shown_losses) VALUES ($1, FALSE, $2, $3) \
             ON CONFLICT (app) DO UPDATE SET shown_digest = excluded.shown_digest, shown_losses = excluded.shown_losses",
        )
        .bind(self.app.as_str())
        .bind(self.shown.digest.cast_signed())
        .bind(i64::try_from(self.shown.losses).unwrap_or(i64::MAX))
        .execute(connection)
        .await?;
        Ok(())
    }
}
