//! Reports the outcome of a task until Iden has accepted it.

use std::sync::{Mutex, PoisonError};

use bridgehead_resilience::{Interrupted, Next};
use bridgehead_sdk::TaskId;
use futures::FutureExt;
use tokio::sync::{Notify, RwLockReadGuard};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::audited;
use super::steps::message;
use crate::ShuttingDown;
use crate::app::AppContext;
use crate::policies;
use crate::proof::OutcomeRecorded;
use crate::upstream::Patience;
use bridgehead_bridge::{self as bridge, Operation, Report};
use bridgehead_store::{AttemptStep, Outcome, Phase, ReportResult};

/// Converts an outcome into its report.
pub(crate) fn report_of(outcome: &Outcome) -> Report {
    match outcome {
        Outcome::Completed { result } => Report::Completed { result: result.clone() },
        Outcome::Failed { code, message } => Report::Failed { code: *code, message: message.clone() },
    }
}

/// Waits until Iden may learn of the outcome. While a sync completes, or its `complete` may still be on its way, it may not: Iden would remove
/// an account that was created and reported since the sync last looked for it. A stop of the daemon ends the wait only from outside, so that
/// it never lets a report through.
async fn admitted(app: &AppContext) -> RwLockReadGuard<'_, ()> {
    loop {
        app.fence.passed(app).await;
        let report = app.changes.report().await;
        if app.fence.is_over() {
            return report;
        }
    }
}

/// Repeats a report once because Iden still lists the task as pending. If that does not help, it is repeated again later.
pub(super) async fn again(
    app: &AppContext,
    task: &TaskId,
    outcome: &OutcomeRecorded,
    stop: &CancellationToken,
) {
    let report = report_of(outcome.outcome());
    let answer = app.upstream.call_holding(
        || admitted(app).boxed(),
        stop,
        Operation::Report,
        Patience::brief(),
        |bridge| bridge.report(app.id, task, &report),
        |failed| app.upstream.log(&failed),
    );
    match answer.await {
        Ok(((), _)) => {
            tracing::warn!(app = %app.name, %task, "Iden listed the task as pending after its report; the \
                                                    outcome was reported again and accepted");
        }
        Err(Interrupted::Stopped) => {}
        Err(Interrupted::Failed(error)) => {
            tracing::warn!(app = %app.name, %task, %error, "Iden lists the task as pending after its report, and does not accept the repeated report");
        }
    }
}

/// Reports a durable outcome. Retries without limit; when the daemon stops, the outcome stays in the journal and is reported at the next
/// start.
///
/// An attempt may still be running until `under_way_until`, and must not take effect in the middle of the account's next task. Until then,
/// this does not return, and the journal keeps the task: after a restart, too, the account's next task has to wait.
pub(super) async fn until_heard(
    app: &AppContext,
    task: &TaskId,
    outcome: &OutcomeRecorded,
    under_way_until: Option<Instant>,
    stop: &CancellationToken,
) -> Result<(), ShuttingDown> {
    let report = report_of(outcome.outcome());
    app.status.progress().decided(task);
    let began = app.shared.clock.now();
    let late: Mutex<Option<AttemptStep>> = Mutex::new(None);
    let is_late = Notify::new();
    let answer = app.upstream.call_holding(
        || admitted(app).boxed(),
        stop,
        Operation::Report,
        Patience::until_answered(unless_heard),
        |bridge| bridge.report(app.id, task, &report),
        |failed| {
            let (error, wait) = (failed.error, failed.wait);
            tracing::warn!(app = %app.name, %task, %error, ?wait, "the outcome could not be reported; retrying");
            app.status.report_delayed();
            app.status.progress().wait(task, None, &error.to_string(), wait);
            // Record the first failure, for commands while no daemon runs; the status shows the others.
            let mut late = late.lock().unwrap_or_else(PoisonError::into_inner);
            if late.is_none() {
                *late = Some(AttemptStep {
                    attempt: 0,
                    phase: Phase::Report,
                    began_at: began,
                    ended_at: None,
                    code: None,
                    message: Some(message(app, &error.to_string())),
                    next_try_at: None,
                });
                is_late.notify_one();
            }
        },
    );
    let noting = async {
        is_late.notified().await;
        let noted = late.lock().unwrap_or_else(PoisonError::into_inner).clone();
        drop(app.store.note_attempts(task, noted.as_slice()).await);
        std::future::pending().await
    };
    let answer = tokio::select! {
        biased;
        answer = answer => answer,
        answer = noting => answer,
    };
    // What follows may take long, and does not concern syncs.
    let ended = match answer.map(drop) {
        Ok(()) => ReportResult::Accepted,
        Err(Interrupted::Stopped) => return Err(ShuttingDown),
        Err(Interrupted::Failed(bridge::Error::Conflict { .. })) => {
            tracing::info!(app = %app.name, %task, "was already resolved in Iden (409); skipped");
            ReportResult::Conflict
        }
        Err(Interrupted::Failed(bridge::Error::NotFound { .. })) => {
            tracing::warn!(app = %app.name, %task, "is no longer known to Iden (404); its outcome is dropped");
            ReportResult::Missing
        }
        Err(Interrupted::Failed(error)) => {
            ReportResult::Rejected { detail: app.shared.redactor.redact(&error.to_string()).into_owned() }
        }
    };
    app.status.ended(outcome.outcome(), &ended);
    audited::reported(app, task, outcome.outcome(), &ended);
    if let Some(until) = under_way_until {
        until_over(app, task, until, stop).await?;
    }
    let retry = app.retry(policies::LOCAL).until(stop);
    let written = retry.run(
        |_| app.store.ended(task, &ended, app.shared.clock.now()),
        |_| Next::Retry,
        |failed| {
            tracing::error!(app = %app.name, %task, error = %failed.error, "the journal cannot be written; a restart would report this task again");
        },
    );
    written.await.map_err(|_| ShuttingDown)?;
    if let ReportResult::Rejected { detail } = &ended {
        // Only now can the command in this message find it.
        tracing::error!(app = %app.name, %task, error = %detail, "Iden rejected the report of this task. See `bridgehead tasks list --rejected`");
    }
    Ok(())
}

/// Waits until no attempt of a reported task can be running any more.
pub(super) async fn until_over(
    app: &AppContext,
    task: &TaskId,
    until: Instant,
    stop: &CancellationToken,
) -> Result<(), ShuttingDown> {
    let wait = until.saturating_duration_since(Instant::now());
    if wait.is_zero() {
        return Ok(());
    }
    app.status.progress().reported(task, wait);
    tokio::select! {
        biased;
        () = stop.cancelled() => Err(ShuttingDown),
        () = sleep_until(until) => Ok(()),
    }
}

/// Retries a report until Iden responds to it.
fn unless_heard(error: &bridge::Error) -> Next {
    match error {
        bridge::Error::Conflict { .. }
        | bridge::Error::NotFound { from_bridge: true, .. }
        | bridge::Error::BadRequest { .. }
        | bridge::Error::Unprocessable { .. }
        | bridge::Error::Invalid { .. } => Next::GiveUp,
        error => error.retry_after().map_or(Next::Retry, Next::RetryAfter),
    }
}
