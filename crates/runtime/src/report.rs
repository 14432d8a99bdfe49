//! The status of the daemon and its apps at one moment, for operators and their tools: the document behind `/status`, the page and
//! `bridgehead status`. Contains no secrets and no payloads.
//!
//! Other versions of `bridgehead` read it too, so every field is optional when parsing.

mod alarms;

use std::collections::BTreeMap;
use std::time::Duration;

use bridgehead_sdk::Code;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use self::alarms::{Alarm, AlarmKind, Level};
use super::audit::AuditStatus;
use super::guard::Holding;
use super::status::{LastSync, PollState, SyncProgress, TaskCounts};
use bridgehead_config as config;
use bridgehead_store::{Counts, Doubt, Pause, Run, RunReason, RunResult};

/// The complete status at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusReport {
    /// When the status was collected.
    pub at: Timestamp,
    /// The daemon's process; `None` if only the journal was read because no daemon responds.
    #[serde(default)]
    pub daemon: Option<DaemonOverview>,
    /// The apps, by name.
    #[serde(default)]
    pub apps: BTreeMap<String, AppOverview>,
}

/// The daemon's process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DaemonOverview {
    /// The daemon's version.
    pub version: String,
    /// The process id.
    pub pid: u32,
    /// When it started.
    pub started_at: Timestamp,
    /// How long it has been running, in seconds.
    pub uptime_seconds: u64,
    /// Why it is unhealthy, if it is.
    pub unhealthy: Option<String>,
    /// Whether every app has been in contact with the Bridge since the daemon started.
    pub ready: bool,
    /// A sentence that describes the readiness.
    pub readiness: String,
    /// The audit log and its head; `None` if there is no audit log.
    pub audit: Option<AuditStatus>,
    /// The result of the last reload, if there was one.
    pub last_reload: Option<LastReload>,
    /// The nodes that share the state, this one included; empty where the state is in a folder.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<NodeOverview>,
}

/// A node, as the state database knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeOverview {
    /// Its name.
    pub name: String,
    /// Its version of bridgehead.
    pub version: String,
    /// Whether it is the one that tells this.
    pub is_this: bool,
    /// When it started.
    pub up_since: Timestamp,
    /// When it was last heard of.
    pub seen_at: Timestamp,
    /// It gives its apps away.
    pub leaving: bool,
    /// It has not been heard of for longer than a lease: it has crashed, or cannot reach the database.
    #[serde(default)]
    pub lost: bool,
    /// How many apps it runs.
    pub apps: u64,
}

/// The node that runs an app.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnerOverview {
    /// Its name.
    pub node: String,
    /// Since when.
    pub since: Timestamp,
}

/// The result of a reload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastReload {
    /// When it was requested.
    pub at: Timestamp,
    /// Whether the daemon now runs with the whole configuration as of that time.
    pub applied: bool,
    /// What was changed, or why nothing was, in sentences.
    pub message: String,
}

/// One app.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AppOverview {
    /// The app's identifier in Iden.
    pub app_id: String,
    /// The app's connector.
    pub connector: String,
    /// When the app started with its current settings.
    pub running_since: Option<Timestamp>,
    /// Problems that need attention.
    pub alarms: Vec<Alarm>,
    /// Why the Bridge refuses the API key or this app; nothing is polled, executed or reported until it is fixed.
    pub access_refused: Option<String>,
    /// Since when, by whom and why the app is paused; neither tasks nor syncs are started.
    pub paused: Option<Pause>,
    /// The last attempt to write the audit log failed.
    pub audit_unwritable: Option<Unwritable>,
    /// Why tasks are held because the target is unreachable.
    pub held: Option<Held>,
    /// The app's provisioning tasks.
    pub tasks: TasksOverview,
    /// The app's syncs.
    pub sync: SyncOverview,
    /// The loop that panicked within the last hour, and when.
    pub panicked: Option<(String, Timestamp)>,
    /// Why the state folder could not be read.
    pub state_unreadable: Option<String>,
    /// What happened to the state folder if it was removed or replaced while the daemon was running.
    pub state_gone: Option<String>,
    /// The task journal was found to be lost or outdated when it was opened.
    pub state_doubted: Option<StateDoubted>,
    /// The last attempt to write the state folder failed.
    pub state_unwritable: Option<Unwritable>,
    /// Consecutive calls without a response from the target, while the target does not yet count as unreachable.
    pub silence: Option<Silence>,
    /// The node that runs it, where nodes share the state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<OwnerOverview>,
    /// Why it does not run on this node, if it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub elsewhere: Option<String>,
    /// When the node that runs it reported this, if it does not run on this node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reported_at: Option<Timestamp>,
    /// How long each activity may make no progress, derived from the configuration.
    #[serde(skip)]
    pub limits: Limits,
}

/// Tasks may have been started that the journal does not contain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateDoubted {
    /// When this was found.
    pub since: Timestamp,
    /// Tasks that Iden created before this time are looked up in the target before their first attempt.
    pub until: Timestamp,
    /// What was found, as a phrase.
    pub reason: String,
}

/// The state folder or the audit log cannot be written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unwritable {
    /// Since when, to the second.
    pub since: Timestamp,
    /// The error of the last attempt.
    pub message: String,
}

/// Consecutive calls without a response from the target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Silence {
    /// When the first of them ended, to the second.
    pub since: Timestamp,
    /// The number of calls.
    pub calls: u32,
}

/// Tasks are held because the target is unreachable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// Since when, to the second.
    pub since: Timestamp,
    /// The code that tasks fail with after they have been held for too long.
    pub code: Code,
    /// The connector's error message.
    pub message: String,
    /// How long a task is held before it is failed, in seconds.
    pub hold_for_seconds: u64,
}

/// The provisioning tasks of an app.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TasksOverview {
    /// Whether tasks are executed.
    pub enabled: bool,
    /// How often the list is polled while idle, in milliseconds.
    pub poll_interval_ms: u64,
    /// The result of the last poll.
    pub contact: PollState,
    /// When the list was last read completely.
    pub polled_at: Option<Timestamp>,
    /// Why the list cannot be read, if the last poll failed.
    pub failing: Option<PollFailing>,
    /// Counters since the daemon started; `None` without a daemon.
    pub counts: Option<TaskCounts>,
    /// Numbers of tasks in the journal, by state.
    pub journal: Option<Counts>,
    /// Tasks that the deprovision limit holds for the operator, if any.
    pub guarded: Option<Guarded>,
    /// Tasks that are retried, or whose outcome has not been reported yet: most attempts first, at most twenty.
    pub attempts: Vec<TaskAttempts>,
    /// The total number of such tasks.
    pub attempts_total: u64,
    /// Pending tasks whose `execute_after` is in the future.
    pub not_due: u64,
    /// Errors for list items that are not tasks or are too large to read.
    pub unreadable: Vec<String>,
    /// Since when a request for the list has been waiting for a response, or when the list should have been read.
    pub silent_since: Option<Timestamp>,
    /// Since when no task has made progress, although one could.
    pub still_since: Option<Timestamp>,
}

/// A task that was not done on the first attempt.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TaskAttempts {
    /// The task's id in Iden.
    pub task: String,
    /// The requested action.
    pub action: String,
    /// The number of attempts, including those of earlier processes.
    pub attempts: u32,
    /// When this process picked up the task, to the second.
    pub since: Timestamp,
    /// When this process first attempted the task, to the second.
    pub tried_at: Option<Timestamp>,
    /// The code of the last attempt's error.
    pub code: Option<Code>,
    /// Why the task is not done, or not reported, yet.
    pub reason: Option<String>,
    /// When the task continues; absent during an attempt and while the task is held.
    pub next_try_at: Option<Timestamp>,
    /// Since when its outcome has been waiting to be reported, if only that remains.
    pub decided_at: Option<Timestamp>,
}

/// Tasks that remove access are held until the operator releases them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guarded {
    /// Since when at least one task has been held continuously.
    pub since: Timestamp,
    /// The number of held tasks.
    pub held: u64,
    /// How many such tasks were executed within the window; `None` without a daemon.
    #[serde(default)]
    pub executed: Option<u64>,
    /// The maximum number per window, `apps.NAME.tasks.guard.max`; `None` without a daemon.
    #[serde(default)]
    pub max: Option<u64>,
    /// The window in seconds, `apps.NAME.tasks.guard.per`; `None` without a daemon.
    #[serde(default)]
    pub per_seconds: Option<u64>,
}

/// The task list cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PollFailing {
    /// Since when it has been failing.
    pub since: Timestamp,
    /// The error of the last attempt.
    pub message: String,
    /// How to fix it.
    pub advice: String,
}

/// The syncs of an app.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SyncOverview {
    /// Whether syncs run on schedule.
    pub enabled: bool,
    /// When the next sync is due; in the past while a sync is running.
    pub next_due_at: Option<Timestamp>,
    /// The running sync.
    pub under_way: Option<SyncProgress>,
    /// The last sync that ended.
    pub last: Option<SyncEnd>,
    /// The last completed sync.
    pub last_completed: Option<Completed>,
    /// Since when all syncs have ended like the last one, as far back as syncs are recorded.
    pub unchanged_since: Option<Timestamp>,
    /// The current number of consecutive failures.
    pub failures_in_a_row: u32,
    /// The most recent syncs, newest first.
    pub recent: Vec<SyncRun>,
    /// When the running sync last made progress.
    pub moved_at: Option<Timestamp>,
}

/// How long each activity may make no progress.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// `tasks.timeout`
    pub timeout: Duration,
    /// `tasks.give_up_after`
    pub give_up_after: Duration,
}

/// How a sync ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncEnd {
    /// When it ended.
    pub at: Timestamp,
    /// `completed`, `abandoned`, `held` or `failed`.
    pub result: RunResult,
    /// The reason, such as `access_guard`; `None` if the result is self-explanatory, and for syncs of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<RunReason>,
    /// A sentence that describes the result.
    pub detail: String,
    /// What is wrong, without the advice, if the sentence contains both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// Counts by resource type.
    #[serde(default)]
    pub resource_types: BTreeMap<String, TypeCounts>,
    /// The number of invalid records; `None` for a sync of an earlier process.
    #[serde(default)]
    pub invalid: Option<u64>,
    /// Whether Iden failed to remove stale records.
    #[serde(default)]
    pub cleanup_failed: bool,
}

/// What a sync did, or would have done, to one resource type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TypeCounts {
    /// Valid records read from the target.
    pub records: u64,
    /// New records; `None` for a sync of an earlier process.
    pub created: Option<u64>,
    /// Records that differ from the last completed sync; `None` for a sync of an earlier process.
    pub changed: Option<u64>,
    /// Missing records: removed if the sync was completed, otherwise those that would have been removed.
    pub removed: u64,
}

/// The last completed sync.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Completed {
    /// When it was completed.
    pub at: Timestamp,
    /// The number of records of each resource type.
    #[serde(default)]
    pub counts: BTreeMap<String, u64>,
}

/// A sync recorded in the journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncRun {
    /// When it started.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Timestamp,
    /// How it ended.
    pub result: RunResult,
    /// The reason, such as `access_guard`; `None` if the result is self-explanatory, and for syncs of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<RunReason>,
    /// A sentence that describes the result.
    pub detail: String,
    /// What is wrong, without the advice, if the sentence contains both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// The number of records pushed, by resource type.
    #[serde(default)]
    pub pushed: BTreeMap<String, u64>,
    /// The number of records that were removed, or would have been.
    #[serde(default)]
    pub removed: BTreeMap<String, u64>,
}

impl StatusReport {
    /// Whether an operator must act.
    pub fn needs_somebody(&self) -> bool {
        let is_unhealthy = self.daemon.as_ref().is_some_and(|daemon| daemon.unhealthy.is_some());
        is_unhealthy || self.apps.values().any(AppOverview::needs_somebody)
    }
}

impl AppOverview {
    /// The status of an app according to its configuration, before anything else is known.
    pub(crate) fn configured(settings: &config::App) -> Self {
        let tasks = &settings.tasks;
        Self {
            app_id: settings.app_id.to_string(),
            connector: settings.connector.clone(),
            tasks: TasksOverview {
                enabled: tasks.enabled,
                poll_interval_ms: u64::try_from(tasks.poll_interval.as_millis()).unwrap_or(u64::MAX),
                ..TasksOverview::default()
            },
            sync: SyncOverview { enabled: settings.sync.enabled, ..SyncOverview::default() },
            limits: Limits { timeout: tasks.timeout, give_up_after: tasks.give_up_after },
            ..Self::default()
        }
    }

    /// Whether an operator must act.
    pub fn needs_somebody(&self) -> bool {
        self.alarms.iter().any(|alarm| alarm.level == Level::Alarm)
    }
}

impl From<LastSync> for SyncEnd {
    fn from(last: LastSync) -> Self {
        let figures = last.resource_types.into_iter().map(|(slug, of)| {
            let (created, changed) = (Some(of.created), Some(of.changed));
            (slug, TypeCounts { records: of.listed, created, changed, removed: of.removed })
        });
        Self {
            at: last.at,
            result: last.result,
            reason: last.reason,
            detail: last.detail,
            cause: last.cause,
            resource_types: figures.collect(),
            invalid: Some(last.invalid),
            cleanup_failed: last.reason == Some(RunReason::CleanupFailed),
        }
    }
}

impl From<&SyncRun> for SyncEnd {
    fn from(run: &SyncRun) -> Self {
        let mut figures: BTreeMap<String, TypeCounts> = BTreeMap::new();
        for (slug, records) in &run.pushed {
            figures.entry(slug.clone()).or_default().records = *records;
        }
        for (slug, removed) in &run.removed {
            figures.entry(slug.clone()).or_default().removed = *removed;
        }
        Self {
            at: run.ended_at,
            result: run.result,
            reason: run.reason,
            detail: run.detail.clone(),
            cause: run.cause.clone(),
            resource_types: figures,
            invalid: None,
            cleanup_failed: run.reason == Some(RunReason::CleanupFailed),
        }
    }
}

impl From<Doubt> for StateDoubted {
    fn from(doubt: Doubt) -> Self {
        Self { since: doubt.found_at, until: doubt.until, reason: doubt.reason.to_string() }
    }
}

impl From<Holding> for Guarded {
    fn from(holding: Holding) -> Self {
        Self {
            since: holding.since,
            held: holding.held,
            executed: Some(holding.executed),
            max: Some(holding.max),
            per_seconds: Some(holding.per_seconds),
        }
    }
}

impl From<Run> for SyncRun {
    fn from(run: Run) -> Self {
        let Run { started_at, ended_at, result, reason, detail, cause, pushed, removed } = run;
        Self { started_at, ended_at, result, reason, detail, cause, pushed, removed }
    }
}
