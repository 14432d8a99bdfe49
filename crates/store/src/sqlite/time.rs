//! Instants in SQLite: microseconds since 1970.

use jiff::Timestamp;

use super::super::Error;

/// Truncates to microseconds.
pub(crate) fn to_column(instant: Timestamp) -> i64 {
    instant.as_microsecond()
}

/// `what` names the value in the error for a number that is not a valid instant.
pub(crate) fn from_column(microseconds: i64, what: &dyn Fn() -> String) -> Result<Timestamp, Error> {
    Timestamp::from_microsecond(microseconds).map_err(|_| Error::Unreadable {
        what: what(),
        detail: "it has an instant that is out of range".to_owned(),
    })
}
