//! Lets an operator resolve a task whose effect is unknown.

use bridgehead_sdk::{Code, Redactor, TaskId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Map;

use super::Error;
use super::error::LONGEST_REASON;
use crate::app::AppContext;
use bridgehead_store::{AppKey, AttemptStep, Entry, Intent, Outcome, Phase, State, TaskJournal};

/// The result of a task according to the operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resolution {
    /// Whether it took effect.
    pub completed: bool,
    /// How the operator knows.
    pub reason: String,
}

impl Resolution {
    fn checked(&self) -> Result<&str, Error> {
        let reason = self.reason.trim();
        let length = reason.chars().count();
        if (1..=LONGEST_REASON).contains(&length) { Ok(reason) } else { Err(Error::Reason) }
    }

    /// The outcome to report to Iden.
    fn outcome(&self, reason: &str) -> Outcome {
        if self.completed {
            let fields = [("resolved_by", "operator"), ("reason", reason)];
            let result: Map<_, _> =
                fields.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
            Outcome::Completed { result: Some(result) }
        } else {
            let message = format!("resolved as failed by an operator: {reason}");
            Outcome::Failed { code: Code::InternalError, message }
        }
    }
}

/// The result of resolving a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resolved {
    /// The task.
    pub task: TaskId,
    /// The reported outcome, `completed` or `failed`.
    pub outcome: String,
    /// The requested action.
    pub action: String,
    /// How many attempts were made before.
    pub attempts: u32,
}

/// Resolves a task in a running daemon: the task does not continue, and the outcome is reported immediately.
pub(super) async fn resolve_in(
    app: &AppContext,
    task: &TaskId,
    resolution: &Resolution,
) -> Result<Resolved, Error> {
    let reason = resolution.checked()?;
    let taken = app.operator.waiting.take(task);
    let entry = app.store.entry(task).await?;
    let entry = resolvable(&app.name, task, entry)?;
    if taken.is_none() && app.status.progress().task_seen(task).is_some() {
        return Err(refused(&app.name, task, "an attempt or a look-up is running; try again in a moment"));
    }
    let (intent, outcome, resolved) =
        prepared(entry, resolution, reason, app.shared.clock.now(), &app.shared.redactor);
    let _durable = app.store.record_outcome(&intent, &outcome).await?;
    if let Some(taken) = taken {
        taken.decide();
    }
    Ok(resolved)
}

/// Resolves a task while no daemon runs: the outcome is reported at the next start.
pub async fn resolve(
    journal: &dyn TaskJournal,
    app: &str,
    key: &AppKey,
    task: &TaskId,
    resolution: &Resolution,
    at: Timestamp,
    redactor: &Redactor,
) -> Result<Resolved, Error> {
    let reason = resolution.checked()?;
    let entry = resolvable(app, task, journal.entry(key, task).await?)?;
    let (intent, outcome, resolved) = prepared(entry, resolution, reason, at, redactor);
    journal.record_outcome(key, &intent, &outcome).await?;
    Ok(resolved)
}

/// Returns the task's entry if its result is unknown.
fn resolvable(app: &str, task: &TaskId, entry: Option<Entry>) -> Result<Entry, Error> {
    let why = match entry {
        None => "the journal has no record of it, so no attempt was made",
        Some(entry) => match entry.state {
            State::Intended if entry.may_have_applied => return Ok(entry),
            State::Intended => "its attempts are known to have changed nothing, so it is retried",
            State::Decided(_) => "its outcome is known and is being reported to Iden",
            State::Ended(_) => "it is resolved, and the result was reported to Iden",
        },
    };
    Err(refused(app, task, why))
}

fn refused(app: &str, task: &TaskId, why: &'static str) -> Error {
    Error::NotResolvable { app: app.to_owned(), task: task.clone(), why }
}

fn prepared(
    entry: Entry,
    resolution: &Resolution,
    reason: &str,
    at: Timestamp,
    redactor: &Redactor,
) -> (Intent, Outcome, Resolved) {
    let reason = redactor.redact(reason).into_owned();
    let outcome = resolution.outcome(&reason);
    let word = if resolution.completed { "completed" } else { "failed" };
    let resolved = Resolved {
        task: entry.task.clone(),
        outcome: word.to_owned(),
        action: entry.action.clone(),
        attempts: entry.attempt,
    };
    let step = AttemptStep {
        attempt: entry.attempt,
        phase: Phase::Resolve,
        began_at: at,
        ended_at: Some(at),
        code: None,
        message: Some(format!("{word}: {reason}")),
        next_try_at: None,
    };
    let intent = Intent {
        task: entry.task,
        action: entry.action,
        created_at: entry.created_at,
        keys: entry.keys,
        attempt: entry.attempt,
        prior: entry.prior,
        at,
        steps: vec![step],
    };
    (intent, outcome, resolved)
}
