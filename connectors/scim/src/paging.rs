//! Paging without skipping a record.
//!
//! With cursors (RFC 9865) the server keeps the position. With indexes (RFC 7644) nothing does: when a record is removed, all later ones
//! move up by one, and the next page would start one too far. So each page starts with the last record of the previous one, and if it does
//! not, the listing goes back until it finds known records.
//!
//! No single field of a response ends a listing, because each is wrong in some server: servers ignore `startIndex`, and return the number
//! of records on the page as `totalResults`. It ends if the page after the last one is empty, if the number of distinct records equals a
//! total that was the same on every page, or if a server that returns cursors returns none. If fewer distinct records were returned than
//! the server reports, everything is read once more; if some are still missing, the listing is incomplete.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bridgehead_sdk::http::Shown;
use bridgehead_sdk::{Error, Evidence, RejectedRecord, Retry, folded};
use serde::{Deserialize, Serialize};

use crate::client::{Behind, Scim};
use crate::errors::Asked;
use crate::wire::{Fields, ListPage, Next, id, text};

/// How many records at the end of a page are remembered, to check that the next page continues after them.
const TAIL: usize = 5;

/// How often a listing may go back before its order is considered random.
const MOST_RETREATS: u32 = 50;

/// The maximum number of consecutive empty pages that lead to another page.
const MOST_EMPTY: u32 = 20;

/// The maximum number of records that are counted; a larger listing is not trusted.
const MOST_RECORDS: u64 = 10_000_000;

/// A position in a listing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
    at: At,
    /// The number of the page, counted over both passes so that no two positions of a listing are equal.
    page: u32,
    /// Whether this is the second pass.
    again: bool,
    totals: Totals,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "lowercase")]
enum At {
    /// By `startIndex`.
    Index {
        /// The position after the last record that was read; the first is 1.
        next: u64,
        /// The last records that were read.
        tail: Vec<String>,
        /// How often the listing went back.
        retreats: u32,
    },
    /// By `cursor`.
    Cursor {
        /// The cursor; empty for the first page.
        token: String,
        /// The number of consecutive pages without records up to here.
        #[serde(default)]
        empty: u32,
    },
}

/// The totals that the server has reported, in one pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Totals {
    /// The largest total.
    most: Option<u64>,
    /// Whether the totals differed.
    varied: bool,
    /// The number of pages that contained new records.
    pages: u32,
}

/// One page of a listing.
#[derive(Debug)]
pub(crate) struct Step {
    /// Records that no earlier page has shown.
    pub(crate) records: Vec<Fields>,
    /// The rejections of records whose identifier another record also has.
    pub(crate) twins: Vec<RejectedRecord>,
    /// The position after them; `None` at the proven end.
    pub(crate) next: Option<Place>,
    /// Only at the end: what proves it, and the total that the server reports.
    pub(crate) end: Option<(Evidence, Option<u64>)>,
}

/// The new records of a page.
#[derive(Debug, Default)]
struct Taken {
    records: Vec<Fields>,
    twins: Vec<RejectedRecord>,
}

impl Taken {
    fn step(self, next: Option<Place>, end: Option<(Evidence, Option<u64>)>) -> Step {
        Step { records: self.records, twins: self.twins, next, end }
    }
}

/// Pages through an endpoint.
#[derive(Clone, Debug)]
pub(crate) struct Walk<'a> {
    pub(crate) scim: &'a Scim,
    pub(crate) endpoint: &'a str,
    pub(crate) count: u16,
    /// A parameter that is sent with every page.
    pub(crate) with: Option<(&'a str, &'a str)>,
    /// What the listing has shown so far.
    pub(crate) shown: Arc<Shown>,
}

impl Place {
    pub(crate) fn start(by_cursor: bool) -> Self {
        let at = if by_cursor {
            At::Cursor { token: String::new(), empty: 0 }
        } else {
            At::Index { next: 1, tail: Vec::new(), retreats: 0 }
        };
        Self { at, page: 1, again: false, totals: Totals::default() }
    }

    fn behind(&self, at: At, totals: Totals) -> Self {
        Self { at, page: self.page + 1, again: self.again, totals }
    }
}

impl Totals {
    fn note(&mut self, total: Option<u64>) {
        self.varied |= self.most.is_some() && self.most != total;
        self.most = self.most.max(total);
    }

    /// Whether the number of distinct records reaches the largest total that the server has reported.
    fn are_met(self, count: u64) -> bool {
        self.most.is_none_or(|most| count >= most)
    }

    /// Whether a following page has at most as many records as the total has grown by in the meantime.
    fn have_grown_by(self, page: &ListPage) -> bool {
        let grown = page.total.zip(self.most).map_or(0, |(now, before)| now.saturating_sub(before));
        page.resources.len() as u64 <= grown
    }

    /// Whether the total proves the end: it was the same on every page, there were several pages, and it was met exactly.
    fn prove(self, count: u64) -> bool {
        !self.varied && self.pages > 1 && self.most == Some(count)
    }
}

impl Walk<'_> {
    /// The records at a position, and the next position.
    pub(crate) async fn page(&self, place: &Place) -> Result<Step, Error> {
        self.shown.rewind(place.page);
        if self.shown.count() > MOST_RECORDS {
            return Err(self.incomplete(&format!("it has more than {MOST_RECORDS} records")));
        }
        match &place.at {
            At::Cursor { token, empty } => self.by_cursor(place, token, *empty).await,
            At::Index { next, tail, retreats } => self.by_index(place, *next, tail, *retreats).await,
        }
    }

    async fn by_cursor(&self, place: &Place, token: &str, empty: u32) -> Result<Step, Error> {
        let circle = || self.incomplete("its cursors form a loop");
        if !self.shown.follow(place.page, token) {
            return Err(circle());
        }
        let page = self.fetch(("cursor", token.to_owned()), self.count).await?;
        let mut totals = place.totals;
        totals.note(page.total);
        let size = page.resources.len();
        let news = self.has_news(place, &page.resources);
        if size > 0 && !news {
            return Err(self.incomplete("a page contains only records that were already read"));
        }
        totals.pages += u32::from(news);
        let news_of_page = self.take(place, page.resources);
        match page.next {
            Next::Unreadable => Err(self.incomplete("its nextCursor is neither text nor a number")),
            Next::Cursor(next) if next == token => Err(circle()),
            Next::Cursor(token) => {
                let empty = if size == 0 { empty + 1 } else { 0 };
                if empty > MOST_EMPTY {
                    return Err(self.incomplete("one empty page follows another, so the list never ends"));
                }
                Ok(news_of_page.step(Some(place.behind(At::Cursor { token, empty }, totals)), None))
            }
            Next::None => {
                let mut evidence = Evidence::EndOfCursor;
                if token.is_empty() && size > 0 && totals.are_met(self.shown.count()) {
                    // The server has not returned a cursor yet, so it may not support them.
                    evidence = match self.behind(size as u64 + 1).await? {
                        Behind::Page(page) if page.resources.is_empty() => Evidence::EndOfCursor,
                        // A record that was added since the page was read may be missing from this listing.
                        Behind::Page(page) if totals.have_grown_by(&page) => Evidence::EndOfCursor,
                        Behind::Page(page) if self.has_news(place, &page.resources) => {
                            return Err(self.incomplete(
                                "it returns no nextCursor although there are more records; set paging = \
                                 \"index\"",
                            ));
                        }
                        Behind::Page(_) | Behind::Refused => {
                            self.does_not_page(("cursor", String::new()), size, totals).await?
                        }
                    };
                }
                self.end(place, news_of_page, totals, evidence)
            }
        }
    }

    async fn by_index(
        &self,
        place: &Place,
        next: u64,
        tail: &[String],
        retreats: u32,
    ) -> Result<Step, Error> {
        let (mut totals, mut retreats) = (place.totals, retreats);
        let (mut from, window) = self.overlapping(next, tail, &mut retreats, &mut totals).await?;
        let mut records = window.resources;
        if records.is_empty() && tail.is_empty() {
            return match totals.most {
                Some(0) => self.end(place, Taken::default(), totals, Evidence::EndOfCursor),
                _ => Err(self.empty(totals)),
            };
        }
        if !self.has_news(place, &records) {
            // No new records: the list ends here, or the server returns few records per page.
            from += records.len() as u64;
            records = match self.behind(from).await? {
                Behind::Refused => Vec::new(),
                Behind::Page(page) => {
                    totals.note(page.total);
                    page.resources
                }
            };
            if records.is_empty() {
                return self.end(place, Taken::default(), totals, Evidence::EndOfCursor);
            }
            if !self.has_news(place, &records) {
                return Err(self.incomplete(
                    "a page contains only records that were already read, so it seems to ignore startIndex",
                ));
            }
        }
        let size = records.len();
        let end = from + size as u64;
        totals.pages += 1;
        let last: Vec<String> = tail.iter().cloned().chain(records.iter().filter_map(id)).collect();
        let taken = self.take(place, records);
        let count = self.shown.count();
        if totals.prove(count) {
            return self.end(place, taken, totals, Evidence::TotalMet);
        }
        if totals.pages == 1 && totals.are_met(count) {
            // A single page meets the total. Some servers report the number of records on the page as the total.
            let evidence = match self.behind(end).await? {
                Behind::Page(page) if page.resources.is_empty() => Some(Evidence::EndOfCursor),
                Behind::Page(page) if self.has_news(place, &page.resources) => None,
                Behind::Page(_) | Behind::Refused => {
                    Some(self.does_not_page(("startIndex", "1".to_owned()), size, totals).await?)
                }
            };
            if let Some(evidence) = evidence {
                return self.end(place, taken, totals, evidence);
            }
            // The next request reads the following records again, starting with the last record of this page.
            totals.varied = true;
        }
        let tail = last[last.len().saturating_sub(TAIL)..].to_vec();
        Ok(taken.step(Some(place.behind(At::Index { next: end, tail, retreats }, totals)), None))
    }

    /// Reads records from a position that overlaps with known records, so that none is skipped.
    async fn overlapping(
        &self,
        next: u64,
        tail: &[String],
        retreats: &mut u32,
        totals: &mut Totals,
    ) -> Result<(u64, ListPage), Error> {
        let mut from = if tail.is_empty() { 1 } else { next.saturating_sub(1).max(1) };
        let mut step = u64::from(self.count);
        let was_seen = |resource: &Fields| id(resource).is_some_and(|found| tail.contains(&found));
        loop {
            let window = self.window(from).await?;
            totals.note(window.total);
            let begins_as_expected = window.resources.first().and_then(id).as_ref() == tail.last();
            let start = window.start.filter(|start| *start != from && !window.resources.is_empty());
            if let Some(start) = start.filter(|_| !begins_as_expected) {
                let hint = match window.next {
                    Next::None => "",
                    _ => "; it returns a nextCursor: set paging = \"cursor\"",
                };
                return Err(self.incomplete(&format!(
                    "asked for the records from {from}, it returns those from {start}{hint}"
                )));
            }
            // No record is skipped if the page starts with the first record, or contains a known one.
            if from == 1 || window.resources.iter().any(was_seen) {
                return Ok((from, window));
            }
            *retreats += 1;
            if *retreats > MOST_RETREATS {
                return Err(self.incomplete("the order of its records changes between requests"));
            }
            from = from.saturating_sub(step).max(1);
            step = step.saturating_mul(2);
        }
    }

    /// Ends the pass if as many records were read as the server reports; otherwise starts a second pass, once.
    fn end(&self, place: &Place, taken: Taken, totals: Totals, evidence: Evidence) -> Result<Step, Error> {
        let (count, most) = (self.shown.count(), totals.most.unwrap_or_default());
        if totals.are_met(count) {
            return Ok(taken.step(None, Some((evidence, totals.most))));
        }
        if place.again {
            let twins = if self.shown.has_twins() { "; two different records have the same id" } else { "" };
            return Err(self.incomplete(&format!(
                "read twice, it shows {count} different records, but reports {most}{twins}"
            )));
        }
        self.shown.begin_again();
        let by_cursor = matches!(place.at, At::Cursor { .. });
        let next = Place { again: true, page: place.page + 1, ..Place::start(by_cursor) };
        Ok(taken.step(Some(next), None))
    }

    /// Proves that a page is the only one when the request for the position after it was inconclusive. If one record is requested, a server
    /// without paging still returns all of them, and a server with paging reports the same total.
    async fn does_not_page(
        &self,
        place: (&'static str, String),
        size: usize,
        totals: Totals,
    ) -> Result<Evidence, Error> {
        if size == 1 {
            return Ok(Evidence::Atomic);
        }
        let page = self.fetch(place, 1).await?;
        if page.next != Next::None {
            return Ok(Evidence::EndOfCursor);
        }
        if page.resources.len() > 1 {
            return Ok(Evidence::Atomic);
        }
        if page.resources.len() == 1 && page.total.is_some() && page.total == totals.most {
            return Ok(Evidence::TotalMet);
        }
        Err(self.incomplete(
            "a page contains no new records, and its totalResults counts only the records of the page; it \
             seems to ignore startIndex",
        ))
    }

    fn has_news(&self, place: &Place, records: &[Fields]) -> bool {
        self.shown.has_news(place.again, records.iter().map(key))
    }

    /// Stores the records of a page, and returns those that no earlier page has shown. If two different records share an identifier, it is
    /// unknown which account it belongs to, so both are rejected. A record that an earlier page has shown may have changed since, but must
    /// have the same name.
    fn take(&self, place: &Place, records: Vec<Fields>) -> Taken {
        let mut taken = Taken::default();
        let mut of_page: HashMap<String, Fields> = HashMap::new();
        let mut twins: HashSet<String> = HashSet::new();
        for record in &records {
            let Some(own) = id(record) else { continue };
            let is_another = name(record).is_some_and(|name| !self.shown.knows_as(&own, &name));
            if is_another || of_page.get(&own).is_some_and(|other| other != record) {
                twins.insert(own.clone());
            }
            of_page.insert(own, record.clone());
        }
        for record in records {
            let is_fresh = self.shown.take(place.page, place.again, key(&record));
            match id(&record) {
                Some(own) if twins.contains(&own) => taken.twins.push(twin(own)),
                // The page contains the same record twice.
                Some(own) if is_fresh && of_page.remove(&own).is_none() => {}
                _ if is_fresh => taken.records.push(record),
                _ => {}
            }
        }
        taken
    }

    /// The records from a position on, and the total.
    async fn window(&self, from: u64) -> Result<ListPage, Error> {
        let page = self.fetch(("startIndex", from.to_string()), self.count).await?;
        if page.total.is_none() {
            let hint = match page.next {
                Next::None => "",
                _ => "; it returns a nextCursor: set paging = \"cursor\"",
            };
            return Err(self.incomplete(&format!("it does not report the number of records{hint}")));
        }
        // For other positions, a known record is better evidence than the position that the server reports.
        if from == 1 && page.start.is_some_and(|start| start > 1) {
            return Err(self.incomplete("it does not start with the first record"));
        }
        Ok(page)
    }

    /// The page after the apparent end.
    async fn behind(&self, from: u64) -> Result<Behind, Error> {
        self.scim.behind(self.endpoint, &self.query(("startIndex", from.to_string()), self.count)).await
    }

    async fn fetch(&self, place: (&str, String), count: u16) -> Result<ListPage, Error> {
        self.scim.list(self.endpoint, &self.query(place, count), Asked::List).await
    }

    fn query<'q>(&'q self, place: (&'q str, String), count: u16) -> Vec<(&'q str, String)> {
        let mut query = vec![place, ("count", count.to_string())];
        query.extend(self.with.map(|(name, value)| (name, value.to_owned())));
        query
    }

    fn empty(&self, totals: Totals) -> Error {
        let most = totals.most.unwrap_or_default();
        self.incomplete(&format!("a page is empty although there are {most} records"))
    }

    fn incomplete(&self, why: &str) -> Error {
        let message =
            format!("{}: the listing of {} is incomplete: {why}", self.scim.system(), self.endpoint);
        Error::incomplete_listing(message).with_retry(Retry::Backoff)
    }
}

/// A key that distinguishes a record: its identifier, or the whole record if it has none.
fn key(record: &Fields) -> String {
    id(record).unwrap_or_else(|| serde_json::to_string(record).unwrap_or_default())
}

/// The name of a record, which changes less often than its other attributes.
fn name(record: &Fields) -> Option<String> {
    let name = text(record, "userName").or_else(|| text(record, "displayName"));
    name.map(folded)
}

fn twin(id: String) -> RejectedRecord {
    let rule = "unique: two different records have it, so it does not identify a record".to_owned();
    RejectedRecord::new(id, "id", rule)
}
