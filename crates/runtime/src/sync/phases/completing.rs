//! The last phase: completes the session, and watches Iden's cleanup.

use tokio_util::sync::CancellationToken;

use super::CompletionPermit;
use crate::saving::save;
use crate::sync::Error;
use crate::sync::baseline::cut;
use crate::sync::losses::Losses;
use crate::sync::record::Extent;
use crate::sync::session::{self, Uncompleted};
use crate::sync::sync_run::SyncRun;
use bridgehead_bridge::Operation;

/// A sync that may be completed.
#[derive(Debug)]
pub struct Completing<'r, 'a> {
    run: &'r mut SyncRun<'a>,
    permit: CompletionPermit<'a>,
}

impl<'r, 'a> Completing<'r, 'a> {
    pub(super) fn new(run: &'r mut SyncRun<'a>, permit: CompletionPermit<'a>) -> Self {
        Self { run, permit }
    }

    /// Completes the session and waits for Iden's cleanup. No task changes the target until Iden has accepted `complete`.
    ///
    /// After `stop`, nothing more is sent; responses to earlier requests are awaited.
    pub async fn complete(self, stop: &CancellationToken) -> Result<(), Error> {
        let app = self.run.app;
        let session = self.run.session().await?;
        self.run.phase("completing");
        // The result must be stored before completing, so that it survives a crash; otherwise the next sync would be compared with the
        // previous state.
        let losses = self.run.record.measured.losses.as_deref().map(Losses::to_record).unwrap_or_default();
        // Iden's time of this sync is compared with it, possibly by another node, whose clock may differ by any amount.
        let at = app.upstream.iden_time(app.shared.clock.now());
        app.snapshots.prepare_commit(&app.key, at, &losses).await?;
        let completed = {
            let sending = app.fence.sending().await;
            session::complete(&self.permit, self.run, &session, &sending, stop).await
        };
        let completed = match completed {
            Ok(()) => Ok(()),
            Err(Uncompleted { error, unheard: None }) => return Err(error),
            Err(Uncompleted { error, unheard: Some(why) }) => {
                // A daemon that stops does not wait for Iden again, and a node that may have lost the app leaves it to its new owner.
                let may_abandon =
                    !matches!(error, Error::Unheard(_) | Error::ShuttingDown) && app.may_start();
                if may_abandon && session::abandon(app, &session).await {
                    app.fence.over();
                    self.run.record.session = None;
                    return Err(error);
                }
                Err(Error::Unheard(why))
            }
        };
        // The session can no longer be abandoned.
        self.run.record.session = None;
        self.run.record.reach(Extent::Completed);
        // If this is never saved, the listing is committed by the next start or the next sync, as after a crash.
        let at = app.shared.clock.now();
        save(app, stop, "that the sync was completed", || app.snapshots.commit(&app.key, at)).await?;
        if self.run.record.has_consent {
            // The operator has approved these removals; they must not cause a later leaver to be held.
            save(app, stop, "the approval of the removals", || app.snapshots.forgive_removals(&app.key))
                .await?;
        }
        completed?;
        let Self { run, permit } = self;
        drop(permit);
        run.phase("waiting for the cleanup");
        tokio::select! {
            biased;
            watched = session::await_cleanup(app, &session) => watched?,
            () = stop.cancelled() => return Err(Error::Unwatched),
        }
        tokio::select! {
            biased;
            learned = learn_iden_time(run) => learned,
            // The next sync asks again.
            () = stop.cancelled() => Ok(()),
        }
    }
}

/// Asks Iden once for its time of our completed sync, with which later times are compared. If Iden does not return it, the next sync asks
/// again.
async fn learn_iden_time(run: &SyncRun<'_>) -> Result<(), Error> {
    let (app, snapshots) = (&run.app.key, &run.app.snapshots);
    let found = run.app.upstream.ask(Operation::ListApps, |bridge| bridge.find_app(run.app.id)).await;
    let Ok(found) = found.inspect_err(|error| {
        tracing::warn!(app = %run.app.name, %error, "cannot ask Iden for the time of this sync; the next sync asks again");
    }) else {
        return Ok(());
    };
    let at = found.and_then(|found| found.last_synced_at);
    let known = snapshots.iden_time(app).await?.synced_at;
    match at.map(cut) {
        // This is the time of an earlier sync; the time of this one is not available yet.
        Some(at) if known.max(run.record.synced_before).is_some_and(|before| at <= before) => Ok(()),
        Some(at) => Ok(snapshots.set_iden_time(app, at).await?),
        None => Ok(()),
    }
}
