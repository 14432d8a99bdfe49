//! The recorded execution of a task: intent, outcome, end.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use async_trait::async_trait;
use bridgehead_sdk::{Code, TaskId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{AppKey, AttemptStep, Doubt, Error, Pause};

/// Records that the connector is about to be called for a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intent {
    /// The task.
    pub task: TaskId,
    /// The action's name in the task; unknown actions are stored, too.
    pub action: String,
    /// When Iden created the task.
    pub created_at: Option<Timestamp>,
    /// The hashed keys of the task's account queue. No part of the payload can be derived from them.
    pub keys: Vec<u64>,
    /// The number of this attempt, starting at 1.
    pub attempt: u32,
    /// The state of the account before the first attempt. Only the value from the first intent is kept.
    pub prior: PriorAccount,
    /// The current time.
    pub at: Timestamp,
    /// Earlier steps that are not recorded yet: they are written together with the intent.
    pub steps: Vec<AttemptStep>,
}

/// The state of a task's account before the first attempt: the evidence that distinguishes the work of earlier attempts from an existing
/// account. Contains no values of the account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "was", rename_all = "snake_case")]
pub enum PriorAccount {
    /// The account could not be looked up, or the task does not need it.
    #[default]
    Unknown,
    /// The account did not exist.
    Absent,
    /// The account existed.
    Seen {
        /// The fields that the target showed, each as a hash of its value and the task's id: enough to detect whether a value is still the
        /// old one.
        fields: BTreeMap<String, u64>,
    },
}

impl PriorAccount {
    /// Whether the account was seen.
    pub fn was_seen(&self) -> bool {
        matches!(self, Self::Seen { .. })
    }
}

/// The outcome to report for a task.
///
/// A result may contain a secret, such as an initial password: `Debug` only shows the names of its fields.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Outcome {
    /// The task is done.
    Completed {
        /// The task's `result` for the report.
        result: Option<Map<String, Value>>,
    },
    /// The task has failed permanently.
    Failed {
        /// The standard code.
        code: Code,
        /// The message for administrators.
        message: String,
    },
}

impl fmt::Debug for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Completed { result } => {
                let fields: Option<Vec<&String>> = result.as_ref().map(|result| result.keys().collect());
                f.debug_struct("Completed").field("result_fields", &fields).finish()
            }
            Self::Failed { code, message } => {
                f.debug_struct("Failed").field("code", code).field("message", message).finish()
            }
        }
    }
}

/// The field of a result that names what the target cannot show, and what reading back therefore did not prove.
pub const NOT_VERIFIED: &str = "not_verified";

/// The Bridge's response to the report of an outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReportResult {
    /// 200: the report was accepted.
    Accepted,
    /// 409: the task had already been resolved.
    Conflict,
    /// 404: Iden does not know the task any more.
    Missing,
    /// 400: the report was rejected. It is set aside for the operator.
    Rejected {
        /// The Bridge's reason.
        detail: String,
    },
}

/// The state of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// The connector was called, or was about to be called; the result is unknown.
    Intended,
    /// The outcome is known, but not reported yet.
    Decided(Outcome),
    /// The report has ended.
    Ended(ReportResult),
}

/// What is retained of an outcome once its report has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RetainedOutcome {
    /// The task was completed.
    Completed {
        /// The retained fields of its result: [`RetainedOutcome::FIELDS`], none of which is a secret.
        result: Option<Map<String, Value>>,
    },
    /// The task had failed.
    Failed {
        /// The standard code.
        code: Code,
        /// The message, as reported.
        message: Option<String>,
    },
}

impl RetainedOutcome {
    /// The fields of a result that are retained after the report: those defined here. Fields added by a connector may be secrets, such as
    /// an initial password.
    pub const FIELDS: [&str; 2] = ["account_id", NOT_VERIFIED];

    /// The retained part of an outcome.
    pub(super) fn of(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Completed { result } => {
                let mut kept = result.unwrap_or_default();
                kept.retain(|name, _| Self::FIELDS.contains(&name.as_str()));
                Self::Completed { result: (!kept.is_empty()).then_some(kept) }
            }
            Outcome::Failed { code, message } => Self::Failed { code, message: Some(message) },
        }
    }

    /// The retained part as an outcome, to be reported again.
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Completed { result } => Outcome::Completed { result: result.clone() },
            Self::Failed { code, message } => Outcome::Failed {
                code: *code,
                message: message.clone().unwrap_or_else(|| "failed; the message was not saved".to_owned()),
            },
        }
    }
}

/// A task in the journal. Instants have microsecond precision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The task.
    pub task: TaskId,
    /// The action's name in the task.
    pub action: String,
    /// When Iden created the task.
    pub created_at: Option<Timestamp>,
    /// The hashed keys of the task's account queue.
    pub keys: Vec<u64>,
    /// The highest attempt for which an intent was written, starting at 1.
    pub attempt: u32,
    /// Whether an attempt may have been applied, completely or in part.
    pub may_have_applied: bool,
    /// The state of the account before the first attempt.
    pub prior: PriorAccount,
    /// When the first intent was written.
    pub first_intent_at: Timestamp,
    /// When the last intent was written.
    pub last_intent_at: Timestamp,
    /// The task's state.
    pub state: State,
    /// The retained part of the outcome, if the task has ended.
    pub kept: Option<RetainedOutcome>,
    /// When its report last ended.
    pub ended_at: Option<Timestamp>,
}

/// The state of a known task, without details.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Known {
    /// [`State::Intended`]
    Intended,
    /// [`State::Decided`]
    Decided,
    /// [`State::Ended`]
    Ended,
}

/// A destructive task that the deprovision limit holds, or held until the operator released it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The task.
    pub task: TaskId,
    /// Since when.
    pub held_at: Timestamp,
    /// When the operator released it; `None` if not released.
    pub released_at: Option<Timestamp>,
}

/// The numbers of an app's tasks, by state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counts {
    /// With an intent, but no outcome.
    pub intended: u64,
    /// With an outcome that is not yet reported.
    pub decided: u64,
    /// Reported and accepted.
    pub ended_accepted: u64,
    /// Reported, but already resolved.
    pub ended_conflict: u64,
    /// Reported, but unknown to Iden.
    pub ended_missing: u64,
    /// Reported, but rejected: these wait for the operator.
    pub rejected: u64,
}

/// The durable record of tasks.
///
/// # Flow
/// [`intent`](Self::intent) before each call of the connector, [`record_outcome`](Self::record_outcome) before the first report,
/// [`ended`](Self::ended) when the Bridge has responded to it. After a restart, [`open`](Self::open) returns unfinished tasks: an intent is
/// recovered, an outcome is reported.
///
/// # Contract
/// Every method may be called at any time, concurrently. A write is durable when it returns; if its future is dropped, it may or may not
/// happen. Every write may be repeated. A failed write changes nothing, except that after [`Error::Closed`], [`Error::Database`] and
/// [`Error::NotOurs`] it may have happened anyway.
///
/// No secret is stored once an outcome's report has ended.
#[async_trait]
pub trait TaskJournal: Send + Sync + fmt::Debug + 'static {
    /// Records that the connector is about to be called, so that the attempt may have been applied from now on. A repeated attempt replaces
    /// the first intent, except for its time and the earlier state of the account; the attempt number never decreases.
    ///
    /// [`Error::AlreadyDecided`] if the task has an outcome: it must not be executed again.
    async fn intent(&self, app: &AppKey, intent: &Intent) -> Result<(), Error>;

    /// Records that no attempt so far was applied: the target is known to have changed nothing. Does nothing for a task without an intent,
    /// or with an outcome.
    async fn not_applied(&self, app: &AppKey, task: &TaskId) -> Result<(), Error>;

    /// Records the outcome. A task that was rejected before the connector was called has no intent; it is recorded with the data in
    /// `identity`.
    ///
    /// The first outcome wins. Recording the same outcome again is not an error; a different one, or one for a task whose report has ended,
    /// is [`Error::AlreadyDecided`].
    async fn record_outcome(&self, app: &AppKey, identity: &Intent, outcome: &Outcome) -> Result<(), Error>;

    /// Records the Bridge's response, and erases the outcome's result except for the fields in [`RetainedOutcome`]. A rejected report may
    /// end again, with the same or another result. Any other end is final, and a second one only renews its time, so that a task that Iden
    /// still lists is not [pruned](Self::prune).
    ///
    /// [`Error::NotDecided`] if there is no outcome.
    async fn ended(
        &self,
        app: &AppKey,
        task: &TaskId,
        ended: &ReportResult,
        at: Timestamp,
    ) -> Result<(), Error>;

    /// Removes an intent whose task Iden has resolved or removed in the meantime. Not an error if the journal does not contain the task; a
    /// task with an outcome returns [`Error::AlreadyDecided`], and stays.
    async fn forget(&self, app: &AppKey, task: &TaskId) -> Result<(), Error>;

    /// The tasks that are intended or decided, oldest first by `created_at`. A task without that time is sorted by its first intent.
    async fn open(&self, app: &AppKey) -> Result<Vec<Entry>, Error>;

    /// One task.
    async fn entry(&self, app: &AppKey, task: &TaskId) -> Result<Option<Entry>, Error>;

    /// The given tasks that the journal knows. There may be any number of them; unknown ones are left out.
    async fn known(&self, app: &AppKey, tasks: &[TaskId]) -> Result<HashMap<TaskId, Known>, Error>;

    /// The tasks whose report was rejected, oldest first by `created_at`.
    async fn rejected(&self, app: &AppKey) -> Result<Vec<Entry>, Error>;

    /// The number of tasks in each state.
    async fn counts(&self, app: &AppKey) -> Result<Counts, Error>;

    /// When the connector was first called for each task that removes access
    /// ([`Action::is_destructive`](bridgehead_sdk::Action::is_destructive)), for calls after `since`, oldest first. Failed calls count,
    /// because they may have been applied anyway. A task that was rejected before the connector was called does not count.
    async fn destructive_since(&self, app: &AppKey, since: Timestamp) -> Result<Vec<Timestamp>, Error>;

    /// Records that these tasks are held. There may be any number of them; tasks that are already held or were released do not change.
    async fn hold(&self, app: &AppKey, tasks: &[TaskId], at: Timestamp) -> Result<(), Error>;

    /// Records that the operator released these tasks, whether or not they were recorded as held before.
    async fn release(&self, app: &AppKey, tasks: &[TaskId], at: Timestamp) -> Result<(), Error>;

    /// Removes the record that these tasks were held: they are no longer pending in Iden, or there is no limit.
    async fn unhold(&self, app: &AppKey, tasks: &[TaskId]) -> Result<(), Error>;

    /// The tasks that are held, and those that were released but not pruned yet.
    async fn held(&self, app: &AppKey) -> Result<Vec<Held>, Error>;

    /// Adds steps to the history of a task that may be otherwise unknown to the journal. A step with the same start and phase is replaced.
    /// The newest [`STEPS_KEPT`](super::STEPS_KEPT) steps of each task are kept for as long as the journal knows the task. Steps before an
    /// intent or an outcome are written with it instead: see [`Intent::steps`].
    async fn note_attempts(&self, app: &AppKey, task: &TaskId, steps: &[AttemptStep]) -> Result<(), Error>;

    /// The steps of a task, in the order in which they started.
    async fn attempts(&self, app: &AppKey, task: &TaskId) -> Result<Vec<AttemptStep>, Error>;

    /// Records that an operator has paused an app, replacing an earlier record.
    async fn pause(&self, app: &AppKey, pause: &Pause) -> Result<(), Error>;

    /// Records that an app is not paused.
    async fn resume(&self, app: &AppKey) -> Result<(), Error>;

    /// The pause of an app, if it is paused.
    async fn paused(&self, app: &AppKey) -> Result<Option<Pause>, Error>;

    /// Removes an app's tasks that ended before this instant, and returns their number. Open and rejected tasks stay. Also removes releases
    /// that are as old or whose task has been passed to the connector, the steps of removed tasks, and equally old steps of tasks that are
    /// otherwise unknown.
    ///
    /// Only called after the whole list of pending tasks was read, and the ends of the tasks in it were renewed.
    async fn prune(&self, app: &AppKey, before: Timestamp) -> Result<u64, Error>;

    /// Whether tasks of this app may have been started that this journal does not contain. See [`Doubt`] for what to do. A doubt stays
    /// until it is pruned, which does not happen before everything that it covers is older than the pruned tasks.
    async fn doubted(&self, app: &AppKey) -> Result<Option<Doubt>, Error>;

    /// Answers the question about a folder without state: whether Iden had synced this app before, according to its `last_synced_at`. The
    /// first answer is final; without a question, it has no effect.
    async fn settle_new(&self, app: &AppKey, synced_before: bool) -> Result<(), Error>;

    /// Checks that the files opened by this journal are still in place. If they are not, every write fails with [`Error::NotOurs`] as well,
    /// and reads may return outdated data.
    async fn verify(&self) -> Result<(), Error>;
}

/// The trait must stay object-safe.
const _: Option<&dyn TaskJournal> = None;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn outcome_debug_hides_the_result() {
        let result = json!({"account_id": "a1", "password": "hunter2"}).as_object().cloned();
        let text = format!("{:?}", State::Decided(Outcome::Completed { result }));
        assert!(text.contains("password") && !text.contains("hunter2") && !text.contains("a1"), "{text}");
    }
}
