//! Resolves a task whose effect is unknown.

use async_trait::async_trait;
use bridgehead_sdk::TaskId;

use super::{Action, Confirmation, Input, Operator, Refusal, people};
use crate::admin::query::Fields;
use bridgehead_runtime::actions::Resolution;
use bridgehead_runtime::audit::Actor;
use bridgehead_runtime::inspection::TaskStory;

/// Reports the result that the operator has determined.
pub(super) struct Resolve;

#[async_trait]
impl Action for Resolve {
    fn name(&self) -> &'static str {
        "resolve"
    }

    fn label(&self) -> &'static str {
        "Resolve"
    }

    async fn confirm(
        &self,
        operator: &Operator,
        app: &str,
        fields: &Fields,
    ) -> Result<Confirmation, Refusal> {
        let (task, story) = find(operator, app, fields).await?;
        if !story.effect_unknown {
            return Err(Refusal::Nothing(format!(
                "Only a task with an unknown effect can be resolved. {task} has none: {}",
                story.next
            )));
        }
        let action = story.row.action.clone().unwrap_or_else(|| "its action".to_owned());
        Ok(Confirmation {
            question: format!("Resolve task {task} of {app}?"),
            notes: vec![
                format!(
                    "An attempt at {action} may have taken effect. Look into the target before you answer."
                ),
                "The task is never executed again. Iden receives your answer as its result.".to_owned(),
            ],
            people: Some(people(&[story.row], "Whose task".into())),
            inputs: vec![
                Input {
                    name: "outcome",
                    label: "What you found in the target",
                    hint: "",
                    choices: vec![
                        ("completed", "Completed: the change is there"),
                        ("failed", "Failed: the change is not there"),
                    ],
                    is_required: true,
                    longest: 0,
                },
                Input::reason("How you know. Iden and the audit log receive it.", true),
            ],
            fields: vec![("task", task.to_string())],
            verb: "Resolve".to_owned(),
            is_destructive: true,
        })
    }

    async fn perform(&self, operator: &Operator, app: &str, fields: &Fields) -> Result<String, Refusal> {
        let task = task_of(fields)?;
        let completed = match fields.get("outcome") {
            Some("completed") => true,
            Some("failed") => false,
            _ => return Err(Refusal::Invalid("Choose completed or failed. Nothing was done.".to_owned())),
        };
        let reason = fields.get("reason").unwrap_or_default().to_owned();
        let resolution = Resolution { completed, reason };
        let resolved = operator.orders.resolve(&Actor::page(), app, &task, &resolution).await?;
        Ok(format!("Resolved task {} as {}.", resolved.task, resolved.outcome))
    }
}

fn task_of(fields: &Fields) -> Result<TaskId, Refusal> {
    let task = fields.get("task").ok_or_else(|| {
        Refusal::Nothing("Choose a task: open it from the list of tasks, then resolve it.".to_owned())
    })?;
    Ok(TaskId::new(task.to_owned()))
}

async fn find(operator: &Operator, app: &str, fields: &Fields) -> Result<(TaskId, TaskStory), Refusal> {
    let task = task_of(fields)?;
    let story = operator.story(app, &task).await?;
    let story =
        story.ok_or_else(|| Refusal::Nothing(format!("Neither Iden nor the journal knows task {task}.")))?;
    Ok((task, story))
}
