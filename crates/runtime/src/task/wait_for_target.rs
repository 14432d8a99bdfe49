//! Holds tasks while the target is unreachable: they stay pending in Iden for up to `hold_for`.

use std::sync::Arc;
use std::time::Duration;

use bridgehead_resilience::{Backoff, Jitter};
use bridgehead_sdk::{Code, Description};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::attempts::{AttemptContext, Failure};
use super::steps::step;
use crate::ShuttingDown;
use crate::app::AppContext;
use crate::policies;
use crate::target::breaker::Outage;
use bridgehead_store::Phase;

impl AttemptContext<'_> {
    /// Waits while the breaker is open, for `hold_for` in total; after that, the task fails with the cause's code.
    pub(super) async fn wait_for_target(&mut self) -> Result<Option<Failure>, ShuttingDown> {
        let Some(outage) = self.app.target.outage() else {
            return Ok(None);
        };
        self.ticket = None;
        let began = Instant::now();
        let patience = self.app.settings.tasks.hold_for.saturating_sub(self.held);
        let held_at = self.app.shared.clock.now();
        let failure = Failure::new(outage.code, outage.message);
        let mut held = step(self.app, self.intent.attempt, Phase::Wait, held_at, Some(&failure));
        held.ended_at = None;
        self.intent.steps.push(held);
        // An operator's retry command makes the daemon probe the target; an operator's decision resolves the task.
        let waiting = self.app.operator.waiting.enter(&self.intent.task);
        let noting = async {
            drop(self.app.store.note_attempts(&self.intent.task, &self.intent.steps).await);
            std::future::pending::<Result<(), Outage>>().await
        };
        let admitted = tokio::select! {
            biased;
            () = self.stop.cancelled() => return Err(ShuttingDown),
            admitted = noting => admitted,
            admitted = self.app.target.wait_available(patience) => admitted,
            () = waiting.decided() => Ok(()),
        };
        // Whether or not it was written above, the step is written again with its end, together with what follows.
        if let Some(held) = self.intent.steps.last_mut() {
            held.ended_at = Some(self.app.shared.clock.now());
        }
        self.was_held(began);
        if !waiting.leave().await {
            return Err(ShuttingDown);
        }
        Ok(admitted.err().map(|cause| gave_up(self.app, &self.what(), cause.code, &cause.message)))
    }

    /// Handles an attempt, started at `began`, for which the target was unreachable. The breaker may still be closed: it has not counted
    /// enough failures yet, or other calls succeed. Waits a little, and returns a failure once this has lasted for `hold_for`.
    pub(super) async fn hold_back(
        &mut self,
        began: Instant,
        failure: Failure,
    ) -> Result<Option<Failure>, ShuttingDown> {
        let wait =
            policies::TARGET.with_jitter(Jitter::Full).delay(self.intent.attempt, self.app.shared.rng.unit());
        if self.held + began.elapsed() + wait >= self.app.settings.tasks.hold_for {
            return Ok(Some(gave_up(self.app, &self.what(), failure.code, &failure.message)));
        }
        self.show_wait(wait, &failure);
        self.pause(wait).await?;
        self.was_held(began);
        Ok(None)
    }
}

/// Reads the connector's description. If the connector cannot return it, its tasks are held, as for an unreachable target.
pub(super) async fn describe(
    app: &AppContext,
    what: &str,
    stop: &CancellationToken,
) -> Result<Result<Arc<Description>, Failure>, ShuttingDown> {
    let began = Instant::now();
    let left = || app.settings.tasks.hold_for.saturating_sub(began.elapsed());
    let mut backoff = Backoff::new(policies::TARGET);
    loop {
        let answer = tokio::select! {
            biased;
            () = stop.cancelled() => return Err(ShuttingDown),
            answer = app.target.describe() => answer,
        };
        let error = match answer {
            Ok(description) => return Ok(Ok(description)),
            Err(error) => error,
        };
        if left() == Duration::ZERO {
            return Ok(Err(gave_up(app, what, error.code(), error.message())));
        }
        let wait = backoff.failed(app.shared.rng.unit()).min(left());
        tokio::select! {
            biased;
            () = stop.cancelled() => return Err(ShuttingDown),
            () = async {
                tokio::time::sleep(wait).await;
                drop(app.target.wait_available(left()).await);
            } => {}
        }
    }
}

fn gave_up(app: &AppContext, what: &str, code: Code, why: &str) -> Failure {
    let hold_for = app.settings.tasks.hold_for;
    Failure::new(code, format!("{what}: {why}; held for {hold_for:?}, then gave up"))
}
