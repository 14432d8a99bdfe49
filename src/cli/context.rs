//! The dependencies of a command: the configuration, the Bridge, the state, the connectors.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bridgehead_sdk::{Connector, Network, Redactor, Trace};
use secrecy::{ExposeSecret, SecretString};
use xxhash_rust::xxh3::xxh3_64;

use super::args::Global;
use super::failure::{Exit, Failure};
use super::print;
use crate::children;
use bridgehead_bridge::{self as bridge, ApiKey, Client, KeyError, KeySource};
use bridgehead_config::{self as config, Config, Connectors, Secret, Sources};
use bridgehead_runtime::{Apps, first_names};

/// Creates the connector of an app. The programs that it starts are registered with this process, and end with it.
pub(crate) fn build_connector(
    name: &str,
    app: &config::App,
    connectors: &Connectors,
    network: &Network,
    redactor: &Redactor,
) -> Result<Arc<dyn Connector>, config::Error> {
    config::build_connector(name, app, connectors, network, redactor, children::registry())
}

/// The configuration and its context.
pub(crate) struct Context {
    pub(crate) config: Config,
    pub(crate) redactor: Redactor,
    pub(crate) environment: Arc<BTreeMap<String, String>>,
}

/// The sources of the configuration, from the arguments and the environment of the process.
pub(crate) fn sources(global: &Global) -> Sources {
    let paths = global.config.iter().flat_map(|path| several(path)).collect();
    Sources { paths, environment: environment() }
}

/// The paths in a string, separated by colons. The name of a file or folder may contain a colon.
fn several(text: &Path) -> Vec<PathBuf> {
    if text.exists() { vec![text.to_owned()] } else { std::env::split_paths(text).collect() }
}

/// Identifies a configuration: a fingerprint of the merged files, environment and defaults. It contains nothing of any secret. Empty if the
/// configuration cannot be read.
pub(crate) fn fingerprint(global: &Global, connectors: &Connectors) -> String {
    config::show(&sources(global), connectors)
        .map(|shown| fingerprint_of(&shown.to_json()))
        .unwrap_or_default()
}

/// The fingerprint of a configuration that was already read.
pub(crate) fn fingerprint_of(shown: &serde_json::Value) -> String {
    format!("{:016x}", xxh3_64(shown.to_string().as_bytes()))
}

fn environment() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

impl Context {
    /// Loads the configuration; the failure contains all of its errors.
    pub(crate) fn load(global: &Global, connectors: &Connectors) -> Result<Self, Failure> {
        let sources = sources(global);
        let config = config::load(&sources, connectors)?;
        Ok(Self::of(config, sources))
    }

    /// Uses a configuration that was already read, with the context of this process.
    pub(crate) fn of(config: Config, sources: Sources) -> Self {
        children::keep_in(&config.state.path);
        Self { config, redactor: Redactor::new().recognizing(), environment: Arc::new(sources.environment) }
    }

    /// Ends the connector programs that an earlier process left behind. Must be called before any task is executed: they may still change
    /// the target.
    pub(crate) async fn end_orphans(&self) -> Result<(), Failure> {
        let folder = self.config.state.path.clone();
        match tokio::task::spawn_blocking(move || children::end_orphans(&folder)).await {
            Ok(Err(orphan)) => Err(Failure::new(Exit::Temporary, orphan.to_string())),
            // It cannot panic, and is not cancelled.
            Ok(Ok(())) | Err(_) => Ok(()),
        }
    }

    /// The network settings for Iden and targets. Reads the files that `[network]` refers to.
    pub(crate) fn network(&self) -> Result<bridgehead_sdk::Network, Failure> {
        Ok(self.config.network.resolve(&self.environment, &self.redactor)?)
    }

    /// The same for a command that can trace the communication between a connector and its target.
    pub(crate) fn traced_network(&self, trace: bool) -> Result<bridgehead_sdk::Network, Failure> {
        let mut network = self.network()?;
        network.trace = trace.then(|| Trace::new(&self.redactor, |line| print::complain(line)));
        Ok(network)
    }

    /// The client of the Bridge. Reads the key, so that a missing one is reported immediately.
    pub(crate) fn bridge(&self) -> Result<Client, Failure> {
        let settings = &self.config.bridge;
        let key = self.key_source();
        self.api_key()?;
        let mut client = bridge::Settings::new(settings.base_url.clone());
        client.network = self.network()?;
        client.request_timeout = settings.request_timeout;
        client.rate_limit = settings
            .rate_limit
            .map(|rate| bridge::RateLimit { per_second: rate.per_second, burst: rate.burst });
        client.refs = self.refs();
        Client::new(client, Arc::new(key))
            .map_err(|error| Failure::new(Exit::Configuration, error.to_string()))
    }

    /// The current key of the Bridge.
    pub(crate) fn api_key(&self) -> Result<ApiKey, Failure> {
        let key = self.key_source().read();
        key.map_err(|error| Failure::new(Exit::Configuration, format!("bridge.api_key: {error}")))
    }

    fn key_source(&self) -> ConfiguredKey {
        ConfiguredKey {
            secret: self.config.bridge.api_key.clone(),
            environment: Arc::clone(&self.environment),
            redactor: self.redactor.clone(),
        }
    }

    /// The token for actions on the page, if one is configured.
    pub(crate) fn page_token(&self) -> Result<Option<SecretString>, Failure> {
        const SHORTEST: usize = 16;
        let Some(secret) = self.config.admin.as_ref().and_then(|admin| admin.token.as_ref()) else {
            return Ok(None);
        };
        let wrong = |problem: String| Failure::new(Exit::Configuration, format!("admin.token: {problem}"));
        let token = secret.read(&self.environment).map_err(|error| wrong(error.to_string()))?;
        let is_text = token.expose_secret().bytes().all(|byte| byte.is_ascii_graphic());
        if !is_text || token.expose_secret().len() < SHORTEST {
            return Err(wrong(format!(
                "must be at least {SHORTEST} letters, digits and signs without spaces; make one with `openssl rand -hex 32`"
            )));
        }
        self.redactor.protect_for_good([token.expose_secret()]);
        Ok(Some(token))
    }

    /// The format of references in Iden.
    pub(crate) fn refs(&self) -> bridge::Refs {
        match self.config.bridge.refs {
            config::Refs::Id => bridge::Refs::Id,
            config::Refs::Object => bridge::Refs::Object,
        }
    }

    /// The apps with these names, all if none is given, each with its connector.
    pub(crate) fn apps(&self, names: &[String], connectors: &Connectors) -> Result<Apps, Failure> {
        let network = self.network()?;
        let mut apps = Apps::new();
        for name in self.names(names)? {
            let app = &self.config.apps[&name];
            let connector = build_connector(&name, app, connectors, &network, &self.redactor)?;
            apps.insert(name, (app.clone(), connector));
        }
        Ok(apps)
    }

    /// The names of apps: those given, or all. An unknown name is rejected with the nearest known one.
    pub(crate) fn names(&self, names: &[String]) -> Result<Vec<String>, Failure> {
        self.config.require_apps()?;
        let known = &self.config.apps;
        if let Some(unknown) = names.iter().find(|name| !known.contains_key(*name)) {
            let hint = bridgehead_sdk::nearest(unknown, known.keys().map(String::as_str)).map_or_else(
                || format!("the configured apps are {}", first_names(known.keys())),
                |near| format!("did you mean '{near}'?"),
            );
            return Err(Failure::new(Exit::Usage, format!("no app named '{unknown}' is configured; {hint}")));
        }
        Ok(if names.is_empty() { known.keys().cloned().collect() } else { names.to_vec() })
    }
}

/// The key from its configured location; read again whenever the Bridge rejects the last one.
struct ConfiguredKey {
    secret: Secret,
    environment: Arc<BTreeMap<String, String>>,
    redactor: Redactor,
}

impl KeySource for ConfiguredKey {
    fn read(&self) -> Result<ApiKey, KeyError> {
        let secret =
            self.secret.read(&self.environment).map_err(|error| KeyError::Unreadable(error.to_string()))?;
        self.redactor.protect_for_good([secret.expose_secret()]);
        ApiKey::new(secret.expose_secret())
    }
}

impl std::fmt::Debug for ConfiguredKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConfiguredKey").field("secret", &self.secret).finish_non_exhaustive()
    }
}
