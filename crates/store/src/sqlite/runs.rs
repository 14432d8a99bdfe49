//! Reads the recorded syncs.

use super::super::{AppKey, Error, RecordedRun, Run, RunReason, RunResult};
use super::snapshots::counts_from_column;
use super::store::Store;
use super::time;

/// The last runs of an app, newest first.
pub(super) async fn newest(store: &Store, app: &AppKey, limit: u32) -> Result<Vec<Run>, Error> {
    // State that was opened read-only may still have the format of an earlier version.
    let has_reasons: bool = sqlx::query_scalar(
        "SELECT count(*) = 2 FROM pragma_table_info('runs') WHERE name IN ('reason', 'cause')",
    )
    .fetch_one(store.readers())
    .await
    .map_err(|error| store.fault(error))?;
    let rows: Vec<RunRow> = sqlx::query_as(if has_reasons { RUNS_NOW } else { RUNS_BEFORE })
        .bind(app.as_str())
        .bind(limit)
        .fetch_all(store.readers())
        .await
        .map_err(|error| store.fault(error))?;
    rows.into_iter().map(|row| run_of(row, app).map(|recorded| recorded.run)).collect()
}

/// A row of `runs`: its number, start, end, result, reason, detail, cause, pushed and removed records.
pub(crate) type RunRow = (i64, i64, i64, String, Option<String>, String, Option<String>, String, String);

/// The runs of an app, newest first, with a limit.
pub(super) const RUNS_NOW: &str = "SELECT run, started_at, ended_at, result, reason, detail, cause, pushed, removed FROM runs \
     WHERE app = ?1 ORDER BY run DESC LIMIT ?2";

/// The same, for a version that did not store reasons.
const RUNS_BEFORE: &str = "SELECT run, started_at, ended_at, result, NULL, detail, NULL, pushed, removed FROM runs \
     WHERE app = ?1 ORDER BY run DESC LIMIT ?2";

pub(crate) fn run_of(row: RunRow, app: &AppKey) -> Result<RecordedRun, Error> {
    let (id, started_at, ended_at, result, reason, detail, cause, pushed, removed) = row;
    let what = || format!("a sync of app {app}");
    let result = RunResult::ALL
        .into_iter()
        .find(|known| known.as_str() == result)
        .ok_or_else(|| Error::Unreadable { what: what(), detail: format!("its result is {result:?}") })?;
    let run = Run {
        started_at: time::from_column(started_at, &what)?,
        ended_at: time::from_column(ended_at, &what)?,
        result,
        reason: reason.as_deref().map(RunReason::named),
        detail,
        cause,
        pushed: counts_from_column(&pushed, &what)?,
        removed: counts_from_column(&removed, &what)?,
    };
    Ok(RecordedRun { id: id.unsigned_abs(), run })
}
