//! The journal and the listings, with an event before and after each call.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::sync::Arc;

use async_trait::async_trait;
use bridgehead::journal::{
    AccessBase, Added, AppKey, Belief, Changes, Counts, Difference, Doubt, Ended, Entry, Error, Held,
    IdenTime, Intent, Journal, Known, LastSync, Listings, Losers, LossCount, LossKind, Outcome, Past, Run,
    Seen, Shown, Which,
};
use bridgehead_sdk::TaskId;
use jiff::Timestamp;

use crate::life::Life;
use crate::state::Opened;

/// The state as one life has it.
pub(crate) struct Store {
    pub(crate) life: Arc<Life>,
    pub(crate) state: Arc<Opened>,
}

impl Store {
    async fn call<T>(&self, name: &str, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let number = self.life.before(name).await;
        let answer = self.state.answer(work).await;
        self.life.after(number).await;
        answer
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Store")
    }
}

#[async_trait]
impl Journal for Store {
    async fn intent(&self, app: &AppKey, intent: &Intent) -> Result<(), Error> {
        self.call("intent", Journal::intent(&*self.state.journal, app, intent)).await
    }

    async fn not_applied(&self, app: &AppKey, task: &TaskId) -> Result<(), Error> {
        self.call("not_applied", Journal::not_applied(&*self.state.journal, app, task)).await
    }

    async fn decide(&self, app: &AppKey, identity: &Intent, outcome: &Outcome) -> Result<(), Error> {
        self.call("decide", Journal::decide(&*self.state.journal, app, identity, outcome)).await
    }

    async fn ended(&self, app: &AppKey, task: &TaskId, ended: &Ended, at: Timestamp) -> Result<(), Error> {
        self.call("ended", Journal::ended(&*self.state.journal, app, task, ended, at)).await
    }

    async fn forget(&self, app: &AppKey, task: &TaskId) -> Result<(), Error> {
        self.call("forget", Journal::forget(&*self.state.journal, app, task)).await
    }

    async fn open(&self, app: &AppKey) -> Result<Vec<Entry>, Error> {
        self.call("open", Journal::open(&*self.state.journal, app)).await
    }

    async fn entry(&self, app: &AppKey, task: &TaskId) -> Result<Option<Entry>, Error> {
        self.call("entry", Journal::entry(&*self.state.journal, app, task)).await
    }

    async fn known(&self, app: &AppKey, tasks: &[TaskId]) -> Result<HashMap<TaskId, Known>, Error> {
        self.call("known", Journal::known(&*self.state.journal, app, tasks)).await
    }

    async fn rejected(&self, app: &AppKey) -> Result<Vec<Entry>, Error> {
        self.call("rejected", Journal::rejected(&*self.state.journal, app)).await
    }

    async fn counts(&self, app: &AppKey) -> Result<Counts, Error> {
        self.call("counts", Journal::counts(&*self.state.journal, app)).await
    }

    async fn destructive_since(&self, app: &AppKey, since: Timestamp) -> Result<Vec<Timestamp>, Error> {
        self.call("destructive_since", Journal::destructive_since(&*self.state.journal, app, since)).await
    }

    async fn hold(&self, app: &AppKey, tasks: &[TaskId], at: Timestamp) -> Result<(), Error> {
        self.call("hold", Journal::hold(&*self.state.journal, app, tasks, at)).await
    }

    async fn release(&self, app: &AppKey, tasks: &[TaskId], at: Timestamp) -> Result<(), Error> {
        self.call("release", Journal::release(&*self.state.journal, app, tasks, at)).await
    }

    async fn unhold(&self, app: &AppKey, tasks: &[TaskId]) -> Result<(), Error> {
        self.call("unhold", Journal::unhold(&*self.state.journal, app, tasks)).await
    }

    async fn held(&self, app: &AppKey) -> Result<Vec<Held>, Error> {
        self.call("held", Journal::held(&*self.state.journal, app)).await
    }

    async fn prune(&self, app: &AppKey, before: Timestamp) -> Result<u64, Error> {
        self.call("prune", Journal::prune(&*self.state.journal, app, before)).await
    }

    async fn doubted(&self, app: &AppKey) -> Result<Option<Doubt>, Error> {
        self.call("doubted", Journal::doubted(&*self.state.journal, app)).await
    }

    async fn settle_new(&self, app: &AppKey, synced_before: bool) -> Result<(), Error> {
        self.call("settle_new", Journal::settle_new(&*self.state.journal, app, synced_before)).await
    }

    async fn verify(&self) -> Result<(), Error> {
        self.call("verify", Journal::verify(&*self.state.journal)).await
    }
}

#[async_trait]
impl Listings for Store {
    async fn begin(&self, app: &AppKey) -> Result<(), Error> {
        self.call("begin", Listings::begin(&*self.state.listings, app)).await
    }

    async fn begin_dry_run(&self, app: &AppKey) -> Result<(), Error> {
        self.call("begin_dry_run", Listings::begin_dry_run(&*self.state.listings, app)).await
    }

    async fn discard(&self, app: &AppKey) -> Result<(), Error> {
        self.call("discard", Listings::discard(&*self.state.listings, app)).await
    }

    async fn add(&self, app: &AppKey, slug: &str, records: &[Seen]) -> Result<Added, Error> {
        self.call("add", Listings::add(&*self.state.listings, app, slug, records)).await
    }

    async fn set(&self, app: &AppKey, slug: &str, seen: &Seen) -> Result<(), Error> {
        self.call("set", Listings::set(&*self.state.listings, app, slug, seen)).await
    }

    async fn unset(&self, app: &AppKey, slug: &str, id: &str) -> Result<(), Error> {
        self.call("unset", Listings::unset(&*self.state.listings, app, slug, id)).await
    }

    async fn missing(&self, app: &AppKey, slug: &str, ids: &[&str]) -> Result<Vec<String>, Error> {
        self.call("missing", Listings::missing(&*self.state.listings, app, slug, ids)).await
    }

    async fn seen_count(&self, app: &AppKey, slug: &str) -> Result<u64, Error> {
        self.call("seen_count", Listings::seen_count(&*self.state.listings, app, slug)).await
    }

    async fn difference(&self, app: &AppKey, slug: &str) -> Result<Difference, Error> {
        self.call("difference", Listings::difference(&*self.state.listings, app, slug)).await
    }

    async fn ids(
        &self,
        app: &AppKey,
        slug: &str,
        which: Which,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<String>, Error> {
        self.call("ids", Listings::ids(&*self.state.listings, app, slug, which, after, limit)).await
    }

    async fn losers(&self, app: &AppKey, slug: &str, after: Option<&str>) -> Result<Losers, Error> {
        self.call("losers", Listings::losers(&*self.state.listings, app, slug, after)).await
    }

    async fn access_base(&self, app: &AppKey, slug: &str) -> Result<AccessBase, Error> {
        self.call("access_base", Listings::access_base(&*self.state.listings, app, slug)).await
    }

    async fn completing(&self, app: &AppKey, at: Timestamp, losses: &[LossCount]) -> Result<(), Error> {
        self.call("completing", Listings::completing(&*self.state.listings, app, at, losses)).await
    }

    async fn promote(&self, app: &AppKey, at: Timestamp) -> Result<(), Error> {
        self.call("promote", Listings::promote(&*self.state.listings, app, at)).await
    }

    async fn keep(&self, app: &AppKey, belief: Belief) -> Result<(), Error> {
        self.call("keep", Listings::keep(&*self.state.listings, app, belief)).await
    }

    async fn note_created(&self, app: &AppKey, slug: &str, id: &str) -> Result<(), Error> {
        self.call("note_created", Listings::note_created(&*self.state.listings, app, slug, id)).await
    }

    async fn note_deleted(&self, app: &AppKey, slug: &str, id: &str) -> Result<(), Error> {
        self.call("note_deleted", Listings::note_deleted(&*self.state.listings, app, slug, id)).await
    }

    async fn note_changed(&self, app: &AppKey, slug: &str, id: &str, changes: Changes) -> Result<(), Error> {
        self.call("note_changed", Listings::note_changed(&*self.state.listings, app, slug, id, changes)).await
    }

    async fn known_slugs(&self, app: &AppKey) -> Result<Vec<String>, Error> {
        self.call("known_slugs", Listings::known_slugs(&*self.state.listings, app)).await
    }

    async fn removals_since(&self, app: &AppKey, slug: &str, since: Timestamp) -> Result<u64, Error> {
        self.call("removals_since", Listings::removals_since(&*self.state.listings, app, slug, since)).await
    }

    async fn losses_since(
        &self,
        app: &AppKey,
        slug: &str,
        kind: LossKind,
        since: Timestamp,
    ) -> Result<u64, Error> {
        self.call("losses_since", Listings::losses_since(&*self.state.listings, app, slug, kind, since)).await
    }

    async fn forgive_removals(&self, app: &AppKey) -> Result<(), Error> {
        self.call("forgive_removals", Listings::forgive_removals(&*self.state.listings, app)).await
    }

    async fn last(&self, app: &AppKey) -> Result<Option<LastSync>, Error> {
        self.call("last", Listings::last(&*self.state.listings, app)).await
    }

    async fn past(&self, app: &AppKey) -> Result<Option<Past>, Error> {
        self.call("past", Listings::past(&*self.state.listings, app)).await
    }

    async fn set_past(&self, app: &AppKey, past: Past) -> Result<(), Error> {
        self.call("set_past", Listings::set_past(&*self.state.listings, app, past)).await
    }

    async fn iden_time(&self, app: &AppKey) -> Result<IdenTime, Error> {
        self.call("iden_time", Listings::iden_time(&*self.state.listings, app)).await
    }

    async fn set_iden_time(&self, app: &AppKey, synced_at: Timestamp) -> Result<(), Error> {
        self.call("set_iden_time", Listings::set_iden_time(&*self.state.listings, app, synced_at)).await
    }

    async fn shown(&self, app: &AppKey) -> Result<Option<Shown>, Error> {
        self.call("shown", Listings::shown(&*self.state.listings, app)).await
    }

    async fn set_shown(&self, app: &AppKey, shown: Shown) -> Result<(), Error> {
        self.call("set_shown", Listings::set_shown(&*self.state.listings, app, shown)).await
    }

    async fn was_interrupted(&self, app: &AppKey) -> Result<bool, Error> {
        self.call("was_interrupted", Listings::was_interrupted(&*self.state.listings, app)).await
    }

    async fn record_run(&self, app: &AppKey, run: &Run) -> Result<(), Error> {
        self.call("record_run", Listings::record_run(&*self.state.listings, app, run)).await
    }

    async fn runs(&self, app: &AppKey, limit: u32) -> Result<Vec<Run>, Error> {
        self.call("runs", Listings::runs(&*self.state.listings, app, limit)).await
    }
}
