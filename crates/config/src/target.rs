//! An app's `target`: settings that only its connector understands, including references to secrets.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use bridgehead_sdk::{Action, is_secret_name};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Map, Value as Json};
use url::Url;

use super::error::Diagnostics;
use super::keys::{Keys, Kind};
use super::layers::Layers;
use super::origin::Origin;
use super::reader::Place;
use super::secret::PLAIN_TEXT;
use super::tree::{SourcedValue, Value, join};
use super::{Error, RateLimit, Secret, SecretError};

/// The schema title of a `target`.
pub(super) const TARGET: &str = "Target";

/// The key of a target that the runtime uses, not the connector.
pub(super) const RATE_LIMIT: &str = "rate_limit";

/// The key of a request under which a connector saves parts of the response.
const SAVED: &str = "save";

/// An app's `target`. Secrets in it are references until [`resolve`](Self::resolve) reads them.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub struct Target {
    /// The folder of the file that defines it, which is the base of relative paths; absolute. If several files add to it, the folder of the
    /// first.
    #[serde(skip)]
    pub base: PathBuf,
    /// The maximum rate of requests to the target; `None` for unlimited.
    pub rate_limit: Option<RateLimit>,
    /// The table without `rate_limit`.
    #[serde(skip)]
    settings: SourcedValue,
    /// Its path in the configuration, such as `apps.acme-hr.target`.
    #[serde(skip)]
    path: String,
    #[serde(skip)]
    environment: Arc<BTreeMap<String, String>>,
}

/// A table whose schema depends on the connector; it is filled in by name.
impl JsonSchema for Target {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Target".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let rate_limit = generator.subschema_for::<RateLimit>();
        json_schema!({ "title": TARGET, "type": "object", "properties": { "rate_limit": rate_limit } })
    }
}

/// A target's settings with the actual secrets. Handle with care, and drop it soon.
pub struct ResolvedTarget {
    /// The settings for the connector.
    pub settings: Map<String, Json>,
    /// The secrets in it, to be redacted from all output of the daemon.
    pub secrets: Vec<String>,
}

/// A reference that could not be read, and its location.
pub(super) struct Unresolved {
    pub(super) at: Origin,
    pub(super) key: String,
    pub(super) error: SecretError,
}

impl Target {
    /// Adds what serde does not see: the settings with their locations. `app` is the location of its app.
    pub(super) fn settle(&mut self, app: &Place<'_>, environment: &Arc<BTreeMap<String, String>>) {
        // A connector may need no settings; if it does, it reports that, and this is the location.
        let nothing = || SourcedValue::table(app.home.clone());
        self.settings = app.node.get("target").cloned().unwrap_or_else(nothing);
        // If a target is set only through the environment, its base folder is that of the file that defines its app.
        let folder = self.settings.origin.folder().or_else(|| app.home.folder());
        self.base = folder.unwrap_or_else(|| PathBuf::from("."));
        self.path = app.key("target");
        self.environment = environment.clone();
        if let Some(table) = self.settings.as_table_mut() {
            table.remove(RATE_LIMIT);
        }
    }

    /// Reads the secrets and puts them in place of the references. Nothing is cached: a secret that has changed since is read again.
    pub fn resolve(&self) -> Result<ResolvedTarget, SecretError> {
        self.resolve_in_place().map_err(|unresolved| unresolved.error)
    }

    pub(super) fn resolve_in_place(&self) -> Result<ResolvedTarget, Box<Unresolved>> {
        let mut resolved = ResolvedTarget { settings: Map::new(), secrets: Vec::new() };
        for (name, entry) in self.settings.as_table().into_iter().flatten() {
            let value = self.value(&entry.node, &join(&self.path, name), &mut resolved.secrets)?;
            resolved.settings.insert(name.clone(), value);
        }
        Ok(resolved)
    }

    fn value(
        &self,
        node: &SourcedValue,
        path: &str,
        secrets: &mut Vec<String>,
    ) -> Result<Json, Box<Unresolved>> {
        if node.is_secret_reference()
            && let Ok(secret) = Secret::from_node(node)
        {
            let secret = secret.read(&self.environment).map_err(|error| {
                Box::new(Unresolved { at: node.origin.clone(), key: path.to_owned(), error })
            })?;
            secrets.push(secret.expose_secret().to_owned());
            return Ok(secret.expose_secret().into());
        }
        Ok(match &node.value {
            Value::String(text) | Value::Datetime(text) => text.as_str().into(),
            Value::Integer(number) => (*number).into(),
            Value::Float(number) => (*number).into(),
            Value::Boolean(truth) => (*truth).into(),
            Value::Array(items) => {
                let mut values = Vec::with_capacity(items.len());
                for (index, item) in items.iter().enumerate() {
                    values.push(self.value(item, &format!("{path}[{index}]"), secrets)?);
                }
                Json::Array(values)
            }
            Value::Table(table) => {
                let mut fields = Map::new();
                for (name, entry) in table {
                    fields.insert(name.clone(), self.value(&entry.node, &join(path, name), secrets)?);
                }
                Json::Object(fields)
            }
        })
    }

    /// The secrets that it refers to, with their current values, each with the path of its key in the whole file.
    pub fn secrets(&self) -> Result<Vec<(String, SecretString)>, Error> {
        let mut secrets = Vec::new();
        each_place(&self.settings, &self.path, &mut |node, path| {
            let Ok(secret) = Secret::from_node(node) else { return Ok(()) };
            let secret = secret.read(&self.environment).map_err(|error| Error::Key {
                at: node.origin.clone(),
                key: path.to_owned(),
                problem: error.to_string(),
            })?;
            secrets.push((path.to_owned(), secret));
            Ok(())
        })?;
        Ok(secrets)
    }

    /// The servers in its URLs, such as `https://hr.example.org:8443`: only scheme, host and port.
    pub fn servers(&self) -> BTreeSet<String> {
        let mut servers = BTreeSet::new();
        each_text(&self.settings, &mut |text| {
            let Ok(url) = Url::parse(text) else { return };
            if matches!(url.scheme(), "http" | "https") && url.has_host() {
                servers.insert(url.origin().ascii_serialization());
            }
        });
        servers
    }

    /// The same target with other settings merged over its own.
    pub(super) fn overlaid(&self, overlay: SourcedValue) -> Option<Self> {
        let mut layers = Layers::of_target(self.settings.origin.clone());
        layers.add(self.settings.clone()).ok()?;
        layers.add(overlay).ok()?;
        Some(Self { settings: layers.tree(), ..self.clone() })
    }

    /// Warnings about unsafe locations of its secrets.
    pub(super) fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        let visited = each_place(&self.settings, &self.path, &mut |node, _| {
            if let Ok(secret) = Secret::from_node(node) {
                warnings.extend(secret.warnings(&self.environment));
            }
            Ok::<(), std::convert::Infallible>(())
        });
        match visited {
            Ok(()) => warnings,
        }
    }

    /// The location of a key that the connector reports as invalid, or the nearest one if it is missing; and its path in the whole file.
    pub(super) fn locate(&self, key: &str) -> (Origin, String) {
        let full = match key {
            "" => self.path.clone(),
            key => format!("{}.{key}", self.path),
        };
        (locate(&self.settings, key).clone(), full)
    }
}

fn locate<'a>(node: &'a SourcedValue, key: &str) -> &'a Origin {
    let key = key.strip_prefix('.').unwrap_or(key);
    match &node.value {
        Value::Table(table) => {
            // Names may contain dots: the longest matching name is used.
            let named = table.iter().filter_map(|(name, entry)| {
                let rest = key.strip_prefix(name.as_str())?;
                (rest.is_empty() || rest.starts_with(['.', '['])).then_some((name.len(), entry, rest))
            });
            match named.max_by_key(|(length, ..)| *length) {
                Some((_, entry, "")) => &entry.key_origin,
                Some((_, entry, rest)) => locate(&entry.node, rest),
                None => &node.origin,
            }
        }
        Value::Array(items) => {
            let inner = key.strip_prefix('[').unwrap_or(key);
            let digits = inner.find(|character: char| !character.is_ascii_digit()).unwrap_or(inner.len());
            let (index, rest) = inner.split_at(digits);
            let item = index.parse().ok().and_then(|index: usize| items.get(index));
            item.map_or(&node.origin, |item| locate(item, rest.strip_prefix(']').unwrap_or(rest)))
        }
        _ => &node.origin,
    }
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let keys: Vec<_> = self.settings.as_table().into_iter().flat_map(|table| table.keys()).collect();
        f.debug_struct("Target")
            .field("base", &self.base)
            .field("rate_limit", &self.rate_limit)
            .field("settings", &keys)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for ResolvedTarget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ResolvedTarget")
            .field("settings", &self.settings.keys().collect::<Vec<_>>())
            .field("secrets", &self.secrets.len())
            .finish()
    }
}

/// Visits the references to secrets with the paths of their keys; `path` is that of `node`.
fn each_place<E>(
    node: &SourcedValue,
    path: &str,
    visit: &mut dyn FnMut(&SourcedValue, &str) -> Result<(), E>,
) -> Result<(), E> {
    let mut below = |node: &SourcedValue, path: &str| {
        if node.is_secret_reference() { visit(node, path) } else { each_place(node, path, visit) }
    };
    match &node.value {
        Value::Table(table) => {
            table.iter().try_for_each(|(name, entry)| below(&entry.node, &join(path, name)))
        }
        Value::Array(items) => {
            items.iter().enumerate().try_for_each(|(index, item)| below(item, &format!("{path}[{index}]")))
        }
        _ => Ok(()),
    }
}

/// Visits every string in a node that is not part of a reference to a secret.
fn each_text(node: &SourcedValue, visit: &mut dyn FnMut(&str)) {
    match &node.value {
        Value::String(text) => visit(text),
        _ if node.is_secret_reference() => {}
        Value::Table(table) => table.values().for_each(|entry| each_text(&entry.node, visit)),
        Value::Array(items) => items.iter().for_each(|item| each_text(item, visit)),
        _ => {}
    }
}

/// Reports malformed references and secrets in plain text. `path` is that of `node`, which is a table.
///
/// `keys` is the connector's schema of the table: a value of an enumeration is not a secret, regardless of the name of the key.
pub(super) fn check(node: &SourcedValue, path: &str, keys: Option<Keys<'_>>, problems: &Diagnostics) {
    for (name, entry) in node.as_table().into_iter().flatten() {
        let below = keys.and_then(|keys| keys.child(name));
        let path = join(path, name);
        match &entry.node.value {
            // Regardless of the names in it, a table with this name contains secrets.
            Value::Table(secrets) if name == "secrets" && !entry.node.is_secret_reference() => {
                for (name, entry) in secrets {
                    check_value(&entry.node, &join(&path, name), true, None, problems);
                }
            }
            // Names for parts of a response, such as `token = "answer.token"`: the path to a secret is not a secret.
            Value::Table(names) if name == SAVED && below.is_some_and(|keys| keys.kind() == Kind::Map) => {
                for (name, entry) in names {
                    check_value(&entry.node, &join(&path, name), false, None, problems);
                }
            }
            _ => check_value(&entry.node, &path, names_secret(name), below, problems),
        }
    }
}

/// Whether a string is a template into which a secret is inserted, such as `Bearer {{ login.token }}`.
fn is_template(text: &str) -> bool {
    text.split_once("{{").is_some_and(|(_, rest)| rest.contains("}}"))
}

/// Whether the name of a key indicates a secret. The action `reset_password` does not: its value says how to do it.
fn names_secret(name: &str) -> bool {
    is_secret_name(name) && name.parse::<Action>().is_err()
}

fn check_value(
    node: &SourcedValue,
    path: &str,
    secret: bool,
    keys: Option<Keys<'_>>,
    problems: &Diagnostics,
) {
    if node.is_secret_reference() {
        if let Err(problem) = Secret::from_node(node) {
            problems.report(&node.origin, path, problem);
        }
        return;
    }
    match &node.value {
        Value::String(text) if keys.is_some_and(|keys| keys.words().contains(&text.as_str())) => {}
        Value::String(text) if (secret && !is_template(text)) || holds_password(text) => {
            problems.report(&node.origin, path, PLAIN_TEXT);
        }
        Value::Table(_) => check(node, path, keys, problems),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                check_value(item, &format!("{path}[{index}]"), secret, None, problems);
            }
        }
        _ => {}
    }
}

/// Whether a string is a URL with a password, such as that of a database.
pub(super) fn holds_password(text: &str) -> bool {
    text.contains("://")
        && Url::parse(text).is_ok_and(|url| url.password().is_some_and(|password| !password.is_empty()))
}
