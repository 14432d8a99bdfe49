//! How a connector is created from a configuration file.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::{Connector, Discovery, Network, ProcessRegistry, Redactor, SettingsError};

/// The input of a factory: one app's `target` table, and its surroundings.
///
/// `Debug` shows the names of the keys, never their values.
///
/// ```
/// use bridgehead_sdk::{Redactor, Setup, serde_json::json};
///
/// let target = json!({ "path": "people.json" });
/// let setup = Setup::new("hr", target.as_object().cloned().unwrap_or_default())
///     .with_base("/etc/bridgehead")
///     .with_redactor(Redactor::new());
/// assert_eq!(setup.resolve("people.json").to_str(), Some("/etc/bridgehead/people.json"));
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub struct Setup {
    /// The app's name in the configuration, such as `acme-hr`. Use it to name the system in messages.
    pub app: String,
    /// The app's `target` table. Secrets are resolved: `{ env = "…" }` is replaced by the secret itself. `rate_limit`
    /// is handled by the runtime, and not included.
    pub target: Map<String, Value>,
    /// The folder of the configuration file; relative paths in `target` start there.
    pub base: PathBuf,
    /// How to reach the target over the network: trusted certificates and proxies.
    pub network: Network,
    /// Already knows the secrets of `target`. Pass strings from the target through it before you log them. It is
    /// [exact](Redactor::exact): what only looks like a secret is removed where text leaves the daemon.
    pub redactor: Redactor,
    /// Records programs that the connector starts; absent in tests.
    pub processes: Option<Arc<dyn ProcessRegistry>>,
}

impl Setup {
    /// A setup with only an app's name and its `target` table, for tests: the redactor has no secrets, relative paths
    /// start in the working directory, and only the certificates of the operating system are trusted.
    pub fn new(app: impl Into<String>, target: Map<String, Value>) -> Self {
        Self {
            app: app.into(),
            target,
            base: PathBuf::from("."),
            network: Network::default(),
            redactor: Redactor::new(),
            processes: None,
        }
    }

    /// Sets the folder in which relative paths of `target` start.
    pub fn with_base(mut self, base: impl Into<PathBuf>) -> Self {
        self.base = base.into();
        self
    }

    /// Sets how to reach the target over the network.
    pub fn with_network(mut self, network: Network) -> Self {
        self.network = network;
        self
    }

    /// Sets the redactor, which knows the secrets of `target`.
    #[expect(clippy::needless_pass_by_value, reason = "the other setters take their values, too")]
    pub fn with_redactor(mut self, redactor: Redactor) -> Self {
        self.redactor = redactor.exact();
        self
    }

    /// Sets the registry that records programs that the connector starts.
    pub fn with_processes(mut self, processes: Arc<dyn ProcessRegistry>) -> Self {
        self.processes = Some(processes);
        self
    }

    /// Reads `target` as the connector's own settings. An unknown key is an error that suggests the nearest key.
    pub fn settings<T: DeserializeOwned + schemars::JsonSchema>(&self) -> Result<T, SettingsError> {
        crate::settings::parse(Value::Object(self.target.clone()))
    }

    /// A path in `target`, resolved from the folder of the configuration file if it is relative.
    pub fn resolve(&self, path: impl AsRef<Path>) -> PathBuf {
        self.base.join(path)
    }
}

impl std::fmt::Debug for Setup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Setup")
            .field("app", &self.app)
            .field("target", &self.target.keys().collect::<Vec<_>>())
            .field("base", &self.base)
            .finish_non_exhaustive()
    }
}

/// Creates connectors of one kind from a configuration.
///
/// Creation is pure: it only checks the settings. It opens no connection, starts no process and spawns no task, so that
/// a configuration can be checked without touching the target. Connect to the target at the first call.
pub trait Factory: Send + Sync + 'static {
    /// Creates a connector for one app; the error names the key that is wrong.
    fn build(&self, setup: Setup) -> Result<Arc<dyn Connector>, SettingsError>;

    /// The JSON schema of the `target` table, for `bridgehead config schema`.
    fn schema(&self) -> Value;

    /// What `bridgehead init` asks and discovers. If `None`, `init` asks for the keys that the schema requires.
    fn discovery(&self) -> Option<&dyn Discovery> {
        None
    }
}

struct FromSettings<T, F>(F, std::marker::PhantomData<fn(T)>);

impl<T, F, C> Factory for FromSettings<T, F>
where
    T: DeserializeOwned + schemars::JsonSchema + 'static,
    F: Fn(T, Setup) -> Result<C, SettingsError> + Send + Sync + 'static,
    C: Connector,
{
    fn build(&self, setup: Setup) -> Result<Arc<dyn Connector>, SettingsError> {
        let settings = setup.settings()?;
        Ok(Arc::new((self.0)(settings, setup)?))
    }

    fn schema(&self) -> Value {
        schemars::schema_for!(T).to_value()
    }
}

/// A factory from a function that takes the connector's own settings.
///
/// The settings' type defines the keys that `target` may have. Declare credentials as [`SecretString`](crate::SecretString), which never
/// shows its value:
///
/// ```
/// use bridgehead_sdk::serde::Deserialize;
/// use bridgehead_sdk::serde_json::json;
/// use bridgehead_sdk::{ExposeSecret, SecretString, Setup, schemars};
///
/// #[derive(Debug, Deserialize, schemars::JsonSchema)]
/// #[serde(crate = "bridgehead_sdk::serde", deny_unknown_fields)]
/// #[schemars(crate = "bridgehead_sdk::schemars")]
/// struct Settings {
///     /// In the configuration `token = { env = "TOKEN" }`; here the secret itself.
///     #[schemars(with = "String")]
///     token: SecretString,
/// }
///
/// let target = json!({ "token": "hunter2" }).as_object().cloned().unwrap_or_default();
/// let settings: Settings = Setup::new("hr", target).settings()?;
/// assert_eq!(settings.token.expose_secret(), "hunter2");
/// assert!(!format!("{settings:?}").contains("hunter2"));
/// # Ok::<(), bridgehead_sdk::SettingsError>(())
/// ```
///
/// The [front page](crate#a-complete-connector) has a complete example.
pub fn factory<T, F, C>(build: F) -> Arc<dyn Factory>
where
    T: DeserializeOwned + schemars::JsonSchema + 'static,
    F: Fn(T, Setup) -> Result<C, SettingsError> + Send + Sync + 'static,
    C: Connector,
{
    Arc::new(FromSettings(build, std::marker::PhantomData))
}
