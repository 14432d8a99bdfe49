//! The configuration, typed and checked.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use bridgehead_sdk::Action;
use url::Url;
use uuid::Uuid;

use super::suspicious;
use super::{Conformance, Error, Network, Pattern, Schedule, Secret, Target};

/// Everything that the operator has said, with defaults where they said nothing. Holds no secret, only where secrets are.
#[derive(Clone, Debug)]
pub struct Config {
    /// How to reach Iden.
    pub bridge: Bridge,
    /// How Iden and targets are reached over the network.
    pub network: Network,
    /// What has to survive a restart.
    pub state: State,
    /// The listener for health, metrics and status; `None` for no listener.
    pub admin: Option<Admin>,
    /// What the daemon writes about itself.
    pub log: Log,
    /// The daemon as a whole.
    pub runtime: Runtime,
    /// The apps, by name. No two have the same `app_id`. May be empty: see [`Config::require_apps`].
    pub apps: BTreeMap<String, App>,
}

/// How to reach Iden.
#[derive(Clone, Debug)]
pub struct Bridge {
    /// The tenant's base URL, with or without a slash at its end; `/api/v1/bridge/…` is appended. https, or http to
    /// loopback; without user name, query and fragment.
    pub base_url: Url,
    /// Where the API key is.
    pub api_key: Secret,
    /// How long one request may take.
    pub request_timeout: Duration,
    /// How fast to send requests, shared by all apps; `None` for unlimited.
    pub rate_limit: Option<RateLimit>,
    /// How references go on the wire.
    pub refs: Refs,
}

/// How fast to send requests.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RateLimit {
    /// How many in the long run; 0.0001 to 100000.
    pub per_second: f64,
    /// How many at once after a pause; at least 1.
    pub burst: u32,
}

/// How memberships and assignments refer to groups and licences. Bridge's documents leave it open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refs {
    /// `"g1"`
    Id,
    /// `{"id": "g1"}`
    Object,
}

/// What has to survive a restart.
#[derive(Clone, Debug)]
pub struct State {
    /// A folder of the daemon's own, mode 0700; absolute. It need not exist yet.
    pub path: PathBuf,
}

/// The listener for health, metrics and status.
#[derive(Clone, Debug)]
pub struct Admin {
    /// Where to listen.
    pub listen: SocketAddr,
}

/// What the daemon writes about itself.
#[derive(Clone, Debug)]
pub struct Log {
    /// For people or for collectors.
    pub format: LogFormat,
    /// A level, or levels by module; directives that `tracing_subscriber::filter::Targets` parses.
    pub level: String,
}

/// For whom the log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For collectors: one object a line.
    Json,
}

/// The daemon as a whole.
#[derive(Clone, Debug)]
pub struct Runtime {
    /// How long work that is under way may go on after SIGTERM.
    pub shutdown_grace: Duration,
}

/// One app: a target system as Iden knows it.
#[derive(Clone, Debug)]
pub struct App {
    /// Its identifier in Iden.
    pub app_id: Uuid,
    /// Which connector speaks to it; one that exists.
    pub connector: String,
    /// Whether to register the connector's resource types with Iden.
    pub register_resource_types: bool,
    /// Provisioning tasks.
    pub tasks: Tasks,
    /// Full syncs.
    pub sync: Sync,
    /// What tasks must not touch.
    pub protect: Protect,
    /// The connector's own settings.
    pub target: Target,
    /// What the kit that proves a connector has to be told.
    pub conformance: Conformance,
}

/// Provisioning tasks.
#[derive(Clone, Debug)]
pub struct Tasks {
    /// Whether to execute tasks at all.
    pub enabled: bool,
    /// How often to ask for tasks while there are none; at least 100ms.
    pub poll_interval: Duration,
    /// How many tasks may run at once; 1 to 1024.
    pub concurrency: usize,
    /// How long one attempt may take; at most `give_up_after`.
    pub timeout: Duration,
    /// How long all attempts at one task may take together.
    pub give_up_after: Duration,
    /// How long an unreachable target holds its tasks.
    pub hold_for: Duration,
    /// Whether the account is read back after a success, before Iden hears `completed`.
    pub verify: bool,
    /// How many destructive tasks are executed before the operator is asked; `None` for no limit.
    pub guard: Option<TaskGuard>,
}

/// How many tasks that take access away (deletions and suspensions together) are executed; further ones are held until
/// the operator lets them go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TaskGuard {
    /// The most; 0 to 100000. 0 asks the operator about each.
    pub max: usize,
    /// Within this time, rolling; 1 second to 30 days, which is how long the journal remembers.
    pub per: Duration,
}

/// Full syncs.
#[derive(Clone, Debug)]
pub struct Sync {
    /// Whether to sync on schedule.
    pub enabled: bool,
    /// When.
    pub schedule: Schedule,
    /// Whether to sync when the daemon starts.
    pub on_start: bool,
    /// How many pages may be sent at once; 1 to 1024.
    pub push_concurrency: usize,
    /// What records that break a rule lead to.
    pub on_invalid: OnInvalid,
    /// What a listing leads to of which nothing shows that it was read to its end.
    pub complete_without_proof: WithoutProof,
    /// When completing would remove too much.
    pub guard: Guard,
}

/// What records that break a rule lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnInvalid {
    /// Push the good ones, then abandon: nothing is removed.
    Abandon,
    /// Leave them out: completing removes them as if they were not in the target.
    Skip,
}

/// What a listing leads to of which nothing shows that it was read to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WithoutProof {
    /// Push what was read, then hold completion: nothing is removed.
    Hold,
    /// Complete all the same, and say so in the log.
    Allow,
}

/// When completing a sync would remove too much. The limit that is hit first counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Guard {
    /// How many records of one type may go.
    pub max_removals: u64,
    /// How much of one type may go, in percent; 0 to 100.
    pub max_removal_percent: f64,
    /// How many active accounts of one type may stop being active.
    pub max_deactivations: u64,
    /// How much of the active accounts of one type, in percent; 0 to 100.
    pub max_deactivation_percent: f64,
    /// How many accounts of one type may lose memberships or assignments.
    pub max_membership_losses: u64,
    /// How much of the accounts of one type that have any, in percent; 0 to 100.
    pub max_membership_loss_percent: f64,
    /// Types with fewer records than this are exempt, unless all of them are lost.
    pub min_records: u64,
    /// Losses are also added up over this time.
    pub window: Duration,
}

/// What tasks must not touch.
#[derive(Clone, Debug)]
pub struct Protect {
    /// Accounts, by id, user name or e-mail.
    pub accounts: Vec<Pattern>,
    /// The actions that tasks may ask for; `None` for all.
    pub actions: Option<BTreeSet<Action>>,
}

impl Config {
    /// An error if there is no app: then there is nothing to run.
    pub fn require_apps(&self) -> Result<(), Error> {
        if self.apps.is_empty() { Err(Error::NoApps) } else { Ok(()) }
    }

    /// What is careless without being wrong, one sentence each, for `check` and the log: secrets in files that everybody can read, a guard
    /// that lets everything pass, a page that everybody can read.
    pub fn warnings(&self, environment: &BTreeMap<String, String>) -> Vec<String> {
        let secrets = std::iter::once(&self.bridge.api_key).chain(&self.network.proxy_password);
        let mut warnings: Vec<String> = secrets.filter_map(|secret| secret.warning(environment)).collect();
        warnings.extend(self.apps.values().flat_map(|app| app.target.warnings()));
        warnings.extend(suspicious::of(self));
        warnings.extend(suspicious::variables(environment));
        warnings.sort();
        warnings.dedup();
        warnings
    }
}
