//! Instants with the precision of the store.

use jiff::Timestamp;

/// Truncates to microseconds.
pub(super) fn kept(instant: Timestamp) -> Timestamp {
    // It cannot be out of range, because the original instant was not.
    Timestamp::from_microsecond(instant.as_microsecond()).unwrap_or(instant)
}
