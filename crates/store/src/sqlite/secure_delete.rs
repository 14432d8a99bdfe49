//! Stores outcomes so that they can be erased.
//!
//! An outcome may contain a secret, and `secure_delete` alone does not erase it: it zeroes freed cells and pages, but a page that is
//! rebuilt when rows move between pages keeps copies in its unused part. So outcomes are prefixed with more padding than a b-tree page
//! stores of a row. The actual data is then in overflow pages, which never move and are zeroed completely when they are freed. The
//! write-ahead log keeps older versions of pages; it is emptied soon afterwards. Outcomes of one commit share the padding: see `outcomes`.

use sqlx::SqliteConnection;

use super::super::Outcome;

/// With pages of 4,096 bytes, a page of a table without rowid holds at most 1,002 bytes of a row
/// (<https://sqlite.org/fileformat2.html>, "cell payload overflow pages").
pub(super) const PADDING: usize = 1024;

/// What comes before outcomes.
pub(super) fn padding() -> Vec<u8> {
    vec![0; PADDING]
}

/// Encodes an outcome that waits to be reported, as the only one of its row.
#[cfg(any(test, feature = "postgres"))]
pub(crate) fn seal(outcome: &Outcome) -> Result<Vec<u8>, serde_json::Error> {
    Ok(pad(&serde_json::to_vec(outcome)?))
}

/// Adds the padding to an outcome in JSON that is the only one of its row.
pub(super) fn pad(json: &[u8]) -> Vec<u8> {
    let mut sealed = padding();
    sealed.extend_from_slice(json);
    sealed
}

/// Decodes an outcome. The error says where the problem is, never what: serde's own messages quote values.
pub(crate) fn open(sealed: &[u8]) -> Result<Outcome, String> {
    parse(sealed.get(PADDING..).ok_or("its outcome is too short")?)
}

/// The same for an outcome without its padding.
pub(super) fn parse(json: &[u8]) -> Result<Outcome, String> {
    serde_json::from_slice(json).map_err(|error| {
        format!("this version does not know its outcome (line {}, column {})", error.line(), error.column())
    })
}

/// Copies the write-ahead log into the database and truncates it. Returns false if a reader prevents that: waiting for it would delay
/// writes.
pub(super) async fn empty_log(connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    sqlx::query("PRAGMA busy_timeout = 50").execute(&mut *connection).await?;
    let (busy, _pages, _copied): (i64, i64, i64) =
        sqlx::query_as("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(&mut *connection).await?;
    // The same value as when the connection was opened.
    sqlx::query("PRAGMA busy_timeout = 5000").execute(connection).await?;
    Ok(busy == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unreadable_outcome_is_not_quoted() {
        let mut sealed = vec![0; PADDING];
        sealed.extend_from_slice(br#"{"status":"completed","result":"hunter2"}"#);
        let error = open(&sealed).unwrap_err();
        assert!(!error.contains("hunter2"), "{error}");
    }
}
