//! Databases that were restored from an older copy, with a real PostgreSQL server.

use std::path::Path;
use std::time::Duration;

use bridgehead_test_servers::Postgres as Server;

use super::super::contract::server::{database, settings, start};
use super::super::contract::{app, completed, intent};
use super::super::lease::Terms;
use super::super::{Error, Known, Reason, TaskJournal};
use super::{Postgres, Settings};

/// Long enough for a slow machine: a statement of the test keeps this thread, and so the renewals, waiting.
const LEASE: Duration = Duration::from_secs(10);
const CALL: Duration = Duration::from_secs(30);

fn node(server: &Server, name: &str, folder: &Path) -> Settings {
    let terms = Terms { lease: LEASE, longest_call: CALL };
    Settings { folder: Some(folder.to_owned()), terms, ..settings(server.port, name, "a") }
}

/// Copies a database, as a backup does; returns the name of the copy.
fn back_up(server: &Server, name: &str) -> String {
    let copy = format!("{name}_copy");
    disconnect(server, name);
    server.sql("postgres", &format!("CREATE DATABASE {copy} TEMPLATE {name}"));
    copy
}

/// Replaces a database with a copy.
fn restore(server: &Server, name: &str, copy: &str) {
    disconnect(server, name);
    server.sql("postgres", &format!("DROP DATABASE {name} WITH (FORCE)"));
    server.sql("postgres", &format!("CREATE DATABASE {name} TEMPLATE {copy}"));
}

/// Ends all connections of a database, which then can be copied.
fn disconnect(server: &Server, name: &str) {
    server.sql("postgres", &format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false"));
    server.sql(
        "postgres",
        &format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"),
    );
    server.sql("postgres", &format!("ALTER DATABASE {name} ALLOW_CONNECTIONS true"));
}

/// Writes, however often the connection was just ended.
async fn intend(state: &Postgres, task: &str) -> Result<(), Error> {
    for _ in 0..100 {
        match state.intent(&app(1), &intent(task, 1, 1)).await {
            Err(Error::Postgres { .. }) => tokio::time::sleep(Duration::from_millis(50)).await,
            other => return other,
        }
    }
    panic!("the database did not come back");
}

async fn reason(state: &Postgres) -> Option<Reason> {
    let doubt = TaskJournal::doubted(state, &app(1)).await.unwrap();
    doubt.map(|doubt| doubt.reason)
}

/// Opens a new state and settles the question whether it is new.
async fn opened(settings: &Settings) -> Postgres {
    let state = Postgres::join(settings).await.unwrap();
    state.acquire(&app(1)).await.unwrap();
    state.settle_new(&app(1), false).await.unwrap();
    assert_eq!(reason(&state).await, None);
    state
}

#[tokio::test]
async fn restored_database_is_detected_at_the_next_start() {
    let server = start().await;
    let name = database(server.port).await;
    let folder = tempfile::tempdir().unwrap();
    let settings = node(&server, &name, folder.path());
    let state = opened(&settings).await;
    let copy = {
        intend(&state, "before").await.unwrap();
        back_up(&server, &name)
    };
    intend(&state, "after").await.unwrap();
    state.close().await;
    restore(&server, &name, &copy);

    let state = Postgres::join(&settings).await.unwrap();
    assert_eq!(reason(&state).await, Some(Reason::Restored));
    let known = state.known(&app(1), &["before".into(), "after".into()]).await.unwrap();
    assert_eq!(known.len(), 1, "the copy does not know the later task: {known:?}");
    state.close().await;
    let found = server.sql(&name, "SELECT count(*) FROM doubts WHERE reason = 'restored'");
    let state = Postgres::join(&settings).await.unwrap();
    state.close().await;
    let again = server.sql(&name, "SELECT count(*) FROM doubts WHERE reason = 'restored'");
    assert_eq!((found.trim(), again.trim()), ("1", "1"), "a loss is found once");
    assert_eq!(server.sql(&name, "SELECT count(*) FROM positions").trim(), "1");
}

#[tokio::test]
async fn restored_database_is_detected_by_the_next_write_of_a_running_node() {
    let server = start().await;
    let name = database(server.port).await;
    let folder = tempfile::tempdir().unwrap();
    let settings = node(&server, &name, folder.path());
    let state = opened(&settings).await;
    intend(&state, "before").await.unwrap();
    let copy = back_up(&server, &name);
    intend(&state, "after").await.unwrap();
    restore(&server, &name, &copy);

    let refused = intend(&state, "later").await.unwrap_err();
    assert!(matches!(&refused, Error::Unfit { .. }), "{refused}");
    assert!(refused.to_string().contains("restored from an older copy"), "{refused}");
    let fenced = state.record_outcome(&app(1), &intent("after", 1, 1), &completed("a")).await;
    assert!(matches!(fenced, Err(Error::Fenced { .. })), "the app must be taken over again: {fenced:?}");
    assert_eq!(reason(&state).await, Some(Reason::Restored));
    let acquired = loop {
        match state.acquire(&app(1)).await {
            Ok(acquired) => break acquired,
            Err(Error::Owned { lasts_for, .. }) => tokio::time::sleep(lasts_for).await,
            // The connection of the other writer was ended, too.
            Err(Error::Postgres { .. }) => {
                let is_held = state.may_start(&app(1)).is_ok();
                assert!(!is_held, "an app that could not be taken over completely must not start");
            }
            Err(error) => panic!("{error}"),
        }
    };
    assert!(acquired.settles_in + 2 * LEASE > CALL, "a call of any node may still be running: {acquired:?}");
    intend(&state, "later").await.unwrap();
    let known = state.known(&app(1), &["later".into()]).await.unwrap();
    assert_eq!(known["later"], Known::Intended);
    state.close().await;
    let state = Postgres::join(&settings).await.unwrap();
    let found = server.sql(&name, "SELECT count(*) FROM doubts WHERE reason = 'restored'");
    assert_eq!(found.trim(), "1", "the next start finds nothing more");
    state.close().await;
}

#[tokio::test]
async fn crashes_and_restarts_are_no_restores() {
    let mut server = start().await;
    let name = database(server.port).await;
    let folder = tempfile::tempdir().unwrap();
    // The server may need a while to recover, and no lease is renewed meanwhile.
    let terms = Terms { lease: Duration::from_mins(5), longest_call: CALL };
    let settings = Settings { terms, ..node(&server, &name, folder.path()) };
    let state = opened(&settings).await;
    for round in 0..3 {
        for task in 0..5 {
            intend(&state, &format!("{round}-{task}")).await.unwrap();
        }
        disconnect(&server, &name);
        intend(&state, &format!("{round}-disconnected")).await.unwrap();
    }
    server.stop();
    server.restart().await;
    intend(&state, "restarted").await.unwrap();
    // Like a node that has died: its folder keeps what it had confirmed.
    drop(state);
    let state = loop {
        match Postgres::join(&settings).await {
            Ok(state) => break state,
            Err(Error::Locked { .. }) => tokio::time::sleep(Duration::from_millis(20)).await,
            Err(error) => panic!("{error}"),
        }
    };
    assert_eq!(reason(&state).await, None);
    state.close().await;
}

#[tokio::test]
async fn another_database_is_doubted_and_a_new_folder_is_not() {
    let server = start().await;
    let (name, other) = (database(server.port).await, database(server.port).await);
    let folder = tempfile::tempdir().unwrap();
    opened(&node(&server, &name, folder.path())).await.close().await;
    let elsewhere = tempfile::tempdir().unwrap();
    opened(&node(&server, &other, elsewhere.path())).await.close().await;
    let state = Postgres::join(&node(&server, &other, folder.path())).await.unwrap();
    assert_eq!(reason(&state).await, Some(Reason::Foreign));
    state.close().await;
}
