//! The journal: each call of a process is a request to [`Memory`](super::super::Memory) in the database.

use std::collections::HashMap;

use async_trait::async_trait;
use bridgehead_sdk::TaskId;
use jiff::Timestamp;

use super::super::super::{
    AppKey, AttemptStep, Counts, Doubt, Entry, Error, Held, Intent, Known, Outcome, Pause, ReportResult,
    TaskJournal,
};
use super::node::{Node, answer};

#[async_trait]
impl TaskJournal for Node {
    async fn intent(&self, app: &AppKey, intent: &Intent) -> Result<(), Error> {
        let (key, intent) = (app.clone(), intent.clone());
        self.write_tasks(app, move |memory| answer(TaskJournal::intent(memory, &key, &intent))).await?;
        // The caller may start a call after this returns, which this node may do only while its lease is valid.
        self.check_may_start(app)
    }

    async fn not_applied(&self, app: &AppKey, task: &TaskId) -> Result<(), Error> {
        let (key, task) = (app.clone(), task.clone());
        self.write_tasks(app, move |memory| answer(TaskJournal::not_applied(memory, &key, &task))).await
    }

    async fn record_outcome(&self, app: &AppKey, identity: &Intent, outcome: &Outcome) -> Result<(), Error> {
        let (key, identity, outcome) = (app.clone(), identity.clone(), outcome.clone());
        self.write_tasks(app, move |memory| {
            answer(TaskJournal::record_outcome(memory, &key, &identity, &outcome))
        })
        .await
    }

    async fn ended(
        &self,
        app: &AppKey,
        task: &TaskId,
        ended: &ReportResult,
        at: Timestamp,
    ) -> Result<(), Error> {
        let (key, task, ended) = (app.clone(), task.clone(), ended.clone());
        self.write_tasks(app, move |memory| answer(TaskJournal::ended(memory, &key, &task, &ended, at))).await
    }

    async fn forget(&self, app: &AppKey, task: &TaskId) -> Result<(), Error> {
        let (key, task) = (app.clone(), task.clone());
        self.write_tasks(app, move |memory| answer(TaskJournal::forget(memory, &key, &task))).await
    }

    async fn open(&self, app: &AppKey) -> Result<Vec<Entry>, Error> {
        let key = app.clone();
        self.read(move |memory| answer(TaskJournal::open(memory, &key))).await
    }

    async fn entry(&self, app: &AppKey, task: &TaskId) -> Result<Option<Entry>, Error> {
        let (key, task) = (app.clone(), task.clone());
        self.read(move |memory| answer(TaskJournal::entry(memory, &key, &task))).await
    }

    async fn known(&self, app: &AppKey, tasks: &[TaskId]) -> Result<HashMap<TaskId, Known>, Error> {
        let (key, tasks) = (app.clone(), tasks.to_vec());
        self.read(move |memory| answer(TaskJournal::known(memory, &key, &tasks))).await
    }

    async fn rejected(&self, app: &AppKey) -> Result<Vec<Entry>, Error> {
        let key = app.clone();
        self.read(move |memory| answer(TaskJournal::rejected(memory, &key))).await
    }

    async fn counts(&self, app: &AppKey) -> Result<Counts, Error> {
        let key = app.clone();
        self.read(move |memory| answer(TaskJournal::counts(memory, &key))).await
    }

    async fn destructive_since(&self, app: &AppKey, since: Timestamp) -> Result<Vec<Timestamp>, Error> {
        let key = app.clone();
        self.read(move |memory| answer(TaskJournal::destructive_since(memory, &key, since))).await
    }

    async fn hold(&self, app: &AppKey, tasks: &[TaskId], at: Timestamp) -> Result<(), Error> {
        let (key, tasks) = (app.clone(), tasks.to_vec());
        self.write_tasks(app, move |memory| answer(TaskJournal::hold(memory, &key, &tasks, at))).await
    }

    async fn release(&self, app: &AppKey, tasks: &[TaskId], at: Timestamp) -> Result<(), Error> {
        let (key, tasks) = (app.clone(), tasks.to_vec());
        self.write_tasks(app, move |memory| answer(TaskJournal::release(memory, &key, &tasks, at))).await
    }

    async fn unhold(&self, app: &AppKey, tasks: &[TaskId]) -> Result<(), Error> {
        let (key, tasks) = (app.clone(), tasks.to_vec());
        self.write_tasks(app, move |memory| answer(TaskJournal::unhold(memory, &key, &tasks))).await
    }

    async fn held(&self, app: &AppKey) -> Result<Vec<Held>, Error> {
        let key = app.clone();
        self.read(move |memory| answer(TaskJournal::held(memory, &key))).await
    }

    async fn note_attempts(&self, app: &AppKey, task: &TaskId, steps: &[AttemptStep]) -> Result<(), Error> {
        let (key, task, steps) = (app.clone(), task.clone(), steps.to_vec());
        self.write_tasks(app, move |memory| answer(TaskJournal::note_attempts(memory, &key, &task, &steps)))
            .await
    }

    async fn attempts(&self, app: &AppKey, task: &TaskId) -> Result<Vec<AttemptStep>, Error> {
        let (key, task) = (app.clone(), task.clone());
        self.read(move |memory| answer(TaskJournal::attempts(memory, &key, &task))).await
    }

    async fn pause(&self, app: &AppKey, pause: &Pause) -> Result<(), Error> {
        let (key, pause) = (app.clone(), pause.clone());
        self.write_tasks(app, move |memory| answer(TaskJournal::pause(memory, &key, &pause))).await
    }

    async fn resume(&self, app: &AppKey) -> Result<(), Error> {
        let key = app.clone();
        self.write_tasks(app, move |memory| answer(TaskJournal::resume(memory, &key))).await
    }

    async fn paused(&self, app: &AppKey) -> Result<Option<Pause>, Error> {
        let key = app.clone();
        self.read(move |memory| answer(TaskJournal::paused(memory, &key))).await
    }

    async fn prune(&self, app: &AppKey, before: Timestamp) -> Result<u64, Error> {
        let key = app.clone();
        self.write_tasks(app, move |memory| answer(TaskJournal::prune(memory, &key, before))).await
    }

    async fn doubted(&self, app: &AppKey) -> Result<Option<Doubt>, Error> {
        let key = app.clone();
        self.read(move |memory| answer(TaskJournal::doubted(memory, &key))).await
    }

    async fn settle_new(&self, app: &AppKey, synced_before: bool) -> Result<(), Error> {
        let key = app.clone();
        self.write_tasks(app, move |memory| answer(TaskJournal::settle_new(memory, &key, synced_before)))
            .await
    }

    async fn verify(&self) -> Result<(), Error> {
        self.check_owned().await
    }
}
