//! The durable task state of one app: every write is on disk before anything relies on it.

use std::collections::HashMap;
use std::sync::Arc;

use bridgehead_sdk::TaskId;
use jiff::Timestamp;

use super::progress::WatchedJournal;
use super::proof::{IntentRecorded, OutcomeRecorded};
use super::status::AppStatus;
use bridgehead_store::{
    AppKey, AttemptStep, Doubt, Entry, Error, Held, Intent, Known, Outcome, Pause, ReportResult, TaskJournal,
};

/// The task journal from the perspective of one app.
#[derive(Debug)]
pub(crate) struct Store {
    /// Private: only writes made here may serve as proof that an intent or an outcome was recorded.
    journal: WatchedJournal,
    app: AppKey,
}

impl Store {
    pub(crate) fn new(journal: Arc<dyn TaskJournal>, status: Arc<AppStatus>, app: AppKey) -> Self {
        Self { journal: WatchedJournal::new(journal, status), app }
    }

    /// Records that the connector is about to be called.
    pub(crate) async fn record_intent(&self, intent: &Intent) -> Result<IntentRecorded, Error> {
        self.journal.intent(&self.app, intent).await?;
        Ok(IntentRecorded::by_the_store(intent))
    }

    /// Records the result of a task.
    pub(crate) async fn record_outcome(
        &self,
        identity: &Intent,
        outcome: &Outcome,
    ) -> Result<OutcomeRecorded, Error> {
        self.journal.record_outcome(&self.app, identity, outcome).await?;
        Ok(OutcomeRecorded::by_the_store(outcome.clone()))
    }

    /// The outcome recorded for a task, if there is one.
    pub(crate) async fn recorded_outcome(&self, task: &TaskId) -> Result<Option<OutcomeRecorded>, Error> {
        Ok(self.journal.entry(&self.app, task).await?.and_then(|entry| OutcomeRecorded::in_journal(&entry)))
    }

    /// Records that the intended attempt changed nothing.
    pub(crate) async fn not_applied(&self, task: &TaskId) -> Result<(), Error> {
        self.journal.not_applied(&self.app, task).await
    }

    /// Records that Iden accepted the outcome, or no longer needs it.
    pub(crate) async fn ended(
        &self,
        task: &TaskId,
        ended: &ReportResult,
        at: Timestamp,
    ) -> Result<(), Error> {
        self.journal.ended(&self.app, task, ended, at).await
    }

    /// Adds attempt steps to a task's history when nothing else is written for it.
    pub(crate) async fn note_attempts(&self, task: &TaskId, steps: &[AttemptStep]) -> Result<(), Error> {
        self.journal.note_attempts(&self.app, task, steps).await
    }

    /// Records that an operator paused or resumed the app.
    pub(crate) async fn set_pause(&self, pause: Option<&Pause>) -> Result<(), Error> {
        match pause {
            Some(pause) => self.journal.pause(&self.app, pause).await,
            None => self.journal.resume(&self.app).await,
        }
    }

    /// Whether the app is paused.
    pub(crate) async fn paused(&self) -> Result<Option<Pause>, Error> {
        self.journal.paused(&self.app).await
    }

    /// Drops a task for which nothing was done.
    pub(crate) async fn forget(&self, task: &TaskId) -> Result<(), Error> {
        self.journal.forget(&self.app, task).await
    }

    /// The tasks that were started and have not ended.
    pub(crate) async fn open(&self) -> Result<Vec<Entry>, Error> {
        self.journal.open(&self.app).await
    }

    /// The journal's entry for a task.
    pub(crate) async fn entry(&self, task: &TaskId) -> Result<Option<Entry>, Error> {
        self.journal.entry(&self.app, task).await
    }

    /// Which of these tasks are known, and their state.
    pub(crate) async fn known(&self, tasks: &[TaskId]) -> Result<HashMap<TaskId, Known>, Error> {
        self.journal.known(&self.app, tasks).await
    }

    /// Removes tasks that ended before the given time.
    pub(crate) async fn prune(&self, before: Timestamp) -> Result<u64, Error> {
        self.journal.prune(&self.app, before).await
    }

    /// When destructive tasks were executed, since the given time.
    pub(crate) async fn destructive_since(&self, since: Timestamp) -> Result<Vec<Timestamp>, Error> {
        self.journal.destructive_since(&self.app, since).await
    }

    /// Holds tasks until the operator decides.
    pub(crate) async fn hold(&self, tasks: &[TaskId], at: Timestamp) -> Result<(), Error> {
        self.journal.hold(&self.app, tasks, at).await
    }

    /// Records that the operator released these tasks.
    pub(crate) async fn release(&self, tasks: &[TaskId], at: Timestamp) -> Result<(), Error> {
        self.journal.release(&self.app, tasks, at).await
    }

    /// Records that these tasks are no longer held, without a decision by the operator.
    pub(crate) async fn unhold(&self, tasks: &[TaskId]) -> Result<(), Error> {
        self.journal.unhold(&self.app, tasks).await
    }

    /// The held tasks.
    pub(crate) async fn held(&self) -> Result<Vec<Held>, Error> {
        self.journal.held(&self.app).await
    }

    /// Why the journal may have lost tasks, if it may have.
    pub(crate) async fn doubted(&self) -> Result<Option<Doubt>, Error> {
        self.journal.doubted(&self.app).await
    }

    /// Decides whether a new journal is plausible: it is not if the app was synced before.
    pub(crate) async fn settle_new(&self, synced_before: bool) -> Result<(), Error> {
        self.journal.settle_new(&self.app, synced_before).await
    }

    /// The journal, for reads and commands by operators.
    pub(crate) fn for_operator(&self) -> &dyn TaskJournal {
        &self.journal
    }
}
