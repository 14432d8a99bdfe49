//! Validates JSON bodies, with Pydantic's error messages, because the Bridge API uses them too.

use serde_json::{Map, Value};

use super::refusal::Refusal;

pub(crate) type Fields = Map<String, Value>;

/// Parses a body that must be a JSON object.
pub(crate) fn object(body: &[u8]) -> Result<Fields, Refusal> {
    match serde_json::from_slice(body) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(_) => Err(Refusal::bad_request("Input should be a valid dictionary")),
        Err(error) => Err(Refusal::bad_request(format!("Invalid JSON: {error}"))),
    }
}

/// A required field.
pub(crate) fn required<'a>(fields: &'a Fields, name: &str) -> Result<&'a Value, Refusal> {
    fields.get(name).ok_or_else(|| Refusal::bad_request("Field required"))
}

/// A value that must be a non-empty string.
pub(crate) fn text(value: &Value) -> Result<&str, Refusal> {
    match value.as_str() {
        None => Err(Refusal::bad_request("Input should be a valid string")),
        Some("") => Err(Refusal::bad_request("String should have at least 1 character")),
        Some(text) => Ok(text),
    }
}

/// A value that must be a string of 1 to `most` characters.
pub(crate) fn text_up_to(value: &Value, most: usize) -> Result<&str, Refusal> {
    let text = text(value)?;
    if text.chars().count() > most {
        return Err(Refusal::bad_request(format!("String should have at most {most} characters")));
    }
    Ok(text)
}

/// A field that may be missing, null or a string, even an empty one.
pub(crate) fn optional_text<'a>(fields: &'a Fields, name: &str) -> Result<Option<&'a str>, Refusal> {
    match fields.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(Refusal::bad_request("Input should be a valid string")),
    }
}

/// A value that must be one of the allowed strings.
pub(crate) fn one_of(value: &Value, allowed: &[&'static str]) -> Result<&'static str, Refusal> {
    value
        .as_str()
        .and_then(|text| allowed.iter().copied().find(|one| *one == text))
        .ok_or_else(|| Refusal::bad_request(not_one_of(allowed)))
}

/// "Input should be 'a', 'b' or 'c'".
pub(crate) fn not_one_of(allowed: &[&str]) -> String {
    let quoted: Vec<String> = allowed.iter().map(|one| format!("'{one}'")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => {
            format!("Input should be {} or {last}", rest.join(", "))
        }
        _ => format!("Input should be {}", quoted.concat()),
    }
}
