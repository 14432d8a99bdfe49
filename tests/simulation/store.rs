//! The journal and the listings, with an event before and after each call.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::sync::Arc;

use async_trait::async_trait;
use bridgehead::journal::{
    AccessBase, AccessFacts, Added, AppKey, AttemptStep, BaselineOrigin, Changes, Counts, Difference, Doubt,
    Entry, Error, Held, IdenTime, Intent, Known, LastSync, Losers, LossCount, LossKind, Outcome, Pause,
    RecordHash, ReportResult, Run, Shown, SnapshotStore, TaskJournal, Trust, Which,
};
use bridgehead_sdk::TaskId;
use jiff::Timestamp;

use crate::life::{Life, Writing};
use crate::state::Opened;

/// The state as one process uses it.
pub(crate) struct Store {
    pub(crate) life: Arc<Life>,
    pub(crate) state: Arc<Opened>,
}

impl Store {
    async fn call<T>(&self, name: &str, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let number = self.life.before(name).await;
        let writing =
            if WRITES.contains(&name) { self.life.events.writing(number) } else { Writing::Succeeds };
        let answer = match writing {
            Writing::Succeeds => self.state.answer(work).await,
            Writing::Fails => Err(full()),
            Writing::LosesItsResponse => self.state.answer(work).await.and_then(|_| Err(full())),
        };
        self.life.after(number).await;
        answer
    }
}

/// The calls that write.
pub(crate) const WRITES: [&str; 30] = [
    "intent",
    "not_applied",
    "record_outcome",
    "ended",
    "forget",
    "hold",
    "release",
    "unhold",
    "note_attempts",
    "pause",
    "resume",
    "prune",
    "settle_new",
    "begin",
    "begin_dry_run",
    "discard",
    "add",
    "set",
    "unset",
    "prepare_commit",
    "commit",
    "retain",
    "note_created",
    "note_deleted",
    "note_changed",
    "forgive_removals",
    "set_past",
    "set_iden_time",
    "set_shown",
    "record_run",
];

fn full() -> Error {
    Error::Full { path: "state/tasks.db".into() }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Store")
    }
}

#[async_trait]
impl TaskJournal for Store {
    async fn intent(&self, app: &AppKey, intent: &Intent) -> Result<(), Error> {
        self.call("intent", TaskJournal::intent(&*self.state.journal, app, intent)).await
    }

    async fn not_applied(&self, app: &AppKey, task: &TaskId) -> Result<(), Error> {
        self.call("not_applied", TaskJournal::not_applied(&*self.state.journal, app, task)).await
    }

    async fn record_outcome(&self, app: &AppKey, identity: &Intent, outcome: &Outcome) -> Result<(), Error> {
        self.call("record_outcome", TaskJournal::record_outcome(&*self.state.journal, app, identity, outcome))
            .await
    }

    async fn ended(
        &self,
        app: &AppKey,
        task: &TaskId,
        ended: &ReportResult,
        at: Timestamp,
    ) -> Result<(), Error> {
        self.call("ended", TaskJournal::ended(&*self.state.journal, app, task, ended, at)).await
    }

    async fn forget(&self, app: &AppKey, task: &TaskId) -> Result<(), Error> {
        self.call("forget", TaskJournal::forget(&*self.state.journal, app, task)).await
    }

    async fn open(&self, app: &AppKey) -> Result<Vec<Entry>, Error> {
        self.call("open", TaskJournal::open(&*self.state.journal, app)).await
    }

    async fn entry(&self, app: &AppKey, task: &TaskId) -> Result<Option<Entry>, Error> {
        self.call("entry", TaskJournal::entry(&*self.state.journal, app, task)).await
    }

    async fn known(&self, app: &AppKey, tasks: &[TaskId]) -> Result<HashMap<TaskId, Known>, Error> {
        self.call("known", TaskJournal::known(&*self.state.journal, app, tasks)).await
    }

    async fn rejected(&self, app: &AppKey) -> Result<Vec<Entry>, Error> {
        self.call("rejected", TaskJournal::rejected(&*self.state.journal, app)).await
    }

    async fn counts(&self, app: &AppKey) -> Result<Counts, Error> {
        self.call("counts", TaskJournal::counts(&*self.state.journal, app)).await
    }

    async fn destructive_since(&self, app: &AppKey, since: Timestamp) -> Result<Vec<Timestamp>, Error> {
        self.call("destructive_since", TaskJournal::destructive_since(&*self.state.journal, app, since)).await
    }

    async fn hold(&self, app: &AppKey, tasks: &[TaskId], at: Timestamp) -> Result<(), Error> {
        self.call("hold", TaskJournal::hold(&*self.state.journal, app, tasks, at)).await
    }

    async fn release(&self, app: &AppKey, tasks: &[TaskId], at: Timestamp) -> Result<(), Error> {
        self.call("release", TaskJournal::release(&*self.state.journal, app, tasks, at)).await
    }

    async fn unhold(&self, app: &AppKey, tasks: &[TaskId]) -> Result<(), Error> {
        self.call("unhold", TaskJournal::unhold(&*self.state.journal, app, tasks)).await
    }

    async fn held(&self, app: &AppKey) -> Result<Vec<Held>, Error> {
        self.call("held", TaskJournal::held(&*self.state.journal, app)).await
    }

    async fn note_attempts(&self, app: &AppKey, task: &TaskId, steps: &[AttemptStep]) -> Result<(), Error> {
        self.call("note_attempts", TaskJournal::note_attempts(&*self.state.journal, app, task, steps)).await
    }

    async fn attempts(&self, app: &AppKey, task: &TaskId) -> Result<Vec<AttemptStep>, Error> {
        self.call("attempts", TaskJournal::attempts(&*self.state.journal, app, task)).await
    }

    async fn pause(&self, app: &AppKey, pause: &Pause) -> Result<(), Error> {
        self.call("pause", TaskJournal::pause(&*self.state.journal, app, pause)).await
    }

    async fn resume(&self, app: &AppKey) -> Result<(), Error> {
        self.call("resume", TaskJournal::resume(&*self.state.journal, app)).await
    }

    async fn paused(&self, app: &AppKey) -> Result<Option<Pause>, Error> {
        self.call("paused", TaskJournal::paused(&*self.state.journal, app)).await
    }

    async fn prune(&self, app: &AppKey, before: Timestamp) -> Result<u64, Error> {
        self.call("prune", TaskJournal::prune(&*self.state.journal, app, before)).await
    }

    async fn doubted(&self, app: &AppKey) -> Result<Option<Doubt>, Error> {
        self.call("doubted", TaskJournal::doubted(&*self.state.journal, app)).await
    }

    async fn settle_new(&self, app: &AppKey, synced_before: bool) -> Result<(), Error> {
        self.call("settle_new", TaskJournal::settle_new(&*self.state.journal, app, synced_before)).await
    }

    async fn verify(&self) -> Result<(), Error> {
        self.call("verify", TaskJournal::verify(&*self.state.journal)).await
    }
}

#[async_trait]
impl SnapshotStore for Store {
    async fn begin(&self, app: &AppKey) -> Result<(), Error> {
        self.call("begin", SnapshotStore::begin(&*self.state.snapshots, app)).await
    }

    async fn begin_dry_run(&self, app: &AppKey) -> Result<(), Error> {
        self.call("begin_dry_run", SnapshotStore::begin_dry_run(&*self.state.snapshots, app)).await
    }

    async fn discard(&self, app: &AppKey) -> Result<(), Error> {
        self.call("discard", SnapshotStore::discard(&*self.state.snapshots, app)).await
    }

    async fn add(&self, app: &AppKey, slug: &str, records: &[RecordHash]) -> Result<Added, Error> {
        self.call("add", SnapshotStore::add(&*self.state.snapshots, app, slug, records)).await
    }

    async fn set(&self, app: &AppKey, slug: &str, seen: &RecordHash) -> Result<(), Error> {
        self.call("set", SnapshotStore::set(&*self.state.snapshots, app, slug, seen)).await
    }

    async fn unset(&self, app: &AppKey, slug: &str, id: &str) -> Result<(), Error> {
        self.call("unset", SnapshotStore::unset(&*self.state.snapshots, app, slug, id)).await
    }

    async fn missing(&self, app: &AppKey, slug: &str, ids: &[&str]) -> Result<Vec<String>, Error> {
        self.call("missing", SnapshotStore::missing(&*self.state.snapshots, app, slug, ids)).await
    }

    async fn seen_count(&self, app: &AppKey, slug: &str) -> Result<u64, Error> {
        self.call("seen_count", SnapshotStore::seen_count(&*self.state.snapshots, app, slug)).await
    }

    async fn difference(&self, app: &AppKey, slug: &str) -> Result<Difference, Error> {
        self.call("difference", SnapshotStore::difference(&*self.state.snapshots, app, slug)).await
    }

    async fn ids(
        &self,
        app: &AppKey,
        slug: &str,
        which: Which,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<String>, Error> {
        self.call("ids", SnapshotStore::ids(&*self.state.snapshots, app, slug, which, after, limit)).await
    }

    async fn losers(&self, app: &AppKey, slug: &str, after: Option<&str>) -> Result<Losers, Error> {
        self.call("losers", SnapshotStore::losers(&*self.state.snapshots, app, slug, after)).await
    }

    async fn access_base(&self, app: &AppKey, slug: &str) -> Result<AccessBase, Error> {
        self.call("access_base", SnapshotStore::access_base(&*self.state.snapshots, app, slug)).await
    }

    async fn prepare_commit(&self, app: &AppKey, at: Timestamp, losses: &[LossCount]) -> Result<(), Error> {
        self.call("prepare_commit", SnapshotStore::prepare_commit(&*self.state.snapshots, app, at, losses))
            .await
    }

    async fn commit(&self, app: &AppKey, at: Timestamp) -> Result<(), Error> {
        self.call("commit", SnapshotStore::commit(&*self.state.snapshots, app, at)).await
    }

    async fn retain(&self, app: &AppKey, belief: Trust) -> Result<(), Error> {
        self.call("retain", SnapshotStore::retain(&*self.state.snapshots, app, belief)).await
    }

    async fn note_created(
        &self,
        app: &AppKey,
        slug: &str,
        id: &str,
        access: Option<&AccessFacts>,
    ) -> Result<(), Error> {
        self.call("note_created", SnapshotStore::note_created(&*self.state.snapshots, app, slug, id, access))
            .await
    }

    async fn note_deleted(&self, app: &AppKey, slug: &str, id: &str) -> Result<(), Error> {
        self.call("note_deleted", SnapshotStore::note_deleted(&*self.state.snapshots, app, slug, id)).await
    }

    async fn note_changed(&self, app: &AppKey, slug: &str, id: &str, changes: Changes) -> Result<(), Error> {
        self.call("note_changed", SnapshotStore::note_changed(&*self.state.snapshots, app, slug, id, changes))
            .await
    }

    async fn known_slugs(&self, app: &AppKey) -> Result<Vec<String>, Error> {
        self.call("known_slugs", SnapshotStore::known_slugs(&*self.state.snapshots, app)).await
    }

    async fn removals_since(&self, app: &AppKey, slug: &str, since: Timestamp) -> Result<u64, Error> {
        self.call("removals_since", SnapshotStore::removals_since(&*self.state.snapshots, app, slug, since))
            .await
    }

    async fn losses_since(
        &self,
        app: &AppKey,
        slug: &str,
        kind: LossKind,
        since: Timestamp,
    ) -> Result<u64, Error> {
        self.call("losses_since", SnapshotStore::losses_since(&*self.state.snapshots, app, slug, kind, since))
            .await
    }

    async fn forgive_removals(&self, app: &AppKey) -> Result<(), Error> {
        self.call("forgive_removals", SnapshotStore::forgive_removals(&*self.state.snapshots, app)).await
    }

    async fn last(&self, app: &AppKey) -> Result<Option<LastSync>, Error> {
        self.call("last", SnapshotStore::last(&*self.state.snapshots, app)).await
    }

    async fn past(&self, app: &AppKey) -> Result<Option<BaselineOrigin>, Error> {
        self.call("past", SnapshotStore::past(&*self.state.snapshots, app)).await
    }

    async fn set_past(&self, app: &AppKey, past: BaselineOrigin) -> Result<(), Error> {
        self.call("set_past", SnapshotStore::set_past(&*self.state.snapshots, app, past)).await
    }

    async fn iden_time(&self, app: &AppKey) -> Result<IdenTime, Error> {
        self.call("iden_time", SnapshotStore::iden_time(&*self.state.snapshots, app)).await
    }

    async fn set_iden_time(&self, app: &AppKey, synced_at: Timestamp) -> Result<(), Error> {
        self.call("set_iden_time", SnapshotStore::set_iden_time(&*self.state.snapshots, app, synced_at)).await
    }

    async fn shown(&self, app: &AppKey) -> Result<Option<Shown>, Error> {
        self.call("shown", SnapshotStore::shown(&*self.state.snapshots, app)).await
    }

    async fn set_shown(&self, app: &AppKey, shown: Shown) -> Result<(), Error> {
        self.call("set_shown", SnapshotStore::set_shown(&*self.state.snapshots, app, shown)).await
    }

    async fn was_interrupted(&self, app: &AppKey) -> Result<bool, Error> {
        self.call("was_interrupted", SnapshotStore::was_interrupted(&*self.state.snapshots, app)).await
    }

    async fn record_run(&self, app: &AppKey, run: &Run) -> Result<(), Error> {
        self.call("record_run", SnapshotStore::record_run(&*self.state.snapshots, app, run)).await
    }

    async fn runs(&self, app: &AppKey, limit: u32) -> Result<Vec<Run>, Error> {
        self.call("runs", SnapshotStore::runs(&*self.state.snapshots, app, limit)).await
    }
}
