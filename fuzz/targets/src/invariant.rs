//! Promises that hold for every input.

use std::cell::Cell;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use bridgehead_sdk::is_secret_name;
use serde_json::{Map, Value};

thread_local! {
    static MARK: Cell<u64> = const { Cell::new(0) };
}

/// Begins with an input. What stands for a secret is made of the input itself, so that no input can hold it, however
/// closely a fuzzer watches what it is compared with: wherever it shows, it was let through.
pub(crate) fn begin(data: &[u8]) {
    let mut hasher = DefaultHasher::new();
    data.hash(&mut hasher);
    // Sixteen digits, which every reader of JSON takes for a whole number.
    MARK.set(1_000_000_000_000_000 + hasher.finish() % 8_000_000_000_000_000);
}

/// Stands for a secret.
pub(crate) fn mark() -> String {
    format!("zq-{}-zq", MARK.get())
}

/// The value with a mark in place of every text and number under the name of a secret; `None` if there is none.
pub(crate) fn tainted(mut value: Value) -> Option<Value> {
    taint(&mut value, false).then_some(value)
}

fn taint(value: &mut Value, is_secret: bool) -> bool {
    match value {
        Value::String(text) if is_secret => {
            *text = mark();
            true
        }
        Value::Number(_) if is_secret => {
            *value = MARK.get().into();
            true
        }
        Value::Array(items) => items.iter_mut().fold(false, |any, item| any | taint(item, is_secret)),
        Value::Object(fields) => fields
            .iter_mut()
            .fold(false, |any, (name, item)| any | taint(item, is_secret || is_secret_name(name))),
        _ => false,
    }
}

/// That a text shows no secret.
#[track_caller]
pub(crate) fn shows_no_secret(text: &str) {
    assert!(!text.contains(&MARK.get().to_string()), "shows a secret: {text}");
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
