//! The shape of the whole file: what its JSON schema is made from, and with it the list of known keys.
//!
//! Nothing is ever read into these types: serde stops at the first error and forgets places. [`validate`](super::validate)
//! reads the tree instead, and a test holds the two together.

#![expect(dead_code, reason = "only the schema of these types is used")]

use std::collections::BTreeMap;
use std::path::PathBuf;

use bridgehead_sdk::Action;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

/// The title of the schema of a reference to a secret.
pub(super) const SECRET: &str = "Reference to a secret";
/// The title of the schema of a `target`.
pub(super) const TARGET: &str = "Target";
/// The title of the schema of a table of anything.
pub(super) const TABLE: &str = "Table";

/// The configuration of bridgehead.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, title = "bridgehead configuration")]
pub(super) struct Document {
    /// How to reach Iden.
    bridge: Bridge,
    /// How Iden and targets are reached over the network.
    network: Option<Network>,
    /// What has to survive a restart.
    state: Option<State>,
    /// The listener for health, metrics and status; none when absent.
    admin: Option<Admin>,
    /// What the daemon writes about itself.
    log: Option<Log>,
    /// The daemon as a whole.
    runtime: Option<Runtime>,
    /// The apps of this daemon, each under a name of letters, digits, `-` and `_` that appears in logs and metrics.
    apps: Option<BTreeMap<String, App>>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Bridge {
    /// The tenant's base URL, to which `/api/v1/bridge/…` is appended. Plain http is for loopback only.
    #[schemars(extend("examples" = ["https://developer.idenhq.com/org/acme"]))]
    base_url: String,
    /// Where the API key is.
    api_key: Secret,
    /// How long one request may take.
    request_timeout: Option<Duration>,
    /// How fast to send requests, shared by all apps; unlimited when absent.
    rate_limit: Option<RateLimit>,
    /// How memberships and assignments refer to groups and licences: `"g1"` or `{"id": "g1"}`.
    refs: Option<Refs>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum Refs {
    Id,
    Object,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Network {
    /// A file of certificates in PEM. They are trusted beside those of the operating system, for Iden and for every target.
    #[schemars(extend("examples" = ["/etc/bridgehead/ca.pem"]))]
    ca_file: Option<PathBuf>,
    /// The proxy for HTTP; when absent, the environment decides (`HTTPS_PROXY`, `NO_PROXY`). A Bridge on this machine is reached
    /// without one.
    #[schemars(extend("examples" = ["http://proxy.example:3128"]))]
    proxy: Option<String>,
    /// As whom the proxy is used.
    proxy_username: Option<String>,
    /// Where the password for the proxy is.
    proxy_password: Option<Secret>,
    /// Hosts that are reached without the proxy: hosts, domains, addresses, networks. Loopback always is.
    #[schemars(extend("examples" = [["intranet.example.com", "10.0.0.0/8"]]))]
    no_proxy: Option<Vec<String>>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct State {
    /// A folder of the daemon's own; created with mode 0700.
    path: Option<PathBuf>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Admin {
    /// Address and port of /healthz, /readyz, /metrics and /status.
    #[schemars(extend("examples" = ["127.0.0.1:9464"]))]
    listen: String,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Log {
    /// Text for people, JSON for collectors.
    format: Option<LogFormat>,
    /// A level, or levels by module.
    #[schemars(extend("examples" = ["info", "info,bridgehead=debug"]))]
    level: Option<String>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum LogFormat {
    Text,
    Json,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Runtime {
    /// How long work that is under way may go on after SIGTERM.
    shutdown_grace: Option<Duration>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(clippy::struct_field_names, reason = "the key is called so")]
struct App {
    /// The app's UUID in Iden.
    #[schemars(extend("format" = "uuid"))]
    app_id: String,
    /// Which connector speaks to the target.
    connector: String,
    /// Whether to register the connector's resource types with Iden.
    register_resource_types: Option<bool>,
    /// Provisioning tasks.
    tasks: Option<Tasks>,
    /// Full syncs.
    sync: Option<Sync>,
    /// What tasks must not touch.
    protect: Option<Protect>,
    /// The connector's own settings.
    target: Option<Target>,
    /// What `bridgehead check NAME --conformance` has to be told; of no meaning to the daemon.
    conformance: Option<Conformance>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Tasks {
    /// Whether to execute tasks at all.
    enabled: Option<bool>,
    /// How often to ask for tasks while there are none. At least 100ms.
    poll_interval: Option<Duration>,
    /// How many tasks may run at once.
    #[schemars(range(min = 1, max = 1024))]
    concurrency: Option<u64>,
    /// How long one attempt may take; at most `give_up_after`.
    timeout: Option<Duration>,
    /// How long all attempts at one task may take together.
    give_up_after: Option<Duration>,
    /// How long an unreachable target holds its tasks.
    hold_for: Option<Duration>,
    /// Whether the account is read back after a success, before Iden hears that the task is completed.
    verify: Option<bool>,
    /// How many deletions and suspensions are executed before the operator is asked; no limit when absent.
    guard: Option<TaskGuard>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct TaskGuard {
    /// So many deletions and suspensions together; more are held until `bridgehead tasks release`.
    #[schemars(range(min = 0, max = 100_000))]
    max: u64,
    /// Within this time, rolling; 1s to 30d.
    #[schemars(extend("examples" = ["1h"]))]
    per: Duration,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Sync {
    /// Whether to sync on schedule.
    enabled: Option<bool>,
    /// The time between the starts of two syncs; or say `cron`.
    every: Option<Duration>,
    /// Five fields: minute, hour, day of the month, month, day of the week; or say `every`.
    #[schemars(extend("examples" = ["0 3 * * *"]))]
    cron: Option<String>,
    /// The time zone of `cron`, UTC when absent.
    #[schemars(extend("examples" = ["Europe/Paris"]))]
    timezone: Option<String>,
    /// Whether to sync when the daemon starts.
    on_start: Option<bool>,
    /// How many pages may be sent at once.
    #[schemars(range(min = 1, max = 1024))]
    push_concurrency: Option<u64>,
    /// What records that break a rule lead to.
    on_invalid: Option<OnInvalid>,
    /// What a listing leads to of which nothing shows that it was read to its end.
    complete_without_proof: Option<WithoutProof>,
    /// When completing would remove too much.
    guard: Option<Guard>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum OnInvalid {
    /// Push the good ones, then abandon: nothing is removed.
    Abandon,
    /// Leave them out: they are removed as if they were not in the target.
    Skip,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum WithoutProof {
    /// Push what was read, then hold: nothing is removed.
    Hold,
    /// Complete all the same; the log says so.
    Allow,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Guard {
    /// More removals of one type than this hold the sync.
    max_removals: Option<u64>,
    /// A larger part of one type than this, in percent, holds the sync.
    #[schemars(range(min = 0, max = 100))]
    max_removal_percent: Option<f64>,
    /// More accounts of one type than this that stop being active hold the sync.
    max_deactivations: Option<u64>,
    /// A larger part of the active accounts than this, in percent, holds the sync.
    #[schemars(range(min = 0, max = 100))]
    max_deactivation_percent: Option<f64>,
    /// More accounts of one type than this that lose memberships or assignments hold the sync.
    max_membership_losses: Option<u64>,
    /// A larger part of the accounts that have any than this, in percent, holds the sync.
    #[schemars(range(min = 0, max = 100))]
    max_membership_loss_percent: Option<f64>,
    /// Types with fewer records than this are exempt, unless all of them are lost.
    min_records: Option<u64>,
    /// Losses are also added up over this time.
    window: Option<Duration>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Protect {
    /// Accounts that no task may touch, by id, user name or e-mail; `*` stands for anything.
    accounts: Option<Vec<String>>,
    /// The actions that tasks may ask for; all when absent.
    actions: Option<Vec<Action>>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Conformance {
    /// Fields of the accounts that are created, laid over those of the kit. `{name}` in a text is the account's unique name; an empty
    /// text leaves a field out.
    account: Option<Table>,
    /// What an update changes, in place of what the kit would; `{name}` as above.
    changes: Option<Table>,
    /// The fields in which any text may stand.
    free_text_fields: Option<Vec<String>>,
    /// By resource type, an id that could be one of the target's and is not.
    missing_refs: Option<Table>,
    /// By resource type, the group or licence in which the kit may put the accounts that it creates.
    usable_refs: Option<Table>,
    /// Where the target listens.
    #[schemars(extend("examples" = ["127.0.0.1:389"]))]
    address: Option<String>,
    /// The checks that may be skipped without exit code 3; `*` stands for any text.
    #[schemars(extend("examples" = [["paging-*", "silence"]]))]
    accept_skipped: Option<Vec<String>>,
    /// How long one check may take. What waits because the target asks for it, or for `rate_limit`, does not count.
    #[schemars(extend("default" = "2m"))]
    check_timeout: Option<Duration>,
    /// How long all checks together may take, counted in the same way.
    #[schemars(extend("default" = "30m"))]
    timeout: Option<Duration>,
    /// How many records a page of the connector holds. With it the kit creates enough accounts for several pages, 1,001 at most, and
    /// removes them again.
    #[schemars(range(min = 1, max = 500))]
    page_size: Option<u32>,
    /// Keys of `target` with which the connector asks for pages of two records; `{address}` as for `through`, where `address` is set.
    small_pages: Option<Table>,
    /// Keys of `target` with a credential that the target refuses.
    bad_credential: Option<Table>,
    /// Keys of `target` with a credential that may read, but not change accounts.
    refused_permission: Option<Table>,
    /// Keys of `target` at which nobody listens; `{address}`, or `{host}` and `{port}`, stand for where that is.
    unreachable: Option<Table>,
    /// Keys of `target` where connections are taken and nothing is said; `{address}` as above.
    silent: Option<Table>,
    /// Keys of `target` that lead to it through the kit, at `{address}`; needs `address`.
    through: Option<Table>,
    /// Keys of `target` with which a listing breaks off in its middle, for targets without an address.
    cut_listing: Option<Table>,
}

/// How fast to send requests.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct RateLimit {
    /// How many in the long run.
    #[schemars(range(min = 0.0001, max = 100_000))]
    per_second: f64,
    /// How many at once after a pause.
    #[schemars(range(min = 1, max = 1_000_000))]
    burst: u32,
}

/// `{ env = "NAME" }`, `{ file = "path" }` or `{ credential = "name" }`.
pub(super) struct Secret;

impl JsonSchema for Secret {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let one = |name: &str, description: &str| {
            serde_json::json!({
                "type": "object",
                "properties": { name: { "type": "string", "minLength": 1, "description": description } },
                "required": [name],
                "additionalProperties": false,
            })
        };
        json_schema!({
            "title": SECRET,
            "description": "Secrets are never plain text.",
            "oneOf": [
                one("env", "An environment variable."),
                one("file", "A file; a relative path starts at the folder of the configuration file."),
                one("credential", "A credential that systemd passes (LoadCredential=)."),
            ],
        })
    }
}

/// A table that the connector knows; its schema is filled in by name.
struct Target;

impl JsonSchema for Target {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Target".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let rate_limit = generator.subschema_for::<RateLimit>();
        json_schema!({ "title": TARGET, "type": "object", "properties": { "rate_limit": rate_limit } })
    }
}

/// A table whose keys somebody else knows.
struct Table;

impl JsonSchema for Table {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Table".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "title": TABLE, "type": "object" })
    }
}

struct Duration;

impl JsonSchema for Duration {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "examples": ["30s", "15m", "1h 30m"] })
    }
}
