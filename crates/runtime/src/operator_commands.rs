//! What an operator orders about tasks: to let held ones go, and to report again what Iden refused.
//!
//! A running daemon does it itself ([`Actions`](super::actions::Actions)); while none runs, the functions here
//! do it to its journal, and it finds the result at its next start.

use std::collections::HashSet;

use bridgehead_resilience::Clock;
use bridgehead_sdk::TaskId;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::app::AppContext;
use super::guard::HeldTask;
use super::task;
use super::upstream::Patience;
use bridgehead_bridge::{self as bridge, Api, AppId, Operation};
use bridgehead_store::{
    self as journal, AppKey, Entry, Outcome, ReportResult, RetainedOutcome, State, TaskJournal,
};

/// Which tasks an order is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Selection {
    /// All to which it applies at this moment.
    All,
    /// These.
    These(Vec<TaskId>),
}

impl Selection {
    /// Splits into those that are among `candidates`, each once, and those that are not.
    fn pick(&self, candidates: Vec<TaskId>) -> (Vec<TaskId>, Vec<TaskId>) {
        match self {
            Self::All => (candidates, Vec::new()),
            Self::These(tasks) => {
                let candidates: HashSet<TaskId> = candidates.into_iter().collect();
                let mut seen = HashSet::new();
                let tasks = tasks.iter().filter(|task| seen.insert(*task)).cloned();
                tasks.partition(|task| candidates.contains(task))
            }
        }
    }
}

/// How many there are, where it is another number than was expected.
fn unexpected(candidates: usize, expect: Option<u64>) -> Option<u64> {
    let found = candidates as u64;
    expect.is_some_and(|expected| expected != found).then_some(found)
}

/// What a release did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Released {
    /// These may start now.
    pub released: Vec<TaskId>,
    /// These were requested but are not held.
    pub not_held: Vec<TaskId>,
    /// How many are held, where another number was expected; then nothing was released.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unexpected: Option<u64>,
}

/// What Iden said to a report that was made again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// It was taken.
    Accepted,
    /// The task had been resolved meanwhile.
    Conflict,
    /// Iden no longer knows the task.
    Missing,
    /// It was refused again, and stays set aside.
    Rejected,
    /// It could not be reported now, and stays set aside.
    Postponed,
}

/// One report that was made again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retried {
    /// The task.
    pub task: TaskId,
    /// The result.
    pub answer: Answer,
    /// Why, where it was not taken.
    pub detail: Option<String>,
}

/// What a retry did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retries {
    /// The reports that were made again.
    pub retried: Vec<Retried>,
    /// The tasks that waited, and continue now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub woken: Vec<TaskId>,
    /// These were requested, but have no rejected report and do not wait.
    pub not_rejected: Vec<TaskId>,
    /// How many are set aside, where another number was expected; then nothing was reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unexpected: Option<u64>,
}

/// A report that Iden refused, set aside for the operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RejectedReport {
    /// The task.
    pub task: TaskId,
    /// What it requested.
    pub action: String,
    /// When Iden made it.
    pub created_at: Option<Timestamp>,
    /// What is to be reported: `completed`, or `failed` with its code.
    pub outcome: String,
    /// What Iden said.
    pub detail: String,
}

/// The reports of an app that Iden refused, oldest task first.
pub async fn put_aside(
    journal: &dyn TaskJournal,
    app: &AppKey,
) -> Result<Vec<RejectedReport>, journal::Error> {
    let rejected = journal.rejected(app).await?.into_iter();
    let aside = rejected.map(|entry| RejectedReport {
        outcome: match &entry.kept {
            Some(RetainedOutcome::Failed { code, .. }) => format!("failed {code}"),
            _ => "completed".to_owned(),
        },
        detail: match entry.state {
            State::Ended(ReportResult::Rejected { detail }) => detail,
            _ => String::new(),
        },
        task: entry.task,
        action: entry.action,
        created_at: entry.created_at,
    });
    Ok(aside.collect())
}

/// The tasks that the guard of an app holds, by its journal, oldest first.
pub async fn held(journal: &dyn TaskJournal, app: &AppKey) -> Result<Vec<HeldTask>, journal::Error> {
    let held = journal.held(app).await?.into_iter().filter(|held| held.released_at.is_none());
    Ok(held.map(|held| HeldTask { task: held.task, held_at: held.held_at }).collect())
}

/// Lets tasks go, in the journal of a daemon that does not run. Where another number than `expect` are held, nothing is done.
pub async fn release(
    journal: &dyn TaskJournal,
    clock: &dyn Clock,
    app: &AppKey,
    selection: &Selection,
    expect: Option<u64>,
) -> Result<Released, journal::Error> {
    let candidates: Vec<TaskId> = held(journal, app).await?.into_iter().map(|held| held.task).collect();
    if let Some(found) = unexpected(candidates.len(), expect) {
        return Ok(Released { unexpected: Some(found), ..Released::default() });
    }
    let (released, not_held) = selection.pick(candidates);
    journal.release(app, &released, clock.now()).await?;
    Ok(Released { released, not_held, unexpected: None })
}

/// Lets tasks of a running daemon go: durable first, so that no restart holds them again.
pub(super) async fn release_in(
    app: &AppContext,
    selection: &Selection,
    expect: Option<u64>,
) -> Result<Released, journal::Error> {
    let candidates: Vec<TaskId> = app.guard.held().into_iter().map(|held| held.task).collect();
    if let Some(found) = unexpected(candidates.len(), expect) {
        return Ok(Released { unexpected: Some(found), ..Released::default() });
    }
    let (released, not_held) = selection.pick(candidates);
    app.store.release(&released, app.clock.now()).await?;
    if !released.is_empty() {
        tracing::info!(app = %app.name, tasks = released.len(), "the operator releases held tasks");
    }
    app.guard.release(&released);
    Ok(Released { released, not_held, unexpected: None })
}

/// Where reports are made again.
pub struct ReportRetrier<'a> {
    way: Way<'a>,
    journal: &'a dyn TaskJournal,
    clock: &'a dyn Clock,
    app: AppId,
    key: AppKey,
}

/// How the Bridge is reached.
enum Way<'a> {
    /// While no daemon runs.
    Direct(&'a dyn Api),
    /// As the running app reaches it.
    Through(&'a AppContext),
}

impl std::fmt::Debug for ReportRetrier<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReportRetrier").field("app", &self.app).finish_non_exhaustive()
    }
}

impl<'a> ReportRetrier<'a> {
    /// Where reports are made again while no daemon runs.
    pub fn without_daemon(
        bridge: &'a dyn Api,
        journal: &'a dyn TaskJournal,
        clock: &'a dyn Clock,
        app: AppId,
        key: AppKey,
    ) -> Self {
        Self { way: Way::Direct(bridge), journal, clock, app, key }
    }

    /// The same in a daemon that runs the app.
    pub(super) fn of(app: &'a AppContext) -> Self {
        let (journal, clock) = (app.store.for_operator(), &*app.clock);
        Self { way: Way::Through(app), journal, clock, app: app.id, key: app.key.clone() }
    }
}

impl ReportRetrier<'_> {
    /// Reports again what Iden had refused, each once. Nothing is executed again. When Iden cannot be reached, the rest is
    /// postponed: it stays set aside for another order. Where another number than `expect` is set aside, nothing is done.
    pub async fn retry(&self, selection: &Selection, expect: Option<u64>) -> Result<Retries, journal::Error> {
        let rejected = self.journal.rejected(&self.key).await?;
        if let Some(found) = unexpected(rejected.len(), expect) {
            return Ok(Retries { unexpected: Some(found), ..Retries::default() });
        }
        let candidates = rejected.iter().map(|entry| entry.task.clone()).collect();
        let (chosen, not_rejected) = selection.pick(candidates);
        let chosen: HashSet<TaskId> = chosen.into_iter().collect();
        let mut retries = Retries { not_rejected, ..Retries::default() };
        let mut outage: Option<String> = None;
        for entry in rejected.into_iter().filter(|entry| chosen.contains(&entry.task)) {
            let (answer, detail) = match &outage {
                Some(why) => (Answer::Postponed, Some(why.clone())),
                None => self.report_again(&entry).await?,
            };
            if answer == Answer::Postponed {
                outage.clone_from(&detail);
            }
            retries.retried.push(Retried { task: entry.task, answer, detail });
        }
        Ok(retries)
    }

    async fn report_again(&self, entry: &Entry) -> Result<(Answer, Option<String>), journal::Error> {
        let outcome =
            entry.kept.as_ref().map_or(Outcome::Completed { result: None }, RetainedOutcome::outcome);
        let report = task::report_of(&outcome);
        let answer = match self.way {
            Way::Direct(bridge) => bridge.report(self.app, &entry.task, &report).await,
            // It does not wait for access, and its answer counts as any other.
            Way::Through(app) => {
                let patience = Patience::once().at_once();
                let answer = app.upstream.patiently(Operation::Report, patience, |bridge| {
                    bridge.report(self.app, &entry.task, &report)
                });
                answer.await
            }
        };
        let (answer, ended, detail) = match answer {
            Ok(()) => (Answer::Accepted, ReportResult::Accepted, None),
            Err(error @ bridge::Error::Conflict { .. }) => {
                (Answer::Conflict, ReportResult::Conflict, Some(error.to_string()))
            }
            Err(error @ bridge::Error::NotFound { from_bridge: true, .. }) => {
                (Answer::Missing, ReportResult::Missing, Some(error.to_string()))
            }
            Err(error @ (bridge::Error::BadRequest { .. } | bridge::Error::Unprocessable { .. })) => {
                let detail = error.to_string();
                (Answer::Rejected, ReportResult::Rejected { detail: detail.clone() }, Some(detail))
            }
            Err(error) => return Ok((Answer::Postponed, Some(error.to_string()))),
        };
        self.journal.ended(&self.key, &entry.task, &ended, self.clock.now()).await?;
        if let Way::Through(app) = self.way
            && answer != Answer::Rejected
        {
            app.status.ended(&outcome, &ended);
        }
        Ok((answer, detail))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tasks(names: &[&str]) -> Vec<TaskId> {
        names.iter().map(|name| TaskId::from(*name)).collect()
    }

    #[test]
    fn a_selection_picks_what_is_there_each_once() {
        let selection = Selection::These(tasks(&["b", "x", "a", "b", "x"]));
        assert_eq!(selection.pick(tasks(&["a", "b", "c"])), (tasks(&["b", "a"]), tasks(&["x"])));
        assert_eq!(Selection::All.pick(tasks(&["a", "b"])), (tasks(&["a", "b"]), vec![]));
    }

    #[test]
    fn only_another_number_than_the_expected_one_is_unexpected() {
        assert_eq!([None, Some(3)].map(|expect| unexpected(3, expect)), [None, None]);
        assert_eq!([Some(0), Some(4)].map(|expect| unexpected(3, expect)), [Some(3), Some(3)]);
    }
}
