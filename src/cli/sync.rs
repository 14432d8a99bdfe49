//! `bridgehead sync`: one sync, now, by the running daemon or by itself while none runs.

use std::sync::Arc;

use bridgehead_sdk::visible;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::args::Global;
use super::context::Context;
use super::failure::{Exit, Failure, Outcome};
use super::progress::Progress;
use super::signals::Told;
use super::{daemon, logging, print, table};
use crate::config::Connectors;
use crate::control::{self, Client, Event, Request};
use crate::journal::{AppKey, Listings, Sqlite};
use crate::runtime::sync::{Options, Summary};
use crate::runtime::{AppStatus, Assembly};

/// So many bad records are printed; `--json` has all that were kept.
const SHOWN: usize = 20;

pub(crate) async fn run(
    global: &Global,
    connectors: &Connectors,
    names: &[String],
    dry_run: bool,
    allow_removals: bool,
) -> Outcome {
    let context = Context::load(global, connectors)?;
    logging::start_quiet(&context.config.log, &context.redactor);
    let names = context.names(names)?;
    let options = Options { dry_run, allow_removals };
    if !dry_run && let Some(daemon) = daemon::connect(&context).await? {
        return through(global, &context, daemon, names, allow_removals).await;
    }
    let apps = context.apps(&names, connectors)?;
    context.end_orphans().await?;
    let bridge = Arc::new(context.bridge()?);
    let folder = &context.config.state.path;
    // A rehearsal stands beside a running daemon: it reads the state and writes nothing into it.
    let journal =
        Arc::new(if dry_run { Sqlite::rehearsal(folder).await? } else { daemon::state(&context).await? });
    let keys: Vec<(String, AppKey)> =
        names.iter().map(|name| (name.clone(), AppKey::from(context.config.apps[name].app_id))).collect();
    let runtime = Assembly::new(
        apps,
        bridge,
        Arc::clone(&journal) as Arc<_>,
        Arc::clone(&journal) as Arc<_>,
        context.redactor.clone(),
        context.config.runtime.shutdown_grace,
    )
    .build();
    let stop = CancellationToken::new();
    let _interrupt = AbortOnDropHandle::new(tokio::spawn({
        let stop = stop.clone();
        // A sync that is told to stop still abandons its session.
        let mut told = Told::listen()?;
        async move {
            told.wait().await;
            stop.cancel();
        }
    }));
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
    runtime.close().await;
    drop(runtime);
    if let Ok(journal) = Arc::try_unwrap(journal) {
        journal.close().await;
    }
    conclude(global, summaries)
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

/// Lets the running daemon sync, and follows it. Ctrl-C makes it abandon the sync, as it would one of our own.
async fn through(
    global: &Global,
    context: &Context,
    daemon: Client,
    names: Vec<String>,
    allow_removals: bool,
) -> Outcome {
    let interrupted = CancellationToken::new();
    let _interrupt = AbortOnDropHandle::new(tokio::spawn({
        let interrupted = interrupted.clone();
        // A sync that is told to stop still abandons its session.
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
        // What the daemon tells is shown as if it were our own.
        let status = Arc::new(AppStatus::default());
        let mut progress = None;
        let heard = |event| match event {
            Event::Waiting if !global.json => {
                print::complain(format!("{name}: a sync is under way; yours follows it"));
            }
            Event::Begun { expected } if !global.json => {
                progress = Some(Progress::follow(&name, &status, expected));
            }
            Event::Progress { progress } => status.sync_progress(|shown| *shown = progress),
            _ => {}
        };
        let request = Request::Sync { app: name.clone(), allow_removals };
        let summary: Summary = daemon.follow(&request, interrupted.cancelled(), heard).await?;
        drop(progress);
        if !global.json {
            show(&name, &summary);
        }
        summaries.push((name, summary));
        if interrupted.is_cancelled() {
            break;
        }
    }
    conclude(global, summaries)
}

/// Prints what a sync did.
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
    for (slug, ids) in &summary.removals {
        let total = summary.resource_types.get(slug).map_or(0, |of| of.removed);
        let more = if total > ids.len() as u64 {
            format!(" and {} more", total - ids.len() as u64)
        } else {
            String::new()
        };
        let verb = if summary.result == "completed" { "removed" } else { "would be removed" };
        print::line(format!("{slug} {verb}: {}{more}", visible(&ids.join(", "))));
    }
    if summary.invalid_count > 0 {
        print::line(format!("{} invalid records:", summary.invalid_count));
        for record in summary.invalid.iter().take(SHOWN) {
            print::line(format!("  {}", visible(&record.to_string())));
        }
        if summary.invalid_count > SHOWN as u64 {
            print::line(format!("  and {} more; --json lists them", summary.invalid_count - SHOWN as u64));
        }
    }
}
