//! `[apps.NAME.conformance]`: what the conformance kit needs to know about a live target.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use serde_json::{Map, Value as Json};

use super::duration::Length;
use super::leaf::{As, EXAMPLE, Form, Leaf, List, Opt};
use super::reader::Place;
use super::tree::{SourcedValue, Value};
use super::values::{self, Address, Word};
use super::{Pattern, Target, target};

/// The schema title of a table with arbitrary keys.
pub(super) const TABLE: &str = "Table";

/// The keys with settings that override those of `target`, each for one situation.
pub(super) const SITUATIONS: [&str; 7] = [
    "bad_credential",
    "refused_permission",
    "unreachable",
    "silent",
    "through",
    "cut_listing",
    "small_pages",
];
/// The placeholder for an address where nothing listens, or where the kit listens.
const ADDRESS: &str = "{address}";
const HOST: &str = "{host}";
const PORT: &str = "{port}";

/// The settings of `bridgehead check APP --conformance`. Checks whose setting is missing are skipped.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Conformance {
    /// Fields of the accounts that the kit creates, in addition to its own. `{name}` in a text is the account's unique name; an
    /// empty text leaves out a field.
    #[serde(deserialize_with = "fields", skip_serializing_if = "Map::is_empty")]
    #[schemars(with = "Table")]
    pub account: Map<String, Json>,
    /// The fields that an update changes, instead of the kit's own; `{name}` as above.
    #[serde(deserialize_with = "some_fields")]
    #[schemars(with = "Option<Table>")]
    pub changes: Option<Map<String, Json>>,
    /// The fields that can contain any text.
    #[serde(with = "Opt::<List<Word>>")]
    #[schemars(extend("examples" = [["display_name"]]))]
    pub free_text_fields: Option<Vec<String>>,
    /// By resource type, an id that has a valid form but does not exist in the target.
    #[serde(deserialize_with = "ids", skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "Table")]
    pub missing_refs: BTreeMap<String, String>,
    /// By resource type, a group or license to which the kit may add the accounts that it creates.
    #[serde(deserialize_with = "ids", skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "Table")]
    pub usable_refs: BTreeMap<String, String>,
    /// The address of the target.
    #[serde(with = "Opt::<As<Address>>")]
    #[schemars(extend("examples" = ["127.0.0.1:389"]))]
    pub address: Option<SocketAddr>,
    /// The checks that may be skipped without exit code 3; `*` stands for any text.
    #[serde(with = "List::<Checks>", skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("examples" = [["paging-*", "silence"]]))]
    pub accept_skipped: Vec<Pattern>,
    /// How long one check may take. Waiting that the target requests, or that `rate_limit` causes, does not count.
    #[serde(with = "As::<Length>")]
    pub check_timeout: Duration,
    /// How long all checks may take in total, counted in the same way.
    #[serde(with = "As::<Length>")]
    pub timeout: Duration,
    /// How many records a page of the connector contains. With this key, the kit creates enough accounts for several pages, 1,001
    /// at most, and removes them again.
    #[schemars(with = "Option<u32>", range(min = 1, max = 500))]
    pub page_size: Option<usize>,
    /// Keys of `target` that make the connector request pages of two records; `{address}` as for `through`, if `address` is set.
    small_pages: Overlay,
    /// Keys of `target` with a credential that the target rejects.
    bad_credential: Overlay,
    /// Keys of `target` with a read-only credential.
    refused_permission: Overlay,
    /// Keys of `target` with an address where nothing listens; `{address}`, or `{host}` and `{port}`, stand for that address.
    unreachable: Overlay,
    /// Keys of `target` with an address that accepts connections but never responds; `{address}` as above.
    silent: Overlay,
    /// Keys of `target` that connect to it through the kit, at `{address}`; requires `address`.
    through: Overlay,
    /// Keys of `target` that make a listing fail in the middle, for targets without an address.
    cut_listing: Overlay,
    /// The whole table, whose last seven keys override those of `target`.
    #[serde(skip)]
    table: SourcedValue,
}

/// Settings that override those of `target`. serde only checks that it is a table; [`Conformance::settle`] adds its keys with their
/// locations.
#[derive(Clone)]
struct Overlay;

/// A table whose keys are defined elsewhere.
struct Table;

impl Default for Conformance {
    fn default() -> Self {
        Self {
            account: Map::new(),
            changes: None,
            free_text_fields: None,
            missing_refs: BTreeMap::new(),
            usable_refs: BTreeMap::new(),
            address: None,
            accept_skipped: Vec::new(),
            check_timeout: Duration::from_secs(120),
            timeout: Duration::from_secs(1_800),
            page_size: None,
            small_pages: Overlay,
            bad_credential: Overlay,
            refused_permission: Overlay,
            unreachable: Overlay,
            silent: Overlay,
            through: Overlay,
            cut_listing: Overlay,
            table: SourcedValue::default(),
        }
    }
}

impl Conformance {
    /// Whether a check may be skipped.
    pub fn accepts(&self, check: &str) -> bool {
        self.accept_skipped.iter().any(|pattern| pattern.matches(check))
    }

    /// The target in one of the seven situations; `None` if it is not configured. `address` replaces `{address}`, or `{host}` and `{port}`,
    /// in the settings.
    pub fn target(&self, target: &Target, situation: &str, address: Option<SocketAddr>) -> Option<Target> {
        let mut overlay = self.overlay(situation)?.clone();
        if let Some(address) = address {
            fill_in(&mut overlay, address);
        }
        target.overlaid(overlay)
    }

    /// Adds the settings that override those of `target`, with their locations, from the table of the tree.
    pub(super) fn settle(&mut self, table: &SourcedValue) {
        self.table = table.clone();
    }

    fn overlay(&self, situation: &str) -> Option<&SourcedValue> {
        SITUATIONS.contains(&situation).then(|| self.table.get(situation))?
    }
}

impl std::fmt::Debug for Conformance {
    /// Shows only which keys are set: their values may be close to secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Conformance")
            .field("account", &self.account.keys().collect::<Vec<_>>())
            .field(
                "overlays",
                &SITUATIONS.into_iter().filter(|name| self.overlay(name).is_some()).collect::<Vec<_>>(),
            )
            .finish_non_exhaustive()
    }
}

/// Reports plain-text secrets in the settings that override those of `target`.
pub(super) fn check(place: &Place<'_>) {
    // A credential that the target rejects is not a secret.
    for name in SITUATIONS.into_iter().filter(|name| *name != "bad_credential") {
        if let Some(node) = place.node.get(name) {
            target::check(node, &place.key(name), None, place.reader.problems);
        }
    }
}

/// A pattern for checks of the kit, and the checks that it matches; matching none is an error.
#[cfg(feature = "conformance")]
pub fn checks_named(text: &str) -> Result<(Pattern, Vec<&'static str>), String> {
    let pattern = Pattern::new(text).map_err(|error| error.to_string())?;
    let names = bridgehead_conformance::checks().into_iter().map(|one| one.name);
    let found: Vec<&str> = names.clone().filter(|name| pattern.matches(name)).collect();
    if !found.is_empty() {
        return Ok((pattern, found));
    }
    let hint = bridgehead_sdk::nearest(text, names)
        .map(|name| format!("; did you mean '{name}'?"))
        .unwrap_or_default();
    Err(format!("is not a check of the kit{hint}"))
}

/// The checks that may be skipped.
struct Checks;

impl Leaf for Checks {
    type Value = Pattern;

    fn read(given: Option<&str>) -> Result<Pattern, String> {
        let text = values::text(given, EXAMPLE)?;
        #[cfg(feature = "conformance")]
        return checks_named(text).map(|(pattern, _)| pattern);
        // Without the kit its checks are unknown, and only the kit uses the table.
        #[cfg(not(feature = "conformance"))]
        Pattern::new(text).map_err(|error| error.to_string())
    }
}

fn fields<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Map<String, Json>, D::Error> {
    match Json::deserialize(deserializer)? {
        Json::Object(fields) => Ok(fields),
        _ => Err(D::Error::custom("must be a table such as { department = \"kit\" }")),
    }
}

fn some_fields<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Map<String, Json>>, D::Error> {
    fields(deserializer).map(Some)
}

fn ids<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error> {
    let expected = || D::Error::custom("must be a table of resource type and id, such as { team = \"t1\" }");
    let Json::Object(ids) = Json::deserialize(deserializer)? else {
        return Err(expected());
    };
    let text = |(slug, id): (String, Json)| match id {
        Json::String(id) => Ok((slug, id)),
        _ => Err(expected()),
    };
    ids.into_iter().map(text).collect()
}

impl<'de> Deserialize<'de> for Overlay {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Json::deserialize(deserializer)? {
            Json::Object(_) => Ok(Self),
            _ => Err(D::Error::custom("must be a table of keys of target")),
        }
    }
}

impl JsonSchema for Overlay {
    fn schema_name() -> Cow<'static, str> {
        Table::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Table::json_schema(generator)
    }
}

impl JsonSchema for Table {
    fn schema_name() -> Cow<'static, str> {
        "Table".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "title": TABLE, "type": "object" })
    }
}

fn fill_in(node: &mut SourcedValue, address: SocketAddr) {
    match &mut node.value {
        Value::Table(table) => table.values_mut().for_each(|entry| fill_in(&mut entry.node, address)),
        Value::Array(items) => items.iter_mut().for_each(|item| fill_in(item, address)),
        // A value that is only a port becomes a number, as connectors expect.
        Value::String(text) if text == PORT => node.value = Value::Integer(address.port().into()),
        Value::String(text) => {
            *text = text
                .replace(ADDRESS, &address.to_string())
                .replace(HOST, &address.ip().to_string())
                .replace(PORT, &address.port().to_string());
        }
        _ => {}
    }
}
