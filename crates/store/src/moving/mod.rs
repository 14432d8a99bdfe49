//! Moving state from a folder into a PostgreSQL, and back.
//!
//! It is copied row by row, read back, and compared by number and content before it counts. Nobody else has either place meanwhile: the
//! folder is locked, and in the database the table of owners is, in which no lease may last. What is left behind is marked before the
//! copy counts, so that at no moment both could be gone on with; an interrupted move is repeated.

mod database;
mod folder;
mod table;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;

pub(crate) use database::copy_table;
pub use database::{to_database, to_folder};
pub(crate) use table::{Kind, Row, Sum, TABLES, Table, Value};

/// What was moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// The number of rows, by table.
    pub rows: BTreeMap<&'static str, u64>,
    /// Where the files are that were left behind.
    pub kept: Option<PathBuf>,
}
