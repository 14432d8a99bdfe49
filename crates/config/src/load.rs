//! Loads the configuration from its sources.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::error::Diagnostics;
use super::keys::Keys;
use super::network::Origins;
use super::reader::{Place, Reader};
use super::rules::{self, Paths};
use super::{Config, Connectors, Document, Errors, Sources, layers, schema};

/// Reads and checks the configuration. Nothing is started, and no secret is read.
///
/// `connectors` are the ones that an app may use. The error contains all problems, in the order of the files.
pub fn load(sources: &Sources, connectors: &Connectors) -> Result<Config, Errors> {
    parse(&sources.read()?, &sources.environment, connectors)
}

/// Does the same as [`load`] from strings: pure, for tests and for programs that keep their configuration elsewhere.
pub fn parse(
    documents: &[Document],
    environment: &BTreeMap<String, String>,
    connectors: &Connectors,
) -> Result<Config, Errors> {
    let problems = Diagnostics::default();
    let known = schema::description(connectors);
    let keys = Keys::of(&known);
    let tree = layers::stack(documents, environment, connectors, keys, &problems)?;
    let reader = Reader::new(&problems);
    let root = reader.root(&tree, keys);
    let config = root.read();
    rules::check(&root, connectors);
    let paths = Paths::of(&root);
    match config {
        Some(mut config) if problems.is_empty() => {
            settle(&mut config, paths, &root, &Arc::new(environment.clone()));
            Ok(config)
        }
        _ => {
            let files: Vec<PathBuf> = documents.iter().map(|document| document.path.clone()).collect();
            Err(Errors::sorted(problems.take(), &files))
        }
    }
}

/// Adds what the values alone do not contain: the folders for relative paths, and the tables that others interpret, with their locations.
fn settle(config: &mut Config, paths: Paths, root: &Place<'_>, environment: &Arc<BTreeMap<String, String>>) {
    if let Some(api_key) = paths.api_key {
        config.bridge.api_key = api_key;
    }
    if let Some(path) = paths.state {
        config.state.path = path;
    }
    config.state.url = paths.state_url;
    config.audit.path = paths.audit;
    if let Some(admin) = &mut config.admin {
        admin.token = paths.token;
    }
    config.network.ca_file = paths.ca_file;
    config.network.proxy_password = paths.proxy_password;
    let origin = |name| root.node.get("network")?.get(name).map(|node| node.origin.clone());
    config.network.origins = Origins { ca_file: origin("ca_file"), proxy_password: origin("proxy_password") };
    let Some(apps) = root.below("apps") else { return };
    for (name, app) in &mut config.apps {
        let Some(place) = apps.below(name) else { continue };
        app.sync.settle();
        app.target.settle(&place, environment);
        if let Some(table) = place.node.get("conformance") {
            app.conformance.settle(table);
        }
    }
}
