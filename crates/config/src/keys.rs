//! The known keys, from the schema: the only source for them, for files and environment alike.

use bridgehead_sdk::nearest;
use serde_json::Value;

use super::{conformance, secret, target};

/// An extension of the schema: what to write if the key is missing.
pub(super) const MISSING: &str = "x-missing";

/// A location in a JSON schema.
#[derive(Clone, Copy)]
pub(super) struct Keys<'a> {
    schema: &'a Value,
    root: &'a Value,
}

/// The kind of value that is allowed at a location.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A table whose keys are fixed.
    Table,
    /// A table whose keys the operator chooses.
    Map,
    /// A table that is defined elsewhere, such as an app's `target`.
    Free,
    /// A reference to a secret.
    Secret,
    /// A value.
    Leaf,
}

impl<'a> Keys<'a> {
    pub(super) fn of(root: &'a Value) -> Self {
        Self { schema: root, root }.resolved()
    }

    /// Follows references, and the only alternative of an optional value that is not `null`.
    fn resolved(mut self) -> Self {
        // A schema may be recursive; no valid one has this many references without a key in between.
        for _ in 0..16 {
            let next = if let Some(pointer) = self.schema.get("$ref").and_then(Value::as_str) {
                self.root.pointer(pointer.trim_start_matches('#'))
            } else {
                let alternatives = self.schema.get("anyOf").and_then(Value::as_array);
                let mut real = alternatives
                    .into_iter()
                    .flatten()
                    .filter(|one| one.get("type") != Some(&Value::from("null")));
                match (real.next(), real.next()) {
                    (Some(only), None) => Some(only),
                    _ => None,
                }
            };
            match next {
                Some(schema) => self.schema = schema,
                None => break,
            }
        }
        self
    }

    pub(super) fn kind(self) -> Kind {
        let title = self.schema.get("title").and_then(Value::as_str);
        if title == Some(secret::SECRET) {
            Kind::Secret
        } else if title == Some(target::TARGET) || title == Some(conformance::TABLE) {
            Kind::Free
        } else if self.schema.get("properties").is_some() {
            Kind::Table
        } else if self.schema.get("additionalProperties").is_some_and(Value::is_object) {
            Kind::Map
        } else {
            Kind::Leaf
        }
    }

    /// The names of the known keys.
    pub(super) fn names(self) -> Vec<&'a str> {
        if self.kind() == Kind::Secret {
            return secret::KINDS.to_vec();
        }
        let properties = self.schema.get("properties").and_then(Value::as_object);
        properties.into_iter().flatten().map(|(name, _)| name.as_str()).collect()
    }

    /// The allowed strings, if the value is an enumeration.
    pub(super) fn words(self) -> Vec<&'a str> {
        let words = |schema: &'a Value| {
            let listed = schema.get("enum").and_then(Value::as_array).into_iter().flatten();
            listed.chain(schema.get("const")).filter_map(Value::as_str).collect::<Vec<_>>()
        };
        let alternatives = self.schema.get("oneOf").and_then(Value::as_array);
        let mut found = words(self.schema);
        found.extend(alternatives.into_iter().flatten().flat_map(words));
        found
    }

    /// The location below a name, if the name is known.
    pub(super) fn child(self, name: &str) -> Option<Self> {
        let schema = match self.kind() {
            Kind::Map => self.schema.get("additionalProperties"),
            _ => self.schema.get("properties").and_then(|properties| properties.get(name)),
        };
        schema.map(|schema| Self { schema, ..self }.resolved())
    }

    /// The location of list items.
    pub(super) fn item(self) -> Option<Self> {
        self.schema.get("items").map(|schema| Self { schema, ..self }.resolved())
    }

    /// The names of the required keys.
    pub(super) fn required(self) -> impl Iterator<Item = &'a str> {
        let required = self.schema.get("required").and_then(Value::as_array);
        required.into_iter().flatten().filter_map(Value::as_str)
    }

    /// The default value; for a table, its entire content.
    pub(super) fn default(self) -> Option<&'a Value> {
        self.schema.get("default")
    }

    /// A valid value.
    pub(super) fn example(self) -> Option<&'a Value> {
        let says = |value: &&Value| !value.is_null() && !value.as_array().is_some_and(Vec::is_empty);
        let first = |list: &str| self.schema.get(list).and_then(|list| list.get(0));
        self.default().filter(says).or_else(|| first("examples")).or_else(|| first("enum"))
    }

    /// What to write if the key is missing, from its description.
    pub(super) fn when_missing(self) -> Option<&'a str> {
        self.schema.get(MISSING).and_then(Value::as_str)
    }

    /// The minimum and maximum value, if the schema has them.
    pub(super) fn bounds(self) -> [Option<&'a Value>; 2] {
        ["minimum", "maximum"].map(|bound| self.schema.get(bound))
    }

    /// The type in JSON Schema's terms.
    pub(super) fn json_type(self) -> &'a str {
        self.schema.get("type").and_then(Value::as_str).unwrap_or_default()
    }
}

/// The message for an unknown name, with the known ones.
pub(super) fn unknown(what: &str, name: &str, known: &[&str]) -> String {
    not_known(what, nearest(name, known.iter().copied()), known)
}

/// The same if the nearest known name was already determined.
pub(super) fn not_known(what: &str, near: Option<&str>, known: &[&str]) -> String {
    match near {
        Some(near) => format!("unknown {what}; did you mean '{near}'?"),
        None if known.is_empty() => format!("unknown {what}; no keys are allowed here"),
        None => format!("unknown {what}; known keys are {}", known.join(", ")),
    }
}
