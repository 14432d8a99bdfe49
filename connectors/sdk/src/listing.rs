//! Listing a target page by page.

use serde::{Deserialize, Serialize};

use crate::{Record, RejectedRecord};

/// Where a listing goes on. What is inside is the connector's own affair: an offset, a key, a token of the
/// target. The runtime passes it back as it came, and takes a cursor that repeats for a broken listing.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
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

/// One page of a listing: some records, and where the next page begins.
///
/// A page may hold any number of records, none included; only `next: None` says that the listing has been
/// read to its end. A listing that cannot be read to its end is an [`Error`](crate::Error), never a page
/// without `next`: whoever is missing from a listing that ended is removed from Iden.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// The records read.
    pub records: Vec<Record>,
    /// Records that are there but could not be read as what they should be. They are reported to the operator
    /// and treated as the app's `on_invalid` says; leaving one out quietly would remove a person.
    pub rejected: Vec<RejectedRecord>,
    /// Where the next page begins; `None` at the end of the listing.
    pub next: Option<Cursor>,
}

impl Page {
    /// The last page of a listing.
    pub fn last(records: Vec<Record>) -> Self {
        Self { records, rejected: Vec::new(), next: None }
    }

    /// A page with another behind it.
    pub fn with_next(records: Vec<Record>, next: Cursor) -> Self {
        Self { records, rejected: Vec::new(), next: Some(next) }
    }
}
