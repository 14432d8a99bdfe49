//! Text from elsewhere may contain NUL, which PostgreSQL's text types cannot store, so it is stored as bytes.

use super::super::Error;

/// Decodes a column. `what` names the entry in the error if the bytes are not UTF-8.
pub(super) fn from_column(bytes: Vec<u8>, what: &dyn Fn() -> String) -> Result<String, Error> {
    String::from_utf8(bytes)
        .map_err(|_| Error::Unreadable { what: what(), detail: "it holds text that is not UTF-8".to_owned() })
}
