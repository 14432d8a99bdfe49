//! The merged layers, for `bridgehead config show`.

use std::collections::BTreeMap;

use bridgehead_sdk::{REDACTED, is_secret_name};
use serde_json::{Map, Value as Json};

use super::error::Diagnostics;
use super::keys::{Keys, Kind};
use super::origin::Origin;
use super::target::holds_password;
use super::tree::{Entry, SourcedValue, Table, Value, join, quoted};
use super::{Connectors, Document, Errors, Secret, Sources, defaults, layers, schema};

/// The configuration as merged from files, environment and defaults. References to secrets are shown as written; anything that may be a
/// secret in plain text is [`REDACTED`].
pub struct Shown {
    tree: SourcedValue,
    /// The schema, whose keys are in the order in which people write them.
    known: Json,
}

/// Merges the sources and shows the result.
///
/// Rules are not checked: a configuration that [`load`](super::load) rejects can be shown too.
pub fn show(sources: &Sources, connectors: &Connectors) -> Result<Shown, Errors> {
    show_documents(&sources.read()?, &sources.environment, connectors)
}

/// Does the same as [`show`] from strings.
#[doc(hidden)]
pub fn show_documents(
    documents: &[Document],
    environment: &BTreeMap<String, String>,
    connectors: &Connectors,
) -> Result<Shown, Errors> {
    let problems = Diagnostics::default();
    let known = schema::description(connectors);
    let keys = Keys::of(&known);
    let mut tree = layers::stack(documents, environment, connectors, keys, &problems)?;
    defaults::fill(&mut tree, keys);
    Errors::unless_empty(problems.take())?;
    Ok(Shown { tree: redact(&tree, Some(keys), false), known })
}

impl Shown {
    /// The configuration as TOML, optionally with a comment after each key that shows its origin.
    pub fn to_toml(&self, origins: bool) -> String {
        let mut text = String::new();
        if let Some(table) = self.tree.as_table() {
            write_table(&mut text, table, Some(Keys::of(&self.known)), "", origins);
        }
        text
    }

    /// The configuration as JSON.
    pub fn to_json(&self) -> Json {
        json(&self.tree, Some(Keys::of(&self.known)))
    }

    /// The origin of each key, by path, such as `bridge.base_url`.
    pub fn origins(&self) -> BTreeMap<String, Origin> {
        let mut origins = BTreeMap::new();
        collect_origins(&self.tree, "", &mut origins);
        origins
    }
}

impl std::fmt::Debug for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.to_toml(true))
    }
}

/// A copy without anything that may be a secret. `keys` is the schema of the location, and `secret` is whether the name of a parent
/// indicates a secret.
pub(super) fn redact(node: &SourcedValue, keys: Option<Keys<'_>>, secret: bool) -> SourcedValue {
    let kind = keys.map(Keys::kind);
    // A target itself is never a reference, and elsewhere the schema must allow one.
    let reference = node.is_secret_reference() && matches!(kind, None | Some(Kind::Secret));
    if reference && Secret::from_node(node).is_ok() {
        return node.clone();
    }
    // A malformed reference may be the secret itself.
    let secret = secret || reference || kind == Some(Kind::Secret);
    let value = match &node.value {
        Value::Table(table) => {
            let mut redacted = table.clone();
            for (name, entry) in &mut redacted {
                let below = keys.and_then(|keys| keys.child(name));
                // The value of an unknown key may be a secret, for example in `api_kee`.
                let unknown =
                    below.is_none() && matches!(kind, Some(Kind::Table | Kind::Leaf | Kind::Secret));
                entry.node = redact(&entry.node, below, secret || unknown || names_secret(name, &entry.node));
            }
            Value::Table(redacted)
        }
        Value::Array(items) => Value::Array(items.iter().map(|item| redact(item, None, secret)).collect()),
        Value::Boolean(truth) => Value::Boolean(*truth),
        _ if secret => Value::String(REDACTED.to_owned()),
        Value::String(text) if holds_password(text) => Value::String(REDACTED.to_owned()),
        value => value.clone(),
    };
    SourcedValue { origin: node.origin.clone(), value }
}

/// Whether the name of a key indicates a secret. A table `auth` describes a login; its own keys show which values are secret.
fn names_secret(name: &str, node: &SourcedValue) -> bool {
    let is_section = node.as_table().is_some() && ["auth", "session"].contains(&name);
    is_secret_name(name) && !is_section
}

/// The entries of a table, known keys first.
fn ordered<'a>(table: &'a Table, keys: Option<Keys<'_>>) -> Vec<(&'a String, &'a Entry)> {
    let names = keys.map(Keys::names).unwrap_or_default();
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(name, _)| names.iter().position(|known| known == name).unwrap_or(names.len()));
    entries
}

pub(super) fn json(node: &SourcedValue, keys: Option<Keys<'_>>) -> Json {
    match &node.value {
        Value::Table(table) => {
            let entries = ordered(table, keys).into_iter();
            let field = |(name, entry): (&String, &Entry)| {
                (name.clone(), json(&entry.node, keys.and_then(|keys| keys.child(name))))
            };
            Json::Object(entries.map(field).collect::<Map<_, _>>())
        }
        Value::Array(items) => items.iter().map(|item| json(item, None)).collect(),
        Value::String(text) | Value::Datetime(text) => text.as_str().into(),
        Value::Integer(number) => (*number).into(),
        Value::Float(number) => (*number).into(),
        Value::Boolean(truth) => (*truth).into(),
    }
}

fn collect_origins(node: &SourcedValue, path: &str, origins: &mut BTreeMap<String, Origin>) {
    match node.as_table() {
        Some(table) if !node.is_secret_reference() => {
            for (name, entry) in table {
                collect_origins(&entry.node, &join(path, name), origins);
            }
        }
        _ => {
            origins.insert(path.to_owned(), node.origin.clone());
        }
    }
}

/// Whether a table is written on one line: it is short and has only plain values, like `guard` and references.
fn is_inline(name: &str, node: &SourcedValue) -> bool {
    node.is_secret_reference() || matches!(name, "guard" | "rate_limit")
}

fn write_table(text: &mut String, table: &Table, keys: Option<Keys<'_>>, path: &str, origins: bool) {
    let is_line =
        |(name, entry): &(&String, &Entry)| entry.node.as_table().is_none() || is_inline(name, &entry.node);
    let (lines, tables): (Vec<_>, Vec<_>) = ordered(table, keys).into_iter().partition(is_line);
    if !path.is_empty() && (!lines.is_empty() || tables.is_empty()) {
        let gap = if text.is_empty() { "" } else { "\n" };
        text.extend([gap, "[", path, "]\n"]);
    }
    for (name, entry) in lines {
        let below = keys.and_then(|keys| keys.child(name));
        text.extend([&quoted(name), " = ", &inline(&entry.node, below)]);
        if origins {
            let origin = entry.node.origin.to_string().replace(char::is_control, " ");
            text.extend(["  # ", &origin]);
        }
        text.push('\n');
    }
    for (name, entry) in tables {
        if let Some(table) = entry.node.as_table() {
            let below = keys.and_then(|keys| keys.child(name));
            write_table(text, table, below, &join(path, name), origins);
        }
    }
}

pub(super) fn inline(node: &SourcedValue, keys: Option<Keys<'_>>) -> String {
    match &node.value {
        Value::Table(table) => {
            let field = |(name, entry): (&String, &Entry)| {
                let below = keys.and_then(|keys| keys.child(name));
                format!("{} = {}", quoted(name), inline(&entry.node, below))
            };
            let fields: Vec<String> = ordered(table, keys).into_iter().map(field).collect();
            format!("{{ {} }}", fields.join(", "))
        }
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(|item| inline(item, None)).collect();
            format!("[{}]", items.join(", "))
        }
        Value::String(text) => toml::Value::from(text.as_str()).to_string(),
        Value::Datetime(text) => text.clone(),
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => toml::Value::from(*number).to_string(),
        Value::Boolean(truth) => truth.to_string(),
    }
}
