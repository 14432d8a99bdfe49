//! Leases: how long a node may act on the apps it owns. Pure decisions on plain data.
//!
//! A node owns an app for the duration of a lease, and renews it. The clocks of different nodes are never compared. Only the database
//! decides, by its own clock, whether a lease has expired. Only the node decides, by its monotonic clock, whether it may still start a
//! call. The node counts from *before* it sent the request that was granted, so for the node the lease expires before it expires in the
//! database.
//!
//! An epoch protects against what neither clock can detect: each takeover increments it, and every write carries it.

pub(crate) mod claims;
mod mailbox;
mod status;
#[cfg(test)]
mod tests;
mod view;

use std::time::Duration;

use tokio::time::Instant;

pub use mailbox::{Mailbox, Progress, Request};
pub use status::{Reported, SharedStatus};
pub use view::{Acquired, Leases, NodeSeen, OwnerSeen, Presence, View};

/// The default duration of a lease.
pub const LEASE: Duration = Duration::from_secs(15);

/// The durations that leases depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// The duration of a lease, from its last renewal.
    pub lease: Duration,
    /// The longest duration of a call to a target.
    pub longest_call: Duration,
}

impl Terms {
    /// The time between two renewal requests.
    pub fn renew_after(&self) -> Duration {
        self.lease / 3
    }

    /// How long before its lease expires a node stops starting calls. Covers clocks that run at different rates, and the moment between
    /// reading the clock and making the call.
    pub fn margin(&self) -> Duration {
        self.lease / 5
    }
}

/// Proof that the database has granted a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The time just before the request was sent.
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

    /// Returns the grant that lasts longer: a late response does not shorten a lease.
    #[must_use]
    pub fn later(self, other: Self) -> Self {
        if other.asked_at > self.asked_at { other } else { self }
    }
}
