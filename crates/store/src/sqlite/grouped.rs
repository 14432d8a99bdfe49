//! Writes of different tasks that share their statements.
//!
//! SQLite runs a statement in a few microseconds; passing it to the connection's thread and back takes many times as long. So the intents,
//! outcomes and ends of tasks that wait for the same commit are combined, and so are the notes about changed accounts: the written data
//! stays the same. Any unusual case, such as a task that already has an outcome, fails the whole group; the writer then runs its writes one
//! by one, and each returns its own error.

use std::collections::HashMap;
use std::sync::LazyLock;

use bridgehead_sdk::TaskId;
use jiff::Timestamp;
use sqlx::{AssertSqlSafe, FromRow, SqliteConnection};

use super::super::{AppKey, Error, Intent, Outcome, ReportResult};
use super::chunks::{Statements, nothing, values};
use super::noted::{self, Note};
use super::outcomes::{Batches, NewBatches, Place};
use super::tasks::{self, Decided, Retained};
use super::writer::Problem;
use super::{attempts, entry, secure_delete, time};

/// A write that can share its statements with those of other tasks.
pub(super) enum Shared<'a> {
    Intent(&'a AppKey, &'a Intent),
    Decide(&'a AppKey, &'a Intent, &'a Outcome),
    End(&'a AppKey, &'a TaskId, &'a ReportResult, Timestamp),
    /// Goes to the other database: such writes are never in one group with those above.
    Note(&'a Note),
}

impl<'a> Shared<'a> {
    /// The task or the account of this write.
    pub(super) fn subject(&self) -> (&'a AppKey, &'a str) {
        match self {
            Self::Intent(app, identity) | Self::Decide(app, identity, _) => (app, identity.task.as_str()),
            Self::End(app, task, ..) => (app, task.as_str()),
            Self::Note(note) => (&note.app, &note.id),
        }
    }
}

/// Does not change tasks that have an outcome. New tasks get the next numbers, in the order of the rows.
static INTEND: LazyLock<Statements> = LazyLock::new(|| {
    Statements::new(|size| {
        let rows = values("(?, ?, ?, ?, ?, ?, ?, ?, ?, 'intended', ?)", size);
        format!(
            "INSERT INTO tasks (number, app, task, action, created_at, keys, attempt, first_intent_at, last_intent_at, state, prior) \
             SELECT column1 + (SELECT coalesce(max(number), 0) FROM tasks), column2, column3, column4, column5, column6, column7, \
             column8, column9, column10, column11 \
             FROM ({rows}) WHERE column1 IS NOT NULL ON CONFLICT (app, task) DO UPDATE SET action = excluded.action, \
             created_at = excluded.created_at, keys = excluded.keys, attempt = max(tasks.attempt, excluded.attempt), \
             last_intent_at = excluded.last_intent_at, may_have_applied = 1 WHERE tasks.state = 'intended'"
        )
    })
});

static DECIDE: LazyLock<Statements> = LazyLock::new(|| {
    Statements::new(|size| {
        format!(
            "WITH new (app, task, status, code, outcome, batch, place, size) AS ({}) \
             UPDATE tasks SET state = 'decided', status = new.status, code = new.code, outcome = new.outcome, \
             place = new.place, size = new.size, batch = new.batch + (SELECT coalesce(max(batch), 0) FROM outcomes) \
             FROM new WHERE tasks.app = new.app AND tasks.task = new.task AND tasks.state = 'intended'",
            values("(?, ?, ?, ?, ?, ?, ?, ?)", size)
        )
    })
});

static OUTCOMES: LazyLock<Statements> = LazyLock::new(|| {
    Statements::new(|size| {
        format!(
            "WITH wanted (app, task) AS ({}) SELECT one.app, one.task, one.outcome, one.batch, one.place, one.size FROM wanted \
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
             ended_at = new.ended_at, kept = new.kept, outcome = NULL, batch = NULL, place = NULL, size = NULL \
             FROM new WHERE tasks.app = new.app AND tasks.task = new.task AND tasks.state = 'decided'",
            values("(?, ?, ?, ?, ?, ?, ?)", size)
        )
    })
});

/// Runs all writes, which must be of different tasks or accounts. Any error concerns the whole group.
pub(super) async fn run(connection: &mut SqliteConnection, writes: &[Shared<'_>]) -> Result<(), Problem> {
    let (mut intents, mut decided, mut ended) = (Vec::new(), Vec::new(), Vec::new());
    let (mut steps, mut notes) = (Vec::new(), Vec::new());
    for write in writes {
        match write {
            Shared::Note(note) => notes.push(*note),
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
    if let Some((_, task, ..)) = ended.first() {
        all(end(connection, &ended).await?, ended.len(), task)?;
    }
    attempts::add_all(connection, &steps).await?;
    noted::run(connection, &notes).await
}

/// Fails unless a statement has changed as many rows as it was given.
fn all(changed: u64, rows: usize, task: &TaskId) -> Result<(), Problem> {
    if changed == rows as u64 { Ok(()) } else { Err(tasks::decided(task)) }
}

/// Writes intents. Returns the number of rows written: fewer than intents if a task has an outcome.
pub(super) async fn intend(
    connection: &mut SqliteConnection,
    intents: &[(&AppKey, &Intent)],
) -> Result<u64, Problem> {
    let mut written = 0;
    for (statement, piece, padding) in INTEND.pad(intents) {
        let mut query = sqlx::query(AssertSqlSafe(statement));
        for (place, (app, intent)) in (1_i64..).zip(piece) {
            query = query
                .bind(place)
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
        written += nothing(query, 10 * padding).execute(&mut *connection).await?.rows_affected();
    }
    Ok(written)
}

/// Writes outcomes of intended tasks. Returns the number of rows written: fewer than outcomes if a task is not intended; then the
/// transaction must be rolled back, unless it is zero.
pub(super) async fn decide(
    connection: &mut SqliteConnection,
    decided: &[(&AppKey, &TaskId, Decided)],
) -> Result<u64, Problem> {
    let mut batches = NewBatches::default();
    let is_alone = decided.len() == 1;
    let mut written = 0;
    for (statement, piece, padding) in DECIDE.pad(decided) {
        let mut query = sqlx::query(AssertSqlSafe(statement));
        for (app, task, decided) in piece {
            // An outcome that is alone in its commit shares nothing, so it is stored in its task's row.
            let alone = is_alone.then(|| secure_delete::pad(&decided.outcome));
            let place = (!is_alone).then(|| batches.add(&decided.outcome));
            query = query
                .bind(app.as_str())
                .bind(task.as_str())
                .bind(decided.status)
                .bind(decided.code)
                .bind(alone)
                .bind(place.map(|place| place.batch))
                .bind(place.map(|place| place.at))
                .bind(place.map(|place| place.size));
        }
        written += nothing(query, 8 * padding).execute(&mut *connection).await?.rows_affected();
    }
    if written > 0 {
        batches.write(connection).await?;
    }
    Ok(written)
}

/// Writes the ends of decided tasks, and erases their outcomes. Returns how many of the tasks were decided: if it is fewer than ends, the
/// transaction must be rolled back, unless it is zero.
pub(super) async fn end(
    connection: &mut SqliteConnection,
    ended: &[(&AppKey, &TaskId, &ReportResult, Timestamp)],
) -> Result<u64, Problem> {
    let mut written = 0;
    for (statement, piece, padding) in OUTCOMES.pad(ended) {
        let mut query = sqlx::query_as(AssertSqlSafe(statement));
        for (app, task, ..) in piece {
            query = query.bind(app.as_str()).bind(task.as_str());
        }
        for _ in 0..2 * padding {
            query = query.bind(None::<&str>);
        }
        let rows: Vec<Stored> = query.fetch_all(&mut *connection).await?;
        written += rows.len() as u64;
        if rows.len() < piece.len() {
            break;
        }
        let places: Vec<Place> = rows.iter().filter_map(Stored::place).collect();
        let batches = Batches::read(connection, &places).await?;
        let mut outcomes = HashMap::with_capacity(rows.len());
        for row in &rows {
            outcomes.insert((row.app.as_str(), row.task.as_str()), Retained::of(row.outcome(&batches)?));
        }
        write_ends(connection, piece, &outcomes).await?;
        batches.erase(connection, &places).await?;
    }
    Ok(written)
}

/// A decided task with its outcome.
#[derive(FromRow)]
struct Stored {
    app: String,
    task: String,
    outcome: Option<Vec<u8>>,
    batch: Option<i64>,
    place: Option<i64>,
    size: Option<i64>,
}

impl Stored {
    /// `None` if it is stored in the row itself.
    fn place(&self) -> Option<Place> {
        Some(Place { batch: self.batch?, at: self.place?, size: self.size? })
    }

    fn outcome(&self, batches: &Batches) -> Result<Outcome, Error> {
        let Some(place) = self.place() else {
            return entry::outcome(&self.task, self.outcome.as_deref());
        };
        let json = batches.outcome(place).ok_or_else(|| "its outcome is missing".to_owned());
        json.and_then(secure_delete::parse).map_err(|detail| entry::unreadable(&self.task, detail))
    }
}

async fn write_ends(
    connection: &mut SqliteConnection,
    ended: &[(&AppKey, &TaskId, &ReportResult, Timestamp)],
    outcomes: &HashMap<(&str, &str), Retained>,
) -> Result<(), Problem> {
    for (statement, piece, padding) in END.pad(ended) {
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
        let done = nothing(query, 7 * padding).execute(&mut *connection).await?;
        all(done.rows_affected(), piece.len(), piece[0].1)?;
    }
    Ok(())
}
