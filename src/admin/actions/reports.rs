//! Sending reports again that Iden refused.

use async_trait::async_trait;
use bridgehead_sdk::TaskId;

use super::{Action, Confirmation, Operator, Refusal, bound, chosen, count, people, same};
use crate::admin::query::Fields;
use bridgehead_runtime::audit::Actor;
use bridgehead_runtime::inspection::{TaskRow, Which};
use bridgehead_runtime::operator_commands::{Answer, Selection};

/// Sends rejected reports again.
pub(super) struct Resend;

#[async_trait]
impl Action for Resend {
    fn name(&self) -> &'static str {
        "resend"
    }

    fn label(&self) -> &'static str {
        "Retry report"
    }

    async fn confirm(
        &self,
        operator: &Operator,
        app: &str,
        fields: &Fields,
    ) -> Result<Confirmation, Refusal> {
        let rows = rejected(operator, app, fields).await?;
        Ok(Confirmation {
            question: format!("Send {} of {app} to Iden again?", count(rows.len(), "report")),
            notes: vec![
                "The tasks are not executed again. Only their results are reported to Iden again.".into(),
            ],
            people: Some(people(&rows, "Whose tasks".into())),
            fields: bound(&rows, fields),
            verb: format!("Send {} again", count(rows.len(), "report")),
            is_destructive: false,
        })
    }

    async fn perform(&self, operator: &Operator, app: &str, fields: &Fields) -> Result<String, Refusal> {
        let rows = rejected(operator, app, fields).await?;
        same(&rows, fields)?;
        let tasks = rows.into_iter().map(|row| TaskId::new(row.task)).collect();
        let retries = operator.orders.retry(&Actor::page(), app, &Selection::These(tasks), None).await?;
        let of = |answer| retries.retried.iter().filter(|retried| retried.answer == answer).count();
        let said = [
            (of(Answer::Accepted), "accepted"),
            (of(Answer::Conflict), "already resolved in Iden"),
            (of(Answer::Missing), "no longer known to Iden"),
            (of(Answer::Rejected), "rejected again"),
            (of(Answer::Postponed), "not sent, because Iden could not be reached"),
        ];
        let said: Vec<String> = said
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        Ok(format!("{}: {}.", count(retries.retried.len(), "report"), said.join(", ")))
    }
}

async fn rejected(operator: &Operator, app: &str, fields: &Fields) -> Result<Vec<TaskRow>, Refusal> {
    let (all, _) = operator.list(app, Which::Rejected, None).await?;
    let rows = chosen(all, fields)?;
    if rows.is_empty() {
        return Err(Refusal::Nothing(format!(
            "Choose the reports to send again. None of {app} was chosen, or none was rejected."
        )));
    }
    Ok(rows)
}
