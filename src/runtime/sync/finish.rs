//! The beginning and the ends of a session: start, verify, complete and watch, abandon.

use std::time::Duration;

use bridgehead_resilience::{Backoff, Interrupted, Jitter, Next};
use futures::future::BoxFuture;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Error;
use super::engine::Sync;
use crate::bridge::{self, SyncId, SyncStatus};
use crate::runtime::app::App;
use crate::runtime::policies;

/// How long one call is tried while the Bridge does not answer.
const PATIENCE: Duration = Duration::from_mins(15);
/// How long a clean-up is watched. It runs at Iden's end; this only decides when to stop looking.
const WATCH: Duration = Duration::from_mins(30);
/// How long a session that was given up is tried to be abandoned. The next one cancels it in any case.
const FAREWELL: Duration = Duration::from_secs(10);

/// Starts a session. Repeating a start whose answer was lost is safe: the new session cancels the one nobody knows.
pub(super) async fn start(app: &App) -> Result<SyncId, Error> {
    patiently(app, "starting the sync", || app.bridge.start_sync(app.id)).await
}

/// Repeats a call while it may pass.
async fn patiently<'a, T>(
    app: &'a App,
    what: &'static str,
    call: impl Fn() -> BoxFuture<'a, Result<T, bridge::Error>> + Send,
) -> Result<T, Error> {
    let retry = app.retry(policies::BRIDGE).give_up_after(PATIENCE);
    let answer = retry.run(
        |_| app.ask(call()),
        |error| if error.is_access() { Next::Retry } else { after(error) },
        |failed| {
            tracing::warn!(app = %app.name, error = %failed.error, wait = ?failed.wait, "{what} did not work; trying again");
        },
    );
    answer.await.map_err(|interrupted| match interrupted {
        Interrupted::Failed(source) => Error::Bridge { what, source },
        Interrupted::Stopped => Error::Stopped,
    })
}

/// Whether a call that failed may work later, and not before when.
pub(super) fn after(error: &bridge::Error) -> Next {
    match error.retry_after() {
        _ if !error.is_transient() => Next::GiveUp,
        Some(wait) => Next::RetryAfter(wait),
        None => Next::Retry,
    }
}

/// The counts of the session must be what was pushed. If not, somebody else's session has cancelled it: pushes go on
/// answering 200, but their records are discarded.
pub(super) async fn verify(sync: &Sync<'_>) -> Result<(), Error> {
    let Some(session) = &sync.session else {
        return Ok(());
    };
    let app = sync.app;
    let progress =
        patiently(app, "asking how the sync stands", || app.bridge.progress(app.id, session)).await?;
    if !progress.status.is_running() {
        return Err(Error::SessionLost { detail: format!("its status is '{}'", progress.status) });
    }
    for of in &sync.types {
        let (slug, pushed) = (of.slug.as_str(), app.listings.seen_count(&app.key, of.slug.as_str()).await?);
        let counted = match progress.counts.iter().find(|count| count.slug == of.slug) {
            Some(count) => count.synced_count.ok_or_else(|| Error::Uncounted(slug.to_owned()))?,
            // A type of which nothing was pushed may be left out.
            None if pushed == 0 => 0,
            None => return Err(Error::Uncounted(slug.to_owned())),
        };
        if counted < pushed {
            return Err(Error::SessionLost {
                detail: format!("{pushed} records of {slug} were pushed, Iden counts {counted}"),
            });
        }
        // Whether a record that is sent twice counts twice is not documented, and a page whose answer was lost is sent
        // twice without anybody noticing. More than was pushed shows no other session: fewer does.
        let most = sync.tallies.of(slug).accepted.max(pushed);
        if counted > most {
            tracing::warn!(app = %app.name, resource_type = slug, pushed, counted, "Iden counts more records than were pushed");
        }
    }
    Ok(())
}

/// Completes the session. If the answer is lost, the session's status tells whether it was heard. A stop is heeded
/// between two tries, never in the middle of one: whoever asks must know whether it was completed.
pub(super) async fn complete(app: &App, session: &SyncId, stop: &CancellationToken) -> Result<(), Error> {
    let began = Instant::now();
    let mut backoff = Backoff::new(policies::BRIDGE);
    loop {
        let leave = tokio::select! {
            biased;
            () = stop.cancelled() => return Err(Error::Stopped),
            leave = app.access.enter() => leave,
        };
        let answer = app.bridge.complete(app.id, session).await;
        app.heard(leave, &answer);
        let Err(error) = answer else { return Ok(()) };
        let progress = tokio::select! {
            biased;
            () = stop.cancelled() => return Err(Error::Unheard(error.to_string())),
            progress = patiently(app, "asking how the sync stands", || app.bridge.progress(app.id, session)) => progress,
        };
        let progress = progress.map_err(|unasked| Error::Unheard(unasked.to_string()))?;
        if is_completing(&progress.status) {
            return Ok(());
        }
        let may_pass = error.is_transient() || error.is_access();
        if !progress.status.is_running() {
            return Err(Error::SessionLost { detail: format!("its status is '{}'", progress.status) });
        }
        if !may_pass || began.elapsed() >= PATIENCE {
            return Err(Error::Bridge { what: "completing the sync", source: error });
        }
        let wait = backoff.failed(app.rng.unit());
        tracing::warn!(app = %app.name, %error, ?wait, "completing the sync did not work; trying again");
        tokio::select! {
            biased;
            () = stop.cancelled() => return Err(Error::Stopped),
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// Whether `complete` was heard. Only the status `error` is documented; of the others there are but likely names.
fn is_completing(status: &SyncStatus) -> bool {
    let name = status.as_str().to_lowercase();
    *status == SyncStatus::Error || name.contains("clean") || name.starts_with("complet")
}

/// Watches the clean-up that Iden runs after `complete`, until it has ended.
pub(super) async fn watch(app: &App, session: &SyncId) -> Result<(), Error> {
    let began = Instant::now();
    let mut wait = Duration::from_millis(100);
    loop {
        let progress =
            patiently(app, "watching the clean-up", || app.bridge.progress(app.id, session)).await?;
        if let Some(error) = progress.error {
            return Err(Error::CleanupFailed { code: error.error_code, message: error.message });
        }
        if progress.status == SyncStatus::Error {
            return Err(Error::CleanupFailed {
                code: "an error".into(),
                message: "without saying which.".into(),
            });
        }
        if !progress.status.is_running() {
            return Ok(());
        }
        if began.elapsed() >= WATCH {
            tracing::warn!(app = %app.name, status = %progress.status, "Iden is still cleaning up; not waiting any longer");
            return Ok(());
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(Duration::from_secs(10));
    }
}

/// Ends a session without removing anybody. Best effort: the next session cancels this one in any case.
pub(super) async fn abandon(app: &App, session: &SyncId) {
    let retry = app.retry(policies::BRIDGE.with_jitter(Jitter::Full));
    let call = |_| async {
        // Nobody waits for a key that is refused: the session is cancelled by the next one.
        let Some(leave) = app.access.enter_now() else {
            tracing::debug!(app = %app.name, "the session is not abandoned, as the Bridge refuses the key");
            return Ok(());
        };
        let answer = app.bridge.abandon(app.id, session).await;
        app.heard(leave, &answer);
        answer
    };
    // It is done in seconds or not at all, so what Iden asks to wait for does not count.
    let next = |error: &bridge::Error| if error.is_transient() { Next::Retry } else { Next::GiveUp };
    let abandoned = retry.run(call, next, |failed| {
        tracing::debug!(app = %app.name, error = %failed.error, "the session could not be abandoned; trying again");
    });
    match tokio::time::timeout(FAREWELL, abandoned).await {
        Ok(Ok(()) | Err(Interrupted::Stopped)) => {}
        Ok(Err(Interrupted::Failed(error))) => {
            tracing::warn!(app = %app.name, %error, "the session could not be abandoned; the next one cancels it");
        }
        Err(_) => {
            tracing::warn!(app = %app.name, "the session could not be abandoned in time; the next one cancels it");
        }
    }
}
