//! Starts and ends sync sessions: start, verify, complete and watch, abandon.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bridgehead_resilience::{Interrupted, Next};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Error;
use super::fence::Sending;
use super::phases::CompletionPermit;
use super::sync_run::SyncRun;
use crate::app::AppContext;
use crate::policies;
use crate::upstream::Patience;
use bridgehead_bridge::{self as bridge, Operation, Precondition, Progress, SyncId, SyncStatus};

/// How long a call is retried while the Bridge does not respond.
const PATIENCE: Duration = Duration::from_mins(15);
/// How long a cleanup is watched. It runs in Iden; this only limits the watching.
const WATCH: Duration = Duration::from_mins(30);
/// How long to try to abandon a session. The next session cancels it in any case.
const FAREWELL: Duration = Duration::from_secs(10);

/// Why a node does not complete a session any more.
const LOST: &str = "this node may have lost the app to another node";

/// Starts a session. Repeating a start whose response was lost is safe: the new session cancels the unknown one.
pub(super) async fn start(app: &AppContext) -> Result<SyncId, Error> {
    let started = app
        .upstream
        .patiently(Operation::StartSync, Patience::within(PATIENCE), |bridge| bridge.start_sync(app.id));
    started.await.map_err(Error::bridge("starting the sync"))
}

async fn progress(app: &AppContext, session: &SyncId) -> Result<Progress, bridge::Error> {
    let patience = Patience::within(PATIENCE);
    app.upstream.patiently(Operation::Progress, patience, |bridge| bridge.progress(app.id, session)).await
}

/// Verifies that the session's counts match what was pushed. If they do not, another session has cancelled it: pushes still return 200, but
/// their records are discarded.
pub(super) async fn verify(sync: &SyncRun<'_>) -> Result<(), Error> {
    let Some(session) = &sync.record.session else {
        return Ok(());
    };
    let app = sync.app;
    let progress = progress(app, session).await.map_err(Error::bridge("checking the sync session"))?;
    if !progress.status.is_running() {
        return Err(Error::SessionLost { detail: format!("its status is '{}'", progress.status) });
    }
    for of in &sync.record.offer.types {
        let (slug, pushed) = (of.slug.as_str(), app.snapshots.seen_count(&app.key, of.slug.as_str()).await?);
        let counted = match progress.counts.iter().find(|count| count.slug == of.slug) {
            Some(count) => count.synced_count.ok_or_else(|| Error::Uncounted(slug.to_owned()))?,
            // A type of which nothing was pushed may be missing.
            None if pushed == 0 => 0,
            None => return Err(Error::Uncounted(slug.to_owned())),
        };
        if counted < pushed {
            return Err(Error::SessionLost {
                detail: format!("{pushed} records of {slug} were pushed, Iden counts {counted}"),
            });
        }
        // It is not documented whether a record that is sent twice counts twice, and a page is sent twice without notice if its response
        // was lost. Only lower counts indicate another session; higher ones do not.
        let most = sync.record.tallies.of(slug).accepted.max(pushed);
        if counted > most {
            tracing::warn!(app = %app.name, resource_type = slug, pushed, counted, "Iden counts more records than were pushed");
        }
    }
    Ok(())
}

/// Why a session was not completed, as far as it is known.
#[derive(Debug)]
pub(super) struct Uncompleted {
    pub(super) error: Error,
    /// Why a request had no response, if one had none and may still reach Iden.
    pub(super) unheard: Option<String>,
}

/// Completes the session. If the response is lost, the session's status shows whether it was received. A stop takes effect between two
/// attempts, never in the middle of one: the caller must know whether the session was completed. There is no further attempt once a task
/// has found a late effect of an earlier call, because what was pushed is then outdated.
pub(super) async fn complete(
    _proof: &CompletionPermit<'_>,
    run: &SyncRun<'_>,
    session: &SyncId,
    sending: &Sending<'_>,
    stop: &CancellationToken,
) -> Result<(), Uncompleted> {
    let app = run.app;
    if stop.is_cancelled() {
        return Err(Uncompleted { error: Error::ShuttingDown, unheard: None });
    }
    let retry = app.retry(policies::BRIDGE).give_up_after(PATIENCE).until(stop);
    // Set once a request had no response: it may still take effect.
    let unheard = Mutex::new(None);
    let completed = retry.run(
        |attempt| async move {
            // Before the first attempt, the sync has just caught up.
            match run.touched.first_touched().filter(|_| attempt > 1) {
                Some(account) => Err(Incomplete::Final(Error::Overtaken(account.label().to_owned()))),
                None => complete_once(app, session, sending, stop).await,
            }
        },
        |failed| match failed {
            Incomplete::MayPass(error) => {
                if !error.is_access() {
                    *unheard.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.to_string());
                }
                Next::Retry
            }
            Incomplete::Final(_) | Incomplete::Ended(_) | Incomplete::Unknown(_) => Next::GiveUp,
        },
        |failed| {
            if let Incomplete::MayPass(error) = failed.error {
                tracing::warn!(app = %app.name, %error, wait = ?failed.wait, "completing the sync failed; retrying");
            }
        },
    );
    completed.await.map_err(|interrupted| {
        let unheard = unheard.into_inner().unwrap_or_else(PoisonError::into_inner);
        match interrupted {
            Interrupted::Stopped => Uncompleted { error: Error::ShuttingDown, unheard },
            Interrupted::Failed(Incomplete::Ended(error)) => Uncompleted { error, unheard: None },
            Interrupted::Failed(Incomplete::Unknown(why)) => {
                Uncompleted { error: Error::Unheard(why.clone()), unheard: Some(why) }
            }
            Interrupted::Failed(Incomplete::Final(error)) => Uncompleted { error, unheard },
            Interrupted::Failed(Incomplete::MayPass(source)) => {
                Uncompleted { error: Error::Bridge { what: "completing the sync", source }, unheard }
            }
        }
    })
}

/// Why an attempt did not complete a session.
enum Incomplete {
    /// The request had no effect yet: the session is still running. Unless access was refused, it may still reach Iden.
    MayPass(bridge::Error),
    /// The request had no effect, or was not sent. Earlier ones may still reach Iden.
    Final(Error),
    /// Iden says that the session has ended without being completed.
    Ended(Error),
    /// It is unknown whether the request reached Iden.
    Unknown(String),
}

async fn complete_once(
    app: &Arc<AppContext>,
    session: &SyncId,
    sending: &Sending<'_>,
    stop: &CancellationToken,
) -> Result<(), Incomplete> {
    // The call may wait a long time for its turn. Until then, another node may have taken over the app, and may have created accounts that
    // this listing does not contain.
    let is_lost = Arc::new(AtomicBool::new(false));
    let (owner, lost) = (Arc::clone(app), Arc::clone(&is_lost));
    let only_if = Precondition::new(move || {
        let may_start = owner.may_start();
        lost.store(!may_start, Ordering::Relaxed);
        may_start
    });
    let answer = app.upstream.call_until(
        stop,
        Operation::Complete,
        Patience::once(),
        |bridge| bridge.complete(app.id, session, &only_if),
        |_| {},
    );
    let error = match answer.await {
        Ok(()) => {
            sending.answered();
            return Ok(());
        }
        Err(Interrupted::Stopped) => return Err(Incomplete::Final(Error::ShuttingDown)),
        Err(Interrupted::Failed(_)) if is_lost.load(Ordering::Relaxed) => {
            return Err(Incomplete::Final(Error::SessionLost { detail: LOST.to_owned() }));
        }
        Err(Interrupted::Failed(error)) => error,
    };
    let progress = tokio::select! {
        biased;
        () = stop.cancelled() => return Err(Incomplete::Unknown(error.to_string())),
        progress = progress(app, session) => progress,
    };
    let progress = progress.map_err(|unasked| Incomplete::Unknown(unasked.to_string()))?;
    if progress.status.is_completing() {
        sending.answered();
        return Ok(());
    }
    if !progress.status.is_running() {
        let detail = format!("its status is '{}'", progress.status);
        return Err(Incomplete::Ended(Error::SessionLost { detail }));
    }
    if error.is_transient() || error.is_access() {
        return Err(Incomplete::MayPass(error));
    }
    Err(Incomplete::Final(Error::Bridge { what: "completing the sync", source: error }))
}

/// Watches the cleanup that Iden runs after `complete`, until it has finished.
pub(super) async fn await_cleanup(app: &AppContext, session: &SyncId) -> Result<(), Error> {
    let began = Instant::now();
    let mut wait = Duration::from_millis(100);
    loop {
        let progress = progress(app, session).await.map_err(Error::bridge("waiting for the cleanup"))?;
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
            tracing::warn!(app = %app.name, status = %progress.status, "Iden is still cleaning up; no longer waiting");
            return Ok(());
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(Duration::from_secs(10));
    }
}

/// Ends a session without removing any account, and returns whether Iden has confirmed it. Best effort: the next session cancels this one in
/// any case.
pub(super) async fn abandon(app: &AppContext, session: &SyncId) -> bool {
    // Do not wait for a rejected key: the next session cancels this one.
    if app.upstream.refused().is_some() {
        tracing::debug!(app = %app.name, "not abandoning the session, because the Bridge rejects the key");
        return false;
    }
    let patience = Patience::within(FAREWELL).at_once().whatever_is_asked();
    let abandoned = app.upstream.call(
        Operation::Abandon,
        patience,
        |bridge| bridge.abandon(app.id, session),
        |failed| {
            tracing::debug!(app = %app.name, error = %failed.error, "the session could not be abandoned; retrying");
        },
    );
    let abandoned = tokio::time::timeout(FAREWELL, abandoned).await;
    match &abandoned {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            tracing::warn!(app = %app.name, %error, "the session could not be abandoned; the next sync \
                                                     cancels it");
        }
        Err(_) => {
            tracing::warn!(app = %app.name, "the session could not be abandoned in time; the next sync \
                                             cancels it");
        }
    }
    matches!(abandoned, Ok(Ok(())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fakes::{Place, Script};
    use crate::ownership::tests::Database;

    struct Nothing;

    impl Script for Nothing {}

    #[test]
    fn session_is_not_completed_by_a_node_that_may_have_lost_the_app() {
        let place = Place::new();
        let mut app = place.app(&Arc::new(Nothing));
        let leases = Arc::new(Database::default());
        Arc::get_mut(&mut app).unwrap().lifecycle.leases = Some(leases);
        let stop = CancellationToken::new();
        let completed = place.runtime.block_on(async {
            let sending = app.fence.sending().await;
            complete_once(&app, &SyncId::new("s-1"), &sending, &stop).await
        });
        let Err(Incomplete::Final(Error::SessionLost { detail })) = completed else {
            panic!("it was sent");
        };
        assert!(detail.contains("lost the app"), "{detail}");
    }
}
