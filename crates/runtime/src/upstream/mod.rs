//! The Bridge client of one app. All calls of a running app go through this module.
//!
//! [`Upstream`] waits while the key or the app is refused (`access`), makes the call, records what the response shows about access, and
//! retries according to its [`Patience`]. The client below makes each call once.

mod access;
mod patience;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use bridgehead_resilience::{Attempt, Interrupted, Next, Retry, SeededRng};
use futures::FutureExt;
use futures::future::{BoxFuture, ready};
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::access::{AccessEvidence, AccessState, CallPermit, Change};
use self::patience::Attempts;
pub(crate) use self::patience::Patience;
use super::policies;
use bridgehead_bridge::{Api, Error, Operation, Refs};

/// A smaller difference between the clocks is not corrected: all comparisons of our times with Iden's tolerate it.
const FAR_OFF: SignedDuration = SignedDuration::from_mins(10);

/// The Bridge client of one app.
pub(crate) struct Upstream {
    /// Private, so that nothing can bypass this module.
    api: Arc<dyn Api>,
    /// The app's name in the configuration, for the log.
    app: String,
    access: AccessState,
    rng: Arc<SeededRng>,
}

impl Upstream {
    pub(crate) fn new(api: Arc<dyn Api>, app: &str, rng: &Arc<SeededRng>) -> Self {
        let access = AccessState::new(Arc::clone(rng));
        Self { api, app: app.to_owned(), access, rng: Arc::clone(rng) }
    }

    /// The form of references in the records that are pushed.
    pub(crate) fn refs(&self) -> Refs {
        self.api.refs()
    }

    /// Iden's time at a time of this machine's clock. A clock that is far off is corrected by the date of Iden's last response.
    pub(crate) fn iden_time(&self, ours: Timestamp) -> Timestamp {
        let ahead = self.api.clock().map_or(SignedDuration::ZERO, |reading| reading.ahead);
        iden_time(ours, ahead)
    }

    /// Makes a call, and repeats it as far as `patience` goes. `notify` hears of each failure after which it is repeated.
    pub(crate) async fn call<'a, T>(
        &'a self,
        operation: Operation,
        patience: Patience,
        send: impl Fn(&'a dyn Api) -> BoxFuture<'a, Result<T, Error>>,
        notify: impl FnMut(Attempt<'_, Error>),
    ) -> Result<T, Error> {
        let began = Instant::now();
        let attempt = async |_: u32| loop {
            let permit = self.permit(patience).await;
            match self.send(operation, permit, &send).await {
                // Waiting for the next permit is the delay.
                Err(error) if is_refusal(operation, &error) && patience.outlasts_refusals(began) => {}
                answer => return answer,
            }
        };
        self.retry(patience).run(attempt, |error| patience.next(error), notify).await
    }

    /// Like [`call`](Self::call), but only until the daemon stops: a stop ends a wait, but never interrupts a call. The first call is made
    /// even if the daemon is already stopping, unless it would have to wait for access.
    pub(crate) async fn call_until<'a, T>(
        &'a self,
        stop: &CancellationToken,
        operation: Operation,
        patience: Patience,
        send: impl Fn(&'a dyn Api) -> BoxFuture<'a, Result<T, Error>>,
        notify: impl FnMut(Attempt<'_, Error>),
    ) -> Result<T, Interrupted<Error>> {
        let unguarded = || ready(()).boxed();
        let (answer, ()) = self.call_holding(unguarded, stop, operation, patience, send, notify).await?;
        Ok(answer)
    }

    /// Like [`call_until`](Self::call_until), but holds during each call what `guard` returns, and returns it with the answer.
    ///
    /// The guard is awaited before access. The other way round, a call that probes whether access is granted again could wait for a guard
    /// whose holder waits for the result of that probe.
    pub(crate) async fn call_holding<'a, 'g, T, G>(
        &'a self,
        guard: impl Fn() -> BoxFuture<'g, G>,
        stop: &CancellationToken,
        operation: Operation,
        patience: Patience,
        send: impl Fn(&'a dyn Api) -> BoxFuture<'a, Result<T, Error>>,
        mut notify: impl FnMut(Attempt<'_, Error>),
    ) -> Result<(T, G), Interrupted<Error>> {
        let began = Instant::now();
        // `None` as the error means that it was stopped before the call.
        let attempt = async |_: u32| loop {
            let guard = tokio::select! {
                biased;
                guard = guard() => guard,
                () = stop.cancelled() => return Err(None),
            };
            let permit = tokio::select! {
                biased;
                permit = self.permit(patience) => permit,
                () = stop.cancelled() => return Err(None),
            };
            match self.send(operation, permit, &send).await {
                Err(error) if is_refusal(operation, &error) && patience.outlasts_refusals(began) => {}
                answer => return answer.map(|answer| (answer, guard)).map_err(Some),
            }
        };
        let next = |error: &Option<Error>| error.as_ref().map_or(Next::GiveUp, |error| patience.next(error));
        let retry = self.retry(patience).until(stop);
        let answer = retry.run(attempt, next, |failed| {
            if let Some(error) = failed.error {
                notify(Attempt { number: failed.number, error, wait: failed.wait });
            }
        });
        answer.await.map_err(|interrupted| match interrupted {
            Interrupted::Failed(Some(error)) => Interrupted::Failed(error),
            Interrupted::Failed(None) | Interrupted::Stopped => Interrupted::Stopped,
        })
    }

    /// Makes a call, and retries it within seconds if that is safe.
    pub(crate) async fn ask<'a, T>(
        &'a self,
        operation: Operation,
        send: impl Fn(&'a dyn Api) -> BoxFuture<'a, Result<T, Error>>,
    ) -> Result<T, Error> {
        self.patiently(operation, Patience::brief(), send).await
    }

    /// Makes a call, and logs retries.
    pub(crate) async fn patiently<'a, T>(
        &'a self,
        operation: Operation,
        patience: Patience,
        send: impl Fn(&'a dyn Api) -> BoxFuture<'a, Result<T, Error>>,
    ) -> Result<T, Error> {
        self.call(operation, patience, send, |failed| self.log(&failed)).await
    }

    /// Logs that a call is retried.
    pub(crate) fn log(&self, failed: &Attempt<'_, Error>) {
        tracing::warn!(app = %self.app, error = %failed.error, wait = ?failed.wait, "a call to the Bridge failed; retrying");
    }

    /// Why calls wait; `None` if access is not refused.
    pub(crate) fn refused(&self) -> Option<String> {
        self.access.cause()
    }

    fn retry(&self, patience: Patience) -> Retry<'_> {
        match patience.attempts {
            Attempts::One => Retry::new(policies::BRIDGE, &self.rng).max_attempts(1),
            Attempts::Brief => Retry::new(policies::BRIEF, &self.rng)
                .max_attempts(policies::BRIEF_ATTEMPTS)
                .give_up_after(policies::BRIEF_TIME),
            Attempts::Within(limit) => Retry::new(policies::BRIDGE, &self.rng).give_up_after(limit),
            Attempts::Unlimited => Retry::new(policies::BRIDGE, &self.rng),
        }
    }

    async fn permit(&self, patience: Patience) -> CallPermit {
        if patience.waits_for_access() { self.access.permit().await } else { AccessState::at_once() }
    }

    async fn send<'a, T>(
        &'a self,
        operation: Operation,
        permit: CallPermit,
        send: &impl Fn(&'a dyn Api) -> BoxFuture<'a, Result<T, Error>>,
    ) -> Result<T, Error> {
        let answer = send(&*self.api).await;
        self.record(permit, evidence(operation, &answer));
        answer
    }

    fn record(&self, permit: CallPermit, evidence: AccessEvidence) {
        match self.access.record(permit, evidence) {
            None => {}
            Some(Change::Granted) => {
                tracing::info!(app = %self.app, "the Bridge accepts the key for this app again");
            }
            Some(Change::Refused(refusals)) => {
                let cause = self.access.cause().unwrap_or_default();
                tracing::error!(app = %self.app, refusals, "{cause}");
            }
        }
    }
}

impl std::fmt::Debug for Upstream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upstream")
            .field("app", &self.app)
            .field("access", &self.access)
            .finish_non_exhaustive()
    }
}

fn iden_time(ours: Timestamp, ahead: SignedDuration) -> Timestamp {
    if ahead.abs() < FAR_OFF { ours } else { ours.saturating_sub(ahead).unwrap_or(ours) }
}

/// Whether the next permit waits after this error. A refused list of all apps makes no call wait: to repeat it in the same way would send it
/// again and again without any delay.
fn is_refusal(operation: Operation, error: &Error) -> bool {
    matches!(judge(operation, error), AccessEvidence::Refused(_))
}

/// What a response shows about access. A call about all apps says nothing about a single app, except that a refused key affects every call.
fn evidence<T>(operation: Operation, answer: &Result<T, Error>) -> AccessEvidence {
    match answer {
        Err(error) => judge(operation, error),
        Ok(_) if is_about_all(operation) => AccessEvidence::None,
        Ok(_) => AccessEvidence::Granted,
    }
}

fn judge(operation: Operation, error: &Error) -> AccessEvidence {
    match error {
        Error::Unauthorized { .. } => refusal(error),
        _ if is_about_all(operation) => AccessEvidence::None,
        error if error.is_access() => refusal(error),
        error if !error.shows_access() => AccessEvidence::None,
        _ => AccessEvidence::Granted,
    }
}

fn is_about_all(operation: Operation) -> bool {
    matches!(operation, Operation::ListApps | Operation::CreateApp)
}

fn refusal(error: &Error) -> AccessEvidence {
    AccessEvidence::Refused(format!("{error}. {}", error.advice()))
}
