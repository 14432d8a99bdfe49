//! What is said of a sync that has ended: to the operator, to the journal, to the status.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::sync_run::{ReadState, SyncRun};
use super::{Error, Summary, TypeSummary, session};
use crate::app::AppContext;
use crate::history::ShownRemovals;
use crate::status::{LastSync, SyncProgress};
use bridgehead_store::{Run, RunResult, Trust};

/// Records how a sync ended, and says so.
pub(super) async fn run(mut sync: SyncRun<'_>, result: Result<(), Error>, started_at: Timestamp) -> Summary {
    let app = sync.app;
    if !sync.options.dry_run
        && let Err(error) = sync.prove_past().await
    {
        tracing::error!(app = %app.name, %error, "what Iden held before could not be noted");
    }
    let summary = summarise(&mut sync, &result).await;
    show(app, &summary);
    if sync.options.dry_run {
        // It was only looked at: neither the state nor the status of the app says that there was a sync.
        if let Err(error) = app.listings.discard(&app.key).await {
            tracing::error!(app = %app.name, %error, "what a dry run has read could not be dropped");
        }
        app.status.sync_progress(|progress| *progress = SyncProgress::default());
        return summary;
    }
    // What was pushed stays in Iden, abandoned or not: a later `complete` could remove it, so the guard must know of it.
    // If Iden has taken no page, it holds nothing of ours: what it turns out to know later is not what this sync has pushed.
    let has_pushed = sync.has_begun && sync.tallies.sum().accepted > 0;
    if has_pushed && sync.stage != ReadState::Completed {
        let belief = sync.belief().await.unwrap_or_else(|error| {
            tracing::error!(app = %app.name, %error, "what this sync has left in Iden could not be judged");
            Trust::Unverified
        });
        if let Err(error) = app.listings.retain(&app.key, belief).await {
            tracing::error!(app = %app.name, %error, "what this sync has left in Iden could not be noted");
        }
    }
    // Only now that it is noted: what an abandoned session has pushed stays in Iden, also if this process ends here.
    if let (Err(error), Some(session)) = (&result, sync.session.take())
        && !matches!(error, Error::SessionLost { .. })
    {
        session::abandon(app, &session).await;
    }
    if matches!(result, Err(Error::NothingShown { .. })) {
        // There was no sync; the operator is told so.
        app.status.sync_progress(|progress| *progress = SyncProgress::default());
        return summary;
    }
    record(app, &summary, result_of(&result), started_at).await;
    app.status.sync_ended(LastSync {
        at: app.clock.now(),
        result: summary.result.clone(),
        detail: summary.detail.clone(),
        resource_types: summary.resource_types.clone(),
        invalid: summary.invalid_count,
        cleanup_failed: matches!(result, Err(Error::CleanupFailed { .. })),
    });
    summary
}

/// Whom it takes access from, for the page: until a sync has completed, or a dry run has found that nobody would lose anything.
fn show(app: &AppContext, summary: &Summary) {
    let is_harmless = summary.result == "rehearsed" && summary.losses.iter().all(|loss| loss.count == 0);
    if summary.result == "completed" || is_harmless {
        app.status.show_removals(None);
    } else if summary.digest.is_some() || !summary.losses.is_empty() {
        app.status.show_removals(Some(ShownRemovals::of(summary, app.clock.now())));
    }
}

fn result_of(result: &Result<(), Error>) -> RunResult {
    result.as_ref().err().map_or(RunResult::Completed, Error::result)
}

async fn record(app: &AppContext, summary: &Summary, result: RunResult, started_at: Timestamp) {
    let by_type = |figure: fn(&TypeSummary) -> u64| -> BTreeMap<String, u64> {
        summary.resource_types.iter().map(|(slug, of)| (slug.clone(), figure(of))).collect()
    };
    let run = Run {
        started_at,
        ended_at: app.clock.now(),
        result,
        detail: summary.detail.clone(),
        pushed: by_type(|of| of.listed),
        removed: by_type(|of| of.removed),
    };
    let recorded = app.listings.record_run(&app.key, &run).await;
    app.status.wrote(recorded.as_ref().err());
    if let Err(error) = recorded {
        tracing::error!(app = %app.name, %error, "the run could not be recorded");
    }
}

async fn summarise(sync: &mut SyncRun<'_>, result: &Result<(), Error>) -> Summary {
    let dry_run = sync.options.dry_run;
    let detail = match result {
        Ok(()) if dry_run => "read and validated to the end; nothing was pushed".into(),
        Ok(()) => "Iden has the whole truth, and has cleaned up".into(),
        Err(error) => error.to_string(),
    };
    let word = if result.is_ok() && dry_run { "rehearsed" } else { result_of(result).as_str() };
    if sync.figures.is_empty()
        && matches!(sync.stage, ReadState::Reading | ReadState::Whole)
        && let Err(error) = sync.count_changes().await
    {
        tracing::debug!(app = %sync.app.name, %error, "there are no figures of this sync");
    }
    Summary {
        result: word.to_owned(),
        detail: sync.app.redactor.redact(&detail).into_owned(),
        dry_run,
        resource_types: std::mem::take(&mut sync.figures),
        invalid_count: sync.invalid.count,
        invalid: std::mem::take(&mut sync.invalid.kept),
        removals: std::mem::take(&mut sync.removals),
        losses: sync.show_losses().await,
        held_because: sync.held_because.clone(),
        digest: sync.asked.filter(|_| !sync.has_consent).map(|asked| asked.digest),
        evidence: std::mem::take(&mut sync.evidence),
        follow_up: result.as_ref().err().map(Error::follow_up).unwrap_or_default(),
    }
}
