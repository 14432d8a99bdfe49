//! Releases tasks that the guard holds.

use async_trait::async_trait;
use bridgehead_sdk::{TaskId, counted};

use super::{Action, Confirmation, Operator, Refusal, bound, chosen, count, people, same};
use crate::admin::query::Fields;
use bridgehead_runtime::audit::Actor;
use bridgehead_runtime::inspection::{TaskRow, Which};
use bridgehead_runtime::operator_commands::Selection;

/// Releases held tasks.
pub(super) struct Release;

#[async_trait]
impl Action for Release {
    fn name(&self) -> &'static str {
        "release"
    }

    fn label(&self) -> &'static str {
        "Release"
    }

    async fn confirm(
        &self,
        operator: &Operator,
        app: &str,
        fields: &Fields,
    ) -> Result<Confirmation, Refusal> {
        let rows = held(operator, app, fields).await?;
        Ok(Confirmation {
            question: format!("Release {} of {app}?", count(rows.len(), "held task")),
            notes: vec!["These tasks remove access. They are executed as soon as they are released.".into()],
            people: Some(people(&rows, "Who loses access".into())),
            fields: bound(&rows, fields),
            verb: format!("Release {}", count(rows.len(), "task")),
            is_destructive: true,
            ..Confirmation::default()
        })
    }

    async fn perform(&self, operator: &Operator, app: &str, fields: &Fields) -> Result<String, Refusal> {
        let rows = held(operator, app, fields).await?;
        same(&rows, fields)?;
        let tasks = rows.into_iter().map(|row| TaskId::new(row.task)).collect();
        let released = operator.orders.release(&Actor::page(), app, &Selection::These(tasks), None).await?;
        let not_held = match released.not_held.len() {
            0 => String::new(),
            gone => format!(" {} no longer held.", counted(gone, "was", "were")),
        };
        Ok(format!("Released {}.{not_held}", count(released.released.len(), "task")))
    }
}

async fn held(operator: &Operator, app: &str, fields: &Fields) -> Result<Vec<TaskRow>, Refusal> {
    let (all, _) = operator.list(app, Which::Held, None).await?;
    let rows = chosen(all, fields)?;
    if rows.is_empty() {
        return Err(Refusal::Nothing(format!(
            "Choose the tasks to release. None of {app} was chosen, or none is held."
        )));
    }
    Ok(rows)
}
