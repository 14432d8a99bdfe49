//! Runs one sync from start to end.

use std::fmt;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::export::Take;
use super::phases::{Completing, Preparing};
use super::record::RunRecord;
use super::{Error, Options, Summary};
use crate::app::AppContext;
use crate::change_tracker::Session;
use crate::status::SyncProgress;
use bridgehead_bridge::SyncId;

/// Runs one sync of one app. Never fails: the summary contains the result.
///
/// Cancel: `stop` ends the sync between two steps and during waits; it is then closed like a failed one. Once `complete` was sent, its
/// response is awaited. Dropping the future closes nothing: the session stays open until the next sync cancels it, and the snapshot is
/// dropped by the next `begin` or start, or committed if `complete` was about to be sent, and tasks wait until another session was started. Error: ends the current
/// phase, and the run's record keeps what [`SyncRun::close`] needs. Panic: like dropping; tasks continue immediately.
pub(crate) async fn run(app: &Arc<AppContext>, options: Options, stop: &CancellationToken) -> Summary {
    let started_at = app.shared.clock.now();
    app.status.sync_progress(|progress| {
        *progress =
            SyncProgress { phase: "starting".into(), began_at: Some(started_at), ..SyncProgress::default() };
    });
    let touched = app.changes.begin();
    let mut sync = SyncRun::new(app, options, &touched);
    let result = match sync.perform(stop).await {
        Err(Error::ShuttingDown) if app.operator.cancelling.is_cancelled() => Err(Error::Cancelled),
        result => result,
    };
    sync.close(result, started_at, stop).await
}

/// A running sync: the data that all phases use.
pub(super) struct SyncRun<'a> {
    pub(super) app: &'a Arc<AppContext>,
    pub(super) options: Options,
    pub(super) touched: &'a Session<'a>,
    /// Receives the records instead of Iden, for an export.
    pub(super) take: Option<Take>,
    pub(super) record: RunRecord,
}

impl<'a> SyncRun<'a> {
    pub(super) fn new(app: &'a Arc<AppContext>, options: Options, touched: &'a Session<'a>) -> Self {
        Self { app, options, touched, take: None, record: RunRecord::default() }
    }

    async fn perform(&mut self, stop: &CancellationToken) -> Result<(), Error> {
        let ready = tokio::select! {
            biased;
            ready = self.make_ready() => ready?,
            () = stop.cancelled() => return Err(Error::ShuttingDown),
        };
        match ready {
            Some(completing) => completing.complete(stop).await,
            None => Ok(()),
        }
    }

    /// Does everything before `complete`: reads, pushes, catches up with tasks, and checks that completing does no harm. `None` for a dry
    /// run.
    async fn make_ready<'r>(&'r mut self) -> Result<Option<Completing<'r, 'a>>, Error> {
        let reading = Preparing::new(self).prepare().await?;
        let reconciling = reading.read().await?;
        let checking = reconciling.reconcile().await?;
        checking.check().await
    }

    pub(super) fn phase(&self, phase: &str) {
        self.app.status.sync_progress(|progress| phase.clone_into(&mut progress.phase));
    }

    /// Returns the session, which is started when first needed: a sync that cannot read the target must not cancel another session.
    pub(super) async fn session(&mut self) -> Result<SyncId, Error> {
        if let Some(session) = &self.record.session {
            return Ok(session.clone());
        }
        self.record.has_begun = true;
        let session = self.app.fence.start(self.app).await?;
        Ok(self.record.session.insert(session).clone())
    }
}

impl fmt::Debug for SyncRun<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut run = f.debug_struct("SyncRun");
        run.field("app", &self.app.name).field("options", &self.options).finish_non_exhaustive()
    }
}
