//! `bridgehead sync`: runs one sync now, in the running daemon or in this process if none is running.

use std::sync::Arc;

use bridgehead_sdk::{counted, visible};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::args::Global;
use super::context::Context;
use super::failure::{Exit, Failure, Outcome};
use super::progress::Progress;
use super::signals::Told;
use super::{audit, daemon, logging, print, table};
use crate::control::{self, Client, Event, Request};
use bridgehead_config::Connectors;
use bridgehead_runtime::actions::{self, audited};
use bridgehead_runtime::audit::Audit;
use bridgehead_runtime::sync::{Consent, HeldReason, LossSummary, LostRecord, Options, Summary, SyncResult};
use bridgehead_runtime::{AppStatus, RuntimeBuilder};
use bridgehead_store::{AppKey, LossKind};

/// The maximum number of invalid records that are printed; `--json` has all that were kept.
const SHOWN: usize = 20;

/// Parses the value of `--allow-removals`. A value that is neither a number nor a digest is the name of an app that follows the flag.
pub(crate) fn consent(value: Option<String>, apps: &mut Vec<String>) -> Consent {
    let Some(value) = value else { return Consent::Shown };
    if let Ok(most) = value.parse() {
        return Consent::AtMost(most);
    }
    if let Ok(digest) = value.parse() {
        return Consent::Exactly(digest);
    }
    apps.insert(0, value);
    Consent::Shown
}

pub(crate) async fn run(
    global: &Global,
    connectors: &Connectors,
    names: &[String],
    options: Options,
) -> Outcome {
    let context = Context::load(global, connectors)?;
    logging::start_quiet(&context.config.log, &context.redactor);
    let is_allowing = options.allow_removals.is_some();
    let names = context.names(names).map_err(|unknown| explain(unknown, &context, names, is_allowing))?;
    let dry_run = options.dry_run;
    // A dry run, too: the daemon may have credentials that this command lacks.
    if let Some(daemon) = daemon::connect(&context).await?
        && let Some(summaries) = through(global, &context, daemon, &names, options).await?
    {
        return conclude(global, summaries);
    }
    let apps = context.apps(&names, connectors)?;
    context.end_orphans().await?;
    let bridge = Arc::new(context.bridge()?.without_retries());
    // A rehearsal is next to a running daemon: it reads the state and writes nothing into it.
    let keys: Vec<(String, AppKey)> =
        names.iter().map(|name| (name.clone(), AppKey::from(context.config.apps[name].app_id))).collect();
    let journal = if dry_run {
        context.place()?.rehearsal().await?
    } else {
        let own: Vec<AppKey> = keys.iter().map(|(_, key)| key.clone()).collect();
        daemon::state_for_sync(&context, &own).await?
    };
    if !dry_run {
        for (name, key) in &keys {
            if let Some(pause) = journal.paused(key).await? {
                let paused = actions::Error::Paused { app: name.clone(), pause };
                return Err(Failure::new(Exit::Failed, paused.to_string()));
            }
        }
    }
    let audit = if dry_run { Audit::none() } else { audit::open(&context)? };
    let mut runtime = RuntimeBuilder::new(
        apps,
        bridge,
        Arc::clone(&journal) as Arc<_>,
        Arc::clone(&journal) as Arc<_>,
        context.redactor.clone(),
        context.config.runtime.shutdown_grace,
    );
    runtime.audit = audit.clone();
    let runtime = runtime.build();
    let stop = CancellationToken::new();
    // A sync that is stopped still abandons its session.
    let _interrupt = Told::listen()?.cancels(&stop);
    let mut summaries = Vec::new();
    for (name, key) in keys {
        let last = journal.last(&key).await?;
        let expected = last.map_or(0, |last| last.counts.values().sum());
        let progress = (!global.json).then(|| Progress::follow(&name, &runtime.status()[&name], expected));
        let summary = runtime.sync(&name, options, &stop).await;
        drop(progress);
        if let Some(summary) = summary {
            if !global.json {
                show(&name, &summary);
            }
            summaries.push((name, summary));
        }
    }
    if !dry_run {
        for (name, summary) in &summaries {
            let evidence = serde_json::json!({ "result": summary.result });
            audit.record_command(audited::command(&control::own(), name, "sync", None, evidence, None));
        }
    }
    runtime.close().await;
    drop(runtime);
    journal.shut(true).await;
    conclude(global, summaries)
}

/// `sync cancel APP` and `sync now APP` seem natural, but these words would be apps.
fn explain(unknown: Failure, context: &Context, names: &[String], is_allowing: bool) -> Failure {
    let instead = match names.first().map(String::as_str) {
        // The value of --allow-removals, which was taken for an app.
        Some(_) if is_allowing && names.len() > 1 => {
            "--allow-removals takes a number, or a digest such as r-3f9a2c7d41e0, which the dry run and the held sync print"
        }
        Some("cancel") => "To cancel a running sync: `bridgehead sync --cancel APP`",
        Some("now") => "A sync starts now without that word: `bridgehead sync APP`",
        _ => return unknown,
    };
    if context.config.apps.contains_key(&names[0]) {
        return unknown;
    }
    Failure::new(Exit::Usage, format!("{}. {instead}", unknown.message()))
}

fn conclude(global: &Global, summaries: Vec<(String, Summary)>) -> Outcome {
    let is_fine = summaries.iter().all(|(_, summary)| summary.is_success());
    if global.json {
        let all: serde_json::Map<String, serde_json::Value> = summaries
            .into_iter()
            .map(|(name, summary)| (name, serde_json::to_value(summary).unwrap_or_default()))
            .collect();
        print::json(&all);
    }
    if is_fine { Ok(()) } else { Err(Failure::silent(Exit::Failed)) }
}

/// Lets the running daemon sync, and follows the sync. Ctrl-C makes the daemon abandon it, as for a sync in this process. `None` for a dry
/// run of an app that the daemon does not know, because the app is new or the daemon is an earlier version: a dry run needs no daemon.
async fn through(
    global: &Global,
    context: &Context,
    daemon: Client,
    names: &[String],
    options: Options,
) -> Result<Option<Vec<(String, Summary)>>, Failure> {
    let interrupted = CancellationToken::new();
    let _interrupt = AbortOnDropHandle::new(tokio::spawn({
        let interrupted = interrupted.clone();
        // A sync that is stopped still abandons its session.
        let mut told = Told::listen()?;
        async move {
            told.wait().await;
            interrupted.cancel();
        }
    }));
    let mut first = Some(daemon);
    let mut summaries = Vec::new();
    for name in names {
        let daemon = match first.take() {
            Some(daemon) => daemon,
            None => control::connect(&context.config.state.path).await?.ok_or(control::Error::Lost)?,
        };
        // The daemon's progress is shown like that of a sync in this process.
        let status = Arc::new(AppStatus::default());
        let mut progress = None;
        let heard = |event| match event {
            Event::Waiting if !global.json => {
                print::complain(format!("{name}: a sync is running; yours starts after it"));
            }
            Event::Begun { expected } if !global.json => {
                progress = Some(Progress::follow(name, &status, expected));
            }
            Event::Progress { progress } => status.sync_progress(|shown| *shown = progress),
            _ => {}
        };
        let request = Request::sync(name, options);
        let summary: Summary = match daemon.follow(&request, interrupted.cancelled(), heard).await {
            Err(control::Error::Refused { message, temporary: false })
                if options.dry_run && summaries.is_empty() =>
            {
                print::complain(format!("{message}; continuing the dry run without the daemon"));
                return Ok(None);
            }
            answer => answer?,
        };
        drop(progress);
        if !global.json {
            show(name, &summary);
        }
        summaries.push((name.clone(), summary));
        if interrupted.is_cancelled() {
            break;
        }
    }
    Ok(Some(summaries))
}

/// Prints the result of a sync.
pub(crate) fn show(name: &str, summary: &Summary) {
    print::line(format!("{name}: {} - {}", summary.result, visible(&summary.detail)));
    if !summary.resource_types.is_empty() {
        let mut table = table::table(["type", "records", "created", "changed", "removed"]);
        for (slug, of) in &summary.resource_types {
            table.add_row([
                slug.clone(),
                of.listed.to_string(),
                of.created.to_string(),
                of.changed.to_string(),
                of.removed.to_string(),
            ]);
        }
        print::line(table.trim_fmt());
    }
    let is_done = summary.result == SyncResult::Completed;
    for (slug, ids) in &summary.removals {
        let total = summary.resource_types.get(slug).map_or(0, |of| of.removed);
        let verb = if is_done { "removed" } else { "would be removed" };
        let counted =
            summary.losses.iter().find(|one| one.resource_type == *slug && one.kind == LossKind::Removed);
        let name = |id: &String| {
            let known = counted.and_then(|one| one.records.iter().find(|record| record.id == *id));
            known.map_or_else(|| id.clone(), named)
        };
        let some: Vec<String> = ids.iter().take(SHOWN).map(name).collect();
        print::line(format!("{slug} {verb}: {} ({})", visible(&some.join(", ")), part(some.len(), total)));
    }
    for one in summary.losses.iter().filter(|one| one.kind != LossKind::Removed) {
        print::line(visible(&lost(one, is_done)));
    }
    if let Some(digest) = summary.digest {
        let is_first = summary.held_because == [HeldReason::FirstSync];
        let what =
            if is_first { "to complete this first sync:" } else { "to allow exactly these removals once:" };
        print::line(what);
        print::command(format!("bridgehead sync {name} --allow-removals {digest}"));
    }
    let unproven: Vec<&str> =
        summary.evidence.iter().filter(|(_, what)| *what == "none").map(|(slug, _)| slug.as_str()).collect();
    if !unproven.is_empty() {
        print::line(format!("no proof that these listings are complete: {}", unproven.join(", ")));
    }
    if summary.invalid_count > 0 {
        print::line(format!("{}:", counted(summary.invalid_count, "invalid record", "invalid records")));
        for record in summary.invalid.iter().take(SHOWN) {
            print::line(format!("  {}", visible(&record.to_string())));
        }
        if summary.invalid_count > SHOWN as u64 {
            print::line(format!("  and {} more; --json lists them", summary.invalid_count - SHOWN as u64));
        }
    }
}

/// "20 of 300".
fn part(shown: usize, total: u64) -> String {
    let more = if total > shown as u64 { "; --json lists more" } else { "" };
    format!("{shown} of {total}{more}")
}

/// The accounts that lose something without being removed.
fn lost(one: &LossSummary, is_done: bool) -> String {
    let what = match (one.kind, is_done) {
        (LossKind::Memberships, true) => "lost memberships",
        (LossKind::Memberships, false) => "would lose memberships",
        (_, true) => "deactivated",
        (_, false) => "would be deactivated",
    };
    let some: Vec<String> = one.records.iter().take(SHOWN).map(named).collect();
    format!("{} {what}: {} ({})", one.resource_type, some.join(", "), part(some.len(), one.count))
}

/// An identifier, with details that help to judge it.
fn named(record: &LostRecord) -> String {
    let mut notes: Vec<String> = record.name.iter().cloned().collect();
    if record.memberships > 0 {
        notes.push(format!("{} fewer", record.memberships));
    }
    if record.is_still_there {
        notes.push("still found in the target".to_owned());
    }
    if notes.is_empty() { record.id.clone() } else { format!("{} ({})", record.id, notes.join(", ")) }
}
