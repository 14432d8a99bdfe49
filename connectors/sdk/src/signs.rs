//! The usual signs in a response that something went wrong, although its status or its form reports success.
//!
//! A target that fails halfway and responds with success nearly always shows this in a member of the response. If it were ignored, a change
//! that was not made would be reported as made, and a part of a list would look like all of it.

use serde_json::{Map, Value};

/// Members that are empty if all is good.
const FAULTS: [&str; 8] =
    ["error", "errors", "usererrors", "fault", "exception", "errormessage", "errorcode", "timedout"];

/// Members whose value is a word for the result, and the words for failure.
const OUTCOME: [&str; 2] = ["status", "result"];
const BADLY: [&str; 8] = ["error", "fail", "failed", "failure", "unsuccessful", "denied", "rejected", "ko"];

/// Members that repeat the HTTP status.
const CODES: [&str; 3] = ["status", "statuscode", "httpstatus"];

/// Members that are true if all is good.
const SUCCESS: [&str; 4] = ["ok", "success", "successful", "succeeded"];

/// The values of a member that mean no.
const NO: [&str; 4] = ["false", "no", "0", "n"];

/// Common members that wrap a response, and how deeply they are searched.
const ENVELOPES: [&str; 8] = ["data", "d", "result", "results", "response", "responses", "body", "meta"];
const DEEPEST: usize = 4;

/// A sign in the response to a change that it was not made: a member such as `error` or `"success": false`, also inside an envelope or a
/// list of results. Returns the path of the member in quotes, never its value.
///
/// ```
/// use bridgehead_sdk::fault_in;
/// use serde_json::json;
///
/// assert_eq!(fault_in(&json!({ "result": { "ok": false } })).as_deref(), Some("'result.ok'"));
/// assert_eq!(fault_in(&json!({ "id": 7, "error": null })), None);
/// ```
pub fn fault_in(answer: &Value) -> Option<String> {
    within(answer, DEEPEST).map(|path| format!("'{path}'"))
}

/// A sign next to a list of records that the list is not complete. The records are not searched, because a member of a record may have any
/// meaning.
pub fn fault_beside_records(answer: &Map<String, Value>) -> Option<String> {
    own_fault(answer).map(|name| format!("'{name}'"))
}

fn own_fault(members: &Map<String, Value>) -> Option<&String> {
    members.iter().find(|(name, value)| is_fault(&plain(name), value)).map(|(name, _)| name)
}

fn within(answer: &Value, depth: usize) -> Option<String> {
    let members = match answer {
        Value::Array(parts) => {
            let depth = depth.checked_sub(1)?;
            return parts.iter().find_map(|part| within(part, depth));
        }
        Value::Object(members) => members,
        _ => return None,
    };
    if let Some(name) = own_fault(members) {
        return Some(name.clone());
    }
    // A single member is an envelope, whatever its name is.
    let is_alone = members.len() == 1;
    let depth = depth.checked_sub(1)?;
    let mut inner = members.iter().filter(|(name, _)| is_alone || is_envelope(&plain(name)));
    inner.find_map(|(name, part)| Some(format!("{name}.{}", within(part, depth)?)))
}

/// Whether a member with this name, normalized by [`plain`], is searched for signs itself.
#[doc(hidden)]
pub fn is_envelope(name: &str) -> bool {
    ENVELOPES.contains(&name)
}

/// Whether a member with this name, normalized by [`plain`], may report a problem.
#[doc(hidden)]
pub fn may_be_fault(name: &str) -> bool {
    [&FAULTS[..], &OUTCOME, &CODES, &SUCCESS].iter().any(|names| names.contains(&name))
}

/// Whether a member reports a problem; `name` is normalized by [`plain`].
#[doc(hidden)]
pub fn is_fault(name: &str, value: &Value) -> bool {
    FAULTS.contains(&name) && says_something(value)
        || OUTCOME.contains(&name) && is_bad(value)
        || CODES.contains(&name) && value.as_i64().is_some_and(|code| (400..600).contains(&code))
        || SUCCESS.contains(&name) && is_no(value)
}

/// A name without differences of spelling: `X-Total-Count`, `total_count` and `totalCount` become equal.
#[doc(hidden)]
pub fn plain(name: &str) -> String {
    let letters: String =
        name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    if let Some(rest) = letters.strip_prefix("xms") {
        return rest.to_owned();
    }
    let prefixed = ["xtotal", "xnext", "xhas", "xwp", "xcontinuation", "xcount"];
    match letters.strip_prefix('x') {
        Some(rest) if prefixed.iter().any(|prefix| letters.starts_with(prefix)) => rest.to_owned(),
        _ => letters,
    }
}

/// Whether a value is more than an empty one or a word for "nothing".
#[doc(hidden)]
pub fn says_something(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(truth) => *truth,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => {
            let text = text.trim().to_ascii_lowercase();
            !["", "0", "ok", "none", "null", "false", "success", "no error"].contains(&text.as_str())
        }
        Value::Array(items) => !items.is_empty(),
        // A link without an address is not a link.
        Value::Object(members) => members.values().any(says_something),
    }
}

fn is_no(value: &Value) -> bool {
    match value {
        Value::Bool(truth) => !truth,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(word) => NO.contains(&word.trim().to_ascii_lowercase().as_str()) || is_bad(value),
        _ => false,
    }
}

fn is_bad(value: &Value) -> bool {
    value.as_str().is_some_and(|word| BADLY.contains(&word.trim().to_ascii_lowercase().as_str()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn field_names_are_normalized() {
        for (name, plainly) in [
            ("X-Total-Count", "totalcount"),
            ("total_count", "totalcount"),
            ("@odata.nextLink", "odatanextlink"),
            ("x-next-page", "nextpage"),
            ("X-WP-Total", "wptotal"),
            ("x-ms-continuation", "continuation"),
            ("xerox", "xerox"),
        ] {
            assert_eq!(plain(name), plainly);
        }
    }

    #[test]
    fn empty_values_carry_no_sign() {
        for nothing in [
            json!(null),
            json!(""),
            json!("OK"),
            json!(0),
            json!([]),
            json!({}),
            json!({ "href": null }),
            json!(false),
        ] {
            assert!(!says_something(&nothing), "{nothing}");
        }
        for something in [json!("x"), json!(2), json!([1]), json!({ "href": "/x" }), json!(true)] {
            assert!(says_something(&something), "{something}");
        }
    }

    #[test]
    fn only_well_known_words_are_error_statuses() {
        for (word, bad) in [("error", true), ("Failed", true), ("active", false), ("success", false)] {
            assert_eq!(is_bad(&Value::from(word)), bad, "{word}");
        }
    }

    #[test]
    fn failure_signs_are_found_at_any_depth() {
        let fault = |json: &str| fault_in(&serde_json::from_str(json).unwrap());
        for (answer, sign) in [
            (r#"{ "error": "no" }"#, "'error'"),
            (r#"{ "error": { "code": 1 } }"#, "'error'"),
            (r#"{ "errors": ["no"] }"#, "'errors'"),
            (r#"{ "success": false }"#, "'success'"),
            (r#"{ "success": "false" }"#, "'success'"),
            (r#"{ "Succeeded": "No" }"#, "'Succeeded'"),
            (r#"{ "ok": 0 }"#, "'ok'"),
            (r#"{ "status": "Failed" }"#, "'status'"),
            (r#"{ "status": 403, "message": "no" }"#, "'status'"),
            (r#"{ "statusCode": 500 }"#, "'statusCode'"),
            (r#"{ "result": "error" }"#, "'result'"),
            (r#"{ "id": 1, "result": { "ok": false } }"#, "'result.ok'"),
            (
                r#"{ "data": { "userUpdate": { "user": null, "userErrors": [{ "field": "x" }] } } }"#,
                "'data.userUpdate.userErrors'",
            ),
            (r#"{ "results": [{ "ok": true }, { "error": "no" }] }"#, "'results.error'"),
            (r#"[{ "id": 1 }, { "success": false }]"#, "'success'"),
        ] {
            assert_eq!(fault(answer).as_deref(), Some(sign), "{answer}");
        }
        for answer in [
            "{}",
            "[]",
            "null",
            r#"{ "error": null, "errors": [], "ok": true, "success": 1, "status": "active", "result": "ok" }"#,
            r#"{ "status": 200, "statusCode": "204" }"#,
            r#"{ "status": 7 }"#,
            r#"{ "success": "yes" }"#,
            // These belong to the account itself.
            r#"{ "id": 1, "name": "ann", "last_login": { "ok": false, "error": "wrong password" } }"#,
        ] {
            assert_eq!(fault(answer), None, "{answer}");
        }
    }

    #[test]
    fn records_of_a_list_are_not_searched() {
        let fault = |answer: Value| fault_beside_records(answer.as_object().unwrap());
        assert_eq!(fault(json!({ "people": [], "error": "busy" })).as_deref(), Some("'error'"));
        assert_eq!(fault(json!({ "people": [{ "ok": false, "error": "wrong password" }] })), None);
    }
}
