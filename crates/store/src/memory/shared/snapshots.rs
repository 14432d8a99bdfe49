//! Snapshots and statistics: each call of a process is a request to [`Memory`](super::super::Memory) in the database.

use async_trait::async_trait;
use jiff::Timestamp;

use super::super::super::{
    AccessBase, AccessFacts, Added, AppKey, BaselineOrigin, Changes, Difference, Error, HistoryStore, Hour,
    IdenTime, LastSync, Losers, LossCount, LossKind, RecordHash, RecordedRun, Run, Shown, SnapshotStore,
    Trust, Which,
};
use super::node::{Node, answer};

#[async_trait]
impl SnapshotStore for Node {
    async fn begin(&self, app: &AppKey) -> Result<(), Error> {
        let key = app.clone();
        self.write_listings(app, move |memory| answer(SnapshotStore::begin(memory, &key))).await
    }

    async fn begin_dry_run(&self, app: &AppKey) -> Result<(), Error> {
        let key = app.clone();
        self.write_listings(app, move |memory| answer(SnapshotStore::begin_dry_run(memory, &key))).await
    }

    async fn discard(&self, app: &AppKey) -> Result<(), Error> {
        let key = app.clone();
        self.write_listings(app, move |memory| answer(SnapshotStore::discard(memory, &key))).await
    }

    async fn add(&self, app: &AppKey, slug: &str, records: &[RecordHash]) -> Result<Added, Error> {
        let (key, slug, records) = (app.clone(), slug.to_owned(), records.to_vec());
        self.write_listings(app, move |memory| answer(SnapshotStore::add(memory, &key, &slug, &records)))
            .await
    }

    async fn set(&self, app: &AppKey, slug: &str, seen: &RecordHash) -> Result<(), Error> {
        let (key, slug, seen) = (app.clone(), slug.to_owned(), seen.clone());
        self.write_listings(app, move |memory| answer(SnapshotStore::set(memory, &key, &slug, &seen))).await
    }

    async fn unset(&self, app: &AppKey, slug: &str, id: &str) -> Result<(), Error> {
        let (key, slug, id) = (app.clone(), slug.to_owned(), id.to_owned());
        self.write_listings(app, move |memory| answer(SnapshotStore::unset(memory, &key, &slug, &id))).await
    }

    async fn missing(&self, app: &AppKey, slug: &str, ids: &[&str]) -> Result<Vec<String>, Error> {
        let (key, slug, ids) =
            (app.clone(), slug.to_owned(), ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>());
        self.read(move |memory| {
            answer(SnapshotStore::missing(
                memory,
                &key,
                &slug,
                &ids.iter().map(String::as_str).collect::<Vec<_>>(),
            ))
        })
        .await
    }

    async fn seen_count(&self, app: &AppKey, slug: &str) -> Result<u64, Error> {
        let (key, slug) = (app.clone(), slug.to_owned());
        self.read(move |memory| answer(SnapshotStore::seen_count(memory, &key, &slug))).await
    }

    async fn difference(&self, app: &AppKey, slug: &str) -> Result<Difference, Error> {
        let (key, slug) = (app.clone(), slug.to_owned());
        self.read(move |memory| answer(SnapshotStore::difference(memory, &key, &slug))).await
    }

    async fn ids(
        &self,
        app: &AppKey,
        slug: &str,
        which: Which,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<String>, Error> {
        let (key, slug, after) = (app.clone(), slug.to_owned(), after.map(str::to_owned));
        self.read(move |memory| {
            answer(SnapshotStore::ids(memory, &key, &slug, which, after.as_deref(), limit))
        })
        .await
    }

    async fn losers(&self, app: &AppKey, slug: &str, after: Option<&str>) -> Result<Losers, Error> {
        let (key, slug, after) = (app.clone(), slug.to_owned(), after.map(str::to_owned));
        self.read(move |memory| answer(SnapshotStore::losers(memory, &key, &slug, after.as_deref()))).await
    }

    async fn access_base(&self, app: &AppKey, slug: &str) -> Result<AccessBase, Error> {
        let (key, slug) = (app.clone(), slug.to_owned());
        self.read(move |memory| answer(SnapshotStore::access_base(memory, &key, &slug))).await
    }

    async fn prepare_commit(&self, app: &AppKey, at: Timestamp, losses: &[LossCount]) -> Result<(), Error> {
        let (key, losses) = (app.clone(), losses.to_vec());
        self.write_listings(app, move |memory| {
            answer(SnapshotStore::prepare_commit(memory, &key, at, &losses))
        })
        .await
    }

    async fn commit(&self, app: &AppKey, at: Timestamp) -> Result<(), Error> {
        let key = app.clone();
        self.write_listings(app, move |memory| answer(SnapshotStore::commit(memory, &key, at))).await
    }

    async fn retain(&self, app: &AppKey, belief: Trust) -> Result<(), Error> {
        let key = app.clone();
        self.write_listings(app, move |memory| answer(SnapshotStore::retain(memory, &key, belief))).await
    }

    async fn note_created(
        &self,
        app: &AppKey,
        slug: &str,
        id: &str,
        access: Option<&AccessFacts>,
    ) -> Result<(), Error> {
        let (key, slug, id) = (app.clone(), slug.to_owned(), id.to_owned());
        let access = access.cloned();
        self.write_listings(app, move |memory| {
            answer(SnapshotStore::note_created(memory, &key, &slug, &id, access.as_ref()))
        })
        .await
    }

    async fn note_deleted(&self, app: &AppKey, slug: &str, id: &str) -> Result<(), Error> {
        let (key, slug, id) = (app.clone(), slug.to_owned(), id.to_owned());
        self.write_listings(app, move |memory| answer(SnapshotStore::note_deleted(memory, &key, &slug, &id)))
            .await
    }

    async fn note_changed(&self, app: &AppKey, slug: &str, id: &str, changes: Changes) -> Result<(), Error> {
        let (key, slug, id) = (app.clone(), slug.to_owned(), id.to_owned());
        self.write_listings(app, move |memory| {
            answer(SnapshotStore::note_changed(memory, &key, &slug, &id, changes))
        })
        .await
    }

    async fn known_slugs(&self, app: &AppKey) -> Result<Vec<String>, Error> {
        let key = app.clone();
        self.read(move |memory| answer(SnapshotStore::known_slugs(memory, &key))).await
    }

    async fn removals_since(&self, app: &AppKey, slug: &str, since: Timestamp) -> Result<u64, Error> {
        let (key, slug) = (app.clone(), slug.to_owned());
        self.read(move |memory| answer(SnapshotStore::removals_since(memory, &key, &slug, since))).await
    }

    async fn losses_since(
        &self,
        app: &AppKey,
        slug: &str,
        kind: LossKind,
        since: Timestamp,
    ) -> Result<u64, Error> {
        let (key, slug) = (app.clone(), slug.to_owned());
        self.read(move |memory| answer(SnapshotStore::losses_since(memory, &key, &slug, kind, since))).await
    }

    async fn forgive_removals(&self, app: &AppKey) -> Result<(), Error> {
        let key = app.clone();
        self.write_listings(app, move |memory| answer(SnapshotStore::forgive_removals(memory, &key))).await
    }

    async fn last(&self, app: &AppKey) -> Result<Option<LastSync>, Error> {
        let key = app.clone();
        self.read(move |memory| answer(SnapshotStore::last(memory, &key))).await
    }

    async fn past(&self, app: &AppKey) -> Result<Option<BaselineOrigin>, Error> {
        let key = app.clone();
        self.read(move |memory| answer(SnapshotStore::past(memory, &key))).await
    }

    async fn set_past(&self, app: &AppKey, past: BaselineOrigin) -> Result<(), Error> {
        let key = app.clone();
        self.write_listings(app, move |memory| answer(SnapshotStore::set_past(memory, &key, past))).await
    }

    async fn iden_time(&self, app: &AppKey) -> Result<IdenTime, Error> {
        let key = app.clone();
        self.read(move |memory| answer(SnapshotStore::iden_time(memory, &key))).await
    }

    async fn set_iden_time(&self, app: &AppKey, synced_at: Timestamp) -> Result<(), Error> {
        let key = app.clone();
        self.write_listings(app, move |memory| answer(SnapshotStore::set_iden_time(memory, &key, synced_at)))
            .await
    }

    async fn shown(&self, app: &AppKey) -> Result<Option<Shown>, Error> {
        let key = app.clone();
        self.read(move |memory| answer(SnapshotStore::shown(memory, &key))).await
    }

    async fn set_shown(&self, app: &AppKey, shown: Shown) -> Result<(), Error> {
        let key = app.clone();
        self.write_listings(app, move |memory| answer(SnapshotStore::set_shown(memory, &key, shown))).await
    }

    async fn was_interrupted(&self, app: &AppKey) -> Result<bool, Error> {
        let key = app.clone();
        self.read(move |memory| answer(SnapshotStore::was_interrupted(memory, &key))).await
    }

    async fn record_run(&self, app: &AppKey, run: &Run) -> Result<(), Error> {
        let (key, run) = (app.clone(), run.clone());
        self.write_listings(app, move |memory| answer(SnapshotStore::record_run(memory, &key, &run))).await
    }

    async fn runs(&self, app: &AppKey, limit: u32) -> Result<Vec<Run>, Error> {
        let key = app.clone();
        self.read(move |memory| answer(SnapshotStore::runs(memory, &key, limit))).await
    }
}

#[async_trait]
impl HistoryStore for Node {
    async fn set_hour(&self, app: &AppKey, hour: &Hour) -> Result<(), Error> {
        let (key, hour) = (app.clone(), hour.clone());
        self.write_listings(app, move |memory| answer(HistoryStore::set_hour(memory, &key, &hour))).await
    }

    async fn hours(&self, app: &AppKey, since: Timestamp) -> Result<Vec<Hour>, Error> {
        let key = app.clone();
        self.read(move |memory| answer(HistoryStore::hours(memory, &key, since))).await
    }

    async fn recorded_runs(&self, app: &AppKey) -> Result<Vec<RecordedRun>, Error> {
        let key = app.clone();
        self.read(move |memory| answer(HistoryStore::recorded_runs(memory, &key))).await
    }

    async fn recorded_run(&self, app: &AppKey, id: u64) -> Result<Option<RecordedRun>, Error> {
        let key = app.clone();
        self.read(move |memory| answer(HistoryStore::recorded_run(memory, &key, id))).await
    }
}
