//! Adds the defaults to the tree for display; reading does not need them.

use serde_json::Value as Json;

use super::keys::{Keys, Kind};
use super::origin::Origin;
use super::tree::{Entry, SourcedValue, Table, Value};

/// Adds a default wherever nothing is configured. A table that has an effect only when it is present, such as `network`, gets no defaults.
pub(super) fn fill(node: &mut SourcedValue, keys: Keys<'_>) {
    let Some(table) = node.as_table_mut() else {
        return;
    };
    if keys.kind() == Kind::Map {
        for (name, entry) in table {
            if let Some(keys) = keys.child(name) {
                fill(&mut entry.node, keys);
            }
        }
        return;
    }
    let required: Vec<&str> = keys.required().collect();
    for name in keys.names() {
        let Some(child) = keys.child(name) else { continue };
        let default = match child.kind() {
            Kind::Table if required.contains(&name) => Some(SourcedValue::default()),
            Kind::Map => None,
            _ => child.default().and_then(node_of),
        };
        if let Some(known) = table.get_mut(name) {
            if default.is_some() || child.kind() == Kind::Map {
                fill(&mut known.node, child);
            }
        } else if let Some(mut node) = default.filter(|_| name != "every" || !table.contains_key("cron")) {
            fill(&mut node, child);
            table.insert(name.to_owned(), Entry { key_origin: Origin::Default, node });
        }
    }
}

fn node_of(default: &Json) -> Option<SourcedValue> {
    let value = match default {
        Json::Null => return None,
        Json::Bool(truth) => Value::Boolean(*truth),
        Json::Number(number) => match number.as_i64() {
            Some(number) => Value::Integer(number),
            None => Value::Float(number.as_f64()?),
        },
        Json::String(text) => Value::String(text.clone()),
        Json::Array(items) => Value::Array(items.iter().filter_map(node_of).collect()),
        Json::Object(fields) => {
            let entry = |(name, value): (&String, &Json)| {
                Some((name.clone(), Entry { key_origin: Origin::Default, node: node_of(value)? }))
            };
            Value::Table(fields.iter().filter_map(entry).collect::<Table>())
        }
    };
    Some(SourcedValue { origin: Origin::Default, value })
}
