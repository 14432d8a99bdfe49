use super::super::{HistoryStore, Hour, Run, RunReason, RunResult, SnapshotStore};
use super::*;

each_state! {
    async an_hour_takes_the_place_of_what_was_known_of_it_and_outlives_the_process,
    hours_come_oldest_first_from_an_instant_on_and_old_ones_go,
    runs_of_a_month_are_kept_and_always_the_last_ones,
    there_are_never_more_runs_than_are_kept_at_most,
    a_run_is_found_by_its_number_in_its_own_app_alone,
}

const DAY: i64 = 24 * 3600;

fn hour(second: i64, completed: u64) -> Hour {
    let failed = [("TIMEOUT".to_owned(), 2), ("ACCOUNT_NOT_FOUND".to_owned(), 1)].into();
    let durations = [1, 2, 3, 4, 5, 6, 7, u64::from(u32::MAX)];
    Hour { at: at(second), completed, failed, retried: 3, held: 4, oldest_pending: 5, durations }
}

fn run(second: i64) -> Run {
    Run {
        started_at: at(second - 1),
        ended_at: at(second),
        result: RunResult::Completed,
        reason: (second % 2 == 0).then_some(RunReason::Unwatched),
        detail: format!("at {second}"),
        cause: (second % 3 == 0).then(|| format!("cause {second}")),
        pushed: [("account".to_owned(), 3)].into(),
        removed: [("account".to_owned(), 1)].into(),
    }
}

async fn an_hour_takes_the_place_of_what_was_known_of_it_and_outlives_the_process<P: Place>() {
    let place = P::empty().await;
    for completed in [1, 9, 9] {
        place.state().set_hour(&app(1), &hour(3600, completed)).await.unwrap();
    }
    let place = place.reopen().await;
    assert_eq!(place.state().hours(&app(1), at(0)).await.unwrap(), [hour(3600, 9)]);
    assert_eq!(place.state().hours(&app(2), at(0)).await.unwrap(), []);
}

async fn hours_come_oldest_first_from_an_instant_on_and_old_ones_go<P: Place>() {
    let state = P::fleeting().await;
    for second in [7200, 3600, 10_800] {
        state.set_hour(&app(1), &hour(second, 1)).await.unwrap();
    }
    let seconds = async |app, since| -> Vec<i64> {
        let hours = state.hours(&app, at(since)).await.unwrap();
        hours.iter().map(|hour| hour.at.as_second()).collect()
    };
    assert_eq!(seconds(app(1), 0).await, [3600, 7200, 10_800]);
    assert_eq!(seconds(app(1), 7200).await, [7200, 10_800]);
    state.set_hour(&app(2), &hour(3600, 1)).await.unwrap();
    state.set_hour(&app(1), &hour(7200 + 30 * DAY, 1)).await.unwrap();
    assert_eq!(seconds(app(1), 0).await, [7200, 10_800, 7200 + 30 * DAY], "exactly 30 days are kept");
    assert_eq!(seconds(app(2), 0).await, [3600], "another app's time is its own");
}

async fn runs_of_a_month_are_kept_and_always_the_last_ones<P: Place>() {
    let state = P::fleeting().await;
    for number in 0..300 {
        state.record_run(&app(1), &run(number)).await.unwrap();
    }
    assert_eq!(state.recorded_runs(&app(1)).await.unwrap().len(), 300);
    state.record_run(&app(1), &run(40 * DAY)).await.unwrap();
    let kept = state.runs(&app(1), u32::MAX).await.unwrap();
    assert_eq!((kept.len(), kept[0].ended_at, kept[199].ended_at), (200, at(40 * DAY), at(101)));
}

async fn there_are_never_more_runs_than_are_kept_at_most<P: Place>() {
    let state = P::fleeting().await;
    for number in 0..5_010 {
        state.record_run(&app(1), &run(number)).await.unwrap();
    }
    let kept = state.recorded_runs(&app(1)).await.unwrap();
    assert_eq!((kept.len(), kept[0].run.ended_at, kept[4_999].run.ended_at), (5_000, at(5_009), at(10)));
    assert!(kept.is_sorted_by(|newer, older| newer.id > older.id));
}

async fn a_run_is_found_by_its_number_in_its_own_app_alone<P: Place>() {
    let place = P::empty().await;
    place.state().record_run(&app(1), &run(1)).await.unwrap();
    place.state().record_run(&app(2), &run(2)).await.unwrap();
    let place = place.reopen().await;
    let state = place.state();
    let [recorded] = &state.recorded_runs(&app(1)).await.unwrap()[..] else { panic!("one run") };
    assert_eq!(recorded.run, run(1));
    assert_eq!(state.recorded_run(&app(1), recorded.id).await.unwrap().as_ref(), Some(recorded));
    for (number, id) in [(2, recorded.id), (1, 0), (1, u64::MAX), (1, recorded.id + 9)] {
        assert_eq!(state.recorded_run(&app(number), id).await.unwrap(), None, "{number} {id}");
    }
}
