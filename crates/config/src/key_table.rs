//! Renders a schema as a Markdown table of keys, as in the pages in `docs/`.

use std::collections::{BTreeMap, BTreeSet};

use bridgehead_sdk::is_secret_name;
use serde_json::Value;

use super::{Connectors, schema};

/// The keys of a connector's `target`; `None` if there is no such connector.
pub fn target_keys(connectors: &Connectors, connector: &str) -> Option<String> {
    let schema = connectors.get(connector)?.schema();
    let mut table = Table::of(&schema);
    table.add("rate_limit", RATE_LIMIT);
    Some(table.to_markdown())
}

/// The keys of `[apps.NAME.conformance]`.
pub fn conformance_keys() -> String {
    let schema = schema::document();
    let place = schema.pointer("/properties/apps/additionalProperties/properties/conformance");
    Table::of(place.unwrap_or(&Value::Null)).to_markdown()
}

/// Every connector has this key, and no connector knows it.
const RATE_LIMIT: &str =
    "How fast to call the target, such as `{ per_second = 20, burst = 20 }`. Unlimited when absent.";

struct Row {
    key: String,
    kind: String,
    default: String,
    meaning: String,
}

/// The possible types of a value, and the keys within it.
#[derive(Default)]
struct Shape<'a> {
    kinds: Vec<String>,
    /// The path after the key, the schema of the table there, and the condition for it.
    tables: Vec<(&'static str, &'a Value, String)>,
}

struct Table<'a> {
    root: &'a Value,
    rows: Vec<Row>,
    /// The definitions that are being described: a schema may be recursive.
    within: Vec<&'a str>,
    /// The definitions of tables that were already described, and the key where: each is described once.
    described: BTreeMap<&'a str, String>,
    /// The key that is being described.
    current: String,
}

impl<'a> Table<'a> {
    fn of(schema: &'a Value) -> Self {
        let mut table = Self {
            root: schema,
            rows: Vec::new(),
            within: Vec::new(),
            described: BTreeMap::new(),
            current: String::new(),
        };
        table.keys("", schema, "");
        table
    }

    /// Adds a table of numbers that is not in any schema.
    fn add(&mut self, key: &str, meaning: &str) {
        let row = Row {
            key: key.to_owned(),
            kind: "table".to_owned(),
            default: String::new(),
            meaning: meaning.to_owned(),
        };
        self.rows.push(row);
    }

    /// Adds a row for each key of a table, and for nested keys. `case` is the condition under which they exist.
    fn keys(&mut self, path: &str, schema: &'a Value, case: &str) {
        let required: BTreeSet<&str> = schema
            .get("required")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let properties = schema.get("properties").and_then(Value::as_object);
        for (name, property) in properties.into_iter().flatten() {
            let key = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            let depth = self.within.len();
            self.current.clone_from(&key);
            let shape = self.shape(property);
            let kind = match shape.kinds.as_slice() {
                [text] if text == "text" && is_secret_name(name) => "secret".to_owned(),
                [text]
                    if text == "text"
                        && property
                            .get("default")
                            .and_then(Value::as_str)
                            .and_then(iso_duration)
                            .is_some() =>
                {
                    "duration".to_owned()
                }
                kinds => kinds.join(" or "),
            };
            let meaning = match (property.get("const"), self.meaning(property)) {
                // A constant that distinguishes alternatives is described by the alternative.
                (Some(value), meaning) if meaning.is_empty() => {
                    let said = self.meaning(schema);
                    if said.is_empty() { said } else { format!("{}: {said}", code(value)) }
                }
                (_, meaning) if case.is_empty() || meaning.is_empty() => meaning,
                (_, meaning) => format!("{case}: {meaning}"),
            };
            let default = match (required.contains(name.as_str()), property.get("default")) {
                (true, _) => "required".to_owned(),
                (false, default) => default.map_or_else(String::new, shown),
            };
            self.put(Row { key: key.clone(), kind, default, meaning });
            for (suffix, table, case) in shape.tables {
                self.keys(&format!("{key}{suffix}"), table, &case);
            }
            self.within.truncate(depth);
        }
    }

    /// Adds a row. A key of several alternatives gets one row, which lists its meaning in each.
    fn put(&mut self, row: Row) {
        let Some(known) = self.rows.iter_mut().find(|known| known.key == row.key) else {
            self.rows.push(row);
            return;
        };
        if !known.kind.contains(&row.kind) {
            known.kind = format!("{} or {}", known.kind, row.kind);
        }
        if !known.meaning.contains(&row.meaning) {
            known.meaning = [known.meaning.as_str(), &row.meaning].join(" ").trim().into();
        }
    }

    fn shape(&mut self, schema: &'a Value) -> Shape<'a> {
        let mut shape = Shape::default();
        self.collect(schema, "", &mut shape);
        if shape.kinds.is_empty() {
            shape.kinds.push("anything".to_owned());
        }
        shape
    }

    /// Adds the types that a schema allows to a shape. `suffix` is the path from the key to the schema.
    fn collect(&mut self, schema: &'a Value, suffix: &'static str, shape: &mut Shape<'a>) {
        if let Some(pointer) = schema.get("$ref").and_then(Value::as_str) {
            let Some(definition) = self.root.pointer(pointer.trim_start_matches('#')) else { return };
            if self.within.contains(&pointer) {
                kind(shape, "table, as above");
                return;
            }
            self.within.push(pointer);
            let before = shape.tables.len();
            self.collect(definition, suffix, shape);
            if shape.tables.len() > before {
                self.once(pointer, before, shape);
            }
            return;
        }
        for keyword in ["anyOf", "oneOf", "allOf"] {
            for alternative in schema.get(keyword).and_then(Value::as_array).into_iter().flatten() {
                self.collect(alternative, suffix, shape);
            }
        }
        if let Some(constant) = schema.get("const") {
            kind(shape, &code(constant));
            return;
        }
        if let Some(values) = schema.get("enum").and_then(Value::as_array) {
            values.iter().filter(|value| !value.is_null()).for_each(|value| kind(shape, &code(value)));
            return;
        }
        let types: Vec<&str> = match schema.get("type") {
            Some(Value::String(one)) => vec![one],
            Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        for one in types {
            match one {
                "string" if is_duration(schema) => kind(shape, "duration"),
                "string" => kind(shape, "text"),
                "integer" => kind(shape, "whole number"),
                "number" => kind(shape, "number"),
                "boolean" => kind(shape, "true or false"),
                "array" => self.list(schema, suffix, shape),
                "object" => self.table(schema, suffix, shape),
                _ => {}
            }
        }
    }

    /// Leaves out the keys of a table that was already described at another key.
    fn once(&mut self, pointer: &'a str, before: usize, shape: &mut Shape<'a>) {
        let first = self.described.entry(pointer).or_insert_with(|| self.current.clone());
        if *first == self.current {
            return;
        }
        shape.tables.truncate(before);
        if let Some(table) = shape.kinds.iter_mut().find(|one| *one == "table") {
            *table = format!("table, as `{first}`");
        }
    }

    fn list(&mut self, schema: &'a Value, suffix: &'static str, shape: &mut Shape<'a>) {
        let Some(items) = schema.get("items").filter(|items| items.is_object()) else {
            kind(shape, "list");
            return;
        };
        let item = self.shape(items);
        kind(
            shape,
            &format!("list of {}", item.kinds.iter().map(|one| plural(one)).collect::<Vec<_>>().join(" or ")),
        );
        // Nested lists are too complex for a key path.
        if suffix.is_empty() {
            shape.tables.extend(
                item.tables
                    .into_iter()
                    .filter(|(below, ..)| below.is_empty())
                    .map(|(_, table, case)| ("[]", table, case)),
            );
        }
    }

    fn table(&mut self, schema: &'a Value, suffix: &'static str, shape: &mut Shape<'a>) {
        if schema.get("properties").is_some() {
            kind(shape, "table");
            shape.tables.push((suffix, schema, case(schema)));
            return;
        }
        let Some(values) = schema.get("additionalProperties").filter(|values| values.is_object()) else {
            kind(shape, "table");
            return;
        };
        let value = self.shape(values);
        if value.kinds.as_slice() == ["anything"] {
            kind(shape, "table");
        } else {
            kind(
                shape,
                &format!(
                    "table of {}",
                    value.kinds.iter().map(|one| plural(one)).collect::<Vec<_>>().join(" or ")
                ),
            );
        }
        if suffix.is_empty() {
            let below = value.tables.into_iter().filter(|(below, ..)| below.is_empty());
            shape.tables.extend(below.map(|(_, table, case)| (".NAME", table, case)));
        }
    }

    /// The description of a key, or of its type if the key has none.
    fn meaning(&self, schema: &Value) -> String {
        let said = |schema: &Value| schema.get("description").and_then(Value::as_str).map(str::to_owned);
        let pointer = schema.get("$ref").and_then(Value::as_str);
        let definition = pointer.and_then(|pointer| self.root.pointer(pointer.trim_start_matches('#')));
        said(schema).or_else(|| said(definition?)).unwrap_or_default()
    }

    fn to_markdown(&self) -> String {
        let cell = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|");
        let row = |Row { key, kind, default, meaning }: &Row| {
            format!("| `{key}` | {} | {} | {} |", cell(kind), cell(default), cell(meaning))
        };
        let heading = ["| key | type | default | meaning |", "|---|---|---|---|"].map(str::to_owned);
        let lines: Vec<String> = heading.into_iter().chain(self.rows.iter().map(row)).collect();
        lines.join("\n") + "\n"
    }
}

fn kind(shape: &mut Shape<'_>, one: &str) {
    if one != "null" && !shape.kinds.iter().any(|known| known == one) {
        shape.kinds.push(one.to_owned());
    }
}

/// The condition under which a table is the selected alternative: the value of its tag, if it has one.
fn case(schema: &Value) -> String {
    let properties = schema.get("properties").and_then(Value::as_object);
    let tag = |(name, property): (&String, &Value)| {
        property.get("const").map(|value| format!("With `{name} = {value}`"))
    };
    properties.into_iter().flatten().find_map(tag).unwrap_or_default()
}

fn is_duration(schema: &Value) -> bool {
    let example = schema.get("examples").and_then(|examples| examples.get(0)).and_then(Value::as_str);
    example.is_some_and(|example| example.parse::<jiff::SignedDuration>().is_ok())
}

fn plural(kind: &str) -> String {
    match kind {
        "anything" | "true or false" => kind.to_owned(),
        kind if kind.starts_with('`') => kind.to_owned(),
        kind if kind.starts_with("table, as") => kind.replacen("table", "tables", 1),
        kind => match kind.split_once(' ') {
            Some((first @ ("list" | "table"), rest)) => format!("{first}s {rest}"),
            _ => format!("{kind}s"),
        },
    }
}

fn code(value: &Value) -> String {
    format!("`{value}`")
}

/// A default that is short enough to show.
fn shown(default: &Value) -> String {
    match default {
        Value::Null => String::new(),
        Value::Object(fields) if !fields.is_empty() => String::new(),
        Value::Array(items) if items.iter().any(|item| item.is_object() || item.is_array()) => String::new(),
        Value::String(text) => match iso_duration(text) {
            Some(duration) => format!("`\"{duration}\"`"),
            None => code(default),
        },
        value => code(value),
    }
}

/// Converts an ISO 8601 duration to the format that people use.
fn iso_duration(text: &str) -> Option<String> {
    let duration: jiff::SignedDuration = text.strip_prefix('P').and_then(|_| text.parse().ok())?;
    Some(jiff::fmt::friendly::SpanPrinter::new().duration_to_string(&duration))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nested_schema_is_flattened_to_dotted_keys() {
        let schema = json!({
            "type": "object",
            "properties": {
                "url": { "type": "string", "description": "Where it is.\nWith a | in it." },
                "password": { "type": ["string", "null"], "description": "For the user.", "default": null },
                "depth": { "$ref": "#/$defs/Depth", "default": "subtree" },
                "pool": { "anyOf": [{ "$ref": "#/$defs/Pool" }, { "type": "null" }], "description": "The pool." },
                "groups": { "type": "array", "items": { "$ref": "#/$defs/Group" }, "default": [] },
                "fields": { "type": "object", "additionalProperties": { "type": "string" }, "default": {} },
                "requests": { "type": "object", "additionalProperties": { "$ref": "#/$defs/Pool" } },
                "settings": { "type": "object", "additionalProperties": true },
                "auth": { "oneOf": [
                    { "type": "object", "description": "A user.", "required": ["type"], "properties": {
                        "type": { "const": "basic" }, "user": { "type": "string", "description": "Who." } } },
                    { "type": "object", "description": "A token.", "required": ["type"], "properties": {
                        "type": { "const": "bearer" }, "token": { "type": "string", "description": "The token." } } },
                ] },
                "licenses": { "type": "array", "items": { "$ref": "#/$defs/Group" } },
                "latency": { "type": "string", "default": "PT90S" },
                "tree": { "$ref": "#/$defs/Tree" },
            },
            "required": ["url"],
            "$defs": {
                "Depth": { "description": "How deep.", "oneOf": [{ "const": "subtree" }, { "const": "one_level" }] },
                "Pool": { "type": "object", "properties": {
                    "size": { "type": "integer", "default": 4, "description": "How many." },
                    "timeout": { "type": "string", "examples": ["30s"] } } },
                "Group": { "type": "object", "required": ["slug"], "properties": { "slug": { "type": "string" } } },
                "Tree": { "type": "object", "properties": { "tree": { "$ref": "#/$defs/Tree" } } },
            },
        });
        insta::assert_snapshot!(Table::of(&schema).to_markdown(), @r#"
        | key | type | default | meaning |
        |---|---|---|---|
        | `url` | text | required | Where it is. With a \| in it. |
        | `password` | secret |  | For the user. |
        | `depth` | `"subtree"` or `"one_level"` | `"subtree"` | How deep. |
        | `pool` | table |  | The pool. |
        | `pool.size` | whole number | `4` | How many. |
        | `pool.timeout` | duration |  |  |
        | `groups` | list of tables | `[]` |  |
        | `groups[].slug` | text | required |  |
        | `fields` | table of texts | `{}` |  |
        | `requests` | table of tables, as `pool` |  |  |
        | `settings` | table |  |  |
        | `auth` | table |  |  |
        | `auth.type` | `"basic"` or `"bearer"` | required | `"basic"`: A user. `"bearer"`: A token. |
        | `auth.user` | text |  | With `type = "basic"`: Who. |
        | `auth.token` | secret |  | With `type = "bearer"`: The token. |
        | `licenses` | list of tables, as `groups` |  |  |
        | `latency` | duration | `"1m 30s"` |  |
        | `tree` | table |  |  |
        | `tree.tree` | table, as above |  |  |
        "#);
    }

    #[test]
    fn the_keys_of_the_kits_table_are_those_that_are_read() {
        let table = conformance_keys();
        for key in ["account", "usable_refs", "address", "bad_credential", "cut_listing"] {
            assert!(table.contains(&format!("\n| `{key}` | ")), "{table}");
        }
        assert!(target_keys(&Connectors::new(), "file").is_none());
    }
}
