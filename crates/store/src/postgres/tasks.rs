//! The journal's reads, and the writes that are passed to the writer.

use std::collections::HashMap;

use async_trait::async_trait;
use bridgehead_sdk::TaskId;
use jiff::Timestamp;
use serde_json::Value;
use sqlx::{FromRow, PgConnection};

use super::super::sqlite::entry::{self, name};
use super::super::sqlite::{secure_delete, time};
use super::super::{
    AppKey, AttemptStep, Counts, Doubt, Entry, Error, Held, Intent, Known, Outcome, Pause, ReportResult,
    RetainedOutcome, TaskJournal,
};
use super::attempts;
use super::holds::Change;
use super::open::Postgres;
use super::text;
use super::writer::{Problem, Write};

/// The number of ended tasks that one write removes, so that other writes do not wait for long.
const PRUNED_AT_ONCE: i64 = 1000;

/// The maximum number of tasks per query.
const ASKED_AT_ONCE: usize = 10_000;

#[async_trait]
impl TaskJournal for Postgres {
    async fn intent(&self, app: &AppKey, intent: &Intent) -> Result<(), Error> {
        let (app, intent) = (app.clone(), intent.clone());
        self.write_tasks(WriteIntent { app: app.clone(), intent }).await?;
        // The caller may start a call after this returns, which this node may do only while its lease is valid.
        self.may_start(&app)
    }

    async fn not_applied(&self, app: &AppKey, task: &TaskId) -> Result<(), Error> {
        let (app, task) = (app.clone(), task.clone());
        self.write_tasks(NotApplied { app, task }).await
    }

    async fn record_outcome(&self, app: &AppKey, identity: &Intent, outcome: &Outcome) -> Result<(), Error> {
        let (app, identity, outcome) = (app.clone(), identity.clone(), outcome.clone());
        self.write_tasks(Decide { app, identity, outcome }).await
    }

    async fn ended(
        &self,
        app: &AppKey,
        task: &TaskId,
        ended: &ReportResult,
        at: Timestamp,
    ) -> Result<(), Error> {
        let (app, task, ended) = (app.clone(), task.clone(), ended.clone());
        self.write_tasks(End { app, task, ended, at }).await
    }

    async fn forget(&self, app: &AppKey, task: &TaskId) -> Result<(), Error> {
        let (app, task) = (app.clone(), task.clone());
        self.write_tasks(Forget { app, task }).await
    }

    async fn open(&self, app: &AppKey) -> Result<Vec<Entry>, Error> {
        // All tasks that have not ended. A state that this version does not know thus results in an error instead of a lost task.
        let statement = "SELECT * FROM tasks WHERE app = $1 AND state <> 'ended'";
        self.entries(sqlx::query_as(statement).bind(app.as_str())).await
    }

    async fn entry(&self, app: &AppKey, task: &TaskId) -> Result<Option<Entry>, Error> {
        let statement = "SELECT * FROM tasks WHERE app = $1 AND task = $2";
        let query = sqlx::query_as(statement).bind(app.as_str()).bind(task.as_str().as_bytes());
        Ok(self.entries(query).await?.pop())
    }

    async fn known(&self, app: &AppKey, tasks: &[TaskId]) -> Result<HashMap<TaskId, Known>, Error> {
        let mut known = HashMap::new();
        for piece in tasks.chunks(ASKED_AT_ONCE) {
            let named: Vec<&[u8]> = piece.iter().map(|task| task.as_str().as_bytes()).collect();
            let rows: Vec<(Vec<u8>, String)> =
                sqlx::query_as("SELECT task, state FROM tasks WHERE app = $1 AND task = ANY($2)")
                    .bind(app.as_str())
                    .bind(named)
                    .fetch_all(self.readers())
                    .await
                    .map_err(|error| self.fault(error))?;
            for (task, state) in rows {
                let task = text::from_column(task, &|| "the id of a task".to_owned())?;
                let state = entry::known(&task, &state)?;
                known.insert(TaskId::new(task), state);
            }
        }
        Ok(known)
    }

    async fn rejected(&self, app: &AppKey) -> Result<Vec<Entry>, Error> {
        let statement = "SELECT * FROM tasks \
             WHERE app = $1 AND state = 'ended' AND ended = 'rejected'";
        self.entries(sqlx::query_as(statement).bind(app.as_str())).await
    }

    async fn counts(&self, app: &AppKey) -> Result<Counts, Error> {
        let statement = "SELECT state, ended, count(*) FROM tasks WHERE app = $1 GROUP BY state, ended";
        let rows: Vec<(String, Option<String>, i64)> = sqlx::query_as(statement)
            .bind(app.as_str())
            .fetch_all(self.readers())
            .await
            .map_err(|error| self.fault(error))?;
        let mut counts = Counts::default();
        for (state, ended, count) in rows {
            let counter = match (state.as_str(), ended.as_deref()) {
                (name::INTENDED, _) => &mut counts.intended,
                (name::DECIDED, _) => &mut counts.decided,
                (name::ENDED, Some(name::ACCEPTED)) => &mut counts.ended_accepted,
                (name::ENDED, Some(name::CONFLICT)) => &mut counts.ended_conflict,
                (name::ENDED, Some(name::MISSING)) => &mut counts.ended_missing,
                (name::ENDED, Some(name::REJECTED)) => &mut counts.rejected,
                _ => {
                    return Err(Error::Unreadable {
                        what: format!("the journal of app {app}"),
                        detail: format!("{count} tasks are {state:?} with the end {ended:?}"),
                    });
                }
            };
            *counter += count.unsigned_abs();
        }
        Ok(counts)
    }

    async fn destructive_since(&self, app: &AppKey, since: Timestamp) -> Result<Vec<Timestamp>, Error> {
        self.calls_since(app, since).await
    }

    async fn hold(&self, app: &AppKey, tasks: &[TaskId], at: Timestamp) -> Result<(), Error> {
        self.change_holds(app, tasks, Change::Hold { at }).await
    }

    async fn release(&self, app: &AppKey, tasks: &[TaskId], at: Timestamp) -> Result<(), Error> {
        self.change_holds(app, tasks, Change::Release { at }).await
    }

    async fn unhold(&self, app: &AppKey, tasks: &[TaskId]) -> Result<(), Error> {
        self.change_holds(app, tasks, Change::Forget).await
    }

    async fn held(&self, app: &AppKey) -> Result<Vec<Held>, Error> {
        self.holds(app).await
    }

    async fn note_attempts(&self, app: &AppKey, task: &TaskId, steps: &[AttemptStep]) -> Result<(), Error> {
        self.add_steps(app, task, steps).await
    }

    async fn attempts(&self, app: &AppKey, task: &TaskId) -> Result<Vec<AttemptStep>, Error> {
        self.steps(app, task).await
    }

    async fn pause(&self, app: &AppKey, pause: &Pause) -> Result<(), Error> {
        self.set_pause(app, Some(pause)).await
    }

    async fn resume(&self, app: &AppKey) -> Result<(), Error> {
        self.set_pause(app, None).await
    }

    async fn paused(&self, app: &AppKey) -> Result<Option<Pause>, Error> {
        self.pause_of(app).await
    }

    async fn prune(&self, app: &AppKey, before: Timestamp) -> Result<u64, Error> {
        self.prune_releases(app, before).await?;
        self.prune_doubts(before).await?;
        let mut pruned = 0;
        loop {
            let removed = self.write_tasks(Prune { app: app.clone(), before }).await?;
            pruned += removed;
            if removed < PRUNED_AT_ONCE.unsigned_abs() {
                break;
            }
        }
        self.prune_steps(app, before).await?;
        Ok(pruned)
    }

    async fn doubted(&self, app: &AppKey) -> Result<Option<Doubt>, Error> {
        self.doubt(app).await
    }

    async fn settle_new(&self, app: &AppKey, synced_before: bool) -> Result<(), Error> {
        self.settle(app, synced_before).await
    }

    async fn verify(&self) -> Result<(), Error> {
        self.in_place().await
    }
}

/// A row of `tasks`, without `app`.
#[derive(FromRow)]
struct Row {
    task: Vec<u8>,
    action: Vec<u8>,
    created_at: Option<i64>,
    keys: Vec<u8>,
    attempt: i64,
    first_intent_at: i64,
    last_intent_at: i64,
    state: String,
    status: Option<String>,
    code: Option<String>,
    message: Option<Vec<u8>>,
    ended: Option<String>,
    detail: Option<Vec<u8>>,
    outcome: Option<Vec<u8>>,
    may_have_applied: bool,
    prior: Option<String>,
    kept: Option<String>,
    ended_at: Option<i64>,
}

impl Row {
    /// Converts it to a row of SQLite, so that only one place interprets rows.
    fn into_row(self) -> Result<entry::Row, Error> {
        let task = text::from_column(self.task, &|| "the id of a task".to_owned())?;
        let read = |bytes| text::from_column(bytes, &|| format!("task {task} in the journal"));
        Ok(entry::Row {
            action: read(self.action)?,
            message: self.message.map(read).transpose()?,
            detail: self.detail.map(read).transpose()?,
            created_at: self.created_at,
            keys: self.keys,
            attempt: self.attempt,
            first_intent_at: self.first_intent_at,
            last_intent_at: self.last_intent_at,
            state: self.state,
            status: self.status,
            code: self.code,
            ended: self.ended,
            outcome: self.outcome,
            may_have_applied: self.may_have_applied,
            prior: self.prior,
            kept: self.kept,
            ended_at: self.ended_at,
            task,
        })
    }
}

type Query<'q> = sqlx::query::QueryAs<'q, sqlx::Postgres, Row, sqlx::postgres::PgArguments>;

impl Postgres {
    async fn entries(&self, query: Query<'_>) -> Result<Vec<Entry>, Error> {
        let rows = query.fetch_all(self.readers()).await.map_err(|error| self.fault(error))?;
        let mut rows = rows.into_iter().map(Row::into_row).collect::<Result<Vec<_>, Error>>()?;
        rows.sort_by(|one, other| one.age().cmp(&other.age()));
        rows.into_iter().map(entry::Row::into_entry).collect()
    }
}

struct WriteIntent {
    app: AppKey,
    intent: Intent,
}

#[async_trait]
impl Write for WriteIntent {
    type Answer = ();

    fn app(&self) -> Option<&AppKey> {
        Some(&self.app)
    }

    async fn run(&mut self, connection: &mut PgConnection) -> Result<(), Problem> {
        let intent = &self.intent;
        match standing(connection, &self.app, &intent.task).await? {
            None => insert(&mut *connection, &self.app, intent).await?,
            Some((Known::Intended, _)) => {
                sqlx::query(
                    "UPDATE tasks SET action = $3, created_at = $4, keys = $5, attempt = greatest(attempt, $6), \
                     last_intent_at = $7, may_have_applied = TRUE WHERE app = $1 AND task = $2",
                )
                .bind(self.app.as_str())
                .bind(intent.task.as_str().as_bytes())
                .bind(intent.action.as_bytes())
                .bind(intent.created_at.map(time::to_column))
                .bind(entry::keys_to_column(&intent.keys))
                .bind(i64::from(intent.attempt))
                .bind(time::to_column(intent.at))
                .execute(&mut *connection)
                .await?;
            }
            Some((Known::Decided | Known::Ended, _)) => {
                return Err(decided(&intent.task));
            }
        }
        attempts::add(connection, &self.app, &intent.task, &intent.steps).await
    }
}

struct NotApplied {
    app: AppKey,
    task: TaskId,
}

#[async_trait]
impl Write for NotApplied {
    type Answer = ();

    fn app(&self) -> Option<&AppKey> {
        Some(&self.app)
    }

    async fn run(&mut self, connection: &mut PgConnection) -> Result<(), Problem> {
        sqlx::query(
            "UPDATE tasks SET may_have_applied = FALSE WHERE app = $1 AND task = $2 AND state = 'intended'",
        )
        .bind(self.app.as_str())
        .bind(self.task.as_str().as_bytes())
        .execute(connection)
        .await?;
        Ok(())
    }
}

struct Decide {
    app: AppKey,
    identity: Intent,
    outcome: Outcome,
}

#[async_trait]
impl Write for Decide {
    type Answer = ();

    fn app(&self) -> Option<&AppKey> {
        Some(&self.app)
    }

    async fn run(&mut self, connection: &mut PgConnection) -> Result<(), Problem> {
        let task = &self.identity.task;
        match standing(connection, &self.app, task).await? {
            None => insert(connection, &self.app, &self.identity).await?,
            Some((Known::Intended, _)) => {}
            Some((Known::Decided, sealed)) => {
                let first = entry::outcome(task.as_str(), sealed.as_deref())?;
                return if first == self.outcome { Ok(()) } else { Err(decided(task)) };
            }
            Some((Known::Ended, _)) => return Err(decided(task)),
        }
        let (status, code) = match &self.outcome {
            Outcome::Completed { .. } => (name::COMPLETED, None),
            Outcome::Failed { code, .. } => (name::FAILED, Some(code.as_str())),
        };
        let sealed = secure_delete::seal(&self.outcome).map_err(|_| {
            entry::unreadable(task.as_str(), "its outcome cannot be written as JSON".to_owned())
        })?;
        sqlx::query(
            "UPDATE tasks SET state = 'decided', status = $3, code = $4, outcome = $5 \
             WHERE app = $1 AND task = $2",
        )
        .bind(self.app.as_str())
        .bind(task.as_str().as_bytes())
        .bind(status)
        .bind(code)
        .bind(sealed)
        .execute(&mut *connection)
        .await?;
        attempts::add(connection, &self.app, task, &self.identity.steps).await
    }
}

struct End {
    app: AppKey,
    task: TaskId,
    ended: ReportResult,
    at: Timestamp,
}

#[async_trait]
impl Write for End {
    type Answer = ();

    fn app(&self) -> Option<&AppKey> {
        Some(&self.app)
    }

    async fn run(&mut self, connection: &mut PgConnection) -> Result<(), Problem> {
        let (message, kept) = match standing(connection, &self.app, &self.task).await? {
            None | Some((Known::Intended, _)) => {
                let task = self.task.clone();
                return Err(Error::NotDecided { task }.into());
            }
            Some((Known::Decided, sealed)) => {
                match RetainedOutcome::of(entry::outcome(self.task.as_str(), sealed.as_deref())?) {
                    RetainedOutcome::Completed { result } => {
                        (None, result.map(|kept| Value::Object(kept).to_string()))
                    }
                    RetainedOutcome::Failed { message, .. } => (message.map(String::into_bytes), None),
                }
            }
            Some((Known::Ended, _)) => {
                let (ended, message, kept): (Option<String>, Option<Vec<u8>>, Option<String>) =
                    sqlx::query_as("SELECT ended, message, kept FROM tasks WHERE app = $1 AND task = $2")
                        .bind(self.app.as_str())
                        .bind(self.task.as_str().as_bytes())
                        .fetch_one(&mut *connection)
                        .await?;
                if ended.as_deref() != Some(name::REJECTED) {
                    sqlx::query(
                        "UPDATE tasks SET ended_at = greatest(ended_at, $3) WHERE app = $1 AND task = $2",
                    )
                    .bind(self.app.as_str())
                    .bind(self.task.as_str().as_bytes())
                    .bind(time::to_column(self.at))
                    .execute(connection)
                    .await?;
                    return Ok(());
                }
                (message, kept)
            }
        };
        let (ended, detail) = match &self.ended {
            ReportResult::Accepted => (name::ACCEPTED, None),
            ReportResult::Conflict => (name::CONFLICT, None),
            ReportResult::Missing => (name::MISSING, None),
            ReportResult::Rejected { detail } => (name::REJECTED, Some(detail.as_bytes())),
        };
        sqlx::query(
            "UPDATE tasks SET state = 'ended', ended = $3, detail = $4, message = $5, ended_at = $6, \
             kept = $7, outcome = NULL WHERE app = $1 AND task = $2",
        )
        .bind(self.app.as_str())
        .bind(self.task.as_str().as_bytes())
        .bind(ended)
        .bind(detail)
        .bind(message)
        .bind(time::to_column(self.at))
        .bind(kept)
        .execute(connection)
        .await?;
        Ok(())
    }
}

struct Forget {
    app: AppKey,
    task: TaskId,
}

#[async_trait]
impl Write for Forget {
    type Answer = ();

    fn app(&self) -> Option<&AppKey> {
        Some(&self.app)
    }

    async fn run(&mut self, connection: &mut PgConnection) -> Result<(), Problem> {
        match standing(connection, &self.app, &self.task).await? {
            None => {}
            Some((Known::Intended, _)) => {
                sqlx::query("DELETE FROM tasks WHERE app = $1 AND task = $2 AND state = 'intended'")
                    .bind(self.app.as_str())
                    .bind(self.task.as_str().as_bytes())
                    .execute(&mut *connection)
                    .await?;
            }
            Some((Known::Decided | Known::Ended, _)) => return Err(decided(&self.task)),
        }
        attempts::remove(connection, &self.app, self.task.as_str().as_bytes()).await
    }
}

struct Prune {
    app: AppKey,
    before: Timestamp,
}

#[async_trait]
impl Write for Prune {
    type Answer = u64;

    fn app(&self) -> Option<&AppKey> {
        Some(&self.app)
    }

    async fn run(&mut self, connection: &mut PgConnection) -> Result<u64, Problem> {
        let tasks: Vec<Vec<u8>> = sqlx::query_scalar(
            "SELECT task FROM tasks WHERE state = 'ended' AND ended <> 'rejected' AND ended_at < $1 AND app = $3 \
             LIMIT $2",
        )
        .bind(time::to_column(self.before))
        .bind(PRUNED_AT_ONCE)
        .bind(self.app.as_str())
        .fetch_all(&mut *connection)
        .await?;
        for task in &tasks {
            attempts::remove(&mut *connection, &self.app, task).await?;
            sqlx::query("DELETE FROM tasks WHERE app = $1 AND task = $2")
                .bind(self.app.as_str())
                .bind(task)
                .execute(&mut *connection)
                .await?;
        }
        Ok(tasks.len() as u64)
    }
}

/// The state of a task, and its sealed outcome.
type Standing = Option<(Known, Option<Vec<u8>>)>;

async fn standing(connection: &mut PgConnection, app: &AppKey, task: &TaskId) -> Result<Standing, Problem> {
    let row: Option<(String, Option<Vec<u8>>)> =
        sqlx::query_as("SELECT state, outcome FROM tasks WHERE app = $1 AND task = $2")
            .bind(app.as_str())
            .bind(task.as_str().as_bytes())
            .fetch_optional(connection)
            .await?;
    match row {
        None => Ok(None),
        Some((state, outcome)) => Ok(Some((entry::known(task.as_str(), &state)?, outcome))),
    }
}

async fn insert(connection: &mut PgConnection, app: &AppKey, intent: &Intent) -> Result<(), Problem> {
    sqlx::query(
        "INSERT INTO tasks (app, task, action, created_at, keys, attempt, first_intent_at, last_intent_at, \
         state, prior) VALUES ($1, $2, $3, $4, $5, $6, $7, $7, 'intended', $8)",
    )
    .bind(app.as_str())
    .bind(intent.task.as_str().as_bytes())
    .bind(intent.action.as_bytes())
    .bind(intent.created_at.map(time::to_column))
    .bind(entry::keys_to_column(&intent.keys))
    .bind(i64::from(intent.attempt))
    .bind(time::to_column(intent.at))
    .bind(entry::prior_to_column(&intent.prior))
    .execute(connection)
    .await?;
    Ok(())
}

fn decided(task: &TaskId) -> Problem {
    Error::AlreadyDecided { task: task.clone() }.into()
}
