//! The daemon and its apps at one moment, as operators and their tools see them: the document behind `/status`, the page
//! and `bridgehead status`. Holds no secret and no payload.
//!
//! It is read by other versions of `bridgehead` too, so every field may be missing in what is read.

use std::collections::BTreeMap;
use std::time::Duration;

use bridgehead_sdk::Code;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::audit::AuditStatus;
use super::guard::Holding;
use super::status::{LastSync, PollState, SyncProgress, TaskCounts};
use bridgehead_config as config;
use bridgehead_store::{Counts, Doubt, Pause, Run, RunReason, RunResult};

/// Everything that can be seen at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusReport {
    /// When this was so.
    pub at: Timestamp,
    /// The process; `None` where only the journal was asked, because no daemon answers.
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
    /// Its version.
    pub version: String,
    /// Its process id.
    pub pid: u32,
    /// When it started.
    pub started_at: Timestamp,
    /// How long it has been running, in seconds.
    pub uptime_seconds: u64,
    /// Why it is unhealthy, if it is.
    pub unhealthy: Option<String>,
    /// Whether every app has been in contact with the Bridge since the daemon started.
    pub ready: bool,
    /// A sentence about that.
    pub readiness: String,
    /// The audit log and its head; `None` where none is kept.
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
    /// When it was asked for.
    pub at: Timestamp,
    /// Whether the daemon runs with the configuration as it was then, as a whole.
    pub applied: bool,
    /// What was changed, or why it was not, in sentences.
    pub message: String,
}

/// One app.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AppOverview {
    /// Its identifier in Iden.
    pub app_id: String,
    /// Its connector.
    pub connector: String,
    /// Since when the daemon runs it with its present settings.
    pub running_since: Option<Timestamp>,
    /// What needs attention.
    pub alarms: Vec<Alarm>,
    /// Why the Bridge refuses the key or this app, if it does: nothing is polled, executed or reported until it is fixed.
    pub access_refused: Option<String>,
    /// Since when, by whom and why it is paused, if it is: no task is started, and no sync.
    pub paused: Option<Pause>,
    /// That the audit log cannot be written, as the last try found.
    pub audit_unwritable: Option<Unwritable>,
    /// Why tasks are held, if they are.
    pub held: Option<Held>,
    /// Its provisioning tasks.
    pub tasks: TasksOverview,
    /// Its full syncs.
    pub sync: SyncOverview,
    /// The loop that panicked within the last hour, and when.
    pub panicked: Option<(String, Timestamp)>,
    /// Why the state folder could not be read, if it could not.
    pub state_unreadable: Option<String>,
    /// What happened to the state folder under the running daemon, if it was removed or replaced.
    pub state_gone: Option<String>,
    /// That the task journal was found to be lost or old when it was opened.
    pub state_doubted: Option<StateDoubted>,
    /// That the state folder cannot be written, as the last try found.
    pub state_unwritable: Option<Unwritable>,
    /// The calls in a row that the target did not answer, while it does not count as unreachable.
    pub silence: Option<Silence>,
    /// The node that runs it, where nodes share the state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<OwnerOverview>,
    /// Why it does not run on this node, if it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub elsewhere: Option<String>,
    /// How long what should move may make no progress; follows from the configuration.
    #[serde(skip)]
    pub limits: Limits,
}

/// That tasks may have been started of which the journal knows nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateDoubted {
    /// When it was found.
    pub since: Timestamp,
    /// Tasks that Iden made up to then are looked up in the target before their first attempt.
    pub until: Timestamp,
    /// What was found, in half a sentence.
    pub reason: String,
}

/// That the state folder cannot be written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unwritable {
    /// Since when, to the second.
    pub since: Timestamp,
    /// What the last try ended in.
    pub message: String,
}

/// Calls in a row that the target did not answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Silence {
    /// When the first of them ended, to the second.
    pub since: Timestamp,
    /// How many.
    pub calls: u32,
}

/// That tasks are held because the target is unreachable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// Since when, to the second.
    pub since: Timestamp,
    /// What tasks are failed with once they have been held for too long.
    pub code: Code,
    /// What the connector said.
    pub message: String,
    /// How long a task is held before it is failed, in seconds.
    pub hold_for_seconds: u64,
}

/// The provisioning tasks of an app.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TasksOverview {
    /// Whether they are executed at all.
    pub enabled: bool,
    /// How often the list is read while there is nothing to do, in milliseconds.
    pub poll_interval_ms: u64,
    /// Whether the list could be read the last time.
    pub contact: PollState,
    /// When the list was last read to its end.
    pub polled_at: Option<Timestamp>,
    /// Why it cannot be read, if the last try failed.
    pub failing: Option<PollFailing>,
    /// What was done since the daemon started; `None` without a daemon.
    pub counts: Option<TaskCounts>,
    /// How many tasks stand where in the journal.
    pub journal: Option<Counts>,
    /// What the guard on deletions and suspensions holds for the operator, if it holds anything.
    pub guarded: Option<Guarded>,
    /// Tasks that are retried, or whose outcome Iden has not heard yet: those tried most often first, twenty at most.
    pub attempts: Vec<TaskAttempts>,
    /// How many such tasks there are.
    pub attempts_total: u64,
    /// Pending tasks whose `execute_after` lies ahead.
    pub not_due: u64,
    /// What is wrong with items of the list that are no tasks, or too large to be read.
    pub unreadable: Vec<String>,
    /// Since when the answer to a request for the list is awaited, or the list should have been read.
    pub silent_since: Option<Timestamp>,
    /// Since when no task has moved, although one could.
    pub still_since: Option<Timestamp>,
}

/// A task that is not done at the first attempt.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TaskAttempts {
    /// Iden's id of it.
    pub task: String,
    /// What it asks for.
    pub action: String,
    /// How many attempts were made, those of earlier processes included.
    pub attempts: u32,
    /// When this process took it up, to the second.
    pub since: Timestamp,
    /// When this process tried it first, to the second.
    pub tried_at: Option<Timestamp>,
    /// The code of the last attempt's error.
    pub code: Option<Code>,
    /// Why it is not done, or not reported, yet.
    pub reason: Option<String>,
    /// When it continues; absent while an attempt is running, or while it is held.
    pub next_try_at: Option<Timestamp>,
    /// Since when its outcome waits to be heard by Iden, if that is all that is missing.
    pub decided_at: Option<Timestamp>,
}

/// That tasks which take access away are held until the operator lets them go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guarded {
    /// Since when anything has been held without a break.
    pub since: Timestamp,
    /// How many are held.
    pub held: u64,
    /// How many were executed within the window; `None` without a daemon.
    #[serde(default)]
    pub executed: Option<u64>,
    /// How many may be, `apps.NAME.tasks.guard.max`; `None` without a daemon.
    #[serde(default)]
    pub max: Option<u64>,
    /// The window in seconds, `apps.NAME.tasks.guard.per`; `None` without a daemon.
    #[serde(default)]
    pub per_seconds: Option<u64>,
}

/// That the list of tasks cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PollFailing {
    /// Since when.
    pub since: Timestamp,
    /// What the last try ended in.
    pub message: String,
    /// What to do about it.
    pub advice: String,
}

/// The full syncs of an app.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SyncOverview {
    /// Whether they run on schedule.
    pub enabled: bool,
    /// When the next one is due; in the past while one is under way.
    pub next_due_at: Option<Timestamp>,
    /// The one that is under way.
    pub under_way: Option<SyncProgress>,
    /// The last one that ended.
    pub last: Option<SyncEnd>,
    /// The last one that was completed.
    pub last_completed: Option<Completed>,
    /// Since when syncs have ended as the last one did, as far back as is remembered.
    pub unchanged_since: Option<Timestamp>,
    /// How many failed in a row by now.
    pub failures_in_a_row: u32,
    /// The last ones, newest first.
    pub recent: Vec<SyncRun>,
    /// When the one that is under way last got on.
    pub moved_at: Option<Timestamp>,
}

/// How long what should move may make no progress.
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
    /// When.
    pub at: Timestamp,
    /// `completed`, `abandoned`, `held` or `failed`.
    pub result: RunResult,
    /// Why, such as `access_guard`; `None` where the result says everything, and for a sync of an earlier version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<RunReason>,
    /// A sentence.
    pub detail: String,
    /// What is wrong, without what to do about it, where the sentence says both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// By resource type.
    #[serde(default)]
    pub resource_types: BTreeMap<String, TypeCounts>,
    /// How many records were not valid; `None` for a sync of an earlier process.
    #[serde(default)]
    pub invalid: Option<u64>,
    /// Whether Iden could not remove what is stale.
    #[serde(default)]
    pub cleanup_failed: bool,
}

/// What a sync did, or would have done, to one resource type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TypeCounts {
    /// Good records read from the target.
    pub records: u64,
    /// Records that are new; `None` for a sync of an earlier process.
    pub created: Option<u64>,
    /// Records that differ from the last completed sync; `None` for a sync of an earlier process.
    pub changed: Option<u64>,
    /// Records that are gone: removed if the sync was completed, else that would have been.
    pub removed: u64,
}

/// The last completed sync.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Completed {
    /// When.
    pub at: Timestamp,
    /// How many records of each resource type it held.
    #[serde(default)]
    pub counts: BTreeMap<String, u64>,
}

/// A sync of the journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncRun {
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Timestamp,
    /// How it ended.
    pub result: RunResult,
    /// Why, such as `access_guard`; `None` where the result says everything, and for a sync of an earlier version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<RunReason>,
    /// A sentence.
    pub detail: String,
    /// What is wrong, without what to do about it, where the sentence says both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// How many records of each type were pushed.
    #[serde(default)]
    pub pushed: BTreeMap<String, u64>,
    /// How many were removed, or would have been.
    #[serde(default)]
    pub removed: BTreeMap<String, u64>,
}

/// Something that needs attention.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alarm {
    /// What kind of thing.
    pub kind: AlarmKind,
    /// Whether an operator must act, or it may pass.
    pub level: Level,
    /// Since when, where that is known.
    #[serde(default)]
    pub since: Option<Timestamp>,
    /// What is wrong, in a sentence.
    pub message: String,
    /// What to do.
    #[serde(default)]
    pub advice: String,
}

/// How much it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// It may pass.
    Notice,
    /// An operator must act.
    Alarm,
}

/// The kinds of alarms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlarmKind {
    /// The Bridge refuses the key, or the app.
    AccessRefused,
    /// The list of tasks cannot be read.
    PollingFails,
    /// The target is unreachable, and tasks are held.
    TargetUnreachable,
    /// The removal guard holds a sync.
    RemovalGuard,
    /// The deprovision limit holds deletions or suspensions.
    TaskGuard,
    /// Iden could not remove what is stale.
    CleanupFailed,
    /// Records break rules, so no sync is completed.
    InvalidRecords,
    /// Syncs fail.
    SyncFails,
    /// Iden did not accept reports; they are set aside.
    ReportsRejected,
    /// Iden lists tasks as pending although it was told about their end.
    ReportsNotKept,
    /// The state folder cannot be read.
    StateUnreadable,
    /// The state folder was removed or replaced under the running daemon.
    StateGone,
    /// The task journal was lost, or is an old copy.
    StateDoubted,
    /// The state folder cannot be written, so nothing is executed.
    StateUnwritable,
    /// A task is retried and again.
    TaskRetrying,
    /// Tasks are under way, and none of them moves.
    TasksStalled,
    /// Items of the task list cannot be read.
    TasksUnreadable,
    /// Iden does not hear of outcomes.
    ReportsDelayed,
    /// A sync does not get on, or has not started although it is due.
    SyncStalled,
    /// A loop of the daemon panicked.
    LoopPanicked,
    /// An operator has paused the app.
    Paused,
    /// The audit log cannot be written.
    AuditUnwritable,
    /// A kind that this version does not know.
    #[serde(other)]
    Other,
}

impl AlarmKind {
    /// All that this version raises.
    pub const ALL: [Self; 22] = [
        Self::AccessRefused,
        Self::PollingFails,
        Self::TargetUnreachable,
        Self::RemovalGuard,
        Self::TaskGuard,
        Self::CleanupFailed,
        Self::InvalidRecords,
        Self::SyncFails,
        Self::ReportsRejected,
        Self::ReportsNotKept,
        Self::StateUnreadable,
        Self::StateGone,
        Self::StateDoubted,
        Self::StateUnwritable,
        Self::TaskRetrying,
        Self::TasksStalled,
        Self::TasksUnreadable,
        Self::ReportsDelayed,
        Self::SyncStalled,
        Self::LoopPanicked,
        Self::Paused,
        Self::AuditUnwritable,
    ];

    /// The name, such as `removal_guard`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AccessRefused => "access_refused",
            Self::PollingFails => "polling_fails",
            Self::TargetUnreachable => "target_unreachable",
            Self::RemovalGuard => "removal_guard",
            Self::TaskGuard => "task_guard",
            Self::CleanupFailed => "cleanup_failed",
            Self::InvalidRecords => "invalid_records",
            Self::SyncFails => "sync_fails",
            Self::ReportsRejected => "reports_rejected",
            Self::ReportsNotKept => "reports_not_kept",
            Self::StateUnreadable => "state_unreadable",
            Self::StateGone => "state_gone",
            Self::StateDoubted => "state_doubted",
            Self::StateUnwritable => "state_unwritable",
            Self::TaskRetrying => "task_retrying",
            Self::TasksStalled => "tasks_stalled",
            Self::TasksUnreadable => "tasks_unreadable",
            Self::ReportsDelayed => "reports_delayed",
            Self::SyncStalled => "sync_stalled",
            Self::LoopPanicked => "loop_panicked",
            Self::Paused => "paused",
            Self::AuditUnwritable => "audit_unwritable",
            Self::Other => "other",
        }
    }
}

impl StatusReport {
    /// Whether a human must act.
    pub fn needs_somebody(&self) -> bool {
        let is_unhealthy = self.daemon.as_ref().is_some_and(|daemon| daemon.unhealthy.is_some());
        is_unhealthy || self.apps.values().any(AppOverview::needs_somebody)
    }
}

impl AppOverview {
    /// What the configuration says of an app; nothing of what it does is known yet.
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

    /// Whether a human must act.
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
