//! Rules that no single type can check: about several keys, or about the program's knowledge. Each reports errors at the location of the
//! key.

use std::collections::BTreeMap;
use std::path::PathBuf;

use uuid::Uuid;

use super::duration::friendly;
use super::keys::{Keys, unknown};
use super::leaf::{EXAMPLE, Leaf};
use super::reader::Place;
use super::tree::{SourcedValue, join};
use super::values::{self, AppId};
use super::{Connectors, Secret, Tasks, conformance, target};

/// Checks a whole configuration whose types were read.
pub(super) fn check(root: &Place<'_>, connectors: &Connectors) {
    if let Some(network) = root.below("network") {
        proxy_is_complete(&network);
    }
    if let Some(state) = root.below("state") {
        nodes_share_a_database(&state);
    }
    let apps = root.below("apps");
    let has_nodes = root.node.get("state").is_some_and(|state| state.get("url").is_some());
    for (name, entry, app) in apps.iter().flat_map(Place::all) {
        if app.node.get("nodes").is_some() && !has_nodes {
            app.report("nodes", "only applies with state.url; set it, or remove this key".to_owned());
        }
        if let Err(problem) = values::app_name(name) {
            app.reader.problems.report(&entry.key_origin, app.path.as_str(), problem);
        }
        connector_is_known(&app, connectors);
        app.below("tasks").iter().for_each(attempts_end_in_time);
        app.below("sync").iter().for_each(there_is_one_schedule);
        app.below("conformance").iter().for_each(conformance::check);
        let schema = connector(&app).and_then(|name| connectors.get(name)).map(|factory| factory.schema());
        if let Some(place) = app.below("target") {
            target::check(place.node, &place.path, schema.as_ref().map(Keys::of), place.reader.problems);
        }
    }
    apps.iter().for_each(apps_are_different);
}

fn connector<'a>(app: &Place<'a>) -> Option<&'a str> {
    app.node.get("connector").and_then(SourcedValue::as_str)
}

fn connector_is_known(app: &Place<'_>, connectors: &Connectors) {
    let known: Vec<&str> = connectors.keys().map(String::as_str).collect();
    if let Some(name) = connector(app).filter(|name| app.fits("connector") && !known.contains(name)) {
        app.report("connector", unknown("connector", name, &known));
    }
}

/// Two apps with the same identifier would execute every task twice and remove each other's accounts.
fn apps_are_different(apps: &Place<'_>) {
    let mut owners: BTreeMap<Uuid, &String> = BTreeMap::new();
    for (name, _, app) in apps.all() {
        let Ok(id) = AppId::read(app.node.get("app_id").and_then(SourcedValue::as_str)) else {
            continue;
        };
        if let Some(other) = owners.insert(id, name) {
            let other = join("apps", other);
            app.report("app_id", format!("is the app_id of {other} as well; every app needs its own"));
        }
    }
}

/// One attempt must not take longer than all attempts together.
fn attempts_end_in_time(place: &Place<'_>) {
    let sound = |name| place.node.get(name).is_none() || place.fits(name);
    let Some(tasks) = place.read::<Tasks>().filter(|_| sound("timeout") && sound("give_up_after")) else {
        return;
    };
    if tasks.timeout <= tasks.give_up_after {
        return;
    }
    // Report the one that the operator wrote.
    if place.node.get("timeout").is_some() {
        let limit = friendly(tasks.give_up_after);
        place.report("timeout", format!("must be at most give_up_after, which is \"{limit}\""));
    } else {
        let limit = friendly(tasks.timeout);
        place.report("give_up_after", format!("must be at least timeout, which is \"{limit}\""));
    }
}

fn there_is_one_schedule(sync: &Place<'_>) {
    let stands = |name| sync.node.get(name).is_some();
    if stands("cron") && stands("every") {
        sync.report("cron", "conflicts with 'every'; keep one of the two");
    }
    if stands("timezone") && !stands("cron") {
        sync.report("timezone", "only applies with 'cron'; set cron, or remove this key");
    }
}

fn proxy_is_complete(network: &Place<'_>) {
    for (name, needed) in
        [("proxy_username", "proxy"), ("proxy_password", "proxy_username"), ("no_proxy", "proxy")]
    {
        if network.node.get(name).is_some() && network.node.get(needed).is_none() {
            let problem = format!("only applies with '{needed}'; set {needed}, or remove this key");
            network.report(name, problem);
        }
    }
}

/// What is said of a node counts only where nodes share their state.
fn nodes_share_a_database(state: &Place<'_>) {
    for name in ["node", "lease"] {
        if state.node.get(name).is_some() && state.node.get("url").is_none() {
            state.report(name, "only applies with 'url'; set url, or remove this key".to_owned());
        }
    }
}

/// The paths of a configuration, relative to the folders of the files that contain them.
pub(super) struct Paths {
    pub(super) api_key: Option<Secret>,
    pub(super) proxy_password: Option<Secret>,
    pub(super) token: Option<Secret>,
    pub(super) ca_file: Option<PathBuf>,
    pub(super) state: Option<PathBuf>,
    pub(super) state_url: Option<Secret>,
    pub(super) audit: Option<PathBuf>,
}

impl Paths {
    /// Resolves them; a relative path without a base folder is reported.
    pub(super) fn of(root: &Place<'_>) -> Self {
        let path = |node: &SourcedValue| {
            values::placed(PathBuf::from(node.as_str().unwrap_or_default()), node, EXAMPLE)
        };
        Self {
            api_key: placed(root, "bridge", "api_key", Secret::from_node),
            proxy_password: placed(root, "network", "proxy_password", Secret::from_node),
            token: placed(root, "admin", "token", Secret::from_node),
            ca_file: placed(root, "network", "ca_file", path),
            state: placed(root, "state", "path", path),
            state_url: placed(root, "state", "url", Secret::from_node),
            audit: placed(root, "audit", "path", path),
        }
    }
}

fn placed<T>(
    root: &Place<'_>,
    table: &str,
    name: &str,
    read: impl FnOnce(&SourcedValue) -> Result<T, String>,
) -> Option<T> {
    let table = root.below(table).filter(|table| table.fits(name))?;
    read(table.node.get(name)?).map_err(|problem| table.report(name, problem)).ok()
}
