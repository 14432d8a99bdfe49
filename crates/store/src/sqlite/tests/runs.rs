use super::super::super::{Run, RunReason, RunResult, SnapshotStore};
use super::*;

fn run(number: i64, detail: &str) -> Run {
    Run {
        started_at: at(number),
        ended_at: at(number + 1),
        result: RunResult::Abandoned,
        reason: Some(RunReason::Unreadable),
        detail: detail.to_owned(),
        cause: Some("a cause".to_owned()),
        pushed: [].into(),
        removed: [].into(),
    }
}

/// The stored runs, newest first.
async fn known(state: &Sqlite) -> Vec<(String, Option<RunReason>, Option<String>)> {
    let runs = state.runs(&app(1), 10).await.unwrap();
    runs.into_iter().map(|run| (run.detail, run.reason, run.cause)).collect()
}

#[tokio::test]
async fn runs_of_an_earlier_version_have_no_reason() {
    const STOPPED: &str = "interrupted before the end; no account was removed";
    const STOPPED_EARLIER: &str = "stopped before the end; nobody was removed";
    let folder = temporary();
    let state = Sqlite::open(folder.path()).await.unwrap();
    for (number, detail) in [(0, STOPPED_EARLIER), (1, "the target is gone"), (2, STOPPED)] {
        state.record_run(&app(1), &run(number, detail)).await.unwrap();
    }
    state.close().await;
    // Simulate the format of the previous version.
    let mut connection = super::losses::connect(&folder.path().join("listings.db")).await;
    sqlx::raw_sql(
        "ALTER TABLE runs DROP COLUMN reason; ALTER TABLE runs DROP COLUMN cause;
         DROP TABLE hours; DELETE FROM _sqlx_migrations WHERE version >= 6;",
    )
    .execute(&mut connection)
    .await
    .unwrap();
    sqlx::Connection::close(connection).await.unwrap();

    let old = |reason| {
        [(STOPPED, reason), ("the target is gone", None), (STOPPED_EARLIER, reason)]
            .map(|(detail, reason)| (detail.to_owned(), reason, None))
    };
    let state = Sqlite::read_only(folder.path()).await.unwrap().unwrap();
    assert_eq!(known(&state).await, old(None));
    state.close().await;

    let state = Sqlite::open(folder.path()).await.unwrap();
    assert_eq!(known(&state).await, old(Some(RunReason::Stopped)));
    state.record_run(&app(1), &run(3, "unreadable")).await.unwrap();
    let newest = known(&state).await.remove(0);
    assert_eq!(newest, ("unreadable".into(), Some(RunReason::Unreadable), Some("a cause".into())));
    state.close().await;
}

#[tokio::test]
async fn reason_of_a_later_version_is_read_as_other() {
    let folder = temporary();
    let state = Sqlite::open(folder.path()).await.unwrap();
    state.record_run(&app(1), &run(1, "x")).await.unwrap();
    state.close().await;
    let mut connection = super::losses::connect(&folder.path().join("listings.db")).await;
    sqlx::query("UPDATE runs SET reason = 'from_the_future'").execute(&mut connection).await.unwrap();
    sqlx::Connection::close(connection).await.unwrap();
    let state = Sqlite::open(folder.path()).await.unwrap();
    assert_eq!(known(&state).await[0].1, Some(RunReason::Other));
    state.close().await;
}
