//! The configuration: its keys, its defaults and the program's settings in one set of types.
//!
//! Operators read the doc comments of the fields, in editors and in `docs/`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

use super::duration::Length;
use super::leaf::{As, Form, Opt};
use super::log_level::Directives;
use super::values::{Address, BaseUrl, FilePath, NodeName};
use super::{App, Error, Network, Secret, ignored, suspicious};

/// All settings of the operator, with defaults for the rest. Contains references to secrets, but no secrets.
///
/// [`load`](super::load) creates it. Parsed with serde alone, it lacks the folders for relative paths and the settings of targets.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "bridgehead configuration", description = "The configuration of bridgehead.")]
pub struct Config {
    /// The connection to Iden.
    pub bridge: Bridge,
    /// Network settings for Iden and all targets.
    #[serde(default)]
    pub network: Network,
    /// The state that must survive a restart.
    #[serde(default)]
    pub state: State,
    /// The record of who did what to whom, and on what evidence.
    #[serde(default)]
    pub audit: Audit,
    /// The listener for health, metrics and status; disabled when absent.
    pub admin: Option<Admin>,
    /// The daemon's log.
    #[serde(default)]
    pub log: Log,
    /// The daemon as a whole.
    #[serde(default)]
    pub runtime: Runtime,
    // Each has a different `app_id`. May be empty: see `Config::require_apps`.
    /// The apps of this daemon, each with a name of letters, digits, `-` and `_` that appears in logs and metrics.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub apps: BTreeMap<String, App>,
}

/// The connection to Iden.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Bridge {
    // With or without a trailing slash; https, or http to loopback; without user name, query and fragment.
    /// The tenant's base URL, to which `/api/v1/bridge/…` is appended. Plain http is for loopback only.
    #[serde(with = "As::<BaseUrl>")]
    #[schemars(extend(
        "examples" = ["https://developer.idenhq.com/org/acme"],
        "x-missing" = "write base_url = \"https://developer.idenhq.com/org/NAME\" under [bridge]"
    ))]
    pub base_url: Url,
    /// Where to read the API key.
    #[schemars(extend(
        "x-missing" = "write api_key = { env = \"IDEN_API_KEY\" } under [bridge], or { file = \"path\" }, or { credential = \"name\" }"
    ))]
    pub api_key: Secret,
    /// How long one request may take.
    #[serde(with = "As::<Length<100>>", default = "half_a_minute")]
    pub request_timeout: Duration,
    /// The maximum rate of requests, shared by all apps; unlimited when absent.
    pub rate_limit: Option<RateLimit>,
    /// How memberships and assignments refer to groups and licenses: `"g1"` or `{"id": "g1"}`.
    #[serde(default)]
    pub refs: Refs,
}

fn half_a_minute() -> Duration {
    Duration::from_secs(30)
}

/// The maximum rate of requests.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RateLimit {
    /// The average number per second.
    #[schemars(range(min = 0.0001, max = 100_000))]
    #[schemars(extend("x-missing" = "write, for example, { per_second = 50, burst = 100 }"))]
    pub per_second: f64,
    /// The maximum number after a pause.
    #[schemars(range(min = 1, max = 1_000_000))]
    #[schemars(extend("x-missing" = "write, for example, { per_second = 50, burst = 100 }"))]
    pub burst: u32,
}

/// How memberships and assignments refer to groups and licenses. The Bridge documentation leaves it open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Refs {
    // `"g1"`
    #[default]
    Id,
    // `{"id": "g1"}`
    Object,
}

/// The state that must survive a restart.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct State {
    // Absolute. It need not exist yet.
    /// The state folder, used only by this daemon; created with mode 0700. With `url`, it holds only what belongs to this machine: the control socket, the lock, the audit log.
    #[serde(with = "As::<FilePath>")]
    pub path: PathBuf,
    /// The address of the PostgreSQL database that holds the state instead of the folder; it contains a password.
    #[serde(skip_serializing)]
    #[schemars(extend("examples" = [{ "env": "BRIDGEHEAD_STATE_URL" }]))]
    pub url: Option<Secret>,
    /// The name of this node, for people; the name of the machine when absent. Only with `url`.
    #[serde(with = "Opt::<As<NodeName>>", skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = ["node-a"]))]
    pub node: Option<String>,
    /// How long a node that has died keeps its apps before another one takes them over; 15 s when absent. Only with `url`.
    #[serde(with = "Opt::<As<Length<2000>>>", skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = ["15s"]))]
    pub lease: Option<Duration>,
}

impl Default for State {
    fn default() -> Self {
        Self { path: "/var/lib/bridgehead".into(), url: None, node: None, lease: None }
    }
}

/// The record of who did what to whom, and on what evidence.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Audit {
    // Absolute, or `None`: see `Config::audit_folder`.
    /// The folder of the audit log, used only by this daemon; created with mode 0700; `audit` in the state folder when absent.
    #[serde(with = "Opt::<As<FilePath>>", skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = ["/var/log/bridgehead/audit"]))]
    pub path: Option<PathBuf>,
    /// How large a file grows, in bytes, before the next one is started.
    #[schemars(range(min = 65_536, max = 1_073_741_824))]
    pub max_bytes: u64,
    /// How many files are kept; the oldest is removed when there are more.
    #[schemars(range(min = 2, max = 100_000))]
    pub keep: u32,
}

impl Default for Audit {
    fn default() -> Self {
        Self { path: None, max_bytes: 16 * 1024 * 1024, keep: 64 }
    }
}

/// The listener for health, metrics and status.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Admin {
    /// The address and port of the page, /healthz, /readyz, /metrics and /status.
    #[serde(with = "As::<Address>")]
    #[schemars(extend(
        "examples" = ["127.0.0.1:9464"],
        "x-missing" = "write listen = \"127.0.0.1:9464\", or remove [admin]"
    ))]
    pub listen: SocketAddr,
    /// The token for actions and names on the page. Without it, the page is read-only and shows no names.
    pub token: Option<Secret>,
}

/// The daemon's log.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// The format: text for people, JSON for log collectors.
    pub format: LogFormat,
    // Directives that `tracing_subscriber::filter::Targets` parses.
    /// A level, or levels by module.
    #[serde(with = "As::<Directives>")]
    #[schemars(extend("examples" = ["info", "info,bridgehead=debug"]))]
    pub level: String,
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Text, level: "info".to_owned() }
    }
}

/// The audience of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    // For people.
    Text,
    // For log collectors: one object per line.
    Json,
}

/// The daemon as a whole.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Runtime {
    /// How long running work may continue after SIGTERM.
    #[serde(with = "As::<Length>")]
    pub shutdown_grace: Duration,
}

impl Default for Runtime {
    fn default() -> Self {
        Self { shutdown_grace: Duration::from_secs(30) }
    }
}

impl Config {
    /// Returns an error if there is no app, because then there is nothing to run.
    pub fn require_apps(&self) -> Result<(), Error> {
        if self.apps.is_empty() { Err(Error::NoApps) } else { Ok(()) }
    }

    /// The folder of the audit log.
    pub fn audit_folder(&self) -> PathBuf {
        self.audit.path.clone().unwrap_or_else(|| self.state.path.join("audit"))
    }

    /// Valid but risky settings, one sentence each, for `check` and the log: secrets in files that every user can read, a guard without
    /// effect, a page without access control.
    pub fn warnings(&self, environment: &BTreeMap<String, String>) -> Vec<String> {
        let token = self.admin.iter().flat_map(|admin| &admin.token);
        let secrets = std::iter::once(&self.bridge.api_key)
            .chain(&self.network.proxy_password)
            .chain(token)
            .chain(&self.state.url);
        let mut warnings: Vec<String> = secrets.flat_map(|secret| secret.warnings(environment)).collect();
        warnings.extend(self.apps.values().flat_map(|app| app.target.warnings()));
        warnings.extend(suspicious::of(self));
        warnings.extend(ignored::variables(environment, self.apps.keys().map(String::as_str)));
        warnings.sort();
        warnings.dedup();
        warnings
    }
}
