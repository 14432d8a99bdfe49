//! Taking records in: from a page of the target into the listing and to Iden.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use bridgehead_sdk::{Page, Record, ResourceKind, ResourceType};
use xxhash_rust::xxh3::xxh3_64;

use super::engine::Sync;
use super::push::Pusher;
use super::read::Listing;
use super::validate::{self, Problem};
use super::{Error, InvalidRecord};
use crate::journal::{Duplicate, Seen};

/// Accounts whose references are not known yet wait for a second look, so many at most.
const DEFERRED: usize = 1000;

impl Sync<'_> {
    /// Reads a type to its end and pushes what is good of it.
    pub(super) async fn sync_type(&mut self, of: &ResourceType) -> Result<(), Error> {
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
            if of.kind != ResourceKind::Account {
                self.refused.insert(name_of(of, &refused.id));
            }
            self.reject(
                of,
                &refused.id,
                Problem { field: String::new(), rule: format!("is refused by Iden: {}", refused.detail) },
            );
        }
        Ok(())
    }

    /// Whether Iden has refused this group or licence in this sync.
    pub(super) fn was_refused(&self, of: &ResourceType, id: &str) -> bool {
        self.refused.contains(&name_of(of, id))
    }

    pub(super) fn reject(&mut self, of: &ResourceType, record: &str, problem: Problem) {
        self.app.status.sync_progress(|progress| progress.invalid += 1);
        let record = InvalidRecord {
            resource_type: of.slug.to_string(),
            record: record.to_owned(),
            field: problem.field,
            rule: self.app.redactor.redact(&problem.rule).into_owned(),
        };
        if self.invalid.is_worth_a_line() {
            tracing::warn!(app = %self.app.name, "invalid record: {record}");
        }
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
            match validate::check(&record, of, &self.kinds) {
                Ok(()) => good.push(record),
                Err(problem) => self.reject(of, record.id(), problem),
            }
        }
        // A page may take a while to be worked through; let others have the processor.
        tokio::task::yield_now().await;
        Ok(good)
    }

    /// Pushes the records whose references are all known, and returns the others.
    async fn accept(
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
            // If not all records of an id are duplicates, the first is the one that stays.
            Some(again) => occurrences.remove(record.id()).is_some_and(|all| *again < all),
        });
        let listed = fresh.len() as u64;
        self.app.status.sync_progress(|progress| {
            *progress.listed.entry(of.slug.to_string()).or_default() += listed;
        });
        if self.options.dry_run || fresh.is_empty() {
            return Ok(());
        }
        self.push(of, fresh, pusher).await
    }

    /// Two records of one identifier that differ are bad, unless a task changed the account between the two pages: then
    /// it is read once more before completing.
    fn reject_twins(&mut self, of: &ResourceType, records: &[Record], duplicates: &[Duplicate]) {
        let differing = duplicates.iter().filter(|duplicate| !duplicate.same);
        let differing: BTreeSet<&str> = differing.map(|duplicate| duplicate.id.as_str()).collect();
        for id in differing {
            let was_touched = records.iter().any(
                |record| matches!(record, Record::Account(account) if account.id.as_str() == id && self.touched.concerns(account)),
            );
            if !was_touched {
                let rule = "is used by two records that differ".into();
                self.reject(of, id, Problem { field: "id".into(), rule });
            }
        }
    }

    /// Hands records to the pusher of their type, which is made at the first need.
    pub(super) async fn push(
        &mut self,
        of: &ResourceType,
        records: Vec<Record>,
        pusher: &mut Option<Pusher>,
    ) -> Result<(), Error> {
        if pusher.is_none() {
            let session = self.session().await?;
            *pusher = Some(Pusher::new(self.app, session, of.slug.clone(), self.tallies.clone()));
        }
        match pusher {
            Some(pusher) => pusher.push(records).await,
            None => Ok(()),
        }
    }
}

fn name_of(of: &ResourceType, id: &str) -> u64 {
    xxh3_64(format!("{}\0{id}", of.slug).as_bytes())
}

/// A hash of a record as it goes on the wire.
pub(super) fn hash(record: &Record) -> u64 {
    let text = match record {
        Record::Account(account) => serde_json::to_vec(account),
        Record::Entity(entity) => serde_json::to_vec(entity),
    };
    xxh3_64(&text.unwrap_or_default())
}
