//! How long calls to the Bridge are retried.

use std::time::Duration;

use bridgehead_resilience::Next;
use tokio::time::Instant;

use bridgehead_bridge::Error;

/// The number of attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attempts {
    One,
    /// A few attempts within seconds.
    Brief,
    /// While the error may be temporary, up to this long.
    Within(Duration),
    Unlimited,
}

/// How long a call is retried, and after which failures.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    pub(super) attempts: Attempts,
    at_once: bool,
    next: fn(&Error) -> Next,
}

impl Patience {
    /// Makes a single attempt.
    pub(crate) const fn once() -> Self {
        Self { attempts: Attempts::One, at_once: false, next: |_| Next::GiveUp }
    }

    /// Makes a few attempts within seconds, if the call is safe to repeat.
    pub(crate) const fn brief() -> Self {
        Self { attempts: Attempts::Brief, next: brief, ..Self::once() }
    }

    /// Retries temporary errors for up to `limit`. A rejected key counts as temporary.
    pub(crate) const fn within(limit: Duration) -> Self {
        Self { attempts: Attempts::Within(limit), next: transient, ..Self::once() }
    }

    /// Retries without a limit, until `next` gives up.
    pub(crate) const fn until_answered(next: fn(&Error) -> Next) -> Self {
        Self { attempts: Attempts::Unlimited, at_once: false, next }
    }

    /// Does not wait while the key or the app is refused.
    pub(crate) const fn at_once(self) -> Self {
        Self { at_once: true, ..self }
    }

    /// Ignores the delay that the Bridge requests: the call is made soon or not at all.
    pub(crate) const fn whatever_is_asked(self) -> Self {
        Self { next: if_transient, ..self }
    }

    pub(super) fn next(self, error: &Error) -> Next {
        (self.next)(error)
    }

    pub(super) const fn waits_for_access(self) -> bool {
        !self.at_once
    }

    /// Whether to wait while access is refused.
    pub(super) fn outlasts_refusals(self, began: Instant) -> bool {
        match self.attempts {
            _ if self.at_once => false,
            Attempts::One | Attempts::Brief => false,
            Attempts::Within(limit) => began.elapsed() < limit,
            Attempts::Unlimited => true,
        }
    }
}

/// Retries temporary errors, and not before the requested time.
fn transient(error: &Error) -> Next {
    match error.retry_after() {
        _ if !error.is_transient() => Next::GiveUp,
        Some(wait) => Next::RetryAfter(wait),
        None => Next::Retry,
    }
}

fn if_transient(error: &Error) -> Next {
    if error.is_transient() { Next::Retry } else { Next::GiveUp }
}

/// The client's breaker delays all calls after a 429.
fn brief(error: &Error) -> Next {
    match error {
        error if !error.is_safe_to_repeat() => Next::GiveUp,
        Error::RateLimited { .. } => Next::Retry,
        error => error.retry_after().map_or(Next::Retry, Next::RetryAfter),
    }
}
