use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures::future::join_all;
use sqlx::SqliteConnection;

use super::super::super::{Error, ReportResult, TaskJournal};
use super::super::writer::{CommitPhase, Observer, Problem, Write};
use super::*;

/// Runs any statement through the writer.
pub(super) struct Raw(pub(super) &'static str);

#[async_trait]
impl Write for Raw {
    type Answer = ();
    const NAME: &'static str = "raw";

    async fn run(&mut self, connection: &mut SqliteConnection) -> Result<(), Problem> {
        sqlx::raw_sql(self.0).execute(connection).await?;
        Ok(())
    }
}

struct Panic;

#[async_trait]
impl Write for Panic {
    type Answer = ();
    const NAME: &'static str = "panic";

    async fn run(&mut self, _: &mut SqliteConnection) -> Result<(), Problem> {
        panic!("a mistake in a write");
    }
}

/// Records the names of the writes in every commit.
fn recorder() -> (Observer, Arc<Mutex<Vec<Vec<&'static str>>>>) {
    let commits = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&commits);
    let observer: Observer = Arc::new(move |step| {
        if step.moment == CommitPhase::AfterCommit {
            noted.lock().unwrap().push(step.writes.to_vec());
        }
    });
    (observer, commits)
}

#[tokio::test]
async fn concurrent_writes_share_commits() {
    let folder = temporary();
    let state = Sqlite::open(folder.path()).await.unwrap();
    let app = app(1);
    let intents: Vec<_> = (0..200).map(|number| intent(&format!("t{number}"), 1, 1)).collect();
    for result in join_all(intents.iter().map(|intent| state.intent(&app, intent))).await {
        result.unwrap();
    }
    let written = state.stats();
    assert_eq!(written.writes, 200);
    assert!(written.commits <= 20, "{written:?}");
    assert_eq!(state.open(&app).await.unwrap().len(), 200);
}

#[tokio::test]
async fn write_returns_after_the_commit() {
    let folder = temporary();
    let before = Arc::new(temporary());
    let answered = Arc::new(AtomicBool::new(false));
    let commits = Arc::new(AtomicU32::new(0));
    let observer: Observer = {
        let (from, to) = (folder.path().to_owned(), Arc::clone(&before));
        let (answered, commits) = (Arc::clone(&answered), Arc::clone(&commits));
        Arc::new(move |step| {
            if step.writes != ["intent"] {
                return;
            }
            assert!(!answered.load(Ordering::SeqCst), "answered before {:?}", step.moment);
            commits.fetch_add(1, Ordering::SeqCst);
            if step.moment == CommitPhase::BeforeCommit {
                copy_folder(&from, to.path());
            }
        })
    };
    let state = Sqlite::open_observed(folder.path(), observer).await.unwrap();
    state.intent(&app(1), &intent("t1", 1, 1)).await.unwrap();
    answered.store(true, Ordering::SeqCst);
    let after = temporary();
    copy_folder(folder.path(), after.path());
    assert_eq!(commits.load(Ordering::SeqCst), 2, "before and after the commit");

    let crashed_before = Sqlite::open(before.path()).await.unwrap();
    assert_eq!(crashed_before.entry(&app(1), &"t1".into()).await.unwrap(), None);
    let crashed_after = Sqlite::open(after.path()).await.unwrap();
    assert!(crashed_after.entry(&app(1), &"t1".into()).await.unwrap().is_some());
}

#[tokio::test]
async fn failed_write_fails_alone() {
    let folder = temporary();
    let (observer, commits) = recorder();
    let state = Sqlite::open_observed(folder.path(), observer).await.unwrap();
    let app = app(1);
    state.record_outcome(&app, &intent("decided", 1, 1), &completed("a")).await.unwrap();
    commits.lock().unwrap().clear();

    let good = intent("good", 1, 1);
    let refused = intent("decided", 2, 2);
    let later = intent("later", 1, 1);
    let half_done = Raw("DELETE FROM tasks; INSERT INTO tasks (app) VALUES (NULL)");
    let (first, second, third, fourth) = tokio::join!(
        state.intent(&app, &good),
        state.intent(&app, &refused),
        state.tasks().write(half_done),
        state.intent(&app, &later),
    );
    assert!(matches!(second, Err(Error::AlreadyDecided { .. })), "{second:?}");
    assert!(matches!(third, Err(Error::Database { .. })), "{third:?}");
    first.unwrap();
    fourth.unwrap();
    assert_eq!(*commits.lock().unwrap(), [["intent", "intent", "raw", "intent"]], "one commit");
    let tasks: Vec<_> = state.open(&app).await.unwrap().into_iter().map(|entry| entry.task).collect();
    assert_eq!(tasks, ["decided".into(), "good".into(), "later".into()]);
}

/// Whatever a failing write keeps from its first run, the other writes happen once.
#[tokio::test]
async fn writes_batched_with_a_failed_one_apply_once() {
    let folder = temporary();
    let state = Sqlite::open(folder.path()).await.unwrap();
    let app = app(1);
    let [first, last] = ["first", "last"].map(|task| intent(task, 1, 1));
    state.intent(&app, &first).await.unwrap();
    let commits = state.stats().commits;
    let (unknown, outcome) = ("unknown".into(), completed("a"));
    let (one, two, three, four) = tokio::join!(
        state.record_outcome(&app, &first, &outcome),
        state.ended(&app, &unknown, &ReportResult::Accepted, first.at),
        state.ended(&app, &first.task, &ReportResult::Accepted, first.at),
        state.intent(&app, &last),
    );
    assert!(matches!(two, Err(Error::NotDecided { .. })), "{two:?}");
    for result in [one, three, four] {
        result.unwrap();
    }
    assert_eq!(state.stats().commits, commits + 1, "one commit");
    let counts = state.counts(&app).await.unwrap();
    assert_eq!((counts.intended, counts.decided, counts.ended_accepted), (1, 0, 1));
}

#[tokio::test]
async fn full_disk_is_reported_and_survived() {
    let folder = temporary();
    let state = Sqlite::open(folder.path()).await.unwrap();
    let app = app(1);
    state.intent(&app, &intent("before", 1, 1)).await.unwrap();
    // SQLite does not go below the current size.
    state.tasks().write(Raw("PRAGMA max_page_count = 1")).await.unwrap();
    let large = failed(&"x".repeat(100_000));
    let (identity, other) = (intent("before", 1, 1), intent("other", 1, 1));
    let (shared, full) =
        tokio::join!(state.intent(&app, &other), state.record_outcome(&app, &identity, &large));
    assert!(matches!(full, Err(Error::Full { .. })), "{full:?}");
    assert!(full.unwrap_err().to_string().contains("tasks.db"));
    shared.expect("what still fits is written");

    state.tasks().write(Raw("PRAGMA max_page_count = 1000000")).await.unwrap();
    state.record_outcome(&app, &identity, &large).await.unwrap();
    state.intent(&app, &other).await.unwrap();
    assert_eq!(state.open(&app).await.unwrap().len(), 2);
}

#[tokio::test]
async fn rolled_back_transaction_fails_only_its_batch() {
    let folder = temporary();
    let state = Sqlite::open(folder.path()).await.unwrap();
    let app = app(1);
    let (one, two) = (intent("one", 1, 1), intent("two", 1, 1));
    // SQLite itself does this on some disk errors.
    let (first, second, third) = tokio::join!(
        state.intent(&app, &one),
        state.tasks().write(Raw("INSERT OR ROLLBACK INTO tasks (app) VALUES (NULL)")),
        state.intent(&app, &two),
    );
    for result in [first, second, third] {
        assert!(matches!(result, Err(Error::Database { .. })), "{result:?}");
    }
    assert_eq!(state.open(&app).await.unwrap(), []);
    state.intent(&app, &one).await.unwrap();
    assert_eq!(state.open(&app).await.unwrap().len(), 1);
}

#[tokio::test]
async fn cancelled_caller_does_not_affect_other_writes() {
    let folder = temporary();
    let state = Sqlite::open(folder.path()).await.unwrap();
    let writes: Vec<_> = (0..100)
        .map(|number| {
            let state = state.clone();
            tokio::spawn(async move { state.intent(&app(1), &intent(&format!("t{number}"), 1, 1)).await })
        })
        .collect();
    tokio::task::yield_now().await;
    for write in writes.iter().step_by(2) {
        write.abort();
    }
    for (number, write) in writes.into_iter().enumerate() {
        match write.await {
            Ok(result) => result.unwrap(),
            Err(error) => assert!(error.is_cancelled() && number % 2 == 0),
        }
    }
    let kept = state.open(&app(1)).await.unwrap().len();
    assert!(kept >= 50, "{kept} of the 50 that waited");
}

#[tokio::test]
async fn dead_writer_returns_an_error() {
    let folder = temporary();
    let state = Sqlite::open(folder.path()).await.unwrap();
    let app = app(1);
    let waiting = intent("waiting", 1, 1);
    let (first, second) = tokio::join!(state.tasks().write(Panic), state.intent(&app, &waiting));
    assert!(matches!(first, Err(Error::Closed)), "{first:?}");
    assert!(matches!(second, Err(Error::Closed)), "{second:?}");
    let after = state.intent(&app, &waiting).await;
    assert!(matches!(after, Err(Error::Closed)), "{after:?}");
    state.close().await;
    let state = Sqlite::open(folder.path()).await.unwrap();
    assert_eq!(state.open(&app).await.unwrap(), [], "what got no response is not there");
}

#[tokio::test]
async fn close_runs_queued_writes_and_then_refuses() {
    let folder = temporary();
    let state = Sqlite::open(folder.path()).await.unwrap();
    let app = app(1);
    let (one, two) = (intent("one", 1, 1), intent("two", 1, 1));
    let (first, second, ()) =
        tokio::join!(state.intent(&app, &one), state.intent(&app, &two), state.clone().close());
    first.unwrap();
    second.unwrap();
    let late = state.intent(&app, &one).await;
    assert!(matches!(late, Err(Error::Closed)), "{late:?}");
    let late = state.open(&app).await;
    assert!(matches!(late, Err(Error::Closed)), "{late:?}");
}
