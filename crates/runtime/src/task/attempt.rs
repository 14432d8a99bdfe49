//! One attempt of a task: everything between the decision to make it and its result.

use bridgehead_resilience::Interrupted;
use bridgehead_sdk::{
    Account, AccountRecord, Code, Completion, Context, Effect, Error, Operation, Retry, Subject, TaskId,
};
use tokio::time::Instant;
use tracing::Instrument;

use super::attempts::{Failure, Trial};
use super::{admission, executor};
use crate::app::AppContext;
use crate::change_tracker::PriorState;
use crate::policies;
use crate::proof::IntentRecorded;
use crate::target::Priority;
use crate::{ShuttingDown, desired_state};
use bridgehead_store::{Intent, Phase, PriorAccount};

/// The result of an attempt.
#[derive(Debug)]
pub(super) enum Attempt {
    Completed(Completion),
    Failed(Error),
    /// The account could not be looked at before the first attempt, and may be a little later.
    NotLooked(Error),
    /// The operator does not allow it; the connector was not asked to change anything.
    Denied(Failure),
    /// The target went unreachable while it waited for its turn.
    NotMade,
}

impl Trial<'_> {
    /// Waits for its turn, writes the intent, calls the connector.
    pub(super) async fn attempt(&mut self) -> Result<Attempt, ShuttingDown> {
        let app = self.app;
        let _slot = tokio::select! {
            biased;
            () = self.stop.cancelled() => return Err(ShuttingDown),
            slot = app.target.slot() => slot.ok_or(ShuttingDown)?,
        };
        // Hundreds may have waited for a slot when the breaker opened; none of them is to try its luck.
        if app.target.outage().is_some() {
            return Ok(Attempt::NotMade);
        }
        let looks = app.clock.now();
        let found = match self.look_before().await {
            Ok(Ok(found)) => found,
            Ok(Err(failure)) => {
                self.note(Phase::LookUp, looks, Some(&failure));
                return Ok(Attempt::Denied(failure));
            }
            Err(error) => {
                self.note(Phase::LookUp, looks, Some(&Failure::of(&error)));
                return Ok(Attempt::NotLooked(error));
            }
        };
        if !matches!(found, Looked::NotAsked) {
            self.note(Phase::LookUp, looks, None);
        }
        // Not every target refuses a second account of a name, so it is not asked.
        if let Looked::Found(record) = &found
            && let Some(taken) = self.taken(record)
        {
            tracing::info!(app = %app.name, task = %self.intent.task, account = %record.id, "the account to create already exists");
            return Ok(Attempt::Failed(taken));
        }
        tokio::select! {
            biased;
            () = self.stop.cancelled() => return Err(ShuttingDown),
            () = app.target.wait_for_rate(Priority::Task) => {}
        }
        let change = app.activity.change().await;
        if self.stop.is_cancelled() {
            return Err(ShuttingDown);
        }
        if app.target.outage().is_some() {
            return Ok(Attempt::NotMade);
        }
        let is_first = self.intent.attempt == 0;
        if is_first && self.operation.action().is_destructive() && !app.guard.has_passed(&self.intent.task) {
            // It was listed as something else. It is listed again, and judged as what it is.
            tracing::error!(app = %app.name, task = %self.intent.task, "has become destructive since it was listed; waiting until it is listed again");
            return Err(ShuttingDown);
        }
        self.intent.attempt += 1;
        self.intent.at = app.clock.now();
        let recorded = self.write_intent().await?;
        self.intent.steps.clear();
        app.guard.executed(&self.intent.task, self.intent.at);
        let before = self.record_before_delete(found).await;
        if !app.may_start() {
            // Since the intent was written, the lease has come near its end: another node may take the app over before this call ends.
            tracing::warn!(app = %app.name, task = %self.intent.task, "the attempt is not made, because this node may lose the app; waiting until its lease is renewed");
            if !self.may_have_applied
                && let Err(error) = app.store.not_applied(&self.intent.task).await
            {
                tracing::debug!(app = %app.name, task = %self.intent.task, %error, "the next attempt looks for one that was not made");
            }
            return Ok(Attempt::NotMade);
        }
        let mut context = Context::first(self.intent.task.clone(), app.settings.tasks.timeout);
        (context.attempt, context.may_have_applied) = (self.intent.attempt, self.may_have_applied);
        let began = Instant::now();
        let span = tracing::info_span!("attempt", attempt = self.intent.attempt);
        let what = self.what();
        let executing = app.target.execute(&recorded, &what, context, &self.operation);
        let result = executing.instrument(span).await;
        app.status.executed(self.operation.action(), began.elapsed());
        app.activity.touch(self.operation.account(), before);
        if let Ok(completion) = &result
            && let Some(id) = completion.result.get("account_id").and_then(serde_json::Value::as_str)
        {
            app.activity.touch(&Account::by_id(id), PriorState::NotAsked);
        }
        drop(change);
        self.note(Phase::Execute, self.intent.at, result.as_ref().err().map(Failure::of).as_ref());
        self.note_effect(&result).await;
        app.target.executed(self.operation.account(), &result);
        if let Err(error) = &result
            && error.subject() != Subject::Connection
            && app.target.outage().is_some()
        {
            // The target hangs: the time that took does not count against the task.
            self.was_held(began);
        }
        Ok(result.map_or_else(Attempt::Failed, Attempt::Completed))
    }

    /// A sync that is under way may have pushed the account already, and then has to push it once more, as inactive; only
    /// now can its record still be read.
    async fn record_before_delete(&self, found: Looked) -> PriorState {
        if !matches!(*self.operation, Operation::DeleteAccount(_)) {
            return PriorState::NotAsked;
        }
        match found {
            Looked::Found(record) => return PriorState::Account(record),
            Looked::Nobody => return PriorState::Nobody,
            Looked::NotAsked => {}
        }
        if !self.app.activity.is_sync_under_way() {
            return PriorState::Unknown;
        }
        match self.app.target.find_account(self.operation.account(), Priority::Task).await {
            Ok(Some(record)) => PriorState::Account(Box::new(record)),
            Ok(None) => PriorState::Nobody,
            Err(_) => PriorState::Unknown,
        }
    }

    /// Looks at the account before it is changed: a protected one may hide behind an identifier, and the state before
    /// the first attempt is the evidence with which later ones recognize their own work.
    async fn look_before(&mut self) -> Result<Result<Looked, Failure>, Error> {
        let guards = admission::has_patterns(&self.app.settings.protect);
        let is_evidence = !self.has_looked && self.needs_evidence();
        if !guards && !is_evidence {
            return Ok(Ok(Looked::NotAsked));
        }
        self.app.status.tally().looked();
        let found = match self.app.target.find_account(self.operation.account(), Priority::BeforeChange).await
        {
            Ok(found) => found,
            // A retry would not help: this is the target's own answer. And no account keeps its access because of a
            // failed look-up that the task does not need.
            Err(error)
                if !guards
                    && error.subject() != Subject::Connection
                    && (error.retry() == Retry::Never || self.can_do_without_evidence()) =>
            {
                self.has_looked = true;
                return Ok(Ok(Looked::NotAsked));
            }
            // Looking changed nothing, whatever became of it.
            Err(error) => return Err(error.with_effect(Effect::NotApplied)),
        };
        if let Some(other) = found.as_ref().filter(|found| self.is_somebody_else(found)) {
            let (what, label) = (self.what(), self.operation.account().label());
            return Ok(Err(Failure::new(
                Code::InternalError,
                format!(
                    "{what}: the connector returns {} when asked for {label}, so the wrong account might be \
                     changed; nothing was changed",
                    other.id
                ),
            )));
        }
        if let Some(record) = found.as_ref().filter(|_| guards)
            && let Err(failure) = admission::admit_record(self.app, record)
        {
            return Ok(Err(failure));
        }
        if is_evidence {
            self.note_prior(found.as_ref());
        }
        Ok(Ok(found.map_or(Looked::Nobody, |record| Looked::Found(Box::new(record)))))
    }

    /// That a creation cannot succeed because of this account, which has the name that the new one is to have.
    pub(super) fn taken(&self, found: &AccountRecord) -> Option<Error> {
        let Operation::CreateAccount(create) = &*self.operation else { return None };
        let message = || format!("User {} already exists in {}", create.account.label(), self.app.name);
        desired_state::same_login(&create.account, found).then(|| Error::account_already_exists(message()))
    }

    /// Whether the account must be looked up before the first attempt. Creations and deletions cannot be distinguished
    /// from another client's work without it. Every other action is rejected if the connector returns a different
    /// account from the requested one: an id that no longer exists may lead to the account that has the name now.
    fn needs_evidence(&self) -> bool {
        match &*self.operation {
            Operation::CreateAccount(_) | Operation::DeleteAccount(_) => true,
            _ => self.app.settings.tasks.verify,
        }
    }

    /// Whether the identifier and the read-back after the attempt are sufficient: these actions may be repeated, and
    /// their effect does not depend on the earlier state.
    fn can_do_without_evidence(&self) -> bool {
        self.operation.account().id.is_some()
            && matches!(
                &*self.operation,
                Operation::SuspendAccount(_) | Operation::UnsuspendAccount(_) | Operation::ResetPassword(_)
            )
    }

    /// Whether a record that was found is certainly not the account to change: a search by parts of names has found it,
    /// or an identifier that no longer exists has led to a name that another account has now. Missing data in the
    /// record proves nothing.
    fn is_somebody_else(&self, found: &AccountRecord) -> bool {
        if matches!(*self.operation, Operation::CreateAccount(_)) {
            return false;
        }
        let account = self.operation.account();
        let differs = |wanted: &Option<String>, shown: &Option<String>| match (wanted, shown) {
            (Some(wanted), Some(shown)) => Some(wanted.to_lowercase() != shown.to_lowercase()),
            _ => None,
        };
        if let Some(id) = &account.id {
            return *id != found.id;
        }
        differs(&account.username, &found.username)
            .or_else(|| differs(&account.email, &found.email))
            .unwrap_or(false)
    }

    /// The intent is durable before the connector is called; while it cannot be written, nothing is called.
    async fn write_intent(&mut self) -> Result<IntentRecorded, ShuttingDown> {
        let (app, task) = (self.app, &self.intent.task);
        let retry = app.retry(policies::LOCAL).until(self.stop);
        let written = retry.run(
            |_| app.store.record_intent(&self.intent),
            executor::unless_decided,
            |failed| {
                tracing::error!(app = %app.name, %task, error = %failed.error, "the journal cannot be written; no task is executed until it can");
            },
        );
        written.await.map_err(|interrupted| {
            if matches!(interrupted, Interrupted::Failed(_)) {
                tracing::error!(app = %app.name, %task, "the journal already holds an outcome; not \
                                                         executing again");
            }
            ShuttingDown
        })
    }
}

/// What was found before an attempt.
#[derive(Debug)]
enum Looked {
    NotAsked,
    Nobody,
    Found(Box<AccountRecord>),
}

/// The intent of a task, before its first attempt.
pub(super) fn intent_of(app: &AppContext, task: &bridgehead_bridge::Task) -> Intent {
    let id: TaskId = task.id.clone();
    Intent {
        keys: super::account_queues::keys_of(&id, &task.payload),
        task: id,
        action: task.action.chars().take(100).collect(),
        created_at: task.created_at,
        attempt: 0,
        prior: PriorAccount::Unknown,
        at: app.clock.now(),
        steps: Vec::new(),
    }
}
