//! The execution of each task.

use std::collections::BTreeMap;

use bridgehead_sdk::{Action, TaskId};
use jiff::Timestamp;

use super::super::{Counts, Entry, Error, Intent, Known, Outcome, ReportResult, RetainedOutcome, State};
use super::attempts::Steps;
use super::holds::Holds;
use super::instant::kept;

/// The tasks of an app.
#[derive(Default)]
pub(super) struct Tasks {
    by_id: BTreeMap<TaskId, Task>,
    pub(super) holds: Holds,
    pub(super) steps: Steps,
    /// Iden's first answer to whether it was synced before.
    pub(super) synced_before: Option<bool>,
}

struct Task {
    entry: Entry,
}

impl Task {
    fn new(intent: &Intent) -> Self {
        let at = kept(intent.at);
        let entry = Entry {
            task: intent.task.clone(),
            action: intent.action.clone(),
            created_at: intent.created_at.map(kept),
            keys: intent.keys.clone(),
            attempt: intent.attempt,
            may_have_applied: true,
            prior: intent.prior.clone(),
            first_intent_at: at,
            last_intent_at: at,
            state: State::Intended,
            kept: None,
            ended_at: None,
        };
        Self { entry }
    }

    fn is_rejected(&self) -> bool {
        matches!(self.entry.state, State::Ended(ReportResult::Rejected { .. }))
    }
}

impl Tasks {
    pub(super) fn intent(&mut self, intent: &Intent) -> Result<(), Error> {
        let Some(task) = self.by_id.get_mut(&intent.task) else {
            self.by_id.insert(intent.task.clone(), Task::new(intent));
            self.steps.add(&intent.task, &intent.steps);
            return Ok(());
        };
        if task.entry.state != State::Intended {
            return Err(decided(&intent.task));
        }
        let entry = &mut task.entry;
        entry.action.clone_from(&intent.action);
        entry.created_at = intent.created_at.map(kept);
        entry.keys.clone_from(&intent.keys);
        entry.attempt = entry.attempt.max(intent.attempt);
        entry.last_intent_at = kept(intent.at);
        entry.may_have_applied = true;
        self.steps.add(&intent.task, &intent.steps);
        Ok(())
    }

    pub(super) fn not_applied(&mut self, task: &TaskId) {
        if let Some(task) = self.by_id.get_mut(task)
            && task.entry.state == State::Intended
        {
            task.entry.may_have_applied = false;
        }
    }

    pub(super) fn record_outcome(&mut self, identity: &Intent, outcome: &Outcome) -> Result<(), Error> {
        let task = self.by_id.entry(identity.task.clone()).or_insert_with(|| Task::new(identity));
        match &task.entry.state {
            State::Intended => {
                task.entry.state = State::Decided(outcome.clone());
                self.steps.add(&identity.task, &identity.steps);
                Ok(())
            }
            State::Decided(first) if first == outcome => Ok(()),
            State::Decided(_) | State::Ended(_) => Err(decided(&identity.task)),
        }
    }

    pub(super) fn ended(&mut self, task: &TaskId, ended: &ReportResult, at: Timestamp) -> Result<(), Error> {
        let at = kept(at);
        let not_decided = || Error::NotDecided { task: task.clone() };
        let row = self.by_id.get_mut(task).ok_or_else(not_decided)?;
        match &row.entry.state {
            State::Intended => return Err(not_decided()),
            State::Decided(outcome) => row.entry.kept = Some(RetainedOutcome::of(outcome.clone())),
            State::Ended(ReportResult::Rejected { .. }) => {}
            State::Ended(_) => {
                row.entry.ended_at = row.entry.ended_at.max(Some(at));
                return Ok(());
            }
        }
        row.entry.state = State::Ended(ended.clone());
        row.entry.ended_at = Some(at);
        Ok(())
    }

    pub(super) fn forget(&mut self, task: &TaskId) -> Result<(), Error> {
        if self.by_id.get(task).is_some_and(|row| row.entry.state != State::Intended) {
            return Err(decided(task));
        }
        self.by_id.remove(task);
        self.steps.remove(task);
        Ok(())
    }

    pub(super) fn entry(&self, task: &TaskId) -> Option<Entry> {
        self.by_id.get(task).map(|row| row.entry.clone())
    }

    pub(super) fn open(&self) -> Vec<Entry> {
        self.oldest_first(|row| !matches!(row.entry.state, State::Ended(_)))
    }

    pub(super) fn rejected(&self) -> Vec<Entry> {
        self.oldest_first(Task::is_rejected)
    }

    fn oldest_first(&self, wanted: impl Fn(&Task) -> bool) -> Vec<Entry> {
        let mut entries: Vec<Entry> =
            self.by_id.values().filter(|row| wanted(row)).map(|row| row.entry.clone()).collect();
        // The sort is stable, and the map is ordered by task.
        entries.sort_by_key(|entry| entry.created_at.unwrap_or(entry.first_intent_at));
        entries
    }

    pub(super) fn known(&self, task: &TaskId) -> Option<Known> {
        Some(match self.by_id.get(task)?.entry.state {
            State::Intended => Known::Intended,
            State::Decided(_) => Known::Decided,
            State::Ended(_) => Known::Ended,
        })
    }

    pub(super) fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for row in self.by_id.values() {
            *match &row.entry.state {
                State::Intended => &mut counts.intended,
                State::Decided(_) => &mut counts.decided,
                State::Ended(ReportResult::Accepted) => &mut counts.ended_accepted,
                State::Ended(ReportResult::Conflict) => &mut counts.ended_conflict,
                State::Ended(ReportResult::Missing) => &mut counts.ended_missing,
                State::Ended(ReportResult::Rejected { .. }) => &mut counts.rejected,
            } += 1;
        }
        counts
    }

    pub(super) fn destructive_since(&self, since: Timestamp) -> Vec<Timestamp> {
        let since = kept(since);
        let calls = self.by_id.values().map(|row| &row.entry).filter(|entry| {
            // A task that was rejected before the connector was called has attempt 0.
            entry.attempt > 0 && entry.first_intent_at > since && is_destructive(&entry.action)
        });
        let mut calls: Vec<Timestamp> = calls.map(|entry| entry.first_intent_at).collect();
        calls.sort_unstable();
        calls
    }

    /// Returns the number of removed tasks.
    pub(super) fn prune(&mut self, before: Timestamp) -> u64 {
        self.holds.prune(before, |task| self.by_id.contains_key(task));
        let before = kept(before);
        let all = self.by_id.len();
        let steps = &mut self.steps;
        self.by_id.retain(|task, row| {
            let stays = row.is_rejected() || row.entry.ended_at.is_none_or(|at| at >= before);
            if !stays {
                steps.remove(task);
            }
            stays
        });
        self.steps.prune(before, |task| self.by_id.contains_key(task));
        (all - self.by_id.len()) as u64
    }
}

fn is_destructive(action: &str) -> bool {
    Action::ALL.iter().any(|known| known.as_str() == action && known.is_destructive())
}

fn decided(task: &TaskId) -> Error {
    Error::AlreadyDecided { task: task.clone() }
}
