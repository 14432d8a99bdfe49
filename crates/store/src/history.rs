//! What was done when: the numbers behind charts, and the syncs of the last weeks. Never a name and never a payload.

use std::collections::BTreeMap;
use std::fmt;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};

use super::{AppKey, Error, Run};

/// How long history is kept.
pub(super) const KEPT: SignedDuration = SignedDuration::from_hours(30 * 24);

/// So many runs of an app are kept however old they are: alarms look back at them to say since when something is so.
pub(super) const RUNS_AT_LEAST: u16 = 200;

/// So many are kept at most, which is one every nine minutes.
pub(super) const RUNS_AT_MOST: u16 = 5_000;

/// The seconds of an hour.
const HOUR: i64 = 3600;

/// The upper bounds, in seconds, of the classes into which the times of connector calls fall. The last class has none.
pub const DURATION_BOUNDS: [f64; 7] = [0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0];

/// How many connector calls fell into each class.
pub type Durations = [u64; DURATION_BOUNDS.len() + 1];

/// What an app did within an hour.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hour {
    /// When the hour began.
    pub at: Timestamp,
    /// Tasks reported as completed.
    pub completed: u64,
    /// Tasks reported as failed, by code.
    pub failed: BTreeMap<String, u64>,
    /// Further attempts, after one that failed.
    pub retried: u64,
    /// The most tasks that waited for the operator at once.
    pub held: u64,
    /// The greatest age of a pending task that was due, in seconds.
    pub oldest_pending: u64,
    /// How long calls of the connector took.
    pub durations: Durations,
}

impl Hour {
    /// The beginning of the hour of an instant.
    pub fn beginning(at: Timestamp) -> Timestamp {
        let second = at.as_second().div_euclid(HOUR) * HOUR;
        Timestamp::from_second(second).unwrap_or(Timestamp::MIN)
    }

    /// Adds what another part of the same hour had.
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

    /// Counts the time of a connector call.
    pub fn took(&mut self, seconds: f64) {
        let class = DURATION_BOUNDS.iter().position(|bound| seconds <= *bound);
        self.durations[class.unwrap_or(DURATION_BOUNDS.len())] += 1;
    }

    /// How many tasks failed.
    pub fn failures(&self) -> u64 {
        self.failed.values().sum()
    }
}

/// A sync with the number under which it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedRun {
    /// The number. Later syncs have greater ones.
    pub id: u64,
    /// The sync.
    pub run: Run,
}

/// The durable record of what was done when.
///
/// # Contract
/// What is older than 30 days is dropped by the next write of the same app, so the size is bounded: 720 hours and 5,000 syncs of an
/// app. Apps do not see one another. A write may be repeated.
#[async_trait]
pub trait HistoryStore: Send + Sync + fmt::Debug + 'static {
    /// Puts an hour in the place of what was known of it.
    async fn set_hour(&self, app: &AppKey, hour: &Hour) -> Result<(), Error>;

    /// The hours that began at an instant or later, oldest first. Hours in which nothing happened are missing.
    async fn hours(&self, app: &AppKey, since: Timestamp) -> Result<Vec<Hour>, Error>;

    /// All syncs that are kept, newest first.
    async fn recorded_runs(&self, app: &AppKey) -> Result<Vec<RecordedRun>, Error>;

    /// One of them; `None` if none of the app's has this number.
    async fn recorded_run(&self, app: &AppKey, id: u64) -> Result<Option<RecordedRun>, Error>;
}

/// The trait must stay usable as an object.
const _: Option<&dyn HistoryStore> = None;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_begins_at_its_first_second_also_before_1970() {
        let at = |second| Timestamp::from_second(second).unwrap();
        for (second, beginning) in [(0, 0), (3599, 0), (3600, 3600), (7201, 7200), (-1, -3600)] {
            assert_eq!(Hour::beginning(at(second)), at(beginning), "{second}");
        }
    }

    #[test]
    fn times_fall_into_the_first_class_that_holds_them() {
        let mut hour = Hour::default();
        for seconds in [0.0, 0.1, 0.2, 60.0, 60.1, 9e9] {
            hour.took(seconds);
        }
        assert_eq!(hour.durations, [2, 1, 0, 0, 0, 0, 1, 2]);
    }

    #[test]
    fn counts_add_up_and_of_what_stands_the_most_counts() {
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
