//! The life of a task, as it is kept: intent, outcome, end.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use async_trait::async_trait;
use bridgehead_sdk::{Code, TaskId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{AppKey, AttemptStep, Doubt, Error, Pause};

/// That the connector is about to be called for a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intent {
    /// The task.
    pub task: TaskId,
    /// The action, as the task names it; one that is unknown is kept as well.
    pub action: String,
    /// When Iden made the task.
    pub created_at: Option<Timestamp>,
    /// The hashed keys of the task's lane. No part of the payload can be read from them.
    pub keys: Vec<u64>,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// What the account looked like before the first attempt. Only the first intent's is kept.
    pub prior: PriorAccount,
    /// Now.
    pub at: Timestamp,
    /// What came before, as far as it is not noted yet: it is written together with this.
    pub steps: Vec<AttemptStep>,
}

/// What the account of a task looked like before the first attempt: the evidence that distinguishes a later attempt's
/// own work from an existing account. It holds no value of the account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "was", rename_all = "snake_case")]
pub enum PriorAccount {
    /// The account could not be looked up, or the task does not need it.
    #[default]
    Unknown,
    /// There was no such account.
    Absent,
    /// It was there.
    Seen {
        /// The fields that the target showed, each as a hash of its value with the task's id: enough to tell whether a value
        /// is still the old one.
        fields: BTreeMap<String, u64>,
    },
}

impl PriorAccount {
    /// Whether the account was seen.
    pub fn was_seen(&self) -> bool {
        matches!(self, Self::Seen { .. })
    }
}

/// What is to be reported of a task.
///
/// A result may hold a secret, such as a first password: `Debug` shows the names of its fields only.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Outcome {
    /// The task is done.
    Completed {
        /// What is sent as the task's `result`.
        result: Option<Map<String, Value>>,
    },
    /// The task has failed permanently.
    Failed {
        /// The standard code.
        code: Code,
        /// What an administrator is shown.
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

/// The field of a result that names what the target cannot show, so that reading back did not prove it.
pub const NOT_VERIFIED: &str = "not_verified";

/// What the Bridge said to the report of an outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReportResult {
    /// 200: the report was taken.
    Accepted,
    /// 409: the task had been resolved already.
    Conflict,
    /// 404: Iden no longer knows the task.
    Missing,
    /// 400: the report was refused. It is set aside for the operator.
    Rejected {
        /// What the Bridge gave as the reason.
        detail: String,
    },
}

/// Where a task stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// The connector was, or was about to be, called; the result is unknown.
    Intended,
    /// The outcome is known and not yet reported.
    Decided(Outcome),
    /// The report has ended.
    Ended(ReportResult),
}

/// What is left of an outcome once its report has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RetainedOutcome {
    /// The task was completed.
    Completed {
        /// What is left of its result: [`RetainedOutcome::FIELDS`], none of which is a secret.
        result: Option<Map<String, Value>>,
    },
    /// The task had failed.
    Failed {
        /// The standard code.
        code: Code,
        /// The message, as it was reported.
        message: Option<String>,
    },
}

impl RetainedOutcome {
    /// The fields of a result that outlive the report: those whose meaning is known here. What a connector adds may be a
    /// secret, such as a first password.
    pub const FIELDS: [&str; 2] = ["account_id", NOT_VERIFIED];

    /// What is left of an outcome.
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

    /// The outcome as far as it is left, to be reported again.
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

/// A task in the journal. Instants are kept to the microsecond.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The task.
    pub task: TaskId,
    /// The action, as the task names it.
    pub action: String,
    /// When Iden made the task.
    pub created_at: Option<Timestamp>,
    /// The hashed keys of the task's lane.
    pub keys: Vec<u64>,
    /// The highest attempt an intent was written for, from 1.
    pub attempt: u32,
    /// Whether an attempt may have been applied, completely or in part.
    pub may_have_applied: bool,
    /// What the account looked like before the first attempt.
    pub prior: PriorAccount,
    /// When the first intent was written.
    pub first_intent_at: Timestamp,
    /// When the last intent was written.
    pub last_intent_at: Timestamp,
    /// Where the task stands.
    pub state: State,
    /// What is left of the outcome, if the task has ended.
    pub kept: Option<RetainedOutcome>,
    /// When its report last ended.
    pub ended_at: Option<Timestamp>,
}

/// What the journal knows of a task, without the details.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Known {
    /// [`State::Intended`]
    Intended,
    /// [`State::Decided`]
    Decided,
    /// [`State::Ended`]
    Ended,
}

/// A destructive task that the guard holds, or held until the operator let it go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The task.
    pub task: TaskId,
    /// Since when.
    pub held_at: Timestamp,
    /// When the operator let it go, if they did.
    pub released_at: Option<Timestamp>,
}

/// How many tasks of an app stand where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counts {
    /// With an intent and no outcome.
    pub intended: u64,
    /// With an outcome that is not yet reported.
    pub decided: u64,
    /// Reported and accepted.
    pub ended_accepted: u64,
    /// Reported, and resolved already.
    pub ended_conflict: u64,
    /// Reported, and unknown to Iden.
    pub ended_missing: u64,
    /// Reported and refused: these wait for the operator.
    pub rejected: u64,
}

/// The durable record of tasks.
///
/// # Flow
/// [`intent`](Self::intent) before each call of the connector, [`record_outcome`](Self::record_outcome) before the first
/// report, [`ended`](Self::ended) when the Bridge has answered it. After a restart,
/// [`open`](Self::open) gives what was left: an intent is recovered, an outcome is reported.
///
/// # Contract
/// Every method may be called at any time, from any number of tasks. A write is durable when it returns; if
/// its future is dropped, it may or may not happen. Every write may be repeated. Errors change nothing, except
/// that after [`Error::Closed`], [`Error::Database`] and [`Error::NotOurs`] a write may have happened all the same.
///
/// No secret is kept once an outcome's report has ended.
#[async_trait]
pub trait TaskJournal: Send + Sync + fmt::Debug + 'static {
    /// Records that the connector is about to be called, so that the attempt may have been applied from now on. A repeated
    /// attempt replaces what the first said, except its time and what the account looked like before it; the attempt never
    /// goes down.
    ///
    /// [`Error::AlreadyDecided`] if the task has an outcome: it must not be executed again.
    async fn intent(&self, app: &AppKey, intent: &Intent) -> Result<(), Error>;

    /// Records that no attempt so far was applied: the target is known to have done nothing. A task without an intent, or
    /// with an outcome, stays as it is.
    async fn not_applied(&self, app: &AppKey, task: &TaskId) -> Result<(), Error>;

    /// Records the outcome. A task that was refused before the connector was called has no intent; it is
    /// recorded with what `identity` says.
    ///
    /// The first outcome wins. The same one again is no error; a different one, or one for a task whose report
    /// has ended, is [`Error::AlreadyDecided`].
    async fn record_outcome(&self, app: &AppKey, identity: &Intent, outcome: &Outcome) -> Result<(), Error>;

    /// Records what the Bridge said, and erases the outcome's result but for what [`RetainedOutcome`] says. A rejected report may end
    /// again, in another way or the same. Any other end stays, and a second one only renews its time: a task that Iden
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

    /// Removes an intent whose task Iden has resolved or removed meanwhile. A task that is not in the journal
    /// is no error; one with an outcome is [`Error::AlreadyDecided`], and stays.
    async fn forget(&self, app: &AppKey, task: &TaskId) -> Result<(), Error>;

    /// The tasks that are intended or decided, oldest first by `created_at`. A task without one is placed by
    /// its first intent.
    async fn open(&self, app: &AppKey) -> Result<Vec<Entry>, Error>;

    /// One task.
    async fn entry(&self, app: &AppKey, task: &TaskId) -> Result<Option<Entry>, Error>;

    /// Which of these tasks, of which there may be any number, the journal knows. Those it does not know are
    /// left out.
    async fn known(&self, app: &AppKey, tasks: &[TaskId]) -> Result<HashMap<TaskId, Known>, Error>;

    /// The tasks whose report was refused, oldest first by `created_at`.
    async fn rejected(&self, app: &AppKey) -> Result<Vec<Entry>, Error>;

    /// How many tasks stand where.
    async fn counts(&self, app: &AppKey) -> Result<Counts, Error>;

    /// When the connector was first called for each task that takes access away
    /// ([`Action::is_destructive`](bridgehead_sdk::Action::is_destructive)), for calls after `since`, oldest first.
    /// Whatever came of them counts: a call that failed may have been applied all the same. A task that was refused
    /// before the connector was called does not count.
    async fn destructive_since(&self, app: &AppKey, since: Timestamp) -> Result<Vec<Timestamp>, Error>;

    /// Records that these tasks, of which there may be any number, are held. One that is held already, or was
    /// released, stays as it is.
    async fn hold(&self, app: &AppKey, tasks: &[TaskId], at: Timestamp) -> Result<(), Error>;

    /// Records that the operator let these tasks go, whether or not they were recorded as held before.
    async fn release(&self, app: &AppKey, tasks: &[TaskId], at: Timestamp) -> Result<(), Error>;

    /// Forgets that these tasks were held: they are no longer pending in Iden, or there is no limit.
    async fn unhold(&self, app: &AppKey, tasks: &[TaskId]) -> Result<(), Error>;

    /// The tasks that are held, and those that were released and not pruned yet.
    async fn held(&self, app: &AppKey) -> Result<Vec<Held>, Error>;

    /// Adds steps to the story of a task, of which the journal may know nothing else yet. A step that is known, by its beginning and
    /// its phase, is replaced. Of each task the newest [`STEPS_KEPT`](super::STEPS_KEPT) are kept, as long as the journal knows the
    /// task. Steps that come before an intent or an outcome are written with it instead: see [`Intent::steps`].
    async fn note_attempts(&self, app: &AppKey, task: &TaskId, steps: &[AttemptStep]) -> Result<(), Error>;

    /// The steps of a task, in the order in which they began.
    async fn attempts(&self, app: &AppKey, task: &TaskId) -> Result<Vec<AttemptStep>, Error>;

    /// Records that an operator has paused an app, in place of what was recorded before.
    async fn pause(&self, app: &AppKey, pause: &Pause) -> Result<(), Error>;

    /// Records that an app is not paused.
    async fn resume(&self, app: &AppKey) -> Result<(), Error>;

    /// Whether an app is paused.
    async fn paused(&self, app: &AppKey) -> Result<Option<Pause>, Error>;

    /// Removes tasks of an app that ended before this instant, and says how many. Open and rejected ones stay. With them go
    /// releases that are as old, or whose task the connector has been called for, their steps, and steps as old of tasks that are
    /// not known otherwise.
    ///
    /// Called only after the whole list of pending tasks was read, and the ends of those in it were renewed.
    async fn prune(&self, app: &AppKey, before: Timestamp) -> Result<u64, Error>;

    /// Whether tasks of this app may have been started of which this journal knows nothing. See [`Doubt`] for what to do. A
    /// doubt stays until it is pruned, which is not before everything that it covers is older than what is pruned with it.
    async fn doubted(&self, app: &AppKey) -> Result<Option<Doubt>, Error>;

    /// Answers the question that a folder without state puts: whether Iden had been synced for this app before, as its
    /// `last_synced_at` says. The first answer stays; where nothing is asked, it means nothing.
    async fn settle_new(&self, app: &AppKey, synced_before: bool) -> Result<(), Error>;

    /// Whether what this journal has opened is still in its place. If it is not, every write fails with
    /// [`Error::NotOurs`] too, and what is read may be out of date.
    async fn verify(&self) -> Result<(), Error>;
}

/// The trait must stay usable as an object.
const _: Option<&dyn TaskJournal> = None;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn debug_of_an_outcome_shows_no_result() {
        let result = json!({"account_id": "a1", "password": "hunter2"}).as_object().cloned();
        let text = format!("{:?}", State::Decided(Outcome::Completed { result }));
        assert!(text.contains("password") && !text.contains("hunter2") && !text.contains("a1"), "{text}");
    }
}
