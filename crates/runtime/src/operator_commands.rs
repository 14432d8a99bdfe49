//! Operator commands for tasks: releasing held tasks, and repeating reports that Iden rejected.
//!
//! A running daemon executes them itself ([`Actions`](super::actions::Actions)). Without a running daemon, the functions here change its
//! journal, and the daemon finds the result at its next start.

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

/// The tasks that a command applies to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Selection {
    /// All tasks to which the command currently applies.
    All,
    /// The given tasks.
    These(Vec<TaskId>),
}

impl Selection {
    /// Splits the selected tasks into those that are among `candidates`, without duplicates, and those that are not.
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

/// The actual number of candidates, if it differs from the expected number.
fn unexpected(candidates: usize, expect: Option<u64>) -> Option<u64> {
    let found = candidates as u64;
    expect.is_some_and(|expected| expected != found).then_some(found)
}

/// The result of a release.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Released {
    /// Tasks that may start now.
    pub released: Vec<TaskId>,
    /// Tasks that were requested but are not held.
    pub not_held: Vec<TaskId>,
    /// The actual number of held tasks, if it differs from the expected number; then nothing was released.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unexpected: Option<u64>,
}

/// Iden's response to a repeated report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// Accepted.
    Accepted,
    /// The task had already been resolved in the meantime.
    Conflict,
    /// Iden does not know the task any more.
    Missing,
    /// Rejected again; the report stays set aside.
    Rejected,
    /// It could not be reported now; the report stays set aside.
    Postponed,
}

/// The result of repeating one report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retried {
    /// The task.
    pub task: TaskId,
    /// The result.
    pub answer: Answer,
    /// The reason, if it was not accepted.
    pub detail: Option<String>,
}

/// The result of a retry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retries {
    /// The repeated reports.
    pub retried: Vec<Retried>,
    /// Waiting tasks that continue now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub woken: Vec<TaskId>,
    /// Tasks that were requested, but neither have a rejected report nor wait.
    pub not_rejected: Vec<TaskId>,
    /// The actual number of reports set aside, if it differs from the expected number; then nothing was reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unexpected: Option<u64>,
}

/// A report that Iden rejected, set aside for the operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RejectedReport {
    /// The task.
    pub task: TaskId,
    /// The requested action.
    pub action: String,
    /// When Iden created the task.
    pub created_at: Option<Timestamp>,
    /// The outcome to report: `completed`, or `failed` with its code.
    pub outcome: String,
    /// Iden's response.
    pub detail: String,
}

/// The rejected reports of an app, oldest task first.
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

/// The tasks that an app's deprovision limit holds according to its journal, oldest first.
pub async fn held(journal: &dyn TaskJournal, app: &AppKey) -> Result<Vec<HeldTask>, journal::Error> {
    let held = journal.held(app).await?.into_iter().filter(|held| held.released_at.is_none());
    Ok(held.map(|held| HeldTask { task: held.task, held_at: held.held_at }).collect())
}

/// Releases held tasks in the journal of a daemon that is not running. Does nothing if the number of held tasks differs from `expect`.
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

/// Releases held tasks of a running daemon. The release is durable first, so that no restart holds them again.
pub(super) async fn release_in(
    app: &AppContext,
    selection: &Selection,
    expect: Option<u64>,
) -> Result<Released, journal::Error> {
    let candidates: Vec<TaskId> = app.deprovision_limit.held().into_iter().map(|held| held.task).collect();
    if let Some(found) = unexpected(candidates.len(), expect) {
        return Ok(Released { unexpected: Some(found), ..Released::default() });
    }
    let (released, not_held) = selection.pick(candidates);
    app.store.release(&released, app.shared.clock.now()).await?;
    if !released.is_empty() {
        tracing::info!(app = %app.name, tasks = released.len(), "the operator releases held tasks");
    }
    app.deprovision_limit.release(&released);
    Ok(Released { released, not_held, unexpected: None })
}

/// Repeats rejected reports.
pub struct ReportRetrier<'a> {
    way: Way<'a>,
    journal: &'a dyn TaskJournal,
    clock: &'a dyn Clock,
    app: AppId,
    key: AppKey,
}

/// How the Bridge is called.
enum Way<'a> {
    /// Directly, while no daemon runs.
    Direct(&'a dyn Api),
    /// Through the running app.
    Through(&'a AppContext),
}

impl std::fmt::Debug for ReportRetrier<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReportRetrier").field("app", &self.app).finish_non_exhaustive()
    }
}

impl<'a> ReportRetrier<'a> {
    /// Creates a retrier for use while no daemon runs.
    pub fn without_daemon(
        bridge: &'a dyn Api,
        journal: &'a dyn TaskJournal,
        clock: &'a dyn Clock,
        app: AppId,
        key: AppKey,
    ) -> Self {
        Self { way: Way::Direct(bridge), journal, clock, app, key }
    }

    /// Creates a retrier inside a daemon that runs the app.
    pub(super) fn of(app: &'a AppContext) -> Self {
        let (journal, clock) = (app.store.for_operator(), &*app.shared.clock);
        Self { way: Way::Through(app), journal, clock, app: app.id, key: app.key.clone() }
    }
}

impl ReportRetrier<'_> {
    /// Repeats each selected report once. No task is executed again. If Iden cannot be reached, the remaining reports are postponed: they
    /// stay set aside for another command. Does nothing if the number of rejected reports differs from `expect`.
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
            // This call does not wait for access, but its response counts like any other.
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
    fn selection_picks_each_existing_task_once() {
        let selection = Selection::These(tasks(&["b", "x", "a", "b", "x"]));
        assert_eq!(selection.pick(tasks(&["a", "b", "c"])), (tasks(&["b", "a"]), tasks(&["x"])));
        assert_eq!(Selection::All.pick(tasks(&["a", "b"])), (tasks(&["a", "b"]), vec![]));
    }

    #[test]
    fn count_is_unexpected_only_if_it_differs() {
        assert_eq!([None, Some(3)].map(|expect| unexpected(3, expect)), [None, None]);
        assert_eq!([Some(0), Some(4)].map(|expect| unexpected(3, expect)), [Some(3), Some(3)]);
    }
}
