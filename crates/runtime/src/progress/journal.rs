//! A journal that watches every write: whether it succeeds, and what it says about the task's progress.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bridgehead_sdk::TaskId;
use jiff::Timestamp;

use crate::status::AppStatus;
use bridgehead_store::{
    AppKey, AttemptStep, Counts, Doubt, Entry, Error, Held, Intent, Known, Outcome, Pause, ReportResult,
    TaskJournal,
};

/// The journal of one app. Only adds observation to the journal, so that no caller can forget it.
pub(crate) struct WatchedJournal {
    journal: Arc<dyn TaskJournal>,
    status: Arc<AppStatus>,
}

impl WatchedJournal {
    pub(crate) fn new(journal: Arc<dyn TaskJournal>, status: Arc<AppStatus>) -> Self {
        Self { journal, status }
    }

    fn wrote<T>(&self, result: Result<T, Error>) -> Result<T, Error> {
        self.status.wrote(result.as_ref().err());
        result
    }
}

impl fmt::Debug for WatchedJournal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.journal.fmt(f)
    }
}

#[async_trait]
impl TaskJournal for WatchedJournal {
    async fn intent(&self, app: &AppKey, intent: &Intent) -> Result<(), Error> {
        self.wrote(self.journal.intent(app, intent).await)?;
        self.status.progress().attempt(&intent.task, &intent.action, intent.attempt);
        Ok(())
    }

    async fn not_applied(&self, app: &AppKey, task: &TaskId) -> Result<(), Error> {
        self.wrote(self.journal.not_applied(app, task).await)
    }

    async fn record_outcome(&self, app: &AppKey, identity: &Intent, outcome: &Outcome) -> Result<(), Error> {
        self.wrote(self.journal.record_outcome(app, identity, outcome).await)?;
        self.status.progress().decided(&identity.task);
        Ok(())
    }

    async fn ended(
        &self,
        app: &AppKey,
        task: &TaskId,
        ended: &ReportResult,
        at: Timestamp,
    ) -> Result<(), Error> {
        self.wrote(self.journal.ended(app, task, ended, at).await)
    }

    async fn forget(&self, app: &AppKey, task: &TaskId) -> Result<(), Error> {
        self.wrote(self.journal.forget(app, task).await)
    }

    async fn open(&self, app: &AppKey) -> Result<Vec<Entry>, Error> {
        self.journal.open(app).await
    }

    async fn entry(&self, app: &AppKey, task: &TaskId) -> Result<Option<Entry>, Error> {
        self.journal.entry(app, task).await
    }

    async fn known(&self, app: &AppKey, tasks: &[TaskId]) -> Result<HashMap<TaskId, Known>, Error> {
        self.journal.known(app, tasks).await
    }

    async fn rejected(&self, app: &AppKey) -> Result<Vec<Entry>, Error> {
        self.journal.rejected(app).await
    }

    async fn counts(&self, app: &AppKey) -> Result<Counts, Error> {
        self.journal.counts(app).await
    }

    async fn destructive_since(&self, app: &AppKey, since: Timestamp) -> Result<Vec<Timestamp>, Error> {
        self.journal.destructive_since(app, since).await
    }

    async fn hold(&self, app: &AppKey, tasks: &[TaskId], at: Timestamp) -> Result<(), Error> {
        self.wrote(self.journal.hold(app, tasks, at).await)
    }

    async fn release(&self, app: &AppKey, tasks: &[TaskId], at: Timestamp) -> Result<(), Error> {
        self.wrote(self.journal.release(app, tasks, at).await)
    }

    async fn unhold(&self, app: &AppKey, tasks: &[TaskId]) -> Result<(), Error> {
        self.wrote(self.journal.unhold(app, tasks).await)
    }

    async fn held(&self, app: &AppKey) -> Result<Vec<Held>, Error> {
        self.journal.held(app).await
    }

    async fn doubted(&self, app: &AppKey) -> Result<Option<Doubt>, Error> {
        self.journal.doubted(app).await
    }

    async fn settle_new(&self, app: &AppKey, synced_before: bool) -> Result<(), Error> {
        self.wrote(self.journal.settle_new(app, synced_before).await)
    }

    async fn verify(&self) -> Result<(), Error> {
        self.journal.verify().await
    }

    async fn note_attempts(&self, app: &AppKey, task: &TaskId, steps: &[AttemptStep]) -> Result<(), Error> {
        self.wrote(self.journal.note_attempts(app, task, steps).await)
    }

    async fn attempts(&self, app: &AppKey, task: &TaskId) -> Result<Vec<AttemptStep>, Error> {
        self.journal.attempts(app, task).await
    }

    async fn pause(&self, app: &AppKey, pause: &Pause) -> Result<(), Error> {
        self.wrote(self.journal.pause(app, pause).await)
    }

    async fn resume(&self, app: &AppKey) -> Result<(), Error> {
        self.wrote(self.journal.resume(app).await)
    }

    async fn paused(&self, app: &AppKey) -> Result<Option<Pause>, Error> {
        self.journal.paused(app).await
    }

    async fn prune(&self, app: &AppKey, before: Timestamp) -> Result<u64, Error> {
        self.wrote(self.journal.prune(app, before).await)
    }
}
