use super::super::super::{Error, ReportResult, TaskJournal};
use super::*;

/// Simulates data of a future version.
async fn overwrite(state: &Sqlite, statement: &'static str) {
    state.tasks().write(super::writer::Raw(statement)).await.unwrap();
}

#[tokio::test]
async fn unknown_task_state_is_an_error() {
    let state = fleeting().await;
    let app = app(1);
    for name in ["archived", "suspended"] {
        state.intent(&app, &intent(name, 1, 1)).await.unwrap();
    }
    overwrite(&state, "UPDATE tasks SET state = task").await;
    let task = TaskId::from("archived");
    let identity = intent("archived", 2, 2);
    let results = [
        state.open(&app).await.map(drop),
        state.entry(&app, &task).await.map(drop),
        state.known(&app, std::slice::from_ref(&task)).await.map(drop),
        state.counts(&app).await.map(drop),
        state.intent(&app, &identity).await,
        state.record_outcome(&app, &identity, &completed("a")).await,
        state.ended(&app, &task, &ReportResult::Accepted, at(3)).await,
        state.forget(&app, &task).await,
    ];
    for (number, result) in results.into_iter().enumerate() {
        assert!(matches!(result, Err(Error::Unreadable { .. })), "{number}: {result:?}");
    }
    assert_eq!(state.prune(&app, at(i64::from(i32::MAX))).await.unwrap(), 0);
}

#[tokio::test]
async fn unknown_values_are_named_in_the_error() {
    let state = fleeting().await;
    let app = app(1);
    let task = TaskId::from("t1");
    let reset = async || {
        overwrite(&state, "DELETE FROM tasks").await;
        state.record_outcome(&app, &intent("t1", 1, 1), &failed("x")).await.unwrap();
        state.ended(&app, &task, &ReportResult::Accepted, at(2)).await.unwrap();
    };
    for (statement, named) in [
        ("UPDATE tasks SET ended = 'postponed'", "postponed"),
        ("UPDATE tasks SET code = 'OUT_OF_OFFICE'", "OUT_OF_OFFICE"),
        ("UPDATE tasks SET status = 'partial'", "partial"),
        ("UPDATE tasks SET keys = x'00'", "keys"),
        ("UPDATE tasks SET attempt = -1", "attempt"),
        ("UPDATE tasks SET first_intent_at = 9223372036854775807", "instant"),
    ] {
        reset().await;
        overwrite(&state, statement).await;
        let error = state.entry(&app, &task).await.unwrap_err();
        assert!(matches!(error, Error::Unreadable { .. }), "{statement}: {error:?}");
        assert!(error.to_string().contains(named) && error.to_string().contains("t1"), "{error}");
    }
}
