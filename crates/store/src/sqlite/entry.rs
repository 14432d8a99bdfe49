//! Converts rows to entries. A row that this version cannot interpret is an error, never a guess: a task with an unknown state must not be
//! executed.

use bridgehead_sdk::{Code, TaskId};
use sqlx::FromRow;

use super::super::{Entry, Error, Known, Outcome, PriorAccount, ReportResult, RetainedOutcome, State};
use super::{secure_delete, time};

/// The stored names of states and ends.
pub(crate) mod name {
    pub(crate) const INTENDED: &str = "intended";
    pub(crate) const DECIDED: &str = "decided";
    pub(crate) const ENDED: &str = "ended";

    pub(crate) const COMPLETED: &str = "completed";
    pub(crate) const FAILED: &str = "failed";

    pub(crate) const ACCEPTED: &str = "accepted";
    pub(crate) const CONFLICT: &str = "conflict";
    pub(crate) const MISSING: &str = "missing";
    pub(crate) const REJECTED: &str = "rejected";
}

/// A row of `tasks`, without `app`.
#[derive(FromRow)]
pub(crate) struct Row {
    pub(crate) task: String,
    pub(crate) action: String,
    pub(crate) created_at: Option<i64>,
    pub(crate) keys: Vec<u8>,
    pub(crate) attempt: i64,
    pub(crate) first_intent_at: i64,
    pub(crate) last_intent_at: i64,
    pub(crate) state: String,
    pub(crate) status: Option<String>,
    pub(crate) code: Option<String>,
    pub(crate) message: Option<String>,
    pub(crate) ended: Option<String>,
    pub(crate) detail: Option<String>,
    pub(crate) outcome: Option<Vec<u8>>,
    pub(crate) may_have_applied: bool,
    pub(crate) prior: Option<String>,
    pub(crate) kept: Option<String>,
    pub(crate) ended_at: Option<i64>,
}

impl Row {
    /// The sort key, oldest first; the task's id makes the order deterministic.
    pub(crate) fn age(&self) -> (i64, &str) {
        (self.created_at.unwrap_or(self.first_intent_at), &self.task)
    }

    /// Parses the row.
    pub(crate) fn into_entry(self) -> Result<Entry, Error> {
        let unreadable = |detail: String| unreadable(&self.task, detail);
        let instant = |microseconds| time::from_column(microseconds, &|| what(&self.task));
        let state = match known(&self.task, &self.state)? {
            Known::Intended => State::Intended,
            Known::Decided => State::Decided(outcome(&self.task, self.outcome.as_deref())?),
            Known::Ended => State::Ended(self.end()?),
        };
        let kept = match &state {
            State::Ended(_) => Some(self.kept()?),
            State::Intended | State::Decided(_) => None,
        };
        Ok(Entry {
            created_at: self.created_at.map(instant).transpose()?,
            keys: keys_from_column(&self.keys)
                .ok_or_else(|| unreadable("its keys are damaged".to_owned()))?,
            attempt: u32::try_from(self.attempt)
                .map_err(|_| unreadable("its attempt is out of range".to_owned()))?,
            first_intent_at: instant(self.first_intent_at)?,
            last_intent_at: instant(self.last_intent_at)?,
            may_have_applied: self.may_have_applied,
            prior: prior_from_column(self.prior.as_deref())
                .ok_or_else(|| unreadable("what its account looked like before is damaged".to_owned()))?,
            state,
            kept,
            ended_at: self.ended_at.map(instant).transpose()?,
            action: self.action,
            task: TaskId::new(self.task),
        })
    }

    fn end(&self) -> Result<ReportResult, Error> {
        match self.ended.as_deref() {
            Some(name::ACCEPTED) => Ok(ReportResult::Accepted),
            Some(name::CONFLICT) => Ok(ReportResult::Conflict),
            Some(name::MISSING) => Ok(ReportResult::Missing),
            Some(name::REJECTED) => {
                Ok(ReportResult::Rejected { detail: self.detail.clone().unwrap_or_default() })
            }
            other => Err(unreadable(&self.task, format!("its end is {other:?}"))),
        }
    }

    fn kept(&self) -> Result<RetainedOutcome, Error> {
        let code = self.code.as_deref().map(str::parse::<Code>);
        match (self.status.as_deref(), code) {
            (Some(name::COMPLETED), _) => {
                let result = self.kept.as_deref().map(serde_json::from_str).transpose();
                let result =
                    result.map_err(|_| unreadable(&self.task, "its result is damaged".to_owned()))?;
                Ok(RetainedOutcome::Completed { result })
            }
            (Some(name::FAILED), Some(Ok(code))) => {
                Ok(RetainedOutcome::Failed { code, message: self.message.clone() })
            }
            (status, _) => {
                let detail = format!("its status is {status:?} with the code {:?}", self.code);
                Err(unreadable(&self.task, detail))
            }
        }
    }
}

/// Parses the name of a state.
pub(crate) fn known(task: &str, state: &str) -> Result<Known, Error> {
    match state {
        name::INTENDED => Ok(Known::Intended),
        name::DECIDED => Ok(Known::Decided),
        name::ENDED => Ok(Known::Ended),
        other => Err(unreadable(task, format!("its state is {other:?}"))),
    }
}

/// Parses the outcome of a decided task.
pub(crate) fn outcome(task: &str, sealed: Option<&[u8]>) -> Result<Outcome, Error> {
    let sealed = sealed.ok_or_else(|| unreadable(task, "its outcome is missing".to_owned()))?;
    secure_delete::open(sealed).map_err(|detail| unreadable(task, detail))
}

pub(crate) fn unreadable(task: &str, detail: String) -> Error {
    Error::Unreadable { what: what(task), detail }
}

fn what(task: &str) -> String {
    format!("task {task} in the journal")
}

pub(crate) fn prior_to_column(prior: &PriorAccount) -> Option<String> {
    match prior {
        PriorAccount::Unknown => None,
        known => serde_json::to_string(known).ok(),
    }
}

fn prior_from_column(column: Option<&str>) -> Option<PriorAccount> {
    column.map_or(Some(PriorAccount::Unknown), |json| serde_json::from_str(json).ok())
}

pub(crate) fn keys_to_column(keys: &[u64]) -> Vec<u8> {
    keys.iter().flat_map(|key| key.to_le_bytes()).collect()
}

fn keys_from_column(column: &[u8]) -> Option<Vec<u64>> {
    let (keys, rest) = column.as_chunks::<8>();
    rest.is_empty().then(|| keys.iter().copied().map(u64::from_le_bytes).collect())
}
