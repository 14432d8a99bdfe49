//! Retry policies for each kind of work.

use std::time::Duration;

use bridgehead_resilience::{Jitter, RetryPolicy};

/// Calls to a target: frequent enough that a short failure costs little.
pub(crate) const TARGET: RetryPolicy = RetryPolicy::new(Duration::from_millis(500), Duration::from_mins(1));
/// Calls to the Bridge that are retried until they succeed.
pub(crate) const BRIDGE: RetryPolicy = RetryPolicy::new(Duration::from_millis(500), Duration::from_secs(30));
/// Calls to the Bridge whose caller waits for the result: a few attempts within seconds.
pub(crate) const BRIEF: RetryPolicy =
    RetryPolicy::new(Duration::from_millis(250), Duration::from_secs(8)).with_jitter(Jitter::Full);
/// The number of attempts for [`BRIEF`].
pub(crate) const BRIEF_ATTEMPTS: u32 = 4;
/// After this time, no more attempts are made for [`BRIEF`].
pub(crate) const BRIEF_TIME: Duration = Duration::from_secs(30);
/// A rejected API key: an operator has to act, so retries are slow.
pub(crate) const ACCESS: RetryPolicy = RetryPolicy::new(Duration::from_secs(5), Duration::from_mins(5));
/// Failures of the daemon itself: a full disk, or an app that panicked.
pub(crate) const LOCAL: RetryPolicy = RetryPolicy::new(Duration::from_secs(1), Duration::from_mins(1));
