//! The files of the archive. Each is created even if others cannot be, for example if no daemon is running or the configuration is invalid.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use bridgehead_config::{self as config, Connectors, Errors};
use bridgehead_runtime::inspection::{Finding, Verdict};
use bridgehead_sdk::Redactor;
use bridgehead_store::AppKey;
use jiff::Timestamp;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::super::args::Global;
use super::super::context::{self, Context};
use super::super::place::Place;
use super::super::{check, reload, state, status};
use super::clean::{self, Cleaner};
use super::log;
use crate::control::{self, Request};

/// The timeout of `check`: a hanging check is reported as well.
const PATIENCE: Duration = Duration::from_secs(60);
/// The maximum number of syncs per app.
const RUNS: u32 = 100;
/// The checks whose own text contains nothing about people. For all others, only the result is included.
const TOLD: [&str; 4] = ["clock", "backup", "admin.listen", "daemon"];

/// A file of the archive.
pub(super) struct Part {
    pub(super) name: &'static str,
    pub(super) what: &'static str,
    pub(super) content: String,
}

/// The sources of all files.
struct Sources<'a> {
    global: &'a Global,
    connectors: &'a Connectors,
    loaded: Result<Context, Errors>,
    folder: PathBuf,
    cleaner: Cleaner,
}

pub(super) async fn gather(global: &Global, connectors: &Connectors, now: Timestamp) -> Vec<Part> {
    let sources = context::sources(global);
    let loaded = config::load(&sources, connectors).map(|config| Context::of(config, sources));
    let redactor =
        loaded.as_ref().map_or_else(|_| Redactor::new().recognizing(), |context| context.redactor.clone());
    if let Ok(context) = &loaded {
        learn_secrets(context);
    }
    let schema = json!(config::schema(connectors));
    let all = Sources {
        global,
        connectors,
        folder: reload::state_folder(global, connectors),
        cleaner: Cleaner::new(&schema, &redactor),
        loaded,
    };
    let (status, pid) = status_of(&all).await;
    let part = |name, what, value: &Value| {
        let text = serde_json::to_string_pretty(value).unwrap_or_default();
        Part { name, what, content: all.cleaner.last(&text) + "\n" }
    };
    let mut parts = vec![
        part("about.json", "versions, operating system, limits", &about(now, pid)),
        part("check.json", "results of `bridgehead check`, without its sentences", &checked(&all).await),
        part("configuration.json", "settings; no names, paths or references", &configuration(&all)),
        part("status.json", "`bridgehead status`: counts, times, alarms", &status),
    ];
    if let Some(state) = state_of(&all).await {
        parts.push(part("state.json", "the state folder: schema versions, counts", &state.0));
        parts.push(part("runs.json", "recent syncs with their results and counts", &state.1));
        parts.push(part("failures.json", "tasks of 30 days: failures by code", &state.2));
    }
    if let Some(content) = metrics(&all).await {
        parts.push(Part { name: "metrics.txt", what: "the metrics of the running daemon", content });
    }
    if let Some(content) = log::entries(&all.cleaner).await {
        let what = "log entries: time, priority, place in the program, app, task, code";
        parts.push(Part { name: "log.jsonl", what, content });
    }
    parts
}

/// Registers all readable secrets with the redactor, in addition to all other measures.
fn learn_secrets(context: &Context) {
    drop(context.api_key());
    drop(context.network());
    drop(context.page_token());
    for app in context.config.apps.values() {
        for (_, secret) in app.target.secrets().unwrap_or_default() {
            context.redactor.protect_for_good([secret.expose_secret()]);
        }
    }
}

fn about(now: Timestamp, pid: Option<u32>) -> Value {
    let system = rustix::system::uname();
    let text = |text: &std::ffi::CStr| text.to_string_lossy().into_owned();
    let process = pid.map_or_else(|| "self".to_owned(), |pid| pid.to_string());
    let limits = std::fs::read_to_string(format!("/proc/{process}/limits")).ok();
    let limits = limits.map(|text| text.lines().map(str::trim_end).map(str::to_owned).collect::<Vec<_>>());
    json!({
        "made_at": now,
        "version": env!("CARGO_PKG_VERSION"),
        "build": if cfg!(debug_assertions) { "debug" } else { "release" },
        "features": {
            "conformance": cfg!(feature = "conformance"),
            "connectors": cfg!(feature = "connectors"),
            "sandbox": cfg!(feature = "sandbox"),
        },
        "kernel": [text(system.sysname()), text(system.release()), text(system.machine())],
        "distribution": distribution(),
        "processors": std::thread::available_parallelism().ok(),
        "limits_of": if pid.is_some() { "the daemon" } else { "this command" },
        "limits": limits,
    })
}

/// The name of the operating system, such as "Debian GNU/Linux 13".
fn distribution() -> Option<String> {
    let text = std::fs::read_to_string("/etc/os-release").ok()?;
    let name = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
    Some(name.trim_matches('"').to_owned())
}

async fn checked(all: &Sources<'_>) -> Value {
    let context = match &all.loaded {
        Ok(context) => context,
        Err(errors) => {
            let place = |error: &config::Error| {
                let (line, column) = match error.origin() {
                    Some(config::Origin::File { line, column, .. }) => (Some(*line), Some(*column)),
                    _ => (None, None),
                };
                json!({ "line": line, "column": column, "key": error.key().map(|key| all.cleaner.path(key)) })
            };
            return json!([{
                "what": "configuration",
                "result": Verdict::Failed,
                "errors": errors.iter().map(place).collect::<Vec<_>>(),
            }]);
        }
    };
    let looking = check::examine(all.global, context, all.connectors);
    let findings = match tokio::time::timeout(PATIENCE, looking).await {
        Ok(Ok(findings)) => findings,
        Ok(Err(_)) => return json!([{ "what": "check", "result": "failed" }]),
        Err(_) => return json!([{ "what": "check", "result": "failed", "found": "it takes too long" }]),
    };
    findings.into_iter().map(short).collect()
}

/// A finding without text from elsewhere, except for the code at its start.
fn short(finding: Finding) -> Value {
    let Finding { result, what, found, .. } = finding;
    let is_code =
        |text: &&str| !text.is_empty() && text.chars().all(|one| one.is_ascii_uppercase() || one == '_');
    let found = if TOLD.contains(&what.as_str()) {
        Some(found)
    } else {
        found.split(':').next().filter(is_code).map(str::to_owned)
    };
    json!({ "what": what, "result": result, "found": found })
}

fn configuration(all: &Sources<'_>) -> Value {
    match config::show(&context::sources(all.global), all.connectors) {
        Ok(shown) => all.cleaner.configuration(shown.to_json()),
        Err(_) => json!({ "unreadable": true }),
    }
}

/// The status, and the process id of the daemon if it responds.
async fn status_of(all: &Sources<'_>) -> (Value, Option<u32>) {
    let report = match &all.loaded {
        Ok(context) => status::overview(context).await.ok(),
        Err(_) => match control::connect(&all.folder).await {
            Ok(Some(daemon)) => daemon.ask(&Request::Status).await.ok(),
            _ => None,
        },
    };
    let pid = report
        .as_ref()
        .and_then(|report: &bridgehead_runtime::StatusReport| Some(report.daemon.as_ref()?.pid));
    (report.map_or(Value::Null, |report| all.cleaner.document(json!(report))), pid)
}

/// The state, recent syncs, and failures by code; `None` if there is no readable state.
async fn state_of(all: &Sources<'_>) -> Option<(Value, Value, Value)> {
    let names: BTreeMap<AppKey, String> = match &all.loaded {
        Ok(context) => state::names(context),
        Err(_) => BTreeMap::new(),
    };
    let place = match &all.loaded {
        Ok(context) => context.place().ok()?,
        Err(_) => Place::Folder(all.folder.clone()),
    };
    let seen = state::inspect(&names, &place).await.ok();
    let state = place.read_only().await.ok()??;
    let versions = state.versions().await.ok();
    let mut runs = BTreeMap::new();
    let mut failures = BTreeMap::new();
    for key in state.known_apps().await.unwrap_or_default() {
        let name = names.get(&key).cloned().unwrap_or_else(|| key.to_string());
        let ended = state.runs(&key, RUNS).await.unwrap_or_default();
        let ended = ended.into_iter().map(|run| {
            json!({
                "started_at": run.started_at,
                "ended_at": run.ended_at,
                "result": run.result.as_str(),
                "reason": run.reason,
                "pushed": run.pushed,
                "removed": run.removed,
            })
        });
        runs.insert(name.clone(), ended.collect::<Vec<_>>());
        failures.insert(name, clean::sums(&state.hours(&key, Timestamp::MIN).await.unwrap_or_default()));
    }
    state.shut(true).await;
    let mut inspected = json!(seen);
    if let Some(fields) = inspected.as_object_mut() {
        fields.insert("schema_versions".to_owned(), json!(versions));
    }
    let clean = |value| all.cleaner.document(value);
    Some((clean(inspected), clean(json!(runs)), clean(json!(failures))))
}

async fn metrics(all: &Sources<'_>) -> Option<String> {
    let listen = all.loaded.as_ref().ok()?.config.admin.as_ref()?.listen;
    let text = status::metrics(listen).await?;
    Some(all.cleaner.metrics(&text)).filter(|text| !text.is_empty())
}
