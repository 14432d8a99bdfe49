//! Reading with serde where the schema has no information.

use std::path::Path;

use serde::Deserialize;
use serde::de::value::StrDeserializer;

use crate::Error;
use crate::error::Diagnostics;
use crate::keys::Keys;
use crate::reader::{Fault, MOST, Reader};
use crate::tree::SourcedValue;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Undescribed {
    _number: u8,
    _word: Word,
    _rest: Vec<bool>,
}

#[derive(Debug, Deserialize)]
enum Word {
    One,
    Other,
}

fn read(text: &str) -> (Option<Undescribed>, Vec<String>) {
    let tree = SourcedValue::parse(Path::new("f"), text).unwrap();
    let problems = Diagnostics::default();
    let reader = Reader::new(&problems);
    let nothing = serde_json::json!({});
    let value = reader.root(&tree, Keys::of(&nothing)).read();
    (value, problems.take().iter().map(Error::to_string).collect())
}

/// Even without a schema, every rejection has a reason, and no value is repeated.
#[test]
fn serde_errors_are_reported_even_without_a_schema() {
    let (value, told) = read("_number = 300\n_word = \"hunter2\"\n_rest = [true, \"hunter2\", 5]\nmore = 1");
    assert!(value.is_none());
    insta::assert_snapshot!(told.join("\n"), @r#"
    f:1:11: _number: has an unexpected value; see the documentation
    f:2:9: _word: must be "One" or "Other"
    f:3:16: _rest[1]: has an unexpected value; see the documentation
    f:3:27: _rest[2]: has an unexpected value; see the documentation
    f:4:1: more: unknown key; known keys are _number, _word, _rest
    "#);
    insta::assert_snapshot!(read("_rest = []").1.join("\n"), @"f:1:1: _number: missing; write _number = …");
    let (value, told) = read("_number = 3\n_word = \"One\"\n_rest = [true]");
    assert!(told.is_empty() && matches!(value, Some(Undescribed { _word: Word::One, .. })), "{told:?}");
    assert!(matches!(Word::deserialize(StrDeserializer::<Fault>::new("Other")), Ok(Word::Other)));
}

#[test]
fn number_of_reported_errors_is_limited() {
    let (_, told) = read(&format!("_rest = [{}]", "1, ".repeat(MOST + 100)));
    assert_eq!(told.len(), MOST);
}
