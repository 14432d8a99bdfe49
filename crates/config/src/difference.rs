//! Compares two configurations for a reload, which replaces only what has changed.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};
use serde_json::Value as Json;

use super::Document;
use super::error::Diagnostics;
use super::keys::{Keys, Kind};
use super::show::{inline, json, redact};
use super::tree;
use super::tree::{SourcedValue, join};
use super::{Config, Connectors, Errors, Sources, defaults, layers, load, schema, values};

/// A configuration that was read once, and can be compared with another.
#[derive(Debug)]
pub struct Reading {
    /// The configuration itself.
    pub config: Config,
    /// Its keys with their values.
    pub settings: Settings,
    /// All of it, without secrets, to distinguish configurations.
    pub shown: Json,
}

/// The keys of a configuration with their values, defaults included. It contains only values that may be shown, and a digest of each:
/// possible secrets are compared but never kept.
#[derive(Clone, Debug)]
pub struct Settings {
    values: BTreeMap<String, Setting>,
    /// Random for each process, so that a digest is meaningless outside of it.
    hasher: RandomState,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Setting {
    digest: u64,
    shown: String,
    /// Digests of what the value refers to: a secret, or the content of a file.
    behind: Vec<u64>,
}

/// A key whose value differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The key, such as `apps.hr.tasks.concurrency`.
    pub key: String,
    /// Its old value as TOML; `None` if there was none.
    pub old: Option<String>,
    /// Its new value; `None` if there is none.
    pub new: Option<String>,
    /// The value itself is unchanged or not shown; the secret or file that it refers to has changed.
    pub is_behind: bool,
}

/// Reads the configuration as [`load`](super::load()) does, in a form that can be compared with another one that used the same `hasher`.
pub fn read(sources: &Sources, connectors: &Connectors, hasher: &RandomState) -> Result<Reading, Errors> {
    let documents = sources.read()?;
    let config = load::parse(&documents, &sources.environment, connectors)?;
    let problems = Diagnostics::default();
    let known = schema::description(connectors);
    let keys = Keys::of(&known);
    let mut tree = layers::stack(&documents, &sources.environment, connectors, keys, &problems)?;
    defaults::fill(&mut tree, keys);
    Errors::unless_empty(problems.take())?;
    let redacted = redact(&tree, Some(keys), false);
    let mut settings = Settings { values: BTreeMap::new(), hasher: hasher.clone() };
    settings.collect(&tree, &redacted, Some(keys), "");
    Ok(Reading { config, settings, shown: json(&redacted, Some(keys)) })
}

/// The state folder, even if the configuration has errors elsewhere, such as a file that is not TOML or cannot be read. `None` if it cannot
/// be determined.
pub fn state_path(sources: &Sources, connectors: &Connectors) -> Option<PathBuf> {
    let problems = Diagnostics::default();
    let known = schema::description(connectors);
    let keys = Keys::of(&known);
    let stacked = |document: Document| {
        layers::stack(&[document], &sources.environment, connectors, keys, &problems).ok()
    };
    let trees = sources.readable().into_iter().filter_map(|document| {
        // Up to its first error, a file says what it says.
        let text = tree::start(&document.text).to_owned();
        stacked(Document { text, ..document })
    });
    let path_in = |tree: &SourcedValue| {
        let node = tree.get("state")?.get("path")?;
        values::placed(Path::new(node.as_str()?).to_owned(), node, "a path").ok()
    };
    // The last file wins; a variable is in each of them.
    trees.filter_map(|tree| path_in(&tree)).next_back()
}

impl Settings {
    fn collect(&mut self, tree: &SourcedValue, shown: &SourcedValue, keys: Option<Keys<'_>>, path: &str) {
        let is_leaf = tree.is_secret_reference() || keys.is_some_and(|keys| keys.kind() == Kind::Secret);
        match (tree.as_table(), shown.as_table()) {
            (Some(table), Some(shown)) if !is_leaf => {
                for (name, entry) in table {
                    if let Some(shown) = shown.get(name) {
                        let below = keys.and_then(|keys| keys.child(name));
                        self.collect(&entry.node, &shown.node, below, &join(path, name));
                    }
                }
            }
            _ => {
                let digest = self.hasher.hash_one(inline(tree, keys));
                let setting = Setting { digest, shown: inline(shown, keys), behind: Vec::new() };
                self.values.insert(path.to_owned(), setting);
            }
        }
    }

    /// Adds the content that a key's value refers to, such as the secret itself. Only its digest is kept.
    pub fn add_behind(&mut self, key: &str, content: &[u8]) {
        let digest = self.hasher.hash_one(content);
        // A reference in a list belongs to the key that has the list.
        let holder = self.values.iter_mut().rev().find(|(known, _)| {
            key.strip_prefix(known.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['[', '.']))
        });
        if let Some((_, setting)) = holder {
            setting.behind.push(digest);
        }
    }

    /// Adds an additional key that is not in the file, such as a folder that depends on the location of the file.
    pub fn add(&mut self, key: &str, value: &str) {
        let setting = Setting {
            digest: self.hasher.hash_one(value),
            shown: toml::Value::from(value).to_string(),
            behind: Vec::new(),
        };
        self.values.insert(key.to_owned(), setting);
    }

    /// Adds the secrets of a target, by their keys.
    pub fn add_secrets(&mut self, secrets: &[(String, SecretString)]) {
        for (key, secret) in secrets {
            self.add_behind(key, secret.expose_secret().as_bytes());
        }
    }

    /// The settings below these keys, such as `apps.hr`.
    pub fn part(&self, prefixes: &[&str]) -> Self {
        let below = prefixes.iter().flat_map(|prefix| {
            let own = self.values.get_key_value(*prefix);
            // Looks only at these keys: it is called for each app, and a thousand apps have tens of thousands of keys.
            let first = format!("{prefix}.");
            let range = self.values.range(first.clone()..);
            own.into_iter().chain(range.take_while(move |(key, _)| key.starts_with(&first)))
        });
        Self {
            values: below.map(|(key, value)| (key.clone(), value.clone())).collect(),
            hasher: self.hasher.clone(),
        }
    }

    /// The settings that are not below these keys.
    pub fn without(&self, prefixes: &[&str]) -> Self {
        let dropped = self.part(prefixes);
        let values = self.values.iter().filter(|(key, _)| !dropped.values.contains_key(*key));
        Self {
            values: values.map(|(key, value)| (key.clone(), value.clone())).collect(),
            hasher: self.hasher.clone(),
        }
    }

    /// The differences of `new`, in the order of the keys.
    pub fn differences(&self, new: &Self) -> Vec<Difference> {
        let keys: std::collections::BTreeSet<&String> = self.values.keys().chain(new.values.keys()).collect();
        let differ = keys.into_iter().filter(|key| self.values.get(*key) != new.values.get(*key));
        let told = differ.map(|key| {
            let (old, new) = (self.values.get(key), new.values.get(key));
            let shown = |setting: Option<&Setting>| setting.map(|setting| setting.shown.clone());
            let is_behind = old.is_some() && shown(old) == shown(new);
            Difference { key: key.clone(), old: shown(old), new: shown(new), is_behind }
        });
        told.collect()
    }
}
