//! From page to page, so that nobody is passed over.
//!
//! By cursor (RFC 9865) the server keeps the place. By index (RFC 7644) nobody does: when a record goes, all behind it move up by
//! one, and the next page would begin one too far. So each page begins with the last record of the one before, and where it does
//! not, the walk goes back until it meets records that it has seen. A page that ends before the total is reached is an error,
//! never an end.

use bridgehead_sdk::{Error, Retry};
use serde::{Deserialize, Serialize};

use crate::client::Scim;
use crate::errors::Asked;
use crate::wire::{Fields, ListPage, id};

/// So many records at the end of a page are remembered, so that the next one is known to go on behind them.
const TAIL: usize = 5;

/// So often a listing may go back before its order is taken for a game of chance.
const MOST_RETREATS: u32 = 50;

/// Where a walk goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "lowercase")]
pub(crate) enum Place {
    /// By `startIndex`.
    Index {
        /// The position behind the last record that was read; the first is 1.
        next: u64,
        /// The last records that were read.
        tail: Vec<String>,
        /// How often the walk went back.
        retreats: u32,
        /// How many pages were read: a walk that goes back never comes to a place twice.
        pages: u64,
    },
    /// By `cursor`; empty for the first page.
    Cursor {
        token: String,
        seen: u64,
        /// The total that the first page named.
        total: Option<u64>,
    },
}

/// What is listed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Walk<'a> {
    pub(crate) scim: &'a Scim,
    pub(crate) endpoint: &'a str,
    pub(crate) count: u16,
    /// A parameter that goes with every page.
    pub(crate) with: Option<(&'a str, &'a str)>,
}

impl Place {
    pub(crate) fn start(by_cursor: bool) -> Self {
        if by_cursor {
            Self::Cursor { token: String::new(), seen: 0, total: None }
        } else {
            Self::Index { next: 1, tail: Vec::new(), retreats: 0, pages: 0 }
        }
    }
}

impl Walk<'_> {
    /// The records at a place, and the place behind them; `None` at the proven end.
    pub(crate) async fn page(&self, place: &Place) -> Result<(Vec<Fields>, Option<Place>), Error> {
        match place {
            Place::Cursor { token, seen, total } => self.by_cursor(token, *seen, *total).await,
            Place::Index { next, tail, retreats, pages } => {
                self.by_index(*next, tail, *retreats, pages + 1).await
            }
        }
    }

    async fn by_cursor(
        &self,
        token: &str,
        seen: u64,
        total: Option<u64>,
    ) -> Result<(Vec<Fields>, Option<Place>), Error> {
        let page = self.fetch(("cursor", token.to_owned())).await?;
        let seen = seen + page.resources.len() as u64;
        let first = total.or(page.total);
        if let Some(next) = page.next {
            // Without a total nothing is counted, so that a place that comes again looks the same, and is noticed.
            let counted = if first.is_some() { seen } else { 0 };
            let most =
                first.max(page.total).map_or(u64::MAX, |most| most.saturating_mul(2).saturating_add(1000));
            if next == token || counted > most {
                return Err(self.incomplete("its cursors lead in a circle"));
            }
            return Ok((page.resources, Some(Place::Cursor { token: next, seen: counted, total: first })));
        }
        // Who came or went meanwhile makes one of the totals wrong, not both.
        let total = first.zip(page.total.or(first)).map_or(0, |(first, last)| first.min(last));
        if seen < total {
            return Err(self.incomplete(&format!("its last page ends after {seen} of {total} records")));
        }
        Ok((page.resources, None))
    }

    async fn by_index(
        &self,
        next: u64,
        tail: &[String],
        retreats: u32,
        pages: u64,
    ) -> Result<(Vec<Fields>, Option<Place>), Error> {
        let mut retreats = retreats;
        let mut from = if tail.is_empty() { 1 } else { next.saturating_sub(1).max(1) };
        let mut step = u64::from(self.count);
        let was_seen = |resource: &Fields| id(resource).is_some_and(|found| tail.contains(&found));
        let (window, total) = loop {
            let (window, total) = self.window(from).await?;
            // From the first record on, or from one that was seen, nobody is passed over.
            if from == 1 || window.iter().any(was_seen) {
                break (window, total);
            }
            retreats += 1;
            if retreats > MOST_RETREATS {
                return Err(self.incomplete("the order of its records keeps changing"));
            }
            from = from.saturating_sub(step).max(1);
            step = step.saturating_mul(2);
        };
        if total == 0 && !tail.is_empty() {
            return Err(self.incomplete("all of its records are gone at once"));
        }
        let mut end = from + window.len() as u64;
        let mut fresh: Vec<Fields> = window.into_iter().filter(|resource| !was_seen(resource)).collect();
        if fresh.is_empty() && end <= total {
            // Nothing new: a server that gives out few records a page, and this was the last one seen; or one that does not go on.
            let (window, total) = self.window(end).await?;
            if window.is_empty() && end <= total {
                return Err(self.incomplete(&format!("a page is empty, though there are {total} records")));
            }
            if window.iter().any(was_seen) {
                return Err(self.incomplete("its pages do not go on"));
            }
            end += window.len() as u64;
            fresh = window;
        }
        if end > total {
            return Ok((fresh, None));
        }
        let mut last: Vec<String> = tail.iter().cloned().chain(fresh.iter().filter_map(id)).collect();
        let tail = last.split_off(last.len().saturating_sub(TAIL));
        Ok((fresh, Some(Place::Index { next: end, tail, retreats, pages })))
    }

    /// The records from a position on, and how many there are in all.
    async fn window(&self, from: u64) -> Result<(Vec<Fields>, u64), Error> {
        let page = self.fetch(("startIndex", from.to_string())).await?;
        let total =
            page.total.ok_or_else(|| self.incomplete("it does not say how many records there are"))?;
        // From any other position on, a record that was seen says more than what the server says.
        if from == 1 && page.start.is_some_and(|start| start > 1) {
            return Err(self.incomplete("it does not begin with the first record"));
        }
        if page.resources.is_empty() && from == 1 && total > 0 {
            return Err(self.incomplete(&format!("a page is empty, though there are {total} records")));
        }
        Ok((page.resources, total))
    }

    async fn fetch(&self, place: (&str, String)) -> Result<ListPage, Error> {
        let mut query = vec![place, ("count", self.count.to_string())];
        query.extend(self.with.map(|(name, value)| (name, value.to_owned())));
        self.scim.list(self.endpoint, &query, Asked::List).await
    }

    fn incomplete(&self, why: &str) -> Error {
        let message =
            format!("{}: the listing of {} is incomplete: {why}", self.scim.system(), self.endpoint);
        Error::incomplete_listing(message).retry(Retry::Backoff)
    }
}
