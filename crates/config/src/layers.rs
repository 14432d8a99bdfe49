//! Merges files and environment with the `config` crate.
//!
//! `config` gets the tables, with a number in place of each value: it decides which one takes precedence, but never sees a value, so that
//! it can neither change nor quote one. Values and locations stay here. Lists and references to secrets, which are replaced as a whole, are
//! single values to `config`.

use std::collections::BTreeMap;

use config::{ConfigError, Map, Source, Value, ValueKind};

use super::error::Diagnostics;
use super::keys::Keys;
use super::origin::Origin;
use super::tree::{self, Entry, SourcedValue, Table};
use super::{Connectors, Document, Error, Errors, environment};

/// The only top-level key: `config` would split a name there at its dots.
const ROOT: &str = "root";

/// Merges the documents and the environment into one tree, without defaults.
///
/// Stops at syntax errors, because a half-read file causes misleading errors. A variable that matches no key is reported to `problems` and
/// skipped.
pub(super) fn stack(
    documents: &[Document],
    variables: &BTreeMap<String, String>,
    connectors: &Connectors,
    keys: Keys<'_>,
    problems: &Diagnostics,
) -> Result<SourcedValue, Errors> {
    let origin = match documents.first() {
        Some(first) => Origin::start_of(first.path.as_path()),
        None => return Err(Error::NoSources.into()),
    };
    let mut layers = Layers::new(origin);
    let mut errors = Vec::new();
    for document in documents {
        match SourcedValue::parse(&document.path, &document.text) {
            Ok(layer) => layers.add(layer)?,
            Err(syntax) => errors.extend(syntax),
        }
    }
    if !errors.is_empty() {
        let files: Vec<_> = documents.iter().map(|document| document.path.clone()).collect();
        return Err(Errors::sorted(errors, &files));
    }
    environment::overlay(&mut layers, variables, connectors, keys, problems)?;
    Ok(layers.tree())
}

/// The layers, lowest first, and the result of merging them.
pub(super) struct Layers {
    all: Vec<SourcedValue>,
    /// The values of all layers, indexed by their numbers.
    values: Vec<SourcedValue>,
    sum: Value,
    /// Whether the layers are the `target` of an app.
    of_target: bool,
}

/// One layer in the format that `config` expects.
#[derive(Clone, Debug)]
struct Layer(Map<String, Value>);

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        Ok(self.0.clone())
    }
}

impl Layers {
    /// Starts without layers; keys that are missing from all layers are reported at `origin`.
    pub(super) fn new(origin: Origin) -> Self {
        Self {
            all: vec![SourcedValue::table(origin)],
            values: Vec::new(),
            sum: Map::<String, Value>::new().into(),
            of_target: false,
        }
    }

    /// The same for the `target` table of an app.
    pub(super) fn of_target(origin: Origin) -> Self {
        Self { of_target: true, ..Self::new(origin) }
    }

    /// Adds a layer on top: tables merge, everything else is replaced.
    pub(super) fn add(&mut self, layer: SourcedValue) -> Result<(), Errors> {
        if !self.of_target {
            make_way(&mut self.sum, &layer);
        }
        let numbered = self.numbered(&layer, &mut Vec::new());
        let added = Layer(Map::from_iter([(ROOT.to_owned(), numbered)])).collect_to(&mut self.sum);
        self.all.push(layer);
        added.map_err(|error| Error::Layers { problem: error.to_string() }.into())
    }

    fn numbered<'a>(&mut self, node: &'a SourcedValue, path: &mut Vec<&'a str>) -> Value {
        let Some(table) = self.table(node, path) else {
            self.values.push(node.clone());
            return Value::new(None, ValueKind::U64(self.values.len() as u64 - 1));
        };
        let mut numbered = Map::new();
        for (name, entry) in table {
            path.push(name);
            numbered.insert(name.clone(), self.numbered(&entry.node, path));
            path.pop();
        }
        numbered.into()
    }

    /// The entries of a table that merges with the layers below. `target = { file = "…" }` looks like a reference, but is always a table of
    /// settings.
    fn table<'a>(&self, node: &'a SourcedValue, path: &[&str]) -> Option<&'a Table> {
        let target = match path {
            ["apps", _, "target"] => true,
            path => self.of_target && path.is_empty(),
        };
        node.as_table().filter(|_| target || !node.is_secret_reference())
    }

    /// The merged tree.
    pub(super) fn tree(&self) -> SourcedValue {
        let here: Vec<&SourcedValue> = self.all.iter().collect();
        let nothing = Map::new();
        self.located(entries(Some(&self.sum), ROOT).unwrap_or(&nothing), &here, &mut Vec::new())
    }

    /// A merged table with its locations, which `config` drops. `here` are the layers' tables that it consists of.
    fn located<'a>(
        &self,
        sum: &'a Map<String, Value>,
        here: &[&SourcedValue],
        path: &mut Vec<&'a str>,
    ) -> SourcedValue {
        let origin = here.first().map_or(Origin::Default, |first| first.origin.clone());
        let mut table = Table::new();
        for (name, value) in sum {
            path.push(name);
            let layers: Vec<&Entry> =
                here.iter().filter_map(|layer| layer.as_table().and_then(|table| table.get(name))).collect();
            let node = match &value.kind {
                ValueKind::U64(number) => {
                    usize::try_from(*number).ok().and_then(|number| self.values.get(number)).cloned()
                }
                ValueKind::Table(below) => {
                    // A value that was set here in between has replaced the tables before it.
                    let value = layers.iter().rposition(|entry| self.table(&entry.node, path).is_none());
                    let tables = &layers[value.map_or(0, |value| value + 1)..];
                    let tables: Vec<&SourcedValue> = tables.iter().map(|entry| &entry.node).collect();
                    Some(self.located(below, &tables, path))
                }
                _ => None,
            };
            if let (Some(node), Some(first)) = (node, layers.first()) {
                let key_origin = first.key_origin.clone();
                table.insert(name.clone(), Entry { key_origin, node });
            }
            path.pop();
        }
        SourcedValue { origin, value: tree::Value::Table(table) }
    }
}

/// Removes the schedules that the layer replaces from the layers below: `every` and `cron` exclude each other.
fn make_way(sum: &mut Value, layer: &SourcedValue) {
    let apps = layer.get("apps").and_then(SourcedValue::as_table);
    for (app, entry) in apps.into_iter().flatten() {
        let Some(sync) = entry.node.get("sync").and_then(SourcedValue::as_table) else {
            continue;
        };
        let (every, cron) = (sync.contains_key("every"), sync.contains_key("cron"));
        let replaced: &[&str] = match (every, cron) {
            (false, true) => &["every"],
            (true, false) => &["cron", "timezone"],
            _ => &[],
        };
        let mut below = Some(&mut *sum);
        for name in [ROOT, "apps", app, "sync"] {
            below = below.and_then(|table| entries_mut(table)).and_then(|table| table.get_mut(name));
        }
        if let Some(below) = below.and_then(entries_mut) {
            for name in replaced {
                below.remove(*name);
            }
        }
    }
}

fn entries<'a>(value: Option<&'a Value>, name: &str) -> Option<&'a Map<String, Value>> {
    let ValueKind::Table(table) = &value?.kind else { return None };
    let ValueKind::Table(inner) = &table.get(name)?.kind else { return None };
    Some(inner)
}

fn entries_mut(value: &mut Value) -> Option<&mut Map<String, Value>> {
    match &mut value.kind {
        ValueKind::Table(table) => Some(table),
        _ => None,
    }
}
