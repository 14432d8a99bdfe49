//! Moves between a folder and a real PostgreSQL.

use std::collections::BTreeSet;
use std::path::Path;

use sqlx::Row as _;

use super::{TABLES, to_database, to_folder};
use crate::contract::server::{database, settings, start};
use crate::contract::{app, at, completed, intent};
use crate::postgres::{Postgres, Settings};
use crate::{
    AttemptStep, Error, Hour, Pause, Phase, RecordHash, ReportResult, Run, RunResult, SnapshotStore, Sqlite,
    StateStore, TaskJournal,
};

/// Writes rows of every kind.
async fn fill(state: &dyn StateStore) {
    let app = app(1);
    state.intent(&app, &intent("open \0 ü", 1, 1)).await.unwrap();
    state.record_outcome(&app, &intent("decided", 1, 1), &completed("a")).await.unwrap();
    state.record_outcome(&app, &intent("ended", 1, 1), &completed("b")).await.unwrap();
    state.ended(&app, &"ended".into(), &ReportResult::Accepted, at(2)).await.unwrap();
    state.hold(&app, &["held".into()], at(3)).await.unwrap();
    state.settle_new(&app, true).await.unwrap();
    let step = AttemptStep {
        attempt: 1,
        phase: Phase::Execute,
        began_at: at(1),
        ended_at: Some(at(2)),
        code: None,
        message: Some("it \0 said".to_owned()),
        next_try_at: None,
    };
    state.note_attempts(&app, &"open \0 ü".into(), &[step]).await.unwrap();
    let pause = Pause { since: at(4), by: "ann".to_owned(), reason: Some("why \0".to_owned()) };
    state.pause(&app, &pause).await.unwrap();
    state.begin(&app).await.unwrap();
    let records: Vec<RecordHash> = (0..2500)
        .map(|number| RecordHash { id: format!("u{number} \0"), hash: number, facts: None })
        .collect();
    state.add(&app, "account", &records).await.unwrap();
    state.commit(&app, at(5)).await.unwrap();
    state.note_created(&app, "account", "new", None).await.unwrap();
    state.set_hour(&app, &Hour { at: Hour::beginning(at(0)), ..Hour::default() }).await.unwrap();
    let run = Run {
        started_at: at(4),
        ended_at: at(5),
        result: RunResult::Completed,
        reason: None,
        detail: "all \0 of it".to_owned(),
        cause: None,
        pushed: [("account".to_owned(), 2500)].into(),
        removed: [].into(),
    };
    state.record_run(&app, &run).await.unwrap();
}

/// The state's view of what [`fill`] wrote.
async fn told(state: &dyn StateStore) -> String {
    let app = app(1);
    let mut open = state.open(&app).await.unwrap();
    open.sort_by(|one, other| one.task.cmp(&other.task));
    format!(
        "{:?} {open:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?}",
        state.counts(&app).await.unwrap(),
        state.held(&app).await.unwrap(),
        state.doubted(&app).await.unwrap(),
        state.attempts(&app, &"open \0 ü".into()).await.unwrap(),
        state.paused(&app).await.unwrap(),
        state.last(&app).await.unwrap(),
        state.hours(&app, at(0)).await.unwrap(),
        state.recorded_runs(&app).await.unwrap(),
        state.known_slugs(&app).await.unwrap(),
    )
}

async fn of_folder(folder: &Path) -> String {
    let state = Sqlite::open(folder).await.unwrap();
    let told = told(&state).await;
    state.close().await;
    told
}

async fn of_database(settings: &Settings) -> String {
    let state = Postgres::open(settings).await.unwrap();
    let told = told(&state).await;
    state.close().await;
    told
}

#[tokio::test]
async fn state_that_is_moved_there_and_back_is_the_same_and_counts_in_one_place_only() {
    let server = start().await;
    let name = database(server.port).await;
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("state");
    let settings = Settings { folder: Some(folder.clone()), ..settings(server.port, &name, "a") };
    let state = Sqlite::open(&folder).await.unwrap();
    fill(&state).await;
    let before = told(&state).await;
    let locked = to_database(&folder, &settings).await.unwrap_err();
    assert!(matches!(locked, Error::Locked { .. }), "{locked}");
    state.close().await;
    let unmoved = Postgres::open(&settings).await.unwrap_err();
    assert!(matches!(unmoved, Error::Unmoved { .. }), "{unmoved}");

    let moved = to_database(&folder, &settings).await.unwrap();
    assert_eq!(moved.rows["records"], 2501, "{moved:?}");
    assert_eq!(moved.rows["tasks"], 3);
    assert!(moved.kept.unwrap().join("tasks.db").exists());
    assert_eq!(of_database(&settings).await, before);
    let elsewhere = Sqlite::open(&folder).await.unwrap_err();
    assert!(matches!(&elsewhere, Error::Moved { to, .. } if to.contains(&name)), "{elsewhere}");
    assert!(!elsewhere.to_string().contains("admin-secret-1"));
    // The database continues with the state.
    let state = Postgres::open(&settings).await.unwrap();
    state.begin(&app(2)).await.unwrap();
    let seen = RecordHash { id: "x".to_owned(), hash: 1, facts: None };
    state.add(&app(2), "account", &[seen]).await.unwrap();
    state.commit(&app(2), at(9)).await.unwrap();
    let owned = to_folder(&settings, &folder).await.unwrap_err();
    assert!(matches!(owned, Error::Locked { .. }), "{owned}");
    let apart = Settings { folder: None, ..settings.clone() };
    let owned = to_folder(&apart, &parent.path().join("other")).await.unwrap_err();
    assert!(matches!(owned, Error::Owned { .. }), "{owned}");
    state.close().await;

    to_folder(&settings, &folder).await.unwrap();
    assert_eq!(of_folder(&folder).await, before);
    let state = Sqlite::open(&folder).await.unwrap();
    assert_eq!(state.last(&app(2)).await.unwrap().unwrap().counts["account"], 1);
    state.close().await;
    let elsewhere = Postgres::open(&apart).await.unwrap_err();
    assert!(matches!(&elsewhere, Error::Moved { to, .. } if *to == folder.display().to_string()));
    let again = to_folder(&apart, &folder).await.unwrap_err();
    assert!(again.to_string().contains("nothing was moved"), "{again}");

    // Moves it again: what was left in the database does not count as state.
    to_database(&folder, &settings).await.unwrap();
    assert_eq!(of_database(&settings).await, before);
}

#[tokio::test]
async fn state_is_moved_over_none_and_an_interrupted_move_is_repeated() {
    let server = start().await;
    let name = database(server.port).await;
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("state");
    let settings = settings(server.port, &name, "a");
    let state = Postgres::open(&settings).await.unwrap();
    fill(&state).await;
    state.close().await;
    let own = Sqlite::open(&folder).await.unwrap();
    own.intent(&app(1), &intent("own", 1, 1)).await.unwrap();
    own.close().await;
    let refused = to_database(&folder, &settings).await.unwrap_err();
    assert!(matches!(&refused, Error::Unfit { .. }), "{refused}");
    assert!(refused.to_string().contains("nothing was moved"));
    let state = Sqlite::open(&folder).await.unwrap();
    assert_eq!(state.counts(&app(1)).await.unwrap().intended, 1, "the folder still counts");
    state.close().await;

    // The copy is valid, but the files were not set aside yet.
    server.sql(&name, "TRUNCATE tasks, holds, doubts, new_apps, attempts, pauses, syncs, listings, records, removals, changes, runs, hours");
    let moved = to_database(&folder, &settings).await.unwrap();
    let kept = moved.kept.unwrap();
    for file in ["tasks.db", "listings.db"] {
        std::fs::rename(kept.join(file), folder.join(file)).unwrap();
    }
    std::fs::remove_dir(&kept).ok();
    let moved = to_database(&folder, &settings).await.unwrap();
    assert!(moved.kept.is_some() && moved.rows.is_empty(), "{moved:?}");
    let state = Postgres::open(&settings).await.unwrap();
    assert_eq!(state.counts(&app(1)).await.unwrap().intended, 1);
    state.close().await;
}

/// A table or column that a later version adds must be moved too.
#[tokio::test]
async fn every_table_and_column_is_moved() {
    const NOT_MOVED: [&str; 9] = [
        "_sqlx_migrations",
        "compatibility",
        "lineage",
        "nodes",
        "owners",
        "positions",
        "reported",
        "requests",
        "timeline",
    ];
    let server = start().await;
    let name = database(server.port).await;
    Postgres::open(&settings(server.port, &name, "a")).await.unwrap().close().await;
    let known: BTreeSet<String> = TABLES
        .iter()
        .flat_map(|table| table.columns.iter().map(|column| format!("{}.{}", table.name, column.postgres)))
        .collect();
    let found = server.sql(
        &name,
        "SELECT table_name || '.' || column_name FROM information_schema.columns WHERE table_schema = 'public'",
    );
    let is_state = |column: &&str| !NOT_MOVED.iter().any(|table| column.starts_with(&format!("{table}.")));
    let found: BTreeSet<String> = found.lines().filter(is_state).map(str::to_owned).collect();
    assert_eq!(found, known);

    let folder = tempfile::tempdir().unwrap();
    let state = Sqlite::open(folder.path()).await.unwrap();
    let known: BTreeSet<String> = TABLES
        .iter()
        .flat_map(|table| table.columns.iter().map(|column| format!("{}.{}", table.name, column.sqlite)))
        .collect();
    let mut found = BTreeSet::new();
    for is_listing in [false, true] {
        let mut connection = state.reader(is_listing).await.unwrap();
        let rows = sqlx::query(
            "SELECT t.name, c.name FROM sqlite_schema t, pragma_table_info(t.name) c WHERE t.type IN ('table', 'view') AND t.name NOT LIKE 'sqlite_%'",
        )
        .fetch_all(&mut *connection)
        .await
        .unwrap();
        let names = rows.iter().map(|row| format!("{}.{}", row.get::<String, _>(0), row.get::<String, _>(1)));
        found.extend(names.filter(|name| is_state(&name.as_str())));
    }
    // The steps are moved through the view `attempts`, each outcome as if it were in its task's row, and the numbers of tasks are not part
    // of the state.
    let is_internal = |column: &str| {
        ["tasks.number", "tasks.batch", "tasks.place", "tasks.size"].contains(&column)
            || ["steps.", "early_steps.", "outcomes."].iter().any(|table| column.starts_with(table))
    };
    found.retain(|column| !is_internal(column));
    assert_eq!(found, known);
}
