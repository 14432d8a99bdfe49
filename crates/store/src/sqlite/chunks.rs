//! Statements for many rows.
//!
//! A statement is prepared for a number of rows. Few different numbers keep them in the connection's cache, whatever
//! the length of the input.

use std::sync::Arc;

/// How many rows one statement takes, largest first: the usual pages of targets are one piece or two. The last must be one.
const SIZES: [usize; 9] = [500, 100, 64, 32, 16, 8, 4, 2, 1];

/// One statement for each size.
#[derive(Debug)]
pub(super) struct Statements([(usize, Arc<str>); SIZES.len()]);

impl Statements {
    /// `write` gets a number of rows and makes the statement. None of its parameters is numbered (`?`, not `?1`): sqlx asks SQLite for
    /// the name of each, and SQLite goes through the names one by one, so that a thousand cost a million steps. A mix of both binds
    /// the wrong values.
    pub(super) fn new(write: impl Fn(usize) -> String) -> Self {
        Self(SIZES.map(|size| (size, write(size).into())))
    }

    /// Cuts `rows` into pieces, each with the statement that takes as many.
    pub(super) fn cut<'a, T>(&'a self, mut rows: &'a [T]) -> impl Iterator<Item = (Arc<str>, &'a [T])> {
        std::iter::from_fn(move || {
            let (size, statement) = self.0.iter().find(|(size, _)| *size <= rows.len())?;
            let (piece, rest) = rows.split_at(*size);
            rows = rest;
            Some((Arc::clone(statement), piece))
        })
    }
}

/// `?, ?, …`, as many as said.
pub(super) fn parameters(count: usize) -> String {
    vec!["?"; count].join(", ")
}

/// As many rows of values, each like this one. Their parameters have no numbers: a statement takes them as they come.
pub(super) fn values(row: &str, rows: usize) -> String {
    format!("VALUES {}", vec![row; rows].join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_in_one_piece_in_order() {
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
    fn parameters_have_no_numbers() {
        assert_eq!(parameters(3), "?, ?, ?");
    }
}
