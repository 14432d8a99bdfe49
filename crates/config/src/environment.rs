//! The environment as a layer: `BRIDGEHEAD__BRIDGE__BASE_URL` is `bridge.base_url`.
//!
//! Names match known keys case-insensitively; so do apps that the files define, with `-` and `_` treated as equal. A value is parsed as
//! TOML if it is valid TOML (`8`, `true`, `["a"]`, `"8"`), otherwise it is a plain string.

use std::collections::BTreeMap;
use std::sync::Arc;

use bridgehead_sdk::nearest;

use super::error::Diagnostics;
use super::keys::{Keys, Kind, unknown};
use super::layers::Layers;
use super::origin::Origin;
use super::tree::{Entry, SourcedValue, Table, Value, join};
use super::{Connectors, Errors, ignored};

pub(super) const PREFIX: &str = "BRIDGEHEAD__";
const SEPARATOR: &str = "__";
/// Far deeper than any key; keeps a malformed variable from exhausting the stack.
const DEEPEST: usize = 32;

/// Applies the variables on top of the files, each as a separate layer. A variable that matches no key is reported and ignored.
pub(super) fn overlay(
    layers: &mut Layers,
    variables: &BTreeMap<String, String>,
    connectors: &Connectors,
    keys: Keys<'_>,
    problems: &Diagnostics,
) -> Result<(), Errors> {
    for (variable, text) in variables {
        let Some(name) = variable.strip_prefix(PREFIX) else {
            continue;
        };
        let variable: Arc<str> = variable.as_str().into();
        let origin = Origin::Environment { variable: variable.clone() };
        let segments: Vec<&str> = name.split(SEPARATOR).collect();
        match path(&layers.tree(), &segments, connectors, keys) {
            Ok(path) => {
                let mut node = SourcedValue::from_variable(&variable, text);
                let place = |table: &str, key: &str| matches!(path.as_slice(), [first, second, _] if first == table && second == key);
                if (place("bridge", "api_key")
                    || place("network", "proxy_password")
                    || place("admin", "token")
                    || place("state", "url"))
                    && node.as_str().is_none()
                {
                    // The name of a variable, file or credential is a string, even if it looks like a number.
                    node.value = Value::String(text.clone());
                }
                layers.add(nest(path, node, &origin))?;
            }
            Err((key, problem)) => {
                let tree = layers.tree();
                let apps = tree.get("apps").and_then(SourcedValue::as_table).into_iter();
                let apps: Vec<&str> = apps.flat_map(|table| table.keys().map(String::as_str)).collect();
                let meant = ignored::meant(name, &apps).filter(|meant| *meant != *variable);
                let advice = meant.map_or_else(String::new, |meant| {
                    format!(" (use two underscores between levels; write {meant})")
                });
                problems.report(&origin, key, problem + &advice);
            }
        }
    }
    Ok(())
}

fn nest(path: Vec<String>, node: SourcedValue, origin: &Origin) -> SourcedValue {
    path.into_iter().rev().fold(node, |node, name| SourcedValue {
        origin: origin.clone(),
        value: Value::Table(Table::from([(name, Entry { key_origin: origin.clone(), node })])),
    })
}

/// The path of the key that a variable refers to, spelled as in the files; or the valid part of the path, and what is wrong.
fn path(
    tree: &SourcedValue,
    segments: &[&str],
    connectors: &Connectors,
    mut keys: Keys<'_>,
) -> Result<Vec<String>, (String, String)> {
    let mut path: Vec<String> = Vec::new();
    if segments.len() > DEEPEST {
        return Err((shown(&path, "…"), "the configuration has no keys that deep".to_owned()));
    }
    let mut node = Some(tree);
    for (index, segment) in segments.iter().enumerate() {
        let name = match keys.kind() {
            _ if segment.is_empty() => Err("one level of the name is empty".to_owned()),
            Kind::Table | Kind::Secret => known(keys, segment),
            Kind::Map => app(node, segment),
            Kind::Leaf => Err("the parent key is a value, and cannot contain other keys".to_owned()),
            Kind::Free => {
                let connector = path.get(1).and_then(|app| tree.get("apps")?.get(app)?.get("connector"));
                let factory = connector.and_then(SourcedValue::as_str).and_then(|name| connectors.get(name));
                let schema = factory.map(|factory| factory.schema());
                path.extend(settings(node, [Some(keys), schema.as_ref().map(Keys::of)], &segments[index..]));
                return Ok(path);
            }
        };
        let name = name.map_err(|problem| (shown(&path, segment), problem))?;
        node = node.and_then(|node| node.get(&name));
        let Some(below) = keys.child(&name) else {
            path.push(name);
            // The schema has nothing below a secret except its kinds.
            return match segments.get(index + 1) {
                None => Ok(path),
                Some(next) => Err((
                    shown(&path, next),
                    "the parent key is a value, and cannot contain other keys".to_owned(),
                )),
            };
        };
        keys = below;
        path.push(name);
    }
    Ok(path)
}

fn shown(path: &[String], segment: &str) -> String {
    let above = path.iter().fold(String::new(), |shown, name| join(&shown, name));
    join(&above, &segment.to_lowercase())
}

fn known(keys: Keys<'_>, segment: &str) -> Result<String, String> {
    let names = keys.names();
    match names.iter().find(|name| name.eq_ignore_ascii_case(segment)) {
        Some(name) => Ok((*name).to_owned()),
        None => Err(unknown("key", &segment.to_lowercase(), &names)),
    }
}

/// The rest of a path after `target`. Keys that neither the files nor the connector know are in lower case; the connector reports them.
fn settings(
    mut node: Option<&SourcedValue>,
    mut keys: [Option<Keys<'_>>; 2],
    segments: &[&str],
) -> Vec<String> {
    let mut path = Vec::new();
    for segment in segments {
        let written = node
            .and_then(SourcedValue::as_table)
            .into_iter()
            .flat_map(|table| table.keys().map(String::as_str));
        let known = keys.iter().flatten().flat_map(|keys| keys.names());
        let name = written.chain(known).find(|name| alike(name, segment));
        let name = name.map_or_else(|| segment.to_lowercase(), str::to_owned);
        node = node.and_then(|node| node.get(&name));
        keys = keys.map(|keys| keys.and_then(|keys| keys.child(&name)));
        path.push(name);
    }
    path
}

fn alike(one: &str, other: &str) -> bool {
    let plain = |name: &str| name.to_lowercase().replace('-', "_");
    plain(one) == plain(other)
}

/// The app in the files that a variable refers to.
fn app(apps: Option<&SourcedValue>, segment: &str) -> Result<String, String> {
    let apps: Vec<&str> = apps
        .and_then(SourcedValue::as_table)
        .into_iter()
        .flat_map(|table| table.keys().map(String::as_str))
        .collect();
    let mut found = apps.iter().filter(|name| alike(name, segment));
    match (found.next(), found.next()) {
        (Some(name), None) => Ok((*name).to_owned()),
        (Some(one), Some(other)) => {
            Err(format!("may mean '{one}' or '{other}'; set the key in a file instead"))
        }
        (None, _) => {
            const ADVICE: &str = "an app must be defined in a file first";
            Err(match nearest(segment, apps.iter().copied()) {
                Some(near) => format!("unknown app; did you mean '{near}'? ({ADVICE})"),
                None => format!("unknown app; {ADVICE}"),
            })
        }
    }
}
