//! Audit log entries for operator actions.

use bridgehead_sdk::{Redactor, TaskId};
use serde_json::{Value, json};

use super::Error;
use super::error::LONGEST_REASON;
use super::resolving::{Resolution, Resolved};
use crate::audit::{Actor, Event};
use crate::operator_commands::{Released, Retries};

/// The maximum number of tasks named in an entry.
const NAMED: usize = 500;

/// Creates an entry for an action. Rejected actions are recorded too.
pub fn command(
    actor: &Actor,
    app: &str,
    action: &str,
    task: Option<&TaskId>,
    evidence: Value,
    refused: Option<&Error>,
) -> Event {
    let evidence = match refused {
        Some(error) => json!({ "refused": error.to_string() }),
        None => evidence,
    };
    Event {
        actor: Some(actor.clone()),
        app: Some(app.to_owned()),
        task: task.map(ToString::to_string),
        action: action.to_owned(),
        decision: Some("order".to_owned()),
        evidence,
        outcome: Some(if refused.is_some() { "refused" } else { "done" }.to_owned()),
        code: refused.map(|error| error.code().to_owned()),
        ..Event::default()
    }
}

/// The result of a release.
pub fn released(released: &Released, expect: Option<u64>) -> Value {
    json!({
        "released": released.released.len(),
        "tasks": named(&released.released),
        "not_held": named(&released.not_held),
        "expected": expect,
        "held_instead": released.unexpected,
    })
}

/// The result of a retry.
pub fn retried(retries: &Retries, expect: Option<u64>) -> Value {
    let reported: Vec<Value> = retries
        .retried
        .iter()
        .take(NAMED)
        .map(|one| json!({ "task": one.task, "answer": one.answer }))
        .collect();
    json!({
        "reported": reported,
        "woken": named(&retries.woken),
        "nothing_to_do": named(&retries.not_rejected),
        "expected": expect,
        "put_aside_instead": retries.unexpected,
    })
}

/// The result of resolving a task.
pub fn resolution(resolution: &Resolution, resolved: Option<&Resolved>) -> Value {
    json!({
        "as": if resolution.completed { "completed" } else { "failed" },
        "reason": resolution.reason.trim(),
        "task_action": resolved.map(|resolved| resolved.action.as_str()),
        "attempts": resolved.map(|resolved| resolved.attempts),
    })
}

/// Validates an optional reason and removes known secrets from it.
pub fn reason(reason: Option<&str>, redactor: &Redactor) -> Result<Option<String>, Error> {
    let reason = reason.map(str::trim).filter(|reason| !reason.is_empty());
    if reason.is_some_and(|reason| reason.chars().count() > LONGEST_REASON) {
        return Err(Error::Reason);
    }
    Ok(reason.map(|reason| redactor.redact(reason).into_owned()))
}

fn named(tasks: &[TaskId]) -> Vec<&str> {
    tasks.iter().take(NAMED).map(TaskId::as_str).collect()
}
