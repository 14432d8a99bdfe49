//! Actions as data, to pass them to the node that runs the app.

use bridgehead_sdk::TaskId;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::{Actions, Error, Resolution};
use crate::audit::Actor;
use crate::operator_commands::Selection;
use crate::sync::{Consent, Options};

/// One action on one app.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Command {
    /// [`Actions::release`]
    Release { tasks: Selection, expect: Option<u64> },
    /// [`Actions::retry`]
    Retry { tasks: Selection, expect: Option<u64> },
    /// [`Actions::resolve`]
    Resolve { task: TaskId, resolution: Resolution },
    /// [`Actions::pause`]
    Pause { reason: Option<String> },
    /// [`Actions::resume`]
    Resume,
    /// [`Actions::cancel_sync`]
    CancelSync,
    /// [`Actions::sync`]
    Sync { dry_run: bool, allow_removals: Option<Consent> },
}

impl Command {
    /// Executes the action on this node, and returns its result as JSON.
    pub(super) async fn perform(
        &self,
        actions: &Actions,
        actor: &Actor,
        app: &str,
        stop: &CancellationToken,
    ) -> Result<Value, Error> {
        match self {
            Self::Release { tasks, expect } => json(actions.release(actor, app, tasks, *expect).await?),
            Self::Retry { tasks, expect } => json(actions.retry(actor, app, tasks, *expect).await?),
            Self::Resolve { task, resolution } => json(actions.resolve(actor, app, task, resolution).await?),
            Self::Pause { reason } => json(actions.pause(actor, app, reason.as_deref()).await?),
            Self::Resume => json(actions.resume(actor, app).await?),
            Self::CancelSync => json(actions.cancel_sync(actor, app).await?),
            Self::Sync { dry_run, allow_removals } => {
                let options = Options { dry_run: *dry_run, allow_removals: *allow_removals };
                json(actions.sync(actor, app, options, stop).await?)
            }
        }
    }
}

fn json<T: Serialize>(answer: T) -> Result<Value, Error> {
    serde_json::to_value(answer).map_err(|error| Error::Remote {
        code: "failed",
        message: format!("the answer cannot be written: {error}"),
    })
}
