//! The journal's reads, and the writes that are passed to the writer.

use std::collections::HashMap;
use std::sync::LazyLock;

use async_trait::async_trait;
use bridgehead_sdk::TaskId;
use jiff::Timestamp;
use serde_json::Value;
use sqlx::{AssertSqlSafe, SqliteConnection};

use super::super::{
    AppKey, AttemptStep, Counts, Doubt, Entry, Error, Held, Intent, Known, Outcome, Pause, ReportResult,
    RetainedOutcome, TaskJournal,
};
use super::attempts;
use super::chunks::{Statements, parameters};
use super::entry::{self, Row, name};
use super::grouped::{self, Shared};
use super::holds::Change;
use super::open::Sqlite;
use super::outcomes::OUTCOME;
use super::time;
use super::writer::{Maintenance, Problem, Write};

/// The number of ended tasks that one write removes, so that other writes do not wait for long.
const PRUNED_AT_ONCE: i64 = 1000;

static KNOWN: LazyLock<Statements> = LazyLock::new(|| {
    Statements::new(|size| {
        format!("SELECT task, state FROM tasks WHERE app = ? AND task IN ({})", parameters(size))
    })
});

#[async_trait]
impl TaskJournal for Sqlite {
    async fn intent(&self, app: &AppKey, intent: &Intent) -> Result<(), Error> {
        let (app, intent) = (app.clone(), intent.clone());
        self.tasks().write(WriteIntent { app, intent }).await
    }

    async fn not_applied(&self, app: &AppKey, task: &TaskId) -> Result<(), Error> {
        let (app, task) = (app.clone(), task.clone());
        self.tasks().write(NotApplied { app, task }).await
    }

    async fn record_outcome(&self, app: &AppKey, identity: &Intent, outcome: &Outcome) -> Result<(), Error> {
        let (app, identity, outcome) = (app.clone(), identity.clone(), outcome.clone());
        self.tasks().write(Decide { app, identity, outcome }).await
    }

    async fn ended(
        &self,
        app: &AppKey,
        task: &TaskId,
        ended: &ReportResult,
        at: Timestamp,
    ) -> Result<(), Error> {
        let (app, task, ended) = (app.clone(), task.clone(), ended.clone());
        self.tasks().write(End { app, task, ended, at }).await
    }

    async fn forget(&self, app: &AppKey, task: &TaskId) -> Result<(), Error> {
        let (app, task) = (app.clone(), task.clone());
        self.tasks().write(Forget { app, task }).await
    }

    async fn open(&self, app: &AppKey) -> Result<Vec<Entry>, Error> {
        // All tasks that have not ended. A state that this version does not know thus results in an error instead of a lost task.
        self.chosen("tasks_open", "state <> 'ended'", app).await
    }

    async fn entry(&self, app: &AppKey, task: &TaskId) -> Result<Option<Entry>, Error> {
        let find = async |columns: &str| {
            let statement = format!("SELECT {columns} FROM tasks WHERE app = ?1 AND task = ?2");
            let query: Query<'_> = sqlx::query_as(AssertSqlSafe(statement));
            query.bind(app.as_str()).bind(task.as_str()).fetch_all(self.tasks().readers()).await
        };
        let found = match find(&COLUMNS).await {
            Err(error) if is_earlier(&error) => find("*").await,
            found => found,
        };
        Ok(Self::entries_of(found.map_err(|error| self.tasks().fault(error))?)?.pop())
    }

    async fn known(&self, app: &AppKey, tasks: &[TaskId]) -> Result<HashMap<TaskId, Known>, Error> {
        let mut known = HashMap::new();
        for (statement, piece) in KNOWN.cut(tasks) {
            let mut query = sqlx::query_as(AssertSqlSafe(statement)).bind(app.as_str());
            for task in piece {
                query = query.bind(task.as_str());
            }
            let rows: Vec<(String, String)> =
                query.fetch_all(self.tasks().readers()).await.map_err(|error| self.tasks().fault(error))?;
            for (task, state) in rows {
                let state = entry::known(&task, &state)?;
                known.insert(TaskId::new(task), state);
            }
        }
        Ok(known)
    }

    async fn rejected(&self, app: &AppKey) -> Result<Vec<Entry>, Error> {
        self.chosen("tasks_rejected", "state = 'ended' AND ended = 'rejected'", app).await
    }

    async fn counts(&self, app: &AppKey) -> Result<Counts, Error> {
        let readers = self.tasks().readers();
        let rows: Result<Vec<Counted>, sqlx::Error> =
            sqlx::query_as(COUNTED).bind(app.as_str()).fetch_all(readers).await;
        let rows = match rows {
            Err(error) if is_earlier(&error) => {
                let statement =
                    "SELECT state, ended, count(*) FROM tasks WHERE app = ?1 GROUP BY state, ended";
                sqlx::query_as(statement).bind(app.as_str()).fetch_all(readers).await
            }
            rows => rows,
        };
        let rows = rows.map_err(|error| self.tasks().fault(error))?;
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
            let removed = self.tasks().write(Prune { app: app.clone(), before }).await?;
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
        self.in_place()
    }
}

/// A state, the end if any, and the number of tasks with them.
type Counted = (String, Option<String>, i64);

/// Together, the three indexes contain every task.
const COUNTED: &str = "SELECT state, NULL, count(*) FROM tasks INDEXED BY tasks_open \
     WHERE app = ?1 AND state <> 'ended' GROUP BY state \
     UNION ALL SELECT 'ended', ended, count(*) FROM tasks INDEXED BY tasks_ended \
     WHERE app = ?1 AND state = 'ended' AND ended <> 'rejected' GROUP BY ended \
     UNION ALL SELECT 'ended', 'rejected', count(*) FROM tasks INDEXED BY tasks_rejected \
     WHERE app = ?1 AND state = 'ended' AND ended = 'rejected' HAVING count(*) > 0";

/// The columns of a [`Row`].
static COLUMNS: LazyLock<String> = LazyLock::new(|| {
    format!(
        "task, action, created_at, keys, attempt, first_intent_at, last_intent_at, state, status, code, message, ended, detail, \
         may_have_applied, prior, kept, ended_at, {OUTCOME} AS outcome"
    )
});

/// Whether an index, a column or a table is missing: a journal from an earlier version that is only read.
fn is_earlier(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|error| error.message().starts_with("no such "))
}

type Query<'q> = sqlx::query::QueryAs<'q, sqlx::Sqlite, Row, sqlx::sqlite::SqliteArguments>;

impl Sqlite {
    /// The tasks of an app that an index selects. In a journal of an earlier version, all tasks are searched.
    async fn chosen(
        &self,
        index: &'static str,
        which: &'static str,
        app: &AppKey,
    ) -> Result<Vec<Entry>, Error> {
        let find = async |columns: &str, by: String| {
            let statement = format!("SELECT {columns} FROM tasks {by} WHERE app = ?1 AND {which}");
            let query: Query<'_> = sqlx::query_as(AssertSqlSafe(statement));
            query.bind(app.as_str()).fetch_all(self.tasks().readers()).await
        };
        let found = match find(&COLUMNS, format!("INDEXED BY {index}")).await {
            Err(error) if is_earlier(&error) => find("*", String::new()).await,
            found => found,
        };
        Self::entries_of(found.map_err(|error| self.tasks().fault(error))?)
    }

    fn entries_of(mut rows: Vec<Row>) -> Result<Vec<Entry>, Error> {
        rows.sort_by(|one, other| one.age().cmp(&other.age()));
        rows.into_iter().map(Row::into_entry).collect()
    }
}

struct WriteIntent {
    app: AppKey,
    intent: Intent,
}

#[async_trait]
impl Write for WriteIntent {
    type Answer = ();
    const NAME: &'static str = "intent";

    fn shared(&self) -> Option<(Shared<'_>, ())> {
        Some((Shared::Intent(&self.app, &self.intent), ()))
    }

    async fn run(&mut self, connection: &mut SqliteConnection) -> Result<(), Problem> {
        let intent = &self.intent;
        if grouped::intend(connection, &[(&self.app, intent)]).await? == 0 {
            // An unknown state has a separate error.
            standing(connection, &self.app, &intent.task).await?;
            return Err(decided(&intent.task));
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
    const NAME: &'static str = "not_applied";

    async fn run(&mut self, connection: &mut SqliteConnection) -> Result<(), Problem> {
        sqlx::query(
            "UPDATE tasks SET may_have_applied = 0 WHERE app = ?1 AND task = ?2 AND state = 'intended'",
        )
        .bind(self.app.as_str())
        .bind(self.task.as_str())
        .execute(connection)
        .await?;
        Ok(())
    }
}

/// An outcome as database columns.
pub(super) struct Decided {
    pub(super) status: &'static str,
    pub(super) code: Option<&'static str>,
    /// As JSON.
    pub(super) outcome: Vec<u8>,
}

impl Decided {
    pub(super) fn of(task: &TaskId, outcome: &Outcome) -> Result<Self, Problem> {
        let (status, code) = match outcome {
            Outcome::Completed { .. } => (name::COMPLETED, None),
            Outcome::Failed { code, .. } => (name::FAILED, Some(code.as_str())),
        };
        let outcome = serde_json::to_vec(outcome).map_err(|_| {
            entry::unreadable(task.as_str(), "its outcome cannot be written as JSON".to_owned())
        })?;
        Ok(Self { status, code, outcome })
    }
}

/// The retained part of a reported outcome as database columns.
pub(super) struct Retained {
    pub(super) message: Option<String>,
    pub(super) kept: Option<String>,
}

impl Retained {
    pub(super) fn of(outcome: Outcome) -> Self {
        match RetainedOutcome::of(outcome) {
            RetainedOutcome::Completed { result } => {
                Self { message: None, kept: result.map(|kept| Value::Object(kept).to_string()) }
            }
            RetainedOutcome::Failed { message, .. } => Self { message, kept: None },
        }
    }
}

/// The end of a task as the columns `ended` and `detail`.
pub(super) fn end_to_columns(ended: &ReportResult) -> (&'static str, Option<&str>) {
    match ended {
        ReportResult::Accepted => (name::ACCEPTED, None),
        ReportResult::Conflict => (name::CONFLICT, None),
        ReportResult::Missing => (name::MISSING, None),
        ReportResult::Rejected { detail } => (name::REJECTED, Some(detail)),
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
    const NAME: &'static str = "decide";

    fn shared(&self) -> Option<(Shared<'_>, ())> {
        Some((Shared::Decide(&self.app, &self.identity, &self.outcome), ()))
    }

    async fn run(&mut self, connection: &mut SqliteConnection) -> Result<(), Problem> {
        let task = &self.identity.task;
        let written = Decided::of(task, &self.outcome)?;
        let written = [(&self.app, task, written)];
        // Usually, an attempt has been started.
        if grouped::decide(connection, &written).await? == 0 {
            match standing(connection, &self.app, task).await? {
                None => drop(grouped::intend(connection, &[(&self.app, &self.identity)]).await?),
                Some((Known::Intended, _)) => {}
                Some((Known::Decided, Stored::Alone(before) | Stored::Shared(before))) => {
                    let first = entry::outcome(task.as_str(), before.as_deref())?;
                    return if first == self.outcome { Ok(()) } else { Err(decided(task)) };
                }
                Some((Known::Ended, _)) => return Err(decided(task)),
            }
            grouped::decide(connection, &written).await?;
        }
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
    const NAME: &'static str = "ended";
    const CHORE: Option<Maintenance> = Some(Maintenance::Erase);

    fn shared(&self) -> Option<(Shared<'_>, ())> {
        Some((Shared::End(&self.app, &self.task, &self.ended, self.at), ()))
    }

    async fn run(&mut self, connection: &mut SqliteConnection) -> Result<(), Problem> {
        let (message, kept) = match standing(connection, &self.app, &self.task).await? {
            None | Some((Known::Intended, _)) => {
                let task = self.task.clone();
                return Err(Error::NotDecided { task }.into());
            }
            Some((Known::Decided, Stored::Shared(_))) => {
                grouped::end(connection, &[(&self.app, &self.task, &self.ended, self.at)]).await?;
                return Ok(());
            }
            Some((Known::Decided, Stored::Alone(sealed))) => {
                let retained = Retained::of(entry::outcome(self.task.as_str(), sealed.as_deref())?);
                (retained.message, retained.kept)
            }
            Some((Known::Ended, _)) => {
                let (ended, message, kept): (Option<String>, Option<String>, Option<String>) =
                    sqlx::query_as("SELECT ended, message, kept FROM tasks WHERE app = ?1 AND task = ?2")
                        .bind(self.app.as_str())
                        .bind(self.task.as_str())
                        .fetch_one(&mut *connection)
                        .await?;
                if ended.as_deref() != Some(name::REJECTED) {
                    sqlx::query("UPDATE tasks SET ended_at = max(ended_at, ?3) WHERE app = ?1 AND task = ?2")
                        .bind(self.app.as_str())
                        .bind(self.task.as_str())
                        .bind(time::to_column(self.at))
                        .execute(connection)
                        .await?;
                    return Ok(());
                }
                (message, kept)
            }
        };
        let (ended, detail) = end_to_columns(&self.ended);
        sqlx::query(
            "UPDATE tasks SET state = 'ended', ended = ?3, detail = ?4, message = ?5, ended_at = ?6, kept = ?7, outcome = NULL \
             WHERE app = ?1 AND task = ?2",
        )
        .bind(self.app.as_str())
        .bind(self.task.as_str())
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
    const NAME: &'static str = "forget";

    async fn run(&mut self, connection: &mut SqliteConnection) -> Result<(), Problem> {
        if let Some((Known::Decided | Known::Ended, _)) = standing(connection, &self.app, &self.task).await? {
            return Err(decided(&self.task));
        }
        attempts::remove(&mut *connection, &self.app, self.task.as_str()).await?;
        sqlx::query("DELETE FROM tasks WHERE app = ?1 AND task = ?2 AND state = 'intended'")
            .bind(self.app.as_str())
            .bind(self.task.as_str())
            .execute(connection)
            .await?;
        Ok(())
    }
}

struct Prune {
    app: AppKey,
    before: Timestamp,
}

#[async_trait]
impl Write for Prune {
    type Answer = u64;
    const NAME: &'static str = "prune";

    async fn run(&mut self, connection: &mut SqliteConnection) -> Result<u64, Problem> {
        let tasks: Vec<String> = sqlx::query_scalar(
            "SELECT task FROM tasks WHERE state = 'ended' AND ended <> 'rejected' AND ended_at < ?1 AND app = ?3 \
             LIMIT ?2",
        )
        .bind(time::to_column(self.before))
        .bind(PRUNED_AT_ONCE)
        .bind(self.app.as_str())
        .fetch_all(&mut *connection)
        .await?;
        for task in &tasks {
            attempts::remove(&mut *connection, &self.app, task).await?;
            sqlx::query("DELETE FROM tasks WHERE app = ?1 AND task = ?2")
                .bind(self.app.as_str())
                .bind(task)
                .execute(&mut *connection)
                .await?;
        }
        Ok(tasks.len() as u64)
    }
}

/// The sealed outcome of a task, if it has one.
enum Stored {
    /// In the task's row.
    Alone(Option<Vec<u8>>),
    /// Together with others.
    Shared(Option<Vec<u8>>),
}

/// The state of a task, and its outcome.
type Standing = Option<(Known, Stored)>;

async fn standing(
    connection: &mut SqliteConnection,
    app: &AppKey,
    task: &TaskId,
) -> Result<Standing, Problem> {
    let statement =
        format!("SELECT state, batch IS NOT NULL, {OUTCOME} FROM tasks WHERE app = ?1 AND task = ?2");
    let row: Option<(String, bool, Option<Vec<u8>>)> = sqlx::query_as(AssertSqlSafe(statement))
        .bind(app.as_str())
        .bind(task.as_str())
        .fetch_optional(connection)
        .await?;
    row.map(|(state, is_shared, outcome)| {
        let stored = if is_shared { Stored::Shared(outcome) } else { Stored::Alone(outcome) };
        Ok((entry::known(task.as_str(), &state)?, stored))
    })
    .transpose()
}

pub(super) fn decided(task: &TaskId) -> Problem {
    Error::AlreadyDecided { task: task.clone() }.into()
}
