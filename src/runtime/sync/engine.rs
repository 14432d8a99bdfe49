//! Leads one sync from its beginning to its end.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use bridgehead_sdk::{Page, Record, ResourceType};
use tokio_util::sync::CancellationToken;
use xxhash_rust::xxh3::xxh3_64;

use super::push::Pusher;
use super::read::Listing;
use super::summary::Invalid;
use super::validate::{self, Problem};
use super::{Error, InvalidRecord, Options, Summary, TypeSummary, finish, guard};
use crate::bridge::{Registration, SyncId};
use crate::config::OnInvalid;
use crate::journal::{Run, RunResult, Seen, Which};
use crate::runtime::activity::Session;
use crate::runtime::app::App;
use crate::runtime::status::{LastSync, SyncProgress};

/// Accounts whose references are not known yet wait for a second look, so many at most.
const DEFERRED: usize = 1000;
/// So many identifiers of removed records are shown.
const SHOWN: u32 = 20;

/// Runs one sync of one app. Never fails as such: the summary says how it ended.
pub(crate) async fn run(app: &Arc<App>, options: Options, stop: &CancellationToken) -> Summary {
    let started_at = app.clock.now();
    app.status.sync_progress(|progress| {
        *progress =
            SyncProgress { phase: "starting".into(), began_at: Some(started_at), ..SyncProgress::default() };
    });
    let touched = app.activity.begin();
    let mut sync = Sync::new(app, options, &touched);
    let result = tokio::select! {
        result = sync.perform() => result,
        () = stop.cancelled() => Err(Error::Stopped),
    };
    if let (Err(error), Some(session)) = (&result, sync.session.take())
        && !matches!(error, Error::SessionLost { .. } | Error::CleanupFailed { .. })
    {
        finish::abandon(app, &session).await;
    }
    let summary = sync.summarise(&result).await;
    if !options.dry_run {
        record(app, &summary, &result, started_at).await;
    }
    app.status.sync_ended(LastSync {
        at: app.clock.now(),
        result: summary.result.clone(),
        detail: summary.detail.clone(),
    });
    summary
}

async fn record(app: &App, summary: &Summary, result: &Result<(), Error>, started_at: jiff::Timestamp) {
    let by_type = |figure: fn(&TypeSummary) -> u64| -> BTreeMap<String, u64> {
        summary.resource_types.iter().map(|(slug, of)| (slug.clone(), figure(of))).collect()
    };
    let run = Run {
        started_at,
        ended_at: app.clock.now(),
        result: match result {
            Ok(()) => RunResult::Completed,
            Err(Error::Held(_)) => RunResult::Held,
            Err(Error::Invalid { .. } | Error::Stopped | Error::Unreadable { .. }) => RunResult::Abandoned,
            Err(_) => RunResult::Failed,
        },
        detail: summary.detail.clone(),
        pushed: by_type(|of| of.listed),
        removed: by_type(|of| of.removed),
    };
    if let Err(error) = app.listings.record_run(&app.key, &run).await {
        tracing::error!(app = %app.name, %error, "the run could not be recorded");
    }
}

/// One sync that is under way.
pub(super) struct Sync<'a> {
    pub(super) app: &'a Arc<App>,
    pub(super) options: Options,
    pub(super) touched: &'a Session<'a>,
    /// Groups, licences, accounts, in this order.
    pub(super) types: Vec<ResourceType>,
    pub(super) slugs: BTreeSet<String>,
    pub(super) session: Option<SyncId>,
    pub(super) invalid: Invalid,
    figures: BTreeMap<String, TypeSummary>,
    removals: BTreeMap<String, Vec<String>>,
}

impl<'a> Sync<'a> {
    fn new(app: &'a Arc<App>, options: Options, touched: &'a Session<'a>) -> Self {
        Self {
            app,
            options,
            touched,
            types: Vec::new(),
            slugs: BTreeSet::new(),
            session: None,
            invalid: Invalid::default(),
            figures: BTreeMap::new(),
            removals: BTreeMap::new(),
        }
    }

    async fn perform(&mut self) -> Result<(), Error> {
        self.prepare().await?;
        self.app.listings.begin(&self.app.key).await?;
        for of in self.types.clone() {
            self.sync_type(&of).await?;
        }
        // Most of what tasks did is caught up with while they go on; only the rest while they stand still.
        self.settle().await?;
        let quiet = self.touched.quiet().await;
        self.settle().await?;
        if self.invalid.count > 0 && self.app.settings.sync.on_invalid == OnInvalid::Abandon {
            return Err(Error::Invalid { count: self.invalid.count });
        }
        if !self.options.dry_run {
            self.session().await?;
            finish::verify(self).await?;
        }
        self.measure().await?;
        self.guard().await?;
        if self.options.dry_run {
            return Ok(());
        }
        let session = self.session().await?;
        self.phase("completing");
        finish::complete(self.app, &session).await?;
        // From here on the session is Iden's: it cannot be abandoned any more.
        self.session = None;
        drop(quiet);
        self.phase("waiting for the clean-up");
        finish::watch(self.app, &session).await?;
        self.app.listings.promote(&self.app.key, self.app.clock.now()).await?;
        Ok(())
    }

    pub(super) fn phase(&self, phase: &str) {
        self.app.status.sync_progress(|progress| phase.clone_into(&mut progress.phase));
    }

    /// Learns the resource types, and makes sure that Iden knows them.
    async fn prepare(&mut self) -> Result<(), Error> {
        let description =
            self.app.describe().await.map_err(|error| {
                Error::Undescribed(self.app.redactor.redact(error.message()).into_owned())
            })?;
        self.types.clone_from(&description.resource_types);
        self.types.sort_by_key(|of| of.kind);
        self.slugs = self.types.iter().map(|of| of.slug.to_string()).collect();
        if self.options.dry_run {
            return Ok(());
        }
        if self.app.settings.register_resource_types {
            for of in &self.types {
                let registration = self
                    .app
                    .bridge
                    .register_resource_type(self.app.id, of)
                    .await
                    .map_err(Error::bridge("registering a resource type"))?;
                if registration == Registration::Existed {
                    tracing::debug!(app = %self.app.name, resource_type = %of.slug, "was registered already");
                }
            }
            return Ok(());
        }
        let known = self
            .app
            .bridge
            .list_resource_types(self.app.id)
            .await
            .map_err(Error::bridge("listing the resource types"))?;
        match self.slugs.iter().find(|slug| !known.iter().any(|of| of.slug.as_str() == slug.as_str())) {
            Some(slug) => Err(Error::Unregistered(slug.clone())),
            None => Ok(()),
        }
    }

    /// The session, begun at the first need: a target that cannot be read cancels nobody's session.
    pub(super) async fn session(&mut self) -> Result<SyncId, Error> {
        if let Some(session) = &self.session {
            return Ok(session.clone());
        }
        let session = finish::start(self.app).await?;
        Ok(self.session.insert(session).clone())
    }

    async fn sync_type(&mut self, of: &ResourceType) -> Result<(), Error> {
        self.phase(&format!("listing {}", of.slug));
        let app = Arc::clone(self.app);
        let mut listing = Listing::new(&app, of);
        let mut pusher = None;
        let mut deferred = Vec::new();
        while let Some(page) = listing.next().await? {
            let records = self.admit(of, page).await?;
            deferred.extend(self.accept(of, records, &mut pusher).await?);
            if deferred.len() >= DEFERRED {
                self.second_look(of, std::mem::take(&mut deferred), &mut pusher).await?;
            }
        }
        if !deferred.is_empty() {
            self.second_look(of, deferred, &mut pusher).await?;
        }
        self.flush(of, pusher).await
    }

    /// Sends what is left of a type. What Iden refuses is no part of the listing any more.
    pub(super) async fn flush(&mut self, of: &ResourceType, pusher: Option<Pusher>) -> Result<(), Error> {
        let Some(mut pusher) = pusher else { return Ok(()) };
        for refused in pusher.flush().await? {
            self.app.listings.unset(&self.app.key, of.slug.as_str(), &refused.id).await?;
            self.reject(
                of,
                &refused.id,
                Problem { field: String::new(), rule: format!("is refused by Iden: {}", refused.detail) },
            );
        }
        Ok(())
    }

    pub(super) fn reject(&mut self, of: &ResourceType, record: &str, problem: Problem) {
        self.app.status.sync_progress(|progress| progress.invalid += 1);
        let record = InvalidRecord {
            resource_type: of.slug.to_string(),
            record: record.to_owned(),
            field: problem.field,
            rule: self.app.redactor.redact(&problem.rule).into_owned(),
        };
        tracing::warn!(app = %self.app.name, "invalid record: {record}");
        self.invalid.add(record);
    }

    /// The records of a page that keep every rule which the record alone can break.
    async fn admit(&mut self, of: &ResourceType, page: Page) -> Result<Vec<Record>, Error> {
        for rejected in page.rejected {
            let record = rejected.id.unwrap_or_else(|| "without an id".into());
            self.reject(
                of,
                &record,
                Problem { field: rejected.field, rule: format!("must be {}", rejected.rule) },
            );
        }
        let mut good = Vec::with_capacity(page.records.len());
        for record in page.records {
            match validate::check(&record, of, &self.slugs) {
                Ok(()) => good.push(record),
                Err(problem) => self.reject(of, record.id(), problem),
            }
        }
        // A page may take a while to be worked through; let others have the processor.
        tokio::task::yield_now().await;
        Ok(good)
    }

    /// Pushes the records whose references are all known, and returns the others.
    pub(super) async fn accept(
        &mut self,
        of: &ResourceType,
        records: Vec<Record>,
        pusher: &mut Option<Pusher>,
    ) -> Result<Vec<Record>, Error> {
        let (records, deferred) = self.split_by_references(records).await?;
        self.take_in(of, records, pusher).await?;
        Ok(deferred)
    }

    /// Pushes records that are not in the listing yet, and adds them to it.
    pub(super) async fn take_in(
        &mut self,
        of: &ResourceType,
        records: Vec<Record>,
        pusher: &mut Option<Pusher>,
    ) -> Result<(), Error> {
        let seen: Vec<Seen> =
            records.iter().map(|record| Seen { id: record.id().to_owned(), hash: hash(record) }).collect();
        let added = self.app.listings.add(&self.app.key, of.slug.as_str(), &seen).await?;
        let mut fresh = Vec::with_capacity(records.len());
        let mut duplicates: HashMap<&str, usize> = HashMap::new();
        for duplicate in &added.duplicates {
            *duplicates.entry(&duplicate.id).or_default() += 1;
        }
        let mut occurrences: HashMap<String, usize> = HashMap::new();
        for record in &records {
            *occurrences.entry(record.id().to_owned()).or_default() += 1;
        }
        for record in records {
            // If not all records of an id are duplicates, the first is the one that stays.
            let all = occurrences.remove(record.id());
            if all.is_some_and(|all| duplicates.get(record.id()).is_none_or(|again| *again < all)) {
                fresh.push(record);
            }
        }
        let differing: BTreeSet<&str> = added
            .duplicates
            .iter()
            .filter(|duplicate| !duplicate.same)
            .map(|duplicate| duplicate.id.as_str())
            .collect();
        for id in differing {
            self.reject(
                of,
                id,
                Problem { field: "id".into(), rule: "is used by two records that differ".into() },
            );
        }
        let listed = fresh.len() as u64;
        self.app.status.sync_progress(|progress| {
            *progress.listed.entry(of.slug.to_string()).or_default() += listed;
        });
        if !self.options.dry_run && !fresh.is_empty() {
            if pusher.is_none() {
                *pusher = Some(Pusher::new(self.app, self.session().await?, of.slug.clone()));
            }
            if let Some(pusher) = pusher {
                pusher.push(fresh).await?;
            }
        }
        Ok(())
    }

    /// Judges what completing would remove, unless the operator lets it pass this once.
    async fn guard(&self) -> Result<(), Error> {
        let settings = &self.app.settings.sync.guard;
        let window = jiff::SignedDuration::try_from(settings.window).unwrap_or(jiff::SignedDuration::MAX);
        let since = self.app.clock.now().checked_sub(window).unwrap_or(jiff::Timestamp::MIN);
        let mut held = Vec::new();
        for of in &self.types {
            let slug = of.slug.as_str();
            let difference = self.app.listings.difference(&self.app.key, slug).await?;
            let removed_in_window = self.app.listings.removals_since(&self.app.key, slug, since).await?;
            let removal =
                guard::Removal { known: difference.known, removed: difference.removed, removed_in_window };
            held.extend(guard::verdict(slug, settings, removal));
        }
        if held.is_empty() {
            return Ok(());
        }
        let why = held.join("; ");
        if self.options.allow_removals {
            tracing::warn!(app = %self.app.name, "the removal guard is let pass by the operator: {why}");
            return Ok(());
        }
        tracing::error!(app = %self.app.name, alarm = "removal_guard", "the removal guard holds this sync: {why}");
        Err(Error::Held(why))
    }

    /// Compares the listing with that of the last completed sync, while it is still there.
    async fn measure(&mut self) -> Result<(), Error> {
        let (app, listings) = (&self.app.key, &self.app.listings);
        for of in &self.types {
            let slug = of.slug.as_str();
            let found = listings.difference(app, slug).await?;
            let figures = TypeSummary {
                listed: found.seen,
                created: found.created,
                changed: found.changed,
                removed: found.removed,
            };
            self.figures.insert(slug.to_owned(), figures);
            if found.removed > 0 {
                let ids = listings.ids(app, slug, Which::Removed, None, SHOWN).await?;
                self.removals.insert(slug.to_owned(), ids);
            }
        }
        Ok(())
    }

    async fn summarise(&mut self, result: &Result<(), Error>) -> Summary {
        let mut summary = Summary {
            dry_run: self.options.dry_run,
            invalid_count: self.invalid.count,
            invalid: std::mem::take(&mut self.invalid.kept),
            ..Summary::default()
        };
        let (word, detail) = match result {
            Ok(()) if self.options.dry_run => {
                ("rehearsed", "everything was read and validated; nothing was pushed".into())
            }
            Ok(()) => ("completed", "Iden has the whole truth, and has cleaned up".into()),
            Err(error @ Error::Held(_)) => ("held", error.to_string()),
            Err(error @ (Error::Invalid { .. } | Error::Stopped)) => ("abandoned", error.to_string()),
            Err(error) => ("failed", error.to_string()),
        };
        word.clone_into(&mut summary.result);
        summary.detail = self.app.redactor.redact(&detail).into_owned();
        if self.figures.is_empty() {
            // It ended early: whatever was read by then is better than nothing.
            drop(self.measure().await);
        }
        summary.resource_types = std::mem::take(&mut self.figures);
        summary.removals = std::mem::take(&mut self.removals);
        summary
    }
}

/// A hash of a record as it goes on the wire.
pub(super) fn hash(record: &Record) -> u64 {
    let text = match record {
        Record::Account(account) => serde_json::to_vec(account),
        Record::Entity(entity) => serde_json::to_vec(entity),
    };
    xxh3_64(&text.unwrap_or_default())
}
