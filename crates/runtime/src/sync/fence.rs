//! Keeps a `complete` that is still on its way from taking effect after a task has changed the target.
//!
//! A proxy may hold a request back for longer than its sender waits, or even lives. If a held back `complete` reaches Iden after a task has
//! created an account, Iden removes the account, because the session does not contain it. But a new session cancels the earlier one, and
//! Iden refuses to complete a cancelled session. So where the response to a `complete` is missing, no task changes the target before a
//! session has been started: by a sync, or by [`Fence::pass`], which abandons it at once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bridgehead_resilience::{Interrupted, Next};
use futures::FutureExt;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::{Error, session};
use crate::ShuttingDown;
use crate::app::AppContext;
use crate::policies;
use crate::upstream::Patience;
use bridgehead_bridge::{self as bridge, Operation, SyncId};
use bridgehead_store::{self as journal, Run, RunReason, RunResult};

/// How often a node whose lease has expired looks whether it was renewed.
const LEASE_CHECK: Duration = Duration::from_secs(1);

/// What is known about the app's last `complete`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// The state was not read yet: an earlier process or another node may have sent one.
    #[default]
    Unread,
    /// It may reach Iden at any time. It was sent at that time, if an earlier process or another node sent it.
    UnderWay(Option<Timestamp>),
    /// Iden has answered it, or its session has ended.
    Over,
}

/// Knows whether a `complete` of the app may still be on its way.
#[derive(Debug, Default)]
pub(crate) struct Fence {
    state: Mutex<State>,
    /// An earlier process or another node left one behind.
    was_inherited: AtomicBool,
    /// Held while a session is started, and by a sync from before its `complete` until the response: the two must not overlap, because the
    /// session would cancel that sync.
    turn: tokio::sync::Mutex<()>,
    /// Held by the one caller that starts a session; the others wait for it.
    caller: tokio::sync::Mutex<()>,
}

impl Fence {
    /// Whether no `complete` of the app is on its way.
    pub(crate) fn is_over(&self) -> bool {
        *self.state() == State::Over
    }

    /// Returns once no `complete` is on its way. While the Bridge does not respond, or refuses the key or the app, this waits.
    pub(crate) async fn pass(&self, app: &AppContext, stop: &CancellationToken) -> Result<(), ShuttingDown> {
        if self.is_over() {
            return Ok(());
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => Err(ShuttingDown),
            () = self.passed(app) => Ok(()),
        }
    }

    /// Like [`pass`](Self::pass), for a caller that ends the wait itself when the daemon stops.
    pub(crate) async fn passed(&self, app: &AppContext) {
        if !self.is_over() {
            self.end(app).await;
        }
    }

    /// Whether an earlier process or another node has left a `complete` behind without a response.
    pub(super) async fn was_inherited(&self, app: &AppContext) -> Result<bool, journal::Error> {
        self.read(app).await?;
        Ok(self.was_inherited.load(Ordering::Relaxed))
    }

    /// Starts the session of a sync, which cancels every earlier one.
    pub(super) async fn start(&self, app: &AppContext) -> Result<SyncId, Error> {
        let _turn = self.turn.lock().await;
        let session = session::start(app).await?;
        self.over();
        Ok(session)
    }

    /// A sync is about to send its `complete`. Until the result is dropped, no other session is started.
    pub(super) async fn sending(&self) -> Sending<'_> {
        let turn = self.turn.lock().await;
        *self.state() = State::UnderWay(None);
        Sending { fence: self, _turn: turn }
    }

    /// No `complete` can take effect any more: Iden has answered it, or its session has ended.
    pub(super) fn over(&self) {
        *self.state() = State::Over;
    }

    async fn end(&self, app: &AppContext) {
        let _caller = self.caller.lock().await;
        let retry = app.retry(policies::LOCAL);
        let read = |_| self.read(app);
        let failed = |failed: bridgehead_resilience::Attempt<'_, journal::Error>| {
            tracing::error!(app = %app.name, error = %failed.error, "the last sync cannot be looked up; no task changes anything until it can");
        };
        retry.until_success(read, failed).await;
        while !self.is_over() {
            // This node may have lost the app, and must not cancel the sync of another node.
            while !app.may_start() {
                tokio::time::sleep(LEASE_CHECK).await;
            }
            self.cancel_earlier(app).await;
        }
    }

    /// Starts a session, so that Iden cancels the earlier one, and abandons it.
    async fn cancel_earlier(&self, app: &AppContext) {
        // A stop drops this future.
        let never = CancellationToken::new();
        let started = app.upstream.call_holding(
            || self.turn.lock().boxed(),
            &never,
            Operation::StartSync,
            Patience::until_answered(unless_refused),
            |bridge| {
                async move {
                    let State::UnderWay(sent_at) = *self.state() else { return Ok(None) };
                    let session = bridge.start_sync(app.id).await?;
                    self.over();
                    Ok(Some((session, sent_at)))
                }
                .boxed()
            },
            |failed| app.upstream.log(&failed),
        );
        match started.await {
            Ok((Some((session, sent_at)), _turn)) => {
                let reason = match sent_at {
                    Some(at) => format!(
                        "the one sent at {at} by an earlier process or another node has no recorded response"
                    ),
                    None => "Iden did not respond to the last one".to_owned(),
                };
                tracing::info!(app = %app.name, reason, "cancelled a `complete` that might have reached Iden late");
                session::abandon(app, &session).await;
            }
            // Meanwhile, a sync has started a session.
            Ok((None, _)) | Err(Interrupted::Stopped) => {}
            Err(Interrupted::Failed(error)) => {
                self.over();
                tracing::error!(app = %app.name, %error,
                    "no session could be started to cancel an earlier `complete`; if it still reaches Iden, accounts that tasks create \
                     now are inactive there until the next sync");
            }
        }
    }

    /// Finds out whether an earlier process or another node has left a `complete` behind.
    async fn read(&self, app: &AppContext) -> Result<(), journal::Error> {
        if *self.state() != State::Unread {
            return Ok(());
        }
        let sent_at = unanswered(app).await?;
        let mut state = self.state();
        // A sync may have started a session meanwhile.
        if *state == State::Unread {
            *state = sent_at.map_or(State::Over, |at| State::UnderWay(Some(at)));
        }
        self.was_inherited.store(sent_at.is_some(), Ordering::Relaxed);
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The `complete` of a running sync. Dropping it without [`answered`](Self::answered) means that it may still be on its way.
#[derive(Debug)]
pub(super) struct Sending<'a> {
    fence: &'a Fence,
    _turn: tokio::sync::MutexGuard<'a, ()>,
}

impl Sending<'_> {
    /// Iden has answered, so a late copy of the request has no effect.
    pub(super) fn answered(&self) {
        self.fence.over();
    }
}

/// When the last `complete` was sent, if no response to it is recorded.
pub(super) async fn unanswered(app: &AppContext) -> Result<Option<Timestamp>, journal::Error> {
    let Some(sent_at) = app.snapshots.iden_time(&app.key).await?.pending_since else { return Ok(None) };
    // Iden may never tell its time of a sync that it has completed.
    if !app.snapshots.was_interrupted(&app.key).await?
        && let [last] = &app.snapshots.runs(&app.key, 1).await?[..]
        && was_accepted(last)
        && (last.started_at..=last.ended_at).contains(&sent_at)
    {
        return Ok(None);
    }
    Ok(Some(sent_at))
}

/// Whether Iden has accepted the `complete` of this sync.
fn was_accepted(run: &Run) -> bool {
    run.result == RunResult::Completed || run.reason == Some(RunReason::CleanupFailed)
}

/// A refused key or app does not get here: the call waits. A refusal of the request itself does not go away by itself.
fn unless_refused(error: &bridge::Error) -> Next {
    match error {
        bridge::Error::Invalid { .. }
        | bridge::Error::BadRequest { .. }
        | bridge::Error::NotFound { from_bridge: true, .. }
        | bridge::Error::Conflict { .. }
        | bridge::Error::Unprocessable { .. } => Next::GiveUp,
        error => error.retry_after().map_or(Next::Retry, Next::RetryAfter),
    }
}
