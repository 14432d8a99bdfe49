//! Checks references from accounts to groups and licenses: each must refer to a record in this session.

use std::collections::{BTreeMap, BTreeSet};

use bridgehead_sdk::{Record, ResourceType};

use super::Error;
use super::ingest::Ingest;
use super::push::PushPipeline;
use super::read::Listing;
use super::validate::{self, Problem};

/// The maximum number of dangling references remembered per type.
const DANGLING: usize = 10_000;

/// Unknown references of a page, by slug.
type Unknown = BTreeMap<String, BTreeSet<String>>;

impl Ingest<'_, '_> {
    /// Separates records whose references are all known from those with unknown references.
    pub(super) async fn split_by_references(
        &self,
        records: Vec<Record>,
    ) -> Result<(Vec<Record>, Vec<Record>), Error> {
        let unknown = self.unknown_references(&records).await?;
        if unknown.is_empty() {
            return Ok((records, Vec::new()));
        }
        Ok(records.into_iter().partition(|record| first_unknown(record, &unknown).is_none()))
    }

    async fn unknown_references(&self, records: &[Record]) -> Result<Unknown, Error> {
        let mut wanted: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for record in records {
            if let Record::Account(account) = record {
                for (_, slug, id) in validate::refs_of(account) {
                    wanted.entry(slug).or_default().insert(id);
                }
            }
        }
        let mut unknown = Unknown::new();
        for (slug, ids) in wanted {
            let ids: Vec<&str> = ids.into_iter().collect();
            let missing = self.run.app.listings.missing(&self.run.app.key, slug, &ids).await?;
            if !missing.is_empty() {
                unknown.insert(slug.to_owned(), missing.into_iter().collect());
            }
        }
        Ok(unknown)
    }

    /// Checks records with unknown references again after listing the referenced types once more, because the references may have been
    /// created in the meantime; references that are still unknown are invalid.
    pub(super) async fn recheck(
        &mut self,
        of: &ResourceType,
        records: Vec<Record>,
        pusher: &mut Option<PushPipeline>,
    ) -> Result<(), Error> {
        let good = self.look_again(of, records).await?;
        self.ingest(of, good, pusher).await
    }

    /// Returns the records whose references are known after listing their types again; rejects the others.
    pub(super) async fn look_again(
        &mut self,
        of: &ResourceType,
        records: Vec<Record>,
    ) -> Result<Vec<Record>, Error> {
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
        let mut pusher = None;
        while let Some(page) = listing.next().await? {
            let ids: Vec<&str> = page.records.iter().map(Record::id).collect();
            let new: BTreeSet<String> =
                app.listings.missing(&app.key, of.slug.as_str(), &ids).await?.into_iter().collect();
            let mut fresh = Vec::new();
            for record in page.records {
                // Records that were invalid the first time were already reported, and may be valid now.
                let is_new = new.contains(record.id()) && !self.was_refused(of, record.id());
                if is_new && validate::check(&record, of, &self.run.record.offer.kinds).is_ok() {
                    fresh.push(record);
                }
            }
            self.ingest(of, fresh, &mut pusher).await?;
        }
        self.flush(of, pusher).await?;
        self.prove(of, &listing).await
    }
}

fn first_unknown(record: &Record, unknown: &Unknown) -> Option<(String, String)> {
    let Record::Account(account) = record else {
        return None;
    };
    validate::refs_of(account)
        .find(|(_, slug, id)| unknown.get(*slug).is_some_and(|ids| ids.contains(*id)))
        .map(|(field, slug, id)| (format!("{field}.{slug}"), id.to_owned()))
}
