//! The wall clock, where dates matter. All waiting uses `tokio::time` instead.

#[cfg(debug_assertions)]
use std::path::Path;
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

/// How far to shift the clock, in seconds, for tests in which it jumps between two processes; or a file that contains it, for tests in which
/// it jumps while the process runs. Not part of a release build.
#[cfg(debug_assertions)]
fn ahead() -> SignedDuration {
    static AHEAD: LazyLock<Option<String>> =
        LazyLock::new(|| std::env::var("BRIDGEHEAD_TEST_CLOCK_AHEAD").ok());
    let seconds = |text: &str| text.trim().parse().ok();
    let shift = AHEAD.as_ref().and_then(|text| {
        seconds(text)
            .or_else(|| std::fs::read_to_string(Path::new(text)).ok().and_then(|text| seconds(&text)))
    });
    SignedDuration::from_secs(shift.unwrap_or(0))
}

#[cfg(not(debug_assertions))]
fn ahead() -> SignedDuration {
    SignedDuration::ZERO
}
