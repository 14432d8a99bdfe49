//! The wire format: JSON-RPC 2.0, one object per line. Pure; nothing here does I/O.

use bridgehead_sdk::duplicate_member;
use serde_json::{Map, Value, json};

/// The version of the exec protocol that is sent with `initialize`.
pub(crate) const VERSION: u32 = 1;

/// The JSON-RPC error code for an unknown method.
pub(crate) const METHOD_NOT_FOUND: i64 = -32601;

/// A response: the request that it belongs to, and its outcome. It has no `Debug`: it may contain a password.
pub(crate) struct Answer {
    /// The identifier of the request.
    pub(crate) id: u64,
    /// Its result or error.
    pub(crate) outcome: Outcome,
}

/// The result or error of a response.
pub(crate) type Outcome = Result<Value, ErrorObject>;

/// A JSON-RPC error as received. It has no `Debug`: its message may contain a secret.
pub(crate) struct ErrorObject {
    /// The JSON-RPC code; 0 if it is missing.
    pub(crate) code: i64,
    /// The message; empty if it is missing.
    pub(crate) message: String,
    /// The additional data of the exec protocol; empty if it is missing.
    pub(crate) data: Map<String, Value>,
}

/// Why a line is not a response. The author of the connector must act; the line itself is never repeated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotAnAnswer {
    /// Most likely diagnostics on the wrong stream.
    #[error("it is not JSON; write diagnostics to standard error")]
    NotJson,
    /// Other JSON, such as a batch.
    #[error("it is not a single JSON object")]
    NotAnObject,
    /// A parser would only see one of the two, such as one of two lists of records.
    #[error("an object in it has a member twice")]
    Twice,
    /// Not JSON-RPC 2.0.
    #[error("its member 'jsonrpc' is not \"2.0\"")]
    Version,
    /// A request or a notification: only bridgehead sends requests.
    #[error("it is a request; a connector may only send responses")]
    Request,
    /// It is unclear which request is answered.
    #[error("its member 'id' is not the number of a request")]
    Id,
    /// A missing result is not an empty result.
    #[error("it has neither 'result' nor 'error'")]
    Neither,
    /// It is unclear which of the two is valid.
    #[error("it has both 'result' and 'error'")]
    Both,
    /// An error without content.
    #[error("its member 'error' is not an object")]
    Error,
}

/// A request as a line, including the line break.
pub(crate) fn request_line(id: u64, method: &str, params: &Value) -> Vec<u8> {
    // JSON escapes line breaks inside strings, so the object is always one line.
    let request = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
    let mut line = request.to_string().into_bytes();
    line.push(b'\n');
    line
}

/// Parses a line, without its line break, as a response.
pub(crate) fn parse_answer(line: &[u8]) -> Result<Answer, NotAnAnswer> {
    let value: Value = serde_json::from_slice(line).map_err(|_| NotAnAnswer::NotJson)?;
    let Value::Object(mut members) = value else {
        return Err(NotAnAnswer::NotAnObject);
    };
    if duplicate_member(line).is_some() {
        return Err(NotAnAnswer::Twice);
    }
    if members.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
        return Err(NotAnAnswer::Version);
    }
    if members.contains_key("method") {
        return Err(NotAnAnswer::Request);
    }
    let id = members.get("id").and_then(Value::as_u64).ok_or(NotAnAnswer::Id)?;
    let outcome = match (members.shift_remove("result"), members.shift_remove("error")) {
        (Some(result), None) => Ok(result),
        (None, Some(Value::Object(error))) => Err(ErrorObject::from_members(error)),
        (None, Some(_)) => return Err(NotAnAnswer::Error),
        (None, None) => return Err(NotAnAnswer::Neither),
        (Some(_), Some(_)) => return Err(NotAnAnswer::Both),
    };
    Ok(Answer { id, outcome })
}

impl ErrorObject {
    fn from_members(mut members: Map<String, Value>) -> Self {
        let message = match members.shift_remove("message") {
            Some(Value::String(message)) => message,
            _ => String::new(),
        };
        let data = match members.shift_remove("data") {
            Some(Value::Object(data)) => data,
            _ => Map::new(),
        };
        Self { code: members.get("code").and_then(Value::as_i64).unwrap_or_default(), message, data }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn refused(line: &str) -> NotAnAnswer {
        match parse_answer(line.as_bytes()) {
            Ok(_) => panic!("taken for an answer: {line}"),
            Err(error) => error,
        }
    }

    #[test]
    fn result_is_parsed_with_its_id() {
        let answer = parse_answer(br#" {"jsonrpc":"2.0","id":7,"result":null} "#).ok().unwrap();
        assert_eq!(answer.id, 7);
        assert_eq!(answer.outcome.ok(), Some(Value::Null));
    }

    #[test]
    fn error_with_missing_fields_is_parsed() {
        let answer = parse_answer(br#"{"jsonrpc":"2.0","id":0,"error":{}}"#).ok().unwrap();
        let error = answer.outcome.err().unwrap();
        assert_eq!((error.code, error.message.as_str(), error.data.len()), (0, "", 0));
        let line =
            br#"{"jsonrpc":"2.0","id":0,"error":{"code":-5,"message":"no","data":{"code":"TIMEOUT"}}}"#;
        let error = parse_answer(line).ok().unwrap().outcome.err().unwrap();
        assert_eq!((error.code, error.message.as_str()), (-5, "no"));
        assert_eq!(error.data["code"], "TIMEOUT");
    }

    #[test]
    fn invalid_response_has_a_reason() {
        for (line, why) in [
            ("", NotAnAnswer::NotJson),
            ("connecting to HR…", NotAnAnswer::NotJson),
            (r#"{"jsonrpc":"2.0","id":1,"result":{}"#, NotAnAnswer::NotJson),
            (r#"{"jsonrpc":"2.0","id":1,"result":{}} x"#, NotAnAnswer::NotJson),
            ("17", NotAnAnswer::NotAnObject),
            (r#"[{"jsonrpc":"2.0","id":1,"result":{}}]"#, NotAnAnswer::NotAnObject),
            (
                r#"{"jsonrpc":"2.0","id":1,"result":{"records":[{"id":"u1"}],"records":[],"next":null}}"#,
                NotAnAnswer::Twice,
            ),
            (r#"{"jsonrpc":"2.0","id":1,"id":2,"result":{}}"#, NotAnAnswer::Twice),
            (r#"{"id":1,"result":{}}"#, NotAnAnswer::Version),
            (r#"{"jsonrpc":2.0,"id":1,"result":{}}"#, NotAnAnswer::Version),
            (r#"{"jsonrpc":"2.0","method":"log"}"#, NotAnAnswer::Request),
            (r#"{"jsonrpc":"2.0","id":null,"error":{}}"#, NotAnAnswer::Id),
            (r#"{"jsonrpc":"2.0","id":"1","result":{}}"#, NotAnAnswer::Id),
            (r#"{"jsonrpc":"2.0","id":-1,"result":{}}"#, NotAnAnswer::Id),
            (r#"{"jsonrpc":"2.0","id":1.5,"result":{}}"#, NotAnAnswer::Id),
            (r#"{"jsonrpc":"2.0","result":{}}"#, NotAnAnswer::Id),
            (r#"{"jsonrpc":"2.0","id":1}"#, NotAnAnswer::Neither),
            (r#"{"jsonrpc":"2.0","id":1,"result":null,"error":null}"#, NotAnAnswer::Both),
            (r#"{"jsonrpc":"2.0","id":1,"error":"no"}"#, NotAnAnswer::Error),
            (r#"{"jsonrpc":"2.0","id":1,"error":null}"#, NotAnAnswer::Error),
        ] {
            assert_eq!(refused(line), why, "{line}");
        }
    }

    #[test]
    fn deeply_nested_line_is_rejected() {
        assert_eq!(refused(&"[".repeat(1_000_000)), NotAnAnswer::NotJson);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic_the_parser(line: Vec<u8>) {
            drop(parse_answer(&line));
        }

        #[test]
        fn damaged_response_never_panics_or_changes_its_id(at in 0_usize..60, byte: u8) {
            let mut line = br#"{"jsonrpc":"2.0","id":1234,"result":{"a":[1,null,"x"]}}     "#.to_vec();
            line[at] = byte;
            // Only a damaged number may be parsed as another number.
            if let Ok(answer) = parse_answer(&line) {
                prop_assert!(answer.id == 1234 || byte.is_ascii_digit() || byte.is_ascii_whitespace());
            }
        }

        #[test]
        fn request_is_always_one_line(id: u64, text: String) {
            let line = request_line(id, "check", &json!({ "text": text }));
            prop_assert_eq!(line.iter().position(|byte| *byte == b'\n'), Some(line.len() - 1));
            let read: Value = serde_json::from_slice(&line).unwrap();
            prop_assert_eq!(read["id"].as_u64(), Some(id));
            prop_assert_eq!(read["params"]["text"].as_str(), Some(text.as_str()));
        }
    }
}
