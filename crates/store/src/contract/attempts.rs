use bridgehead_sdk::Code;

use super::super::{AttemptStep, Intent, Pause, Phase, ReportResult, STEPS_KEPT, TaskJournal};
use super::*;

each_state! {
    async steps_are_written_with_the_intent_and_with_the_outcome,
    steps_that_are_noted_come_in_order_and_each_once,
    the_newest_steps_are_kept,
    steps_go_with_their_task,
    steps_survive_a_restart,
    a_refused_write_adds_no_step,
    a_pause_lasts_over_restarts_until_the_app_is_resumed,
}

fn step(phase: Phase, attempt: u32, second: i64) -> AttemptStep {
    AttemptStep {
        attempt,
        phase,
        began_at: at(second),
        ended_at: None,
        code: None,
        message: None,
        next_try_at: None,
    }
}

fn with(steps: Vec<AttemptStep>, intent: Intent) -> Intent {
    Intent { steps, ..intent }
}

async fn steps_are_written_with_the_intent_and_with_the_outcome<P: Place>() {
    let state = P::fleeting().await;
    let (app, task) = (app(1), TaskId::from("t1"));
    assert_eq!(state.attempts(&app, &task).await.unwrap(), []);
    let looked = AttemptStep { ended_at: Some(at(11)), ..step(Phase::LookUp, 1, 10) };
    state.intent(&app, &with(vec![looked.clone()], intent("t1", 1, 12))).await.unwrap();
    let failed = AttemptStep {
        ended_at: Some(at(13)),
        code: Some(Code::RateLimited),
        message: Some("slow down".to_owned()),
        next_try_at: Some(at(30)),
        ..step(Phase::Execute, 1, 12)
    };
    state
        .record_outcome(&app, &with(vec![failed.clone()], intent("t1", 1, 12)), &completed("a"))
        .await
        .unwrap();
    assert_eq!(state.attempts(&app, &task).await.unwrap(), [looked, failed]);
    assert_eq!(state.attempts(&super::app(2), &task).await.unwrap(), []);
    state.ended(&app, &task, &ReportResult::Accepted, at(40)).await.unwrap();
    assert_eq!(state.attempts(&app, &task).await.unwrap().len(), 2, "kept as long as the task is");
    assert_eq!(state.entry(&app, &task).await.unwrap().unwrap().ended_at, Some(at(40)));
}

async fn steps_that_are_noted_come_in_order_and_each_once<P: Place>() {
    let state = P::fleeting().await;
    let (app, task) = (app(1), TaskId::from("t1"));
    let late = step(Phase::Wait, 1, 30);
    state.note_attempts(&app, &task, &[late.clone(), step(Phase::Fetch, 0, 10)]).await.unwrap();
    state.note_attempts(&app, &task, &[]).await.unwrap();
    let ended = AttemptStep { ended_at: Some(at(60)), ..late };
    state.note_attempts(&app, &task, &[ended.clone(), step(Phase::Execute, 1, 30)]).await.unwrap();
    let steps = state.attempts(&app, &task).await.unwrap();
    assert_eq!(steps, [step(Phase::Fetch, 0, 10), step(Phase::Execute, 1, 30), ended]);
}

async fn the_newest_steps_are_kept<P: Place>() {
    let state = P::fleeting().await;
    let (app, task) = (app(1), TaskId::from("t1"));
    let most = i64::try_from(STEPS_KEPT).unwrap();
    for second in 0..most + 5 {
        state.note_attempts(&app, &task, &[step(Phase::Wait, 1, second)]).await.unwrap();
    }
    let steps = state.attempts(&app, &task).await.unwrap();
    assert_eq!((steps.len(), steps[0].began_at), (STEPS_KEPT, at(5)));
}

async fn steps_go_with_their_task<P: Place>() {
    let state = P::fleeting().await;
    let app = app(1);
    let steps_of = async |task: &str| state.attempts(&app, &task.into()).await.unwrap().len();
    state.intent(&app, &with(vec![step(Phase::Fetch, 0, 10)], intent("forgotten", 1, 10))).await.unwrap();
    state.forget(&app, &"forgotten".into()).await.unwrap();
    assert_eq!(steps_of("forgotten").await, 0);
    for (task, ended) in [("old", 50), ("young", 100)] {
        let intent = with(vec![step(Phase::Fetch, 0, 10)], intent(task, 1, 10));
        state.record_outcome(&app, &intent, &completed("a")).await.unwrap();
        state.ended(&app, &task.into(), &ReportResult::Accepted, at(ended)).await.unwrap();
    }
    // This task was never started: it only has steps before the first attempt.
    let steps = [step(Phase::Fetch, 0, 10), step(Phase::Wait, 0, 200)];
    state.note_attempts(&app, &"waiting".into(), &steps).await.unwrap();
    state.note_attempts(&super::app(2), &"old".into(), &steps).await.unwrap();
    assert_eq!(state.prune(&app, at(100)).await.unwrap(), 1);
    assert_eq!((steps_of("old").await, steps_of("young").await, steps_of("waiting").await), (0, 1, 1));
    assert_eq!(state.attempts(&super::app(2), &"old".into()).await.unwrap().len(), 2);
}

async fn steps_survive_a_restart<P: Place>() {
    let place = P::empty().await;
    place.state().note_attempts(&app(1), &"t1".into(), &[step(Phase::Wait, 3, 10)]).await.unwrap();
    let place = place.reopen().await;
    assert_eq!(place.state().attempts(&app(1), &"t1".into()).await.unwrap(), [step(Phase::Wait, 3, 10)]);
}

async fn a_refused_write_adds_no_step<P: Place>() {
    let state = P::fleeting().await;
    let (app, task) = (app(1), TaskId::from("t1"));
    state.record_outcome(&app, &intent("t1", 1, 1), &completed("a")).await.unwrap();
    let more = with(vec![step(Phase::Execute, 2, 2)], intent("t1", 2, 2));
    state.intent(&app, &more).await.unwrap_err();
    state.record_outcome(&app, &more, &completed("b")).await.unwrap_err();
    state.record_outcome(&app, &more, &completed("a")).await.unwrap();
    assert_eq!(state.attempts(&app, &task).await.unwrap(), []);
}

async fn a_pause_lasts_over_restarts_until_the_app_is_resumed<P: Place>() {
    let place = P::empty().await;
    let pause = Pause { since: at(10), by: "ann".to_owned(), reason: Some("migration".to_owned()) };
    let state = place.state();
    assert_eq!(state.paused(&app(1)).await.unwrap(), None);
    state.pause(&app(1), &pause).await.unwrap();
    let place = place.reopen().await;
    let state = place.state();
    assert_eq!(state.paused(&app(1)).await.unwrap(), Some(pause.clone()));
    assert_eq!(state.paused(&app(2)).await.unwrap(), None);
    let other = Pause { reason: None, ..pause };
    state.pause(&app(1), &other).await.unwrap();
    assert_eq!(state.paused(&app(1)).await.unwrap(), Some(other));
    state.resume(&app(1)).await.unwrap();
    state.resume(&app(1)).await.unwrap();
    assert_eq!(state.paused(&app(1)).await.unwrap(), None);
}
