//! Validates records from a page of the target, adds them to the snapshot, and pushes them to Iden.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use bridgehead_sdk::{Page, Record, ResourceKind, ResourceType};
use xxhash_rust::xxh3::xxh3_64;

use super::adding::Flow;
use super::evidence::Proof;
use super::prepared::{Prepared, Preparing};
use super::push::PushPipeline;
use super::read::Listing;
use super::references::Known;
use super::sync_run::SyncRun;
use super::validate::{self, Problem};
use super::{Error, InvalidRecord};
use bridgehead_bridge::WireRecord;
use bridgehead_store::{Added, Duplicate};

/// The maximum number of accounts with unknown references that wait for a second check.
const DEFERRED: usize = 1000;

/// Ingests records, both while reading the target and while catching up with tasks.
pub(super) struct Ingest<'r, 'a> {
    pub(super) run: &'r mut SyncRun<'a>,
    /// References that were still unknown at the second check: they are not looked up a third time.
    pub(super) dangling: BTreeMap<String, BTreeSet<String>>,
    /// References that were found in their listings.
    pub(super) known: Known,
    /// Groups and licenses that Iden rejected, as hashes: they are not pushed again when their type is listed once more.
    refused: HashSet<u64>,
    /// The invalid records that were read, by type.
    bad: BTreeMap<String, Bad>,
    /// Everything was read, and what is pushed now are accounts that tasks have changed.
    pub(super) catches_up: bool,
}

impl fmt::Debug for Ingest<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ingest").field("run", &self.run).finish_non_exhaustive()
    }
}

impl<'r, 'a> Ingest<'r, 'a> {
    pub(super) fn new(run: &'r mut SyncRun<'a>) -> Self {
        Self {
            run,
            dangling: BTreeMap::new(),
            known: Known::default(),
            refused: HashSet::new(),
            bad: BTreeMap::new(),
            catches_up: false,
        }
    }

    /// Reads a complete resource type and pushes its valid records.
    pub(super) async fn sync_type(&mut self, of: &ResourceType) -> Result<(), Error> {
        self.run.phase(&format!("listing {}", of.slug));
        let app = Arc::clone(self.run.app);
        let mut listing = Listing::new(&app, of);
        let mut flow = Flow::default();
        let mut deferred = Vec::new();
        while let Some(page) = self.next_page(of, &mut listing, &mut flow).await? {
            let records = self.admit(of, page, &mut flow).await?;
            deferred.extend(self.accept(of, records, &mut flow).await?);
            if deferred.len() >= DEFERRED {
                self.recheck(of, std::mem::take(&mut deferred), &mut flow).await?;
            }
        }
        if !deferred.is_empty() {
            self.recheck(of, deferred, &mut flow).await?;
        }
        self.settle(of, &mut flow).await?;
        self.flush(of, flow.pusher).await?;
        self.prove(of, &listing).await
    }

    /// Returns the next page of the target. Meanwhile, pushes the pages that the store has added.
    async fn next_page(
        &mut self,
        of: &ResourceType,
        listing: &mut Listing,
        flow: &mut Flow,
    ) -> Result<Option<Page>, Error> {
        loop {
            let is_adding = flow.is_adding();
            tokio::select! {
                biased;
                added = flow.added(), if is_adding => self.take_in(of, added, flow).await?,
                page = listing.next() => {
                    if page.is_err() {
                        self.push_what_was_read(of, flow).await;
                    }
                    return page;
                }
            };
        }
    }

    /// After the listing failed: what was read of it before still reaches Iden, however quickly the failure followed. A further error
    /// changes nothing, because the sync fails anyway.
    async fn push_what_was_read(&mut self, of: &ResourceType, flow: &mut Flow) {
        if self.settle(of, flow).await.is_ok()
            && let Some(pusher) = &mut flow.pusher
        {
            pusher.settle().await;
        }
    }

    /// Waits until the store has added all pages that it was given, and pushes them.
    pub(super) async fn settle(&mut self, of: &ResourceType, flow: &mut Flow) -> Result<(), Error> {
        while flow.is_adding() {
            let added = flow.added().await;
            self.take_in(of, added, flow).await?;
        }
        Ok(())
    }

    /// Checks the evidence that a finished listing was read to its end. The number of records read is that of this and all earlier listings
    /// of the type in this sync, including invalid records.
    pub(super) async fn prove(&mut self, of: &ResourceType, listing: &Listing) -> Result<(), Error> {
        let slug = of.slug.as_str();
        let good = self.run.app.snapshots.seen_count(&self.run.app.key, slug).await?;
        let bad = self.bad.get(slug).map_or(0, Bad::count);
        match listing.testimony.judge(good.saturating_add(bad)) {
            Proof::Whole(evidence) => {
                self.run
                    .record
                    .evidence
                    .entry(slug.to_owned())
                    .or_insert_with(|| evidence.as_str().to_owned());
                tracing::debug!(app = %self.run.app.name, resource_type = slug, evidence = evidence.as_str(), "complete");
                Ok(())
            }
            Proof::Short { read, total } => Err(Error::Incomplete { slug: slug.to_owned(), read, total }),
            Proof::None => {
                self.run.record.evidence.insert(slug.to_owned(), "none".to_owned());
                self.run.record.unproven.insert(slug.to_owned());
                Ok(())
            }
        }
    }

    /// Sends the remaining records of a type. Records that Iden rejects are removed from the snapshot.
    pub(super) async fn flush(
        &mut self,
        of: &ResourceType,
        pusher: Option<PushPipeline>,
    ) -> Result<(), Error> {
        let Some(mut pusher) = pusher else { return Ok(()) };
        for refused in pusher.flush().await? {
            self.run.app.snapshots.unset(&self.run.app.key, of.slug.as_str(), &refused.id).await?;
            if of.kind != ResourceKind::Account {
                self.known.forget();
                self.refused.insert(name_of(of, &refused.id));
            }
            self.read_bad(of, Some(&refused.id));
            self.reject(
                of,
                &refused.id,
                Problem { field: String::new(), rule: format!("is rejected by Iden: {}", refused.detail) },
            );
        }
        Ok(())
    }

    /// Whether Iden has rejected this group or license in this sync.
    pub(super) fn was_refused(&self, of: &ResourceType, id: &str) -> bool {
        self.refused.contains(&name_of(of, id))
    }

    pub(super) fn reject(&mut self, of: &ResourceType, record: &str, problem: Problem) {
        self.run.app.status.sync_progress(|progress| progress.invalid += 1);
        let record = InvalidRecord {
            resource_type: of.slug.to_string(),
            record: record.to_owned(),
            field: problem.field,
            rule: self.run.app.shared.redactor.redact(&problem.rule).into_owned(),
        };
        if self.run.record.invalid.is_worth_a_line() {
            tracing::warn!(app = %self.run.app.name, "invalid record: {record}");
        }
        self.run.record.invalid.add(record);
    }

    /// Returns the valid records of a page, as far as a record can be validated on its own.
    async fn admit(
        &mut self,
        of: &ResourceType,
        page: Page,
        flow: &mut Flow,
    ) -> Result<Vec<Prepared>, Error> {
        let mut bad = Vec::new();
        let mut nameless = 0_u64;
        for rejected in page.rejected {
            match &rejected.id {
                Some(id) => bad.push(id.clone()),
                None => nameless += 1,
            }
            let record = rejected.id.unwrap_or_else(|| "without an id".into());
            self.reject(
                of,
                &record,
                Problem { field: rejected.field, rule: format!("must be {}", rejected.rule) },
            );
        }
        let mut good = Preparing::new(self.run.app.upstream.refs(), page.records.len());
        for record in page.records {
            let (record, problem) = match validate::check(&record, of, &self.run.record.offer.kinds) {
                Err(problem) => (record, problem),
                Ok(()) => match good.add(record) {
                    Ok(()) => continue,
                    Err(failed) => {
                        let (record, error) = *failed;
                        (record, unwritable(&error))
                    }
                },
            };
            bad.push(record.id().to_owned());
            self.reject(of, record.id(), problem);
        }
        for _ in 0..nameless {
            self.read_bad(of, None);
        }
        if !bad.is_empty() {
            // An invalid record whose id also belongs to a valid record of an earlier page is not counted again, so those pages must be
            // added first.
            self.settle(of, flow).await?;
            let ids: Vec<&str> = bad.iter().map(String::as_str).collect();
            for id in self.run.app.snapshots.missing(&self.run.app.key, of.slug.as_str(), &ids).await? {
                self.read_bad(of, Some(&id));
            }
        }
        // Processing a page may take a while; let other tasks run.
        tokio::task::yield_now().await;
        Ok(good.finish())
    }

    /// Pushes the records whose references are all known, and returns the others.
    async fn accept(
        &mut self,
        of: &ResourceType,
        records: Vec<Prepared>,
        flow: &mut Flow,
    ) -> Result<Vec<Prepared>, Error> {
        let (records, deferred) = self.split_by_references(records).await?;
        self.ingest(of, records, flow).await?;
        Ok(deferred)
    }

    /// Adds records to the snapshot. Once they are added, the new ones are pushed.
    pub(super) async fn ingest(
        &mut self,
        of: &ResourceType,
        records: Vec<Prepared>,
        flow: &mut Flow,
    ) -> Result<(), Error> {
        if let Some(bad) = self.bad.get_mut(of.slug.as_str()) {
            for record in &records {
                bad.is_good(record.id());
            }
        }
        while flow.is_full() {
            let added = flow.added().await;
            self.take_in(of, added, flow).await?;
        }
        flow.add(self.run.app, of, records).await;
        Ok(())
    }

    /// Pushes the records of an added page that were not in the snapshot before.
    async fn take_in(
        &mut self,
        of: &ResourceType,
        added: Option<Result<(Vec<Prepared>, Added), bridgehead_store::Error>>,
        flow: &mut Flow,
    ) -> Result<(), Error> {
        let Some(added) = added else { return Ok(()) };
        let (records, added) = added?;
        self.reject_twins(of, &records, &added.duplicates);
        let mut duplicates: HashMap<&str, usize> = HashMap::new();
        for duplicate in &added.duplicates {
            *duplicates.entry(&duplicate.id).or_default() += 1;
        }
        let mut occurrences: HashMap<String, usize> = HashMap::new();
        if !duplicates.is_empty() {
            for record in &records {
                *occurrences.entry(record.id().to_owned()).or_default() += 1;
            }
        }
        let mut fresh = records;
        fresh.retain(|record| match duplicates.get(record.id()) {
            None => true,
            // If not all records with an id are duplicates, the first one is kept.
            Some(again) => occurrences.remove(record.id()).is_some_and(|all| *again < all),
        });
        let listed = fresh.len() as u64;
        self.run.app.status.sync_progress(|progress| {
            *progress.listed.entry(of.slug.to_string()).or_default() += listed;
        });
        if let Some(take) = &self.run.take {
            // Only a dry run passes on what it would have pushed.
            let fresh: Vec<Record> = fresh.into_iter().map(|prepared| prepared.record).collect();
            return if take(of, &fresh) { Ok(()) } else { Err(Error::ShuttingDown) };
        }
        if self.run.options.dry_run || fresh.is_empty() {
            return Ok(());
        }
        let fresh = fresh.into_iter().map(Prepared::into_wire).collect();
        self.push(of, fresh, &mut flow.pusher).await
    }

    /// Counts a record that exists but is not added to the snapshot.
    pub(super) fn read_bad(&mut self, of: &ResourceType, id: Option<&str>) {
        self.bad.entry(of.slug.to_string()).or_default().read(id);
    }

    /// Different records with the same id are invalid, unless a task changed the account between the two pages: then the account is read
    /// once more before the sync is completed.
    fn reject_twins(&mut self, of: &ResourceType, records: &[Prepared], duplicates: &[Duplicate]) {
        let differing = duplicates.iter().filter(|duplicate| !duplicate.same);
        let differing: BTreeSet<&str> = differing.map(|duplicate| duplicate.id.as_str()).collect();
        for id in differing {
            let was_touched = records.iter().any(
                |prepared| matches!(&prepared.record, Record::Account(account) if account.id.as_str() == id && self.run.touched.concerns(account)),
            );
            if !was_touched {
                let rule = "is used by two different records".into();
                self.reject(of, id, Problem { field: "id".into(), rule });
            }
        }
    }

    /// Passes records to the push pipeline of their type, which is created when first needed.
    pub(super) async fn push(
        &mut self,
        of: &ResourceType,
        records: Vec<WireRecord>,
        pusher: &mut Option<PushPipeline>,
    ) -> Result<(), Error> {
        if pusher.is_none() {
            let session = self.run.session().await?;
            let tallies = self.run.record.tallies.clone();
            let new = PushPipeline::new(self.run.app, session, of.slug.clone(), tallies);
            *pusher = Some(new.catching_up(self.catches_up));
        }
        match pusher {
            Some(pusher) => pusher.push(records).await,
            None => Ok(()),
        }
    }
}

/// The maximum number of distinct invalid records tracked per type; further ones are not counted as read.
const TOLD_APART: usize = 200_000;

/// Invalid records of a type: distinct ids are counted once, records without an id individually.
#[derive(Debug, Default)]
pub(super) struct Bad {
    ids: HashSet<u64>,
    nameless: u64,
}

impl Bad {
    fn read(&mut self, id: Option<&str>) {
        match id {
            None => self.nameless += 1,
            Some(id) if self.ids.len() < TOLD_APART => {
                self.ids.insert(xxh3_64(id.as_bytes()));
            }
            Some(_) => {}
        }
    }

    /// The id was read again in a valid record, which the snapshot counts.
    fn is_good(&mut self, id: &str) {
        self.ids.remove(&xxh3_64(id.as_bytes()));
    }

    fn count(&self) -> u64 {
        self.nameless.saturating_add(self.ids.len() as u64)
    }
}

/// The problem of a record that cannot be serialized.
pub(super) fn unwritable(error: &serde_json::Error) -> Problem {
    Problem { field: "record".into(), rule: format!("cannot be written as JSON ({error})") }
}

fn name_of(of: &ResourceType, id: &str) -> u64 {
    xxh3_64(format!("{}\0{id}", of.slug).as_bytes())
}
