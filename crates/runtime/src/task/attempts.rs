//! All attempts at one task, until there is an outcome.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bridgehead_resilience::Jitter;
use bridgehead_sdk::{
    AccountId, AccountRecord, Action, Code, Completion, Description, Effect, Error, Operation, Retry,
};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::attempt::Attempt;
use super::steps::step;
use super::verification::{self, Verdict, VerifyReason};
use super::{executor, verify};
use crate::ShuttingDown;
use crate::app::AppContext;
use crate::change_tracker::{PriorState, Unsettled};
use crate::comparison::{self, Verification};
use crate::policies;
use crate::retry_decision::{self, Effects, NextStep};
use bridgehead_store::{AccessFacts, Intent, NOT_VERIFIED, Phase, PriorAccount};

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

    pub(super) fn of(error: &Error) -> Self {
        Self::new(error.code(), error.message())
    }
}

/// How a task ends for this daemon.
#[derive(Debug)]
pub(super) enum AttemptsEnd {
    Completed(Completion),
    Failed(Failure),
    /// Nothing left to do: the task was already resolved in Iden.
    PassedOver,
}

/// What is known about a task from earlier processes.
#[derive(Clone, Debug)]
pub(super) struct PriorAttempts {
    /// The number of attempts that were started.
    pub(super) attempts: u32,
    /// Whether any of them may have been applied.
    pub(super) may_have_applied: bool,
    /// The state of the account before the first of them.
    pub(super) account: PriorAccount,
    /// The time since the last one started, as far as it is certain: only monotonic time counts.
    pub(super) since_last: Duration,
}

/// The attempts at one task.
#[expect(clippy::struct_excessive_bools, reason = "each is a separate fact, in any combination")]
pub(super) struct AttemptContext<'a> {
    pub(super) app: &'a Arc<AppContext>,
    pub(super) operation: Arc<Operation>,
    pub(super) stop: &'a CancellationToken,
    pub(super) intent: Intent,
    description: Arc<Description>,
    /// An earlier attempt may have been applied.
    pub(super) may_have_applied: bool,
    /// The account was looked up before the first attempt, or it is too late for that.
    pub(super) has_looked: bool,
    /// The account's identifier at that time.
    pub(super) prior_id: Option<AccountId>,
    /// The number of failed look-ups.
    pub(super) failed_looks: u32,
    began: Instant,
    /// How long the target was unreachable; this does not count towards `give_up_after`.
    pub(super) held: Duration,
    /// When the task was last known to be pending; `None` if Iden must be asked again.
    pending_at: Option<Instant>,
    /// Until when an attempt with an unknown effect may still be running in the target.
    pub(super) under_way_until: Option<Instant>,
    /// Announces to syncs that an attempt may still change the account.
    pub(super) unsettled: Option<Unsettled<'a>>,
    /// An attempt was repeated, and the target cannot show whether the earlier one took effect.
    pub(super) in_doubt: bool,
    /// The minimum time for the target to show a change, however long the attempts took.
    pub(super) moment: Duration,
    /// No time was left to wait for the target, or for another look-up.
    pub(super) is_out_of_time: bool,
    /// The result of the look-up that confirmed success.
    pub(super) seen: Option<Seen>,
    /// The account and its access, as that look-up found them.
    pub(super) read: Option<(AccountId, AccessFacts)>,
    /// While the task holds this ticket, no other task is started in its place.
    pub(super) ticket: Option<OwnedSemaphorePermit>,
}

/// The result of a look-up that confirmed success: values that differ from the request, and those that the target does not show at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) differing: Vec<String>,
    pub(super) not_shown: Vec<String>,
}

impl<'a> AttemptContext<'a> {
    pub(super) fn new(
        app: &'a Arc<AppContext>,
        operation: Operation,
        intent: Intent,
        description: Arc<Description>,
        stop: &'a CancellationToken,
    ) -> Self {
        let operation = Arc::new(operation);
        let now = Instant::now();
        Self {
            app,
            operation,
            stop,
            intent,
            description,
            may_have_applied: false,
            has_looked: false,
            prior_id: None,
            failed_looks: 0,
            began: now,
            held: Duration::ZERO,
            pending_at: Some(now),
            under_way_until: None,
            unsettled: None,
            in_doubt: false,
            moment: app.settings.tasks.timeout,
            is_out_of_time: false,
            seen: None,
            read: None,
            ticket: None,
        }
    }

    /// Makes attempts until there is an outcome, or the daemon stops. If the effect is uncertain, the failure says so.
    pub(super) async fn run(&mut self, prior: Option<PriorAttempts>) -> Result<AttemptsEnd, ShuttingDown> {
        let end = self.try_on(prior).await?;
        Ok(self.told(end))
    }

    /// The end as reported to Iden: includes the fields that were not verified, and any uncertainty about the effect.
    pub(super) fn told(&self, end: AttemptsEnd) -> AttemptsEnd {
        match end {
            AttemptsEnd::Completed(mut completion) => {
                // Only what the connector declares; it is obvious that a password is never shown.
                let declared = &self.description.unverifiable;
                let not_verified: Vec<String> =
                    self.unverifiable().into_iter().filter(|name| declared.contains(name)).collect();
                if self.app.settings.tasks.verify && !not_verified.is_empty() {
                    completion.result.insert(NOT_VERIFIED.to_owned(), not_verified.into());
                }
                AttemptsEnd::Completed(completion)
            }
            AttemptsEnd::Failed(failure) if self.in_doubt => {
                let message =
                    format!("{}; it is unknown whether an earlier attempt took effect", failure.message);
                AttemptsEnd::Failed(Failure::new(failure.code, message))
            }
            end => end,
        }
    }

    async fn try_on(&mut self, prior: Option<PriorAttempts>) -> Result<AttemptsEnd, ShuttingDown> {
        let interrupted = prior.and_then(|prior| {
            self.intent.attempt = prior.attempts;
            self.intent.prior = prior.account;
            self.may_have_applied = prior.may_have_applied;
            self.has_looked = true;
            prior.may_have_applied.then_some(prior.since_last)
        });
        if let Some(since_last) = interrupted {
            self.announce(PriorState::Unknown);
            let (task, action) = (&self.intent.task, &self.intent.action);
            self.app.status.progress().resumed(task, action, self.intent.attempt);
            self.wait_until_settled().await?;
            tracing::info!(app = %self.app.name, task = %self.intent.task, attempts = self.intent.attempt, "was interrupted; verifying");
            let failure = Failure::new(
                Code::Timeout,
                format!("{}: was interrupted, so its effect is unknown", self.what()),
            );
            // The last request may have been sent just before the deadline, and may have reached the target after it.
            let since = since_last.saturating_sub(self.app.settings.tasks.timeout);
            let purpose = VerifyReason::Unknown { again: true, since };
            match self.read_back(purpose, failure).await? {
                Verdict::Completed(completion) => return Ok(AttemptsEnd::Completed(completion)),
                Verdict::Failed(failure) => return Ok(AttemptsEnd::Failed(failure)),
                Verdict::TryAgain => {}
            }
        }
        loop {
            // If there was an earlier attempt, the task continues even while the app is paused.
            if self.intent.attempt == 0
                && executor::wait_while_paused(self.app, &self.intent.task, self.stop).await?
            {
                self.pending_at = None;
            }
            if let Some(failure) = self.wait_for_target().await? {
                return Ok(AttemptsEnd::Failed(failure));
            }
            self.wait_for_fence().await?;
            if !self.is_still_wanted().await? {
                return Ok(AttemptsEnd::PassedOver);
            }
            let began = Instant::now();
            let error = match self.attempt().await? {
                Attempt::Completed(completion) => return self.verify(completion).await,
                Attempt::Denied(failure) => return Ok(AttemptsEnd::Failed(failure)),
                Attempt::NotMade => continue,
                Attempt::Failed(error) => error,
                Attempt::NotLooked(error) => {
                    self.failed_looks = self.failed_looks.saturating_add(1);
                    error
                }
            };
            let failure = Failure::of(&error);
            let verdict = match retry_decision::after_error(self.operation.action(), self.effects(), &error) {
                NextStep::Fail => {
                    // The account does not exist, and it is unknown whether it existed before an attempt that may have deleted it.
                    self.in_doubt |= self.may_have_applied
                        && self.operation.action() == Action::DeleteAccount
                        && self.intent.prior == PriorAccount::Unknown;
                    Verdict::Failed(failure)
                }
                // The target itself reports that the account no longer exists.
                NextStep::AlreadyDone => Verdict::Completed(Completion::done()),
                NextStep::Retry { after } => self.wait(after, failure).await?,
                NextStep::Hold => {
                    self.hold_back(began, failure).await?.map_or(Verdict::TryAgain, Verdict::Failed)
                }
                NextStep::ReadBack { again } => {
                    let purpose = VerifyReason::Unknown { again, since: Duration::ZERO };
                    match self.read_back(purpose, failure.clone()).await? {
                        Verdict::TryAgain => {
                            let after =
                                if let Retry::After(after) = error.retry() { Some(after) } else { None };
                            self.wait(after, failure).await?
                        }
                        verdict => verdict,
                    }
                }
                NextStep::CompareExisting => self.read_back(VerifyReason::Existing, failure).await?,
            };
            match verdict {
                Verdict::Completed(completion) => return Ok(AttemptsEnd::Completed(completion)),
                Verdict::Failed(failure) => return Ok(AttemptsEnd::Failed(failure)),
                Verdict::TryAgain => self.app.status.retried(),
            }
        }
    }

    /// A `complete` that is still on its way must not reach Iden after the target was changed.
    async fn wait_for_fence(&mut self) -> Result<(), ShuttingDown> {
        if self.app.fence.is_over() {
            return Ok(());
        }
        let began = Instant::now();
        let reason = "waiting for Iden's response to the last sync";
        self.app.status.progress().wait(&self.intent.task, None, reason, Duration::ZERO);
        self.app.fence.pass(self.app, self.stop).await?;
        self.held += began.elapsed();
        Ok(())
    }

    /// Another node may have started the last attempt, so the account is not read before that attempt must have ended.
    async fn wait_until_settled(&mut self) -> Result<(), ShuttingDown> {
        let wait = self.app.settled_at().saturating_duration_since(Instant::now());
        if wait.is_zero() {
            return Ok(());
        }
        let reason = "an attempt of another node may still be under way";
        tracing::info!(app = %self.app.name, task = %self.intent.task, ?wait, "{reason}; waiting");
        self.held += wait;
        self.app.status.progress().wait(&self.intent.task, None, reason, wait);
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(ShuttingDown),
            () = tokio::time::sleep(wait) => Ok(()),
        }
    }

    /// Tells syncs that the account may change until this task has ended, or has certainly changed nothing.
    pub(super) fn announce(&mut self, before: PriorState) {
        let is_deletion = self.operation.action() == Action::DeleteAccount;
        let before = if is_deletion { before } else { PriorState::NotAsked };
        let (changes, account) = (&self.app.changes, self.operation.account());
        self.unsettled.get_or_insert_with(|| changes.unsettled(account, before));
    }

    pub(super) fn effects(&self) -> Effects {
        Effects { may_have_applied: self.may_have_applied, was_seen: self.intent.prior.was_seen() }
    }

    /// Records the effect of the connector call, for later attempts and for the next process.
    pub(super) async fn note_effect<T>(&mut self, result: &Result<T, Error>) {
        match result {
            Err(error) if error.effect() == Effect::NotApplied && !self.may_have_applied => {
                self.unsettled = None;
                self.not_applied().await;
            }
            Err(error) if error.effect() == Effect::NotApplied => {}
            Ok(_) | Err(_) => self.may_have_applied = true,
        }
    }

    /// Records that no attempt so far has changed anything.
    pub(super) async fn not_applied(&self) {
        if let Err(error) = self.app.store.not_applied(&self.intent.task).await {
            // The only consequence is that the next process reads the account back without need.
            tracing::warn!(app = %self.app.name, task = %self.intent.task, %error, "the record that an attempt had no effect could not be saved");
        }
    }

    /// Keeps what the account looks like before the first attempt.
    pub(super) fn note_prior(&mut self, found: Option<&AccountRecord>) {
        self.has_looked = true;
        self.prior_id = found.map(|found| found.id.clone());
        self.intent.prior = comparison::prior(&self.operation, &self.intent.task, found);
    }

    /// Whether an account that was found may have been created by an attempt at this task.
    pub(super) fn may_be_ours(&self) -> bool {
        self.may_have_applied && !self.intent.prior.was_seen()
    }

    /// Compares the account that was found with the task's request.
    pub(super) fn verification(&self, found: Option<&AccountRecord>) -> Verification {
        let declared = &self.description.unverifiable;
        comparison::verify(&self.operation, &self.intent.task, &self.intent.prior, found, declared)
    }

    /// The fields set by the task that the target cannot show.
    pub(super) fn unverifiable(&self) -> Vec<String> {
        comparison::unverifiable(&self.operation, &self.description.unverifiable)
    }

    /// Asks Iden whether the task is still pending if it was held, or if that was last known too long ago: in the meantime, an
    /// administrator may have made and reverted the requested change manually.
    async fn is_still_wanted(&mut self) -> Result<bool, ShuttingDown> {
        if self.pending_at.is_some_and(|at| at.elapsed() < executor::FRESH) {
            return Ok(true);
        }
        let task = executor::fetch(self.app, &self.intent.task, true, self.stop).await?;
        let wanted = executor::is_wanted(self.app, &self.intent.task, task.as_ref()).await;
        self.pending_at = Some(Instant::now());
        Ok(wanted)
    }

    /// The target has been unreachable since `began`.
    pub(super) fn was_held(&mut self, began: Instant) {
        self.held += began.elapsed();
        self.pending_at = None;
    }

    /// A description such as "create_account for ann in acme-hr".
    pub(super) fn what(&self) -> String {
        format!("{} for {} in {}", self.operation.action(), self.operation.account().label(), self.app.name)
    }

    /// The time spent on this task, excluding the time the breaker held it.
    pub(super) fn spent(&self) -> Duration {
        self.began.elapsed().saturating_sub(self.held)
    }

    /// Reads the account back to confirm a success.
    async fn verify(&mut self, completion: Completion) -> Result<AttemptsEnd, ShuttingDown> {
        let began = self.app.shared.clock.now();
        let end = verify::run(self, completion).await?;
        if self.app.settings.tasks.verify {
            let failure = if let AttemptsEnd::Failed(failure) = &end { Some(failure) } else { None };
            self.note(Phase::Verify, began, failure);
        }
        Ok(end)
    }

    /// Reads the account back after an attempt with an unknown effect.
    async fn read_back(&mut self, purpose: VerifyReason, failure: Failure) -> Result<Verdict, ShuttingDown> {
        let began = self.app.shared.clock.now();
        let verdict = verification::run(self, purpose, failure).await?;
        let failure = if let Verdict::Failed(failure) = &verdict { Some(failure) } else { None };
        self.note(Phase::Verify, began, failure);
        Ok(verdict)
    }

    /// Adds a step that started at `began` to the task's history. It is written with the next intent, with the outcome, or while the task
    /// waits.
    pub(super) fn note(&mut self, phase: Phase, began: Timestamp, failure: Option<&Failure>) {
        let attempt = self.intent.attempt + u32::from(phase == Phase::LookUp);
        let step = step(self.app, attempt, phase, began, failure);
        self.intent.steps.push(step);
    }

    /// Waits before the next attempt, or returns the failure if no time is left for one.
    pub(super) async fn wait(
        &mut self,
        after: Option<Duration>,
        failure: Failure,
    ) -> Result<Verdict, ShuttingDown> {
        let tries = self.intent.attempt.saturating_add(self.failed_looks);
        let jittered = policies::TARGET.with_jitter(Jitter::Full).delay(tries, self.app.shared.rng.unit());
        let wait = after.map_or(jittered, |after| after + jittered.min(Duration::from_secs(1)));
        if !retry_decision::fits(self.spent(), wait, self.app.settings.tasks.give_up_after) {
            return Ok(Verdict::Failed(failure));
        }
        tracing::info!(app = %self.app.name, task = %self.intent.task, attempt = self.intent.attempt, code = %failure.code, ?wait,
            "{}; retrying", self.app.shared.redactor.redact(&failure.message));
        self.show_wait(wait, &failure);
        self.pause(wait).await
    }

    /// Shows in the status and in the history why the task is not done yet, and when it continues.
    pub(super) fn show_wait(&mut self, wait: Duration, failure: &Failure) {
        let reason = self.app.shared.redactor.redact(&failure.message);
        self.app.status.progress().wait(&self.intent.task, Some(failure.code), &reason, wait);
        let now = self.app.shared.clock.now();
        let mut waits = step(self.app, self.intent.attempt, Phase::Wait, now, Some(failure));
        let wait = SignedDuration::try_from(wait).unwrap_or(SignedDuration::MAX);
        (waits.ended_at, waits.next_try_at) = (None, now.checked_add(wait).ok());
        self.intent.steps.push(waits);
    }

    /// Waits, unless an operator ends the wait. The history so far is written during the wait, where it delays nothing.
    pub(super) async fn pause(&mut self, wait: Duration) -> Result<Verdict, ShuttingDown> {
        self.ticket = None;
        let waiting = self.app.operator.waiting.enter(&self.intent.task);
        let is_noted = AtomicBool::new(false);
        let noting = async {
            let noted = self.app.store.note_attempts(&self.intent.task, &self.intent.steps).await;
            is_noted.store(noted.is_ok(), Ordering::Relaxed);
            std::future::pending::<()>().await;
        };
        tokio::select! {
            biased;
            () = self.stop.cancelled() => return Err(ShuttingDown),
            () = noting => {}
            () = waiting.woken() => {}
            () = tokio::time::sleep(wait) => {}
        }
        if is_noted.into_inner() {
            self.intent.steps.clear();
        }
        // An operator has resolved the task: it must not be executed again.
        if waiting.leave().await { Ok(Verdict::TryAgain) } else { Err(ShuttingDown) }
    }
}
