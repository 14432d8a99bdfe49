//! Decides what follows a failed sync: how soon the next one starts, and when an alarm is raised. Pure.

use std::time::Duration;

use super::outcome::NextSync;
use bridgehead_config::Schedule;
use bridgehead_resilience::{RetryPolicy, SeededRng};

/// The maximum initial delay before a sync is repeated.
const SOON: Duration = Duration::from_secs(30);
/// The maximum delay.
const LATE: Duration = Duration::from_hours(1);
/// The initial delay is at most this fraction of the interval, so that repeats are not slower than a short interval.
const PART: u32 = 60;
/// The maximum number of immediate restarts of a sync in a row.
const AT_ONCE: u32 = 3;

/// Repeated syncs of an app since the last one that needed no repeat.
#[derive(Debug, Default)]
pub(super) struct Series {
    failures: u32,
    clean_ups: u32,
    restarts: u32,
}

/// What follows a sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct After {
    /// The maximum delay until the next sync; `None` for the next scheduled one.
    pub(super) wait: Option<Duration>,
    /// An alarm is due because Iden's cleanup keeps failing.
    pub(super) alarm: bool,
}

impl Series {
    /// "A new sync is the remedy" for a failed cleanup (Error Reference); this is the maximum number in a row.
    pub(super) const CLEAN_UPS: u32 = 3;

    pub(super) fn after(&mut self, follow_up: NextSync, schedule: &Schedule, rng: &SeededRng) -> After {
        let backoff = backoff(schedule);
        let wait = |wait| After { wait: Some(wait), alarm: false };
        match follow_up {
            NextSync::Regular => {
                *self = Self::default();
                After { wait: None, alarm: false }
            }
            NextSync::AtOnce if self.restarts < AT_ONCE => {
                self.restarts += 1;
                wait(Duration::ZERO)
            }
            NextSync::Soon | NextSync::AtOnce => {
                self.failures = self.failures.saturating_add(1);
                wait(backoff.delay(self.failures, rng.unit()))
            }
            NextSync::CleanUp if self.clean_ups < Self::CLEAN_UPS => {
                self.clean_ups += 1;
                wait(backoff.delay(self.clean_ups, rng.unit()))
            }
            NextSync::CleanUp => After { wait: None, alarm: true },
        }
    }
}

fn backoff(schedule: &Schedule) -> RetryPolicy {
    match schedule {
        Schedule::Every(every) => RetryPolicy::new(SOON.min(*every / PART), LATE.min(*every)),
        Schedule::Cron { .. } => RetryPolicy::new(SOON, LATE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOURS: Schedule = Schedule::Every(Duration::from_hours(6));

    fn waits(follow_ups: &[NextSync]) -> Vec<Option<u64>> {
        let (mut series, rng) = (Series::default(), SeededRng::seeded(1));
        let mut after = |follow_up: &NextSync| series.after(*follow_up, &HOURS, &rng);
        follow_ups.iter().map(|follow_up| after(follow_up).wait.map(|wait| wait.as_secs())).collect()
    }

    #[test]
    fn failed_cleanup_leads_to_three_resyncs_and_then_an_alarm() {
        let (mut series, rng) = (Series::default(), SeededRng::seeded(1));
        let mut after = |follow_up| series.after(follow_up, &HOURS, &rng);
        for n in 0..3 {
            let after = after(NextSync::CleanUp);
            assert!(after.wait.unwrap() <= SOON * 2_u32.pow(n) && !after.alarm, "{after:?}");
        }
        // Each scheduled sync that fails in the same way raises the alarm again; no additional syncs are started.
        for _ in 0..2 {
            assert_eq!(after(NextSync::CleanUp), After { wait: None, alarm: true });
        }
        after(NextSync::Regular);
        assert!(!after(NextSync::CleanUp).alarm, "a completed sync resets the count");
    }

    #[test]
    fn retry_delay_grows_up_to_one_hour() {
        let waits = waits(&[NextSync::Soon; 12]);
        let first = waits[0].unwrap();
        assert!((15..=30).contains(&first), "{waits:?}");
        assert!(waits.iter().all(|wait| wait.unwrap() <= 3600), "{waits:?}");
        assert!(waits[11].unwrap() >= 1800, "{waits:?}");
    }

    #[test]
    fn overtaken_sync_restarts_at_once_a_limited_number_of_times() {
        let waits = waits(&[NextSync::AtOnce; 4]);
        assert_eq!(waits[..3], [Some(0); 3]);
        assert!(waits[3].unwrap() >= 15);
    }

    #[test]
    fn short_interval_has_short_retry_delays() {
        let backoff = backoff(&Schedule::Every(Duration::from_mins(1)));
        assert_eq!((backoff.base, backoff.cap), (Duration::from_secs(1), Duration::from_mins(1)));
    }
}
