//! Text from elsewhere: it may hold a NUL, which no text of PostgreSQL does, so it is kept as bytes.

use super::super::Error;

/// `what` is said in the error, for bytes that are no text.
pub(super) fn from_column(bytes: Vec<u8>, what: &dyn Fn() -> String) -> Result<String, Error> {
    String::from_utf8(bytes)
        .map_err(|_| Error::Unreadable { what: what(), detail: "it holds text that is not UTF-8".to_owned() })
}
