//! Statements for many rows.
//!
//! A statement is prepared for a number of rows. Few different numbers keep them in the connection's cache, whatever
//! the length of the input.

use std::sync::Arc;

/// How many rows one statement takes, largest first. The last must be one.
const SIZES: [usize; 8] = [256, 64, 32, 16, 8, 4, 2, 1];

/// One statement for each size.
#[derive(Debug)]
pub(super) struct Statements([(usize, Arc<str>); SIZES.len()]);

impl Statements {
    /// `write` gets a number of rows and makes the statement. Either all of its parameters are numbered (`?1`, `?2`…) or none is: sqlx
    /// counts the others on their own, so a mix of both binds the wrong values.
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

/// `?first, ?first+1, …`, as many as said.
pub(super) fn parameters(first: usize, count: usize) -> String {
    (first..first + count).map(|number| format!("?{number}")).collect::<Vec<_>>().join(", ")
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
        let statements = Statements::new(|size| parameters(2, size));
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
    fn parameters_are_numbered() {
        assert_eq!(parameters(2, 3), "?2, ?3, ?4");
    }
}
