//! What `--trace` shows of requests to a database: statements with the types of their parameters, and the number of rows. Values are never
//! shown, because they may include a password or its hash.

use bridgehead_sdk::Trace;

use crate::driver::{Answer, Columns, Session};
use crate::fault::Fault;
use crate::plan::Kind;
use crate::value::{Bound, Scalar};

/// How many words of a generated statement are shown, such as `ALTER ROLE`. Later words may contain a password.
const WORDS: usize = 2;

/// Traces requests and results, if tracing is enabled.
pub(crate) struct Conversation {
    pub(crate) system: String,
    pub(crate) trace: Option<Trace>,
}

impl Conversation {
    /// Traces a request. Its text is only built if tracing is enabled.
    pub(crate) fn asks(&self, what: impl FnOnce() -> String) {
        if let Some(trace) = &self.trace {
            trace.sent(&self.system, &what());
        }
    }

    /// Traces a result.
    pub(crate) fn hears<T: Heard>(&self, answer: &Result<T, Fault>) {
        let Some(trace) = &self.trace else { return };
        let text = match answer {
            Ok(answer) => answer.heard(),
            Err(fault) => told(fault),
        };
        trace.received(&self.system, &text);
    }
}

/// A result that can be traced.
pub(crate) trait Heard {
    fn heard(&self) -> String;
}

impl Heard for () {
    fn heard(&self) -> String {
        "done".to_owned()
    }
}

impl Heard for Box<dyn Session> {
    fn heard(&self) -> String {
        "connected".to_owned()
    }
}

impl Heard for Answer {
    fn heard(&self) -> String {
        let columns = self.rows.first().map(|row| row.keys().map(String::as_str).collect::<Vec<_>>());
        match columns {
            Some(columns) => format!("{} rows of ({})", self.rows.len(), columns.join(", ")),
            None => format!("no rows, {} affected", self.affected),
        }
    }
}

impl Heard for Columns {
    fn heard(&self) -> String {
        let columns = self.iter().map(|(name, kind)| format!("{name} {kind}"));
        format!("columns ({})", columns.collect::<Vec<_>>().join(", "))
    }
}

/// A statement with the types of its parameters.
pub(crate) fn statement(sql: &str, values: &[Bound]) -> String {
    let types: Vec<&str> = values.iter().map(type_of).collect();
    shown(sql, &types)
}

/// A statement that is only prepared.
pub(crate) fn prepare(sql: &str, kinds: &[Kind]) -> String {
    let types: Vec<&str> = kinds.iter().map(|kind| name_of(*kind)).collect();
    format!("prepare {}", shown(sql, &types))
}

/// A generated statement.
pub(crate) fn made(sql: &str) -> String {
    let first: Vec<&str> = sql.split_whitespace().take(WORDS).collect();
    // A quoted word may contain anything.
    let is_plain = |word: &&&str| word.chars().all(|c| c.is_ascii_alphabetic());
    let first: Vec<&str> = first.iter().take_while(is_plain).copied().collect();
    format!("{} … (a statement created by another one, not shown)", first.join(" "))
}

fn shown(sql: &str, types: &[&str]) -> String {
    // On one line; the text is only displayed, so changed white space inside quotes does not matter.
    let sql = sql.split_whitespace().collect::<Vec<_>>().join(" ");
    if types.is_empty() { sql } else { format!("{sql} [{}]", types.join(", ")) }
}

fn type_of(bound: &Bound) -> &'static str {
    match &bound.value {
        Scalar::Null => "null",
        Scalar::Text(_) => "text",
        Scalar::Integer(_) => "integer",
        Scalar::Float(_) => "float",
        Scalar::Bool(_) => "boolean",
        Scalar::Uuid(_) => "uuid",
    }
}

fn name_of(kind: Kind) -> &'static str {
    match kind {
        Kind::Natural => "as it comes",
        Kind::Integer => "integer",
        Kind::Uuid => "uuid",
    }
}

/// The fault for the trace. The server's message may quote the rejected row, so only its number is shown.
fn told(fault: &Fault) -> String {
    match fault {
        Fault::ServerMessage(told) => {
            let of = told.constraint.as_ref().map(|name| format!(", of {name}")).unwrap_or_default();
            format!("error {told}, {:?}{of}", told.kind)
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn trace_shows_bound_types_but_no_values() {
        let bound = |value| Bound::new(Kind::Natural, &value).unwrap_or_else(|_| panic!("it fits"));
        let values =
            [bound(json!("Quiet-Harbour-7")), bound(json!(7)), bound(json!(null)), bound(json!(true))];
        let text = statement("UPDATE t\n  SET a = $1", &values);
        assert_eq!(text, "UPDATE t SET a = $1 [text, integer, null, boolean]");
    }

    #[test]
    fn generated_statement_is_traced_by_its_first_words() {
        assert!(made("ALTER ROLE ann PASSWORD 'Quiet-Harbour-7'").starts_with("ALTER ROLE … "));
        assert!(!made("SELECT 'Quiet-Harbour-7'").contains("Harbour"));
    }
}
