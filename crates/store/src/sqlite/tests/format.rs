use std::os::unix::fs::FileExt;

use jiff::Timestamp;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, SqlSafeStr, SqliteConnection};

use super::super::super::{Error, Known, Outcome, ReportResult, State, TaskJournal};
use super::super::open::{LISTINGS_FORMAT, TASKS_FORMAT};
use super::super::store::{Format, Store, Surroundings};
use super::*;

const SURROUNDINGS: Surroundings = Surroundings { fence: None, observer: None };

async fn connect(path: &Path) -> SqliteConnection {
    SqliteConnectOptions::new().filename(path).create_if_missing(true).connect().await.unwrap()
}

/// The migrations of the journal up to a version, followed by others.
fn migrator(up_to: i64, others: &[Migration]) -> &'static Migrator {
    let own = TASKS_FORMAT.migrator.iter().filter(|migration| migration.version <= up_to);
    Box::leak(Box::new(Migrator::with_migrations(own.chain(others).cloned().collect())))
}

fn to_come() -> Migration {
    let sql = "ALTER TABLE tasks ADD COLUMN note TEXT NOT NULL DEFAULT 'none'".into_sql_str();
    Migration::new(1_000, "note".into(), MigrationType::Simple, sql, false)
}

#[tokio::test]
async fn bundled_sqlite_has_no_known_corruption_bug() {
    // Before 3.51.3, resetting the write-ahead log could damage the database.
    let folder = temporary();
    let mut connection = connect(&folder.path().join("any.db")).await;
    let version: String =
        sqlx::query_scalar("SELECT sqlite_version()").fetch_one(&mut connection).await.unwrap();
    let version: Vec<u32> = version.split('.').map(|part| part.parse().unwrap()).collect();
    assert!(version >= vec![3, 51, 3], "{version:?}");
}

#[tokio::test]
async fn journal_of_the_first_version_is_migrated() {
    let folder = temporary();
    let path = folder.path().join("tasks.db");
    let mut connection = connect(&path).await;
    migrator(1, &[]).run_direct(None, &mut connection, false).await.unwrap();
    sqlx::raw_sql(
        "INSERT INTO tasks (app, task, action, keys, attempt, first_intent_at, last_intent_at, state)
         VALUES ('00000000-0000-0000-0000-000000000001', 't1', 'create_account', x'', 3, 1000000, 2000000, 'intended')",
    )
    .execute(&mut connection)
    .await
    .unwrap();
    connection.close().await.unwrap();
    // Every version has opened both databases.
    let mut listings = connect(&folder.path().join("listings.db")).await;
    let first = LISTINGS_FORMAT.migrator.iter().take(1).cloned().collect();
    Migrator::with_migrations(first).run_direct(None, &mut listings, false).await.unwrap();
    listings.close().await.unwrap();
    let found = async |state: &Sqlite| {
        let (open, counts) = (state.open(&app(1)).await.unwrap(), state.counts(&app(1)).await.unwrap());
        (open.len(), counts.intended, state.rejected(&app(1)).await.unwrap().len())
    };

    let state = Sqlite::open(folder.path()).await.unwrap();
    assert_eq!(found(&state).await, (1, 1, 0));
    let entry = state.entry(&app(1), &"t1".into()).await.unwrap().unwrap();
    assert_eq!((entry.attempt, entry.first_intent_at, entry.last_intent_at), (3, at(1), at(2)));
    assert_eq!(state.doubted(&app(1)).await.unwrap(), None, "it had no witnesses to contradict it");
}

#[tokio::test]
async fn a_journal_with_the_indexes_of_an_earlier_version_can_be_read() {
    let folder = temporary();
    let state = Sqlite::open(folder.path()).await.unwrap();
    state.intent(&app(1), &intent("t1", 1, 1)).await.unwrap();
    state.record_outcome(&app(1), &intent("t2", 1, 1), &failed("x")).await.unwrap();
    let rejected = ReportResult::Rejected { detail: "no".into() };
    state.ended(&app(1), &"t2".into(), &rejected, at(2)).await.unwrap();
    state.close().await;
    let mut connection = connect(&folder.path().join("tasks.db")).await;
    sqlx::raw_sql("DROP INDEX tasks_open; DROP INDEX tasks_ended; DROP INDEX tasks_rejected;")
        .execute(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
    let state = Sqlite::read_only(folder.path()).await.unwrap().unwrap();
    let counts = state.counts(&app(1)).await.unwrap();
    assert_eq!((counts.intended, counts.rejected), (1, 1));
    assert_eq!(state.open(&app(1)).await.unwrap()[0].task, "t1".into());
    assert_eq!(state.rejected(&app(1)).await.unwrap()[0].task, "t2".into());
    state.close().await;
}

/// Tasks and steps of the sixth version, whose rows were in the order of the tasks' ids.
#[tokio::test]
async fn tasks_and_steps_of_the_sixth_version_are_put_in_order() {
    const SECRET: &str = "hunter2-correct-horse";
    let folder = temporary();
    let path = folder.path().join("tasks.db");
    let mut listings = connect(&folder.path().join("listings.db")).await;
    let first = LISTINGS_FORMAT.migrator.iter().take(1).cloned().collect();
    Migrator::with_migrations(first).run_direct(None, &mut listings, false).await.unwrap();
    listings.close().await.unwrap();
    let mut connection = connect(&path).await;
    migrator(6, &[]).run_direct(None, &mut connection, false).await.unwrap();
    let result = serde_json::json!({"account_id": "a1", "note": SECRET}).as_object().cloned();
    let outcome = Outcome::Completed { result };
    let sealed = super::super::secure_delete::seal(&outcome).unwrap();
    for (task, second, state) in [("b", 1, "intended"), ("a", 2, "decided"), ("c", 3, "ended")] {
        sqlx::query(
            "INSERT INTO tasks (app, task, action, keys, attempt, first_intent_at, last_intent_at, state, status, ended, ended_at, outcome) \
             VALUES ('00000000-0000-0000-0000-000000000001', ?1, 'delete_account', x'', 1, ?2, ?2, ?3, \
             iif(?3 = 'intended', NULL, 'completed'), iif(?3 = 'ended', 'accepted', NULL), iif(?3 = 'ended', ?2, NULL), \
             iif(?3 = 'decided', ?4, NULL))",
        )
        .bind(task)
        .bind(second * 1_000_000)
        .bind(state)
        .bind(&sealed)
        .execute(&mut connection)
        .await
        .unwrap();
    }
    for (task, second) in [("a", 5), ("a", 4), ("c", 4), ("early", 6)] {
        sqlx::query(
            "INSERT INTO attempts (app, task, began_at, phase, attempt) \
             VALUES ('00000000-0000-0000-0000-000000000001', ?1, ?2, 'fetch', 1)",
        )
        .bind(task)
        .bind(second * 1_000_000)
        .execute(&mut connection)
        .await
        .unwrap();
    }
    connection.close().await.unwrap();

    let state = Sqlite::open(folder.path()).await.unwrap();
    let began = async |task: &str| -> Vec<Timestamp> {
        state.attempts(&app(1), &task.into()).await.unwrap().iter().map(|step| step.began_at).collect()
    };
    assert_eq!((began("a").await, began("b").await), (vec![at(4), at(5)], vec![]));
    assert_eq!((began("c").await, began("early").await), (vec![at(4)], vec![at(6)]));
    let entry = state.entry(&app(1), &"a".into()).await.unwrap().unwrap();
    assert_eq!(entry.state, State::Decided(outcome));
    let open: Vec<TaskId> = state.open(&app(1)).await.unwrap().into_iter().map(|entry| entry.task).collect();
    assert_eq!(open, ["b".into(), "a".into()]);
    assert_eq!(state.destructive_since(&app(1), at(0)).await.unwrap(), [at(1), at(2), at(3)]);
    // A task that is begun only now takes its early steps along, and they go with it.
    state.intent(&app(1), &intent("early", 1, 7)).await.unwrap();
    let mut steps = state.attempts(&app(1), &"early".into()).await.unwrap();
    steps[0].ended_at = Some(at(7));
    state.note_attempts(&app(1), &"early".into(), &steps).await.unwrap();
    assert_eq!(state.attempts(&app(1), &"early".into()).await.unwrap(), steps, "it is one step, not two");
    state.forget(&app(1), &"early".into()).await.unwrap();
    assert_eq!(began("early").await, []);
    let numbers: Vec<(String, i64)> = sqlx::query_as("SELECT task, number FROM tasks ORDER BY number")
        .fetch_all(state.tasks().readers())
        .await
        .unwrap();
    assert_eq!(numbers, [("b".to_owned(), 1), ("a".to_owned(), 2), ("c".to_owned(), 3)]);
    // The old table has left nothing behind.
    state.ended(&app(1), &"a".into(), &ReportResult::Accepted, at(8)).await.unwrap();
    state.close().await;
    let bytes = std::fs::read(&path).unwrap();
    assert!(!bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes()));
}

/// The seventh version stored each outcome in the row of its task.
#[tokio::test]
async fn outcome_of_the_seventh_version_is_read_reported_and_erased() {
    const SECRET: &str = "hunter2-correct-horse";
    let folder = temporary();
    Sqlite::open(folder.path()).await.unwrap().close().await;
    let path = folder.path().join("tasks.db");
    for file in ["tasks.db", "witness"] {
        std::fs::remove_file(folder.path().join(file)).unwrap();
    }
    let mut connection = connect(&path).await;
    migrator(7, &[]).run_direct(None, &mut connection, false).await.unwrap();
    let result = serde_json::json!({"account_id": "a1", "note": SECRET}).as_object().cloned();
    let outcome = Outcome::Completed { result };
    sqlx::query(
        "INSERT INTO tasks (number, app, task, action, keys, attempt, first_intent_at, last_intent_at, state, status, outcome) \
         VALUES (1, '00000000-0000-0000-0000-000000000001', 'a', 'suspend_account', x'', 1, 1, 1, 'decided', 'completed', ?1)",
    )
    .bind(super::super::secure_delete::seal(&outcome).unwrap())
    .execute(&mut connection)
    .await
    .unwrap();
    connection.close().await.unwrap();
    let (app, task) = (app(1), TaskId::from("a"));
    let told = async |state: &Sqlite| {
        let (open, entry) = (state.open(&app).await.unwrap(), state.entry(&app, &task).await.unwrap());
        [open[0].state.clone(), entry.unwrap().state]
    };
    let decided = State::Decided(outcome.clone());

    let state = Sqlite::read_only(folder.path()).await.unwrap().unwrap();
    assert_eq!(told(&state).await, [decided.clone(), decided.clone()], "it is only read");
    state.close().await;
    let state = Sqlite::open(folder.path()).await.unwrap();
    assert_eq!(told(&state).await, [decided.clone(), decided]);
    state.record_outcome(&app, &intent("a", 1, 1), &outcome).await.unwrap();
    state.record_outcome(&app, &intent("b", 1, 1), &failed("x")).await.unwrap();
    state.ended(&app, &task, &ReportResult::Accepted, at(8)).await.unwrap();
    state.close().await;
    let bytes = std::fs::read(&path).unwrap();
    assert!(!bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes()));
}

#[tokio::test]
async fn migration_preserves_data_and_cannot_be_downgraded() {
    let folder = temporary();
    let state = Sqlite::open(folder.path()).await.unwrap();
    state.intent(&app(1), &intent("t1", 1, 1)).await.unwrap();
    state.close().await;

    let path = folder.path().join("tasks.db");
    let later = Format { migrator: migrator(i64::MAX, &[to_come()]), ..TASKS_FORMAT };
    let prepared = Store::prepare(&path, &later, true).await.unwrap();
    let store = Store::start(&path, &later, prepared, SURROUNDINGS);
    let note: String = sqlx::query_scalar("SELECT note FROM tasks WHERE task = 't1'")
        .fetch_one(store.readers())
        .await
        .unwrap();
    assert_eq!(note, "none");
    store.close().await;

    match Sqlite::open(folder.path()).await.unwrap_err() {
        Error::TooNew { path: named, found, known } => {
            assert_eq!((named, found), (path, 1_000));
            assert_eq!(known, TASKS_FORMAT.migrator.iter().map(|migration| migration.version).max().unwrap());
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn altered_schema_is_refused() {
    let folder = temporary();
    Sqlite::open(folder.path()).await.unwrap().close().await;
    let mut connection = connect(&folder.path().join("tasks.db")).await;
    sqlx::raw_sql("UPDATE _sqlx_migrations SET checksum = x'00'").execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    let refused = Sqlite::open(folder.path()).await.unwrap_err();
    assert!(matches!(refused, Error::Corrupt { .. }), "{refused:?}");
}

#[tokio::test]
async fn non_database_file_is_refused_unchanged() {
    for name in ["tasks.db", "listings.db"] {
        let folder = temporary();
        let path = folder.path().join(name);
        std::fs::write(&path, "not a database ".repeat(1000)).unwrap();
        match Sqlite::open(folder.path()).await.unwrap_err() {
            Error::Corrupt { path: named, .. } => assert_eq!(named, path),
            other => panic!("{other:?}"),
        }
        assert!(std::fs::read_to_string(&path).unwrap().starts_with("not a database"));
        // An immediate retry finds the folder unlocked.
        std::fs::remove_file(&path).unwrap();
        Sqlite::open(folder.path()).await.unwrap();
    }
}

#[tokio::test]
async fn damaged_journal_is_detected_on_open() {
    let folder = temporary();
    let state = Sqlite::open(folder.path()).await.unwrap();
    for number in 0..200 {
        state.intent(&app(1), &intent(&format!("t{number}"), 1, 1)).await.unwrap();
    }
    state.close().await;
    let path = folder.path().join("tasks.db");
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    let pages = file.metadata().unwrap().len() / 4096;
    // The header of every page except the first, which contains the format.
    for page in 1..pages {
        file.write_all_at(&[0xff; 64], page * 4096).unwrap();
    }
    let refused = Sqlite::open(folder.path()).await.unwrap_err();
    assert!(matches!(refused, Error::Corrupt { .. }), "{refused:?}");
}

#[tokio::test]
async fn unwritable_database_is_reported_as_read_only() {
    let folder = temporary();
    Sqlite::open(folder.path()).await.unwrap().close().await;
    let path = folder.path().join("tasks.db");
    let mut connection = SqliteConnectOptions::new().filename(&path).read_only(true).connect().await.unwrap();
    let error = sqlx::raw_sql("DELETE FROM tasks").execute(&mut connection).await.unwrap_err();
    let error = Error::from_database(&path, error);
    assert!(matches!(error, Error::ReadOnly { .. }), "{error:?}");
}

#[tokio::test]
async fn connections_have_the_intended_pragmas() {
    let folder = temporary();
    let state = Sqlite::open(folder.path()).await.unwrap();
    state.intent(&app(1), &intent("t1", 1, 1)).await.unwrap();
    let journal: String =
        sqlx::query_scalar("PRAGMA journal_mode").fetch_one(state.tasks().readers()).await.unwrap();
    assert_eq!(journal, "wal");
    let pragmas: Vec<i64> = state.tasks().write(Pragmas).await.unwrap();
    assert_eq!(pragmas, [2, 1, 1, 2, 5000], "FULL, secure, foreign keys, temporary in memory, patient");
    let written = sqlx::raw_sql("DELETE FROM tasks").execute(state.tasks().readers()).await;
    assert!(written.is_err(), "readers cannot write");
    let known = state.known(&app(1), &["t1".into()]).await.unwrap();
    assert_eq!(known[&TaskId::from("t1")], Known::Intended);
    assert!(LISTINGS_FORMAT.migrator.iter().count() > 0);
}

struct Pragmas;

#[async_trait::async_trait]
impl super::super::writer::Write for Pragmas {
    type Answer = Vec<i64>;
    const NAME: &'static str = "pragmas";

    async fn run(
        &mut self,
        connection: &mut SqliteConnection,
    ) -> Result<Vec<i64>, super::super::writer::Problem> {
        let mut values = Vec::new();
        for pragma in [
            "PRAGMA synchronous",
            "PRAGMA secure_delete",
            "PRAGMA foreign_keys",
            "PRAGMA temp_store",
            "PRAGMA busy_timeout",
        ] {
            values.push(sqlx::query_scalar(pragma).fetch_one(&mut *connection).await?);
        }
        Ok(values)
    }
}
