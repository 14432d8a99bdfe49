//! The protocol of the control socket.

use std::path::{Path, PathBuf};

use bridgehead_sdk::TaskId;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tracing::level_filters::LevelFilter;

use bridgehead_runtime::SyncProgress;
use bridgehead_runtime::actions::Resolution;
use bridgehead_runtime::inspection::{Finding, TaskRow, Which};
use bridgehead_runtime::operator_commands::Selection;
use bridgehead_runtime::sync::{Consent, Options};

/// The maximum length of a line from either side, in bytes: enough for some hundred thousand held tasks.
pub(super) const LONGEST: usize = 64 * 1024 * 1024;

/// The path of the daemon's socket in a state folder.
pub(crate) fn socket(folder: &Path) -> PathBuf {
    folder.join("control.sock")
}

/// Identifies a daemon: its process, and its configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    /// Its version.
    pub(crate) version: String,
    /// Its process id.
    pub(crate) pid: u32,
    /// The fingerprint of its configuration.
    pub(crate) configuration: String,
}

/// A request of a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Request {
    /// The identity of the daemon. The response is an [`Identity`].
    Identity,
    /// The status. The response is a [`StatusReport`](bridgehead_runtime::StatusReport).
    Status,
    /// The Bridge apps that the key can access. The response is a list of [`AppRow`](bridgehead_runtime::inspection::AppRow).
    Apps,
    /// Checks whether Iden and the targets can be used with the daemon's own credentials. The response is empty, after an
    /// [`Event::Finding`] for each check.
    Check {
        /// The apps.
        apps: Vec<String>,
    },
    /// A list of tasks. The response is a [`ListingEnd`](bridgehead_runtime::inspection::ListingEnd), after [`Event::Tasks`] with the rows.
    Tasks {
        /// The app.
        app: String,
        /// The selection of tasks.
        which: Which,
        /// The maximum number; all if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        limit: Option<u64>,
    },
    /// The history of one task. The response is a [`TaskStory`](bridgehead_runtime::inspection::TaskStory), or empty if the task does not
    /// exist.
    Show {
        /// The app.
        app: String,
        /// The task.
        task: TaskId,
    },
    /// The held tasks. The response is a list of [`HeldTask`](bridgehead_runtime::HeldTask). Used by earlier versions.
    Held {
        /// The app.
        app: String,
    },
    /// The reports that Iden rejected. The response is a list of [`RejectedReport`](bridgehead_runtime::operator_commands::RejectedReport).
    /// Used by earlier versions.
    Rejected {
        /// The app.
        app: String,
    },
    /// Releases held tasks. The response is [`Released`](bridgehead_runtime::operator_commands::Released).
    Release {
        /// The app.
        app: String,
        /// The selection of tasks.
        tasks: Selection,
        /// The expected number; with any other number, nothing is done.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expect: Option<u64>,
    },
    /// Repeats rejected reports, and ends the wait of waiting tasks. The response is
    /// [`Retries`](bridgehead_runtime::operator_commands::Retries).
    Retry {
        /// The app.
        app: String,
        /// The selection of tasks.
        tasks: Selection,
        /// The expected number; with any other number, nothing is done.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expect: Option<u64>,
    },
    /// Applies a changed configuration. The response is a [`Reloaded`](super::Reloaded).
    Reload {
        /// Whether to apply it, or only to show the effect.
        apply: bool,
    },
    /// Changes the log level of an app for a limited time. The response is empty.
    LogLevel {
        /// The app.
        app: String,
        /// The level; the configured one if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        level: Option<LogLevel>,
        /// For how long.
        seconds: u64,
    },
    /// Resolves a task whose effect is unknown. The response is [`Resolved`](bridgehead_runtime::actions::Resolved).
    Resolve {
        /// The app.
        app: String,
        /// The task.
        task: TaskId,
        /// The operator's decision.
        resolution: Resolution,
    },
    /// Pauses an app. The response is [`PauseChange`](bridgehead_runtime::actions::PauseChange).
    Pause {
        /// The app.
        app: String,
        /// The reason.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// Resumes a paused app. The response is [`PauseChange`](bridgehead_runtime::actions::PauseChange).
    Resume {
        /// The app.
        app: String,
    },
    /// Cancels the running sync. The response is [`Cancelled`](bridgehead_runtime::actions::Cancelled).
    CancelSync {
        /// The app.
        app: String,
    },
    /// The last entry of the audit log. The response is an [`AuditStatus`](bridgehead_runtime::audit::AuditStatus), or empty if there is no
    /// log.
    AuditHead,
    /// Syncs now. The response is a [`Summary`](bridgehead_runtime::sync::Summary).
    Sync {
        /// The app.
        app: String,
        /// Allow the losses that the last dry run or held sync has shown, for this sync.
        allow_removals: bool,
        /// Allow this instead.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        consent: Option<Consent>,
        /// Only a dry run.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        dry_run: bool,
    },
}

impl Request {
    /// The request for a sync or a dry run.
    pub(crate) fn sync(app: &str, options: Options) -> Self {
        let app = app.to_owned();
        let allow_removals = options.allow_removals == Some(Consent::Shown);
        let consent = options.allow_removals.filter(|consent| *consent != Consent::Shown);
        Self::Sync { app, allow_removals, consent, dry_run: options.dry_run }
    }
}

/// A log level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LogLevel {
    /// No lines.
    Off,
    /// Problems that need action.
    Error,
    /// Problems that may need action.
    Warn,
    /// Normal events.
    Info,
    /// Reasons for events.
    Debug,
    /// Everything.
    Trace,
}

impl LogLevel {
    /// The level in the log's own type.
    pub(crate) fn filter(self) -> LevelFilter {
        match self {
            Self::Off => LevelFilter::OFF,
            Self::Error => LevelFilter::ERROR,
            Self::Warn => LevelFilter::WARN,
            Self::Info => LevelFilter::INFO,
            Self::Debug => LevelFilter::DEBUG,
            Self::Trace => LevelFilter::TRACE,
        }
    }
}

impl std::fmt::Display for LogLevel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.filter().fmt(f)
    }
}

/// An event from the daemon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum Event {
    /// Another sync of the app is running; the requested one follows it.
    Waiting,
    /// The requested sync is about to start.
    Begun {
        /// The number of records of the last sync; 0 if it is unknown.
        expected: u64,
    },
    /// The progress of the sync.
    Progress {
        /// The progress so far.
        progress: SyncProgress,
    },
    /// A page of a list of tasks.
    Tasks {
        /// The tasks.
        rows: Vec<TaskRow>,
    },
    /// The result of one check.
    Finding {
        /// The finding.
        finding: Finding,
    },
    /// The request was successful; the last event.
    Done {
        /// The response.
        answer: Value,
    },
    /// The request failed; the last event.
    Failed {
        /// The message, one sentence.
        message: String,
        /// Whether a retry may work.
        temporary: bool,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_and_events_are_stable_json_lines() {
        let status = Which::Status(bridgehead_bridge::TaskStatus::Failed);
        let requests = [
            Request::Identity,
            Request::Status,
            Request::Apps,
            Request::Check { apps: vec!["hr".into()] },
            Request::Tasks { app: "hr".into(), which: status, limit: Some(50) },
            Request::Tasks { app: "hr".into(), which: Which::Held, limit: None },
            Request::Held { app: "hr".into() },
            Request::Rejected { app: "hr".into() },
            Request::Release { app: "hr".into(), tasks: Selection::All, expect: None },
            Request::Release { app: "hr".into(), tasks: Selection::All, expect: Some(12) },
            Request::Retry { app: "hr".into(), tasks: Selection::These(vec!["t1".into()]), expect: None },
            Request::Reload { apply: true },
            Request::LogLevel { app: "hr".into(), level: Some(LogLevel::Debug), seconds: 600 },
            Request::LogLevel { app: "hr".into(), level: None, seconds: 0 },
            Request::sync("hr", Options { allow_removals: Some(Consent::Shown), ..Options::default() }),
            Request::sync("hr", Options { allow_removals: Some(Consent::AtMost(30)), ..Options::default() }),
            Request::sync("hr", Options { dry_run: true, ..Options::default() }),
            Request::Show { app: "hr".into(), task: "t1".into() },
            Request::Resolve {
                app: "hr".into(),
                task: "t1".into(),
                resolution: Resolution { completed: true, reason: "seen in HR".into() },
            },
            Request::Pause { app: "hr".into(), reason: Some("migration".into()) },
            Request::Resume { app: "hr".into() },
            Request::CancelSync { app: "hr".into() },
            Request::AuditHead,
        ];
        let lines = requests.map(|request| serde_json::to_string(&request).unwrap());
        insta::assert_snapshot!(lines.join("\n"), @r#"
        {"command":"identity"}
        {"command":"status"}
        {"command":"apps"}
        {"command":"check","apps":["hr"]}
        {"command":"tasks","app":"hr","which":{"status":"failed"},"limit":50}
        {"command":"tasks","app":"hr","which":"held"}
        {"command":"held","app":"hr"}
        {"command":"rejected","app":"hr"}
        {"command":"release","app":"hr","tasks":"all"}
        {"command":"release","app":"hr","tasks":"all","expect":12}
        {"command":"retry","app":"hr","tasks":{"these":["t1"]}}
        {"command":"reload","apply":true}
        {"command":"log_level","app":"hr","level":"debug","seconds":600}
        {"command":"log_level","app":"hr","seconds":0}
        {"command":"sync","app":"hr","allow_removals":true}
        {"command":"sync","app":"hr","allow_removals":false,"consent":{"at_most":30}}
        {"command":"sync","app":"hr","allow_removals":false,"dry_run":true}
        {"command":"show","app":"hr","task":"t1"}
        {"command":"resolve","app":"hr","task":"t1","resolution":{"completed":true,"reason":"seen in HR"}}
        {"command":"pause","app":"hr","reason":"migration"}
        {"command":"resume","app":"hr"}
        {"command":"cancel_sync","app":"hr"}
        {"command":"audit_head"}
        "#);
        for line in &lines {
            let again: Request = serde_json::from_str(line).unwrap();
            assert_eq!(serde_json::to_string(&again).unwrap(), *line);
        }
        assert!(serde_json::from_str::<Request>(r#"{"command":"reboot"}"#).is_err());
        assert!(serde_json::from_str::<Request>(r#"{"command":"held","app":"hr","more":1}"#).is_err());
    }
}
