//! Moves state from a folder into a PostgreSQL database, and back.
//!
//! The state is copied row by row, read back, and compared by number and content before the copy becomes valid. Meanwhile, no other process
//! can use either place: the folder is locked, and so is the database's table of owners, in which no lease may be valid. The old place is
//! marked before the copy becomes valid, so that at no time both could be used. An interrupted move is repeated.
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

/// The result of a move.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// The number of rows, by table.
    pub rows: BTreeMap<&'static str, u64>,
    /// Where the old files were kept.
    pub kept: Option<PathBuf>,
}
