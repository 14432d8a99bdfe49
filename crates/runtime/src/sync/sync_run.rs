//! Leads one sync from its beginning to its end.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use bridgehead_sdk::{ResourceKind, ResourceType};
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::baseline::Baseline;
use super::consent::Asked;
use super::export::Take;
use super::ingest::Bad;
use super::losses::Losses;
use super::push::PushCounts;
use super::summary::Invalid;
use super::{Consent, Error, HeldReason, Options, Summary, TypeSummary, close, session};
use crate::app::AppContext;
use crate::change_tracker::Session;
use crate::proof::CompletionPermit;
use crate::status::SyncProgress;
use bridgehead_bridge::{Operation, Registration, SyncId};
use bridgehead_config::OnInvalid;
use bridgehead_store::Shown;

/// While tasks touch more accounts than this, it is caught up with them before they are made to wait.
const FEW: usize = 50;
/// So often at most: tasks may come faster than they can be caught up with.
const ROUNDS: usize = 5;

/// Runs one sync of one app. Never fails as such: the summary says how it ended.
pub(crate) async fn run(app: &Arc<AppContext>, options: Options, stop: &CancellationToken) -> Summary {
    let started_at = app.clock.now();
    app.status.sync_progress(|progress| {
        *progress =
            SyncProgress { phase: "starting".into(), began_at: Some(started_at), ..SyncProgress::default() };
    });
    let touched = app.activity.begin();
    let mut sync = SyncRun::new(app, options, &touched);
    let result = match sync.perform(stop).await {
        Err(Error::ShuttingDown) if app.cancelling.is_cancelled() => Err(Error::Cancelled),
        result => result,
    };
    close::run(sync, result, started_at).await
}

/// One sync that is under way.
pub(super) struct SyncRun<'a> {
    pub(super) app: &'a Arc<AppContext>,
    pub(super) options: Options,
    pub(super) touched: &'a Session<'a>,
    /// Groups, licences, accounts, in this order.
    pub(super) types: Vec<ResourceType>,
    /// What each slug stands for.
    pub(super) kinds: BTreeMap<String, ResourceKind>,
    pub(super) session: Option<SyncId>,
    /// Whether there ever was one: then Iden may hold something of it.
    pub(super) has_begun: bool,
    pub(super) baseline: Baseline,
    pub(super) stage: ReadState,
    pub(super) invalid: Invalid,
    /// What became of the pages.
    pub(super) tallies: PushCounts,
    /// References that were in no listing even at the second look: they are not looked for a third time.
    pub(super) dangling: BTreeMap<String, BTreeSet<String>>,
    /// Groups and licences that Iden refused, as hashes: it is not asked again when their type is listed once more.
    pub(super) refused: HashSet<u64>,
    pub(super) figures: BTreeMap<String, TypeSummary>,
    pub(super) removals: BTreeMap<String, Vec<String>>,
    /// Records that only held listings had, and that go without being counted.
    pub(super) doubted: BTreeMap<String, u64>,
    /// The bad records that were read, by type.
    pub(super) bad: BTreeMap<String, Bad>,
    /// What showed that each listing was read to its end.
    pub(super) evidence: BTreeMap<String, String>,
    /// The types of which nothing did.
    pub(super) unproven: BTreeSet<String>,
    /// What completing would take away, once it has been measured.
    pub(super) losses: Option<Arc<Losses>>,
    /// What the operator had been shown before.
    pub(super) shown: Option<Shown>,
    /// What the operator is asked to allow.
    pub(super) asked: Option<Asked>,
    pub(super) held_because: Vec<HeldReason>,
    /// Whether the operator has allowed what would have been held.
    pub(super) has_consent: bool,
    /// When Iden said, before this sync, that the app was last synced.
    pub(super) synced_before: Option<Timestamp>,
    /// Whether the answers to the pages show that Iden held nothing but what syncs of this state have pushed.
    pub(super) is_past_shown: bool,
    /// Takes what a dry run would have pushed.
    pub(super) take: Option<Take>,
}

/// How far the listing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum ReadState {
    /// It has not begun: what the journal calls the present listing is that of an earlier sync.
    Before,
    /// It has begun. Who is not in it yet may still come.
    Reading,
    /// Every type was read to its end: who is not in it is not in the target.
    Whole,
    /// Iden has taken `complete`.
    Completed,
}

impl<'a> SyncRun<'a> {
    pub(super) fn new(app: &'a Arc<AppContext>, options: Options, touched: &'a Session<'a>) -> Self {
        Self {
            app,
            options,
            touched,
            types: Vec::new(),
            kinds: BTreeMap::new(),
            session: None,
            has_begun: false,
            baseline: Baseline::First,
            stage: ReadState::Before,
            invalid: Invalid::default(),
            tallies: PushCounts::default(),
            dangling: BTreeMap::new(),
            refused: HashSet::new(),
            figures: BTreeMap::new(),
            removals: BTreeMap::new(),
            doubted: BTreeMap::new(),
            bad: BTreeMap::new(),
            evidence: BTreeMap::new(),
            unproven: BTreeSet::new(),
            losses: None,
            shown: None,
            asked: None,
            held_because: Vec::new(),
            has_consent: false,
            synced_before: None,
            is_past_shown: false,
            take: None,
        }
    }

    async fn perform(&mut self, stop: &CancellationToken) -> Result<(), Error> {
        let permit = tokio::select! {
            biased;
            ready = self.make_ready() => ready?,
            () = stop.cancelled() => return Err(Error::ShuttingDown),
        };
        if self.options.dry_run {
            return Ok(());
        }
        let session = self.session().await?;
        self.phase("completing");
        // What completing leaves must be known after a crash too, or the next sync would be guarded by what was before.
        let losses = self.losses.as_deref().map(Losses::of_those_left).unwrap_or_default();
        self.app.listings.prepare_commit(&self.app.key, self.app.clock.now(), &losses).await?;
        let completed = session::complete(&permit, self.app, &session, stop).await;
        if !matches!(completed, Ok(()) | Err(Error::Unheard(_))) {
            return completed;
        }
        // From here on the session is Iden's: it cannot be abandoned any more.
        self.session = None;
        self.stage = ReadState::Completed;
        self.app.listings.commit(&self.app.key, self.app.clock.now()).await?;
        if self.has_consent {
            // The operator has judged them; a leaver of tomorrow shall not be held because of them.
            self.app.listings.forgive_removals(&self.app.key).await?;
        }
        completed?;
        drop(permit);
        self.phase("waiting for the clean-up");
        tokio::select! {
            biased;
            watched = session::await_cleanup(self.app, &session) => watched?,
            () = stop.cancelled() => return Err(Error::Unwatched),
        }
        tokio::select! {
            biased;
            learned = self.learn_iden_time() => learned,
            // The next sync asks.
            () = stop.cancelled() => Ok(()),
        }
    }

    /// Everything up to `complete`: reads, pushes, catches up, and makes sure that completing does no harm. No task
    /// changes the target while the guard lives.
    async fn make_ready(&mut self) -> Result<CompletionPermit<'a>, Error> {
        self.shown = self.app.listings.shown(&self.app.key).await?;
        if self.options.allow_removals == Some(Consent::Shown) && self.shown.is_none() {
            return Err(Error::NothingShown { app: self.app.name.clone() });
        }
        self.prepare().await?;
        self.determine_baseline().await?;
        if self.options.dry_run {
            self.app.listings.begin_dry_run(&self.app.key).await?;
        } else {
            self.app.listings.begin(&self.app.key).await?;
        }
        self.stage = ReadState::Reading;
        for of in self.types.clone() {
            self.sync_type(&of).await?;
        }
        self.stage = ReadState::Whole;
        // Most of what tasks did is caught up with while they go on; only the rest while they stand still.
        for _ in 0..ROUNDS {
            self.reconcile().await?;
            if self.touched.count_touched() <= FEW {
                break;
            }
        }
        let quiet = self.touched.quiesce().await;
        self.reconcile().await?;
        self.count_changes().await?;
        if self.invalid.count > 0 && self.app.settings.sync.on_invalid == OnInvalid::Abandon {
            return Err(Error::Invalid { count: self.invalid.count, dry_run: self.options.dry_run });
        }
        if !self.options.dry_run {
            self.session().await?;
            session::verify(self).await?;
        }
        self.guard(quiet).await
    }

    pub(super) fn phase(&self, phase: &str) {
        self.app.status.sync_progress(|progress| phase.clone_into(&mut progress.phase));
    }

    /// Learns the resource types, and makes sure that Iden knows them.
    pub(super) async fn prepare(&mut self) -> Result<(), Error> {
        let description =
            self.app.target.describe_anew().await.map_err(|error| {
                Error::Undescribed(self.app.redactor.redact(error.message()).into_owned())
            })?;
        self.types.clone_from(&description.resource_types);
        self.types.sort_by_key(|of| of.kind);
        self.kinds = self.types.iter().map(|of| (of.slug.to_string(), of.kind)).collect();
        if self.options.dry_run {
            return Ok(());
        }
        let app = self.app;
        if app.settings.register_resource_types {
            for of in &self.types {
                let registration = app
                    .upstream
                    .ask(Operation::RegisterResourceType, |bridge| bridge.register_resource_type(app.id, of));
                let registration =
                    registration.await.map_err(Error::bridge("registering a resource type"))?;
                if registration == Registration::Existed {
                    tracing::debug!(app = %app.name, resource_type = %of.slug, "was registered already");
                }
            }
            return Ok(());
        }
        let known =
            app.upstream.ask(Operation::ListResourceTypes, |bridge| bridge.list_resource_types(app.id));
        let known = known.await.map_err(Error::bridge("listing the resource types"))?;
        match self.types.iter().find(|of| !known.iter().any(|known| known.slug == of.slug)) {
            Some(of) => Err(Error::Unregistered(of.slug.to_string())),
            None => Ok(()),
        }
    }

    /// The session, begun at the first need: a target that cannot be read cancels nobody's session.
    pub(super) async fn session(&mut self) -> Result<SyncId, Error> {
        if let Some(session) = &self.session {
            return Ok(session.clone());
        }
        self.has_begun = true;
        let session = session::start(self.app).await?;
        Ok(self.session.insert(session).clone())
    }
}
