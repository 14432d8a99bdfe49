//! Writes of different tasks that share their statements.
//!
//! SQLite runs a statement in some microseconds; to hand it to the thread of the connection, and to take its answer, takes many times
//! that. So the intents, outcomes and ends of tasks that wait for the same commit go over together: what each of them writes stays the
//! same. Whatever is not as it is as a rule, such as a task that has an outcome already, fails the group; the writer then runs its
//! writes one by one, and each is told what is wrong with it.

use std::collections::HashMap;
use std::sync::LazyLock;

use bridgehead_sdk::TaskId;
use jiff::Timestamp;
use sqlx::{AssertSqlSafe, SqliteConnection};

use super::super::{AppKey, Intent, Outcome, ReportResult};
use super::chunks::{Statements, values};
use super::tasks::{self, Decided, Retained};
use super::writer::Problem;
use super::{attempts, entry, time};

/// A write that can share its statements with those of other tasks.
pub(super) enum Shared<'a> {
    Intent(&'a AppKey, &'a Intent),
    Decide(&'a AppKey, &'a Intent, &'a Outcome),
    End(&'a AppKey, &'a TaskId, &'a ReportResult, Timestamp),
}

impl<'a> Shared<'a> {
    /// The task that it is about.
    pub(super) fn subject(&self) -> (&'a AppKey, &'a TaskId) {
        match self {
            Self::Intent(app, identity) | Self::Decide(app, identity, _) => (app, &identity.task),
            Self::End(app, task, ..) => (app, task),
        }
    }
}

/// A task that has an outcome stays as it is.
static INTEND: LazyLock<Statements> = LazyLock::new(|| {
    Statements::new(|size| {
        let rows = values("(?, ?, ?, ?, ?, ?, ?, ?, 'intended', ?)", size);
        format!(
            "INSERT INTO tasks (app, task, action, created_at, keys, attempt, first_intent_at, last_intent_at, state, prior) \
             {rows} ON CONFLICT (app, task) DO UPDATE SET action = excluded.action, \
             created_at = excluded.created_at, keys = excluded.keys, attempt = max(tasks.attempt, excluded.attempt), \
             last_intent_at = excluded.last_intent_at, may_have_applied = 1 WHERE tasks.state = 'intended'"
        )
    })
});

static DECIDE: LazyLock<Statements> = LazyLock::new(|| {
    Statements::new(|size| {
        format!(
            "WITH new (app, task, status, code, outcome) AS ({}) \
             UPDATE tasks SET state = 'decided', status = new.status, code = new.code, outcome = new.outcome \
             FROM new WHERE tasks.app = new.app AND tasks.task = new.task AND tasks.state = 'intended'",
            values("(?, ?, ?, ?, ?)", size)
        )
    })
});

static OUTCOMES: LazyLock<Statements> = LazyLock::new(|| {
    Statements::new(|size| {
        format!(
            "WITH wanted (app, task) AS ({}) SELECT one.app, one.task, one.outcome FROM wanted \
             CROSS JOIN tasks AS one ON one.app = wanted.app AND one.task = wanted.task AND one.state = 'decided'",
            values("(?, ?)", size)
        )
    })
});

static END: LazyLock<Statements> = LazyLock::new(|| {
    Statements::new(|size| {
        format!(
            "WITH new (app, task, ended, detail, message, ended_at, kept) AS ({}) \
             UPDATE tasks SET state = 'ended', ended = new.ended, detail = new.detail, message = new.message, \
             ended_at = new.ended_at, kept = new.kept, outcome = NULL \
             FROM new WHERE tasks.app = new.app AND tasks.task = new.task AND tasks.state = 'decided'",
            values("(?, ?, ?, ?, ?, ?, ?)", size)
        )
    })
});

/// Writes all of them. They are of different tasks. Any error is one of the group.
pub(super) async fn run(connection: &mut SqliteConnection, writes: &[Shared<'_>]) -> Result<(), Problem> {
    let (mut intents, mut decided, mut ended) = (Vec::new(), Vec::new(), Vec::new());
    let mut steps = Vec::new();
    for write in writes {
        match write {
            Shared::Intent(app, intent) => {
                intents.push((*app, *intent));
                steps.push((*app, &intent.task, intent.steps.as_slice()));
            }
            Shared::Decide(app, identity, outcome) => {
                decided.push((*app, &identity.task, Decided::of(&identity.task, outcome)?));
                steps.push((*app, &identity.task, identity.steps.as_slice()));
            }
            Shared::End(app, task, result, at) => ended.push((*app, *task, *result, *at)),
        }
    }
    if let Some((_, intent)) = intents.first() {
        all(intend(connection, &intents).await?, intents.len(), &intent.task)?;
    }
    if let Some((_, task, _)) = decided.first() {
        all(decide(connection, &decided).await?, decided.len(), task)?;
    }
    end(connection, &ended).await?;
    attempts::add_all(connection, &steps).await
}

/// Fails unless a statement has changed as many rows as it was given.
fn all(changed: u64, rows: usize, task: &TaskId) -> Result<(), Problem> {
    if changed == rows as u64 { Ok(()) } else { Err(tasks::decided(task)) }
}

/// Writes intents. How many rows were written: fewer than intents if a task has an outcome.
pub(super) async fn intend(
    connection: &mut SqliteConnection,
    intents: &[(&AppKey, &Intent)],
) -> Result<u64, Problem> {
    let mut written = 0;
    for (statement, piece) in INTEND.cut(intents) {
        let mut query = sqlx::query(AssertSqlSafe(statement));
        for (app, intent) in piece {
            query = query
                .bind(app.as_str())
                .bind(intent.task.as_str())
                .bind(&intent.action)
                .bind(intent.created_at.map(time::to_column))
                .bind(entry::keys_to_column(&intent.keys))
                .bind(intent.attempt)
                .bind(time::to_column(intent.at))
                .bind(time::to_column(intent.at))
                .bind(entry::prior_to_column(&intent.prior));
        }
        written += query.execute(&mut *connection).await?.rows_affected();
    }
    Ok(written)
}

/// Writes outcomes of tasks that are intended. How many rows were written: fewer than outcomes if a task is not.
pub(super) async fn decide(
    connection: &mut SqliteConnection,
    decided: &[(&AppKey, &TaskId, Decided)],
) -> Result<u64, Problem> {
    let mut written = 0;
    for (statement, piece) in DECIDE.cut(decided) {
        let mut query = sqlx::query(AssertSqlSafe(statement));
        for (app, task, decided) in piece {
            query = query
                .bind(app.as_str())
                .bind(task.as_str())
                .bind(decided.status)
                .bind(decided.code)
                .bind(decided.sealed.as_slice());
        }
        written += query.execute(&mut *connection).await?.rows_affected();
    }
    Ok(written)
}

async fn end(
    connection: &mut SqliteConnection,
    ended: &[(&AppKey, &TaskId, &ReportResult, Timestamp)],
) -> Result<(), Problem> {
    for (statement, piece) in OUTCOMES.cut(ended) {
        let mut query = sqlx::query_as(AssertSqlSafe(statement));
        for (app, task, ..) in piece {
            query = query.bind(app.as_str()).bind(task.as_str());
        }
        let rows: Vec<(String, String, Option<Vec<u8>>)> = query.fetch_all(&mut *connection).await?;
        all(rows.len() as u64, piece.len(), piece[0].1)?;
        let mut outcomes = HashMap::with_capacity(rows.len());
        for (app, task, sealed) in &rows {
            let outcome = entry::outcome(task, sealed.as_deref())?;
            outcomes.insert((app.as_str(), task.as_str()), Retained::of(outcome));
        }
        write_ends(connection, piece, &outcomes).await?;
    }
    Ok(())
}

async fn write_ends(
    connection: &mut SqliteConnection,
    ended: &[(&AppKey, &TaskId, &ReportResult, Timestamp)],
    outcomes: &HashMap<(&str, &str), Retained>,
) -> Result<(), Problem> {
    for (statement, piece) in END.cut(ended) {
        let mut query = sqlx::query(AssertSqlSafe(statement));
        for (app, task, result, at) in piece {
            let retained = outcomes.get(&(app.as_str(), task.as_str()));
            let retained = retained.ok_or_else(|| tasks::decided(task))?;
            let (name, detail) = tasks::end_to_columns(result);
            query = query
                .bind(app.as_str())
                .bind(task.as_str())
                .bind(name)
                .bind(detail)
                .bind(retained.message.as_deref())
                .bind(time::to_column(*at))
                .bind(retained.kept.as_deref());
        }
        let done = query.execute(&mut *connection).await?;
        all(done.rows_affected(), piece.len(), piece[0].1)?;
    }
    Ok(())
}
