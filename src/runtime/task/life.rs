//! One task from its start to the moment Iden has heard of its outcome.

use std::sync::Arc;

use bridgehead_sdk::{Completion, TaskId};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::trial::{Failure, Prior, Trial, intent_of};
use super::{admission, report};
use crate::bridge::{self, Task, TaskStatus};
use crate::journal::{self, Entry, Intent, Outcome, State};
use crate::runtime::Stopped;
use crate::runtime::app::App;
use crate::runtime::backoff::Backoff;

/// What a life begins with.
#[derive(Debug)]
pub(super) struct Start {
    pub(super) id: TaskId,
    /// The task as it was listed, if that was a moment ago; else it is fetched.
    pub(super) task: Option<Task>,
    /// What the journal knows from before this process.
    pub(super) entry: Option<Entry>,
}

/// Lives one life. `Stopped` means that the daemon stops; the journal knows where to go on.
pub(super) async fn live(app: Arc<App>, start: Start, stop: CancellationToken) -> Result<(), Stopped> {
    let prior = match start.entry {
        Some(Entry { state: State::Decided(outcome), .. }) => {
            return report::until_heard(&app, &start.id, &outcome, &stop).await;
        }
        Some(Entry { state: State::Ended(_), .. }) => return Ok(()),
        Some(entry) => {
            let since = app.clock.now().duration_since(entry.last_intent_at);
            Some(Prior { attempts: entry.attempt, since_last: since.try_into().unwrap_or_default() })
        }
        None => None,
    };
    let task = match start.task {
        Some(task) => task,
        None => match fetch(&app, &start.id, &stop).await? {
            Some(task) => task,
            None => return drop_intent(&app, &start.id, prior.is_some()).await,
        },
    };
    if task.status != TaskStatus::Pending {
        if task.status.is_terminal() {
            tracing::info!(app = %app.name, task = %task.id, "was resolved by somebody else meanwhile; passed over");
            return drop_intent(&app, &task.id, prior.is_some()).await;
        }
        return Ok(());
    }
    let _protection = app.redactor.protect(secrets_of(&task));
    let intent = intent_of(&app, &task);
    let (result, under_way_until) = attempt(&app, &task, intent.clone(), prior, &stop).await?;
    let outcome = conclude(&app, result);
    write_outcome(&app, &intent, &outcome).await;
    log(&app, &task, &outcome);
    report::until_heard(&app, &task.id, &outcome, &stop).await?;
    // A call that may still be under way must not land in the middle of the account's next task.
    if let Some(until) = under_way_until {
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep_until(until) => {}
        }
    }
    Ok(())
}

async fn attempt(
    app: &Arc<App>,
    task: &Task,
    intent: Intent,
    prior: Option<Prior>,
    stop: &CancellationToken,
) -> Result<(Result<Completion, Failure>, Option<Instant>), Stopped> {
    let description = app.description(stop).await?;
    app.status.started();
    match admission::admit(app, &description, task) {
        Ok(operation) => {
            let mut trial = Trial::new(app, operation, intent, stop);
            let result = Box::pin(trial.run(prior)).await?;
            Ok((result, trial.under_way_until))
        }
        Err(failure) => Ok((Err(failure), None)),
    }
}

/// Nothing leaves the daemon, and nothing is written down, before known secrets are taken out.
fn conclude(app: &App, result: Result<Completion, Failure>) -> Outcome {
    const LONGEST: usize = 2000;
    match result {
        Ok(completion) => {
            let mut result = serde_json::Value::Object(completion.result);
            app.redactor.redact_json(&mut result);
            let result = result.as_object().filter(|fields| !fields.is_empty()).cloned();
            Outcome::Completed { result }
        }
        Err(failure) => {
            let message = app.redactor.redact(&failure.message);
            Outcome::Failed { code: failure.code, message: message.chars().take(LONGEST).collect() }
        }
    }
}

/// The outcome is durable before Iden hears of it. It is known to nobody else, so this never gives up.
async fn write_outcome(app: &App, intent: &Intent, outcome: &Outcome) {
    let mut tries = 0;
    loop {
        match app.journal.decide(&app.key, intent, outcome).await {
            Ok(()) => return,
            Err(journal::Error::AlreadyDecided { .. }) => {
                tracing::error!(app = %app.name, task = %intent.task, "the journal holds another outcome of this task");
                return;
            }
            Err(error) => {
                tries += 1;
                tracing::error!(app = %app.name, task = %intent.task, %error, "the outcome cannot be written to the journal; trying again");
                tokio::time::sleep(Backoff::LOCAL.patient_wait(tries, &app.dice)).await;
            }
        }
    }
}

/// Reads a task again whose listing is too old to act upon. `None` if Iden does not know it.
async fn fetch(app: &App, id: &TaskId, stop: &CancellationToken) -> Result<Option<Task>, Stopped> {
    let mut tries = 0;
    loop {
        let leave = tokio::select! {
            () = stop.cancelled() => return Err(Stopped),
            leave = app.access.enter() => leave,
        };
        let answer = tokio::select! {
            () = stop.cancelled() => return Err(Stopped),
            answer = app.bridge.task(app.id, id) => answer,
        };
        let error = match answer {
            Ok(task) => {
                app.access.granted(leave);
                return Ok(Some(task));
            }
            Err(error) if error.is_access() => {
                app.refused_access(leave, &error);
                continue;
            }
            Err(error) => error,
        };
        app.access.granted(leave);
        if matches!(error, bridge::Error::NotFound { from_bridge: true, .. }) {
            tracing::warn!(app = %app.name, task = %id, "is not known to Iden any more (404); it is dropped");
            return Ok(None);
        }
        tries += 1;
        let wait = Backoff::BRIDGE.patient_wait(tries, &app.dice);
        tracing::warn!(app = %app.name, task = %id, %error, ?wait, "the task could not be read; trying again");
        tokio::select! {
            () = stop.cancelled() => return Err(Stopped),
            () = tokio::time::sleep(wait) => {}
        }
    }
}

async fn drop_intent(app: &App, id: &TaskId, known: bool) -> Result<(), Stopped> {
    if known && let Err(error) = app.journal.forget(&app.key, id).await {
        tracing::error!(app = %app.name, task = %id, %error, "the journal cannot be written");
    }
    Ok(())
}

fn secrets_of(task: &Task) -> Vec<String> {
    serde_json::from_value::<bridgehead_sdk::Payload>(task.payload.clone())
        .map(|payload| payload.secrets())
        .unwrap_or_default()
}

fn log(app: &App, task: &Task, outcome: &Outcome) {
    match outcome {
        Outcome::Completed { .. } => {
            tracing::info!(app = %app.name, task = %task.id, action = task.action, "completed");
        }
        Outcome::Failed { code, message } => {
            tracing::warn!(app = %app.name, task = %task.id, action = task.action, %code, "failed: {message}");
        }
    }
}
