//! Statements for many rows.
//!
//! A statement is prepared for a fixed number of rows. Using only a few different sizes keeps them in the connection's cache, whatever the
//! length of the input.

use std::sync::Arc;

/// The numbers of rows per statement, largest first. The last must be one.
const SIZES: [usize; 8] = [256, 64, 32, 16, 8, 4, 2, 1];

/// One statement for each size.
#[derive(Debug)]
pub(super) struct Statements([(usize, Arc<str>); SIZES.len()]);

impl Statements {
    /// `write` returns the statement for a number of rows. Either all of its parameters are numbered (`?1`, `?2`…) or none is: sqlx counts
    /// unnumbered ones separately, so mixing both binds the wrong values.
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
}

/// Returns `count` parameters: `?first, ?first+1, …`.
pub(super) fn parameters(first: usize, count: usize) -> String {
    (first..first + count).map(|number| format!("?{number}")).collect::<Vec<_>>().join(", ")
}

/// Returns `rows` rows of values, each like `row`. Their parameters are unnumbered, and bound in order.
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
