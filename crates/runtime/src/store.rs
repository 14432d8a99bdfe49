//! The durable state of one app's tasks: what is written here is on the disk before anything is built on it.

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

/// The journal, as one app uses it.
#[derive(Debug)]
pub(crate) struct Store {
    /// Private: an intent or an outcome that is recorded elsewhere proves nothing.
    journal: WatchedJournal,
    app: AppKey,
}

impl Store {
    pub(crate) fn new(journal: Arc<dyn TaskJournal>, status: Arc<AppStatus>, app: AppKey) -> Self {
        Self { journal: WatchedJournal::new(journal, status), app }
    }

    /// Writes down that the connector is about to be called.
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

    /// The outcome that the journal holds of a task, if it holds one.
    pub(crate) async fn recorded_outcome(&self, task: &TaskId) -> Result<Option<OutcomeRecorded>, Error> {
        Ok(self.journal.entry(&self.app, task).await?.and_then(|entry| OutcomeRecorded::in_journal(&entry)))
    }

    /// The attempt that was intended has changed nothing.
    pub(crate) async fn not_applied(&self, task: &TaskId) -> Result<(), Error> {
        self.journal.not_applied(&self.app, task).await
    }

    /// Iden has heard of the outcome, or does not want to.
    pub(crate) async fn ended(
        &self,
        task: &TaskId,
        ended: &ReportResult,
        at: Timestamp,
    ) -> Result<(), Error> {
        self.journal.ended(&self.app, task, ended, at).await
    }

    /// Adds to the story of a task, where nothing else is written.
    pub(crate) async fn note_attempts(&self, task: &TaskId, steps: &[AttemptStep]) -> Result<(), Error> {
        self.journal.note_attempts(&self.app, task, steps).await
    }

    /// An operator pauses the app, or resumes it.
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

    /// Drops a task that nothing was done about.
    pub(crate) async fn forget(&self, task: &TaskId) -> Result<(), Error> {
        self.journal.forget(&self.app, task).await
    }

    /// The tasks that were started and have not ended.
    pub(crate) async fn open(&self) -> Result<Vec<Entry>, Error> {
        self.journal.open(&self.app).await
    }

    /// What is known of a task.
    pub(crate) async fn entry(&self, task: &TaskId) -> Result<Option<Entry>, Error> {
        self.journal.entry(&self.app, task).await
    }

    /// Those of these tasks that are known.
    pub(crate) async fn known(&self, tasks: &[TaskId]) -> Result<HashMap<TaskId, Known>, Error> {
        self.journal.known(&self.app, tasks).await
    }

    /// Forgets tasks that ended long ago.
    pub(crate) async fn prune(&self, before: Timestamp) -> Result<u64, Error> {
        self.journal.prune(&self.app, before).await
    }

    /// When destructive tasks were executed.
    pub(crate) async fn destructive_since(&self, since: Timestamp) -> Result<Vec<Timestamp>, Error> {
        self.journal.destructive_since(&self.app, since).await
    }

    /// Keeps tasks back until the operator decides.
    pub(crate) async fn hold(&self, tasks: &[TaskId], at: Timestamp) -> Result<(), Error> {
        self.journal.hold(&self.app, tasks, at).await
    }

    /// The operator lets them pass.
    pub(crate) async fn release(&self, tasks: &[TaskId], at: Timestamp) -> Result<(), Error> {
        self.journal.release(&self.app, tasks, at).await
    }

    /// They are no longer held, without the operator's decision.
    pub(crate) async fn unhold(&self, tasks: &[TaskId]) -> Result<(), Error> {
        self.journal.unhold(&self.app, tasks).await
    }

    /// The tasks that are kept back.
    pub(crate) async fn held(&self) -> Result<Vec<Held>, Error> {
        self.journal.held(&self.app).await
    }

    /// Why the journal may have lost something, if it may.
    pub(crate) async fn doubted(&self) -> Result<Option<Doubt>, Error> {
        self.journal.doubted(&self.app).await
    }

    /// Whether a journal that is new should be: not if the app was synced before.
    pub(crate) async fn settle_new(&self, synced_before: bool) -> Result<(), Error> {
        self.journal.settle_new(&self.app, synced_before).await
    }

    /// The journal, for what an operator looks at or orders.
    pub(crate) fn for_operator(&self) -> &dyn TaskJournal {
        &self.journal
    }
}
