//! Runs one sync at a time: a second session of the same app would silently cancel the first.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;
use tracing::field::Empty;

use super::{Error, Options, Summary, SyncResult, sync_run};
use crate::app::AppContext;
use crate::audit::Event;

/// Waits until no other sync of the app runs, then runs one. Never fails: the summary contains the result.
pub(crate) async fn run(app: &Arc<AppContext>, options: Options, stop: &CancellationToken) -> Summary {
    let _turn = tokio::select! {
        biased;
        turn = app.sync_lock.lock() => turn,
        () = stop.cancelled() => {
            let (error, dry_run) = (Error::ShuttingDown, options.dry_run);
            let (result, reason) = (error.outcome().result(), error.outcome().reason());
            return Summary { result, reason, detail: error.to_string(), dry_run, ..Summary::default() };
        }
    };
    let span = tracing::info_span!("sync", app = %app.name, dry_run = options.dry_run, outcome = Empty);
    let running = stop.child_token();
    let began = Instant::now();
    let summary = {
        let _under_way = app.operator.cancelling.begin(running.clone());
        Box::pin(sync_run::run(app, options, &running)).instrument(span.clone()).await
    };
    span.record("outcome", summary.result.to_string());
    drop(span);
    if !options.dry_run {
        record(app, &summary, began.elapsed());
    }
    summary
}

/// Records every finished sync in the audit log, with what it did or would have done.
fn record(app: &AppContext, summary: &Summary, took: Duration) {
    let losses: Vec<Value> = summary
        .losses
        .iter()
        .map(|one| json!({ "resource_type": one.resource_type, "kind": one.kind, "count": one.count, "of": one.of }))
        .collect();
    let evidence = json!({
        "detail": summary.detail,
        "reason": summary.reason,
        "resource_types": summary.resource_types,
        "losses": losses,
        "invalid": summary.invalid_count,
        "held_because": summary.held_because,
        "digest": summary.digest,
        "listings": summary.evidence,
    });
    let decision = match summary.result {
        SyncResult::Completed => "complete",
        SyncResult::Held => "hold",
        _ => "abandon",
    };
    app.shared.audit.record(Event {
        app: Some(app.name.clone()),
        action: "sync".to_owned(),
        decision: Some(decision.to_owned()),
        evidence,
        outcome: Some(summary.result.to_string()),
        duration_ms: u64::try_from(took.as_millis()).ok(),
        ..Event::default()
    });
}
