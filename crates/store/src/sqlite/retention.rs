//! Adds the snapshot of an uncompleted sync to the known records.
//!
//! The records are copied in pieces, each in a separate write: SQLite keeps undo data in memory, and memory use must not grow with the
//! number of records. After a crash in between, only some of the records are known, as if the rest had not been pushed.

use std::sync::LazyLock;

use async_trait::async_trait;
use sqlx::{AssertSqlSafe, SqliteConnection};

use super::super::{AccessFacts, AppKey, Error, Trust};
use super::chunks::{Statements, nothing, values};
use super::commit;
use super::store::Store;
use super::writer::{Maintenance, Problem, Write};

/// The number of records per piece.
const PIECE: i64 = 2000;

/// The last id of the next piece, after ?2. No row if the rest is smaller than a piece.
const END: &str = "SELECT id FROM records WHERE listing = ?1 AND id >= ?2 AND id IS NOT ?3 \
     ORDER BY id LIMIT 1 OFFSET ?4";

/// Records that count permanently keep counting; unverified ones are decided by this snapshot. Most records have not changed, and are not
/// written. An account's access remains that of the last completed sync: a held loss must still be a loss at the next sync. It is only
/// set if it is unknown, and never from a rejected snapshot; [`GAINS`] adds to it.
const ADD: &str = "INSERT INTO records (listing, id, hash, standing, facts) \
     SELECT ?6, id, hash, ?5, CASE WHEN ?5 <> 2 THEN facts END FROM records \
     WHERE listing = ?1 AND id >= ?2 AND id IS NOT ?3 \
     AND (?4 IS NULL OR id <= ?4) ON CONFLICT (listing, id) DO UPDATE SET hash = excluded.hash, standing = CASE \
     WHEN ?5 = 0 OR records.standing = 3 THEN 0 WHEN ?5 = 2 AND records.standing = 1 THEN 2 \
     ELSE records.standing END, facts = coalesce(records.facts, excluded.facts) \
     WHERE records.hash <> excluded.hash OR records.standing = 3 OR (?5 = 0 AND records.standing <> 0) \
     OR (?5 = 2 AND records.standing = 1) OR (?5 <> 2 AND records.facts IS NULL AND excluded.facts IS NOT NULL)";

/// The records of a piece whose access differs from the known one. Iden has what was pushed, so an account may have gained access there
/// that a later sync must not take away unnoticed.
const GAINS: &str = "SELECT known.id, known.facts, seen.facts FROM records AS seen CROSS JOIN records AS known \
     ON known.listing = ?5 AND known.id = seen.id AND known.facts IS NOT NULL AND known.facts <> seen.facts \
     WHERE seen.listing = ?1 AND seen.id >= ?2 AND seen.id IS NOT ?3 AND (?4 IS NULL OR seen.id <= ?4) \
     AND seen.facts IS NOT NULL";

static SET_FACTS: LazyLock<Statements> = LazyLock::new(|| {
    Statements::new(|size| {
        format!(
            "WITH new (id, facts) AS ({}) UPDATE records SET facts = new.facts FROM new \
             WHERE records.id = new.id AND records.listing = ?",
            values("(?, ?)", size)
        )
    })
});

/// Adds the current snapshots of an app to the known records, and ends them.
pub(super) async fn retain(store: &Store, app: &AppKey, belief: Trust) -> Result<(), Error> {
    let standing = standing(belief);
    for (listing, last) in store.write(Find { app: app.clone() }).await? {
        let mut after = None;
        loop {
            let end = store.write(Piece { listing, last, after, standing }).await?;
            if end.is_none() {
                break;
            }
            after = end;
        }
    }
    store.write(End { app: app.clone() }).await
}

/// Finds the current snapshots of an app, each with the known one of its type, which is created if necessary.
struct Find {
    app: AppKey,
}

#[async_trait]
impl Write for Find {
    type Answer = Vec<(i64, i64)>;
    const NAME: &'static str = "keep";

    async fn run(&mut self, connection: &mut SqliteConnection) -> Result<Self::Answer, Problem> {
        commit::require_under_way(connection, &self.app).await?;
        sqlx::query(
            "INSERT INTO listings (app, slug, state) SELECT app, slug, 'last' FROM listings AS present \
             WHERE app = ?1 AND state = 'present' AND NOT EXISTS (SELECT 1 FROM listings AS last \
             WHERE last.app = ?1 AND last.state = 'last' AND last.slug = present.slug)",
        )
        .bind(self.app.as_str())
        .execute(&mut *connection)
        .await?;
        let listings = sqlx::query_as(
            "SELECT present.listing, last.listing FROM listings AS present JOIN listings AS last \
             ON last.app = present.app AND last.slug = present.slug AND last.state = 'last' \
             WHERE present.app = ?1 AND present.state = 'present'",
        )
        .bind(self.app.as_str())
        .fetch_all(connection)
        .await?;
        Ok(listings)
    }
}

/// Copies the records after an id, up to the size of a piece.
struct Piece {
    listing: i64,
    /// The snapshot that they are added to.
    last: i64,
    after: Option<String>,
    standing: i64,
}

#[async_trait]
impl Write for Piece {
    /// The last id of this piece, unless no records are left after it.
    type Answer = Option<String>;
    const NAME: &'static str = "keep_piece";

    async fn run(&mut self, connection: &mut SqliteConnection) -> Result<Option<String>, Problem> {
        let from = self.after.as_deref().unwrap_or_default();
        let end: Option<String> = sqlx::query_scalar(END)
            .bind(self.listing)
            .bind(from)
            .bind(self.after.as_deref())
            .bind(PIECE - 1)
            .fetch_optional(&mut *connection)
            .await?;
        if self.standing != REJECTED {
            self.add_gains(from, end.as_deref(), connection).await?;
        }
        sqlx::query(ADD)
            .bind(self.listing)
            .bind(from)
            .bind(self.after.as_deref())
            .bind(end.as_deref())
            .bind(self.standing)
            .bind(self.last)
            .execute(connection)
            .await?;
        Ok(end)
    }
}

impl Piece {
    /// Adds access to known records that the accounts have gained.
    async fn add_gains(
        &self,
        from: &str,
        end: Option<&str>,
        connection: &mut SqliteConnection,
    ) -> Result<(), Problem> {
        let differ: Vec<(String, Vec<u8>, Vec<u8>)> = sqlx::query_as(GAINS)
            .bind(self.listing)
            .bind(from)
            .bind(self.after.as_deref())
            .bind(end)
            .bind(self.last)
            .fetch_all(&mut *connection)
            .await?;
        let gained = differ
            .into_iter()
            .filter_map(|(id, known, seen)| AccessFacts::gained(&known, &seen).map(|facts| (id, facts)));
        let gained: Vec<_> = gained.collect();
        for (statement, piece, padding) in SET_FACTS.pad(&gained) {
            let mut query = sqlx::query(AssertSqlSafe(statement));
            for (id, facts) in piece {
                query = query.bind(id).bind(facts);
            }
            nothing(query, 2 * padding).bind(self.last).execute(&mut *connection).await?;
        }
        Ok(())
    }
}

/// Ends the snapshots after all records were added.
struct End {
    app: AppKey,
}

#[async_trait]
impl Write for End {
    type Answer = ();
    const NAME: &'static str = "keep_end";
    const CHORE: Option<Maintenance> = Some(Maintenance::Discard);

    async fn run(&mut self, connection: &mut SqliteConnection) -> Result<(), Problem> {
        let statements = [
            "UPDATE listings SET state = 'discarded' WHERE app = ?1 AND state = 'present'",
            "UPDATE syncs SET under_way = 0, completing_at = NULL, completing_losses = NULL WHERE app = ?1",
        ];
        for statement in statements {
            sqlx::query(statement).bind(self.app.as_str()).execute(&mut *connection).await?;
        }
        Ok(())
    }
}

/// The value of the column `standing` for records of which only held syncs are known.
const REJECTED: i64 = 2;

/// The value of the column `standing` for the records of such a snapshot.
fn standing(belief: Trust) -> i64 {
    match belief {
        Trust::Accepted => 0,
        Trust::Unverified => 1,
        Trust::Rejected => REJECTED,
    }
}
