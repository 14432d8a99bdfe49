//! Reading a listing from its beginning to its end, as the runtime does.

use std::collections::HashSet;

use bridgehead_sdk::{AccountRecord, Cursor, Error, Evidence, Record, RejectedRecord, ResourceType};

use super::finding::{Verdict, failed, parts};
use super::probe::Probe;

/// A chain of cursors that is longer than this is considered endless.
const MOST_PAGES: usize = 100_000;
/// After this many consecutive pages with records, none of them new, a listing goes in circles. A connector that reads its target twice to
/// be sure returns each record only once.
const MOST_REPEATED: usize = 20;
/// After this many consecutive pages with nothing new, or nothing at all, a listing is considered endless.
const MOST_BARREN: usize = 2_000;

/// A listing that was read to its end.
#[derive(Clone, Debug, Default)]
pub(super) struct Listing {
    pub(super) records: Vec<Record>,
    /// Records that exist, but could not be read as what they should be.
    pub(super) rejected: Vec<RejectedRecord>,
    /// The number of records on each page, and the cursor of the next one.
    pub(super) pages: Vec<(usize, Option<Cursor>)>,
    /// The lowest total that any page reported.
    pub(super) total: Option<u64>,
    /// The evidence that the last page was the last.
    pub(super) evidence: Option<Evidence>,
}

impl Listing {
    pub(super) fn accounts(&self) -> impl Iterator<Item = AccountRecord> + '_ {
        self.records.iter().filter_map(|record| match record {
            Record::Account(account) => Some(account.as_ref().clone()),
            Record::Entity(_) => None,
        })
    }

    pub(super) fn ids(&self) -> HashSet<&str> {
        self.records.iter().map(Record::id).collect()
    }

    /// An identifier that occurs more than once.
    pub(super) fn repeated(&self) -> Option<&str> {
        let mut seen = HashSet::new();
        self.records.iter().map(Record::id).find(|id| !seen.insert(*id))
    }
}

/// Reads a listing to its end, or to the error that ends it.
pub(super) async fn attempt(probe: &Probe, of: &ResourceType) -> Verdict<Result<Listing, Error>> {
    let mut listing = Listing::default();
    let mut cursors = HashSet::new();
    let mut cursor: Option<Cursor> = None;
    let (mut ids, mut repeated, mut barren) = (HashSet::new(), 0, 0);
    loop {
        let page = match probe.list(of, cursor.as_ref()).await? {
            Ok(page) => page,
            Err(error) => return Ok(Err(error)),
        };
        listing.pages.push((page.records.len() + page.rejected.len(), page.next.clone()));
        listing.total = listing.total.into_iter().chain(page.total).min();
        listing.evidence = page.evidence;
        // `count`, not `any`: every record of the page must be added to `ids`.
        let news = page.records.iter().filter(|record| ids.insert(record.id().to_owned())).count();
        if news == 0 && page.rejected.is_empty() {
            barren += 1;
            repeated += usize::from(!page.records.is_empty());
        } else {
            (barren, repeated) = (0, 0);
        }
        if page.next.is_some() && (repeated >= MOST_REPEATED || barren >= MOST_BARREN) {
            let pages = listing.pages.len();
            return failed(format!(
                "list {}: no end: after {pages} pages, the last {barren} of which had nothing new, there is \
                 another one",
                of.slug
            ));
        }
        listing.records.extend(page.records);
        listing.rejected.extend(page.rejected);
        let Some(next) = page.next else {
            return Ok(Ok(listing));
        };
        if !cursors.insert(next.clone()) {
            return failed(format!("list {}: cursor '{}' comes a second time", of.slug, next.as_str()));
        }
        if cursors.len() > MOST_PAGES {
            return failed(format!("list {}: no end after {MOST_PAGES} pages", of.slug));
        }
        cursor = Some(next);
    }
}

/// Reads a listing that must be readable to its end.
pub(super) async fn read(probe: &Probe, of: &ResourceType) -> Verdict<Listing> {
    match attempt(probe, of).await? {
        Ok(listing) => Ok(listing),
        Err(error) => failed(format!("list {}: {}", of.slug, parts(&error))),
    }
}
