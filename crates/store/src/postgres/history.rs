//! Statistics over time.

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::PgConnection;

use super::super::history::{KEPT, RUNS_AT_LEAST, RUNS_AT_MOST};
use super::super::sqlite::history::durations_from_column;
use super::super::sqlite::runs::run_of;
use super::super::sqlite::snapshots::{counts_from_column, counts_to_column};
use super::super::sqlite::time;
use super::super::{AppKey, Error, HistoryStore, Hour, RecordedRun, Run};
use super::open::Postgres;
use super::text;
use super::writer::{Problem, Write};

type HourRow = (i64, i64, String, i64, i64, i64, String);

#[async_trait]
impl HistoryStore for Postgres {
    async fn set_hour(&self, app: &AppKey, hour: &Hour) -> Result<(), Error> {
        self.write_listings(SetHour { app: app.clone(), hour: hour.clone() }).await
    }

    async fn hours(&self, app: &AppKey, since: Timestamp) -> Result<Vec<Hour>, Error> {
        let rows: Vec<HourRow> = sqlx::query_as(
            "SELECT at, completed, failed, retried, held, oldest_pending, durations FROM hours \
             WHERE app = $1 AND at >= $2 ORDER BY at",
        )
        .bind(app.as_str())
        .bind(time::to_column(since))
        .fetch_all(self.readers())
        .await
        .map_err(|error| self.fault(error))?;
        let what = || format!("an hour of app {app}");
        rows.into_iter()
            .map(|(at, completed, failed, retried, held, oldest_pending, durations)| {
                Ok(Hour {
                    at: time::from_column(at, &what)?,
                    completed: completed.unsigned_abs(),
                    failed: counts_from_column(&failed, &what)?,
                    retried: retried.unsigned_abs(),
                    held: held.unsigned_abs(),
                    oldest_pending: oldest_pending.unsigned_abs(),
                    durations: durations_from_column(&durations, &what)?,
                })
            })
            .collect()
    }

    async fn recorded_runs(&self, app: &AppKey) -> Result<Vec<RecordedRun>, Error> {
        let rows: Vec<RunRow> = sqlx::query_as(RUNS_NOW)
            .bind(app.as_str())
            .bind(i64::from(RUNS_AT_MOST))
            .fetch_all(self.readers())
            .await
            .map_err(|error| self.fault(error))?;
        rows.into_iter().map(|row| run(row, app)).collect()
    }

    async fn recorded_run(&self, app: &AppKey, id: u64) -> Result<Option<RecordedRun>, Error> {
        let Ok(id) = i64::try_from(id) else { return Ok(None) };
        let row: Option<RunRow> = sqlx::query_as(
            "SELECT run, started_at, ended_at, result, reason, detail, cause, pushed, removed FROM runs \
             WHERE app = $1 AND run = $2",
        )
        .bind(app.as_str())
        .bind(id)
        .fetch_optional(self.readers())
        .await
        .map_err(|error| self.fault(error))?;
        row.map(|row| run(row, app)).transpose()
    }
}

/// A row of `runs`, with this database's types.
type RunRow = (i64, i64, i64, String, Option<String>, Vec<u8>, Option<Vec<u8>>, String, String);

/// The runs of an app, newest first, up to a limit.
const RUNS_NOW: &str = "SELECT run, started_at, ended_at, result, reason, detail, cause, pushed, removed FROM runs \
     WHERE app = $1 ORDER BY run DESC LIMIT $2";

fn run(row: RunRow, app: &AppKey) -> Result<RecordedRun, Error> {
    let (id, started_at, ended_at, result, reason, detail, cause, pushed, removed) = row;
    let what = || format!("a sync of app {app}");
    let detail = text::from_column(detail, &what)?;
    let cause = cause.map(|cause| text::from_column(cause, &what)).transpose()?;
    run_of((id, started_at, ended_at, result, reason, detail, cause, pushed, removed), app)
}

impl Postgres {
    /// The last runs of an app, newest first.
    pub(super) async fn newest_runs(&self, app: &AppKey, limit: u32) -> Result<Vec<Run>, Error> {
        let rows: Vec<RunRow> = sqlx::query_as(RUNS_NOW)
            .bind(app.as_str())
            .bind(i64::from(limit))
            .fetch_all(self.readers())
            .await
            .map_err(|error| self.fault(error))?;
        rows.into_iter().map(|row| run(row, app).map(|recorded| recorded.run)).collect()
    }
}

struct SetHour {
    app: AppKey,
    hour: Hour,
}

#[async_trait]
impl Write for SetHour {
    type Answer = ();

    fn app(&self) -> Option<&AppKey> {
        Some(&self.app)
    }

    async fn run(&mut self, connection: &mut PgConnection) -> Result<(), Problem> {
        let (app, hour) = (&self.app, &self.hour);
        let column = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        sqlx::query(
            "INSERT INTO hours (app, at, completed, failed, retried, held, oldest_pending, durations) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (app, at) DO UPDATE SET \
             completed = excluded.completed, failed = excluded.failed, retried = excluded.retried, held = excluded.held, \
             oldest_pending = excluded.oldest_pending, durations = excluded.durations",
        )
        .bind(app.as_str())
        .bind(time::to_column(hour.at))
        .bind(column(hour.completed))
        .bind(counts_to_column(&hour.failed))
        .bind(column(hour.retried))
        .bind(column(hour.held))
        .bind(column(hour.oldest_pending))
        .bind(serde_json::json!(hour.durations).to_string())
        .execute(&mut *connection)
        .await?;
        let forgotten = hour.at.saturating_sub(KEPT).unwrap_or(Timestamp::MIN);
        sqlx::query("DELETE FROM hours WHERE app = $1 AND at < $2")
            .bind(app.as_str())
            .bind(time::to_column(forgotten))
            .execute(connection)
            .await?;
        Ok(())
    }
}

/// Removes runs of an app that are no longer kept, given the end of the latest one.
pub(super) async fn drop_old_runs(
    connection: &mut PgConnection,
    app: &AppKey,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    const OLD: &str = "DELETE FROM runs WHERE app = $1 AND ($3::bigint IS NULL OR ended_at < $3) AND run <= \
        (SELECT run FROM runs WHERE app = $1 ORDER BY run DESC LIMIT 1 OFFSET $2)";
    let forgotten = time::to_column(now.saturating_sub(KEPT).unwrap_or(Timestamp::MIN));
    for (kept, before) in [(RUNS_AT_LEAST, Some(forgotten)), (RUNS_AT_MOST, None)] {
        let dropped = sqlx::query(OLD).bind(app.as_str()).bind(i64::from(kept)).bind(before);
        dropped.execute(&mut *connection).await?;
    }
    Ok(())
}
