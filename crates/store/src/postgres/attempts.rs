//! The steps of tasks, and which apps are paused.

use async_trait::async_trait;
use bridgehead_sdk::{Code, TaskId};
use jiff::Timestamp;
use sqlx::{FromRow, PgConnection};

use super::super::sqlite::entry::unreadable;
use super::super::sqlite::time;
use super::super::{AppKey, AttemptStep, Error, Pause, Phase, STEPS_KEPT};
use super::open::Postgres;
use super::text;
use super::writer::{Problem, Write};

/// A row of `attempts`, without `app` and `task`.
#[derive(FromRow)]
struct Row {
    began_at: i64,
    phase: String,
    attempt: i64,
    ended_at: Option<i64>,
    code: Option<String>,
    message: Option<Vec<u8>>,
    next_try_at: Option<i64>,
}

impl Row {
    fn into_step(self, task: &TaskId) -> Result<AttemptStep, Error> {
        let wrong = |detail: String| unreadable(task.as_str(), detail);
        let instant = |column| time::from_column(column, &|| format!("a step of task {task} in the journal"));
        let code = self.code.as_deref().map(str::parse::<Code>).transpose();
        Ok(AttemptStep {
            attempt: u32::try_from(self.attempt)
                .map_err(|_| wrong("the attempt of a step is out of range".to_owned()))?,
            phase: Phase::from_name(&self.phase)
                .ok_or_else(|| wrong(format!("the phase of a step is {:?}", self.phase)))?,
            began_at: instant(self.began_at)?,
            ended_at: self.ended_at.map(instant).transpose()?,
            code: code.map_err(|_| wrong("the code of a step is not one this version knows".to_owned()))?,
            message: self
                .message
                .map(|bytes| text::from_column(bytes, &|| format!("a step of task {task} in the journal")))
                .transpose()?,
            next_try_at: self.next_try_at.map(instant).transpose()?,
        })
    }
}

impl Postgres {
    pub(super) async fn steps(&self, app: &AppKey, task: &TaskId) -> Result<Vec<AttemptStep>, Error> {
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT began_at, phase, attempt, ended_at, code, message, next_try_at FROM attempts \
             WHERE app = $1 AND task = $2",
        )
        .bind(app.as_str())
        .bind(task.as_str().as_bytes())
        .fetch_all(self.readers())
        .await
        .map_err(|error| self.fault(error))?;
        let steps: Result<Vec<AttemptStep>, Error> =
            rows.into_iter().map(|row| row.into_step(task)).collect();
        let mut steps = steps?;
        steps.sort_by_key(|step| (step.began_at, step.phase));
        Ok(steps)
    }

    pub(super) async fn add_steps(
        &self,
        app: &AppKey,
        task: &TaskId,
        steps: &[AttemptStep],
    ) -> Result<(), Error> {
        if steps.is_empty() {
            return Ok(());
        }
        let (app, task, steps) = (app.clone(), task.clone(), steps.to_vec());
        self.write_tasks(Note { app, task, steps }).await
    }

    /// Removes old steps of tasks that were never started, and that the journal therefore does not know.
    pub(super) async fn prune_steps(&self, app: &AppKey, before: Timestamp) -> Result<(), Error> {
        // Uses a reader for the search: it may take a moment, and must not delay writes.
        let tasks: Vec<Vec<u8>> = sqlx::query_scalar(
            "SELECT DISTINCT task FROM attempts WHERE app = $1 AND began_at < $2 AND NOT EXISTS \
             (SELECT 1 FROM tasks WHERE tasks.app = attempts.app AND tasks.task = attempts.task)",
        )
        .bind(app.as_str())
        .bind(time::to_column(before))
        .fetch_all(self.readers())
        .await
        .map_err(|error| self.fault(error))?;
        for piece in tasks.chunks(AT_ONCE) {
            self.write_tasks(PruneSteps { app: app.clone(), tasks: piece.to_vec(), before }).await?;
        }
        Ok(())
    }

    pub(super) async fn set_pause(&self, app: &AppKey, pause: Option<&Pause>) -> Result<(), Error> {
        self.write_tasks(SetPause { app: app.clone(), pause: pause.cloned() }).await
    }

    pub(super) async fn pause_of(&self, app: &AppKey) -> Result<Option<Pause>, Error> {
        let row: Option<(i64, Vec<u8>, Option<Vec<u8>>)> =
            sqlx::query_as("SELECT since, paused_by, reason FROM pauses WHERE app = $1")
                .bind(app.as_str())
                .fetch_optional(self.readers())
                .await
                .map_err(|error| self.fault(error))?;
        row.map(|(since, by, reason)| {
            let what = || format!("the pause of app {app} in the journal");
            let since = time::from_column(since, &what)?;
            let by = text::from_column(by, &what)?;
            let reason = reason.map(|bytes| text::from_column(bytes, &what)).transpose()?;
            Ok(Pause { since, by, reason })
        })
        .transpose()
    }
}

/// The maximum number of tasks per write, so that other writes do not wait for long.
const AT_ONCE: usize = 1000;

/// Adds steps of one task as part of another write.
pub(super) async fn add(
    connection: &mut PgConnection,
    app: &AppKey,
    task: &TaskId,
    steps: &[AttemptStep],
) -> Result<(), Problem> {
    if steps.is_empty() {
        return Ok(());
    }
    for step in steps {
        sqlx::query(
            "INSERT INTO attempts (app, task, began_at, phase, attempt, ended_at, code, message, next_try_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (app, task, began_at, phase) DO UPDATE SET \
             attempt = excluded.attempt, ended_at = excluded.ended_at, code = excluded.code, \
             message = excluded.message, next_try_at = excluded.next_try_at",
        )
        .bind(app.as_str())
        .bind(task.as_str().as_bytes())
        .bind(time::to_column(step.began_at))
        .bind(step.phase.as_str())
        .bind(i64::from(step.attempt))
        .bind(step.ended_at.map(time::to_column))
        .bind(step.code.map(Code::as_str))
        .bind(step.message.as_deref().map(str::as_bytes))
        .bind(step.next_try_at.map(time::to_column))
        .execute(&mut *connection)
        .await?;
    }
    sqlx::query(
        "DELETE FROM attempts WHERE app = $1 AND task = $2 AND (began_at, phase) < (SELECT began_at, phase \
         FROM attempts WHERE app = $1 AND task = $2 ORDER BY began_at DESC, phase DESC LIMIT 1 OFFSET $3)",
    )
    .bind(app.as_str())
    .bind(task.as_str().as_bytes())
    .bind(i64::try_from(STEPS_KEPT - 1).unwrap_or(i64::MAX))
    .execute(connection)
    .await?;
    Ok(())
}

/// Removes the steps of a task as part of another write.
pub(super) async fn remove(connection: &mut PgConnection, app: &AppKey, task: &[u8]) -> Result<(), Problem> {
    sqlx::query("DELETE FROM attempts WHERE app = $1 AND task = $2")
        .bind(app.as_str())
        .bind(task)
        .execute(connection)
        .await?;
    Ok(())
}

struct Note {
    app: AppKey,
    task: TaskId,
    steps: Vec<AttemptStep>,
}

#[async_trait]
impl Write for Note {
    type Answer = ();

    fn app(&self) -> Option<&AppKey> {
        Some(&self.app)
    }

    async fn run(&mut self, connection: &mut PgConnection) -> Result<(), Problem> {
        add(connection, &self.app, &self.task, &self.steps).await
    }
}

struct PruneSteps {
    app: AppKey,
    tasks: Vec<Vec<u8>>,
    before: Timestamp,
}

#[async_trait]
impl Write for PruneSteps {
    type Answer = ();

    fn app(&self) -> Option<&AppKey> {
        Some(&self.app)
    }

    async fn run(&mut self, connection: &mut PgConnection) -> Result<(), Problem> {
        for task in &self.tasks {
            // The task may have been started since the search.
            sqlx::query(
                "DELETE FROM attempts WHERE app = $1 AND task = $2 AND began_at < $3 AND NOT EXISTS \
                 (SELECT 1 FROM tasks WHERE app = $1 AND task = $2)",
            )
            .bind(self.app.as_str())
            .bind(task)
            .bind(time::to_column(self.before))
            .execute(&mut *connection)
            .await?;
        }
        Ok(())
    }
}

struct SetPause {
    app: AppKey,
    pause: Option<Pause>,
}

#[async_trait]
impl Write for SetPause {
    type Answer = ();

    fn app(&self) -> Option<&AppKey> {
        Some(&self.app)
    }

    async fn run(&mut self, connection: &mut PgConnection) -> Result<(), Problem> {
        match &self.pause {
            Some(pause) => {
                sqlx::query(
                    "INSERT INTO pauses (app, since, paused_by, reason) VALUES ($1, $2, $3, $4) ON CONFLICT (app) DO \
                     UPDATE SET since = excluded.since, paused_by = excluded.paused_by, reason = excluded.reason",
                )
                .bind(self.app.as_str())
                .bind(time::to_column(pause.since))
                .bind(pause.by.as_bytes())
                .bind(pause.reason.as_deref().map(str::as_bytes))
                .execute(connection)
                .await?;
            }
            None => {
                sqlx::query("DELETE FROM pauses WHERE app = $1")
                    .bind(self.app.as_str())
                    .execute(connection)
                    .await?;
            }
        }
        Ok(())
    }
}
