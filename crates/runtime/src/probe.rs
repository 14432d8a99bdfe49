//! Probes whether an unreachable target is reachable again, and whether an unresponsive one still works.

use std::sync::Arc;

use bridgehead_resilience::Backoff;
use bridgehead_sdk::Error;
use tokio_util::sync::CancellationToken;

use super::app::AppContext;
use super::policies;

/// Calls `check()` at growing intervals while the breaker is open, and closes the breaker when a check succeeds. Also checks once when
/// several calls in a row get no response: if the check gets none either, the target hangs. Runs until `stop` is cancelled.
///
/// Cancel: `stop` ends a wait immediately, and a running check after its timeout at the latest; dropping the future ends that as well. A
/// check changes nothing. Error: a failed check keeps the breaker open and is repeated after a growing delay. Panic: a panic of the
/// connector counts as a failed check. After a panic in this function, the supervisor restarts it, and the breaker keeps its state.
pub(crate) async fn run(app: Arc<AppContext>, stop: CancellationToken) {
    let mut doubts = app.target.breaker().doubts();
    loop {
        let is_doubted = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = app.target.breaker().opened() => false,
            doubted = doubts.changed() => if doubted.is_ok() { true } else { return },
        };
        if is_doubted {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = look_into_silence(&app) => {}
            }
            continue;
        }
        // A target that passes checks but fails its tasks is left alone for longer each time.
        let mut backoff = Backoff::new(policies::TARGET).after(app.target.breaker().relapses().max(1));
        while app.target.breaker().cause().is_some() {
            let wait = backoff.failed(app.shared.rng.unit());
            let tries = backoff.failures() - 1;
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = app.target.breaker().asked() => {}
                () = tokio::time::sleep(wait) => {}
            }
            match check(&app).await {
                Ok(()) => {
                    tracing::info!(app = %app.name, tries, "the target is reachable again; resuming held tasks");
                    app.target.breaker().checked();
                }
                // Any failure keeps the breaker open: a check that fails for a different reason does not show that tasks would succeed.
                Err(error) => {
                    tracing::warn!(app = %app.name, tries, code = %error.code(), "the target is still unreachable: {}",
                        app.shared.redactor.redact(error.message()));
                }
            }
        }
        doubts.mark_unchanged();
    }
}

/// Several calls in a row got no response: is the cause the account or the target?
async fn look_into_silence(app: &AppContext) {
    match check(app).await {
        Ok(()) => {
            tracing::info!(app = %app.name, "calls time out, but the target passes a check; resuming its \
                                             tasks");
        }
        Err(error) => {
            let error = app.target.without_secrets(&error);
            if app.target.breaker().check_failed(&error) {
                tracing::error!(app = %app.name, code = %error.code(), "the target does not respond, tasks are held: {}", error.message());
            }
        }
    }
}

async fn check(app: &AppContext) -> Result<(), Error> {
    app.target.check(app.settings.tasks.timeout).await
}
