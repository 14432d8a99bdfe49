//! How fast each kind of work is tried again.

use std::time::Duration;

use bridgehead_resilience::RetryPolicy;

/// Calls of a target: often enough that a short failure costs little.
pub(crate) const TARGET: RetryPolicy = RetryPolicy::new(Duration::from_millis(500), Duration::from_mins(1));
/// Reports, polls and pages at the Bridge, on top of what its client paces by itself.
pub(crate) const BRIDGE: RetryPolicy = RetryPolicy::new(Duration::from_millis(500), Duration::from_secs(30));
/// A refused key: somebody has to act, so there is no hurry.
pub(crate) const ACCESS: RetryPolicy = RetryPolicy::new(Duration::from_secs(5), Duration::from_mins(5));
/// Something of the daemon itself that failed: a full disk, an app that panicked.
pub(crate) const LOCAL: RetryPolicy = RetryPolicy::new(Duration::from_secs(1), Duration::from_mins(1));
