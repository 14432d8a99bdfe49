//! Makes one attempt at an operation that an operator requests: the same admission, attempt, decision and verification as in the execution
//! of a task, but without a task in Iden. What the daemon would do next (another attempt, the report) is described and not done.

use std::sync::Arc;
use std::time::Duration;

use bridgehead_sdk::{Action, Code, Effect, Error, Retry, Subject};
use serde::Serialize;
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

use super::attempt::{Attempt, intent_of};
use super::attempts::{AttemptContext, AttemptsEnd, Failure};
use super::verification::{self, Verdict, VerifyReason};
use super::{admission, executor, report_of, verify};
use crate::ShuttingDown;
use crate::app::AppContext;
use crate::policies;
use crate::retry_decision::{self, NextStep};
use bridgehead_bridge::{Task, TaskStatus};
use bridgehead_config as config;

/// The connector's response.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer<T> {
    /// The call succeeded.
    Ok(T),
    /// The call failed.
    Error(Refused),
}

/// The parts of a connector error.
#[derive(Clone, Debug, Serialize)]
pub struct Refused {
    code: Code,
    message: String,
    effect: Effect,
    /// `never`, `backoff` or `after`.
    retry: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_seconds: Option<f64>,
    subject: Subject,
}

impl Refused {
    /// Splits an error, from which secrets must already have been removed, into its parts.
    pub fn of(error: &Error) -> Self {
        let (retry, retry_after) = match error.retry() {
            Retry::Never => ("never", None),
            Retry::Backoff => ("backoff", None),
            Retry::After(after) => ("after", Some(after.as_secs_f64())),
        };
        Self {
            code: error.code(),
            message: error.message().to_owned(),
            effect: error.effect(),
            retry,
            retry_after_seconds: retry_after,
            subject: error.subject(),
        }
    }

    /// Formats the error, such as "PERMISSION_DENIED, not applied, retry never, about the account: …".
    pub fn in_words(&self) -> String {
        let effect = match self.effect {
            Effect::NotApplied => "not applied",
            Effect::Unknown => "effect unknown",
        };
        let retry = match self.retry_after_seconds {
            Some(seconds) => format!("after {seconds} s"),
            None => self.retry.to_owned(),
        };
        let subject = match self.subject {
            Subject::Account => "account",
            Subject::Group => "group",
            Subject::License => "license",
            Subject::Connection => "connection",
        };
        format!("{}, {effect}, retry {retry}, about the {subject}: {}", self.code, self.message)
    }
}

/// What the daemon would do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// Report `completed`.
    Complete,
    /// Report `failed`.
    Fail,
    /// Try again later.
    Retry,
    /// Hold the tasks of the app until the target is reachable again.
    Hold,
    /// Continue to read the account back: so far, the result of the operation is unknown.
    Look,
}

/// The result of a manual operation. Contains no known secrets.
#[derive(Clone, Debug, Serialize)]
pub struct ByHand {
    /// The operation, such as `create_account`.
    #[serde(skip)]
    pub action: Action,
    /// The connector's response; `None` if it was not called, because the operation is not allowed or cannot be read.
    pub answer: Option<Answer<Map<String, Value>>>,
    /// What the daemon would do.
    pub decision: Decision,
    /// The decision in words.
    pub says: String,
    /// Values of the account that differ from the request in a way that the daemon accepts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub differing: Vec<String>,
    /// Fields set by the operation that the target does not show.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_shown: Vec<String>,
    /// The report that the daemon would send to Iden now; `None` if there is nothing to report yet.
    pub report: Option<Value>,
}

/// Tries an operation once. `settings` are the daemon's settings; the settings of `app` may use shorter time limits.
pub(crate) async fn run(
    app: &Arc<AppContext>,
    settings: &config::Tasks,
    action: Action,
    payload: Value,
    stop: &CancellationToken,
) -> Result<ByHand, ShuttingDown> {
    let id = format!("by-hand-{}", uuid::Uuid::new_v4());
    let fields = json!({ "id": id, "action": action, "payload": payload });
    let hand = Hand { app, settings, action };
    let task = match Task::from_json(fields, &TaskStatus::Pending) {
        Ok(task) => task,
        Err(why) => return Ok(hand.fails(None, &Failure::new(Code::InternalError, why))),
    };
    let _protection = app.shared.redactor.protect(executor::secrets_of(&task));
    let description = match app.target.describe().await {
        Ok(description) => description,
        Err(error) => {
            let refused = hand.refused(&error);
            let says = "the connector cannot describe what it offers, so the daemon would hold the task";
            return Ok(hand.told(Some(refused), Decision::Hold, says, None));
        }
    };
    let operation = match admission::admit(app, &description, &task) {
        Ok(operation) => operation,
        Err(failure) => return Ok(hand.fails(None, &failure)),
    };
    let mut context = AttemptContext::new(app, operation, intent_of(app, &task), description, stop);
    // The operator may wait for less time than one attempt may take.
    context.moment = context.moment.min(app.settings.tasks.give_up_after);
    hand.once(&mut context).await
}

/// The settings of a manual operation.
struct Hand<'a> {
    app: &'a Arc<AppContext>,
    settings: &'a config::Tasks,
    action: Action,
}

type Answered = Option<Answer<Map<String, Value>>>;

impl Hand<'_> {
    async fn once(&self, context: &mut AttemptContext<'_>) -> Result<ByHand, ShuttingDown> {
        self.app.fence.pass(self.app, context.stop).await?;
        let error = match context.attempt().await? {
            Attempt::Completed(completion) => {
                let mut result = Value::Object(completion.result.clone());
                self.app.shared.redactor.redact_json(&mut result);
                let answer = Some(Answer::Ok(result.as_object().cloned().unwrap_or_default()));
                let end = verify::run(context, completion).await?;
                return Ok(self.verified(context, answer, end));
            }
            Attempt::Denied(failure) => return Ok(self.fails(None, &failure)),
            Attempt::NotMade => {
                let says = "the target is unreachable, so the daemon would hold the task";
                return Ok(self.told(None, Decision::Hold, says, None));
            }
            Attempt::Failed(error) | Attempt::NotLooked(error) => error,
        };
        // If the look-up finds the account to be created, the connector is not called.
        let answer = (context.intent.attempt > 0).then(|| self.refused(&error));
        let failure = Failure::of(&error);
        let purpose = match retry_decision::after_error(self.action, context.effects(), &error) {
            NextStep::Fail => return Ok(self.fails(answer, &failure)),
            NextStep::AlreadyDone => {
                return Ok(self.completes(context, answer, bridgehead_sdk::Completion::done()));
            }
            NextStep::Hold => return Ok(self.holds(answer, &failure)),
            NextStep::Retry { after } => return Ok(self.retries(answer, after, &failure)),
            NextStep::ReadBack { again } => VerifyReason::Unknown { again, since: Duration::ZERO },
            NextStep::CompareExisting => VerifyReason::Existing,
        };
        let verdict = verification::run(context, purpose, failure.clone()).await?;
        Ok(match verdict {
            Verdict::Completed(completion) => self.completes(context, answer, completion),
            Verdict::Failed(failure) if context.is_out_of_time => self.looks(answer, &failure),
            Verdict::Failed(failure) => self.fails(answer, &failure),
            Verdict::TryAgain if error.subject() == Subject::Connection => self.holds(answer, &failure),
            Verdict::TryAgain => {
                let after = match error.retry() {
                    Retry::After(after) => Some(after),
                    Retry::Never | Retry::Backoff => None,
                };
                self.retries(answer, after, &failure)
            }
        })
    }

    fn verified(&self, context: &AttemptContext<'_>, answer: Answered, end: AttemptsEnd) -> ByHand {
        match end {
            AttemptsEnd::Failed(failure) if context.is_out_of_time => self.looks(answer, &failure),
            AttemptsEnd::Failed(failure) => self.fails(answer, &failure),
            AttemptsEnd::Completed(completion) => self.completes(context, answer, completion),
            AttemptsEnd::PassedOver => {
                self.looks(answer, &Failure::new(Code::InternalError, "it was skipped"))
            }
        }
    }

    fn completes(
        &self,
        context: &AttemptContext<'_>,
        answer: Answered,
        completion: bridgehead_sdk::Completion,
    ) -> ByHand {
        let seen = context.seen.clone();
        let says = match (&answer, &seen) {
            (None, _) => "completed: the account already exists as requested, so the connector is not called",
            (Some(Answer::Error(_)), _) => {
                "completed: the account is in the requested state, although the call failed"
            }
            (_, _) if !self.settings.verify => "completed, according to the connector (tasks.verify is off)",
            (_, None) => "completed, not verified: the account could not be read back",
            (_, Some(seen)) if !seen.differing.is_empty() => {
                "completed: the account shows the change, but the target stores some values in a different \
                 form"
            }
            (_, Some(_)) => "completed: the account was read back and shows the requested state",
        };
        let end = context.told(AttemptsEnd::Completed(completion));
        let outcome = match end {
            AttemptsEnd::Completed(completion) => executor::completed(self.app, completion),
            AttemptsEnd::Failed(failure) => executor::failed(self.app, &failure),
            AttemptsEnd::PassedOver => {
                return self.looks(answer, &Failure::new(Code::InternalError, "it was skipped"));
            }
        };
        let mut told = self.told(answer, Decision::Complete, says, Some(report_of(&outcome).to_json()));
        let seen = seen.unwrap_or_default();
        told.differing =
            seen.differing.iter().map(|one| self.app.shared.redactor.redact(one).into_owned()).collect();
        told.not_shown = context.unverifiable();
        told.not_shown.extend(seen.not_shown);
        told
    }

    fn fails(&self, answer: Answered, failure: &Failure) -> ByHand {
        let says = match &answer {
            None => format!("failed with {}, without calling the connector", failure.code),
            Some(Answer::Ok(_)) => {
                format!("failed with {}, although the connector reported success", failure.code)
            }
            Some(Answer::Error(_)) => format!("failed with {} immediately", failure.code),
        };
        let report = report_of(&executor::failed(self.app, failure)).to_json();
        self.told(answer, Decision::Fail, &says, Some(report))
    }

    fn retries(&self, answer: Answered, after: Option<Duration>, failure: &Failure) -> ByHand {
        let limit = self.settings.give_up_after;
        if after.is_some_and(|after| !retry_decision::fits(Duration::ZERO, after, limit)) {
            let mut told = self.fails(answer, failure);
            told.says =
                format!("{}: the target requires a longer wait than give_up_after ({limit:?})", told.says);
            return told;
        }
        let when = match after {
            Some(after) => format!("no sooner than {after:?} from now"),
            None => format!("within {:?}, then with increasing delays", policies::TARGET.ceiling(1)),
        };
        let mut says = format!("retried {when}; failed with {} after retrying for {limit:?}", failure.code);
        says.push_str(&because(&answer, failure));
        self.told(answer, Decision::Retry, &says, None)
    }

    fn holds(&self, answer: Answered, failure: &Failure) -> ByHand {
        let limit = self.settings.hold_for;
        let mut says = format!(
            "held with all tasks of {}, while the daemon repeats the connector's check; failed after \
             {limit:?}",
            self.app.name
        );
        says.push_str(&because(&answer, failure));
        self.told(answer, Decision::Hold, &says, None)
    }

    fn looks(&self, answer: Answered, failure: &Failure) -> ByHand {
        let says = format!(
            "looked up again until the result is certain, for up to {:?}; so far: {}",
            self.settings.give_up_after, failure.message
        );
        self.told(answer, Decision::Look, &says, None)
    }

    fn refused<T>(&self, error: &Error) -> Answer<T> {
        Answer::Error(Refused::of(&self.app.target.without_secrets(error)))
    }

    fn told(&self, answer: Answered, decision: Decision, says: &str, report: Option<Value>) -> ByHand {
        let says = self.app.shared.redactor.redact(says).into_owned();
        ByHand {
            action: self.action,
            answer,
            decision,
            says,
            differing: Vec::new(),
            not_shown: Vec::new(),
            report,
        }
    }
}

/// Why the connector was not called, if it was not: its response shows it otherwise.
fn because(answer: &Answered, failure: &Failure) -> String {
    match answer {
        None => format!(". The account could not be looked up before: {}", failure.message),
        Some(_) => String::new(),
    }
}
