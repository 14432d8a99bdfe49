//! What is said over the control socket.

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

/// The longest line either side takes, in bytes: some hundred thousand held tasks.
pub(super) const LONGEST: usize = 64 * 1024 * 1024;

/// Where the daemon of a state folder listens.
pub(crate) fn socket(folder: &Path) -> PathBuf {
    folder.join("control.sock")
}

/// How far a daemon can be told from another: its process, and what it was configured with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    /// Its version.
    pub(crate) version: String,
    /// Its process id.
    pub(crate) pid: u32,
    /// The fingerprint of the configuration that it runs with.
    pub(crate) configuration: String,
}

/// What a command asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Request {
    /// Who the daemon is. Answered with an [`Identity`].
    Identity,
    /// How everything is. Answered with an [`StatusReport`](bridgehead_runtime::StatusReport).
    Status,
    /// The Bridge apps that the key has access to. Answered with a list of [`AppRow`](bridgehead_runtime::inspection::AppRow).
    Apps,
    /// Whether Iden and the targets can be used, with the daemon's own credentials. Answered with nothing, after an
    /// [`Event::Finding`] for each thing that was looked at.
    Check {
        /// The apps.
        apps: Vec<String>,
    },
    /// A list of tasks. Answered with a [`ListingEnd`](bridgehead_runtime::inspection::ListingEnd), after [`Event::Tasks`] with the rows.
    Tasks {
        /// The app.
        app: String,
        /// Which.
        which: Which,
        /// How many at most; all when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        limit: Option<u64>,
    },
    /// The history of one task. Answered with a [`TaskStory`](bridgehead_runtime::inspection::TaskStory), or nothing if there is no such task.
    Show {
        /// The app.
        app: String,
        /// The task.
        task: TaskId,
    },
    /// The tasks that are held. Answered with a list of [`HeldTask`](bridgehead_runtime::HeldTask). Asked by earlier versions.
    Held {
        /// The app.
        app: String,
    },
    /// The reports that Iden refused. Answered with a list of [`RejectedReport`](bridgehead_runtime::operator_commands::RejectedReport). Asked by earlier
    /// versions.
    Rejected {
        /// The app.
        app: String,
    },
    /// To let held tasks go. Answered with [`Released`](bridgehead_runtime::operator_commands::Released).
    Release {
        /// The app.
        app: String,
        /// Which.
        tasks: Selection,
        /// How many there must be, or nothing is done.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expect: Option<u64>,
    },
    /// To report again what Iden refused, and to end the wait of tasks that wait. Answered with [`Retries`](bridgehead_runtime::operator_commands::Retries).
    Retry {
        /// The app.
        app: String,
        /// Which.
        tasks: Selection,
        /// How many there must be, or nothing is done.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expect: Option<u64>,
    },
    /// To take up a changed configuration. Answered with a [`Reloaded`](super::Reloaded).
    Reload {
        /// Whether to do it, or only to say what it would do.
        apply: bool,
    },
    /// To log more or less of an app for a time. Answered with nothing.
    LogLevel {
        /// The app.
        app: String,
        /// The level; as the configuration says when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        level: Option<LogLevel>,
        /// For how long.
        seconds: u64,
    },
    /// To resolve a task whose effect is unknown. Answered with [`Resolved`](bridgehead_runtime::actions::Resolved).
    Resolve {
        /// The app.
        app: String,
        /// The task.
        task: TaskId,
        /// The operator's decision.
        resolution: Resolution,
    },
    /// To pause an app. Answered with [`PauseChange`](bridgehead_runtime::actions::PauseChange).
    Pause {
        /// The app.
        app: String,
        /// Why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// To let a paused app continue. Answered with [`PauseChange`](bridgehead_runtime::actions::PauseChange).
    Resume {
        /// The app.
        app: String,
    },
    /// To cancel the sync that is under way. Answered with [`Cancelled`](bridgehead_runtime::actions::Cancelled).
    CancelSync {
        /// The app.
        app: String,
    },
    /// Where the audit log ends. Answered with an [`AuditStatus`](bridgehead_runtime::audit::AuditStatus), or nothing if none is kept.
    AuditHead,
    /// To sync now. Answered with a [`Summary`](bridgehead_runtime::sync::Summary).
    Sync {
        /// The app.
        app: String,
        /// Let pass what the last dry run or held sync has shown, this once.
        allow_removals: bool,
        /// Let pass this instead.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        consent: Option<Consent>,
        /// Only look.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        dry_run: bool,
    },
}

impl Request {
    /// To sync, or only to look.
    pub(crate) fn sync(app: &str, options: Options) -> Self {
        let app = app.to_owned();
        let allow_removals = options.allow_removals == Some(Consent::Shown);
        let consent = options.allow_removals.filter(|consent| *consent != Consent::Shown);
        Self::Sync { app, allow_removals, consent, dry_run: options.dry_run }
    }
}

/// How much is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LogLevel {
    /// Nothing.
    Off,
    /// What needs someone.
    Error,
    /// What may need someone.
    Warn,
    /// What happens.
    Info,
    /// Why it happens.
    Debug,
    /// Everything.
    Trace,
}

impl LogLevel {
    /// As the log itself knows it.
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

/// What the daemon says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum Event {
    /// Another sync of the app is running; the requested one follows it.
    Waiting,
    /// The requested sync is about to begin.
    Begun {
        /// How many records the last one had; 0 if nothing is known.
        expected: u64,
    },
    /// Where the sync stands.
    Progress {
        /// What it has done.
        progress: SyncProgress,
    },
    /// A page of a list of tasks.
    Tasks {
        /// The tasks.
        rows: Vec<TaskRow>,
    },
    /// The result of one check.
    Finding {
        /// What was found.
        finding: Finding,
    },
    /// It is done; the last event.
    Done {
        /// The answer.
        answer: Value,
    },
    /// It could not be done; the last event.
    Failed {
        /// A sentence.
        message: String,
        /// Whether it may work later.
        temporary: bool,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_and_events_are_lines_that_another_version_can_tell_apart() {
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
