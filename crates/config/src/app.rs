//! `[apps.NAME]`: one target system as Iden knows it. See [`model`](super::model) for how these types are used.

use std::collections::BTreeSet;
use std::time::Duration;

use bridgehead_sdk::Action;
use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::duration::{Length, Window};
use super::leaf::{As, Form, List, Opt, plain};
use super::pattern::Accounts;
use super::schedule::{Expression, Zone};
use super::values::{AppId, NodeName, Word};
use super::{Conformance, Pattern, Schedule, Target};

/// One app: a target system as it appears in Iden.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct App {
    /// The app's UUID in Iden.
    #[serde(with = "As::<AppId>")]
    #[schemars(extend(
        "format" = "uuid",
        "x-missing" = "write app_id = \"…\" with the UUID that `bridgehead apps list` shows"
    ))]
    pub app_id: Uuid,
    // Must be an existing connector.
    /// The connector for the target.
    #[serde(with = "As::<Word>")]
    #[schemars(extend("x-missing" = "write connector = \"…\" with one of {known}"))]
    pub connector: String,
    /// Whether to register the connector's resource types with Iden.
    #[serde(default = "yes")]
    pub register_resource_types: bool,
    /// The nodes that may run the app, by their `state.node`; any node when absent. Only with `state.url`.
    #[serde(with = "List::<NodeName>", default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("examples" = [["node-a", "node-b"]]))]
    pub nodes: Vec<String>,
    /// Provisioning tasks.
    #[serde(default)]
    pub tasks: Tasks,
    /// Full syncs.
    #[serde(default)]
    pub sync: Sync,
    /// Accounts and actions that tasks must not touch.
    #[serde(default)]
    pub protect: Protect,
    /// The connector's own settings.
    #[serde(default)]
    pub target: Target,
    /// Settings for `bridgehead check NAME --conformance`; the daemon ignores them.
    #[serde(default)]
    pub conformance: Conformance,
}

fn yes() -> bool {
    true
}

/// Provisioning tasks.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Tasks {
    /// Whether to execute tasks.
    pub enabled: bool,
    /// How often to poll for tasks. At least 100ms.
    #[serde(with = "As::<Length<100>>")]
    pub poll_interval: Duration,
    /// How many tasks may run at the same time.
    #[schemars(with = "u64", range(min = 1, max = 1024))]
    pub concurrency: usize,
    /// How long one attempt may take; at most `give_up_after`.
    #[serde(with = "As::<Length<100>>")]
    pub timeout: Duration,
    /// How long all attempts of one task may take in total.
    #[serde(with = "As::<Length>")]
    pub give_up_after: Duration,
    /// How long tasks are held while the target is unreachable.
    #[serde(with = "As::<Length>")]
    pub hold_for: Duration,
    /// Whether to read the account back after a success, before the task is reported as completed.
    pub verify: bool,
    /// How many deletions and suspensions are executed without the operator's approval; unlimited when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guard: Option<TaskGuard>,
}

impl Default for Tasks {
    fn default() -> Self {
        Self {
            enabled: true,
            poll_interval: Duration::from_secs(10),
            concurrency: 8,
            timeout: Duration::from_secs(60),
            give_up_after: Duration::from_secs(15 * 60),
            hold_for: Duration::from_secs(3600),
            verify: true,
            guard: None,
        }
    }
}

/// How many tasks that revoke access (deletions and suspensions together) are executed; more are held until the operator releases them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TaskGuard {
    // With 0, every one needs the operator's approval.
    /// The maximum number of deletions and suspensions together; further ones are held until `bridgehead tasks release`.
    #[schemars(with = "u64", range(min = 0, max = 100_000))]
    #[schemars(extend("x-missing" = "write, for example, { max = 50, per = \"1h\" }"))]
    pub max: usize,
    /// The rolling time window for `max`; 1s to 30d.
    #[serde(with = "As::<Window>")]
    #[schemars(extend("examples" = ["1h"], "x-missing" = "write, for example, { max = 50, per = \"1h\" }"))]
    pub per: Duration,
}

/// Full syncs.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Sync {
    /// Whether to sync on schedule.
    pub enabled: bool,
    /// The time between the starts of two syncs; or use `cron`.
    #[serde(with = "As::<Length<1000>>")]
    every: Duration,
    /// Five fields: minute, hour, day of the month, month, day of the week; or use `every`.
    #[serde(with = "Opt::<As<Expression>>")]
    #[schemars(extend("examples" = ["0 3 * * *"]))]
    cron: Option<String>,
    /// The time zone of `cron`, UTC when absent.
    #[serde(with = "Opt::<As<Zone>>")]
    #[schemars(extend("examples" = ["Europe/Paris"]))]
    timezone: Option<TimeZone>,
    /// The schedule that results from the three keys above.
    #[serde(skip)]
    pub schedule: Schedule,
    /// Whether to sync when the daemon starts, even if no sync is due. If the last sync did not complete, or there was none, one is
    /// due at once.
    pub on_start: bool,
    /// What to do about the first sync of an app, as long as none has been completed.
    pub first: FirstSync,
    /// How many pages may be sent at the same time.
    #[schemars(with = "u64", range(min = 1, max = 1024))]
    pub push_concurrency: usize,
    /// What to do about records that violate a rule.
    pub on_invalid: OnInvalid,
    /// What to do about a listing without proof that it is complete.
    pub complete_without_proof: WithoutProof,
    /// The removal guard: when to hold a sync that would remove too much.
    pub guard: Guard,
}

impl Default for Sync {
    fn default() -> Self {
        let every = Duration::from_secs(6 * 3600);
        Self {
            enabled: true,
            every,
            cron: None,
            timezone: None,
            schedule: Schedule::Every(every),
            on_start: true,
            first: FirstSync::Complete,
            push_concurrency: 4,
            on_invalid: OnInvalid::Abandon,
            complete_without_proof: WithoutProof::Hold,
            guard: Guard::default(),
        }
    }
}

impl Sync {
    /// Determines the schedule from the keys. If `cron` is set, `every` is only the default.
    pub(super) fn settle(&mut self) {
        self.schedule = match &self.cron {
            Some(expression) => Schedule::Cron {
                expression: expression.clone(),
                timezone: self.timezone.clone().unwrap_or(TimeZone::UTC),
            },
            None => Schedule::Every(self.every),
        };
    }
}

/// What to do about the first sync of an app.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FirstSync {
    /// Push what was read, then hold the sync until an operator allows what a dry run or the held sync has shown.
    Ask,
    /// Complete it like any other.
    Complete,
}

/// What to do about records that violate a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnInvalid {
    /// Push the valid records, then abandon the sync: nothing is removed.
    Abandon,
    /// Leave them out: they are removed as if they were not in the target.
    Skip,
}

/// What to do about a listing without proof that it is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WithoutProof {
    /// Push what was read, then hold the sync: nothing is removed.
    Hold,
    /// Complete the sync anyway, with a warning in the log.
    Allow,
}

/// When completing a sync would remove too much. The limit that is hit first counts.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Guard {
    /// A sync that removes more records of one type than this is held.
    pub max_removals: u64,
    /// A sync that removes a larger percentage of one type than this is held.
    #[serde(serialize_with = "plain")]
    #[schemars(range(min = 0, max = 100))]
    pub max_removal_percent: f64,
    /// A sync that deactivates more accounts of one type than this is held.
    pub max_deactivations: u64,
    /// A sync that deactivates a larger percentage of the active accounts than this is held.
    #[serde(serialize_with = "plain")]
    #[schemars(range(min = 0, max = 100))]
    pub max_deactivation_percent: f64,
    /// A sync in which more accounts of one type than this lose memberships or assignments is held.
    pub max_membership_losses: u64,
    /// A sync in which a larger percentage of the accounts with memberships or assignments than this lose some is held.
    #[serde(serialize_with = "plain")]
    #[schemars(range(min = 0, max = 100))]
    pub max_membership_loss_percent: f64,
    /// Types with fewer records than this are exempt, unless all records would be lost.
    pub min_records: u64,
    /// Losses are added up over this time window.
    #[serde(with = "As::<Length>")]
    pub window: Duration,
}

impl Default for Guard {
    fn default() -> Self {
        Self {
            max_removals: 100,
            max_removal_percent: 10.0,
            max_deactivations: 100,
            max_deactivation_percent: 10.0,
            max_membership_losses: 1000,
            max_membership_loss_percent: 25.0,
            min_records: 10,
            window: Duration::from_secs(24 * 3600),
        }
    }
}

/// Accounts and actions that tasks must not touch.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Protect {
    /// Accounts that no task may touch, by id, user name or email; `*` stands for any text.
    #[serde(with = "List::<Accounts>")]
    #[schemars(extend("examples" = [["svc-*", "admin"]]))]
    pub accounts: Vec<Pattern>,
    /// The actions that tasks may request; all when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Vec<Action>>", extend("examples" = [["create_account", "update_account"]]))]
    pub actions: Option<BTreeSet<Action>>,
}
