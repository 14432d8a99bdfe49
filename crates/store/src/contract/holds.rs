use bridgehead_sdk::Action;

use super::super::{Held, Intent, ReportResult, TaskJournal};
use super::*;

each_state! {
    async every_action_that_takes_access_away_is_counted_and_no_other,
    a_task_counts_from_its_first_call_whatever_came_of_it,
    a_hold_lasts_until_it_is_released_or_forgotten,
    holds_survive_a_restart,
    pruning_leaves_holds_and_releases_that_are_still_needed,
    any_number_of_tasks_is_held_at_once,
}

fn of(action: &str, task: &str, attempt: u32, second: i64) -> Intent {
    Intent { action: action.to_owned(), ..intent(task, attempt, second) }
}

fn held(task: &str, held_at: i64, released_at: Option<i64>) -> Held {
    Held { task: task.into(), held_at: at(held_at), released_at: released_at.map(at) }
}

async fn every_action_that_takes_access_away_is_counted_and_no_other<P: Place>() {
    let state = P::fleeting().await;
    for action in Action::ALL {
        state.intent(&app(1), &of(action.as_str(), action.as_str(), 1, 10)).await.unwrap();
    }
    state.intent(&app(1), &of("merge_account", "unknown", 1, 10)).await.unwrap();
    let expected = Action::ALL.iter().copied().filter(|action| action.is_destructive()).count();
    assert_eq!(state.destructive_since(&app(1), at(0)).await.unwrap().len(), expected);
    assert!(state.destructive_since(&app(2), at(0)).await.unwrap().is_empty());
}

async fn a_task_counts_from_its_first_call_whatever_came_of_it<P: Place>() {
    let state = P::fleeting().await;
    let app = app(1);
    let delete = |task, attempt, second| of("delete_account", task, attempt, second);
    state.intent(&app, &delete("old", 1, 10)).await.unwrap();
    state.intent(&app, &delete("old", 2, 100)).await.unwrap();
    state.intent(&app, &delete("edge", 1, 50)).await.unwrap();
    state.intent(&app, &delete("failed", 1, 70)).await.unwrap();
    state.record_outcome(&app, &delete("failed", 1, 70), &failed("no such account")).await.unwrap();
    state.ended(&app, &"failed".into(), &ReportResult::Accepted, at(71)).await.unwrap();
    state.intent(&app, &delete("running", 1, 60)).await.unwrap();
    // Rejected before the connector was called.
    state.record_outcome(&app, &delete("protected", 0, 65), &failed("is protected")).await.unwrap();
    assert_eq!(state.destructive_since(&app, at(50)).await.unwrap(), [at(60), at(70)]);
}

async fn a_hold_lasts_until_it_is_released_or_forgotten<P: Place>() {
    let state = P::fleeting().await;
    let app = app(1);
    state.hold(&app, &["a".into(), "b".into(), "c".into()], at(10)).await.unwrap();
    state.hold(&app, &["b".into(), "d".into()], at(20)).await.unwrap();
    state.release(&app, &["a".into(), "never-held".into()], at(30)).await.unwrap();
    state.release(&app, &["a".into()], at(40)).await.unwrap();
    state.hold(&app, &["a".into()], at(50)).await.unwrap();
    state.unhold(&app, &["c".into(), "never-held".into()]).await.unwrap();
    let expected = [held("a", 10, Some(30)), held("b", 10, None), held("d", 20, None)];
    assert_eq!(state.held(&app).await.unwrap(), expected);
    assert!(state.held(&super::app(2)).await.unwrap().is_empty());
}

async fn holds_survive_a_restart<P: Place>() {
    let place = P::empty().await;
    let state = place.state();
    state.hold(&app(1), &["a".into(), "b".into()], at(10)).await.unwrap();
    state.release(&app(1), &["b".into()], at(20)).await.unwrap();
    let place = place.reopen().await;
    let state = place.state();
    assert_eq!(state.held(&app(1)).await.unwrap(), [held("a", 10, None), held("b", 10, Some(20))]);
}

async fn pruning_leaves_holds_and_releases_that_are_still_needed<P: Place>() {
    let state = P::fleeting().await;
    let app = app(1);
    let tasks: Vec<TaskId> = ["held", "waiting", "called", "stale"].map(TaskId::from).into();
    state.hold(&app, &tasks, at(10)).await.unwrap();
    state.release(&app, &["stale".into()], at(20)).await.unwrap();
    state.release(&app, &["waiting".into(), "called".into()], at(60)).await.unwrap();
    state.intent(&app, &of("delete_account", "called", 1, 61)).await.unwrap();
    state.prune(&app, at(50)).await.unwrap();
    assert_eq!(state.held(&app).await.unwrap(), [held("held", 10, None), held("waiting", 10, Some(60))]);
}

async fn any_number_of_tasks_is_held_at_once<P: Place>() {
    let state = P::fleeting().await;
    let tasks: Vec<TaskId> = (0..2_500).map(|number| TaskId::from(format!("t-{number}"))).collect();
    state.hold(&app(1), &tasks, at(10)).await.unwrap();
    assert_eq!(state.held(&app(1)).await.unwrap().len(), 2_500);
    state.unhold(&app(1), &tasks).await.unwrap();
    assert!(state.held(&app(1)).await.unwrap().is_empty());
}
