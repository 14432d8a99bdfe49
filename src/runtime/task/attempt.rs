//! One attempt at a task: everything that comes between the decision to make it and what came of it.

use std::sync::Arc;

use bridgehead_sdk::{Account, Completion, Context, Effect, Error, Operation, TaskId};
use tokio::time::Instant;

use super::admission;
use super::trial::{Failure, Trial};
use crate::journal::{self, Intent};
use crate::runtime::activity::Before;
use crate::runtime::app::App;
use crate::runtime::backoff::Backoff;
use crate::runtime::{Stopped, call};

/// What came of an attempt.
#[derive(Debug)]
pub(super) enum Attempt {
    Completed(Completion),
    Failed(Error),
    /// The operator does not allow it; the connector was not asked to change anything.
    Denied(Failure),
    /// The target went out of reach while it waited for its turn.
    NotMade,
}

impl Trial<'_> {
    /// Waits for its turn, writes the intent, calls the connector.
    pub(super) async fn attempt(&mut self) -> Result<Attempt, Stopped> {
        let app = self.app;
        let _slot = tokio::select! {
            () = self.stop.cancelled() => return Err(Stopped),
            slot = app.slots.acquire() => slot.map_err(|_| Stopped)?,
        };
        // Hundreds may have waited for a slot when the breaker opened; none of them is to try its luck.
        if app.breaker.cause().is_some() {
            return Ok(Attempt::NotMade);
        }
        if admission::has_patterns(&app.settings.protect) {
            match self.look_for_protected().await {
                Ok(Ok(())) => {}
                Ok(Err(failure)) => return Ok(Attempt::Denied(failure)),
                Err(error) => return Ok(Attempt::Failed(error)),
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
        if app.breaker.cause().is_some() {
            return Ok(Attempt::NotMade);
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
            may_have_applied: self.intent.attempt > 1,
            timeout: app.settings.tasks.timeout,
        };
        let (connector, operation) = (Arc::clone(&app.connector), Arc::clone(&self.operation));
        let began = Instant::now();
        let result = call::guarded(&self.what(), app.settings.tasks.timeout, async move {
            connector.execute(&context, &operation).await
        })
        .await;
        app.status.tally().executed(self.operation.action(), began.elapsed());
        app.activity.touch(self.operation.account(), before);
        if let Ok(completion) = &result
            && let Some(id) = completion.result.get("account_id").and_then(serde_json::Value::as_str)
        {
            app.activity.touch(&Account::by_id(id), Before::NotAsked);
        }
        drop(change);
        app.observe(&result);
        Ok(result.map_or_else(Attempt::Failed, Attempt::Completed))
    }

    /// A sync that is under way may have pushed the account already, and then has to push it once more, as inactive; only
    /// now can its record still be read.
    async fn record_before_delete(&self) -> Before {
        if !matches!(*self.operation, Operation::DeleteAccount(_)) {
            return Before::NotAsked;
        }
        if !self.app.activity.is_sync_under_way() {
            return Before::Unknown;
        }
        match self.app.find_account(self.operation.account()).await {
            Ok(Some(record)) => Before::Account(Box::new(record)),
            Ok(None) => Before::Nobody,
            Err(_) => Before::Unknown,
        }
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
