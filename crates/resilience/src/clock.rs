//! The wall clock, where dates matter. All waiting uses `tokio::time` instead.

#[cfg(debug_assertions)]
use std::sync::LazyLock;

use jiff::{SignedDuration, Timestamp};

/// Returns the current time.
pub trait Clock: Send + Sync + std::fmt::Debug + 'static {
    /// The current time.
    fn now(&self) -> Timestamp;
}

/// The system clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the machine's clock")]
    fn now(&self) -> Timestamp {
        Timestamp::now().saturating_add(ahead()).unwrap_or(Timestamp::MAX)
    }
}

/// How far to shift the clock, in seconds, for tests in which it jumps between two processes. Not part of a release build.
#[cfg(debug_assertions)]
fn ahead() -> SignedDuration {
    static AHEAD: LazyLock<SignedDuration> = LazyLock::new(|| {
        let seconds = std::env::var("BRIDGEHEAD_TEST_CLOCK_AHEAD").ok().and_then(|text| text.parse().ok());
        SignedDuration::from_secs(seconds.unwrap_or(0))
    });
    *AHEAD
}

#[cfg(not(debug_assertions))]
fn ahead() -> SignedDuration {
    SignedDuration::ZERO
}
