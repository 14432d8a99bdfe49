use std::path::Path;

use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use serde_json::json;

use super::super::super::{Outcome, ReportResult, TaskJournal};
use super::*;

const SECRET: &str = "hunter2-correct-horse";

/// The files of the folder that contain the secret.
fn files_with_secret(folder: &Path) -> Vec<String> {
    std::fs::read_dir(folder)
        .unwrap()
        .filter_map(|file| {
            let path = file.unwrap().path();
            let bytes = std::fs::read(&path).unwrap();
            let found = bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes());
            found.then(|| path.display().to_string())
        })
        .collect()
}

fn outcome(filler: usize) -> Outcome {
    let result = json!({"password": SECRET, "filler": "f".repeat(filler), "again": SECRET});
    Outcome::Completed { result: result.as_object().cloned() }
}

fn log_is_empty(folder: &Path) -> bool {
    std::fs::metadata(folder.join("tasks.db-wal")).map_or(true, |metadata| metadata.len() == 0)
}

#[tokio::test]
async fn reported_result_is_erased_from_all_files() {
    let folder = temporary();
    let state = Sqlite::open(folder.path()).await.unwrap();
    let app = app(1);
    let mut random = rand::rngs::SmallRng::seed_from_u64(7);
    let mut waiting: Vec<String> = Vec::new();
    // Rows are added, grow, shrink and are removed in random order, so that pages split and merge around the results.
    for number in 0..600_u32 {
        let task = format!("{:016x}-{number}", random.random::<u64>());
        state.intent(&app, &intent(&task, 1, 1)).await.unwrap();
        state
            .record_outcome(&app, &intent(&task, 1, 1), &outcome(random.random_range(0..9000)))
            .await
            .unwrap();
        waiting.push(task);
        if number % 3 == 2 {
            waiting.shuffle(&mut random);
            let task = waiting.pop().unwrap();
            state.ended(&app, &task.into(), &ReportResult::Accepted, at(2)).await.unwrap();
        }
    }
    assert!(!files_with_secret(folder.path()).is_empty(), "the search must find what is there");
    for task in waiting {
        let rejected = ReportResult::Rejected { detail: "no".to_owned() };
        state.ended(&app, &task.into(), &rejected, at(2)).await.unwrap();
    }
    eventually("emptying the log", async || log_is_empty(folder.path()).then_some(())).await;
    assert_eq!(files_with_secret(folder.path()), Vec::<String>::new());
    assert_eq!(state.counts(&app).await.unwrap().rejected, 400);
}

#[tokio::test]
async fn reader_delays_but_does_not_prevent_wal_truncation() {
    let folder = temporary();
    let state = Sqlite::open(folder.path()).await.unwrap();
    state.record_outcome(&app(1), &intent("t1", 1, 1), &outcome(10)).await.unwrap();
    let mut reader = state.tasks().readers().begin().await.unwrap();
    let seen: i64 = sqlx::query_scalar("SELECT count(*) FROM tasks").fetch_one(&mut *reader).await.unwrap();
    assert_eq!(seen, 1);
    state.ended(&app(1), &"t1".into(), &ReportResult::Accepted, at(2)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    state.intent(&app(1), &intent("t2", 1, 1)).await.unwrap();
    assert!(!log_is_empty(folder.path()));
    reader.rollback().await.unwrap();
    eventually("emptying the log", async || log_is_empty(folder.path()).then_some(())).await;
    assert_eq!(files_with_secret(folder.path()), Vec::<String>::new());
}

#[tokio::test]
async fn connector_result_is_erased_for_any_report_result() {
    for ended in
        [ReportResult::Missing, ReportResult::Conflict, ReportResult::Rejected { detail: "no".into() }]
    {
        let folder = temporary();
        let state = Sqlite::open(folder.path()).await.unwrap();
        let result = json!({"account_id": "a1", "note": SECRET}).as_object().cloned();
        state.record_outcome(&app(1), &intent("t1", 1, 1), &Outcome::Completed { result }).await.unwrap();
        assert!(!files_with_secret(folder.path()).is_empty(), "the search must find what is there");
        state.ended(&app(1), &"t1".into(), &ended, at(2)).await.unwrap();
        state.close().await;
        assert_eq!(files_with_secret(folder.path()), Vec::<String>::new());
    }
}

#[tokio::test]
async fn secrets_left_in_the_wal_by_a_crash_are_erased_on_open() {
    let folder = temporary();
    let state = Sqlite::open(folder.path()).await.unwrap();
    state.record_outcome(&app(1), &intent("t1", 1, 1), &outcome(10)).await.unwrap();
    state.ended(&app(1), &"t1".into(), &ReportResult::Accepted, at(2)).await.unwrap();
    let crashed = temporary();
    copy_folder(folder.path(), crashed.path());
    assert!(!files_with_secret(crashed.path()).is_empty(), "the log still has it");
    let _state = Sqlite::open(crashed.path()).await.unwrap();
    assert_eq!(files_with_secret(crashed.path()), Vec::<String>::new());
}
