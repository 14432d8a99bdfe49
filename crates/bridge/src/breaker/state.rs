//! The state of a breaker: pure transitions, with time and randomness passed in.

use std::time::Duration;

use bridgehead_resilience::SeededRng;
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use super::BreakerSettings;
use crate::Health;

/// An outage.
#[derive(Clone, Debug)]
pub(super) struct Down {
    since: Timestamp,
    pub(super) cause: String,
}

/// The state of a breaker.
#[derive(Debug)]
pub(super) struct State {
    pace: BreakerSettings,
    /// Failures since the last response.
    failures: u32,
    down: Option<Down>,
    /// `429` responses since the last other response.
    throttles: u32,
    /// Set by a `429`. It stays set after its time has passed, until a probe gets a different response.
    paused: Option<(Instant, Timestamp)>,
    /// The number of pauses so far. The response to a call made before a pause says nothing about that pause.
    pauses: u64,
    /// Calls that were permitted one at a time.
    probes: u32,
    next_probe: Option<Instant>,
}

impl State {
    pub(super) fn new(pace: BreakerSettings) -> Self {
        Self {
            pace,
            failures: 0,
            down: None,
            throttles: 0,
            paused: None,
            pauses: 0,
            probes: 0,
            next_probe: None,
        }
    }

    pub(super) fn permits_all(&self) -> bool {
        self.down.is_none() && self.paused.is_none()
    }

    pub(super) fn pauses(&self) -> u64 {
        self.pauses
    }

    pub(super) fn down(&self) -> Option<&Down> {
        self.down.as_ref()
    }

    pub(super) fn paused_until(&self) -> Option<Instant> {
        self.paused.map(|(until, _)| until)
    }

    /// When the next call may be sent; in the past if it may be sent now.
    pub(super) fn not_before(&self) -> Instant {
        self.paused_until().max(self.next_probe).unwrap_or_else(Instant::now)
    }

    /// The state to report; `None` if calls may be sent in parallel.
    pub(super) fn health(&self) -> Option<Health> {
        match (&self.paused, &self.down) {
            (_, Some(Down { since, cause })) => Some(Health::Down { since: *since, cause: cause.clone() }),
            (Some((_, until)), None) => Some(Health::Paused { until: *until }),
            (None, None) => None,
        }
    }

    /// Records that a probe was permitted.
    pub(super) fn probed(&mut self, now: Instant, rng: &SeededRng) {
        self.probes = self.probes.saturating_add(1);
        self.next_probe = Some(now + self.pace.distance(self.probes, rng));
    }

    /// Records a response. `ends_pause` means that it answers a probe sent after the last pause.
    pub(super) fn answered(&mut self, ends_pause: bool) {
        self.failures = 0;
        self.down = None;
        if ends_pause {
            self.paused = None;
        }
        if self.permits_all() {
            self.throttles = 0;
            self.probes = 0;
            self.next_probe = None;
        }
    }

    /// Records a `429`.
    pub(super) fn throttled(
        &mut self,
        wait: Option<Duration>,
        is_probe: bool,
        now: Instant,
        time: Timestamp,
        rng: &SeededRng,
    ) {
        self.failures = 0;
        self.down = None;
        // Concurrent calls are rejected together: this counts as one rejection, not as several in a row.
        let is_new = self.paused.is_none() || is_probe;
        if is_new {
            self.throttles = self.throttles.saturating_add(1);
        }
        let wait = match wait {
            Some(wait) => wait,
            None if is_new => self.pace.pause(self.throttles, rng),
            None => return,
        };
        let until = now + wait;
        if self.paused_until().is_none_or(|known| known < until) {
            let shown = SignedDuration::try_from(wait).ok().and_then(|wait| time.checked_add(wait).ok());
            self.paused = Some((until, shown.unwrap_or(time)));
        }
        self.pauses += 1;
    }

    /// Records a missing response or a failure.
    pub(super) fn failed(
        &mut self,
        cause: &str,
        is_probe: bool,
        now: Instant,
        time: Timestamp,
        rng: &SeededRng,
    ) {
        self.failures = self.failures.saturating_add(1);
        match &mut self.down {
            Some(down) => cause.clone_into(&mut down.cause),
            None if self.failures >= self.pace.failures => {
                self.down = Some(Down { since: time, cause: cause.to_owned() });
                self.next_probe = Some(now + self.pace.distance(self.probes, rng));
            }
            None => {}
        }
        if is_probe {
            // A timeout takes time itself; the interval starts at its end.
            self.next_probe = self.next_probe.max(Some(now + self.pace.distance(self.probes, rng)));
        }
    }
}
