//! Snapshots.

use async_trait::async_trait;
use jiff::Timestamp;

use super::super::{
    AccessBase, AccessFacts, Added, AppKey, BaselineOrigin, Changes, Difference, Error, IdenTime, LastSync,
    Losers, LossCount, LossKind, RecordHash, Run, Shown, SnapshotStore, Trust, Which,
};
use super::Memory;
use super::compared::Compared;
use super::instant::kept;

impl Memory {
    /// Reads both snapshots of a type, if a snapshot of the app is in progress.
    fn compared<T>(
        &self,
        app: &AppKey,
        slug: &str,
        look: impl FnOnce(Compared<'_>) -> T,
    ) -> Result<T, Error> {
        self.look(app, |found| found.syncs.compared(app, slug).map(look))?
    }
}

#[async_trait]
impl SnapshotStore for Memory {
    async fn begin(&self, app: &AppKey) -> Result<(), Error> {
        self.change(app, |app| app.syncs.begin(false))
    }

    async fn begin_dry_run(&self, app: &AppKey) -> Result<(), Error> {
        self.change(app, |app| app.syncs.begin(true))
    }

    async fn discard(&self, app: &AppKey) -> Result<(), Error> {
        self.change(app, |app| app.syncs.discard())
    }

    async fn add(&self, app: &AppKey, slug: &str, records: &[RecordHash]) -> Result<Added, Error> {
        self.change(app, |found| found.syncs.add(app, slug, records))?
    }

    async fn set(&self, app: &AppKey, slug: &str, seen: &RecordHash) -> Result<(), Error> {
        self.change(app, |found| found.syncs.set(app, slug, seen))?
    }

    async fn unset(&self, app: &AppKey, slug: &str, id: &str) -> Result<(), Error> {
        self.change(app, |found| found.syncs.unset(app, slug, id))?
    }

    async fn missing(&self, app: &AppKey, slug: &str, ids: &[&str]) -> Result<Vec<String>, Error> {
        self.compared(app, slug, |compared| {
            let missing = ids.iter().filter(|id| !compared.present.contains_key(**id));
            missing.map(|id| (*id).to_owned()).collect()
        })
    }

    async fn seen_count(&self, app: &AppKey, slug: &str) -> Result<u64, Error> {
        self.compared(app, slug, |compared| compared.present.len() as u64)
    }

    async fn difference(&self, app: &AppKey, slug: &str) -> Result<Difference, Error> {
        self.compared(app, slug, |compared| compared.difference())
    }

    async fn ids(
        &self,
        app: &AppKey,
        slug: &str,
        which: Which,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<String>, Error> {
        self.compared(app, slug, |compared| compared.ids(which, after, limit))
    }

    async fn losers(&self, app: &AppKey, slug: &str, after: Option<&str>) -> Result<Losers, Error> {
        self.compared(app, slug, |compared| compared.losers(after))
    }

    async fn access_base(&self, app: &AppKey, slug: &str) -> Result<AccessBase, Error> {
        self.compared(app, slug, |compared| compared.access_base())
    }

    async fn prepare_commit(&self, app: &AppKey, at: Timestamp, losses: &[LossCount]) -> Result<(), Error> {
        self.change(app, |found| found.syncs.prepare_commit(app, at, losses))?
    }

    async fn commit(&self, app: &AppKey, at: Timestamp) -> Result<(), Error> {
        self.change(app, |found| found.syncs.commit(app, at))?
    }

    async fn retain(&self, app: &AppKey, belief: Trust) -> Result<(), Error> {
        self.change(app, |found| found.syncs.retain(app, belief))?
    }

    async fn note_created(
        &self,
        app: &AppKey,
        slug: &str,
        id: &str,
        access: Option<&AccessFacts>,
    ) -> Result<(), Error> {
        self.change(app, |app| app.syncs.note_created(slug, id, access))
    }

    async fn note_deleted(&self, app: &AppKey, slug: &str, id: &str) -> Result<(), Error> {
        self.change(app, |app| app.syncs.note_deleted(slug, id))
    }

    async fn note_changed(&self, app: &AppKey, slug: &str, id: &str, changes: Changes) -> Result<(), Error> {
        self.change(app, |app| app.syncs.note_changed(slug, id, &changes))
    }

    async fn known_slugs(&self, app: &AppKey) -> Result<Vec<String>, Error> {
        self.look(app, |app| app.syncs.known_slugs())
    }

    async fn removals_since(&self, app: &AppKey, slug: &str, since: Timestamp) -> Result<u64, Error> {
        self.losses_since(app, slug, LossKind::Removed, since).await
    }

    async fn losses_since(
        &self,
        app: &AppKey,
        slug: &str,
        kind: LossKind,
        since: Timestamp,
    ) -> Result<u64, Error> {
        self.look(app, |app| app.syncs.losses_since(slug, kind, since))
    }

    async fn forgive_removals(&self, app: &AppKey) -> Result<(), Error> {
        self.change(app, |app| app.syncs.forgive_removals())
    }

    async fn last(&self, app: &AppKey) -> Result<Option<LastSync>, Error> {
        self.look(app, |app| app.syncs.last())
    }

    async fn past(&self, app: &AppKey) -> Result<Option<BaselineOrigin>, Error> {
        self.look(app, |app| app.syncs.past)
    }

    async fn set_past(&self, app: &AppKey, past: BaselineOrigin) -> Result<(), Error> {
        self.change(app, |app| app.syncs.past = Some(past))
    }

    async fn iden_time(&self, app: &AppKey) -> Result<IdenTime, Error> {
        self.look(app, |app| app.syncs.iden)
    }

    async fn set_iden_time(&self, app: &AppKey, synced_at: Timestamp) -> Result<(), Error> {
        let known = IdenTime { synced_at: Some(kept(synced_at)), pending_since: None };
        self.change(app, |app| app.syncs.iden = known)
    }

    async fn shown(&self, app: &AppKey) -> Result<Option<Shown>, Error> {
        self.look(app, |app| app.syncs.shown)
    }

    async fn set_shown(&self, app: &AppKey, shown: Shown) -> Result<(), Error> {
        self.change(app, |app| app.syncs.shown = Some(shown))
    }

    async fn was_interrupted(&self, app: &AppKey) -> Result<bool, Error> {
        self.look(app, |app| app.syncs.is_unrecorded)
    }

    async fn record_run(&self, app: &AppKey, run: &Run) -> Result<(), Error> {
        self.whole(|data| {
            data.runs_ever += 1;
            let id = data.runs_ever;
            data.apps.entry(app.clone()).or_default().syncs.record_run(run, id);
        })
    }

    async fn runs(&self, app: &AppKey, limit: u32) -> Result<Vec<Run>, Error> {
        self.look(app, |app| app.syncs.runs(limit))
    }
}
