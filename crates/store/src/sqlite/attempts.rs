//! The steps of tasks, and which apps are paused.

use std::sync::LazyLock;

use async_trait::async_trait;
use bridgehead_sdk::{Code, TaskId};
use jiff::Timestamp;
use sqlx::query::Query;
use sqlx::sqlite::SqliteArguments;
use sqlx::{AssertSqlSafe, FromRow, SqliteConnection};

use super::super::{AppKey, AttemptStep, Error, Pause, Phase, STEPS_KEPT};
use super::chunks::{Statements, nothing, values};
use super::entry::unreadable;
use super::open::Sqlite;
use super::time;
use super::writer::{Problem, Write};

/// A row of `attempts`, without `app` and `task`.
#[derive(FromRow)]
struct Row {
    began_at: i64,
    phase: String,
    attempt: i64,
    ended_at: Option<i64>,
    code: Option<String>,
    message: Option<String>,
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
            message: self.message,
            next_try_at: self.next_try_at.map(instant).transpose()?,
        })
    }
}

impl Sqlite {
    pub(super) async fn steps(&self, app: &AppKey, task: &TaskId) -> Result<Vec<AttemptStep>, Error> {
        let store = self.tasks();
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT began_at, phase, attempt, ended_at, code, message, next_try_at FROM attempts \
             WHERE app = ?1 AND task = ?2",
        )
        .bind(app.as_str())
        .bind(task.as_str())
        .fetch_all(store.readers())
        .await
        .map_err(|error| store.fault(error))?;
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
        self.tasks().write(Note { app, task, steps }).await
    }

    /// Removes old steps of tasks that were never started, and that the journal therefore does not know.
    pub(super) async fn prune_steps(&self, app: &AppKey, before: Timestamp) -> Result<(), Error> {
        let store = self.tasks();
        // Uses a reader for the search: it may take a moment, and must not delay writes.
        let tasks: Vec<String> =
            sqlx::query_scalar("SELECT DISTINCT task FROM early_steps WHERE app = ?1 AND began_at < ?2")
                .bind(app.as_str())
                .bind(time::to_column(before))
                .fetch_all(store.readers())
                .await
                .map_err(|error| store.fault(error))?;
        for piece in tasks.chunks(AT_ONCE) {
            store.write(PruneSteps { app: app.clone(), tasks: piece.to_vec(), before }).await?;
        }
        Ok(())
    }

    pub(super) async fn set_pause(&self, app: &AppKey, pause: Option<&Pause>) -> Result<(), Error> {
        self.tasks().write(SetPause { app: app.clone(), pause: pause.cloned() }).await
    }

    pub(super) async fn pause_of(&self, app: &AppKey) -> Result<Option<Pause>, Error> {
        let store = self.tasks();
        let row: Option<(i64, String, Option<String>)> =
            sqlx::query_as("SELECT since, by, reason FROM pauses WHERE app = ?1")
                .bind(app.as_str())
                .fetch_optional(store.readers())
                .await
                .map_err(|error| store.fault(error))?;
        row.map(|(since, by, reason)| {
            let since = time::from_column(since, &|| format!("the pause of app {app} in the journal"))?;
            Ok(Pause { since, by, reason })
        })
        .transpose()
    }
}

/// The maximum number of tasks per write, so that other writes do not wait for long.
const AT_ONCE: usize = 1000;

/// Binds the nine values of a step.
fn with_step<'q>(
    query: Query<'q, sqlx::Sqlite, SqliteArguments>,
    app: &'q AppKey,
    task: &'q TaskId,
    step: &'q AttemptStep,
) -> Query<'q, sqlx::Sqlite, SqliteArguments> {
    query
        .bind(app.as_str())
        .bind(task.as_str())
        .bind(time::to_column(step.began_at))
        .bind(step.phase.as_str())
        .bind(step.attempt)
        .bind(step.ended_at.map(time::to_column))
        .bind(step.code.map(Code::as_str))
        .bind(step.message.as_deref())
        .bind(step.next_try_at.map(time::to_column))
}

/// Adds steps of tasks that the journal may not know yet. A trigger moves them to the others with the intent.
async fn add_early(
    connection: &mut SqliteConnection,
    app: &AppKey,
    task: &TaskId,
    steps: &[AttemptStep],
) -> Result<(), Problem> {
    for step in steps {
        let query = sqlx::query(
            "INSERT INTO early_steps (app, task, began_at, phase, attempt, ended_at, code, message, next_try_at) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT (app, task, began_at, phase) \
             DO UPDATE SET attempt = excluded.attempt, ended_at = excluded.ended_at, code = excluded.code, \
             message = excluded.message, next_try_at = excluded.next_try_at",
        );
        with_step(query, app, task, step).execute(&mut *connection).await?;
    }
    sqlx::query(
        "DELETE FROM early_steps WHERE app = ?1 AND task = ?2 AND (began_at, phase) < \
         (SELECT began_at, phase FROM early_steps WHERE app = ?1 AND task = ?2 \
         ORDER BY began_at DESC, phase DESC LIMIT 1 OFFSET ?3)",
    )
    .bind(app.as_str())
    .bind(task.as_str())
    .bind(i64::try_from(STEPS_KEPT).unwrap_or(i64::MAX) - 1)
    .execute(connection)
    .await?;
    Ok(())
}

/// Adds steps of one task as part of another write. The journal must know the task.
pub(super) async fn add(
    connection: &mut SqliteConnection,
    app: &AppKey,
    task: &TaskId,
    steps: &[AttemptStep],
) -> Result<(), Problem> {
    add_all(connection, &[(app, task, steps)]).await
}

static ADD: LazyLock<Statements> = LazyLock::new(|| {
    Statements::new(|size| {
        format!(
            "WITH new (app, task, began_at, phase, attempt, ended_at, code, message, next_try_at) AS ({}) \
             INSERT INTO steps (number, began_at, phase, attempt, ended_at, code, message, next_try_at) \
             SELECT tasks.number, new.began_at, new.phase, new.attempt, new.ended_at, new.code, new.message, new.next_try_at \
             FROM new CROSS JOIN tasks ON tasks.app = new.app AND tasks.task = new.task WHERE true \
             ON CONFLICT (number, began_at, phase) \
             DO UPDATE SET attempt = excluded.attempt, ended_at = excluded.ended_at, code = excluded.code, message = excluded.message, \
             next_try_at = excluded.next_try_at",
            values("(?, ?, ?, ?, ?, ?, ?, ?, ?)", size)
        )
    })
});

/// Removes the oldest steps of tasks that have too many; runs once for each task.
static TRIM: LazyLock<Statements> = LazyLock::new(|| {
    Statements::new(|size| {
        format!(
            "WITH wanted (app, task) AS ({}), one (number) AS MATERIALIZED (SELECT tasks.number FROM wanted \
             CROSS JOIN tasks ON tasks.app = wanted.app AND tasks.task = wanted.task \
             WHERE (SELECT count(*) FROM steps AS each WHERE each.number = tasks.number) > {STEPS_KEPT}) \
             DELETE FROM steps WHERE (number, began_at, phase) IN \
             (SELECT old.number, old.began_at, old.phase FROM one CROSS JOIN steps AS old ON old.number = one.number \
             WHERE (old.began_at, old.phase) < (SELECT began_at, phase FROM steps AS last WHERE last.number = one.number \
             ORDER BY began_at DESC, phase DESC LIMIT 1 OFFSET {}))",
            values("(?, ?)", size),
            STEPS_KEPT - 1
        )
    })
});

/// Adds steps of different tasks as part of another write. The journal must know the tasks.
pub(super) async fn add_all(
    connection: &mut SqliteConnection,
    stories: &[(&AppKey, &TaskId, &[AttemptStep])],
) -> Result<(), Problem> {
    let steps: Vec<(&AppKey, &TaskId, &AttemptStep)> = stories
        .iter()
        .flat_map(|(app, task, steps)| steps.iter().map(move |step| (*app, *task, step)))
        .collect();
    for (statement, piece, padding) in ADD.pad(&steps) {
        let mut query = sqlx::query(AssertSqlSafe(statement));
        for (app, task, step) in piece {
            query = with_step(query, app, task, step);
        }
        nothing(query, 9 * padding).execute(&mut *connection).await?;
    }
    let grown: Vec<(&AppKey, &TaskId)> =
        stories.iter().filter(|(.., steps)| !steps.is_empty()).map(|(app, task, _)| (*app, *task)).collect();
    for (statement, piece, padding) in TRIM.pad(&grown) {
        let mut query = sqlx::query(AssertSqlSafe(statement));
        for (app, task) in piece {
            query = query.bind(app.as_str()).bind(task.as_str());
        }
        nothing(query, 2 * padding).execute(&mut *connection).await?;
    }
    Ok(())
}

/// Removes the steps of a task as part of another write, before the task itself is removed.
pub(super) async fn remove(
    connection: &mut SqliteConnection,
    app: &AppKey,
    task: &str,
) -> Result<(), Problem> {
    let statements = [
        "DELETE FROM steps WHERE number = (SELECT number FROM tasks WHERE app = ?1 AND task = ?2)",
        "DELETE FROM early_steps WHERE app = ?1 AND task = ?2",
    ];
    for statement in statements {
        sqlx::query(statement).bind(app.as_str()).bind(task).execute(&mut *connection).await?;
    }
    Ok(())
}

/// Adds steps while a task waits.
struct Note {
    app: AppKey,
    task: TaskId,
    steps: Vec<AttemptStep>,
}

#[async_trait]
impl Write for Note {
    type Answer = ();
    const NAME: &'static str = "note_attempts";

    async fn run(&mut self, connection: &mut SqliteConnection) -> Result<(), Problem> {
        let number: Option<i64> = sqlx::query_scalar("SELECT number FROM tasks WHERE app = ?1 AND task = ?2")
            .bind(self.app.as_str())
            .bind(self.task.as_str())
            .fetch_optional(&mut *connection)
            .await?;
        match number {
            Some(_) => add(connection, &self.app, &self.task, &self.steps).await,
            None => add_early(connection, &self.app, &self.task, &self.steps).await,
        }
    }
}

struct PruneSteps {
    app: AppKey,
    tasks: Vec<String>,
    before: Timestamp,
}

#[async_trait]
impl Write for PruneSteps {
    type Answer = ();
    const NAME: &'static str = "prune attempts";

    async fn run(&mut self, connection: &mut SqliteConnection) -> Result<(), Problem> {
        for task in &self.tasks {
            // If the task has been started since the search, its steps are no longer in this table.
            sqlx::query("DELETE FROM early_steps WHERE app = ?1 AND task = ?2 AND began_at < ?3")
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
    const NAME: &'static str = "pause";

    async fn run(&mut self, connection: &mut SqliteConnection) -> Result<(), Problem> {
        match &self.pause {
            Some(pause) => {
                sqlx::query(
                    "INSERT INTO pauses (app, since, by, reason) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (app) DO \
                     UPDATE SET since = excluded.since, by = excluded.by, reason = excluded.reason",
                )
                .bind(self.app.as_str())
                .bind(time::to_column(pause.since))
                .bind(&pause.by)
                .bind(pause.reason.as_deref())
                .execute(connection)
                .await?;
            }
            None => {
                sqlx::query("DELETE FROM pauses WHERE app = ?1")
                    .bind(self.app.as_str())
                    .execute(connection)
                    .await?;
            }
        }
        Ok(())
    }
}
