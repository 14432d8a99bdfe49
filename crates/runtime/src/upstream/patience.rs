//! How long a call of the Bridge is worth trying.

use std::time::Duration;

use bridgehead_resilience::Next;
use tokio::time::Instant;

use bridgehead_bridge::Error;

/// How often a call is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attempts {
    One,
    /// A few, within seconds.
    Brief,
    /// As long as it may pass, up to this long.
    Within(Duration),
    EndlessList,
}

/// How long a call is tried, and which failures are worth another attempt.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    pub(super) attempts: Attempts,
    at_once: bool,
    next: fn(&Error) -> Next,
}

impl Patience {
    /// One attempt.
    pub(crate) const fn once() -> Self {
        Self { attempts: Attempts::One, at_once: false, next: |_| Next::GiveUp }
    }

    /// A few attempts within seconds, if the call is safe to repeat.
    pub(crate) const fn brief() -> Self {
        Self { attempts: Attempts::Brief, next: brief, ..Self::once() }
    }

    /// While the problem may be temporary, up to this long. A rejected key counts as temporary.
    pub(crate) const fn within(limit: Duration) -> Self {
        Self { attempts: Attempts::Within(limit), next: transient, ..Self::once() }
    }

    /// Without a limit, until `next` gives up.
    pub(crate) const fn until_answered(next: fn(&Error) -> Next) -> Self {
        Self { attempts: Attempts::EndlessList, at_once: false, next }
    }

    /// Does not wait while key or app are refused.
    pub(crate) const fn at_once(self) -> Self {
        Self { at_once: true, ..self }
    }

    /// Does not wait for as long as the Bridge asks to: it is done soon or not at all.
    pub(crate) const fn whatever_is_asked(self) -> Self {
        Self { next: if_transient, ..self }
    }

    pub(super) fn next(self, error: &Error) -> Next {
        (self.next)(error)
    }

    pub(super) const fn waits_for_access(self) -> bool {
        !self.at_once
    }

    /// Whether a refusal is waited out.
    pub(super) fn outlasts_refusals(self, began: Instant) -> bool {
        match self.attempts {
            _ if self.at_once => false,
            Attempts::One | Attempts::Brief => false,
            Attempts::Within(limit) => began.elapsed() < limit,
            Attempts::EndlessList => true,
        }
    }
}

/// A call that failed may work later, and not before when.
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

/// The client's breaker waits out a 429, for all calls.
fn brief(error: &Error) -> Next {
    match error {
        error if !error.is_safe_to_repeat() => Next::GiveUp,
        Error::RateLimited { .. } => Next::Retry,
        error => error.retry_after().map_or(Next::Retry, Next::RetryAfter),
    }
}
