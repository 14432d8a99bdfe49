//! One attempt at a task: everything between the decision to make it and its result.

use std::time::Duration;

use bridgehead_resilience::Interrupted;
use bridgehead_sdk::{
    Account, AccountRecord, Code, Completion, Context, Effect, Error, Operation, Retry, Subject, TaskId,
    is_same_name,
};
use serde_json::Value;
use tokio::time::Instant;
use tracing::Instrument;
use tracing::field::Empty;

use super::attempts::{AttemptContext, Failure};
use super::{admission, executor};
use crate::app::AppContext;
use crate::change_tracker::PriorState;
use crate::policies;
use crate::proof::IntentRecorded;
use crate::target::Priority;
use crate::target::turns::{Slot, Turn};
use crate::{ShuttingDown, comparison, desired_state};
use bridgehead_store::{Intent, Phase, PriorAccount};

/// How much older the result of a look-up may be when the call starts than when the intent was recorded.
const FRESH: Duration = Duration::from_secs(5);

/// The result of an attempt.
#[derive(Debug)]
pub(super) enum Attempt {
    Completed(Completion),
    Failed(Error),
    /// The account could not be looked up before the first attempt; a retry may succeed.
    NotLooked(Error),
    /// The operator does not allow it; the connector was not asked to change anything.
    Denied(Failure),
    /// While the attempt waited for its turn, the target became unreachable, what is known of the account became outdated, or a sync did not
    /// get a response to its `complete`.
    NotMade,
}

impl AttemptContext<'_> {
    /// Waits for its turn, records the intent and calls the connector.
    pub(super) async fn attempt(&mut self) -> Result<Attempt, ShuttingDown> {
        let app = self.app;
        let turn = tokio::select! {
            biased;
            () = self.stop.cancelled() => return Err(ShuttingDown),
            turn = app.target.turn() => turn.ok_or(ShuttingDown)?,
        };
        // The scheduler may start another new task.
        self.ticket = None;
        // Hundreds of tasks may have waited for their turn when the breaker opened; none of them may call the target now.
        if app.target.outage().is_some() {
            return Ok(Attempt::NotMade);
        }
        let permit = app.target.look().await;
        let looks = app.shared.clock.now();
        let getting_ready = Instant::now();
        let found = self.look_before().await;
        drop(permit);
        let found = match found {
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
        let looked_for = getting_ready.elapsed();
        // Not every target rejects a second account with the same name, so the call is not made.
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
        let change = app.changes.change().await;
        if self.stop.is_cancelled() {
            return Err(ShuttingDown);
        }
        if app.target.outage().is_some() || !app.fence.is_over() {
            return Ok(Attempt::NotMade);
        }
        let is_first = self.intent.attempt == 0;
        if is_first
            && self.operation.action().is_destructive()
            && !app.deprovision_limit.has_passed(&self.intent.task)
        {
            // The task was listed with a different action. It will be listed again and checked by its actual action.
            tracing::error!(app = %app.name, task = %self.intent.task, "has become destructive since it was listed; waiting until it is listed again");
            return Err(ShuttingDown);
        }
        self.intent.attempt += 1;
        self.intent.at = app.shared.clock.now();
        let writing = Instant::now();
        let recorded = self.write_intent().await?;
        self.intent.steps.clear();
        let ready_after = looked_for + writing.elapsed();
        let Some(slot) = self.slot(&turn).await else {
            return if self.stop.is_cancelled() { Err(ShuttingDown) } else { Ok(Attempt::NotMade) };
        };
        app.deprovision_limit.executed(&self.intent.task, self.intent.at);
        let before = self.record_before_delete(found).await;
        if !app.may_start() {
            // Since the intent was recorded, the lease has almost expired: another node may take over the app before this call ends.
            tracing::warn!(app = %app.name, task = %self.intent.task, "the attempt is not made, because this node may lose the app; waiting until its lease is renewed");
            self.take_back().await;
            return Ok(Attempt::NotMade);
        }
        let began = Instant::now();
        let result = self.call(&recorded, before).await;
        slot.used(ready_after);
        drop((change, turn));
        self.note(Phase::Execute, self.intent.at, result.as_ref().err().map(Failure::of).as_ref());
        self.note_effect(&result).await;
        app.target.executed(self.operation.account(), &result);
        if let Err(error) = &result
            && error.subject() != Subject::Connection
            && app.target.outage().is_some()
        {
            // The target hangs: the time spent does not count against the task.
            self.was_held(began);
        }
        Ok(result.map_or_else(Attempt::Failed, Attempt::Completed))
    }

    /// Calls the connector. A running sync learns that the account may have changed.
    async fn call(&mut self, recorded: &IntentRecorded, before: PriorState) -> Result<Completion, Error> {
        self.announce(before.clone());
        let app = self.app;
        let mut context = Context::first(self.intent.task.clone(), app.settings.tasks.timeout);
        (context.attempt, context.may_have_applied) = (self.intent.attempt, self.may_have_applied);
        let began = Instant::now();
        let attempt = self.intent.attempt;
        let span = tracing::info_span!("attempt", attempt, outcome = Empty, code = Empty);
        let what = self.what();
        let executing = app.target.execute(recorded, &what, context, &self.operation);
        let result = executing.instrument(span.clone()).await.map(with_textual_id);
        span.record("outcome", if result.is_ok() { "completed" } else { "failed" });
        if let Err(error) = &result {
            span.record("code", error.code().as_str());
        }
        drop(span);
        app.status.executed(self.operation.action(), began.elapsed());
        app.changes.touch(self.operation.account(), before);
        if let Ok(completion) = &result
            && let Some(id) = completion.result.get("account_id").and_then(Value::as_str)
        {
            app.changes.touch(&Account::by_id(id), PriorState::NotAsked);
        }
        result
    }

    /// Waits until the target can take one more call. `None` if the call must not be made; the intent is then withdrawn.
    async fn slot<'t>(&mut self, turn: &Turn<'t>) -> Option<Slot<'t>> {
        let app = self.app;
        let is_ready = Instant::now();
        let slot = tokio::select! {
            biased;
            slot = turn.slot() => slot,
            () = self.stop.cancelled() => None,
        };
        // If the target suddenly becomes slow, prepared tasks wait here, and what they know of their accounts may be outdated by the end.
        let may_call = |_: &_| app.target.outage().is_none() && is_ready.elapsed() < FRESH && app.may_start();
        let slot = slot.filter(may_call);
        if slot.is_none() {
            self.take_back().await;
        }
        slot
    }

    /// Withdraws a durable intent whose call was not made.
    async fn take_back(&mut self) {
        self.intent.attempt -= 1;
        // An earlier attempt may still have been applied.
        if !self.may_have_applied {
            self.not_applied().await;
        }
    }

    /// A running sync may already have pushed the account, and must then push it once more as inactive. Only before the deletion can its
    /// record still be read.
    async fn record_before_delete(&self, found: Looked) -> PriorState {
        if !matches!(*self.operation, Operation::DeleteAccount(_)) {
            return PriorState::NotAsked;
        }
        match found {
            Looked::Found(record) => return PriorState::Account(record),
            Looked::Nobody => return PriorState::Nobody,
            Looked::NotAsked => {}
        }
        if !self.app.changes.is_sync_under_way() {
            return PriorState::Unknown;
        }
        match self.app.target.find_account(self.operation.account(), Priority::Task).await {
            Ok(Some(record)) => PriorState::Account(Box::new(record)),
            Ok(None) => PriorState::Nobody,
            Err(_) => PriorState::Unknown,
        }
    }

    /// Looks up the account before it is changed: an identifier may belong to a protected account, and the state before the first attempt
    /// is the evidence by which later attempts recognize their own work.
    async fn look_before(&mut self) -> Result<Result<Looked, Failure>, Error> {
        let guards = admission::has_patterns(&self.app.settings.protect);
        let is_evidence = !self.has_looked && self.needs_evidence();
        // Since the last attempt, the name may have been given to another account.
        let is_by_name = self.operation.account().id.is_none() && self.intent.prior.was_seen();
        if !guards && !is_evidence && !is_by_name {
            return Ok(Ok(Looked::NotAsked));
        }
        self.app.status.tally().looked();
        let found = match self.app.target.find_account(self.operation.account(), Priority::BeforeChange).await
        {
            Ok(found) => found,
            // The target itself rejected the look-up, so a retry would not help. And no account may keep its access because of a failed
            // look-up that the task does not need.
            Err(error)
                if !guards
                    && error.subject() != Subject::Connection
                    && (error.retry() == Retry::Never || self.can_do_without_evidence()) =>
            {
                self.has_looked = true;
                return Ok(Ok(Looked::NotAsked));
            }
            // A look-up changes nothing, whatever its result.
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
        if let Some(other) = found.as_ref().filter(|found| self.is_another(found)) {
            self.in_doubt |= self.may_have_applied;
            let message = format!("{}: {}; nothing more was changed", self.what(), self.another(other));
            return Ok(Err(Failure::new(Code::InternalError, message)));
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

    /// The error for a creation that cannot succeed because this account already has the requested name.
    pub(super) fn taken(&self, found: &AccountRecord) -> Option<Error> {
        let Operation::CreateAccount(create) = &*self.operation else { return None };
        let message = || format!("User {} already exists in {}", create.account.label(), self.app.name);
        desired_state::same_login(&create.account, found).then(|| Error::account_already_exists(message()))
    }

    /// Whether the account must be looked up before the first attempt. Without it, creations and deletions cannot be distinguished from
    /// another client's work. For other actions, the task is rejected if the connector returns a different account from the requested one:
    /// an outdated id may lead to the account that has the name now.
    fn needs_evidence(&self) -> bool {
        match &*self.operation {
            Operation::CreateAccount(_) | Operation::DeleteAccount(_) => true,
            _ => self.app.settings.tasks.verify,
        }
    }

    /// Whether the identifier and reading back after the attempt are sufficient: these actions may be repeated, and their effect does not
    /// depend on the earlier state.
    fn can_do_without_evidence(&self) -> bool {
        self.operation.account().id.is_some()
            && matches!(
                &*self.operation,
                Operation::SuspendAccount(_) | Operation::UnsuspendAccount(_) | Operation::ResetPassword(_)
            )
    }

    /// Whether a record that was found is certainly not the account to change: a search may have matched parts of names, or an outdated
    /// identifier may have led to a name that belongs to another account now. Missing data in the record proves nothing.
    fn is_somebody_else(&self, found: &AccountRecord) -> bool {
        if matches!(*self.operation, Operation::CreateAccount(_)) {
            return false;
        }
        let account = self.operation.account();
        let differs = |wanted: &Option<String>, shown: &Option<String>| match (wanted, shown) {
            (Some(wanted), Some(shown)) => Some(!is_same_name(wanted, shown)),
            _ => None,
        };
        if let Some(id) = &account.id {
            return *id != found.id;
        }
        differs(&account.username, &found.username)
            .or_else(|| differs(&account.email, &found.email))
            .unwrap_or(false)
    }

    /// Whether a record that was found by the names of the task is not the account that had them before the first attempt.
    pub(super) fn is_another(&self, found: &AccountRecord) -> bool {
        !matches!(*self.operation, Operation::CreateAccount(_))
            && self.operation.account().id.is_none()
            && comparison::is_another(&self.intent.task, &self.intent.prior, found)
    }

    /// What happened to a name that belongs to another account.
    pub(super) fn another(&self, found: &AccountRecord) -> String {
        let label = self.operation.account().label();
        format!("since this task began, {label} has become the name of another account, {}", found.id)
    }

    /// Records the intent before the connector is called. While it cannot be written, nothing is called.
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

/// A target may use numbers as identifiers; Iden expects text.
fn with_textual_id(mut completion: Completion) -> Completion {
    if let Some(id @ Value::Number(_)) = completion.result.get_mut("account_id") {
        *id = Value::String(id.to_string());
    }
    completion
}

/// The result of the look-up before an attempt.
#[derive(Debug)]
enum Looked {
    NotAsked,
    Nobody,
    Found(Box<AccountRecord>),
}

/// The intent of a task before its first attempt.
pub(super) fn intent_of(app: &AppContext, task: &bridgehead_bridge::Task) -> Intent {
    let id: TaskId = task.id.clone();
    Intent {
        keys: super::account_queues::keys_of(&id, &task.payload),
        task: id,
        action: task.action.chars().take(100).collect(),
        created_at: task.created_at,
        attempt: 0,
        prior: PriorAccount::Unknown,
        at: app.shared.clock.now(),
        steps: Vec::new(),
    }
}
