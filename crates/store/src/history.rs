//! Statistics over time: the numbers for charts, and the syncs of the last weeks. Never contains names or payloads.

use std::collections::BTreeMap;
use std::fmt;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};

use super::{AppKey, Error, Run};

/// How long history is kept.
pub(super) const KEPT: SignedDuration = SignedDuration::from_hours(30 * 24);

/// The minimum number of runs kept per app, whatever their age: alarms use them to find out since when a state has lasted.
pub(super) const RUNS_AT_LEAST: u16 = 200;

/// The maximum number of runs kept, which corresponds to one every nine minutes.
pub(super) const RUNS_AT_MOST: u16 = 5_000;

/// The length of an hour in seconds.
const HOUR: i64 = 3600;

/// The upper bounds of the duration buckets for connector calls, in seconds. The last bucket has no upper bound.
pub const DURATION_BOUNDS: [f64; 7] = [0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0];

/// The number of connector calls in each bucket.
pub type Durations = [u64; DURATION_BOUNDS.len() + 1];

/// Statistics of an app for one hour.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hour {
    /// When the hour began.
    pub at: Timestamp,
    /// Tasks reported as completed.
    pub completed: u64,
    /// Tasks reported as failed, by code.
    pub failed: BTreeMap<String, u64>,
    /// Attempts after a failed one.
    pub retried: u64,
    /// The maximum number of tasks that waited for the operator at the same time.
    pub held: u64,
    /// The maximum age of a pending task that was due, in seconds.
    pub oldest_pending: u64,
    /// Durations of connector calls.
    pub durations: Durations,
}

impl Hour {
    /// The start of the hour that contains an instant.
    pub fn beginning(at: Timestamp) -> Timestamp {
        let second = at.as_second().div_euclid(HOUR) * HOUR;
        Timestamp::from_second(second).unwrap_or(Timestamp::MIN)
    }

    /// Adds statistics from another part of the same hour.
    pub fn add(&mut self, more: &Self) {
        self.completed += more.completed;
        for (code, count) in &more.failed {
            *self.failed.entry(code.clone()).or_default() += count;
        }
        self.retried += more.retried;
        self.held = self.held.max(more.held);
        self.oldest_pending = self.oldest_pending.max(more.oldest_pending);
        for (sum, more) in self.durations.iter_mut().zip(more.durations) {
            *sum += more;
        }
    }

    /// Whether nothing happened.
    pub fn is_empty(&self) -> bool {
        *self == Self { at: self.at, ..Self::default() }
    }

    /// Counts a connector call that took this long.
    pub fn took(&mut self, seconds: f64) {
        let class = DURATION_BOUNDS.iter().position(|bound| seconds <= *bound);
        self.durations[class.unwrap_or(DURATION_BOUNDS.len())] += 1;
    }

    /// The number of failed tasks.
    pub fn failures(&self) -> u64 {
        self.failed.values().sum()
    }
}

/// A sync with the id under which it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedRun {
    /// The id. Later syncs have greater ids.
    pub id: u64,
    /// The sync.
    pub run: Run,
}

/// Durable statistics over time.
///
/// # Contract
/// Each write drops data of the same app that is older than 30 days, so the size is bounded: 720 hours and 5,000 syncs per app. Apps are
/// independent of each other. Writes may be repeated.
#[async_trait]
pub trait HistoryStore: Send + Sync + fmt::Debug + 'static {
    /// Stores an hour, replacing earlier data for it.
    async fn set_hour(&self, app: &AppKey, hour: &Hour) -> Result<(), Error>;

    /// The hours that started at an instant or later, oldest first. Hours without activity are missing.
    async fn hours(&self, app: &AppKey, since: Timestamp) -> Result<Vec<Hour>, Error>;

    /// All stored syncs, newest first.
    async fn recorded_runs(&self, app: &AppKey) -> Result<Vec<RecordedRun>, Error>;

    /// A stored sync; `None` if the app has none with this id.
    async fn recorded_run(&self, app: &AppKey, id: u64) -> Result<Option<RecordedRun>, Error>;
}

/// The trait must stay object-safe.
const _: Option<&dyn HistoryStore> = None;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hour_start_is_correct_even_before_1970() {
        let at = |second| Timestamp::from_second(second).unwrap();
        for (second, beginning) in [(0, 0), (3599, 0), (3600, 3600), (7201, 7200), (-1, -3600)] {
            assert_eq!(Hour::beginning(at(second)), at(beginning), "{second}");
        }
    }

    #[test]
    fn duration_falls_into_the_first_matching_bucket() {
        let mut hour = Hour::default();
        for seconds in [0.0, 0.1, 0.2, 60.0, 60.1, 9e9] {
            hour.took(seconds);
        }
        assert_eq!(hour.durations, [2, 1, 0, 0, 0, 0, 1, 2]);
    }

    #[test]
    fn merging_hours_adds_counters_and_keeps_gauge_maxima() {
        let part = |completed, held, oldest_pending| Hour {
            completed,
            failed: [("TIMEOUT".to_owned(), 1)].into(),
            held,
            oldest_pending,
            ..Hour::default()
        };
        let mut hour = part(2, 7, 10);
        hour.add(&part(3, 4, 60));
        assert_eq!((hour.completed, hour.held, hour.oldest_pending, hour.failures()), (5, 7, 60, 2));
        assert!(!hour.is_empty() && Hour::default().is_empty());
    }
}
