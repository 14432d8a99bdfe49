//! Parses what a connector process might print, without a process. Only for the fuzz targets; nothing here is part of
//! the crate's interface.

use bridgehead_sdk::{AccountRecord, Description, Error, Page, Redactor, ResourceKind};
use serde_json::{Map, Value};
use tokio::io::AsyncRead;

use crate::lines::{LineReader, Overflow};
use crate::{answers, errors, protocol};

/// Parses a line: the request that it answers, and its result or error; or why it is not a response.
pub fn answer(line: &[u8], redactor: &Redactor) -> Result<(u64, Result<Value, Error>), String> {
    let answer = protocol::parse_answer(line).map_err(|error| error.to_string())?;
    let outcome = answer
        .outcome
        .map_err(|error| errors::from_object(&error, "acme-hr", "create_account for ext-1", redactor));
    Ok((answer.id, outcome))
}

/// A request as a line.
pub fn request(id: u64, method: &str, params: &Value) -> Vec<u8> {
    protocol::request_line(id, method, params)
}

/// Parses the result of `initialize`.
pub fn description(result: Value) -> Result<Description, String> {
    answers::description(result).map(|read| read.description).map_err(|error| error.to_string())
}

/// Parses the result of `list`.
pub fn page(kind: ResourceKind, result: Value) -> Result<Page, String> {
    answers::page(kind, result).map_err(|error| error.to_string())
}

/// Parses the result of `find_account`.
pub fn account(result: Value) -> Result<Option<AccountRecord>, String> {
    answers::account(result).map_err(|error| error.to_string())
}

/// Parses the result of an action.
pub fn fields(result: Value) -> Result<Map<String, Value>, String> {
    answers::fields(result).map_err(|error| error.to_string())
}

/// All lines of an output, and the error that ended it early. A line that exceeds the limit is truncated, or is an
/// error.
pub async fn lines(
    output: impl AsyncRead + Unpin,
    limit: usize,
    is_cut: bool,
) -> (Vec<Vec<u8>>, Option<String>) {
    let overflow = if is_cut { Overflow::Cut } else { Overflow::Fail };
    let mut reader = LineReader::new(output, limit, overflow);
    let mut lines = Vec::new();
    loop {
        match reader.next().await {
            Ok(Some(line)) => lines.push(line),
            Ok(None) => return (lines, None),
            Err(error) => return (lines, Some(error.to_string())),
        }
    }
}
