//! The database snapshots that running listings read.
//!
//! On a server, a listing is one transaction, so that every page shows the same state and the rows can be counted. The listing keeps its
//! connection from page to page. A listing that is not continued is dropped after a while, or when several others are started; the server
//! then ends its transaction.
//!
//! The last page ends a listing and its transaction. This page, which has no rows, is kept in case the runtime did not receive it and
//! requests it again.

use std::collections::VecDeque;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bridgehead_sdk::{Cursor, Page};
use tokio::time::Instant;

use crate::pool::Lease;

/// How long a paused listing is kept.
const PAUSE: Duration = Duration::from_secs(15 * 60);

/// The maximum number of listings that are kept. The runtime lists one type at a time.
const MOST: usize = 4;

/// The running listings.
pub(crate) struct Snapshots {
    held: Mutex<Vec<Snapshot>>,
    /// The last pages of completed listings, by slug and cursor, oldest first.
    ended: Mutex<VecDeque<(String, Cursor, Page)>>,
    /// Distinguishes the listings of this process from those of an earlier one.
    nonce: u64,
    begun: AtomicU64,
}

/// One listing: a transaction that sees one state of the database.
pub(crate) struct Snapshot {
    pub(crate) name: String,
    pub(crate) slug: String,
    pub(crate) lease: Lease,
    since: Instant,
}

impl Snapshots {
    pub(crate) fn new() -> Self {
        let nonce = RandomState::new().build_hasher().finish();
        Self { held: Mutex::default(), ended: Mutex::default(), nonce, begun: AtomicU64::new(0) }
    }

    /// A new listing in a started transaction.
    pub(crate) fn begin(&self, slug: &str, lease: Lease) -> Snapshot {
        let number = self.begun.fetch_add(1, Ordering::Relaxed);
        let name = format!("{:x}-{number}", self.nonce);
        Snapshot { name, slug: slug.to_owned(), lease, since: Instant::now() }
    }

    /// Keeps a listing for its next page.
    pub(crate) fn keep(&self, snapshot: Snapshot) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.push(Snapshot { since: Instant::now(), ..snapshot });
        let beyond = held.len().saturating_sub(MOST);
        held.drain(..beyond);
    }

    /// Takes a listing for its next page; `None` if it is no longer kept.
    pub(crate) fn take(&self, name: &str, slug: &str) -> Option<Snapshot> {
        self.prune();
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let place = held.iter().position(|one| one.name == name && one.slug == slug)?;
        Some(held.remove(place))
    }

    /// Keeps the last page of a listing.
    pub(crate) fn end(&self, slug: &str, cursor: &Cursor, page: &Page) {
        let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        ended.push_back((slug.to_owned(), cursor.clone(), page.clone()));
        let beyond = ended.len().saturating_sub(MOST);
        ended.drain(..beyond);
    }

    /// The last page of a completed listing.
    pub(crate) fn ended(&self, slug: &str, cursor: &Cursor) -> Option<Page> {
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        ended.iter().find(|(of, at, _)| of == slug && at == cursor).map(|(_, _, page)| page.clone())
    }

    /// Discards listings that did not continue.
    pub(crate) fn prune(&self) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.retain(|one| one.since.elapsed() < PAUSE);
    }

    /// Drops all listings.
    pub(crate) fn clear(&self) {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.ended.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
