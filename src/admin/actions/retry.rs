//! Retries rejected reports, and tasks that wait for their next attempt.

use std::collections::BTreeSet;

use async_trait::async_trait;
use bridgehead_sdk::TaskId;

use super::{Action, Confirmation, Operator, Refusal, bound, chosen, count, people, same};
use crate::admin::query::Fields;
use bridgehead_bridge::TaskStatus;
use bridgehead_runtime::audit::Actor;
use bridgehead_runtime::inspection::{TaskRow, Which};
use bridgehead_runtime::operator_commands::{Answer, Retries, Selection};

/// Sends rejected reports again, and ends the wait of waiting tasks.
pub(super) struct Retry;

/// What can be retried now.
struct Found {
    rejected: Vec<TaskRow>,
    waiting: Vec<TaskRow>,
}

#[async_trait]
impl Action for Retry {
    fn name(&self) -> &'static str {
        "retry"
    }

    fn label(&self) -> &'static str {
        "Retry now"
    }

    async fn confirm(
        &self,
        operator: &Operator,
        app: &str,
        fields: &Fields,
    ) -> Result<Confirmation, Refusal> {
        let Found { rejected, waiting } = find(operator, app, fields).await?;
        let mut notes = Vec::new();
        if !rejected.is_empty() {
            notes.push(format!(
                "{} rejected by Iden: only the result is reported again. Nothing is executed again.",
                count(rejected.len(), "report")
            ));
        }
        if !waiting.is_empty() {
            notes.push(format!(
                "{} waiting for the next attempt: the attempt is made now.",
                count(waiting.len(), "task")
            ));
        }
        let rows = [rejected, waiting].concat();
        Ok(Confirmation {
            question: format!("Retry {} of {app} now?", count(rows.len(), "task")),
            notes,
            people: Some(people(&rows, "Whose tasks".into())),
            fields: bound(&rows, fields),
            verb: format!("Retry {} now", count(rows.len(), "task")),
            ..Confirmation::default()
        })
    }

    async fn perform(&self, operator: &Operator, app: &str, fields: &Fields) -> Result<String, Refusal> {
        let Found { rejected, waiting } = find(operator, app, fields).await?;
        let rows = [rejected, waiting].concat();
        same(&rows, fields)?;
        let tasks = rows.into_iter().map(|row| TaskId::new(row.task)).collect();
        let retries = operator.orders.retry(&Actor::page(), app, &Selection::These(tasks), None).await?;
        Ok(said(&retries))
    }
}

fn said(retries: &Retries) -> String {
    let mut said = Vec::new();
    if !retries.retried.is_empty() {
        let of = |answer| retries.retried.iter().filter(|retried| retried.answer == answer).count();
        let answers = [
            (of(Answer::Accepted), "accepted"),
            (of(Answer::Conflict), "already resolved in Iden"),
            (of(Answer::Missing), "no longer known to Iden"),
            (of(Answer::Rejected), "rejected again"),
            (of(Answer::Postponed), "not sent, because Iden could not be reached"),
        ];
        let answers = answers.iter().filter(|(count, _)| *count > 0);
        let answers: Vec<String> = answers.map(|(count, what)| format!("{count} {what}")).collect();
        said.push(format!("{}: {}.", count(retries.retried.len(), "report"), answers.join(", ")));
    }
    if !retries.woken.is_empty() {
        said.push(format!("{} retried now.", count(retries.woken.len(), "task")));
    }
    if !retries.not_rejected.is_empty() {
        said.push(format!("{} no longer waiting.", count(retries.not_rejected.len(), "task")));
    }
    said.join(" ")
}

async fn find(operator: &Operator, app: &str, fields: &Fields) -> Result<Found, Refusal> {
    let (rejected, _) = operator.list(app, Which::Rejected, None).await?;
    let waiting: BTreeSet<TaskId> = operator.orders.waiting(app)?.into_iter().collect();
    let mut rows = Vec::new();
    if !waiting.is_empty() {
        let pending = Which::Status(TaskStatus::Pending);
        // Iden has the names; tasks that it does not list are retried by their id.
        let (listed, _) = operator.list(app, pending, None).await.unwrap_or_default();
        let mut missing = waiting.clone();
        for row in listed {
            if missing.remove(row.task.as_str()) {
                rows.push(row);
            }
        }
        let unnamed = missing.into_iter().map(|task| TaskRow {
            app: app.to_owned(),
            task: task.to_string(),
            ..TaskRow::default()
        });
        rows.extend(unnamed);
    }
    let chosen = chosen([rejected, rows].concat(), fields)?;
    if chosen.is_empty() {
        return Err(Refusal::Nothing(format!(
            "Choose what to retry. No report of {app} was rejected and no task is waiting, or none was chosen."
        )));
    }
    let (waiting, rejected) = chosen.into_iter().partition(|row| waiting.contains(row.task.as_str()));
    Ok(Found { rejected, waiting })
}
