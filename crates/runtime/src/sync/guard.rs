//! The removal guard: limits how much access one sync may remove. Pure.

use bridgehead_config::Guard;
use bridgehead_store::LossKind;

/// One kind of loss that completing would cause in one resource type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Loss {
    /// The kind of loss.
    pub(super) kind: LossKind,
    /// The number of records that could be affected, at the last completed sync: all records, active accounts, or accounts with
    /// memberships.
    pub(super) known: u64,
    /// The number of those that are affected now.
    pub(super) lost: u64,
    /// The number affected by completed syncs within the window.
    pub(super) in_window: u64,
    /// Whether everything of this kind is lost.
    pub(super) is_everything: bool,
}

/// Why completing is held; `None` if it may continue.
///
/// The limits are a number and a percentage, whichever is reached first, for this sync and for the sliding window, so that neither a
/// truncated listing nor a slow drip of losses passes. A type with fewer than `min_records` is exempt: one account in nine is already more
/// than a tenth. Losses within the window count as existing records, or a slow drip could reduce a type until it is exempt. Losing all
/// records of a type is always held if there are at least two, whatever the limits: that is what a broken listing looks like.
pub(super) fn violation(slug: &str, guard: &Guard, loss: Loss) -> Option<String> {
    let Loss { kind, known, lost, in_window, is_everything } = loss;
    // The window's percentage refers to the number of records before its losses.
    let before = known.saturating_add(in_window);
    if lost == 0 {
        return None;
    }
    let what = match kind {
        LossKind::Removed => format!("completing would remove {lost} of {known} records of {slug}"),
        LossKind::Deactivated => {
            format!("{lost} of {known} active records of {slug} are no longer active")
        }
        LossKind::Memberships => {
            format!("{lost} of {known} records of {slug} with memberships or assignments lose some")
        }
    };
    let (most, percent) = limits(guard, kind);
    let share = |part: u64, whole: u64| part as f64 * 100.0 / whole.max(1) as f64;
    let over = |count: u64, whole: u64| {
        (count > most).then(|| format!("the limit is {most}")).or_else(|| {
            (share(count, whole) > percent)
                .then(|| format!("that is {:.1} %, the limit is {percent} %", share(count, whole)))
        })
    };
    if before >= guard.min_records {
        if let Some(limit) = over(lost, known) {
            return Some(format!("{what}; {limit}"));
        }
        let total = lost.saturating_add(in_window);
        if let Some(limit) = over(total, before) {
            let window = jiff::fmt::friendly::SpanPrinter::new().unsigned_duration_to_string(&guard.window);
            return Some(format!("{what}, {total} within {window}; {limit}"));
        }
    }
    (is_everything && before >= 2)
        .then(|| format!("{what}; losing all records of a type always needs approval"))
}

fn limits(guard: &Guard, kind: LossKind) -> (u64, f64) {
    match kind {
        LossKind::Removed => (guard.max_removals, guard.max_removal_percent),
        LossKind::Deactivated => (guard.max_deactivations, guard.max_deactivation_percent),
        LossKind::Memberships => (guard.max_membership_losses, guard.max_membership_loss_percent),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const GUARD: Guard = Guard {
        max_removals: 100,
        max_removal_percent: 10.0,
        max_deactivations: 50,
        max_deactivation_percent: 20.0,
        max_membership_losses: 1000,
        max_membership_loss_percent: 25.0,
        min_records: 10,
        window: Duration::from_hours(24),
    };

    fn judged(kind: LossKind, known: u64, lost: u64, in_window: u64) -> Option<String> {
        let is_everything = known > 0 && lost == known;
        violation("account", &GUARD, Loss { kind, known, lost, in_window, is_everything })
    }

    fn held(known: u64, removed: u64, removed_in_window: u64) -> Option<String> {
        judged(LossKind::Removed, known, removed, removed_in_window)
    }

    #[test]
    fn first_limit_reached_holds_the_sync() {
        assert_eq!(held(10_000, 100, 0), None);
        assert!(held(10_000, 101, 0).unwrap().contains("the limit is 100"));
        assert_eq!(held(50, 5, 0), None);
        assert!(held(50, 6, 0).unwrap().contains("12.0 %"));
    }

    #[test]
    fn every_kind_of_loss_has_its_own_limits() {
        use LossKind::{Deactivated, Memberships, Removed};
        let table = [
            (Removed, 1000, 100, None),
            (
                Removed,
                1000,
                101,
                Some("completing would remove 101 of 1000 records of account; the limit is 100"),
            ),
            (Deactivated, 1000, 50, None),
            (
                Deactivated,
                1000,
                51,
                Some("51 of 1000 active records of account are no longer active; the limit is 50"),
            ),
            (Deactivated, 20, 4, None),
            (
                Deactivated,
                20,
                5,
                Some(
                    "5 of 20 active records of account are no longer active; that is 25.0 %, the limit is 20 \
                     %",
                ),
            ),
            (Memberships, 4000, 1000, None),
            (
                Memberships,
                4004,
                1001,
                Some(
                    "1001 of 4004 records of account with memberships or assignments lose some; the limit is 1000",
                ),
            ),
            (Memberships, 100, 25, None),
            (
                Memberships,
                100,
                26,
                Some(
                    "26 of 100 records of account with memberships or assignments lose some; that is 26.0 %, the limit is 25 %",
                ),
            ),
        ];
        for (kind, known, lost, says) in table {
            assert_eq!(judged(kind, known, lost, 0).as_deref(), says);
        }
    }

    #[test]
    fn emptied_type_is_held_at_any_size_and_limit() {
        let bold = Guard {
            max_removals: u64::MAX,
            max_removal_percent: 100.0,
            max_deactivations: u64::MAX,
            max_deactivation_percent: 100.0,
            max_membership_losses: u64::MAX,
            max_membership_loss_percent: 100.0,
            ..GUARD
        };
        for kind in LossKind::ALL {
            for known in [2, 9, 10, 1_000_000] {
                let loss = Loss { kind, known, lost: known, in_window: 0, is_everything: true };
                assert!(
                    violation("account", &bold, loss).unwrap().contains("all records of a type"),
                    "{kind:?} {known}"
                );
                let loss = Loss { lost: known - 1, is_everything: false, ..loss };
                assert_eq!(violation("account", &bold, loss), None, "{kind:?} {known}");
            }
            let alone = Loss { kind, known: 1, lost: 1, in_window: 0, is_everything: true };
            assert_eq!(violation("account", &bold, alone), None, "one alone is no whole type");
            let last = Loss { in_window: 1, ..alone };
            assert!(violation("account", &bold, last).is_some(), "but the last of a drip is");
        }
    }

    #[test]
    fn gradual_losses_do_not_reach_the_small_type_exemption() {
        assert!(held(9, 8, 1).is_some());
        assert_eq!(held(5, 4, 4), None, "there never were ten");
    }

    #[test]
    fn gradual_losses_add_up() {
        assert_eq!(held(960, 40, 60), None);
        assert!(held(960, 40, 61).unwrap().contains("101 within"));
        assert_eq!(held(960, 0, 5000), None, "a sync that removes no account always passes");
        assert!(judged(LossKind::Deactivated, 960, 10, 41).unwrap().contains("51 within"));
    }
}
