use super::super::{Counts, Error, Known, ReportResult, RetainedOutcome, State, TaskJournal};
use super::*;

each_state! {
    async a_task_lives_from_intent_to_end,
    a_task_with_an_outcome_is_not_intended_again,
    the_first_outcome_wins,
    what_an_attempt_may_have_done_and_what_was_there_before_it_are_kept,
    what_is_reported_again_is_what_was_reported,
    only_a_rejected_report_can_end_again,
    a_report_cannot_end_without_an_outcome,
    an_intent_can_be_forgotten_and_an_outcome_cannot,
    open_tasks_come_oldest_first_and_apps_are_apart,
    known_takes_any_number_of_tasks,
    counts_say_how_many_stand_where,
    pruning_leaves_open_and_rejected_tasks,
}

async fn a_task_lives_from_intent_to_end<P: Place>() {
    let state = P::fleeting().await;
    let app = app(1);
    let task = TaskId::from("t1");
    state.intent(&app, &intent("t1", 1, 10)).await.unwrap();
    state.intent(&app, &intent("t1", 2, 20)).await.unwrap();

    let entry = state.entry(&app, &task).await.unwrap().unwrap();
    assert_eq!((entry.attempt, entry.first_intent_at, entry.last_intent_at), (2, at(10), at(20)));
    assert_eq!((entry.keys, entry.created_at), (vec![7, u64::MAX], Some(at(1_000))));
    assert_eq!((entry.state, entry.kept), (State::Intended, None));

    state.record_outcome(&app, &intent("t1", 2, 20), &completed("a1")).await.unwrap();
    let open = state.open(&app).await.unwrap();
    assert_eq!(open.len(), 1);
    assert_eq!(open[0].state, State::Decided(completed("a1")));

    state.ended(&app, &task, &ReportResult::Accepted, at(30)).await.unwrap();
    assert_eq!(state.open(&app).await.unwrap(), []);
    let entry = state.entry(&app, &task).await.unwrap().unwrap();
    assert_eq!(
        (entry.state, entry.kept),
        (State::Ended(ReportResult::Accepted), Some(RetainedOutcome::Completed { result: account("a1") }))
    );
}

async fn a_task_with_an_outcome_is_not_intended_again<P: Place>() {
    let state = P::fleeting().await;
    let app = app(1);
    state.intent(&app, &intent("t1", 1, 10)).await.unwrap();
    state.record_outcome(&app, &intent("t1", 1, 10), &completed("a1")).await.unwrap();
    let refused = state.intent(&app, &intent("t1", 2, 20)).await;
    assert!(matches!(refused, Err(Error::AlreadyDecided { .. })), "{refused:?}");
    state.ended(&app, &"t1".into(), &ReportResult::Conflict, at(30)).await.unwrap();
    let refused = state.intent(&app, &intent("t1", 2, 20)).await;
    assert!(matches!(refused, Err(Error::AlreadyDecided { .. })), "{refused:?}");
    assert_eq!(state.entry(&app, &"t1".into()).await.unwrap().unwrap().attempt, 1);
}

async fn the_first_outcome_wins<P: Place>() {
    let state = P::fleeting().await;
    let app = app(1);
    let identity = intent("t1", 1, 10);
    state.record_outcome(&app, &identity, &failed("first")).await.unwrap();
    state.record_outcome(&app, &identity, &failed("first")).await.unwrap();
    let refused = state.record_outcome(&app, &identity, &failed("second")).await;
    assert!(matches!(refused, Err(Error::AlreadyDecided { .. })), "{refused:?}");
    let entry = state.entry(&app, &"t1".into()).await.unwrap().unwrap();
    assert_eq!(entry.state, State::Decided(failed("first")));
    assert_eq!((entry.first_intent_at, entry.attempt), (at(10), 1));
}

fn account(id: &str) -> Option<serde_json::Map<String, serde_json::Value>> {
    json!({ "account_id": id }).as_object().cloned()
}

async fn what_an_attempt_may_have_done_and_what_was_there_before_it_are_kept<P: Place>() {
    let place = P::empty().await;
    let state = place.state();
    let app = app(1);
    let seen = PriorAccount::Seen { fields: [("last_name".to_owned(), 7)].into() };
    let first = Intent { prior: seen.clone(), ..intent("t1", 1, 10) };
    state.intent(&app, &first).await.unwrap();
    let entry = async |state: &P::State| state.entry(&app, &"t1".into()).await.unwrap().unwrap();
    assert!(entry(state).await.may_have_applied, "the call may have been made by now");
    state.not_applied(&app, &"t1".into()).await.unwrap();
    state.not_applied(&app, &"unknown".into()).await.unwrap();
    assert!(!entry(state).await.may_have_applied);
    state.intent(&app, &intent("t1", 2, 20)).await.unwrap();
    let place = place.reopen().await;
    let state = place.state();
    let entry = entry(state).await;
    assert!(entry.may_have_applied);
    assert_eq!(entry.prior, seen, "only what was there before the first attempt counts");
}

async fn what_is_reported_again_is_what_was_reported<P: Place>() {
    let state = P::fleeting().await;
    let app = app(1);
    let result = json!({"account_id": "a1", "not_verified": ["password"], "password": "hunter2"});
    let done = Outcome::Completed { result: result.as_object().cloned() };
    for (task, outcome) in [("done", &done), ("failed", &failed("nobody"))] {
        state.record_outcome(&app, &intent(task, 1, 1), outcome).await.unwrap();
        state.ended(&app, &task.into(), &ReportResult::Accepted, at(2)).await.unwrap();
    }
    let kept =
        async |task: &str| state.entry(&app, &task.into()).await.unwrap().unwrap().kept.unwrap().outcome();
    assert_eq!(kept("failed").await, failed("nobody"));
    let known = json!({"account_id": "a1", "not_verified": ["password"]}).as_object().cloned();
    assert_eq!(
        kept("done").await,
        Outcome::Completed { result: known },
        "what a connector adds may be a secret"
    );
    // Iden still lists the task, and its outcome was reported again: it is not removed.
    state.ended(&app, &"done".into(), &ReportResult::Conflict, at(90)).await.unwrap();
    assert_eq!(state.prune(&app, at(50)).await.unwrap(), 1);
    let entry = state.entry(&app, &"done".into()).await.unwrap().unwrap();
    assert_eq!(entry.state, State::Ended(ReportResult::Accepted));
}

async fn only_a_rejected_report_can_end_again<P: Place>() {
    let state = P::fleeting().await;
    let app = app(1);
    let task = TaskId::from("t1");
    let rejected = ReportResult::Rejected { detail: "unknown field".to_owned() };
    state.record_outcome(&app, &intent("t1", 1, 10), &failed("no such account")).await.unwrap();
    state.ended(&app, &task, &rejected, at(20)).await.unwrap();

    let listed = state.rejected(&app).await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].state, State::Ended(rejected));
    let kept = |message: Option<&str>| {
        Some(RetainedOutcome::Failed { code: Code::AccountNotFound, message: message.map(str::to_owned) })
    };
    assert_eq!(listed[0].kept, kept(Some("no such account")));

    state.ended(&app, &task, &ReportResult::Accepted, at(30)).await.unwrap();
    assert_eq!(state.rejected(&app).await.unwrap(), []);
    assert_eq!(state.entry(&app, &task).await.unwrap().unwrap().kept, kept(Some("no such account")));

    state.ended(&app, &task, &ReportResult::Missing, at(40)).await.unwrap();
    let entry = state.entry(&app, &task).await.unwrap().unwrap();
    assert_eq!(entry.state, State::Ended(ReportResult::Accepted), "an end is final");
}

async fn a_report_cannot_end_without_an_outcome<P: Place>() {
    let state = P::fleeting().await;
    let app = app(1);
    let ended = state.ended(&app, &"t1".into(), &ReportResult::Accepted, at(20)).await;
    assert!(matches!(ended, Err(Error::NotDecided { .. })), "{ended:?}");
    state.intent(&app, &intent("t1", 1, 10)).await.unwrap();
    let ended = state.ended(&app, &"t1".into(), &ReportResult::Accepted, at(20)).await;
    assert!(matches!(ended, Err(Error::NotDecided { .. })), "{ended:?}");
}

async fn an_intent_can_be_forgotten_and_an_outcome_cannot<P: Place>() {
    let state = P::fleeting().await;
    let app = app(1);
    state.intent(&app, &intent("t1", 1, 10)).await.unwrap();
    state.forget(&app, &"t1".into()).await.unwrap();
    assert_eq!(state.entry(&app, &"t1".into()).await.unwrap(), None);
    state.forget(&app, &"t1".into()).await.unwrap();

    state.record_outcome(&app, &intent("t2", 1, 10), &completed("a2")).await.unwrap();
    let refused = state.forget(&app, &"t2".into()).await;
    assert!(matches!(refused, Err(Error::AlreadyDecided { .. })), "{refused:?}");
    assert_eq!(state.open(&app).await.unwrap().len(), 1);
}

async fn open_tasks_come_oldest_first_and_apps_are_apart<P: Place>() {
    let state = P::fleeting().await;
    let created = |task: &str, created_at: Option<i64>, second: i64| Intent {
        created_at: created_at.map(at),
        ..intent(task, 1, second)
    };
    for (task, created_at) in [("c", Some(300)), ("a", Some(200)), ("b", Some(200)), ("d", None)] {
        state.intent(&app(1), &created(task, created_at, 250)).await.unwrap();
    }
    state.intent(&app(2), &created("elsewhere", Some(1), 1)).await.unwrap();
    state.record_outcome(&app(1), &created("a", Some(200), 250), &completed("a")).await.unwrap();
    let order: Vec<String> =
        state.open(&app(1)).await.unwrap().into_iter().map(|entry| entry.task.into_string()).collect();
    assert_eq!(order, ["a", "b", "d", "c"]);
}

async fn known_takes_any_number_of_tasks<P: Place>() {
    let state = P::fleeting().await;
    let app = app(1);
    state.intent(&app, &intent("t-5", 1, 1)).await.unwrap();
    state.record_outcome(&app, &intent("t-39999", 1, 1), &completed("a")).await.unwrap();
    state.record_outcome(&app, &intent("t-700", 1, 1), &completed("a")).await.unwrap();
    state.ended(&app, &"t-700".into(), &ReportResult::Accepted, at(2)).await.unwrap();
    let tasks: Vec<TaskId> = (0..40_000).map(|n| TaskId::from(format!("t-{n}"))).collect();
    let known = state.known(&app, &tasks).await.unwrap();
    assert_eq!(known.len(), 3);
    assert_eq!(known[&TaskId::from("t-5")], Known::Intended);
    assert_eq!(known[&TaskId::from("t-39999")], Known::Decided);
    assert_eq!(known[&TaskId::from("t-700")], Known::Ended);
    assert!(state.known(&app, &[]).await.unwrap().is_empty());
}

async fn counts_say_how_many_stand_where<P: Place>() {
    let state = P::fleeting().await;
    let app = app(1);
    let rejected = ReportResult::Rejected { detail: String::new() };
    let ends =
        [ReportResult::Accepted, ReportResult::Conflict, ReportResult::Missing, rejected.clone(), rejected];
    for (number, end) in ends.iter().enumerate() {
        let task = format!("ended-{number}");
        state.record_outcome(&app, &intent(&task, 1, 1), &completed("a")).await.unwrap();
        state.ended(&app, &task.into(), end, at(2)).await.unwrap();
    }
    state.intent(&app, &intent("intended", 1, 1)).await.unwrap();
    let expected = Counts {
        intended: 1,
        decided: 0,
        ended_accepted: 1,
        ended_conflict: 1,
        ended_missing: 1,
        rejected: 2,
    };
    assert_eq!(state.counts(&app).await.unwrap(), expected);
}

async fn pruning_leaves_open_and_rejected_tasks<P: Place>() {
    let state = P::fleeting().await;
    let app = app(1);
    let rejected = ReportResult::Rejected { detail: "no".to_owned() };
    let end = async |task: &str, ended: &ReportResult, second: i64| {
        state.record_outcome(&app, &intent(task, 1, 1), &completed("a")).await.unwrap();
        state.ended(&app, &task.into(), ended, at(second)).await.unwrap();
    };
    for number in 0..2_100 {
        end(&format!("old-{number}"), &ReportResult::Accepted, 50).await;
    }
    end("young", &ReportResult::Accepted, 100).await;
    end("rejected", &rejected, 50).await;
    state.intent(&app, &intent("intended", 1, 1)).await.unwrap();
    state.record_outcome(&app, &intent("decided", 1, 1), &completed("a")).await.unwrap();

    assert_eq!(state.prune(&app, at(100)).await.unwrap(), 2_100);
    assert_eq!(state.prune(&app, at(100)).await.unwrap(), 0);
    for task in ["young", "rejected", "intended", "decided"] {
        assert!(state.entry(&app, &task.into()).await.unwrap().is_some(), "{task} is gone");
    }
}
