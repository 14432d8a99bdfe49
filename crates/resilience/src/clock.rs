//! The time of day, where dates matter. Everything that waits uses `tokio::time` instead.

#[cfg(debug_assertions)]
use std::sync::LazyLock;

use jiff::{SignedDuration, Timestamp};

/// Tells the time of day.
pub trait Clock: Send + Sync + std::fmt::Debug + 'static {
    /// Now.
    fn now(&self) -> Timestamp;
}

/// The clock of the machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the machine's clock")]
    fn now(&self) -> Timestamp {
        Timestamp::now().saturating_add(ahead()).unwrap_or(Timestamp::MAX)
    }
}

/// How far the clock is off, in seconds, for tests that let it jump from one process to the next. Not part of a release build.
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
