//! Laying files, environment and defaults over one another.

use std::collections::BTreeMap;
use std::path::Path;

use super::error::Problems;
use super::keys::Keys;
use super::origin::Origin;
use super::tree::{Entry, Node, Value};
use super::{Connectors, Document, Error, Errors, environment};

const DEFAULTS: &str = include_str!("defaults.toml");
/// The app in `DEFAULTS` that stands for every app.
pub(super) const EVERY_APP: &str = "*";

/// The documents and the environment as one tree, without defaults.
///
/// Syntax errors end here, for a half-read file makes misleading errors. A variable that names no key is reported to
/// `problems`, and left out.
pub(super) fn stack(
    documents: &[Document],
    variables: &BTreeMap<String, String>,
    connectors: &Connectors,
    keys: Keys<'_>,
    problems: &Problems,
) -> Result<Node, Errors> {
    let origin = match documents.first() {
        Some(first) => Origin::start_of(first.path.as_path()),
        None => return Err(Error::NoSources.into()),
    };
    let mut tree = Node::table(origin);
    let mut errors = Vec::new();
    for document in documents {
        match Node::parse(&document.path, &document.text) {
            Ok(layer) => merge(&mut tree, layer, &mut Vec::new()),
            Err(syntax) => errors.extend(syntax),
        }
    }
    if !errors.is_empty() {
        let files: Vec<_> = documents.iter().map(|document| document.path.clone()).collect();
        return Err(Errors::sorted(errors, &files));
    }
    environment::overlay(&mut tree, variables, connectors, keys, problems);
    Ok(tree)
}

/// Puts a layer on top: tables merge, everything else is replaced.
pub(super) fn merge(below: &mut Node, above: Node, path: &mut Vec<String>) {
    let target = matches!(path.as_slice(), [apps, _, target] if apps == "apps" && target == "target");
    // `target = { file = "…" }` looks like a reference, but a target is a table of settings in any case.
    let reference = !target && (below.is_secret_reference() || above.is_secret_reference());
    match (&mut below.value, above) {
        (Value::Table(table), Node { value: Value::Table(entries), .. }) if !reference => {
            if matches!(path.as_slice(), [apps, _, sync] if apps == "apps" && sync == "sync") {
                if entries.contains_key("cron") && !entries.contains_key("every") {
                    table.remove("every");
                }
                if entries.contains_key("every") && !entries.contains_key("cron") {
                    table.remove("cron");
                    table.remove("timezone");
                }
            }
            for (name, entry) in entries {
                match table.get_mut(&name) {
                    Some(known) => {
                        path.push(name);
                        merge(&mut known.node, entry.node, path);
                        path.pop();
                    }
                    None => {
                        table.insert(name, entry);
                    }
                }
            }
        }
        (_, above) => *below = above,
    }
}

/// Puts the defaults below: they show where nothing else stands.
pub(super) fn fill_defaults(tree: &mut Node) -> Result<(), Errors> {
    let mut defaults = defaults()?;
    let apps = defaults.as_table_mut().and_then(|table| table.remove("apps"));
    fill(tree, &defaults);
    let every_app = apps.as_ref().and_then(|apps| apps.node.get(EVERY_APP));
    let named = tree.as_table_mut().and_then(|table| table.get_mut("apps"));
    if let (Some(every_app), Some(named)) = (every_app, named) {
        for app in named.node.as_table_mut().into_iter().flat_map(|apps| apps.values_mut()) {
            fill(&mut app.node, every_app);
        }
    }
    Ok(())
}

/// The defaults as a tree; those of every app stand under [`EVERY_APP`].
pub(super) fn defaults() -> Result<Node, Errors> {
    let parsed = Node::parse(Path::new("defaults.toml"), DEFAULTS);
    let mut defaults = parsed.map_err(|errors| Errors::sorted(errors, &[]))?;
    disown(&mut defaults);
    Ok(defaults)
}

fn disown(node: &mut Node) {
    node.origin = Origin::Default;
    if let Value::Table(table) = &mut node.value {
        for entry in table.values_mut() {
            entry.key_origin = Origin::Default;
            disown(&mut entry.node);
        }
    }
}

fn fill(node: &mut Node, defaults: &Node) {
    let (Some(table), Some(defaults)) = (node.as_table_mut(), defaults.as_table()) else {
        return;
    };
    for (name, default) in defaults {
        if name == "every" && table.contains_key("cron") {
            continue;
        }
        match table.get_mut(name) {
            Some(Entry { node, .. }) => fill(node, &default.node),
            None => {
                table.insert(name.clone(), default.clone());
            }
        }
    }
}
