//! How fast each kind of work is retried.

use std::time::Duration;

use bridgehead_resilience::{Jitter, RetryPolicy};

/// Calls of a target: often enough that a short failure costs little.
pub(crate) const TARGET: RetryPolicy = RetryPolicy::new(Duration::from_millis(500), Duration::from_mins(1));
/// Calls of the Bridge that are made until they are answered.
pub(crate) const BRIDGE: RetryPolicy = RetryPolicy::new(Duration::from_millis(500), Duration::from_secs(30));
/// A call of the Bridge whose result is awaited: a few attempts within seconds.
pub(crate) const BRIEF: RetryPolicy =
    RetryPolicy::new(Duration::from_millis(250), Duration::from_secs(8)).with_jitter(Jitter::Full);
/// How many attempts that is.
pub(crate) const BRIEF_ATTEMPTS: u32 = 4;
/// After this long, no further one is made.
pub(crate) const BRIEF_TIME: Duration = Duration::from_secs(30);
/// A rejected key: an operator has to act, so there is no hurry.
pub(crate) const ACCESS: RetryPolicy = RetryPolicy::new(Duration::from_secs(5), Duration::from_mins(5));
/// Something of the daemon itself that failed: a full disk, an app that panicked.
pub(crate) const LOCAL: RetryPolicy = RetryPolicy::new(Duration::from_secs(1), Duration::from_mins(1));
