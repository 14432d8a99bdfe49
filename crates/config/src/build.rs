//! Creates an app's connector from its configuration.

use std::sync::Arc;

use bridgehead_sdk::{Connector, Network, ProcessRegistry, Redactor, Setup};

use super::keys::unknown;
use super::{App, Connectors, Error};

/// Creates the connector of an app.
///
/// Reads the secrets of its `target`, registers them with the redactor for the lifetime of the daemon, and calls the factory with the
/// network settings. The target itself is not accessed. Errors that the connector reports get their location in the file.
pub fn build_connector(
    app_name: &str,
    app: &App,
    connectors: &Connectors,
    network: &Network,
    redactor: &Redactor,
    processes: Option<Arc<dyn ProcessRegistry>>,
) -> Result<Arc<dyn Connector>, Error> {
    let Some(factory) = connectors.get(&app.connector) else {
        let known: Vec<&str> = connectors.keys().map(String::as_str).collect();
        let (at, key) = app.target.locate("");
        return Err(Error::Key { at, key, problem: unknown("connector", &app.connector, &known) });
    };
    let resolved = app.target.resolve_in_place().map_err(|unresolved| Error::Key {
        at: unresolved.at,
        key: unresolved.key,
        problem: unresolved.error.to_string(),
    })?;
    redactor.protect_for_good(&resolved.secrets);
    let mut setup = Setup::new(app_name, resolved.settings)
        .with_base(&app.target.base)
        .with_network(network.clone())
        .with_redactor(redactor.clone());
    setup.processes = processes;
    factory.build(setup).map_err(|error| {
        let (at, key) = app.target.locate(&error.key);
        Error::Key {
            at,
            key: redactor.redact(&key).into_owned(),
            // A connector must not quote values; the redactor covers those that do.
            problem: redactor.redact(&error.message).into_owned(),
        }
    })
}
