//! State that has changed since the last process used it.

use bridgehead_resilience::{Clock, SystemClock};

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};

use super::super::super::{Reason, TaskJournal};
use super::super::witness::{self, Found};
use super::writer::Raw;
use super::*;

/// Opens state, starts a task, and closes it again; copies the folder before the task.
async fn closed_with_a_copy() -> (TempDir, TempDir) {
    let folder = temporary();
    Sqlite::open(folder.path()).await.unwrap().close().await;
    let copy = temporary();
    copy_folder(folder.path(), copy.path());
    let state = Sqlite::open(folder.path()).await.unwrap();
    state.intent(&app(1), &intent("begun", 1, 1)).await.unwrap();
    state.close().await;
    (folder, copy)
}

/// Leaves state like a process that was killed during a task.
async fn crashed() -> (TempDir, Sqlite) {
    let folder = temporary();
    let state = Sqlite::open(folder.path()).await.unwrap();
    at_rest(folder.path()).await;
    // After the question of a new folder has been answered.
    state.settle_new(&app(1), false).await.unwrap();
    state.intent(&app(1), &intent("begun", 1, 1)).await.unwrap();
    let crashed = temporary();
    copy_folder(folder.path(), crashed.path());
    (crashed, state)
}

async fn reason(folder: &TempDir) -> Option<Reason> {
    let state = Sqlite::open(folder.path()).await.unwrap();
    state.settle_new(&app(1), false).await.unwrap();
    let doubt = state.doubted(&app(1)).await.unwrap();
    state.close().await;
    doubt.map(|doubt| doubt.reason)
}

fn remove(folder: &TempDir, names: &[&str]) {
    for name in names {
        std::fs::remove_file(folder.path().join(name)).unwrap();
    }
}

#[tokio::test]
async fn unchanged_state_is_trusted_after_a_stop_or_crash() {
    let (folder, _copy) = closed_with_a_copy().await;
    assert_eq!(reason(&folder).await, None);
    assert_eq!(reason(&folder).await, None);
    let (folder, _state) = crashed().await;
    assert_eq!(reason(&folder).await, None);
}

/// Such as on a full disk: the last commit, which marks the database as closed, does not succeed.
#[tokio::test]
async fn state_that_could_not_be_closed_cleanly_is_trusted() {
    const FAIL: &str = "CREATE TABLE referenced (id INTEGER PRIMARY KEY);
        CREATE TABLE referring (id INTEGER REFERENCES referenced DEFERRABLE INITIALLY DEFERRED);
        CREATE TRIGGER fail AFTER UPDATE OF commits ON lineage BEGIN INSERT INTO referring VALUES (1); END";
    const MEND: &str = "DROP TRIGGER fail; DROP TABLE referring; DROP TABLE referenced";
    let (folder, _copy) = closed_with_a_copy().await;
    let state = Sqlite::open(folder.path()).await.unwrap();
    state.intent(&app(1), &intent("more", 1, 1)).await.unwrap();
    let databases = [state.tasks(), state.listings()];
    for database in databases {
        database.write(Raw(FAIL)).await.unwrap();
        database.write(Raw("SELECT 1")).await.expect_err("no commit succeeds from now on");
    }
    state.close().await;
    for database in ["tasks.db", "listings.db"] {
        let options = SqliteConnectOptions::new().filename(folder.path().join(database));
        let mut connection = options.connect().await.unwrap();
        sqlx::raw_sql(MEND).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    }
    let witness = std::fs::File::open(folder.path().join(witness::FILE)).unwrap();
    let Found::Marks(marks) = witness::read(&witness).unwrap() else { panic!("no marks") };
    for (database, mark) in [("tasks.db", marks.tasks), ("listings.db", marks.listings)] {
        let options = SqliteConnectOptions::new().filename(folder.path().join(database));
        let mut connection = options.connect().await.unwrap();
        let commits: i64 =
            sqlx::query_scalar("SELECT commits FROM lineage").fetch_one(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        assert!(mark.commits <= commits, "{database}: {} in the witness, {commits} here", mark.commits);
    }
    assert_eq!(reason(&folder).await, None);
}

#[tokio::test]
async fn deleted_or_emptied_journal_is_detected() {
    let (folder, _copy) = closed_with_a_copy().await;
    remove(&folder, &["tasks.db"]);
    assert_eq!(reason(&folder).await, Some(Reason::Missing));
    let (folder, _copy) = closed_with_a_copy().await;
    std::fs::write(folder.path().join("tasks.db"), "").unwrap();
    assert_eq!(reason(&folder).await, Some(Reason::Missing));
    // One witness is enough.
    for witness in ["witness", "listings.db"] {
        let (folder, _copy) = closed_with_a_copy().await;
        remove(&folder, &["tasks.db", witness]);
        assert_eq!(reason(&folder).await, Some(Reason::Missing), "without {witness}");
    }
}

#[tokio::test]
async fn old_copy_of_the_journal_is_detected() {
    let (folder, copy) = closed_with_a_copy().await;
    std::fs::copy(copy.path().join("tasks.db"), folder.path().join("tasks.db")).unwrap();
    assert_eq!(reason(&folder).await, Some(Reason::Older));
    // The snapshot database alone is sufficient: it records every start and every stop.
    let (folder, copy) = closed_with_a_copy().await;
    std::fs::copy(copy.path().join("tasks.db"), folder.path().join("tasks.db")).unwrap();
    std::fs::copy(copy.path().join("witness"), folder.path().join("witness")).unwrap();
    assert_eq!(reason(&folder).await, Some(Reason::Older));
}

#[tokio::test]
async fn missing_wal_is_detected_after_a_crash() {
    let (folder, _state) = crashed().await;
    remove(&folder, &["tasks.db-wal", "tasks.db-shm"]);
    assert_eq!(reason(&folder).await, Some(Reason::Older));
    let (folder, _state) = crashed().await;
    let log = std::fs::File::options().write(true).open(folder.path().join("tasks.db-wal")).unwrap();
    // Truncate the last commit.
    log.set_len(log.metadata().unwrap().len() - 4096).unwrap();
    assert_eq!(reason(&folder).await, Some(Reason::Older));
}

#[tokio::test]
async fn journal_of_another_folder_is_detected() {
    let (folder, _copy) = closed_with_a_copy().await;
    let (other, _copy) = closed_with_a_copy().await;
    std::fs::copy(other.path().join("tasks.db"), folder.path().join("tasks.db")).unwrap();
    assert_eq!(reason(&folder).await, Some(Reason::Foreign));
}

#[tokio::test]
async fn missing_or_altered_witness_is_detected() {
    let (folder, _copy) = closed_with_a_copy().await;
    remove(&folder, &["witness"]);
    assert_eq!(reason(&folder).await, Some(Reason::WitnessMissing));
    let (folder, _copy) = closed_with_a_copy().await;
    std::fs::write(folder.path().join("witness"), "all is well").unwrap();
    assert_eq!(reason(&folder).await, Some(Reason::WitnessDamaged));
}

#[tokio::test]
async fn doubt_covers_earlier_tasks_and_persists_until_they_are_old() {
    let (folder, _copy) = closed_with_a_copy().await;
    remove(&folder, &["tasks.db"]);
    let state = Sqlite::open(folder.path()).await.unwrap();
    let now = SystemClock.now();
    let doubt = state.doubted(&app(1)).await.unwrap().unwrap();
    assert!(doubt.covers(Some(now)) && doubt.covers(None), "{doubt:?}");
    assert!(!doubt.covers(now.checked_add(jiff::SignedDuration::from_hours(2)).ok()), "{doubt:?}");
    state.close().await;
    let state = Sqlite::open(folder.path()).await.unwrap();
    assert_eq!(state.doubted(&app(2)).await.unwrap(), Some(doubt.clone()), "also after a restart");
    state.prune(&app(1), doubt.until).await.unwrap();
    assert_eq!(state.doubted(&app(1)).await.unwrap(), Some(doubt.clone()));
    let later = doubt.until.checked_add(jiff::SignedDuration::from_secs(1)).unwrap();
    state.prune(&app(1), later).await.unwrap();
    assert_eq!(state.doubted(&app(1)).await.unwrap(), None);
}
