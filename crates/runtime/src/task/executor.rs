//! Executes one task until Iden has accepted its outcome.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use bridgehead_resilience::{Interrupted, Next};
use bridgehead_sdk::{Completion, TaskId};
use serde::Deserialize;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::attempt::intent_of;
use super::attempts::{AttemptContext, AttemptsEnd, Failure, PriorAttempts};
use super::audited::Audited;
use super::noted::note;
use super::steps::step;
use super::{admission, poller, report, wait_for_target};
use crate::ShuttingDown;
use crate::app::AppContext;
use crate::change_tracker::Unsettled;
use crate::policies;
use crate::proof::OutcomeRecorded;
use crate::upstream::Patience;
use bridgehead_bridge::{self as bridge, Task, TaskStatus};
use bridgehead_store::{self as journal, AttemptStep, Entry, Intent, Outcome, Phase, PriorAccount, State};

/// A task that was listed longer ago is read again before it is executed: it may have been resolved since.
pub(super) const FRESH: Duration = Duration::from_secs(30);

/// A task that is too large to read this many times in a row fails for that reason.
const TOO_LARGE: u32 = 3;

/// What is known about a task when its execution starts.
#[derive(Debug)]
pub(super) struct TaskInput {
    pub(super) id: TaskId,
    /// The task as it was listed, if that was recent; otherwise it is fetched.
    pub(super) task: Option<Task>,
    /// The journal's entry from an earlier process.
    pub(super) entry: Option<Entry>,
    /// The journal has no entry for the task, but may have lost it.
    pub(super) may_have_begun: bool,
    /// Held by a new task until it has its turn at the target; limits how many tasks wait for one.
    pub(super) ticket: Option<OwnedSemaphorePermit>,
}

/// How an execution ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TaskEnd {
    /// Iden has received the outcome, and the journal records that.
    Reported,
    /// There was nothing to do, and the journal has no entry for the task.
    PassedOver,
}

/// Executes one task until Iden has accepted its outcome.
///
/// Cancelling: once `stop` is cancelled, nothing new is started, and [`run`](Self::run) returns `ShuttingDown`. Dropping it in the middle
/// of a call loses nothing either: started work is in the journal and resumes at the next start. Errors: none end it early. Errors of the
/// connector or the Bridge decide the outcome or are retried. Panics: the scheduler resumes the task later, from the journal.
#[derive(Debug)]
pub(super) struct TaskExecutor {
    app: Arc<AppContext>,
    stop: CancellationToken,
}

impl TaskExecutor {
    pub(super) fn new(app: Arc<AppContext>, stop: CancellationToken) -> Self {
        Self { app, stop }
    }

    /// `ShuttingDown` means that the daemon stops; the journal records where to resume.
    pub(super) async fn run(self, input: TaskInput) -> Result<TaskEnd, ShuttingDown> {
        let TaskInput { id, task, entry, may_have_begun, ticket } = input;
        let app = &self.app;
        let prior = match entry {
            Some(entry) if entry.state != State::Intended => return self.report(&id, &entry).await,
            Some(entry) => Some(self.prior_of(entry)),
            None => may_have_begun.then(|| PriorAttempts {
                attempts: 0,
                may_have_applied: true,
                account: PriorAccount::Unknown,
                since_last: app.settled_at().elapsed(),
            }),
        };
        let is_new = prior.as_ref().is_none_or(|prior| prior.attempts == 0);
        // A task listed before the pause may be out of date.
        let listed = if is_new && wait_while_paused(app, &id, &self.stop).await? { None } else { task };
        let fetches = app.shared.clock.now();
        let task = match listed {
            Some(task) => Some(task),
            None => fetch(app, &id, prior.is_some(), &self.stop).await?,
        };
        let is_early = |task: &Task| prior.is_none() && poller::is_early(app, task);
        let is_wanted = is_wanted(app, &id, task.as_ref()).await && !task.as_ref().is_some_and(is_early);
        let Some(task) = task.filter(|_| is_wanted) else {
            return Ok(TaskEnd::PassedOver);
        };
        let _protection = app.shared.redactor.protect(secrets_of(&task));
        let began = Instant::now();
        let mut intent = intent_of(app, &task);
        tracing::Span::current().record("action", intent.action.as_str());
        let attempts = prior.as_ref().map_or(0, |prior| prior.attempts);
        intent.steps.push(step(app, attempts, Phase::Fetch, fetches, None));
        let Attempted { end, under_way_until, unsettled: _unsettled, steps, audited } = match self
            .attempt(&task, intent.clone(), prior, ticket)
            .await
        {
            Ok(attempted) => attempted,
            Err(ShuttingDown) if !self.stop.is_cancelled() => return self.decided_elsewhere(&task.id).await,
            Err(ShuttingDown) => return Err(ShuttingDown),
        };
        intent.steps = steps;
        let outcome = match end {
            AttemptsEnd::Completed(completion) => completed(app, completion),
            AttemptsEnd::Failed(failure) => failed(app, &failure),
            AttemptsEnd::PassedOver => return Ok(TaskEnd::PassedOver),
        };
        let Some(outcome) = self.write_outcome(&intent, &outcome).await else {
            return Ok(TaskEnd::Reported);
        };
        log(app, &task, outcome.outcome());
        trace(outcome.outcome(), Some(audited.attempts()));
        audited.record(app, &task, outcome.outcome(), began.elapsed());
        report::until_heard(app, &task.id, &outcome, under_way_until, &self.stop).await?;
        Ok(TaskEnd::Reported)
    }

    /// Reports an outcome that Iden may not have received.
    async fn report(&self, id: &TaskId, entry: &Entry) -> Result<TaskEnd, ShuttingDown> {
        let is_decided = matches!(entry.state, State::Decided(_));
        let outcome = OutcomeRecorded::in_journal(entry);
        if let Some(outcome) = &outcome {
            trace(outcome.outcome(), None);
        }
        match outcome {
            Some(outcome) if is_decided => {
                report::until_heard(&self.app, id, &outcome, None, &self.stop).await?;
                // It is not recorded whether an attempt was still running when the earlier process ended. If so, it must not take effect
                // in the middle of the account's next task.
                let until = self.app.settled_at() + self.app.settings.tasks.timeout;
                report::until_over(&self.app, id, until, &self.stop).await?;
            }
            Some(outcome) => report::again(&self.app, id, &outcome, &self.stop).await,
            None => {}
        }
        Ok(TaskEnd::Reported)
    }

    fn prior_of(&self, entry: Entry) -> PriorAttempts {
        let since = self.app.shared.clock.now().duration_since(entry.last_intent_at);
        PriorAttempts {
            attempts: entry.attempt,
            may_have_applied: entry.may_have_applied,
            account: entry.prior,
            // The wall clock may have been set since: only time measured by this process is certain.
            since_last: Duration::try_from(since).unwrap_or_default().min(self.app.settled_at().elapsed()),
        }
    }

    /// Handles attempts that ended early although the daemon is not stopping. If the task was decided in the meantime, by an operator for
    /// example, the outcome is reported; otherwise the task will be listed again.
    async fn decided_elsewhere(&self, task: &TaskId) -> Result<TaskEnd, ShuttingDown> {
        let Ok(Some(outcome)) = self.app.store.recorded_outcome(task).await else {
            return Err(ShuttingDown);
        };
        let until = Instant::now() + self.app.settings.tasks.timeout;
        report::until_heard(&self.app, task, &outcome, Some(until), &self.stop).await?;
        Ok(TaskEnd::Reported)
    }

    async fn attempt(
        &self,
        task: &Task,
        mut intent: Intent,
        prior: Option<PriorAttempts>,
        ticket: Option<OwnedSemaphorePermit>,
    ) -> Result<Attempted<'_>, ShuttingDown> {
        let app = &self.app;
        let what = format!("{} in {}", intent.action, app.name);
        let begins = app.shared.clock.now();
        let refused = |failure: Failure, mut steps: Vec<AttemptStep>| {
            steps.push(step(app, 0, Phase::Admit, begins, Some(&failure)));
            let audited = Audited::refused();
            Ok(Attempted {
                end: AttemptsEnd::Failed(failure),
                under_way_until: None,
                unsettled: None,
                steps,
                audited,
            })
        };
        let description = match wait_for_target::describe(app, &what, &self.stop).await? {
            Ok(description) => description,
            Err(failure) => return refused(failure, intent.steps),
        };
        app.status.started();
        match admission::admit(app, &description, task) {
            Ok(operation) => {
                intent.steps.push(step(app, 0, Phase::Admit, begins, None));
                let mut context =
                    AttemptContext::new(app, operation, intent, Arc::clone(&description), &self.stop);
                context.ticket = ticket;
                let end = Box::pin(context.run(prior)).await?;
                if let AttemptsEnd::Completed(completion) = &end {
                    note(app, &description, &context, completion).await;
                }
                let audited = Audited::of(&context);
                Ok(Attempted {
                    end,
                    under_way_until: context.under_way_until,
                    unsettled: context.unsettled,
                    steps: context.intent.steps,
                    audited,
                })
            }
            Err(failure) => refused(failure, intent.steps),
        }
    }

    /// Makes the outcome durable before it is reported. It is not stored anywhere else, so this never gives up. If the journal already
    /// contains a different outcome, that one counts; `None` if it was reported so long ago that it has been removed.
    async fn write_outcome(&self, intent: &Intent, outcome: &Outcome) -> Option<OutcomeRecorded> {
        let (app, task) = (&self.app, &intent.task);
        let write = |_| async {
            match app.store.record_outcome(intent, outcome).await {
                Err(error) if unless_decided(&error) == Next::GiveUp => {
                    tracing::error!(app = %app.name, %task, %error, "the journal holds a different outcome for this task, which takes precedence");
                    app.store.recorded_outcome(task).await
                }
                answer => answer.map(Some),
            }
        };
        let retry = app.retry(policies::LOCAL);
        let written = retry.until_success(write, |failed| {
            tracing::error!(app = %app.name, %task, error = %failed.error, "the outcome cannot be written to the journal; retrying");
        });
        written.await
    }
}

/// The end of the attempts.
struct Attempted<'a> {
    end: AttemptsEnd,
    /// Until when an attempt may still be running in the target.
    under_way_until: Option<Instant>,
    /// Announces to syncs that an attempt may still change the account.
    unsettled: Option<Unsettled<'a>>,
    /// Steps of the history that are not written yet.
    steps: Vec<AttemptStep>,
    /// The evidence for the outcome.
    audited: Audited,
}

/// Waits while an operator has paused the app, so that no task is started. Returns whether it waited.
pub(super) async fn wait_while_paused(
    app: &AppContext,
    task: &TaskId,
    stop: &CancellationToken,
) -> Result<bool, ShuttingDown> {
    if app.operator.pausing.now().is_none() {
        return Ok(false);
    }
    app.status.progress().pause(task, true);
    let was_paused = tokio::select! {
        biased;
        () = stop.cancelled() => return Err(ShuttingDown),
        was_paused = app.operator.pausing.wait() => was_paused,
    };
    app.status.progress().pause(task, false);
    Ok(was_paused)
}

/// The outcome of a success. Known secrets are removed before anything is written or sent.
pub(super) fn completed(app: &AppContext, completion: Completion) -> Outcome {
    let id = completion.result.get("account_id").and_then(serde_json::Value::as_str).map(str::to_owned);
    let mut result = serde_json::Value::Object(completion.result);
    app.shared.redactor.redact_json(&mut result);
    // A secret that happens to be part of the identifier, such as a short PIN of another task, must not change which account Iden links.
    // The identifier is redacted only if all of it is a secret.
    if let Some(id) = id.filter(|id| app.shared.redactor.redact(id) != bridgehead_sdk::REDACTED) {
        result["account_id"] = id.into();
    }
    Outcome::Completed { result: result.as_object().filter(|fields| !fields.is_empty()).cloned() }
}

/// The outcome of a failure; see [`completed`].
pub(super) fn failed(app: &AppContext, failure: &Failure) -> Outcome {
    const LONGEST: usize = 2000;
    let message = app.shared.redactor.redact(&failure.message);
    Outcome::Failed { code: failure.code, message: message.chars().take(LONGEST).collect() }
}

/// Retries a journal write until it succeeds, unless the task already has an outcome.
pub(super) fn unless_decided(error: &journal::Error) -> Next {
    if matches!(error, journal::Error::AlreadyDecided { .. }) { Next::GiveUp } else { Next::Retry }
}

/// Whether a task that was just read should be executed. Tasks that are resolved or gone are removed from the journal.
pub(super) async fn is_wanted(app: &AppContext, id: &TaskId, task: Option<&Task>) -> bool {
    match task.map(|task| &task.status) {
        Some(TaskStatus::Pending) => return true,
        // Neither pending nor resolved: it will be listed again when it is due.
        Some(status) if !status.is_terminal() => return false,
        Some(_) => {
            tracing::info!(app = %app.name, task = %id, "was already resolved in Iden; skipped");
        }
        None => {
            tracing::warn!(app = %app.name, task = %id, "is no longer known to Iden (404); dropped");
        }
    }
    if let Err(error) = app.store.forget(id).await {
        tracing::error!(app = %app.name, task = %id, %error, "the journal cannot be written");
    }
    false
}

/// Reads a task from Iden. `None` if Iden does not know it. A task that stays too large to read fails for that reason, unless it has
/// already been started: an oversized response must not decide its result.
pub(super) async fn fetch(
    app: &AppContext,
    id: &TaskId,
    has_begun: bool,
    stop: &CancellationToken,
) -> Result<Option<Task>, ShuttingDown> {
    let too_large = AtomicU32::new(0);
    let read = app.upstream.call_until(
        stop,
        bridge::Operation::ReadTask,
        Patience::until_answered(unless_unknown),
        |bridge| {
            let (read, too_large) = (bridge.task(app.id, id), &too_large);
            Box::pin(async move {
                let answer = read.await;
                let is_too_large = answer.as_ref().is_err_and(bridge::Error::is_too_large);
                let in_a_row = if is_too_large { too_large.fetch_add(1, Relaxed) + 1 } else { 0 };
                too_large.store(in_a_row, Relaxed);
                match Task::too_large(id.as_str()) {
                    Ok(task) if in_a_row >= TOO_LARGE && !has_begun => Ok(task),
                    _ => answer,
                }
            })
        },
        |failed| {
            let (error, wait) = (failed.error, failed.wait);
            tracing::warn!(app = %app.name, task = %id, %error, ?wait, "the task could not be read; retrying");
        },
    );
    let read = tokio::select! {
        biased;
        () = stop.cancelled() => return Err(ShuttingDown),
        read = read => read,
    };
    match read {
        Ok(task) => Ok(Some(task)),
        Err(Interrupted::Failed(_)) => Ok(None),
        Err(Interrupted::Stopped) => Err(ShuttingDown),
    }
}

/// Retries reading a task until Iden returns it, or responds that it does not know it.
fn unless_unknown(error: &bridge::Error) -> Next {
    match error {
        bridge::Error::NotFound { from_bridge: true, .. } => Next::GiveUp,
        error => error.retry_after().map_or(Next::Retry, Next::RetryAfter),
    }
}

pub(super) fn secrets_of(task: &Task) -> Vec<zeroize::Zeroizing<String>> {
    bridgehead_sdk::Payload::deserialize(&task.payload).map(|payload| payload.secrets()).unwrap_or_default()
}

fn log(app: &AppContext, task: &Task, outcome: &Outcome) {
    match outcome {
        Outcome::Completed { .. } => {
            tracing::info!(app = %app.name, task = %task.id, action = task.action, "completed");
        }
        Outcome::Failed { code, message } => {
            tracing::warn!(app = %app.name, task = %task.id, action = task.action, %code, "failed: {message}");
        }
    }
}

/// Records the outcome in the task's span. If the outcome was decided by an earlier process, the number of attempts is unknown.
fn trace(outcome: &Outcome, attempts: Option<u64>) {
    let span = tracing::Span::current();
    match outcome {
        Outcome::Completed { .. } => span.record("outcome", "completed"),
        Outcome::Failed { code, .. } => span.record("outcome", "failed").record("code", code.as_str()),
    };
    if let Some(attempts) = attempts {
        span.record("attempts", attempts);
    }
}

#[cfg(test)]
mod tests {
    use bridgehead_sdk::Code;
    use jiff::Timestamp;

    use super::*;
    use crate::fakes::{Place, Script};
    use bridgehead_store::ReportResult;

    struct Nothing;

    impl Script for Nothing {}

    fn failed(message: &str) -> Outcome {
        Outcome::Failed { code: Code::InternalError, message: message.into() }
    }

    fn intent(task: &str) -> Intent {
        Intent {
            task: task.into(),
            action: "suspend_account".into(),
            created_at: None,
            keys: vec![1],
            attempt: 1,
            prior: PriorAccount::Unknown,
            at: Timestamp::UNIX_EPOCH,
            steps: Vec::new(),
        }
    }

    #[test]
    fn outcome_already_in_the_journal_wins() {
        let place = Place::new();
        let app = place.app(&Arc::new(Nothing));
        let intent = intent("t-1");
        let executor = TaskExecutor::new(Arc::clone(&app), CancellationToken::new());
        place.runtime.block_on(async {
            let first = executor.write_outcome(&intent, &failed("the first")).await.unwrap();
            assert_eq!(*first.outcome(), failed("the first"));
            let second = executor.write_outcome(&intent, &failed("another")).await.unwrap();
            assert_eq!(*second.outcome(), failed("the first"));
            app.store.ended(&intent.task, &ReportResult::Accepted, Timestamp::UNIX_EPOCH).await.unwrap();
            let kept = executor.write_outcome(&intent, &failed("another")).await.unwrap();
            assert_eq!(*kept.outcome(), failed("the first"));
        });
    }

    #[test]
    fn reported_task_stays_in_the_journal_while_its_attempt_may_be_running() {
        let place = Place::new();
        let app = place.app(&Arc::new(Nothing));
        let intent = intent("t-1");
        let stop = CancellationToken::new();
        let executor = TaskExecutor::new(Arc::clone(&app), stop.clone());
        place.runtime.block_on(async {
            let outcome = executor.write_outcome(&intent, &failed("x")).await.unwrap();
            let is_open = async || {
                let open = app.store.for_operator().open(&app.key).await.unwrap();
                open.iter().any(|entry| matches!(entry.state, State::Decided(_)))
            };
            stop.cancel();
            // An earlier process may have left a `complete` behind, which was not looked up yet: a stop does not let the report through.
            assert!(report::until_heard(&app, &intent.task, &outcome, None, &stop).await.is_err());
            assert!(is_open().await);
            app.fence.passed(&app).await;
            // Now the report is made, although the daemon stops, but nothing is waited for.
            let until = Instant::now() + Duration::from_mins(1);
            let stopped = report::until_heard(&app, &intent.task, &outcome, Some(until), &stop).await;
            assert!(stopped.is_err() && is_open().await, "the next process would not wait");
            report::until_heard(&app, &intent.task, &outcome, None, &stop).await.unwrap();
            assert!(!is_open().await);
        });
    }
}
