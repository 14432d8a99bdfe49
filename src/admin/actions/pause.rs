//! Pauses and resumes an app.

use async_trait::async_trait;

use super::{Action, Confirmation, Input, Operator, Refusal};
use crate::admin::query::Fields;
use bridgehead_runtime::audit::Actor;

/// Starts no more tasks or syncs of an app.
pub(super) struct Pause;

#[async_trait]
impl Action for Pause {
    fn name(&self) -> &'static str {
        "pause"
    }

    fn label(&self) -> &'static str {
        "Pause"
    }

    async fn confirm(&self, operator: &Operator, app: &str, _: &Fields) -> Result<Confirmation, Refusal> {
        operator.runtime.inspected(app).ok_or(Refusal::NoSuchApp)?;
        Ok(Confirmation {
            question: format!("Pause {app}?"),
            notes: vec![
                "Running tasks and a running sync are finished. After that, no task and no sync of this app starts: people \
                 neither get nor lose access until you resume it. The pause survives restarts."
                    .to_owned(),
            ],
            inputs: vec![Input::reason("Optional. Shown in the status and in the audit log.", false)],
            verb: "Pause".to_owned(),
            is_destructive: true,
            ..Confirmation::default()
        })
    }

    async fn perform(&self, operator: &Operator, app: &str, fields: &Fields) -> Result<String, Refusal> {
        let change = operator.orders.pause(&Actor::page(), app, fields.get("reason")).await?;
        Ok(if change.changed { format!("{app} is paused.") } else { format!("{app} was paused already.") })
    }
}

/// Resumes a paused app.
pub(super) struct Resume;

#[async_trait]
impl Action for Resume {
    fn name(&self) -> &'static str {
        "resume"
    }

    fn label(&self) -> &'static str {
        "Resume"
    }

    async fn confirm(&self, operator: &Operator, app: &str, _: &Fields) -> Result<Confirmation, Refusal> {
        operator.runtime.inspected(app).ok_or(Refusal::NoSuchApp)?;
        Ok(Confirmation {
            question: format!("Resume {app}?"),
            notes: vec![
                "Pending tasks are executed, and syncs follow the schedule again. The guards stay in force."
                    .to_owned(),
            ],
            verb: "Resume".to_owned(),
            ..Confirmation::default()
        })
    }

    async fn perform(&self, operator: &Operator, app: &str, _: &Fields) -> Result<String, Refusal> {
        let change = operator.orders.resume(&Actor::page(), app).await?;
        Ok(if change.changed { format!("{app} is resumed.") } else { format!("{app} was not paused.") })
    }
}
