//! References from accounts to groups and licences: each must name a record of this session.

use std::collections::{BTreeMap, BTreeSet};

use bridgehead_sdk::{Record, ResourceType};

use super::Error;
use super::engine::Sync;
use super::push::Pusher;
use super::read::Listing;
use super::validate::{self, Problem};

/// Unknown references of a page, by slug.
type Unknown = BTreeMap<String, BTreeSet<String>>;

impl Sync<'_> {
    /// Parts records whose references are all in their listings from those with one that is not.
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
            let missing = self.app.listings.missing(&self.app.key, slug, &ids).await?;
            if !missing.is_empty() {
                unknown.insert(slug.to_owned(), missing.into_iter().collect());
            }
        }
        Ok(unknown)
    }

    /// Records that refer to something which was not in its listing: that type is listed once more, for it may have been
    /// created meanwhile; what is unknown even then is bad.
    pub(super) async fn second_look(
        &mut self,
        of: &ResourceType,
        records: Vec<Record>,
        pusher: &mut Option<Pusher>,
    ) -> Result<(), Error> {
        let unknown = self.unknown_references(&records).await?;
        let stale: Vec<ResourceType> =
            self.types.iter().filter(|of| unknown.contains_key(of.slug.as_str())).cloned().collect();
        for of in &stale {
            self.phase(&format!("listing {} once more", of.slug));
            self.catch_up(of).await?;
        }
        self.phase(&format!("listing {}", of.slug));
        let still_bad = self.accept(of, records, pusher).await?;
        let unknown = self.unknown_references(&still_bad).await?;
        for record in still_bad {
            if let Some((field, id)) = first_unknown(&record, &unknown) {
                let rule = format!("refers to '{id}', which is in no listing of that type");
                self.reject(of, record.id(), Problem { field, rule });
            }
        }
        Ok(())
    }

    /// Lists a type of groups or licences again, and takes in what is new.
    async fn catch_up(&mut self, of: &ResourceType) -> Result<(), Error> {
        let app = std::sync::Arc::clone(self.app);
        let mut listing = Listing::new(&app, of);
        let mut pusher = None;
        while let Some(page) = listing.next().await? {
            let ids: Vec<&str> = page.records.iter().map(Record::id).collect();
            let new: BTreeSet<String> =
                app.listings.missing(&app.key, of.slug.as_str(), &ids).await?.into_iter().collect();
            let mut fresh = Vec::new();
            for record in page.records {
                // One that was bad the first time has been told of, and may be well now.
                if new.contains(record.id()) && validate::check(&record, of, &self.slugs).is_ok() {
                    fresh.push(record);
                }
            }
            self.take_in(of, fresh, &mut pusher).await?;
        }
        self.flush(of, pusher).await
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
