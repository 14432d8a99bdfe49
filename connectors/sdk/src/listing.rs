//! Listing a target page by page.

use serde::{Deserialize, Serialize};

use crate::{Record, RejectedRecord};

/// Where a listing goes on. What is inside is the connector's own affair: an offset, a key, a token of the
/// target. The runtime passes it back as it came, and takes a cursor that repeats for a broken listing.
///
/// `Debug` shows how long it is, and nothing of it: a target's own cursor may be as good as a key.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cursor(String);

impl Cursor {
    /// Wraps what the connector needs to go on.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// What the connector put in.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Cursor").field(&format_args!("{} bytes", self.0.len())).finish()
    }
}

/// One page of a listing: some records, and where the next page begins.
///
/// A page may hold any number of records, none included. Without `next` it is the last one, and says what shows that
/// the listing was read to its end. A listing that cannot be read to its end is an [`Error`](crate::Error), never a page
/// without `next`: an account that is missing from a complete listing is removed from Iden.
///
/// ```
/// use bridgehead_sdk::{AccountRecord, Cursor, Evidence, Page, Record};
///
/// let records = vec![Record::from(AccountRecord::new("u1"))];
/// let next = Some(Cursor::new("after:u1")); // what the target says of the next page
/// let page = Page::new(records).with_total(7).ending(next, Evidence::EndOfCursor);
/// assert!(page.next.is_some() && page.evidence.is_none(), "not the end, so there is nothing to show for it");
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Page {
    /// The records read.
    pub records: Vec<Record>,
    /// Records that are there but could not be read as what they should be. They are reported to the operator
    /// and treated as the app's `on_invalid` says; leaving one out quietly would remove a person.
    pub rejected: Vec<RejectedRecord>,
    /// Where the next page begins; `None` at the end of the listing.
    pub next: Option<Cursor>,
    /// How many records of this type the target says it has, if it says so. The runtime counts the distinct identifiers of
    /// the whole listing against it, for every connector. A total can prove that records are missing; it never proves that
    /// all are there.
    pub total: Option<u64>,
    /// On the last page: what shows that the listing was read to its end. Without evidence the sync does not complete
    /// unless the operator has set `complete_without_proof = "allow"`.
    pub evidence: Option<Evidence>,
}

/// What shows that a listing was read to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Evidence {
    /// The target said itself that nothing follows, in the way its protocol says so: an empty cursor, no `next` link where
    /// every other page has one, an empty page behind the last one. That a page is short is not evidence: servers cap pages.
    EndOfCursor,
    /// The target gave the same [`total`](Page::total) on every page, and as many distinct records were read.
    TotalMet,
    /// Everything came in one answer or from one snapshot: a file that did not change, a transaction, a single response of
    /// an endpoint that does not page.
    Atomic,
    /// The target was read twice, and both readings agree.
    TwoReadings,
}

impl Evidence {
    /// The name, as the log and the status show it, such as `end_of_cursor`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::EndOfCursor => "end_of_cursor",
            Self::TotalMet => "total_met",
            Self::Atomic => "atomic",
            Self::TwoReadings => "two_readings",
        }
    }
}

impl Page {
    /// A page of these records, of which nothing else is known yet.
    pub fn new(records: Vec<Record>) -> Self {
        Self { records, ..Self::default() }
    }

    /// The last page of a listing, and what shows that it is the last.
    pub fn last(records: Vec<Record>, evidence: Evidence) -> Self {
        Self { records, evidence: Some(evidence), ..Self::default() }
    }

    /// A page with another behind it.
    pub fn with_next(records: Vec<Record>, next: Cursor) -> Self {
        Self { records, next: Some(next), ..Self::default() }
    }

    /// The same page, followed by another one; without one, it is the last, and `evidence` says why.
    pub fn ending(mut self, next: Option<Cursor>, evidence: Evidence) -> Self {
        self.evidence = next.is_none().then_some(evidence);
        self.next = next;
        self
    }

    /// The same page, with records that are there and could not be read.
    pub fn with_rejected(mut self, rejected: impl IntoIterator<Item = RejectedRecord>) -> Self {
        self.rejected.extend(rejected);
        self
    }

    /// The same page, with the number of records that the target says it has.
    pub fn with_total(mut self, total: impl Into<Option<u64>>) -> Self {
        self.total = total.into();
        self
    }
}
