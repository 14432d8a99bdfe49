//! Finding out whether a target that was out of reach is back.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::app::App;
use super::backoff::Backoff;

/// Probes with `check()` while the breaker is open, at growing intervals, and closes it when one succeeds. Runs until
/// `stop`.
pub(crate) async fn run(app: Arc<App>, stop: CancellationToken) {
    let mut state = app.breaker.watch();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            opened = state.wait_for(Option::is_some) => if opened.is_err() { return },
        }
        let mut tries = 0;
        while app.breaker.cause().is_some() {
            tries += 1;
            let wait = Backoff::TARGET.patient_wait(tries.max(2), &app.dice);
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
            }
            let connector = Arc::clone(&app.connector);
            let answer = app
                .guarded("checking", app.settings.tasks.timeout, async move { connector.check().await })
                .await;
            match answer {
                Ok(()) => {
                    tracing::info!(app = %app.name, tries, "the target is back; held tasks go on");
                    app.breaker.reached();
                }
                // Any failure keeps it open: a check that fails for another reason is no reason to let tasks loose.
                Err(error) => {
                    tracing::warn!(app = %app.name, tries, code = %error.code(), "the target is still out of reach: {}",
                        app.redactor.redact(error.message()));
                }
            }
        }
    }
}
