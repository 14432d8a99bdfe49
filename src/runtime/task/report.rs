//! Telling Iden the outcome of a task, until it has been heard.

use bridgehead_resilience::{Backoff, Next};
use bridgehead_sdk::TaskId;
use tokio_util::sync::CancellationToken;

use crate::bridge::{self, Report};
use crate::journal::{Ended, Outcome};
use crate::runtime::Stopped;
use crate::runtime::app::App;
use crate::runtime::policies;

/// An outcome as it is reported.
pub(crate) fn report_of(outcome: &Outcome) -> Report {
    match outcome {
        Outcome::Completed { result } => Report::Completed { result: result.clone() },
        Outcome::Failed { code, message } => Report::Failed { code: *code, message: message.clone() },
    }
}

/// Reports once more what Iden was told before, because it still lists the task as pending. Once only: as long as it does
/// so, it is told again later.
pub(super) async fn again(app: &App, task: &TaskId, outcome: &Outcome) {
    match app.ask(app.bridge.report(app.id, task, &report_of(outcome))).await {
        Ok(()) => {
            tracing::warn!(app = %app.name, %task, "Iden listed the task as pending after its end; the outcome was reported again and taken");
        }
        Err(error) => {
            tracing::warn!(app = %app.name, %task, %error, "Iden lists the task as pending after its end, and does not take the outcome that is reported again");
        }
    }
}

/// Reports an outcome that is durable. Repeats without limit; when the daemon stops, the outcome stays in the journal
/// and is reported at the next start.
pub(super) async fn until_heard(
    app: &App,
    task: &TaskId,
    outcome: &Outcome,
    stop: &CancellationToken,
) -> Result<(), Stopped> {
    let report = report_of(outcome);
    app.status.progress().decided(task);
    let (mut backoff, mut is_first) = (Backoff::new(policies::BRIDGE), true);
    let ended = loop {
        let leave = tokio::select! {
            biased;
            leave = app.access.enter() => leave,
            () = stop.cancelled(), if !is_first || app.access.cause().is_some() => return Err(Stopped),
        };
        is_first = false;
        let answer = app.bridge.report(app.id, task, &report).await;
        app.heard(leave, &answer);
        let Err(error) = answer else {
            break Ended::Accepted;
        };
        match error {
            // The door says when to come again.
            error if error.is_access() => {}
            bridge::Error::Conflict { .. } => {
                tracing::info!(app = %app.name, %task, "was resolved by somebody else meanwhile (409); passed over");
                break Ended::Conflict;
            }
            bridge::Error::NotFound { from_bridge: true, .. } => {
                tracing::warn!(app = %app.name, %task, "is not known to Iden any more (404); its outcome is dropped");
                break Ended::Missing;
            }
            bridge::Error::BadRequest { .. }
            | bridge::Error::Unprocessable { .. }
            | bridge::Error::Invalid { .. } => {
                tracing::error!(app = %app.name, %task, %error, "Iden does not accept the report of this task; it is put aside. See `bridgehead tasks list --rejected`");
                break Ended::Rejected { detail: app.redactor.redact(&error.to_string()).into_owned() };
            }
            error => {
                let wait = error.retry_after().unwrap_or_default().max(backoff.failed(app.rng.unit()));
                tracing::warn!(app = %app.name, %task, %error, ?wait, "the outcome could not be reported; trying again");
                app.status.report_delayed();
                app.status.progress().wait(task, None, &error.to_string(), wait);
                tokio::select! {
                    biased;
                    () = stop.cancelled() => return Err(Stopped),
                    () = tokio::time::sleep(wait) => {}
                }
            }
        }
    };
    app.status.ended(outcome, &ended);
    let retry = app.retry(policies::LOCAL).until(stop);
    let written = retry.run(
        |_| app.journal.ended(&app.key, task, &ended, app.clock.now()),
        |_| Next::Retry,
        |failed| {
            tracing::error!(app = %app.name, %task, error = %failed.error, "the journal cannot be written; a restart would report this task again");
        },
    );
    written.await.map_err(|_| Stopped)
}
