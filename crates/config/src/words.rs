//! Error messages for invalid values, created from the schema. None contains the value.

use serde_json::Value as Json;

use super::keys::{Keys, Kind, not_known};
use super::leaf::EXAMPLE;
use super::secret::PLAIN_TEXT;

/// The maximum number of allowed strings that an error lists.
const FEW: usize = 3;
/// The placeholder for the allowed strings, in the hint for a missing key.
const KNOWN: &str = "{known}";

/// The expected value at a location.
pub(super) fn expected(keys: Option<Keys<'_>>, path: &str, example: Option<&Json>) -> String {
    let Some(keys) = keys else {
        return "has an unexpected value; see the documentation".to_owned();
    };
    match keys.kind() {
        Kind::Secret => return PLAIN_TEXT.to_owned(),
        Kind::Table | Kind::Map | Kind::Free => {
            return format!("must be a table, such as one that starts with [{path}]");
        }
        Kind::Leaf => {}
    }
    let words = keys.words();
    match (words.as_slice(), keys.json_type()) {
        ([], "boolean") => "must be true or false, without quotes".to_owned(),
        ([], kind @ ("integer" | "number")) => {
            let kind = if kind == "integer" { "whole number" } else { "number" };
            match keys.bounds() {
                [Some(least), Some(most)] => format!("must be a {kind} between {least} and {most}"),
                [Some(least), None] => format!("must be a {kind}, at least {least}"),
                [_, _] => format!("must be a {kind}"),
            }
        }
        ([], "array") => with_example(&format!("must be a list such as {EXAMPLE}"), example),
        ([], _) => with_example(&format!("must be a quoted string, for example {EXAMPLE}"), example),
        (few, _) if few.len() <= FEW => one_of(few),
        ([first, ..], _) => format!("must be a quoted string, for example {first:?}"),
    }
}

/// The message for a string that is not allowed. `what` is the name of the type.
pub(super) fn unknown_word(what: &str, near: Option<&str>, known: &[&str]) -> String {
    match near {
        Some(near) if known.len() <= FEW => format!("{}; did you mean '{near}'?", one_of(known)),
        None if known.len() <= FEW => one_of(known),
        near => not_known(&what.to_lowercase(), near, known),
    }
}

fn one_of(words: &[&str]) -> String {
    format!("must be \"{}\"", words.join("\" or \""))
}

/// The message for a missing key, with what to write.
pub(super) fn missing(name: &str, keys: Option<Keys<'_>>) -> String {
    let advice = keys.and_then(Keys::when_missing).map(str::to_owned);
    let advice = advice
        .unwrap_or_else(|| with_example(&format!("write {name} = {EXAMPLE}"), keys.and_then(Keys::example)));
    let known = keys.map(Keys::words).unwrap_or_default();
    format!("missing; {}", advice.replace(KNOWN, &known.join(", ")))
}

/// The message of a type, with the key's example in its placeholder.
pub(super) fn with_example(words: &str, example: Option<&Json>) -> String {
    let example = example.map_or_else(|| "…".to_owned(), shown);
    words.replace(EXAMPLE, &example)
}

/// The value in TOML syntax.
fn shown(value: &Json) -> String {
    match value {
        Json::Array(items) => format!("[{}]", items.iter().map(shown).collect::<Vec<_>>().join(", ")),
        value => value.to_string(),
    }
}
