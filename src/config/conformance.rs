//! `[apps.NAME.conformance]`: what the kit that proves a connector has to be told of a live target.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use bridgehead_sdk::{conformance, nearest};

use serde_json::{Map, Value as Json};

use super::error::Reported;
use super::section::Section;
use super::tree::{Node, Value};
use super::validate::Context;
use super::{Pattern, Target, duration, show, target, values};

/// The keys that hold settings to be laid over `target`, each for one thing that may happen to a target.
pub(super) const SITUATIONS: [&str; 7] = [
    "bad_credential",
    "refused_permission",
    "unreachable",
    "silent",
    "through",
    "cut_listing",
    "small_pages",
];
/// What stands for the address at which nobody listens, or the kit does.
const ADDRESS: &str = "{address}";
const HOST: &str = "{host}";
const PORT: &str = "{port}";

/// What `bridgehead check APP --conformance` has to be told. Whatever is missing is not checked.
#[derive(Clone)]
pub struct Conformance {
    /// Fields of the accounts that are created, laid over those of the kit; `{name}` in a text is the account's unique name, and an
    /// empty text leaves a field out.
    pub account: Map<String, Json>,
    /// What an update changes, in place of what the kit would; `{name}` as above.
    pub changes: Option<Map<String, Json>>,
    /// The fields in which any text may stand.
    pub free_text_fields: Option<Vec<String>>,
    /// By resource type, an id that could be one of the target's and is not.
    pub missing_refs: BTreeMap<String, String>,
    /// By resource type, the group or licence in which the kit may put the accounts that it creates.
    pub usable_refs: BTreeMap<String, String>,
    /// Where the target listens.
    pub address: Option<SocketAddr>,
    /// The checks that may be skipped.
    pub accept_skipped: Vec<Pattern>,
    /// How long one check may take.
    pub check_timeout: Duration,
    /// How long all checks together may take.
    pub timeout: Duration,
    /// How many records a page of the connector holds.
    pub page_size: Option<usize>,
    /// What is laid over `target`.
    overlays: BTreeMap<&'static str, Node>,
}

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
            overlays: BTreeMap::new(),
        }
    }
}

impl Conformance {
    /// Whether a check may be skipped.
    pub fn accepts(&self, check: &str) -> bool {
        self.accept_skipped.iter().any(|pattern| pattern.matches(check))
    }

    /// The target as it is in a situation, one of the seven keys that hold settings; `None` if nothing is said of it. `address` stands
    /// where the settings say `{address}`, or `{host}` and `{port}`.
    pub fn target(&self, target: &Target, situation: &str, address: Option<SocketAddr>) -> Option<Target> {
        let mut overlay = self.overlays.get(situation)?.clone();
        if let Some(address) = address {
            fill_in(&mut overlay, address);
        }
        Some(target.overlaid(overlay))
    }
}

impl std::fmt::Debug for Conformance {
    /// Shows which keys there are: what they hold is near to secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Conformance")
            .field("account", &self.account.keys().collect::<Vec<_>>())
            .field("overlays", &self.overlays.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

/// Reads the table.
pub(super) fn read(section: &Section<'_>, context: &Context<'_>) -> Result<Conformance, Reported> {
    let account = section.optional("account", table);
    let changes = section.optional("changes", table);
    let free_text_fields = section.list("free_text_fields", "[\"display_name\"]", |node| {
        values::text(node, "display_name").map(str::to_owned)
    });
    let missing_refs = section.optional("missing_refs", texts);
    let usable_refs = section.optional("usable_refs", texts);
    let address = section.optional("address", |node| {
        let expected = "must be an IP address with a port such as \"127.0.0.1:389\"";
        node.as_str().ok_or(expected)?.parse().map_err(|_| expected.to_owned())
    });
    let accept_skipped = section.list("accept_skipped", "[\"paging-*\"]", checks);
    let check_timeout = section.optional("check_timeout", |node| duration::read(node, "2m"));
    let timeout = section.optional("timeout", |node| duration::read(node, "30m"));
    let page_size = section.optional("page_size", |node| {
        values::whole(node, 1..=500).map(|size| usize::try_from(size).unwrap_or(500))
    });
    let mut overlays = Ok(BTreeMap::new());
    for name in SITUATIONS {
        let overlay = section.optional(name, |node| {
            node.as_table().map(|_| node.clone()).ok_or("must be a table of keys of target".to_owned())
        });
        match (overlay, &mut overlays) {
            (Ok(Some(node)), Ok(overlays)) => {
                // A credential that is refused is no secret.
                if name != "bad_credential" {
                    target::check(&node, &section.key(name), None, context.problems);
                }
                overlays.insert(name, node);
            }
            (Ok(_), _) => {}
            (Err(reported), _) => overlays = Err(reported),
        }
    }
    let usual = Conformance::default();
    Ok(Conformance {
        accept_skipped: accept_skipped?.unwrap_or_default(),
        check_timeout: check_timeout?.unwrap_or(usual.check_timeout),
        timeout: timeout?.unwrap_or(usual.timeout),
        page_size: page_size?,
        account: account?.unwrap_or_default(),
        changes: changes?,
        free_text_fields: free_text_fields?,
        missing_refs: missing_refs?.unwrap_or_default(),
        usable_refs: usable_refs?.unwrap_or_default(),
        address: address?,
        overlays: overlays?,
    })
}

/// A pattern that means checks of the kit, and which; one that means none is a mistake.
pub fn checks_named(text: &str) -> Result<(Pattern, Vec<&'static str>), String> {
    let pattern = Pattern::new(text).map_err(|error| error.to_string())?;
    let names = conformance::checks().into_iter().map(|one| one.name);
    let found: Vec<&str> = names.clone().filter(|name| pattern.matches(name)).collect();
    if !found.is_empty() {
        return Ok((pattern, found));
    }
    let hint = nearest(text, names).map(|name| format!("; did you mean '{name}'?")).unwrap_or_default();
    Err(format!("names no check of the kit{hint}"))
}

fn checks(node: &Node) -> Result<Pattern, String> {
    checks_named(values::text(node, "paging-*")?).map(|(pattern, _)| pattern)
}

fn table(node: &Node) -> Result<Map<String, Json>, String> {
    match show::json(node, None) {
        Json::Object(fields) => Ok(fields),
        _ => Err("must be a table such as { department = \"kit\" }".to_owned()),
    }
}

fn texts(node: &Node) -> Result<BTreeMap<String, String>, String> {
    let expected = "must be a table of resource type and id, such as { team = \"t1\" }";
    let table = node.as_table().ok_or(expected)?;
    let entry = |(slug, entry): (&String, &super::tree::Entry)| {
        entry.node.as_str().map(|id| (slug.clone(), id.to_owned())).ok_or(expected.to_owned())
    };
    table.iter().map(entry).collect()
}

fn fill_in(node: &mut Node, address: SocketAddr) {
    match &mut node.value {
        Value::Table(table) => table.values_mut().for_each(|entry| fill_in(&mut entry.node, address)),
        Value::Array(items) => items.iter_mut().for_each(|item| fill_in(item, address)),
        // Alone, a port is a number: that is how connectors want it.
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
