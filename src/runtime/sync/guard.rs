//! The removal guard: how many records one sync may remove. Pure.

use crate::config::Guard;

/// What completing would do to one resource type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Removal {
    /// Records of the last completed sync.
    pub(super) known: u64,
    /// Those of them that are gone now.
    pub(super) removed: u64,
    /// Those removed by completed syncs within the window.
    pub(super) removed_in_window: u64,
}

/// Why completing is held back; `None` if it may go on.
///
/// The limits are a number and a share, whichever is hit first, over this sync and over the rolling window, so that
/// neither a cut listing nor a slow drip passes. A type with fewer than `min_records` is exempt: one person in nine is
/// more than a tenth. What the window saw removed counts as there, or a drip would wear a type down to the exemption.
pub(super) fn verdict(slug: &str, guard: &Guard, removal: Removal) -> Option<String> {
    let Removal { known, removed, removed_in_window } = removal;
    // The window's share is taken of what there was before its removals.
    let before = known.saturating_add(removed_in_window);
    if removed == 0 || before < guard.min_records {
        return None;
    }
    let total = removed.saturating_add(removed_in_window);
    let share = |part: u64, whole: u64| part as f64 * 100.0 / whole.max(1) as f64;
    let over = |count: u64, whole: u64| {
        (count > guard.max_removals).then(|| format!("the most is {}", guard.max_removals)).or_else(|| {
            (share(count, whole) > guard.max_removal_percent).then(|| {
                format!("that is {:.1} %, the most is {} %", share(count, whole), guard.max_removal_percent)
            })
        })
    };
    if let Some(limit) = over(removed, known) {
        return Some(format!("completing would remove {removed} of {known} records of {slug}; {limit}"));
    }
    over(total, before).map(|limit| {
        format!(
            "completing would remove {removed} of {known} records of {slug}, {total} within {}; {limit}",
            jiff::fmt::friendly::SpanPrinter::new().unsigned_duration_to_string(&guard.window)
        )
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn held(known: u64, removed: u64, removed_in_window: u64) -> Option<String> {
        let guard = Guard {
            max_removals: 100,
            max_removal_percent: 10.0,
            min_records: 10,
            window: Duration::from_hours(24),
        };
        verdict("account", &guard, Removal { known, removed, removed_in_window })
    }

    #[test]
    fn whichever_limit_is_hit_first_holds() {
        assert_eq!(held(10_000, 100, 0), None);
        assert!(held(10_000, 101, 0).unwrap().contains("the most is 100"));
        assert_eq!(held(50, 5, 0), None);
        assert!(held(50, 6, 0).unwrap().contains("12.0 %"));
    }

    #[test]
    fn everybody_gone_holds_and_a_tiny_target_is_exempt() {
        assert!(held(500, 500, 0).is_some());
        assert_eq!(held(9, 9, 0), None);
        assert!(held(10, 10, 0).is_some());
    }

    #[test]
    fn a_drip_does_not_wear_a_type_down_to_the_exemption() {
        assert!(held(9, 9, 1).is_some());
        assert_eq!(held(5, 5, 4), None, "there never were ten");
    }

    #[test]
    fn a_slow_drip_adds_up() {
        assert_eq!(held(960, 40, 60), None);
        assert!(held(960, 40, 61).unwrap().contains("101 within"));
        assert_eq!(held(960, 0, 5000), None, "a sync that removes nobody always passes");
    }
}
