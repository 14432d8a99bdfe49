//! The journal.

use std::collections::HashMap;

use async_trait::async_trait;
use bridgehead_sdk::TaskId;
use jiff::Timestamp;

use super::super::{
    AppKey, AttemptStep, Counts, Doubt, Entry, Error, Held, Intent, Known, Outcome, Pause, Reason,
    ReportResult, TaskJournal,
};
use super::Memory;
use super::instant::kept;

#[async_trait]
impl TaskJournal for Memory {
    async fn intent(&self, app: &AppKey, intent: &Intent) -> Result<(), Error> {
        self.change(app, |app| app.tasks.intent(intent))?
    }

    async fn not_applied(&self, app: &AppKey, task: &TaskId) -> Result<(), Error> {
        self.change(app, |app| app.tasks.not_applied(task))
    }

    async fn record_outcome(&self, app: &AppKey, identity: &Intent, outcome: &Outcome) -> Result<(), Error> {
        self.change(app, |app| app.tasks.record_outcome(identity, outcome))?
    }

    async fn ended(
        &self,
        app: &AppKey,
        task: &TaskId,
        ended: &ReportResult,
        at: Timestamp,
    ) -> Result<(), Error> {
        self.change(app, |app| app.tasks.ended(task, ended, at))?
    }

    async fn forget(&self, app: &AppKey, task: &TaskId) -> Result<(), Error> {
        self.change(app, |app| app.tasks.forget(task))?
    }

    async fn open(&self, app: &AppKey) -> Result<Vec<Entry>, Error> {
        self.look(app, |app| app.tasks.open())
    }

    async fn entry(&self, app: &AppKey, task: &TaskId) -> Result<Option<Entry>, Error> {
        self.look(app, |app| app.tasks.entry(task))
    }

    async fn known(&self, app: &AppKey, tasks: &[TaskId]) -> Result<HashMap<TaskId, Known>, Error> {
        self.look(app, |app| {
            let known = tasks.iter().filter_map(|task| Some((task.clone(), app.tasks.known(task)?)));
            known.collect()
        })
    }

    async fn rejected(&self, app: &AppKey) -> Result<Vec<Entry>, Error> {
        self.look(app, |app| app.tasks.rejected())
    }

    async fn counts(&self, app: &AppKey) -> Result<Counts, Error> {
        self.look(app, |app| app.tasks.counts())
    }

    async fn destructive_since(&self, app: &AppKey, since: Timestamp) -> Result<Vec<Timestamp>, Error> {
        self.look(app, |app| app.tasks.destructive_since(since))
    }

    async fn hold(&self, app: &AppKey, tasks: &[TaskId], at: Timestamp) -> Result<(), Error> {
        self.change(app, |app| app.tasks.holds.hold(tasks, at))
    }

    async fn release(&self, app: &AppKey, tasks: &[TaskId], at: Timestamp) -> Result<(), Error> {
        self.change(app, |app| app.tasks.holds.release(tasks, at))
    }

    async fn unhold(&self, app: &AppKey, tasks: &[TaskId]) -> Result<(), Error> {
        self.change(app, |app| app.tasks.holds.unhold(tasks))
    }

    async fn held(&self, app: &AppKey) -> Result<Vec<Held>, Error> {
        self.look(app, |app| app.tasks.holds.all())
    }

    async fn note_attempts(&self, app: &AppKey, task: &TaskId, steps: &[AttemptStep]) -> Result<(), Error> {
        self.change(app, |app| app.tasks.steps.add(task, steps))
    }

    async fn attempts(&self, app: &AppKey, task: &TaskId) -> Result<Vec<AttemptStep>, Error> {
        self.look(app, |app| app.tasks.steps.of(task))
    }

    async fn pause(&self, app: &AppKey, pause: &Pause) -> Result<(), Error> {
        let pause = Pause { since: kept(pause.since), ..pause.clone() };
        self.change(app, |app| app.pause = Some(pause))
    }

    async fn resume(&self, app: &AppKey) -> Result<(), Error> {
        self.change(app, |app| app.pause = None)
    }

    async fn paused(&self, app: &AppKey) -> Result<Option<Pause>, Error> {
        self.look(app, |app| app.pause.clone())
    }

    async fn prune(&self, app: &AppKey, before: Timestamp) -> Result<u64, Error> {
        self.whole(|data| {
            data.doubt.take_if(|doubt| doubt.until < kept(before));
            data.apps.get_mut(app).map_or(0, |app| app.tasks.prune(before))
        })
    }

    async fn doubted(&self, app: &AppKey) -> Result<Option<Doubt>, Error> {
        self.whole(|data| {
            let synced_before = data.apps.get(app).and_then(|app| app.tasks.synced_before);
            match synced_before {
                None => data.doubt.clone(),
                Some(false) => None,
                Some(true) => data.doubt.clone().map(|doubt| Doubt { reason: Reason::NewButSynced, ..doubt }),
            }
        })
    }

    async fn settle_new(&self, app: &AppKey, synced_before: bool) -> Result<(), Error> {
        self.change(app, |app| {
            app.tasks.synced_before.get_or_insert(synced_before);
        })
    }

    async fn verify(&self) -> Result<(), Error> {
        self.whole(|_| ())
    }
}
