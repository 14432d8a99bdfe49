//! Counters of one app since the daemon started that only `/metrics` shows.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bridgehead_sdk::Action;
use jiff::Timestamp;
use prometheus_client::metrics::histogram::Histogram;

use bridgehead_store::RunResult;

/// The upper bounds of the execution time in seconds, from a local file to a rate-limited target.
const BOUNDS: [f64; 12] = [0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0];

/// The counters of an app. They only increase.
#[derive(Clone, Debug, Default)]
pub struct Counters {
    /// Polls of the task list that completed.
    pub polls: u64,
    /// Polls of the task list that failed.
    pub failed_polls: u64,
    /// Syncs, by result.
    pub syncs: BTreeMap<String, u64>,
    /// Records pushed, by resource type.
    pub pushed: BTreeMap<String, u64>,
    /// How long connector calls took in seconds, by action. Clones of a histogram share their data.
    pub executions: BTreeMap<Action, Histogram>,
    /// Successful tasks that were read back, by result.
    pub verified: BTreeMap<Verified, u64>,
    /// Look-ups that tasks made before and after their changes.
    pub looks: u64,
    /// Completed tasks, by the field that the target cannot show.
    pub not_verified: BTreeMap<String, u64>,
    /// How often a loop panicked, and when it last did, by the loop's name.
    pub panics: BTreeMap<&'static str, (u64, Timestamp)>,
}

/// What reading an account back showed after a success.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verified {
    /// The requested state.
    Seen,
    /// The requested state, except for a value that the target stores in its own format.
    Differing,
    /// The change was not made: the task was reported as failed.
    Contradicted,
    /// Nothing: the account could not be read.
    NotLooked,
}

impl Verified {
    /// The name used as the metric label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Seen => "seen",
            Self::Differing => "differing",
            Self::Contradicted => "contradicted",
            Self::NotLooked => "not_looked",
        }
    }
}

/// Collects the counters.
#[derive(Debug, Default)]
pub struct Metrics(Mutex<Counters>);

impl Metrics {
    /// The current counters.
    pub fn now(&self) -> Counters {
        self.counted().clone()
    }

    /// When a loop last panicked, and which one.
    pub fn last_panic(&self) -> Option<(&'static str, Timestamp)> {
        let counted = self.counted();
        let panics = counted.panics.iter().map(|(name, (_, at))| (*name, *at));
        panics.max_by_key(|(_, at)| *at)
    }

    pub fn polled(&self, is_whole: bool) {
        let mut counted = self.counted();
        *if is_whole { &mut counted.polls } else { &mut counted.failed_polls } += 1;
    }

    pub fn synced(&self, result: RunResult) {
        *self.counted().syncs.entry(result.as_str().to_owned()).or_default() += 1;
    }

    /// Adds what a sync has pushed since `before`. Counts of a sync start at zero; that must not reduce the totals.
    pub fn pushed_on(&self, before: &BTreeMap<String, u64>, now: &BTreeMap<String, u64>) {
        let mut counted = self.counted();
        for (slug, count) in now {
            let more = count.saturating_sub(before.get(slug).copied().unwrap_or(0));
            if more > 0 {
                *counted.pushed.entry(slug.clone()).or_default() += more;
            }
        }
    }

    pub fn executed(&self, action: Action, took: Duration) {
        let mut counted = self.counted();
        let histogram = counted.executions.entry(action).or_insert_with(|| Histogram::new(BOUNDS));
        histogram.observe(took.as_secs_f64());
    }

    pub fn verified(&self, what: Verified) {
        *self.counted().verified.entry(what).or_default() += 1;
    }

    pub fn looked(&self) {
        self.counted().looks += 1;
    }

    pub fn not_verified(&self, field: &str) {
        // Field names come from tasks; this keeps the metrics small, however many there are.
        const FIELDS: usize = 50;
        let mut counted = self.counted();
        let is_known = counted.not_verified.len() < FIELDS || counted.not_verified.contains_key(field);
        *counted.not_verified.entry(if is_known { field } else { "other" }.to_owned()).or_default() += 1;
    }

    pub fn panicked(&self, name: &'static str, at: Timestamp) {
        let mut counted = self.counted();
        let panics = counted.panics.entry(name).or_insert((0, at));
        *panics = (panics.0 + 1, at);
    }

    fn counted(&self) -> MutexGuard<'_, Counters> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(account: u64) -> BTreeMap<String, u64> {
        BTreeMap::from([("account".to_owned(), account)])
    }

    #[test]
    fn pushed_counts_add_up_across_syncs() {
        let tally = Metrics::default();
        tally.pushed_on(&BTreeMap::new(), &counts(100));
        tally.pushed_on(&counts(100), &counts(150));
        tally.pushed_on(&counts(150), &BTreeMap::new());
        tally.pushed_on(&BTreeMap::new(), &counts(7));
        assert_eq!(tally.now().pushed, counts(157));
    }

    #[test]
    fn latest_panic_is_reported() {
        let tally = Metrics::default();
        assert_eq!(tally.last_panic(), None);
        let (early, late) = (Timestamp::UNIX_EPOCH, Timestamp::from_second(60).unwrap());
        tally.panicked("tasks", late);
        tally.panicked("sync", early);
        assert_eq!(tally.last_panic(), Some(("tasks", late)));
        assert_eq!(tally.now().panics["sync"].0, 1);
    }
}
