//! `bridgehead audit verify | show | export`, and how the daemon and commands write the log.

use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use bridgehead_sdk::counted;

use bridgehead_runtime::audit::{
    Actor, Audit, AuditStatus, Entry, Event, Filter, Head, Settings, csv_cell, newest, read, verify,
};
use bridgehead_runtime::{Clock, SystemClock};
use jiff::Timestamp;
use serde_json::json;

use super::args::{self, AuditFilter, AuditFormat, Global};
use super::context::Context;
use super::failure::{Exit, Failure, Outcome};
use super::{daemon, logging, print, table};
use crate::control::{Reloaded, Request};
use bridgehead_config::Connectors;

/// How often the log is forced to the disk.
const EVERY: Duration = Duration::from_secs(1);

pub(crate) async fn run(global: &Global, connectors: &Connectors, command: args::Audit) -> Outcome {
    let context = Context::load(global, connectors)?;
    logging::start_quiet(&context.config.log, &context.redactor);
    match command {
        args::Audit::Verify { head } => prove(global, &context, head).await,
        args::Audit::Show(filter) if global.json => export(&context, filter, AuditFormat::Json),
        args::Audit::Show(filter) => show(&context, filter),
        args::Audit::Export { filter, format } => export(&context, filter, format),
    }
}

fn settings(context: &Context) -> Settings {
    let audit = &context.config.audit;
    Settings {
        folder: context.config.audit_folder(),
        max_bytes: audit.max_bytes,
        keep: usize::try_from(audit.keep).unwrap_or(usize::MAX),
    }
}

/// The log for a command that holds the lock on the state folder. Operator commands are not executed if they cannot be recorded: the
/// operator is present and can fix that.
pub(super) fn open(context: &Context) -> Result<Audit, Failure> {
    Audit::open(settings(context), &context.redactor)
        .map_err(|error| Failure::new(Exit::Failed, format!("{error}; nothing was done")))
}

/// The log for the daemon, which runs even if the log cannot be written.
pub(super) fn start(context: &Context) -> Audit {
    Audit::start(settings(context), &context.redactor)
}

/// The event for the start of the daemon, with its configuration.
pub(super) fn started(context: &Context, configuration: &str) -> Event {
    let last = newest(&context.config.audit_folder(), |entry| entry.action == "start");
    let last = last.unwrap_or_else(|error| {
        tracing::debug!(%error, "the audit log could not be read for the last start");
        None
    });
    let before = last.and_then(|last| last.evidence["configuration"].as_str().map(str::to_owned));
    let changed = before.as_ref().map(|before| before != configuration);
    Event {
        action: "start".to_owned(),
        decision: Some("start".to_owned()),
        evidence: json!({
            "version": env!("CARGO_PKG_VERSION"),
            "pid": std::process::id(),
            "configuration": configuration,
            "configuration_before": before,
            "configuration_changed": changed,
            "apps": context.config.apps.keys().collect::<Vec<_>>(),
        }),
        outcome: Some("started".to_owned()),
        ..Event::default()
    }
}

/// The event for a reload. Without an actor it was requested by SIGHUP, whose sender is unknown.
pub(super) fn reloaded(
    actor: Option<Actor>,
    reloaded: &Reloaded,
    [before, now]: [&str; 2],
    took: Duration,
) -> Event {
    let outcome = match (&reloaded.refused, reloaded.is_whole()) {
        (Some(_), _) => "refused",
        (None, true) => "done",
        (None, false) => "in part",
    };
    Event {
        decision: Some("order".to_owned()),
        evidence: json!({
            "asked_by": if actor.is_some() { "command" } else { "SIGHUP" },
            "configuration": now,
            "configuration_before": before,
            "refused": reloaded.refused,
            "apps": reloaded.apps,
            "daemon": reloaded.daemon,
            "needs_restart": reloaded.needs_restart,
        }),
        actor,
        action: "reload".to_owned(),
        outcome: Some(outcome.to_owned()),
        duration_ms: u64::try_from(took.as_millis()).ok(),
        ..Event::default()
    }
}

/// The event for a clean shutdown of the daemon.
pub(super) fn stopped() -> Event {
    Event {
        actor: Some(Actor::daemon()),
        action: "stop".to_owned(),
        decision: Some("stop".to_owned()),
        evidence: json!({ "pid": std::process::id() }),
        outcome: Some("stopped".to_owned()),
        ..Event::default()
    }
}

/// Periodically forces the log to the disk, and writes entries that could not be written before.
pub(super) async fn keep_on_disk(audit: Audit) {
    let mut pace = tokio::time::interval(EVERY);
    loop {
        pace.tick().await;
        let audit = audit.clone();
        // This may take a while, and nothing waits for it.
        drop(tokio::task::spawn_blocking(move || audit.sync()).await);
    }
}

async fn prove(global: &Global, context: &Context, head: Option<Head>) -> Outcome {
    let folder = context.config.audit_folder();
    if !exists(&folder)? {
        return Err(Failure::new(
            Exit::Failed,
            format!(
                "there is no audit log in {} yet; the daemon creates it at its first start",
                folder.display()
            ),
        ));
    }
    // Read before the log, which can only grow in the meantime.
    let known = match head {
        Some(head) => Some((head, "noted")),
        None => daemon_head(context).await?.map(|head| (head, "daemon")),
    };
    let proof = verify(&folder, known.as_ref().map(|(head, _)| head));
    match proof {
        Ok(proof) => {
            if global.json {
                let against = known.as_ref().map(|(_, by)| *by);
                print::json(&json!({ "ok": true, "proof": proof, "head_by": against }));
                return Ok(());
            }
            print::line(format!(
                "The chain is unbroken: entries {} to {}, {} in {}.",
                proof.first_seq,
                proof.head.seq,
                counted(proof.entries, "entry", "entries"),
                counted(proof.files, "file", "files")
            ));
            if !proof.is_beginning_explained {
                print::line(format!(
                    "The log starts with entry {}, and no entry records that older files were removed by rotation.",
                    proof.first_seq
                ));
            }
            print::line(match known {
                Some((head, "daemon")) => {
                    format!("It ends with the entry that the running daemon reports as the last one: entry {}.", head.seq)
                }
                Some((head, _)) => format!("It contains the given entry {}.", head.seq),
                None => "To check that nothing was cut off at the end, pass --head with a value that the metric bridgehead_audit_head showed earlier."
                    .to_owned(),
            });
            print::line(format!("head: {}:{}", proof.head.seq, proof.head.hash));
            Ok(())
        }
        Err(error) => {
            if global.json {
                let broken = match &error {
                    bridgehead_runtime::audit::VerifyError::Broken(broken) => json!(broken),
                    bridgehead_runtime::audit::VerifyError::Unreadable(error) => json!(error.to_string()),
                };
                print::json(&json!({ "ok": false, "broken": broken }));
            }
            Err(Failure::new(Exit::Failed, error.to_string()))
        }
    }
}

/// The last entry of the log according to the running daemon; `None` if no daemon runs, or if nothing was recorded.
async fn daemon_head(context: &Context) -> Result<Option<Head>, Failure> {
    let Some(daemon) = daemon::connect(context).await? else { return Ok(None) };
    let status: Option<AuditStatus> = daemon.ask(&Request::AuditHead).await?;
    Ok(status.filter(|status| status.seq > 0).map(|status| Head { seq: status.seq, hash: status.hash }))
}

fn filter(asked: AuditFilter) -> Filter {
    let AuditFilter { app, task, account, since } = asked;
    Filter { app, task, account, since }
}

fn show(context: &Context, asked: AuditFilter) -> Outcome {
    let mut rows = table::table(["seq", "at", "actor", "app", "task", "account", "action", "outcome"]);
    let mut count = 0_u64;
    each(context, asked, |entry| {
        let text = |text: Option<&str>| text.map_or_else(|| "-".to_owned(), print::visible);
        let outcome = match &entry.code {
            Some(code) => format!("{} {code}", entry.outcome.as_deref().unwrap_or_default()),
            None => entry.outcome.clone().unwrap_or_default(),
        };
        rows.add_row([
            entry.seq.to_string(),
            table::time(entry.at),
            print::visible(&entry.actor),
            text(entry.app.as_deref()),
            text(entry.task.as_deref()),
            text(entry.account.as_deref()),
            print::visible(&ordered(&entry)),
            print::visible(&outcome),
        ]);
        count += 1;
        true
    })?;
    if count == 0 {
        print::line("No entries.");
    } else {
        print::line(rows.trim_fmt());
        print::line(format!("\n{}; --json has the evidence", counted(count, "entry", "entries")));
    }
    Ok(())
}

/// What was done; of a sync that an operator ordered, also which removals they allowed with it.
fn ordered(entry: &Entry) -> String {
    match entry.evidence["allow_removals"].as_str() {
        Some(allowed) => format!("{}, allowing {allowed}", entry.action),
        None => entry.action.clone(),
    }
}

/// The columns of a CSV file.
const COLUMNS: [&str; 14] = [
    "seq",
    "at",
    "actor",
    "app",
    "task",
    "account",
    "action",
    "decision",
    "evidence",
    "outcome",
    "code",
    "duration_ms",
    "prev",
    "hash",
];

fn export(context: &Context, asked: AuditFilter, format: AuditFormat) -> Outcome {
    match format {
        AuditFormat::Json => each(context, asked, |entry| {
            if let Ok(entry) = serde_json::to_value(entry) {
                print::json_line(&entry);
            }
            print::is_read()
        }),
        AuditFormat::Csv => {
            table::csv_row(&COLUMNS);
            each(context, asked, |entry| {
                let text = |text: Option<String>| csv_cell(&text.unwrap_or_default());
                table::csv_row(&[
                    entry.seq.to_string(),
                    entry.at.to_string(),
                    csv_cell(&entry.actor),
                    text(entry.app),
                    text(entry.task),
                    text(entry.account),
                    csv_cell(&entry.action),
                    text(entry.decision),
                    entry.evidence.to_string(),
                    text(entry.outcome),
                    text(entry.code),
                    entry.duration_ms.map_or_else(String::new, |duration| duration.to_string()),
                    entry.prev,
                    entry.hash,
                ]);
                print::is_read()
            })
        }
    }
}

fn each(context: &Context, asked: AuditFilter, mut take: impl FnMut(Entry) -> bool) -> Outcome {
    let folder = context.config.audit_folder();
    if !exists(&folder)? {
        print::complain(format!("There is no audit log in {} yet.", folder.display()));
        return Ok(());
    }
    let (app, mut is_any) = (asked.app.clone(), false);
    let seen = read(&folder, &filter(asked), |entry| {
        is_any = true;
        take(entry)
    });
    seen.map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
    match app {
        // The log may be about an app that is no longer configured; a mistyped name finds nothing.
        Some(app) if !is_any => context.names(&[app]).map(drop),
        _ => Ok(()),
    }
}

/// Whether the folder of the log exists. A folder that this user may not look into is an error, not an empty log.
fn exists(folder: &Path) -> Result<bool, Failure> {
    let is_there = std::fs::metadata(folder)
        .map(|found| found.is_dir())
        .and_then(|is_folder| if is_folder { std::fs::read_dir(folder).map(|_| true) } else { Ok(false) });
    match is_there {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        found => found.map_err(|error| {
            let shown = folder.display();
            let message = format!(
                "the audit log in {shown} cannot be read: {error}; run this command as the daemon's user, or as root"
            );
            Failure::new(Exit::Failed, message)
        }),
    }
}

/// Parses a time, a date, or a time span before now.
pub(super) fn since(text: &str) -> Result<Timestamp, String> {
    let wrong = || {
        "must be a time such as \"2026-11-27T09:00:00Z\", a date, or a span such as \"24h\" or \"30d\""
            .to_owned()
    };
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at);
    }
    if let Ok(date) = text.parse::<jiff::civil::Date>() {
        let zoned = date.to_zoned(jiff::tz::TimeZone::system()).map_err(|_| wrong())?;
        return Ok(zoned.timestamp());
    }
    let span: jiff::Span = text.trim_start_matches('-').parse().map_err(|_| wrong())?;
    let ago = span.to_duration(jiff::SpanRelativeTo::days_are_24_hours()).map_err(|_| wrong())?;
    SystemClock.now().checked_sub(ago).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    #[test]
    fn since_accepts_a_time_date_or_duration() {
        assert_eq!(since("2026-11-27T09:00:00Z").unwrap().to_string(), "2026-11-27T09:00:00Z");
        assert!(since("2026-11-27").is_ok());
        let ago = SystemClock.now().duration_since(since("24h").unwrap());
        assert!((SignedDuration::from_hours(23)..SignedDuration::from_hours(25)).contains(&ago));
        let ago = SystemClock.now().duration_since(since("30d").unwrap());
        assert!((SignedDuration::from_hours(719)..SignedDuration::from_hours(721)).contains(&ago));
        assert!(since("yesterday").is_err() && since("1 month").is_err());
    }
}
