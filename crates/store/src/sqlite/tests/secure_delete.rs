use std::collections::BTreeSet;
use std::path::Path;

use futures::future::join_all;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use serde_json::json;

use super::super::super::{Intent, Outcome, ReportResult, State, TaskJournal};
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

/// The text that only this task's outcome contains.
fn mark(task: usize) -> String {
    format!("<{SECRET}-{task}>")
}

/// The tasks whose mark is in a file of the folder.
fn tasks_in_files(folder: &Path) -> BTreeSet<usize> {
    let mut found = BTreeSet::new();
    let begin = format!("<{SECRET}-");
    for file in std::fs::read_dir(folder).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        for at in 0..bytes.len().saturating_sub(begin.len()) {
            let Some(rest) = bytes[at..].strip_prefix(begin.as_bytes()) else { continue };
            let end = rest.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or_default();
            // A mark may continue on the next page.
            if rest[end] == b'>' {
                found.insert(std::str::from_utf8(&rest[..end]).unwrap().parse().unwrap());
            }
        }
    }
    found
}

/// Outcomes that share pages are erased one by one: the others in the same page are not reported yet.
#[tokio::test]
async fn reported_results_are_erased_while_others_of_their_commit_stay() {
    for longest in [50, 3_000] {
        let folder = temporary();
        let state = Sqlite::open(folder.path()).await.unwrap();
        let app = app(1);
        let mut random = rand::rngs::SmallRng::seed_from_u64(longest);
        let mut waiting: Vec<usize> = Vec::new();
        for round in 0..6 {
            let new: Vec<usize> = (round * 70..(round + 1) * 70).collect();
            let identities: Vec<Intent> = new.iter().map(|task| intent(&format!("t{task}"), 1, 1)).collect();
            let outcomes: Vec<Outcome> = new
                .iter()
                .map(|task| {
                    let filler =
                        mark(*task).repeat(usize::try_from(random.random_range(1..longest / 20)).unwrap());
                    Outcome::Completed { result: json!({"note": filler}).as_object().cloned() }
                })
                .collect();
            let before = state.stats().commits;
            let writes = identities.iter().zip(&outcomes);
            let written = join_all(writes.map(|(identity, outcome)| async {
                state.intent(&app, identity).await?;
                state.record_outcome(&app, identity, outcome).await
            }));
            assert!(written.await.iter().all(Result::is_ok));
            assert!(state.stats().commits - before < 10, "they share commits");
            for (identity, outcome) in identities.iter().zip(&outcomes) {
                let entry = state.entry(&app, &identity.task).await.unwrap().unwrap();
                assert_eq!(entry.state, State::Decided(outcome.clone()));
            }
            waiting.extend(new);
            waiting.shuffle(&mut random);
            let ended = waiting.split_off(waiting.len() / 3);
            let ends = ended.iter().map(|task| {
                let (state, app, task) = (&state, &app, format!("t{task}").into());
                async move { state.ended(app, &task, &ReportResult::Accepted, at(2)).await }
            });
            assert!(join_all(ends).await.iter().all(Result::is_ok));
            eventually("emptying the log", async || log_is_empty(folder.path()).then_some(())).await;
            let found = tasks_in_files(folder.path());
            let waiting: BTreeSet<usize> = waiting.iter().copied().collect();
            assert!(found.is_subset(&waiting), "{:?} are not erased", found.difference(&waiting));
            assert!(found.len() * 10 >= waiting.len() * 8, "{:?} are lost", waiting.difference(&found));
        }
        let open = state.open(&app).await.unwrap();
        assert_eq!(open.len(), waiting.len());
        for entry in open {
            let State::Decided(Outcome::Completed { result: Some(result) }) = entry.state else { panic!() };
            let note = result["note"].as_str().unwrap();
            let mark = format!("<{SECRET}-{}>", &entry.task.as_str()[1..]);
            assert_eq!(note.replace(&mark, ""), "", "each task has its own outcome");
        }
        for task in waiting {
            state.ended(&app, &format!("t{task}").into(), &ReportResult::Accepted, at(3)).await.unwrap();
        }
        state.close().await;
        assert_eq!(tasks_in_files(folder.path()), BTreeSet::new());
    }
}

#[tokio::test]
async fn outcomes_of_a_commit_share_pages() {
    const TASKS: usize = 64;
    let folder = temporary();
    let state = Sqlite::open(folder.path()).await.unwrap();
    at_rest(folder.path()).await;
    let app = app(1);
    let identities: Vec<Intent> = (0..TASKS).map(|task| intent(&format!("t{task}"), 1, 1)).collect();
    join_all(identities.iter().map(|identity| state.intent(&app, identity))).await;
    let log_pages = || std::fs::metadata(folder.path().join("tasks.db-wal")).unwrap().len() / 4096;
    let before = log_pages();
    let outcome = outcome(10);
    join_all(identities.iter().map(|identity| state.record_outcome(&app, identity, &outcome))).await;
    let accepted = ReportResult::Accepted;
    join_all(identities.iter().map(|identity| state.ended(&app, &identity.task, &accepted, at(2)))).await;
    let pages = log_pages() - before;
    assert!(pages < TASKS as u64, "{pages} pages were written for {TASKS} outcomes and their ends");
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
