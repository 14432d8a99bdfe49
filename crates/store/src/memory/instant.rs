//! Instants, as exact as they are kept.

use jiff::Timestamp;

/// To the microsecond; what is finer is cut off.
pub(super) fn kept(instant: Timestamp) -> Timestamp {
    // It cannot be out of range, since the instant was in it.
    Timestamp::from_microsecond(instant.as_microsecond()).unwrap_or(instant)
}
