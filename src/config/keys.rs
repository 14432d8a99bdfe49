//! Which keys there are, as the schema says: the one place that knows, for files and environment alike.

use bridgehead_sdk::nearest;
use serde_json::Value;

use super::error::Problems;
use super::tree::{Node, join};
use super::{document, secret};

/// A place in a JSON schema.
#[derive(Clone, Copy)]
pub(super) struct Keys<'a> {
    schema: &'a Value,
    root: &'a Value,
}

/// What may stand at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A table whose keys are fixed.
    Table,
    /// A table of things that the operator names.
    Map,
    /// A table that somebody else knows about, such as an app's `target`.
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

    /// Follows references, and the one alternative of an optional value that is not `null`.
    fn resolved(mut self) -> Self {
        // A schema may refer to itself; no honest one does so this often without a key between.
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
        if title == Some(document::SECRET) {
            Kind::Secret
        } else if title == Some(document::TARGET) || title == Some(document::TABLE) {
            Kind::Free
        } else if self.schema.get("properties").is_some() {
            Kind::Table
        } else if self.schema.get("additionalProperties").is_some_and(Value::is_object) {
            Kind::Map
        } else {
            Kind::Leaf
        }
    }

    /// The names of the keys that are known here.
    pub(super) fn names(self) -> Vec<&'a str> {
        if self.kind() == Kind::Secret {
            return secret::KINDS.to_vec();
        }
        let properties = self.schema.get("properties").and_then(Value::as_object);
        properties.into_iter().flatten().map(|(name, _)| name.as_str()).collect()
    }

    /// The words that may stand here, if it is words: those of an enumeration.
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

    /// What stands under a name here, if the name is known.
    pub(super) fn child(self, name: &str) -> Option<Self> {
        let schema = match self.kind() {
            Kind::Map => self.schema.get("additionalProperties"),
            _ => self.schema.get("properties").and_then(|properties| properties.get(name)),
        };
        schema.map(|schema| Self { schema, ..self }.resolved())
    }

    /// Reports every key that nobody knows.
    pub(super) fn check(self, node: &Node, path: &str, problems: &Problems) {
        let (Some(table), kind) = (node.as_table(), self.kind()) else {
            return;
        };
        if !matches!(kind, Kind::Table | Kind::Map) {
            return;
        }
        for (name, entry) in table {
            let path = join(path, name);
            match self.child(name) {
                Some(keys) => keys.check(&entry.node, &path, problems),
                None => {
                    problems.report(&entry.key_origin, path, unknown("key", name, &self.names()));
                }
            }
        }
    }
}

/// Says that a name is not known, and which one is.
pub(super) fn unknown(what: &str, name: &str, known: &[&str]) -> String {
    match nearest(name, known.iter().copied()) {
        Some(near) => format!("unknown {what}; did you mean '{near}'?"),
        None if known.is_empty() => format!("unknown {what}; there is none"),
        None => format!("unknown {what}; known are {}", known.join(", ")),
    }
}
