//! Alarms as they appear in the status report.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A problem that needs attention.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alarm {
    /// The kind of problem.
    pub kind: AlarmKind,
    /// Whether an operator must act, or the problem may pass.
    pub level: Level,
    /// Since when, if known.
    #[serde(default)]
    pub since: Option<Timestamp>,
    /// A sentence that says what is wrong.
    pub message: String,
    /// How to fix it.
    #[serde(default)]
    pub advice: String,
}

/// The severity of an alarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// The problem may pass.
    Notice,
    /// An operator must act.
    Alarm,
}

/// The kinds of alarms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlarmKind {
    /// The Bridge refuses the API key, or the app.
    AccessRefused,
    /// The task list cannot be read.
    PollingFails,
    /// The target is unreachable, and tasks are held.
    TargetUnreachable,
    /// The removal guard holds a sync.
    RemovalGuard,
    /// The deprovision limit holds deletions or suspensions.
    TaskGuard,
    /// Iden failed to remove stale records.
    CleanupFailed,
    /// Records are invalid, so no sync is completed.
    InvalidRecords,
    /// Syncs fail.
    SyncFails,
    /// Iden rejected reports; they are set aside.
    ReportsRejected,
    /// Iden lists tasks as pending although their outcomes were reported.
    ReportsNotKept,
    /// The state folder cannot be read.
    StateUnreadable,
    /// The state folder was removed or replaced while the daemon was running.
    StateGone,
    /// The task journal was lost, or is an old copy.
    StateDoubted,
    /// The state folder cannot be written, so no task is executed.
    StateUnwritable,
    /// A task has been retried repeatedly.
    TaskRetrying,
    /// Tasks are under way, and none of them makes progress.
    TasksStalled,
    /// Items of the task list cannot be read.
    TasksUnreadable,
    /// Outcomes cannot be reported to Iden.
    ReportsDelayed,
    /// A sync makes no progress, or has not started although it is due.
    SyncStalled,
    /// A loop of the daemon panicked.
    LoopPanicked,
    /// An operator has paused the app.
    Paused,
    /// The audit log cannot be written.
    AuditUnwritable,
    /// No node runs the app.
    NoOwner,
    /// A kind unknown to this version.
    #[serde(other)]
    Other,
}

impl AlarmKind {
    /// All kinds that this version raises.
    pub const ALL: [Self; 23] = [
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
        Self::NoOwner,
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
            Self::NoOwner => "no_owner",
            Self::Other => "other",
        }
    }
}
