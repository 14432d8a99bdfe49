//! What a connection can do.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Map, Value};

use crate::fault::Fault;
use crate::plan::Kind;
use crate::value::Bound;

/// A row: column to value.
pub(crate) type Row = Map<String, Value>;

/// More rows than this are not read: no page and no membership of a page is so large.
pub(super) const MOST_ROWS: usize = 200_000;

/// What a statement gave.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub(crate) rows: Vec<Row>,
    /// How many rows it changed, where it changes rows.
    pub(crate) affected: u64,
}

/// What a transaction is for. Everything is run in one: between two, a pool on the way may change the server's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transaction {
    /// It changes something.
    Change,
    /// It reads one state of the database, in one call.
    Look,
    /// It reads one state of the database over many calls, with pauses in between.
    Listing,
}

/// A column that a statement gives: its name, and its type as the database calls it.
pub(crate) type Columns = Vec<(String, String)>;

/// A connection. It is used by one call at a time, and dropped when a call was.
#[async_trait]
pub(crate) trait Session: Send {
    /// Runs a statement.
    async fn run(&mut self, sql: Arc<str>, values: Vec<Bound>) -> Result<Answer, Fault>;

    /// Runs a statement without parameters that is not the part of the configuration, such as one that another one made: nothing of it is
    /// kept.
    async fn run_made(&mut self, sql: Arc<str>) -> Result<Answer, Fault> {
        self.run(sql, Vec::new()).await
    }

    /// Lets the server look at a statement without running it: which columns it gives.
    async fn prepare(&mut self, sql: Arc<str>, kinds: &[Kind]) -> Result<Columns, Fault>;

    /// Begins a transaction.
    async fn begin(&mut self, transaction: Transaction) -> Result<(), Fault>;

    /// Commits it.
    async fn commit(&mut self) -> Result<(), Fault>;

    /// Rolls it back.
    async fn roll_back(&mut self) -> Result<(), Fault>;

    /// Asks whether the connection is still what it was: to the same server, or to the same file.
    async fn ping(&mut self) -> Result<(), Fault>;

    /// Says goodbye.
    async fn close(self: Box<Self>);
}

impl Answer {
    /// Takes a row of columns and values. Two columns with one name would hide one another.
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

/// A value of a type that JSON has no form for.
pub(super) fn unreadable(column: &str, type_name: &str) -> Fault {
    Fault::Unreadable(format!("column {column} is of the type {type_name}, which cannot be read"))
}

/// Bytes in hexadecimal digits: the one form of them that is always text.
pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |value: u8| char::from(DIGITS[usize::from(value)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}
