//! The last phase: Iden is told that this is everything, and watched while it cleans up.

use tokio_util::sync::CancellationToken;

use super::CompletionPermit;
use crate::sync::baseline::cut;
use crate::sync::losses::Losses;
use crate::sync::record::Extent;
use crate::sync::sync_run::SyncRun;
use crate::sync::{Error, session};
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

    /// Completes the session and waits for Iden's clean-up. No task changes the target until Iden has taken `complete`.
    ///
    /// After `stop`, nothing is sent any more; what was sent is heard out.
    pub async fn complete(self, stop: &CancellationToken) -> Result<(), Error> {
        let app = self.run.app;
        let session = self.run.session().await?;
        self.run.phase("completing");
        // What completing leaves must be known after a crash too, or the next sync would be guarded by what was before.
        let losses =
            self.run.record.measured.losses.as_deref().map(Losses::of_those_left).unwrap_or_default();
        app.listings.prepare_commit(&app.key, app.clock.now(), &losses).await?;
        let completed = session::complete(&self.permit, app, &session, stop).await;
        if !matches!(completed, Ok(()) | Err(Error::Unheard(_))) {
            return completed;
        }
        // From here on the session is Iden's: it cannot be abandoned any more.
        self.run.record.session = None;
        self.run.record.reach(Extent::Completed);
        app.listings.commit(&app.key, app.clock.now()).await?;
        if self.run.record.has_consent {
            // The operator has judged them; a leaver of tomorrow shall not be held because of them.
            app.listings.forgive_removals(&app.key).await?;
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
            // The next sync asks.
            () = stop.cancelled() => Ok(()),
        }
    }
}

/// Our sync is completed. Iden is asked what it calls the time of that, once: it is what later times are compared with.
/// Where it does not say, the next sync asks again.
async fn learn_iden_time(run: &SyncRun<'_>) -> Result<(), Error> {
    let (app, listings) = (&run.app.key, &run.app.listings);
    let Ok(apps) = run.app.upstream.ask(Operation::ListApps, |bridge| bridge.list_apps()).await.inspect_err(|error| {
        tracing::warn!(app = %run.app.name, %error, "cannot ask Iden for the time of this sync; the next sync asks again");
    }) else {
        return Ok(());
    };
    let at = apps.into_iter().find(|one| one.id == run.app.id).and_then(|one| one.last_synced_at);
    let known = listings.iden_time(app).await?.synced_at;
    match at.map(cut) {
        // The time of an earlier sync: that of this one is still to come.
        Some(at) if known.max(run.record.synced_before).is_some_and(|before| at <= before) => Ok(()),
        Some(at) => Ok(listings.set_iden_time(app, at).await?),
        None => Ok(()),
    }
}
