//! What this process owns, and until when it may act on it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use tokio::time::Instant;

use super::super::{AppKey, Error};
use super::{Grant, Terms};

/// The key that stands for all apps.
pub(crate) const ALL: &str = "*";

/// The durations recorded with a lease.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Durations {
    /// The duration of the lease.
    pub(crate) lease: Duration,
    /// The longest duration of a call that is started under it.
    pub(crate) longest_call: Duration,
}

/// The epochs that this process holds. All writers share it.
#[derive(Debug)]
pub(crate) struct Claims {
    /// One process owns all apps.
    is_sole: bool,
    pub(crate) terms: Terms,
    /// In milliseconds. It grows when the configuration allows longer calls.
    longest_call: AtomicU64,
    held: RwLock<BTreeMap<String, Held>>,
}

/// The epoch and the lease that this process holds on an app.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Held {
    pub(crate) epoch: i64,
    pub(crate) grant: Grant,
    /// When calls of earlier owners have certainly ended.
    pub(crate) settled_at: Instant,
}

impl Claims {
    pub(crate) fn new(is_sole: bool, terms: Terms) -> Self {
        let longest_call = u64::try_from(terms.longest_call.as_millis()).unwrap_or(u64::MAX);
        Self { is_sole, terms, longest_call: AtomicU64::new(longest_call), held: RwLock::default() }
    }

    /// The durations that are recorded with each lease.
    pub(crate) fn durations(&self) -> Durations {
        let longest_call = Duration::from_millis(self.longest_call.load(Ordering::Acquire));
        Durations { lease: self.terms.lease, longest_call }
    }

    /// Allows calls to last up to `longest` from now on. Returns false if they already might.
    pub(crate) fn allow_calls(&self, longest: Duration) -> bool {
        let longest = u64::try_from(longest.as_millis()).unwrap_or(u64::MAX);
        self.longest_call.fetch_max(longest, Ordering::AcqRel) < longest
    }

    /// Whether this process owns all apps together.
    #[cfg(feature = "postgres")]
    pub(crate) fn is_sole(&self) -> bool {
        self.is_sole
    }

    /// The key under which the owner of an app is stored.
    pub(crate) fn key<'a>(&self, app: &'a AppKey) -> &'a str {
        if self.is_sole { ALL } else { app.as_str() }
    }

    /// Whether a write is allowed, given the newest epoch in the database.
    pub(crate) fn check(&self, app: &AppKey, newest: Option<i64>) -> Result<(), Error> {
        match (self.held(self.key(app)), newest) {
            (Some(held), Some(newest)) if held.epoch == newest => Ok(()),
            _ => Err(Error::Fenced { app: app.clone() }),
        }
    }

    /// Whether a call may be started now: the lease is valid according to this machine's monotonic clock.
    pub(crate) fn may_start(&self, app: &AppKey) -> Result<(), Error> {
        match self.held(self.key(app)) {
            Some(held) if held.grant.may_start(Instant::now(), &self.terms) => Ok(()),
            _ => Err(Error::Fenced { app: app.clone() }),
        }
    }

    pub(crate) fn held(&self, key: &str) -> Option<Held> {
        self.held.read().unwrap_or_else(PoisonError::into_inner).get(key).copied()
    }

    /// When calls of earlier owners of an app have certainly ended; `None` if this process does not own it.
    pub(crate) fn settled_at(&self, app: &AppKey) -> Option<Instant> {
        self.held(self.key(app)).map(|held| held.settled_at)
    }

    pub(crate) fn all(&self) -> BTreeMap<String, Held> {
        self.held.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn hold(&self, key: &str, held: Held) {
        self.held.write().unwrap_or_else(PoisonError::into_inner).insert(key.to_owned(), held);
    }

    /// Drops an epoch that was lost. Returns whether it was held: a newer epoch of the same app is kept, and an epoch is lost only once.
    pub(crate) fn lose(&self, key: &str, epoch: i64) -> bool {
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        let is_held = held.get(key).is_some_and(|held| held.epoch == epoch);
        is_held && held.remove(key).is_some()
    }

    /// Records that a renewal was granted.
    pub(crate) fn renew(&self, key: &str, epoch: i64, grant: Grant) {
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(held) = held.get_mut(key).filter(|held| held.epoch == epoch) {
            held.grant = held.grant.later(grant);
        }
    }
}
