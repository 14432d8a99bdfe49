//! Finding out whether a target that was unreachable is back, and whether one that has gone silent is still there.

use std::sync::Arc;

use bridgehead_resilience::Backoff;
use bridgehead_sdk::Error;
use tokio_util::sync::CancellationToken;

use super::app::AppContext;
use super::policies;

/// Probes with `check()` while the breaker is open, at growing intervals, and closes it when one succeeds. Asks once, too,
/// when calls in a row get no answer: a target that does not answer that either hangs. Runs until `stop`.
///
/// Cancel: `stop` ends a wait at once, and a check with its timeout at the latest; dropping this ends that too. A check changes
/// nothing. Error: a check that fails keeps the breaker open, and is made again after a growing wait. Panic: one of the connector is an
/// error of its check. After one in here, the supervisor starts it again, and the breaker is as it was.
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
        // A target that answers checks and nothing else is left alone for longer each time.
        let mut backoff = Backoff::new(policies::TARGET).after(app.target.breaker().relapses().max(1));
        while app.target.breaker().cause().is_some() {
            let wait = backoff.failed(app.rng.unit());
            let tries = backoff.failures() - 1;
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
            }
            match check(&app).await {
                Ok(()) => {
                    tracing::info!(app = %app.name, tries, "the target is reachable again; resuming held tasks");
                    app.target.breaker().checked();
                }
                // Any failure keeps it open: a check that fails for another reason is no reason to let tasks loose.
                Err(error) => {
                    tracing::warn!(app = %app.name, tries, code = %error.code(), "the target is still unreachable: {}",
                        app.redactor.redact(error.message()));
                }
            }
        }
        doubts.mark_unchanged();
    }
}

/// Calls in a row got no answer: is it the account, or the target?
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
