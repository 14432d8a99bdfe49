//! Checks references from accounts to groups and licenses: each must refer to a record in this session.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use bridgehead_sdk::{Record, ResourceType};

use super::Error;
use super::adding::Flow;
use super::ingest::Ingest;
use super::prepared::{Prepared, Preparing, ref_hash};
use super::read::Listing;
use super::validate::{self, Problem};

/// The maximum number of dangling references remembered per type.
const DANGLING: usize = 10_000;

/// The maximum number of found references that are remembered, as hashes: about one mebibyte.
const KNOWN: usize = 65_536;

/// Unknown references of a page, by slug.
type Unknown = BTreeMap<String, BTreeSet<String>>;

/// References that were found in the snapshot of their type, so that the store is queried for each only once. Groups and licenses are not
/// removed from a snapshot while accounts are read, except for those that Iden rejects.
#[derive(Debug, Default)]
pub(super) struct Known(HashSet<u64>);

impl Known {
    /// Forgets everything, because a record was removed from a snapshot.
    pub(super) fn forget(&mut self) {
        self.0.clear();
    }

    fn add(&mut self, reference: u64) {
        if self.0.len() < KNOWN {
            self.0.insert(reference);
        }
    }
}

impl Ingest<'_, '_> {
    /// Separates records whose references are all known from those with unknown references.
    pub(super) async fn split_by_references(
        &mut self,
        records: Vec<Prepared>,
    ) -> Result<(Vec<Prepared>, Vec<Prepared>), Error> {
        let unknown = self.unknown_references(&records).await?;
        if unknown.is_empty() {
            return Ok((records, Vec::new()));
        }
        Ok(records.into_iter().partition(|record| first_unknown(record, &unknown).is_none()))
    }

    async fn unknown_references(&mut self, records: &[Prepared]) -> Result<Unknown, Error> {
        let mut wanted: BTreeMap<&str, BTreeMap<&str, u64>> = BTreeMap::new();
        let mut name = Vec::new();
        for prepared in records {
            if let Record::Account(account) = &prepared.record {
                for (field, slug, id) in validate::refs_of(account) {
                    let reference = ref_hash(&mut name, field, slug, id);
                    if !self.known.0.contains(&reference) {
                        wanted.entry(slug).or_default().insert(id, reference);
                    }
                }
            }
        }
        let mut unknown = Unknown::new();
        for (slug, references) in wanted {
            let ids: Vec<&str> = references.keys().copied().collect();
            let missing = self.run.app.snapshots.missing(&self.run.app.key, slug, &ids).await?;
            let missing: BTreeSet<String> = missing.into_iter().collect();
            for (id, reference) in references {
                if !missing.contains(id) {
                    self.known.add(reference);
                }
            }
            if !missing.is_empty() {
                unknown.insert(slug.to_owned(), missing);
            }
        }
        Ok(unknown)
    }

    /// Checks records with unknown references again after listing the referenced types once more, because the references may have been
    /// created in the meantime; references that are still unknown are invalid.
    pub(super) async fn recheck(
        &mut self,
        of: &ResourceType,
        records: Vec<Prepared>,
        flow: &mut Flow,
    ) -> Result<(), Error> {
        let good = self.look_again(of, records).await?;
        self.ingest(of, good, flow).await
    }

    /// Returns the records whose references are known after listing their types again; rejects the others.
    pub(super) async fn look_again(
        &mut self,
        of: &ResourceType,
        records: Vec<Prepared>,
    ) -> Result<Vec<Prepared>, Error> {
        let unknown = self.unknown_references(&records).await?;
        for stale in self.run.record.offer.types.clone() {
            let Some(ids) = unknown.get(stale.slug.as_str()) else { continue };
            // There is no third attempt: a target with thousands of invalid references would be listed forever.
            if self.dangling.get(stale.slug.as_str()).is_some_and(|known| ids.is_subset(known)) {
                continue;
            }
            self.run.phase(&format!("listing {} again", stale.slug));
            self.catch_up(&stale).await?;
        }
        self.run.phase(&format!("listing {}", of.slug));
        let unknown = self.unknown_references(&records).await?;
        let mut good = Vec::with_capacity(records.len());
        for record in records {
            match first_unknown(&record, &unknown) {
                None => good.push(record),
                Some((field, id)) => {
                    self.read_bad(of, Some(record.id()));
                    let rule = format!("refers to '{id}', which no listing of that type contains");
                    self.reject(of, record.id(), Problem { field, rule });
                }
            }
        }
        for (slug, ids) in unknown {
            let known = self.dangling.entry(slug).or_default();
            known.extend(ids.into_iter().take(DANGLING.saturating_sub(known.len())));
        }
        Ok(good)
    }

    /// Lists a type of groups or licenses again, and ingests new records.
    async fn catch_up(&mut self, of: &ResourceType) -> Result<(), Error> {
        let app = std::sync::Arc::clone(self.run.app);
        let mut listing = Listing::new(&app, of);
        let mut flow = Flow::default();
        while let Some(page) = listing.next().await? {
            let ids: Vec<&str> = page.records.iter().map(Record::id).collect();
            let new: BTreeSet<String> =
                app.snapshots.missing(&app.key, of.slug.as_str(), &ids).await?.into_iter().collect();
            let mut fresh = Preparing::new(app.upstream.refs(), new.len());
            for record in page.records {
                // Records that were invalid the first time were already reported, and may be valid now.
                let is_new = new.contains(record.id()) && !self.was_refused(of, record.id());
                if is_new && validate::check(&record, of, &self.run.record.offer.kinds).is_ok() {
                    // A record that cannot be serialized stays unknown, like an invalid one.
                    drop(fresh.add(record));
                }
            }
            self.ingest(of, fresh.finish(), &mut flow).await?;
            // The next page is compared with the snapshot, so this page must be in it.
            self.settle(of, &mut flow).await?;
        }
        self.flush(of, flow.pusher).await?;
        self.prove(of, &listing).await
    }
}

fn first_unknown(prepared: &Prepared, unknown: &Unknown) -> Option<(String, String)> {
    let Record::Account(account) = &prepared.record else {
        return None;
    };
    validate::refs_of(account)
        .find(|(_, slug, id)| unknown.get(*slug).is_some_and(|ids| ids.contains(*id)))
        .map(|(field, slug, id)| (format!("{field}.{slug}"), id.to_owned()))
}
