//! Leases: how long a node may act on what it owns. Pure decisions on plain data.
//!
//! A node owns an app for the time of a lease, and renews it. Clocks of nodes are never compared. The database alone says, by its
//! own clock, whether a lease has ended. The node alone says, by its monotonic clock, whether it may still start a call: it counts
//! from *before* it sent the request that was granted, so its lease ends for itself before it ends in the database.
//!
//! An epoch fences what neither clock can: each takeover raises it, and every write carries it.

#[cfg(test)]
mod tests;
mod view;

use std::time::Duration;

use tokio::time::Instant;

pub use view::{Acquired, Leases, NodeSeen, OwnerSeen, Presence, View};

/// How long a lease lasts, unless it is said otherwise.
pub const LEASE: Duration = Duration::from_secs(15);

/// How long things last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// A lease, from its last renewal.
    pub lease: Duration,
    /// A call to a target, from its start.
    pub longest_call: Duration,
}

impl Terms {
    /// How long after a request the next one is sent.
    pub fn renew_after(&self) -> Duration {
        self.lease / 3
    }

    /// How long before the end of its lease a node stops starting calls: for clocks that run at a different rate, and for the
    /// moment between the last look at the clock and the call.
    pub fn margin(&self) -> Duration {
        self.lease / 5
    }
}

/// That the database has granted a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Before the request was sent.
    pub asked_at: Instant,
}

impl Grant {
    /// Whether a call may be started.
    pub fn may_start(&self, now: Instant, terms: &Terms) -> bool {
        now + terms.margin() < self.asked_at + terms.lease
    }

    /// When the next request is due.
    pub fn renew_at(&self, terms: &Terms) -> Instant {
        self.asked_at + terms.renew_after()
    }

    /// The one that lasts longer: an answer that comes late does not shorten a lease.
    #[must_use]
    pub fn later(self, other: Self) -> Self {
        if other.asked_at > self.asked_at { other } else { self }
    }
}
