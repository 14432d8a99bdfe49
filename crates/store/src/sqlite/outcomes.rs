//! Stores the outcomes of a commit together, so that they share database pages.
//!
//! A batch is padding and the outcomes as JSON, one after another; the row of each task says where its outcome is. A reported outcome is
//! overwritten with zeros. The batch keeps its size, so SQLite overwrites the pages in place: nothing moves, and no copy is left behind. When
//! all outcomes of a batch were reported, it is removed, and SQLite zeroes its pages. See `secure_delete` for the padding. An outcome that is
//! alone in its commit is in its task's row, as all outcomes of earlier versions are: that takes fewer statements.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::LazyLock;

use sqlx::{AssertSqlSafe, SqliteConnection};

use super::super::Error;
use super::chunks::{Statements, nothing, parameters, values};
use super::secure_delete::{self, PADDING};
use super::writer::Problem;

/// The length in bytes at which a batch is full: erasing an outcome reads the whole batch.
const FULL: usize = 16 * 1024;

/// The outcome of a row of `tasks` as it was sealed, wherever it is stored.
pub(crate) const OUTCOME: &str = "coalesce(tasks.outcome, (SELECT CAST(zeroblob(1024) || \
     substr(outcomes.sealed, tasks.place, tasks.size) AS BLOB) FROM outcomes WHERE outcomes.batch = tasks.batch))";

/// The padding that [`OUTCOME`] adds.
const _: () = assert!(PADDING == 1024);

static ADD: LazyLock<Statements> = LazyLock::new(|| {
    Statements::new(|size| {
        format!(
            "INSERT INTO outcomes (batch, sealed) \
             SELECT column1 + (SELECT coalesce(max(batch), 0) FROM outcomes), column2 FROM ({}) WHERE column1 IS NOT NULL",
            values("(?, ?)", size)
        )
    })
});

static READ: LazyLock<Statements> = LazyLock::new(|| {
    Statements::new(|size| {
        format!("SELECT batch, sealed FROM outcomes WHERE batch IN ({})", parameters(size))
    })
});

static OVERWRITE: LazyLock<Statements> = LazyLock::new(|| {
    Statements::new(|size| {
        format!(
            "WITH new (batch, sealed) AS ({}) UPDATE outcomes SET sealed = new.sealed FROM new WHERE outcomes.batch = new.batch",
            values("(?, ?)", size)
        )
    })
});

static REMOVE: LazyLock<Statements> = LazyLock::new(|| {
    Statements::new(|size| format!("DELETE FROM outcomes WHERE batch IN ({})", parameters(size)))
});

/// Where an outcome is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) batch: i64,
    /// Counted from one, as SQL does.
    pub(super) at: i64,
    pub(super) size: i64,
}

impl Place {
    fn range(self) -> Option<Range<usize>> {
        let begin = usize::try_from(self.at).ok()?.checked_sub(1)?;
        Some(begin..begin.checked_add(usize::try_from(self.size).ok()?)?)
    }
}

/// New batches. Their numbers are counted from the last batch in the database.
#[derive(Debug, Default)]
pub(super) struct NewBatches(Vec<Vec<u8>>);

impl NewBatches {
    /// Adds an outcome, as JSON.
    pub(super) fn add(&mut self, json: &[u8]) -> Place {
        if self.0.last().is_none_or(|last| last.len() + json.len() > FULL) {
            self.0.push(secure_delete::padding());
        }
        let batch = self.0.len();
        let mut start = PADDING;
        if let Some(last) = self.0.last_mut() {
            start = last.len();
            last.extend_from_slice(json);
        }
        Place { batch: number(batch), at: number(start + 1), size: number(json.len()) }
    }

    /// Writes all batches, after the rows of `tasks` that refer to them.
    pub(super) async fn write(&self, connection: &mut SqliteConnection) -> Result<(), Problem> {
        let rows: Vec<(i64, &[u8])> = (1..).zip(self.0.iter().map(Vec::as_slice)).collect();
        for (statement, piece, padding) in ADD.pad(&rows) {
            let mut query = sqlx::query(AssertSqlSafe(statement));
            for (number, sealed) in piece {
                query = query.bind(number).bind(*sealed);
            }
            nothing(query, 2 * padding).execute(&mut *connection).await?;
        }
        Ok(())
    }
}

fn number(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}

/// Batches that were read.
#[derive(Debug, Default)]
pub(super) struct Batches(BTreeMap<i64, Vec<u8>>);

impl Batches {
    /// Reads the batches of outcomes.
    pub(super) async fn read(connection: &mut SqliteConnection, places: &[Place]) -> Result<Self, Problem> {
        let numbers: BTreeSet<i64> = places.iter().map(|place| place.batch).collect();
        let numbers: Vec<i64> = numbers.into_iter().collect();
        let mut batches = BTreeMap::new();
        for (statement, piece, padding) in READ.pad(&numbers) {
            let mut query = sqlx::query_as(AssertSqlSafe(statement));
            for number in piece {
                query = query.bind(number);
            }
            for _ in 0..padding {
                query = query.bind(None::<i64>);
            }
            let rows: Vec<(i64, Vec<u8>)> = query.fetch_all(&mut *connection).await?;
            batches.extend(rows);
        }
        Ok(Self(batches))
    }

    /// An outcome as JSON; `None` if its batch is missing or too short.
    pub(super) fn outcome(&self, place: Place) -> Option<&[u8]> {
        self.0.get(&place.batch)?.get(place.range()?)
    }

    /// Erases outcomes that are in these batches.
    pub(super) async fn erase(
        mut self,
        connection: &mut SqliteConnection,
        places: &[Place],
    ) -> Result<(), Problem> {
        for place in places {
            blank(self.0.get_mut(&place.batch), *place).ok_or_else(|| damaged(place.batch))?;
        }
        let (emptied, changed): (Vec<_>, Vec<_>) =
            self.0.into_iter().partition(|(_, sealed)| sealed.iter().all(|byte| *byte == 0));
        for (statement, piece, padding) in OVERWRITE.pad(&changed) {
            let mut query = sqlx::query(AssertSqlSafe(statement));
            for (batch, sealed) in piece {
                query = query.bind(batch).bind(sealed.as_slice());
            }
            nothing(query, 2 * padding).execute(&mut *connection).await?;
        }
        for (statement, piece, padding) in REMOVE.pad(&emptied) {
            let mut query = sqlx::query(AssertSqlSafe(statement));
            for (batch, _) in piece {
                query = query.bind(batch);
            }
            nothing(query, padding).execute(&mut *connection).await?;
        }
        Ok(())
    }
}

/// Overwrites an outcome with zeros. `None` if the batch is missing or too short.
fn blank(sealed: Option<&mut Vec<u8>>, place: Place) -> Option<()> {
    sealed?.get_mut(place.range()?)?.fill(0);
    Some(())
}

fn damaged(batch: i64) -> Problem {
    let what = format!("batch {batch} of the outcomes in the journal");
    Error::Unreadable { what, detail: "it is missing or too short".to_owned() }.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_never_longer_than_its_limit_unless_a_single_outcome_is() {
        let mut new = NewBatches::default();
        let sizes = [10, 20, FULL, 5, FULL - PADDING - 5, 1];
        let places = sizes.map(|size| new.add(&vec![b'x'; size]));
        assert_eq!(places.map(|place| place.batch), [1, 1, 2, 3, 3, 4]);
        assert_eq!(places.map(|place| place.at), [1025, 1035, 1025, 1025, 1030, 1025]);
        for place in places {
            blank(new.0.get_mut(usize::try_from(place.batch).unwrap() - 1), place).unwrap();
        }
        assert!(new.0.iter().flatten().all(|byte| *byte == 0));
        assert_eq!(blank(new.0.first_mut(), Place { size: 21, ..places[1] }), None);
    }
}
