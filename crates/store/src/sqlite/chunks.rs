//! Statements for many rows.
//!
//! A statement is prepared for a fixed number of rows. Using only a few different sizes keeps them in the connection's cache, whatever the
//! length of the input.

use std::sync::Arc;

use sqlx::Sqlite;
use sqlx::query::Query;
use sqlx::sqlite::SqliteArguments;

/// The numbers of rows per statement, largest first. A page of a usual size takes one or two statements. The last size must be one.
const SIZES: [usize; 11] = [500, 256, 128, 100, 64, 32, 16, 8, 4, 2, 1];
/// The largest size that is used with padding.
const PADDED: usize = 256;

/// One statement for each size.
#[derive(Debug)]
pub(super) struct Statements([(usize, Arc<str>); SIZES.len()]);

impl Statements {
    /// `write` returns the statement for a number of rows. Its parameters must not be numbered (`?`, not `?1`): sqlx asks SQLite for the
    /// name of each parameter, and SQLite searches the names one by one, so a thousand parameters cost a million steps. Mixing both kinds
    /// binds the wrong values.
    pub(super) fn new(write: impl Fn(usize) -> String) -> Self {
        Self(SIZES.map(|size| (size, write(size).into())))
    }

    /// Splits `rows` into pieces, each with the statement of its size.
    pub(super) fn cut<'a, T>(&'a self, mut rows: &'a [T]) -> impl Iterator<Item = (Arc<str>, &'a [T])> {
        std::iter::from_fn(move || {
            let (size, statement) = self.0.iter().find(|(size, _)| *size <= rows.len())?;
            let (piece, rest) = rows.split_at(*size);
            rows = rest;
            Some((Arc::clone(statement), piece))
        })
    }

    /// Splits `rows` into as few statements as possible. The last one may take more rows than are left; the third value of an item is how
    /// many. Their parameters are bound to NULL, so the statement must skip rows whose first column is NULL, as a comparison with it does.
    /// Passing a statement to the connection's thread takes longer than running it on some empty rows.
    pub(super) fn pad<'a, T>(
        &'a self,
        mut rows: &'a [T],
    ) -> impl Iterator<Item = (Arc<str>, &'a [T], usize)> {
        std::iter::from_fn(move || {
            let count = rows.len().min(PADDED);
            let (size, statement) = self.0.iter().rfind(|(size, _)| count > 0 && *size >= count)?;
            let (piece, rest) = rows.split_at(count);
            rows = rest;
            Some((Arc::clone(statement), piece, size - count))
        })
    }
}

/// Binds NULL to `parameters` parameters.
pub(super) fn nothing(
    mut query: Query<'_, Sqlite, SqliteArguments>,
    parameters: usize,
) -> Query<'_, Sqlite, SqliteArguments> {
    for _ in 0..parameters {
        query = query.bind(None::<&str>);
    }
    query
}

/// Returns `count` parameters: `?, ?, …`.
pub(super) fn parameters(count: usize) -> String {
    vec!["?"; count].join(", ")
}

/// Returns `rows` rows of values, each like `row`. The parameters are unnumbered and bound in order.
pub(super) fn values(row: &str, rows: usize) -> String {
    format!("VALUES {}", vec![row; rows].join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_in_one_chunk_in_order() {
        let statements = Statements::new(parameters);
        for length in [0, 1, 3, 4, 255, 256, 257, 1000] {
            let rows: Vec<usize> = (0..length).collect();
            let mut seen = Vec::new();
            for (statement, piece) in statements.cut(&rows) {
                assert_eq!(statement.matches('?').count(), piece.len());
                seen.extend_from_slice(piece);
            }
            assert_eq!(seen, rows);
        }
    }

    #[test]
    fn what_is_padded_takes_one_statement_for_up_to_the_most_rows() {
        let statements = Statements::new(parameters);
        let sizes = |length: usize| -> Vec<(usize, usize)> {
            let rows = vec![0; length];
            let cut = statements.pad(&rows).map(|(statement, piece, padding)| {
                assert_eq!(statement.matches('?').count(), piece.len() + padding);
                (piece.len(), padding)
            });
            cut.collect()
        };
        assert_eq!(sizes(0), []);
        assert_eq!(sizes(1), [(1, 0)]);
        assert_eq!(sizes(65), [(65, 35)]);
        assert_eq!(sizes(128), [(128, 0)]);
        assert_eq!(sizes(259), [(256, 0), (3, 1)]);
    }

    #[test]
    fn parameters_have_no_numbers() {
        assert_eq!(parameters(3), "?, ?, ?");
    }
}
