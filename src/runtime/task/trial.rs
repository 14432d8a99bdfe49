//! The attempts at one task, until there is an outcome.

use std::sync::Arc;
use std::time::Duration;

use bridgehead_sdk::{Code, Completion, Error, Operation, Retry};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::attempt::Attempt;
use super::life;
use super::read_back::{self, Purpose, Verdict};
use crate::journal::Intent;
use crate::runtime::Stopped;
use crate::runtime::app::App;
use crate::runtime::backoff::Backoff;
use crate::runtime::decide::{self, Step};

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

/// How a task ends, as far as this daemon is concerned.
#[derive(Debug)]
pub(super) enum End {
    Completed(Completion),
    Failed(Failure),
    /// There is nothing left to do: somebody else has resolved it.
    PassedOver,
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
    pub(super) intent: Intent,
    began: Instant,
    /// Time for which the target was out of reach; it does not count towards `give_up_after`.
    pub(super) held: Duration,
    /// When the task was last known to be pending; `None` if so much has happened since that it has to be asked.
    seen: Option<Instant>,
    /// Until when an attempt of unknown effect may still be under way in the target.
    pub(super) under_way_until: Option<Instant>,
    /// An attempt was repeated of which the target does not show whether it took effect.
    pub(super) in_doubt: bool,
}

impl<'a> Trial<'a> {
    pub(super) fn new(
        app: &'a Arc<App>,
        operation: Operation,
        intent: Intent,
        stop: &'a CancellationToken,
    ) -> Self {
        let operation = Arc::new(operation);
        let now = Instant::now();
        Self {
            app,
            operation,
            stop,
            intent,
            began: now,
            held: Duration::ZERO,
            seen: Some(now),
            under_way_until: None,
            in_doubt: false,
        }
    }

    /// Makes attempts until there is an outcome, or the daemon stops. A failure is no more certain than the attempts were.
    pub(super) async fn run(&mut self, prior: Option<Prior>) -> Result<End, Stopped> {
        Ok(match self.try_on(prior).await? {
            End::Failed(failure) if self.in_doubt => {
                let message =
                    format!("{}; whether an earlier attempt took effect is not known", failure.message);
                End::Failed(Failure::new(failure.code, message))
            }
            end => end,
        })
    }

    async fn try_on(&mut self, prior: Option<Prior>) -> Result<End, Stopped> {
        if let Some(prior) = prior {
            self.intent.attempt = prior.attempts;
            tracing::info!(app = %self.app.name, task = %self.intent.task, attempts = prior.attempts, "was interrupted; reading back");
            let failure = Failure::new(
                Code::Timeout,
                format!("{}: was interrupted, and its effect is not known", self.what()),
            );
            // Its last request may have left as late as the deadline, and reached the target after that.
            let since = prior.since_last.saturating_sub(self.app.settings.tasks.timeout);
            let purpose = Purpose::Unknown { again: true, since };
            match read_back::run(self, purpose, failure).await? {
                Verdict::Completed(completion) => return Ok(End::Completed(completion)),
                Verdict::Failed(failure) => return Ok(End::Failed(failure)),
                Verdict::TryAgain => {}
            }
        }
        loop {
            if let Some(failure) = self.hold().await? {
                return Ok(End::Failed(failure));
            }
            if !self.is_still_wanted().await? {
                return Ok(End::PassedOver);
            }
            let began = Instant::now();
            let error = match self.attempt().await? {
                Attempt::Completed(completion) => return Ok(End::Completed(completion)),
                Attempt::Denied(failure) => return Ok(End::Failed(failure)),
                Attempt::NotMade => continue,
                Attempt::Failed(error) => error,
            };
            let failure = Failure::of(&error);
            let verdict = match decide::after_error(self.operation.action(), self.intent.attempt, &error) {
                Step::Fail => Verdict::Failed(failure),
                Step::AlreadyDone => Verdict::Completed(Completion::done()),
                Step::Retry { after } => self.wait(after, failure).await?,
                Step::Hold => {
                    self.hold_back(began, failure).await?.map_or(Verdict::TryAgain, Verdict::Failed)
                }
                Step::ReadBack { again } => {
                    let purpose = Purpose::Unknown { again, since: Duration::ZERO };
                    match read_back::run(self, purpose, failure.clone()).await? {
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
                Step::CompareExisting => read_back::run(self, Purpose::Existing, failure).await?,
            };
            match verdict {
                Verdict::Completed(completion) => return Ok(End::Completed(completion)),
                Verdict::Failed(failure) => return Ok(End::Failed(failure)),
                Verdict::TryAgain => self.app.status.retried(),
            }
        }
    }

    /// Asks Iden whether the task is still pending, if it was held or if it is long since that was known: meanwhile an
    /// administrator may have done by hand, and undone again, what it asks for.
    async fn is_still_wanted(&mut self) -> Result<bool, Stopped> {
        if self.seen.is_some_and(|at| at.elapsed() < life::FRESH) {
            return Ok(true);
        }
        let task = life::fetch(self.app, &self.intent.task, self.stop).await?;
        let wanted = life::is_wanted(self.app, &self.intent.task, task.as_ref()).await;
        self.seen = Some(Instant::now());
        Ok(wanted)
    }

    /// The target has been out of reach since `began`.
    pub(super) fn was_held(&mut self, began: Instant) {
        self.held += began.elapsed();
        self.seen = None;
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
}
