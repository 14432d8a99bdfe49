use std::collections::BTreeMap;

use super::super::{
    BaselineOrigin, Difference, Duplicate, Error, Run, RunReason, RunResult, SnapshotStore, Trust, Which,
};
use super::*;

each_state! {
    async the_difference_is_what_completing_would_do,
    duplicates_are_found_within_a_page_and_across_pages,
    ids_are_kept_byte_by_byte,
    missing_takes_any_number_of_ids,
    what_a_task_did_during_the_sync_is_put_into_the_listing,
    a_type_that_was_not_listed_is_dropped_and_counted_as_removed,
    removals_add_up_over_the_window,
    beginning_again_drops_the_unfinished_listing_and_keeps_the_completed_one,
    what_is_kept_is_compared_with_and_is_no_completed_sync,
    what_only_doubted_listings_had_is_removed_without_being_counted,
    what_counts_for_good_is_never_doubted_again,
    what_nobody_could_judge_counts_until_a_whole_listing_judges_it,
    who_was_created_by_a_task_counts_before_any_sync_has_seen_them_and_whatever_sync_does,
    nothing_is_promoted_without_a_listing_under_way,
    apps_do_not_see_each_other,
    runs_come_newest_first_and_by_app,
    what_was_being_completed_when_the_process_died_counts_as_completed,
    a_sync_that_begins_counts_one_that_was_being_completed_as_completed,
    a_sync_of_which_no_run_was_recorded_was_interrupted,
    removals_that_are_forgiven_count_no_more,
    what_was_found_out_about_the_past_is_kept,
}

async fn listed(state: &impl SnapshotStore, app: &AppKey, slug: &str, records: &[(&str, u64)]) {
    let records: Vec<RecordHash> = records.iter().map(|(id, hash)| seen(id, *hash)).collect();
    let added = state.add(app, slug, &records).await.unwrap();
    assert_eq!(added.duplicates, []);
}

fn counts(counts: &[(&str, u64)]) -> BTreeMap<String, u64> {
    counts.iter().map(|(slug, count)| ((*slug).to_owned(), *count)).collect()
}

async fn the_difference_is_what_completing_would_do<P: Place>() {
    let state = P::fleeting().await;
    let app = app(1);
    state.begin(&app).await.unwrap();
    listed(&state, &app, "account", &[("a", 1), ("b", 2), ("c", 3), ("d", 4)]).await;
    let first = state.difference(&app, "account").await.unwrap();
    assert_eq!((first.known, first.seen, first.created, first.removed), (0, 4, 4, 0));
    assert_eq!(state.last(&app).await.unwrap(), None);
    state.commit(&app, at(100)).await.unwrap();

    state.begin(&app).await.unwrap();
    listed(&state, &app, "account", &[("b", 2), ("c", 33), ("d", u64::MAX), ("e", 5), ("f", 6)]).await;
    let difference =
        Difference { known: 4, seen: 5, created: 2, changed: 2, removed: 1, doubted: 0, confirmed: 0 };
    assert_eq!(state.difference(&app, "account").await.unwrap(), difference);
    assert_eq!(state.seen_count(&app, "account").await.unwrap(), 5);
    for (which, ids) in
        [(Which::Created, vec!["e", "f"]), (Which::Changed, vec!["c", "d"]), (Which::Removed, vec!["a"])]
    {
        assert_eq!(state.ids(&app, "account", which, None, 10).await.unwrap(), ids);
        assert_eq!(state.ids(&app, "account", which, Some(ids[0]), 10).await.unwrap(), ids[1..]);
    }
    assert_eq!(state.ids(&app, "account", Which::Created, None, 1).await.unwrap(), ["e"]);

    state.commit(&app, at(200)).await.unwrap();
    let last = state.last(&app).await.unwrap().unwrap();
    assert_eq!((last.at, last.counts), (at(200), counts(&[("account", 5)])));
    assert_eq!(state.removals_since(&app, "account", at(200)).await.unwrap(), 1);
    assert_eq!(state.removals_since(&app, "account", at(201)).await.unwrap(), 0);
}

async fn duplicates_are_found_within_a_page_and_across_pages<P: Place>() {
    let state = P::fleeting().await;
    let app = app(1);
    state.begin(&app).await.unwrap();
    // More records than one statement takes, with duplicates far apart.
    let mut page: Vec<RecordHash> = (0..300).map(|number| seen(&format!("{number:04}"), number)).collect();
    page[299] = seen("0000", 0);
    page[150] = seen("0149", 7);
    let duplicate = |id: &str, same| Duplicate { id: id.to_owned(), same };
    let added = state.add(&app, "account", &page).await.unwrap();
    assert_eq!(added.duplicates, [duplicate("0149", false), duplicate("0000", true)]);
    assert_eq!(state.seen_count(&app, "account").await.unwrap(), 298);

    let added = state.add(&app, "account", &[seen("0001", 1), seen("x", 1), seen("0002", 9)]).await.unwrap();
    assert_eq!(added.duplicates, [duplicate("0001", true), duplicate("0002", false)]);
    // The first record stays: compared with itself, nothing has changed.
    let added = state.add(&app, "account", &[seen("0149", 149)]).await.unwrap();
    assert_eq!(added.duplicates, [duplicate("0149", true)]);
    let other_type = state.add(&app, "team", &[seen("0001", 1)]).await.unwrap();
    assert_eq!(other_type.duplicates, []);
}

async fn ids_are_kept_byte_by_byte<P: Place>() {
    let state = P::fleeting().await;
    let app = app(1);
    let ids = ["", "A", "a", "a\0", "a\0b", "ä", "'; DROP TABLE records; --", "%", "😀"];
    state.begin(&app).await.unwrap();
    listed(&state, &app, "account", &ids.map(|id| (id, 1))).await;
    assert_eq!(state.missing(&app, "account", &ids).await.unwrap(), Vec::<String>::new());
    assert_eq!(state.missing(&app, "account", &["a\0c", "a", "b"]).await.unwrap(), ["a\0c", "b"]);
    let mut sorted = ids;
    sorted.sort_unstable();
    assert_eq!(state.ids(&app, "account", Which::Created, None, 99).await.unwrap(), sorted);
}

async fn missing_takes_any_number_of_ids<P: Place>() {
    let state = P::fleeting().await;
    let app = app(1);
    let ids: Vec<String> = (0..40_000).map(|number| format!("id-{number}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    state.begin(&app).await.unwrap();
    assert_eq!(state.missing(&app, "account", &ids).await.unwrap().len(), 40_000);
    listed(&state, &app, "account", &[("id-0", 1), ("id-39999", 1)]).await;
    let missing = state.missing(&app, "account", &ids).await.unwrap();
    assert_eq!((missing.len(), missing[0].as_str()), (39_998, "id-1"));
}

async fn what_a_task_did_during_the_sync_is_put_into_the_listing<P: Place>() {
    let state = P::fleeting().await;
    let app = app(1);
    state.begin(&app).await.unwrap();
    listed(&state, &app, "account", &[("a", 1), ("b", 2)]).await;
    state.set(&app, "account", &seen("a", 11)).await.unwrap();
    state.set(&app, "account", &seen("new", 1)).await.unwrap();
    state.unset(&app, "account", "b").await.unwrap();
    state.unset(&app, "account", "never there").await.unwrap();
    assert_eq!(state.ids(&app, "account", Which::Created, None, 9).await.unwrap(), ["a", "new"]);
    state.commit(&app, at(1)).await.unwrap();

    state.begin(&app).await.unwrap();
    listed(&state, &app, "account", &[("a", 11), ("new", 1)]).await;
    let difference = state.difference(&app, "account").await.unwrap();
    assert_eq!((difference.changed, difference.removed), (0, 0));
}

async fn a_type_that_was_not_listed_is_dropped_and_counted_as_removed<P: Place>() {
    let state = P::fleeting().await;
    let app = app(1);
    state.begin(&app).await.unwrap();
    listed(&state, &app, "account", &[("a", 1)]).await;
    listed(&state, &app, "team", &[("t1", 1), ("t2", 1)]).await;
    listed(&state, &app, "empty", &[]).await;
    state.commit(&app, at(100)).await.unwrap();
    let last = state.last(&app).await.unwrap().unwrap();
    assert_eq!(last.counts, counts(&[("account", 1), ("empty", 0), ("team", 2)]));

    state.begin(&app).await.unwrap();
    listed(&state, &app, "account", &[("a", 1)]).await;
    assert_eq!(state.difference(&app, "team").await.unwrap().removed, 2);
    state.commit(&app, at(200)).await.unwrap();
    assert_eq!(state.last(&app).await.unwrap().unwrap().counts, counts(&[("account", 1)]));
    assert_eq!(state.removals_since(&app, "team", at(0)).await.unwrap(), 2);
    assert_eq!(state.removals_since(&app, "account", at(0)).await.unwrap(), 0);
    state.begin(&app).await.unwrap();
    assert_eq!(state.difference(&app, "team").await.unwrap().known, 0);
}

async fn removals_add_up_over_the_window<P: Place>() {
    let state = P::fleeting().await;
    let app = app(1);
    let all: Vec<String> = (0..10).map(|number| number.to_string()).collect();
    for (sync, left) in [10_usize, 8, 5, 1].into_iter().enumerate() {
        state.begin(&app).await.unwrap();
        let records: Vec<(&str, u64)> = all[..left].iter().map(|id| (id.as_str(), 1)).collect();
        listed(&state, &app, "account", &records).await;
        state.commit(&app, at(100 * i64::try_from(sync).unwrap())).await.unwrap();
    }
    for (since, removed) in [(0, 9), (100, 9), (101, 7), (200, 7), (201, 4), (301, 0)] {
        let counted = state.removals_since(&app, "account", at(since)).await.unwrap();
        assert_eq!(counted, removed, "since {since}");
    }
    // Removals that are older than any window are not remembered.
    state.begin(&app).await.unwrap();
    state.commit(&app, at(401 * 86_400)).await.unwrap();
    assert_eq!(state.removals_since(&app, "account", at(0)).await.unwrap(), 1);
}

async fn beginning_again_drops_the_unfinished_listing_and_keeps_the_completed_one<P: Place>() {
    let state = P::fleeting().await;
    let app = app(1);
    state.begin(&app).await.unwrap();
    listed(&state, &app, "account", &[("a", 1)]).await;
    state.commit(&app, at(1)).await.unwrap();
    state.begin(&app).await.unwrap();
    listed(&state, &app, "account", &[("x", 1), ("y", 1)]).await;
    state.begin(&app).await.unwrap();
    assert_eq!(state.seen_count(&app, "account").await.unwrap(), 0);
    listed(&state, &app, "account", &[("x", 1)]).await;
    assert_eq!(state.difference(&app, "account").await.unwrap().known, 1);
}

async fn what_is_kept_is_compared_with_and_is_no_completed_sync<P: Place>() {
    let state = P::fleeting().await;
    let app = app(1);
    state.begin(&app).await.unwrap();
    listed(&state, &app, "account", &[("a", 1), ("b", 2)]).await;
    state.retain(&app, Trust::Accepted).await.unwrap();
    assert_eq!(state.last(&app).await.unwrap(), None);
    let again = state.retain(&app, Trust::Accepted).await;
    assert!(matches!(again, Err(Error::NoListing { .. })));

    // Adds to known records, of a type that is known and one that is not.
    state.begin(&app).await.unwrap();
    listed(&state, &app, "account", &[("b", 22), ("c", 3)]).await;
    listed(&state, &app, "team", &[("t", 1)]).await;
    state.retain(&app, Trust::Unverified).await.unwrap();
    assert_eq!(state.known_slugs(&app).await.unwrap(), ["account", "team"]);

    state.begin(&app).await.unwrap();
    listed(&state, &app, "account", &[("b", 22)]).await;
    let difference =
        Difference { known: 3, seen: 1, created: 0, changed: 0, removed: 2, doubted: 0, confirmed: 0 };
    assert_eq!(state.difference(&app, "account").await.unwrap(), difference);
    assert_eq!(state.difference(&app, "team").await.unwrap().removed, 1);
    state.commit(&app, at(100)).await.unwrap();
    let last = state.last(&app).await.unwrap().unwrap();
    assert_eq!(last.counts, counts(&[("account", 1)]));
    assert_eq!(state.removals_since(&app, "account", at(100)).await.unwrap(), 2);
}

/// The known, removed and rejected counts if no record of a type is listed any more.
async fn if_all_went(state: &impl SnapshotStore, app: &AppKey, slug: &str) -> (u64, u64, u64) {
    state.begin(app).await.unwrap();
    let difference = state.difference(app, slug).await.unwrap();
    (difference.known, difference.removed, difference.doubted)
}

async fn kept(state: &impl SnapshotStore, app: &AppKey, ids: &[&str], belief: Trust) {
    state.begin(app).await.unwrap();
    let records: Vec<(&str, u64)> = ids.iter().map(|id| (*id, 1)).collect();
    listed(state, app, "account", &records).await;
    state.retain(app, belief).await.unwrap();
}

async fn what_only_doubted_listings_had_is_removed_without_being_counted<P: Place>() {
    let state = P::fleeting().await;
    let app = app(1);
    state.begin(&app).await.unwrap();
    listed(&state, &app, "account", &[("a", 1), ("b", 1)]).await;
    state.commit(&app, at(1)).await.unwrap();
    // It does not matter how often, and whether the type was known.
    kept(&state, &app, &["a", "x", "y"], Trust::Rejected).await;
    kept(&state, &app, &["x", "y", "z"], Trust::Rejected).await;
    state.begin(&app).await.unwrap();
    listed(&state, &app, "seat", &[("s", 1)]).await;
    state.retain(&app, Trust::Rejected).await.unwrap();

    assert_eq!(if_all_went(&state, &app, "account").await, (2, 5, 3));
    assert_eq!(if_all_went(&state, &app, "seat").await, (0, 1, 1));
    assert_eq!(state.last(&app).await.unwrap().unwrap().counts, counts(&[("account", 2), ("seat", 0)]));
    state.begin(&app).await.unwrap();
    listed(&state, &app, "account", &[("b", 1)]).await;
    let difference =
        Difference { known: 2, seen: 1, created: 0, changed: 0, removed: 4, doubted: 3, confirmed: 0 };
    assert_eq!(state.difference(&app, "account").await.unwrap(), difference);
    let gone = state.ids(&app, "account", Which::Removed, None, 9).await.unwrap();
    assert_eq!(gone, ["a", "x", "y", "z"], "they are still reported");
    state.begin(&app).await.unwrap();
    listed(&state, &app, "account", &[("b", 1), ("x", 1)]).await;
    let difference = Difference { seen: 2, removed: 3, doubted: 2, confirmed: 1, ..difference };
    assert_eq!(state.difference(&app, "account").await.unwrap(), difference);
    state.begin(&app).await.unwrap();
    listed(&state, &app, "account", &[("b", 1)]).await;
    state.commit(&app, at(100)).await.unwrap();
    assert_eq!(state.removals_since(&app, "account", at(0)).await.unwrap(), 1);
    assert_eq!(state.removals_since(&app, "seat", at(0)).await.unwrap(), 0);
    assert_eq!(if_all_went(&state, &app, "account").await, (1, 1, 0));
}

async fn what_counts_for_good_is_never_doubted_again<P: Place>() {
    for first in [Some(Trust::Accepted), None] {
        let state = P::fleeting().await;
        let app = app(1);
        if let Some(belief) = first {
            kept(&state, &app, &["a"], belief).await;
        } else {
            state.begin(&app).await.unwrap();
            listed(&state, &app, "account", &[("a", 1)]).await;
            state.commit(&app, at(1)).await.unwrap();
        }
        for belief in [Trust::Rejected, Trust::Unverified, Trust::Rejected] {
            kept(&state, &app, &["a"], belief).await;
        }
        assert_eq!(if_all_went(&state, &app, "account").await, (1, 1, 0), "{first:?}");
    }
}

async fn what_nobody_could_judge_counts_until_a_whole_listing_judges_it<P: Place>() {
    use Trust::{Accepted, Rejected, Unverified};
    for (beliefs, counts) in [
        (vec![Unverified], 1),
        (vec![Unverified, Unverified], 1),
        (vec![Unverified, Rejected], 0),
        (vec![Rejected, Unverified], 0),
        (vec![Unverified, Accepted, Rejected], 1),
        (vec![Rejected, Accepted], 1),
        (vec![Rejected, Accepted, Unverified, Rejected], 1),
    ] {
        let state = P::fleeting().await;
        for belief in &beliefs {
            kept(&state, &app(1), &["a"], *belief).await;
        }
        let (known, removed, doubted) = if_all_went(&state, &app(1), "account").await;
        assert_eq!((known, removed, doubted), (counts, 1, 1 - counts), "{beliefs:?}");
    }
}

async fn who_was_created_by_a_task_counts_before_any_sync_has_seen_them_and_whatever_sync_does<P: Place>() {
    for belief in [Trust::Accepted, Trust::Unverified, Trust::Rejected] {
        let state = P::fleeting().await;
        let app = app(1);
        // One of them was already in rejected snapshots.
        kept(&state, &app, &["old"], Trust::Rejected).await;
        for id in ["old", "new", "gone", "gone"] {
            state.note_created(&app, "account", id, None).await.unwrap();
        }
        state.note_deleted(&app, "account", "gone").await.unwrap();
        state.note_deleted(&app, "account", "never there").await.unwrap();
        assert_eq!(state.known_slugs(&app).await.unwrap(), ["account"]);
        assert_eq!(if_all_went(&state, &app, "account").await, (2, 2, 0));

        // In the figures of a sync, they are new, and not changed.
        state.begin(&app).await.unwrap();
        listed(&state, &app, "account", &[("new", 7)]).await;
        let difference =
            Difference { known: 2, seen: 1, created: 1, changed: 0, removed: 1, doubted: 0, confirmed: 0 };
        assert_eq!(state.difference(&app, "account").await.unwrap(), difference);
        assert_eq!(state.ids(&app, "account", Which::Created, None, 9).await.unwrap(), ["new"]);
        assert_eq!(state.ids(&app, "account", Which::Changed, None, 9).await.unwrap(), [""; 0]);
        state.retain(&app, belief).await.unwrap();
        // Once a sync has seen them, they are known like all others.
        state.note_deleted(&app, "account", "new").await.unwrap();
        assert_eq!(if_all_went(&state, &app, "account").await, (2, 2, 0), "{belief:?}");
    }
}

async fn nothing_is_promoted_without_a_listing_under_way<P: Place>() {
    let place = P::empty().await;
    let state = place.state();
    let app = app(1);
    let refused = state.commit(&app, at(1)).await;
    assert!(matches!(refused, Err(Error::NoListing { .. })), "{refused:?}");
    state.begin(&app).await.unwrap();
    listed(state, &app, "account", &[("a", 1), ("b", 1)]).await;
    state.commit(&app, at(1)).await.unwrap();
    let refused = state.commit(&app, at(2)).await;
    assert!(matches!(refused, Err(Error::NoListing { .. })), "promoted twice: {refused:?}");

    // A restart during a snapshot.
    state.begin(&app).await.unwrap();
    listed(state, &app, "account", &[("a", 1)]).await;
    let place = place.reopen().await;
    let state = place.state();
    let results = [
        state.commit(&app, at(3)).await,
        state.add(&app, "account", &[seen("b", 1)]).await.map(drop),
        state.set(&app, "account", &seen("b", 1)).await,
        state.unset(&app, "account", "b").await,
        state.missing(&app, "account", &["b"]).await.map(drop),
        state.seen_count(&app, "account").await.map(drop),
        state.difference(&app, "account").await.map(drop),
        state.ids(&app, "account", Which::Removed, None, 1).await.map(drop),
    ];
    for (number, result) in results.into_iter().enumerate() {
        assert!(matches!(result, Err(Error::NoListing { .. })), "{number}: {result:?}");
    }
    let last = state.last(&app).await.unwrap().unwrap();
    assert_eq!((last.at, last.counts), (at(1), counts(&[("account", 2)])), "the completed one is kept");
}

async fn apps_do_not_see_each_other<P: Place>() {
    let state = P::fleeting().await;
    for number in [1, 2] {
        state.begin(&app(number)).await.unwrap();
    }
    listed(&state, &app(1), "account", &[("a", 1)]).await;
    listed(&state, &app(2), "account", &[("a", 1), ("b", 1)]).await;
    state.begin(&app(1)).await.unwrap();
    assert_eq!(state.seen_count(&app(2), "account").await.unwrap(), 2);
    state.commit(&app(2), at(1)).await.unwrap();
    assert_eq!(state.last(&app(1)).await.unwrap(), None);
}

/// All reasons, and none.
fn reason_of(number: i64) -> Option<RunReason> {
    let which = usize::try_from(number).unwrap() % (RunReason::ALL.len() + 1);
    RunReason::ALL.get(which).copied()
}

async fn runs_come_newest_first_and_by_app<P: Place>() {
    let state = P::fleeting().await;
    let app = app(1);
    let run = |number: i64, result| Run {
        started_at: at(number),
        ended_at: at(number + 1),
        result,
        reason: reason_of(number),
        detail: format!("run {number}"),
        cause: (number % 2 == 0).then(|| format!("cause {number}")),
        pushed: counts(&[("account", 3), ("team", u64::from(u32::MAX))]),
        removed: counts(&[]),
    };
    for (number, result) in (0..).zip(RunResult::ALL) {
        state.record_run(&app, &run(number, result)).await.unwrap();
    }
    let runs = state.runs(&app, 2).await.unwrap();
    assert_eq!(runs, [run(3, RunResult::Held), run(2, RunResult::Failed)]);
    for number in 4..100 {
        state.record_run(&app, &run(number, RunResult::Completed)).await.unwrap();
    }
    let runs = state.runs(&app, u32::MAX).await.unwrap();
    assert_eq!(runs.len(), 100);
    for (run, number) in runs.iter().zip((0..100).rev()) {
        assert_eq!((run.reason, run.cause.is_some()), (reason_of(number), number % 2 == 0), "{run:?}");
    }
    assert_eq!(state.runs(&super::app(2), 10).await.unwrap(), []);
}

async fn what_was_being_completed_when_the_process_died_counts_as_completed<P: Place>() {
    let place = P::empty().await;
    let state = place.state();
    for number in [1, 2] {
        state.begin(&app(number)).await.unwrap();
        listed(state, &app(number), "account", &[("a", 1), ("b", 1)]).await;
    }
    state.prepare_commit(&app(1), at(7), &[]).await.unwrap();

    let place = place.reopen().await;
    let state = place.state();
    let last = state.last(&app(1)).await.unwrap().unwrap();
    assert_eq!((last.at, last.counts), (at(7), counts(&[("account", 2)])));
    assert_eq!(state.last(&app(2)).await.unwrap(), None, "it was not being completed");
}

async fn a_sync_that_begins_counts_one_that_was_being_completed_as_completed<P: Place>() {
    let place = P::empty().await;
    let state = place.state();
    for number in [1, 2, 3, 4] {
        state.begin(&app(number)).await.unwrap();
        listed(state, &app(number), "account", &[("a", 1)]).await;
    }
    for number in [1, 2, 4] {
        state.prepare_commit(&app(number), at(7), &[]).await.unwrap();
    }
    // Iden has not completed this one.
    state.discard(&app(4)).await.unwrap();
    state.begin(&app(1)).await.unwrap();
    state.begin_dry_run(&app(2)).await.unwrap();
    for number in [3, 4] {
        state.begin(&app(number)).await.unwrap();
    }
    listed(state, &app(1), "account", &[("half", 1)]).await;
    let place = place.reopen().await;
    let state = place.state();
    for number in [1, 2] {
        let last = state.last(&app(number)).await.unwrap().unwrap();
        assert_eq!((last.at, last.counts), (at(7), counts(&[("account", 1)])), "{number}");
    }
    for number in [3, 4] {
        assert_eq!(state.last(&app(number)).await.unwrap(), None, "{number}");
    }
}

async fn a_sync_of_which_no_run_was_recorded_was_interrupted<P: Place>() {
    let run = Run {
        started_at: at(1),
        ended_at: at(2),
        result: RunResult::Failed,
        reason: None,
        detail: String::new(),
        cause: None,
        pushed: counts(&[]),
        removed: counts(&[]),
    };
    let place = P::empty().await;
    let state = place.state();
    assert!(!state.was_interrupted(&app(1)).await.unwrap());
    for number in [1, 2] {
        state.begin(&app(number)).await.unwrap();
    }
    state.record_run(&app(2), &run).await.unwrap();
    let place = place.reopen().await;
    let state = place.state();
    assert!(state.was_interrupted(&app(1)).await.unwrap());
    assert!(!state.was_interrupted(&app(2)).await.unwrap());
}

async fn removals_that_are_forgiven_count_no_more<P: Place>() {
    let state = P::fleeting().await;
    for (second, ids) in [(1, ["a", "b"].as_slice()), (2, &["a"]), (3, &[])] {
        for number in [1, 2] {
            state.begin(&app(number)).await.unwrap();
            let records: Vec<(&str, u64)> = ids.iter().map(|id| (*id, 1)).collect();
            listed(&state, &app(number), "account", &records).await;
            state.commit(&app(number), at(second)).await.unwrap();
        }
    }
    state.forgive_removals(&app(1)).await.unwrap();
    assert_eq!(state.removals_since(&app(1), "account", at(0)).await.unwrap(), 0);
    assert_eq!(state.removals_since(&app(2), "account", at(0)).await.unwrap(), 2);
}

async fn what_was_found_out_about_the_past_is_kept<P: Place>() {
    let state = P::fleeting().await;
    assert_eq!(state.past(&app(1)).await.unwrap(), None);
    for past in BaselineOrigin::ALL {
        state.set_past(&app(1), past).await.unwrap();
        state.begin(&app(1)).await.unwrap();
        assert_eq!(state.past(&app(1)).await.unwrap(), Some(past));
    }
    assert_eq!(state.past(&app(2)).await.unwrap(), None);
}
