//! Invariants that hold for every input.

use std::cell::Cell;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use bridgehead_sdk::is_secret_name;
use serde_json::{Map, Value};

thread_local! {
    static MARK: Cell<u64> = const { Cell::new(0) };
}

/// Starts a run with an input. The mark that replaces secrets is derived from the input itself, so that no input can contain it, even if a
/// fuzzer traces comparisons. If the mark shows up in output, a secret leaked.
pub(crate) fn begin(data: &[u8]) {
    let mut hasher = DefaultHasher::new();
    data.hash(&mut hasher);
    // Sixteen digits, which every JSON parser reads as an integer.
    MARK.set(1_000_000_000_000_000 + hasher.finish() % 8_000_000_000_000_000);
}

/// The placeholder for a secret.
pub(crate) fn mark() -> String {
    format!("zq-{}-zq", MARK.get())
}

/// The value with a mark in place of every string and number under the name of a secret; `None` if there is none.
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

/// Asserts that the text shows no secret.
#[track_caller]
pub(crate) fn shows_no_secret(text: &str) {
    assert!(!text.contains(&MARK.get().to_string()), "shows a secret: {text}");
}

/// Asserts that an error is fit for a log: on one line, of limited length, and without a secret.
#[track_caller]
pub(crate) fn is_presentable(error: &str, longest: usize) {
    assert!(!error.is_empty(), "an error that says nothing");
    assert!(error.chars().count() <= longest, "{} characters: {error}", error.chars().count());
    assert!(!error.chars().any(char::is_control), "control characters: {error:?}");
    shows_no_secret(error);
}

/// Asserts that all fields except the `known` ones are unchanged.
#[track_caller]
pub(crate) fn keeps_fields(before: &Map<String, Value>, after: &Value, known: &[&str]) {
    for (name, value) in before.iter().filter(|(name, _)| !known.contains(&name.as_str())) {
        assert_eq!(after.get(name), Some(value), "the field {name:?} was not kept");
    }
}

/// The input as JSON, if it is valid.
pub(crate) fn json(data: &[u8]) -> Option<Value> {
    serde_json::from_slice(data).ok()
}
