//! From sources to the configuration.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::error::Problems;
use super::keys::Keys;
use super::validate::{self, Context};
use super::{Config, Connectors, Document, Errors, Sources, layers, schema};

/// Reads and checks the configuration. Nothing is started, and no secret is read.
///
/// `connectors` are those that an app may name. All that is wrong is in the error, in the order of the files.
pub fn load(sources: &Sources, connectors: &Connectors) -> Result<Config, Errors> {
    parse(&sources.read()?, &sources.environment, connectors)
}

/// Does what [`load`] does, from texts: pure, for tests and for those who keep their configuration elsewhere.
pub fn parse(
    documents: &[Document],
    environment: &BTreeMap<String, String>,
    connectors: &Connectors,
) -> Result<Config, Errors> {
    let problems = Problems::default();
    let known = schema::document();
    let keys = Keys::of(&known);
    let mut tree = layers::stack(documents, environment, connectors, keys, &problems)?;
    keys.check(&tree, "", &problems);
    layers::fill_defaults(&mut tree)?;
    let context = Context { connectors, environment: &Arc::new(environment.clone()), problems: &problems };
    let config = validate::config(&tree, &context);
    let errors = problems.into_inner();
    match config {
        Ok(config) if errors.is_empty() => Ok(config),
        _ => {
            let files: Vec<PathBuf> = documents.iter().map(|document| document.path.clone()).collect();
            Err(Errors::sorted(errors, &files))
        }
    }
}
