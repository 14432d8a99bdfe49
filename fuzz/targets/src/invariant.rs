//! Promises that hold for every input.

use bridgehead_sdk::is_secret_name;
use serde_json::{Map, Value};

/// Stands for a secret. No input holds it by itself, so wherever it shows it was let through.
pub(crate) const MARK: &str = "zq-hunter2-zq";

/// The same as a number.
const NUMBER: u64 = 4_711_081_508_154_711;

/// The value with a mark in place of every text and number under the name of a secret; `None` if there is none, or if
/// the input holds the mark already.
pub(crate) fn tainted(mut value: Value) -> Option<Value> {
    if is_marked(&value.to_string()) {
        return None;
    }
    taint(&mut value, false).then_some(value)
}

fn taint(value: &mut Value, is_secret: bool) -> bool {
    match value {
        Value::String(text) if is_secret => {
            MARK.clone_into(text);
            true
        }
        Value::Number(_) if is_secret => {
            *value = NUMBER.into();
            true
        }
        Value::Array(items) => items.iter_mut().fold(false, |any, item| any | taint(item, is_secret)),
        Value::Object(fields) => fields
            .iter_mut()
            .fold(false, |any, (name, item)| any | taint(item, is_secret || is_secret_name(name))),
        _ => false,
    }
}

fn is_marked(text: &str) -> bool {
    text.contains(MARK) || text.contains(&NUMBER.to_string())
}

/// That a text shows no secret.
#[track_caller]
pub(crate) fn shows_no_secret(text: &str) {
    assert!(!is_marked(text), "shows a secret: {text}");
}

/// That an error is fit for a log: on one line, bounded, and without a secret.
#[track_caller]
pub(crate) fn is_presentable(error: &str, longest: usize) {
    assert!(!error.is_empty(), "an error that says nothing");
    assert!(error.chars().count() <= longest, "{} characters: {error}", error.chars().count());
    assert!(!error.chars().any(char::is_control), "control characters: {error:?}");
    shows_no_secret(error);
}

/// That all fields but the `known` ones came through as they were.
#[track_caller]
pub(crate) fn keeps_fields(before: &Map<String, Value>, after: &Value, known: &[&str]) {
    for (name, value) in before.iter().filter(|(name, _)| !known.contains(&name.as_str())) {
        assert_eq!(after.get(name), Some(value), "the field {name:?} was not kept");
    }
}

/// JSON, where it is JSON.
pub(crate) fn json(data: &[u8]) -> Option<Value> {
    serde_json::from_slice(data).ok()
}
