//! Listing a target page by page.

use serde::{Deserialize, Serialize};

use crate::{Record, RejectedRecord};

/// The position where a listing continues. Its content is private to the connector: an offset, a key, a token from the
/// target. The runtime passes it back unchanged, and treats a repeated cursor as a broken listing.
///
/// `Debug` shows only its length: a target's cursor may be as sensitive as a key.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cursor(String);

impl Cursor {
    /// Wraps what the connector needs to continue.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The content.
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
/// A page may have any number of records, including none. A page without `next` is the last one, and has the evidence that the listing was
/// read to its end. A listing that cannot be read to its end is an [`Error`](crate::Error), never a page without `next`: an account that is
/// missing from a complete listing is removed from Iden.
///
/// ```
/// use bridgehead_sdk::{AccountRecord, Cursor, Evidence, Page, Record};
///
/// let records = vec![Record::from(AccountRecord::new("u1"))];
/// let next = Some(Cursor::new("after:u1")); // what the target says about the next page
/// let page = Page::new(records).with_total(7).ending(next, Evidence::EndOfCursor);
/// assert!(page.next.is_some() && page.evidence.is_none(), "not the end, so there is nothing to show for it");
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Page {
    /// The records of this page.
    pub records: Vec<Record>,
    /// Records that exist but could not be read. They are reported to the operator and handled according to the app's
    /// `on_invalid`; leaving one out silently would remove an account.
    pub rejected: Vec<RejectedRecord>,
    /// The cursor of the next page; `None` at the end of the listing.
    pub next: Option<Cursor>,
    /// The number of records of this type that the target reports, if it does. The runtime compares it with the number
    /// of distinct identifiers of the whole listing, for every connector. A total can prove that records are missing;
    /// it never proves that the listing is complete.
    pub total: Option<u64>,
    /// On the last page: the evidence that the listing is complete. Without evidence the sync does not complete unless
    /// the operator has set `complete_without_proof = "allow"`.
    pub evidence: Option<Evidence>,
}

/// The evidence that a listing is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Evidence {
    /// The target said explicitly that nothing follows, according to its protocol: an empty cursor, no `next` link
    /// where every other page has one, an empty page after the last one. A short page is not evidence, because servers
    /// limit page sizes.
    EndOfCursor,
    /// The target returned the same [`total`](Page::total) on every page, and as many distinct records were read.
    TotalMet,
    /// Everything came in one response or from one snapshot: a file that did not change, a transaction, a single
    /// response from an endpoint without paging.
    Atomic,
    /// The target was read twice, and both readings agree.
    TwoReadings,
}

impl Evidence {
    /// The name, as shown in the log and the status, such as `end_of_cursor`.
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
    /// A page with these records.
    pub fn new(records: Vec<Record>) -> Self {
        Self { records, ..Self::default() }
    }

    /// The last page of a listing, with the evidence that the listing is complete.
    pub fn last(records: Vec<Record>, evidence: Evidence) -> Self {
        Self { records, evidence: Some(evidence), ..Self::default() }
    }

    /// A page that another page follows.
    pub fn with_next(records: Vec<Record>, next: Cursor) -> Self {
        Self { records, next: Some(next), ..Self::default() }
    }

    /// The same page, followed by `next`; if `next` is `None`, it is the last page, and `evidence` proves it.
    pub fn ending(mut self, next: Option<Cursor>, evidence: Evidence) -> Self {
        self.evidence = next.is_none().then_some(evidence);
        self.next = next;
        self
    }

    /// The same page, with records that exist but could not be read.
    pub fn with_rejected(mut self, rejected: impl IntoIterator<Item = RejectedRecord>) -> Self {
        self.rejected.extend(rejected);
        self
    }

    /// The same page, with the number of records that the target reports.
    pub fn with_total(mut self, total: impl Into<Option<u64>>) -> Self {
        self.total = total.into();
        self
    }
}
