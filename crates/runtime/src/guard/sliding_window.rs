//! Counts destructive tasks executed within a sliding time window. Pure.

use std::collections::VecDeque;

use jiff::{SignedDuration, Timestamp};

use bridgehead_config as config;

/// Whether one more task may be executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quota {
    /// Yes.
    Free,
    /// No, but the remaining quota is only reserved, by tasks that may end without an execution.
    Reserved,
    /// No.
    None,
}

/// The executions of one app.
#[derive(Clone, Debug)]
pub(super) struct SlidingWindow {
    max: usize,
    per: SignedDuration,
    /// When each execution started, oldest first.
    executed: VecDeque<Timestamp>,
}

impl SlidingWindow {
    pub(super) fn new(limit: config::TaskGuard, mut executed: Vec<Timestamp>) -> Self {
        executed.sort_unstable();
        let per = SignedDuration::try_from(limit.per).unwrap_or(SignedDuration::MAX);
        Self { max: limit.max, per, executed: executed.into() }
    }

    /// The instant after which executions count.
    pub(super) fn since(limit: config::TaskGuard, now: Timestamp) -> Timestamp {
        let per = SignedDuration::try_from(limit.per).unwrap_or(SignedDuration::MAX);
        now.checked_sub(per).unwrap_or(Timestamp::MIN)
    }

    /// Executions in the future were recorded by a clock that was ahead. They count as if they had started now: for a whole window, and no
    /// longer.
    pub(super) fn clamp(&mut self, now: Timestamp) {
        for began in &mut self.executed {
            *began = (*began).min(now);
        }
    }

    /// Adds an execution.
    pub(super) fn add(&mut self, at: Timestamp) {
        // Executions arrive in order, except if a clock was set, or if several start at the same moment.
        let place = self.executed.partition_point(|earlier| *earlier <= at);
        self.executed.insert(place, at);
    }

    /// The number of executions within the window that ends now. Executions in the future count: setting a clock back must not free quota.
    pub(super) fn count(&mut self, now: Timestamp) -> usize {
        let since = now.checked_sub(self.per).unwrap_or(Timestamp::MIN);
        while self.executed.front().is_some_and(|earliest| *earliest <= since) {
            self.executed.pop_front();
        }
        self.executed.len()
    }

    /// Whether one more execution may start, in addition to the reserved ones.
    pub(super) fn room(&mut self, reserved: usize, now: Timestamp) -> Quota {
        let executed = self.count(now);
        if executed >= self.max {
            Quota::None
        } else if executed.saturating_add(reserved) >= self.max {
            Quota::Reserved
        } else {
            Quota::Free
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn window(max: usize, executed: &[i64]) -> SlidingWindow {
        let limit = config::TaskGuard { max, per: Duration::from_secs(100) };
        SlidingWindow::new(limit, executed.iter().copied().map(at).collect())
    }

    #[test]
    fn executions_before_the_window_are_not_read() {
        let limit = |per| config::TaskGuard { max: 1, per };
        assert_eq!(SlidingWindow::since(limit(Duration::from_secs(100)), at(250)), at(150));
        assert_eq!(SlidingWindow::since(limit(Duration::MAX), at(250)), Timestamp::MIN);
    }

    #[test]
    fn quota_recovers_as_the_window_slides() {
        let mut window = window(2, &[0]);
        assert_eq!(window.room(0, at(10)), Quota::Free);
        window.add(at(10));
        assert_eq!(window.room(0, at(99)), Quota::None);
        assert_eq!(window.room(0, at(100)), Quota::Free, "what began a whole window ago does not count");
        assert_eq!(window.count(at(109)), 1);
        assert_eq!(window.count(at(110)), 0);
    }

    #[test]
    fn reservations_make_others_wait_but_do_not_hold_them() {
        let mut window = window(3, &[0]);
        assert_eq!(window.room(1, at(1)), Quota::Free);
        assert_eq!(window.room(2, at(1)), Quota::Reserved);
        window.add(at(1));
        window.add(at(1));
        assert_eq!(window.room(0, at(1)), Quota::None);
    }

    #[test]
    fn zero_limit_allows_nothing() {
        assert_eq!(window(0, &[]).room(0, at(0)), Quota::None);
    }

    #[test]
    fn clock_set_back_frees_no_quota() {
        let mut window = window(1, &[1000]);
        assert_eq!(window.room(0, at(500)), Quota::None);
        window.add(at(500));
        assert_eq!(window.count(at(700)), 1, "and the one that began later is kept");
        assert_eq!(window.count(at(1100)), 0);
    }

    #[test]
    fn future_entries_count_for_one_window_only() {
        let mut window = window(2, &[1_000_000, 50]);
        window.clamp(at(60));
        assert_eq!(window.room(0, at(60)), Quota::None);
        assert_eq!(window.count(at(159)), 1);
        assert_eq!(window.count(at(160)), 0);
    }

    proptest! {
        /// Compares with a simple count: the window is free exactly if fewer executions than the limit started within it, so no window of
        /// this length ever exceeds the limit.
        #[test]
        fn no_window_exceeds_the_limit(
            max in 0_usize..6,
            before in prop::collection::vec(-150_i64..0, 0..8),
            waits in prop::collection::vec(0_i64..60, 1..80),
        ) {
            let mut window = window(max, &before);
            let mut begun = before.clone();
            let mut now = 0;
            for wait in waits {
                now += wait;
                let counted = begun.iter().filter(|began| **began > now - 100).count();
                prop_assert_eq!(window.count(at(now)), counted);
                let free = window.room(0, at(now)) == Quota::Free;
                prop_assert_eq!(free, counted < max);
                if free {
                    window.add(at(now));
                    begun.push(now);
                }
            }
            for end in &begun[before.len()..] {
                prop_assert!(begun.iter().filter(|began| (end - 99..=*end).contains(*began)).count() <= max);
            }
        }
    }
}
