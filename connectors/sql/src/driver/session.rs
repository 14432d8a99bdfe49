//! The operations of a connection.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Map, Value};

use crate::fault::Fault;
use crate::plan::Kind;
use crate::value::Bound;

/// A row: values by column.
pub(crate) type Row = Map<String, Value>;

/// The maximum number of rows of a statement: no page, and no list of a page's members, is larger.
pub(super) const MOST_ROWS: usize = 200_000;

/// The result of a statement.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub(crate) rows: Vec<Row>,
    /// The number of changed rows, if it changes rows.
    pub(crate) affected: u64,
}

/// The purpose of a transaction. Everything runs in one: a pool may switch the server connection between two of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transaction {
    /// Changes data.
    Change,
    /// Reads one state of the database in a single call.
    Look,
    /// Reads one state of the database over many calls, with pauses in between.
    Listing,
}

/// The columns that a statement returns: their names, and their types with the database's names.
pub(crate) type Columns = Vec<(String, String)>;

/// A connection. It is used by one call at a time, and dropped if the call is dropped.
#[async_trait]
pub(crate) trait Session: Send {
    /// Runs a statement.
    async fn run(&mut self, sql: Arc<str>, values: Vec<Bound>) -> Result<Answer, Fault>;

    /// Runs a statement without parameters that is not in the configuration, for example one that another statement generated. It is not
    /// cached.
    async fn run_made(&mut self, sql: Arc<str>) -> Result<Answer, Fault> {
        self.run(sql, Vec::new()).await
    }

    /// Lets the server parse a statement without running it, and returns its columns.
    async fn prepare(&mut self, sql: Arc<str>, kinds: &[Kind]) -> Result<Columns, Fault>;

    /// Begins a transaction.
    async fn begin(&mut self, transaction: Transaction) -> Result<(), Fault>;

    /// Commits the transaction.
    async fn commit(&mut self) -> Result<(), Fault>;

    /// Rolls back the transaction.
    async fn roll_back(&mut self) -> Result<(), Fault>;

    /// Checks that the connection still reaches the same server or file.
    async fn ping(&mut self) -> Result<(), Fault>;

    /// Closes the connection.
    async fn close(self: Box<Self>);
}

impl Answer {
    /// Adds a row of columns and values. Duplicate column names are an error, because one would hide the other.
    pub(super) fn push(
        &mut self,
        cells: impl Iterator<Item = Result<(String, Value), Fault>>,
    ) -> Result<(), Fault> {
        if self.rows.len() >= MOST_ROWS {
            return Err(Fault::Unreadable(format!("the statement returns more than {MOST_ROWS} rows")));
        }
        let mut row = Row::new();
        for cell in cells {
            let (column, value) = cell?;
            if row.contains_key(&column) {
                let message = format!("two columns of the statement are named {column}; rename one with AS");
                return Err(Fault::Unreadable(message));
            }
            row.insert(column, value);
        }
        self.rows.push(row);
        Ok(())
    }
}

/// The error for a value whose type has no JSON form.
pub(super) fn unreadable(column: &str, type_name: &str) -> Fault {
    Fault::Unreadable(format!("column {column} is of the type {type_name}, which cannot be read"))
}

/// Bytes as hexadecimal digits, the only form that is always valid as a string.
pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |value: u8| char::from(DIGITS[usize::from(value)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}
