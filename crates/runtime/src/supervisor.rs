//! Keeps the loops of every app alive, and brings all of them to an orderly end.

use std::sync::Arc;
use std::time::Duration;

use bridgehead_resilience::{Backoff, Next};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::ShuttingDown;
use super::app::AppContext;
use super::liveness::Liveness;
use super::policies;
use super::{probe, sync, task};

/// Runs all apps until `stop` is cancelled, then gives what runs `grace` to finish. A loop that panics is started again
/// with backoff; the other apps do not notice.
pub(crate) async fn run(
    apps: Vec<Arc<AppContext>>,
    stop: CancellationToken,
    grace: Duration,
    vitals: &Liveness,
) {
    let cut_off = CancellationToken::new();
    let mut loops = JoinSet::new();
    for app in &apps {
        if load_pause(app, &stop).await.is_err() {
            break;
        }
    }
    for app in &apps {
        let (stop, cut_off) = (stop.clone(), cut_off.clone());
        let tasks = move |app: Arc<AppContext>| task::scheduler::run(app, stop.clone(), cut_off.clone());
        loops.spawn(keep_alive(Arc::clone(app), "tasks", tasks));
    }
    for app in apps.iter().filter(|app| app.settings.sync.enabled) {
        let stop = stop.clone();
        loops.spawn(keep_alive(Arc::clone(app), "sync", move |app| sync::schedule::run(app, stop.clone())));
    }
    for app in &apps {
        let stop = stop.clone();
        loops.spawn(keep_alive(Arc::clone(app), "probe", move |app| probe::run(app, stop.clone())));
    }
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Some(ended) = loops.join_next() => if let (Ok((app, name)), false) = (ended, stop.is_cancelled()) {
                tracing::error!(app, "the {name} loop has ended although nobody stopped it; restart the daemon");
                vitals.ended(&app, name);
            }
        }
    }
    let began = Instant::now();
    let end = async { while loops.join_next().await.is_some() {} };
    if tokio::time::timeout(grace, end).await.is_ok() {
        tracing::info!(took = ?began.elapsed(), "everything that ran has finished");
    } else {
        cut_off.cancel();
        tracing::warn!(?grace, "the grace is over before everything has finished");
        // What was cut off needs a moment to be dropped; a loop that does not heed even that is left behind.
        let end = async { while loops.join_next().await.is_some() {} };
        let _late = tokio::time::timeout(Duration::from_secs(2), end).await;
        loops.shutdown().await;
    }
    for app in apps {
        app.target.shut_down().await;
    }
}

/// An app that was paused stays so over a restart.
async fn load_pause(app: &AppContext, stop: &CancellationToken) -> Result<(), ShuttingDown> {
    let retry = app.retry(policies::LOCAL).until(stop);
    let paused = retry.run(
        |_| app.store.paused(),
        |_| Next::Retry,
        |failed| tracing::error!(app = %app.name, error = %failed.error, "the journal cannot be read"),
    );
    let paused = paused.await.map_err(|_| ShuttingDown)?;
    if let Some(pause) = &paused {
        tracing::warn!(app = %app.name, by = pause.by, since = %pause.since, "the app is paused: no task is begun, and no sync");
    }
    app.pausing.set(paused);
    Ok(())
}

/// Ends when the loop does, and says which one it was.
async fn keep_alive<F>(
    app: Arc<AppContext>,
    name: &'static str,
    start: impl Fn(Arc<AppContext>) -> F,
) -> (String, &'static str)
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut backoff = Backoff::new(policies::LOCAL);
    loop {
        let began = Instant::now();
        let mut running = JoinSet::new();
        running.spawn(start(Arc::clone(&app)));
        match running.join_next().await {
            Some(Err(error)) if error.is_panic() => {
                if began.elapsed() > Duration::from_mins(10) {
                    backoff.succeeded();
                }
                app.status.tally().panicked(name, app.clock.now());
                let wait = backoff.failed(app.rng.unit());
                tracing::error!(app = %app.name, panics = backoff.failures(), ?wait, "the {name} loop panicked and is started again");
                tokio::time::sleep(wait).await;
            }
            _ => return (app.name.clone(), name),
        }
    }
}
