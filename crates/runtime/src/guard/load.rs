//! Loads the deprovision limit's state from the journal, and writes it back.

use bridgehead_resilience::Next;
use bridgehead_sdk::TaskId;
use jiff::fmt::friendly::SpanPrinter;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::DeprovisionLimit;
use super::sliding_window::SlidingWindow;
use crate::ShuttingDown;
use crate::app::AppContext;
use crate::audit::Event;
use crate::policies;
use bridgehead_store as journal;

/// Loads what was executed, held and released before this process. Until the journal can be read, nothing is started.
pub(crate) async fn load(app: &AppContext, stop: &CancellationToken) -> Result<(), ShuttingDown> {
    let retry = app.retry(policies::LOCAL).until(stop);
    let loaded = retry.run(
        |_| try_load(app),
        |_| Next::Retry,
        |failed| {
            tracing::error!(app = %app.name, error = %failed.error, "the journal cannot be read; no task is started until it can");
        },
    );
    loaded.await.map_err(|_| ShuttingDown)
}

async fn try_load(app: &AppContext) -> Result<(), journal::Error> {
    let held = app.store.held().await?;
    let Some(limit) = app.deprovision_limit.limit() else {
        let tasks: Vec<_> = held.into_iter().map(|held| held.task).collect();
        if !tasks.is_empty() {
            tracing::warn!(app = %app.name, tasks = tasks.len(), "the deprovision limit was removed from the configuration; releasing the tasks that it held");
            app.store.unhold(&tasks).await?;
        }
        return Ok(());
    };
    let now = app.shared.clock.now();
    let executed = app.store.destructive_since(SlidingWindow::since(limit, now)).await?;
    app.deprovision_limit.restore(executed, held);
    app.deprovision_limit.steady_from(now);
    Ok(())
}

/// Counts again after a clock that was ahead has been set back: too few executions may have been counted.
async fn count_again(app: &AppContext) {
    let now = app.shared.clock.now();
    let Some(limit) = app.deprovision_limit.limit().filter(|_| app.deprovision_limit.was_set_back(now))
    else {
        return;
    };
    match app.store.destructive_since(SlidingWindow::since(limit, now)).await {
        Ok(executed) => {
            tracing::warn!(app = %app.name, "the clock was set back; the deprovision limit starts counting \
                                             again");
            app.deprovision_limit.recount(executed, now);
        }
        Err(error) => {
            tracing::error!(app = %app.name, %error, "the clock was set back, and the journal cannot be \
                                                      read to count again; retrying");
        }
    }
}

/// Records every held task in the audit log.
fn record(app: &AppContext, tasks: &[TaskId]) {
    for task in tasks {
        app.shared.audit.record(Event {
            app: Some(app.name.clone()),
            task: Some(task.to_string()),
            action: "hold".to_owned(),
            decision: Some("hold".to_owned()),
            evidence: json!({
                "guard": "more deletions and suspensions than apps.NAME.tasks.guard allows",
                "max": app.deprovision_limit.limit().map(|limit| limit.max),
                "per_seconds": app.deprovision_limit.limit().map(|limit| limit.per.as_secs()),
            }),
            outcome: Some("held".to_owned()),
            ..Event::default()
        });
    }
}

impl DeprovisionLimit {
    /// Writes newly held tasks to the journal, alerts the operator, and updates the status. Tasks that cannot be written are held
    /// nevertheless, and written with the next call.
    pub(crate) async fn settle(&self, app: &AppContext) {
        count_again(app).await;
        let unwritten = self.unwritten();
        // They were held at nearly the same time, and the journal's time is only for display.
        if let Some((_, at)) = unwritten.first() {
            let tasks: Vec<_> = unwritten.iter().map(|(task, _)| task.clone()).collect();
            match app.store.hold(&tasks, *at).await {
                Ok(()) => {
                    self.written(&tasks);
                    record(app, &tasks);
                }
                Err(error) => {
                    tracing::error!(app = %app.name, %error, "the tasks held by the deprovision limit cannot be written to the journal; they are \
                         held anyway");
                }
            }
        }
        let holding = self.holding(app.shared.clock.now());
        if let Some(holding) = holding.as_ref().filter(|_| self.alarm()) {
            let name = &app.name;
            let per = self.limit().map(|limit| limit.per).unwrap_or_default();
            let per = SpanPrinter::new().unsigned_duration_to_string(&per);
            tracing::error!(
                app = %name, alarm = "task_guard", executed = holding.executed, held = holding.held,
                "the deprovision limit holds deletions and suspensions: {} executed within {per} \
                 (apps.{name}.tasks.guard allows {}), {} held, which stay pending in Iden. Review them with \
                 `bridgehead tasks list {name} --held`; if they are intended, release them with `bridgehead \
                 tasks release {name} --all`",
                holding.executed, holding.max, holding.held,
            );
        }
        app.status.hold(holding);
    }
}
