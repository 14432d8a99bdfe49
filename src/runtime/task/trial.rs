//! The attempts at one task, until there is an outcome.

use std::sync::Arc;
use std::time::Duration;

use bridgehead_sdk::{
    Account, AccountRecord, Code, Completion, Context, Effect, Error, Operation, Retry, TaskId,
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::admission;
use super::read_back::{self, Purpose, Verdict};
use crate::journal::{self, Intent};
use crate::runtime::app::App;
use crate::runtime::backoff::Backoff;
use crate::runtime::decide::{self, Step};
use crate::runtime::{Stopped, call};

/// Why a task is reported as failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) code: Code,
    pub(super) message: String,
}

impl Failure {
    pub(super) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    fn of(error: &Error) -> Self {
        Self::new(error.code(), error.message())
    }
}

/// What is known of a task from before this process.
#[derive(Clone, Copy, Debug)]
pub(super) struct Prior {
    /// The attempts that were begun.
    pub(super) attempts: u32,
    /// How long ago the last of them began.
    pub(super) since_last: Duration,
}

/// One task, being tried.
pub(super) struct Trial<'a> {
    pub(super) app: &'a Arc<App>,
    pub(super) operation: Arc<Operation>,
    pub(super) stop: &'a CancellationToken,
    intent: Intent,
    began: Instant,
    /// Time in which the breaker held the task; it does not count towards `give_up_after`.
    held: Duration,
}

impl<'a> Trial<'a> {
    pub(super) fn new(
        app: &'a Arc<App>,
        operation: Operation,
        intent: Intent,
        stop: &'a CancellationToken,
    ) -> Self {
        let operation = Arc::new(operation);
        Self { app, operation, stop, intent, began: Instant::now(), held: Duration::ZERO }
    }

    /// Makes attempts until there is an outcome, or the daemon stops.
    pub(super) async fn run(mut self, prior: Option<Prior>) -> Result<Result<Completion, Failure>, Stopped> {
        if let Some(prior) = prior {
            self.intent.attempt = prior.attempts;
            tracing::info!(app = %self.app.name, task = %self.intent.task, attempts = prior.attempts, "was interrupted; reading back");
            let failure = Failure::new(
                Code::Timeout,
                format!("{}: was interrupted, and its effect is not known", self.what()),
            );
            let purpose = Purpose::Unknown { again: true, since: prior.since_last };
            match read_back::run(&mut self, purpose, failure).await? {
                Verdict::Completed(completion) => return Ok(Ok(completion)),
                Verdict::Failed(failure) => return Ok(Err(failure)),
                Verdict::TryAgain => {}
            }
        }
        loop {
            if let Some(failure) = self.hold().await? {
                return Ok(Err(failure));
            }
            let result = match self.attempt().await? {
                Ok(result) => result,
                Err(failure) => return Ok(Err(failure)),
            };
            let error = match result {
                Ok(completion) => return Ok(Ok(completion)),
                Err(error) => error,
            };
            let failure = Failure::of(&error);
            let verdict = match decide::after_error(self.operation.action(), self.intent.attempt, &error) {
                Step::Fail => Verdict::Failed(failure),
                Step::AlreadyDone => Verdict::Completed(Completion::done()),
                Step::Retry { after } => self.wait(after, failure).await?,
                // Not open yet: the breaker counts a handful first.
                Step::Hold if self.app.breaker.cause().is_none() => {
                    self.pause(Backoff::TARGET.wait(self.intent.attempt, &self.app.dice)).await?
                }
                Step::Hold => Verdict::TryAgain,
                Step::ReadBack { again } => {
                    let purpose = Purpose::Unknown { again, since: Duration::ZERO };
                    match read_back::run(&mut self, purpose, failure.clone()).await? {
                        Verdict::TryAgain => {
                            let after = if let Retry::After(after) = error.retry_policy() {
                                Some(after)
                            } else {
                                None
                            };
                            self.wait(after, failure).await?
                        }
                        verdict => verdict,
                    }
                }
                Step::CompareExisting => read_back::run(&mut self, Purpose::Existing, failure).await?,
            };
            match verdict {
                Verdict::Completed(completion) => return Ok(Ok(completion)),
                Verdict::Failed(failure) => return Ok(Err(failure)),
                Verdict::TryAgain => self.app.status.retried(),
            }
        }
    }

    /// "create_account for ann in acme-hr".
    pub(super) fn what(&self) -> String {
        format!("{} for {} in {}", self.operation.action(), self.operation.account().label(), self.app.name)
    }

    /// Time spent on this task, without what the breaker held it.
    pub(super) fn spent(&self) -> Duration {
        self.began.elapsed().saturating_sub(self.held)
    }

    /// Waits before another try, or says that there is no time left for one.
    pub(super) async fn wait(&self, after: Option<Duration>, failure: Failure) -> Result<Verdict, Stopped> {
        let jittered = Backoff::TARGET.wait(self.intent.attempt, &self.app.dice);
        let wait = after.map_or(jittered, |after| after + jittered.min(Duration::from_secs(1)));
        if !decide::fits(self.spent(), wait, self.app.settings.tasks.give_up_after) {
            return Ok(Verdict::Failed(failure));
        }
        tracing::info!(app = %self.app.name, task = %self.intent.task, attempt = self.intent.attempt, code = %failure.code, ?wait,
            "{}; trying again", self.app.redactor.redact(&failure.message));
        self.pause(wait).await
    }

    pub(super) async fn pause(&self, wait: Duration) -> Result<Verdict, Stopped> {
        tokio::select! {
            () = self.stop.cancelled() => Err(Stopped),
            () = tokio::time::sleep(wait) => Ok(Verdict::TryAgain),
        }
    }

    /// Waits while the breaker is open, `hold_for` in all; then the task is failed with the cause's code.
    pub(super) async fn hold(&mut self) -> Result<Option<Failure>, Stopped> {
        if self.app.breaker.cause().is_none() {
            return Ok(None);
        }
        let began = Instant::now();
        let hold_for = self.app.settings.tasks.hold_for;
        let patience = hold_for.saturating_sub(self.held);
        let admitted = tokio::select! {
            () = self.stop.cancelled() => return Err(Stopped),
            admitted = self.app.breaker.admit(patience) => admitted,
        };
        self.held += began.elapsed();
        Ok(admitted.err().map(|cause| {
            Failure::new(
                cause.code,
                format!("{}: {}; held for {hold_for:?}, then given up", self.what(), cause.message),
            )
        }))
    }

    /// One attempt: intent, call. The outer error ends the task before the connector was called.
    async fn attempt(&mut self) -> Result<Result<Result<Completion, Error>, Failure>, Stopped> {
        let app = self.app;
        let _slot = tokio::select! {
            () = self.stop.cancelled() => return Err(Stopped),
            slot = app.slots.acquire() => slot.map_err(|_| Stopped)?,
        };
        if admission::has_patterns(&app.settings.protect) {
            match self.look_for_protected().await {
                Ok(Ok(())) => {}
                Ok(Err(failure)) => return Ok(Err(failure)),
                Err(error) => return Ok(Ok(Err(error))),
            }
        }
        tokio::select! {
            () = self.stop.cancelled() => return Err(Stopped),
            () = app.pacing.for_task() => {}
        }
        let change = app.activity.change().await;
        if self.stop.is_cancelled() {
            return Err(Stopped);
        }
        let is_first = self.intent.attempt == 0;
        if is_first && self.operation.action().is_destructive() && !app.guard.has_passed(&self.intent.task) {
            // It was listed as something else. It is listed again, and judged as what it is.
            tracing::error!(app = %app.name, task = %self.intent.task, "has become destructive since it was listed; it is listed again");
            return Err(Stopped);
        }
        self.intent.attempt += 1;
        self.intent.at = app.clock.now();
        self.write_intent().await?;
        app.guard.executed(&self.intent.task, self.intent.at);
        let before = self.record_before_delete().await;
        let context = Context {
            task_id: self.intent.task.clone(),
            attempt: self.intent.attempt,
            timeout: app.settings.tasks.timeout,
        };
        let (connector, operation) = (Arc::clone(&app.connector), Arc::clone(&self.operation));
        let result = call::guarded(&self.what(), app.settings.tasks.timeout, async move {
            connector.execute(&context, &operation).await
        })
        .await;
        app.activity.touch(self.operation.account(), before);
        if let Ok(completion) = &result
            && let Some(id) = completion.result.get("account_id").and_then(serde_json::Value::as_str)
        {
            app.activity.touch(&Account::by_id(id), None);
        }
        drop(change);
        app.observe(&result);
        Ok(Ok(result))
    }

    /// A sync that is under way may have pushed the account already, and then has to push it once more, as inactive; only
    /// now can its record still be read.
    async fn record_before_delete(&self) -> Option<AccountRecord> {
        let deletes = matches!(*self.operation, Operation::DeleteAccount(_));
        if !deletes || !self.app.activity.is_sync_under_way() {
            return None;
        }
        self.app.find_account(self.operation.account()).await.ok().flatten()
    }

    /// A protected account may hide behind an identifier: its names are looked up in the target.
    async fn look_for_protected(&self) -> Result<Result<(), Failure>, Error> {
        match self.app.find_account(self.operation.account()).await {
            Ok(Some(record)) => Ok(admission::admit_record(self.app, &record)),
            Ok(None) => Ok(Ok(())),
            // Looking changed nothing, whatever became of it.
            Err(error) => Err(error.effect(Effect::NotApplied)),
        }
    }

    /// The intent is durable before the connector is called; while it cannot be written, nothing is called.
    async fn write_intent(&mut self) -> Result<(), Stopped> {
        let mut tries = 0;
        loop {
            match self.app.journal.intent(&self.app.key, &self.intent).await {
                Ok(()) => return Ok(()),
                Err(journal::Error::AlreadyDecided { .. }) => {
                    tracing::error!(app = %self.app.name, task = %self.intent.task, "the journal holds an outcome already; not executing again");
                    return Err(Stopped);
                }
                Err(error) => {
                    tries += 1;
                    tracing::error!(app = %self.app.name, task = %self.intent.task, %error, "the journal cannot be written; nothing is executed until it can");
                    self.pause(Backoff::LOCAL.patient_wait(tries, &self.app.dice)).await?;
                }
            }
        }
    }
}

/// The intent of a task, before its first attempt.
pub(super) fn intent_of(app: &App, task: &crate::bridge::Task) -> Intent {
    let id: TaskId = task.id.clone();
    Intent {
        keys: super::lanes::keys_of(&id, &task.payload),
        task: id,
        action: task.action.chars().take(100).collect(),
        created_at: task.created_at,
        attempt: 0,
        at: app.clock.now(),
    }
}
