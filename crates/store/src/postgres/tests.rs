//! Several nodes, and unsuitable servers, with a real PostgreSQL server.

use std::time::Duration;

use bridgehead_test_servers::{PgBouncer, Postgres as Server};
use sqlx::{Connection, Executor, PgConnection};

use super::super::contract::server::{database, settings, start, url};
use super::super::contract::{app, completed, intent};
use super::super::lease::{SharedStatus, Terms};
use super::super::{Error, TaskJournal};
use super::{Address, Postgres, Settings};

/// A short lease, and calls that may last longer than the lease.
const SHORT: Terms = Terms { lease: Duration::from_secs(2), longest_call: Duration::from_secs(3) };

fn short(settings: Settings) -> Settings {
    Settings { terms: SHORT, ..settings }
}

fn is_fenced<T>(result: Result<T, Error>) -> bool {
    result.is_err_and(|error| matches!(error, Error::Fenced { .. }))
}

#[tokio::test]
async fn only_the_owner_of_an_app_reports_its_status_and_only_others_read_it() {
    let server = start().await;
    let name = database(server.port).await;
    let one = Postgres::join(&settings(server.port, &name, "a")).await.unwrap();
    let other = Postgres::join(&settings(server.port, &name, "b")).await.unwrap();
    one.acquire(&app(1)).await.unwrap();
    let told = |text: &str| [(app(1), text.as_bytes().to_vec())];
    let heard = async |state: &Postgres| -> Vec<(String, Vec<u8>)> {
        state.reported().await.unwrap().into_iter().map(|told| (told.app, told.body)).collect()
    };
    one.report(&told("first")).await.unwrap();
    one.report(&told("second")).await.unwrap();
    other.report(&told("not the owner")).await.unwrap();
    assert_eq!(heard(&other).await, [(app(1).as_str().to_owned(), b"second".to_vec())]);
    assert_eq!(heard(&one).await, []);
    one.release(&app(1), true).await.unwrap();
    assert_eq!(heard(&other).await, [], "nobody runs it");
    other.acquire(&app(1)).await.unwrap();
    one.report(&told("no longer the owner")).await.unwrap();
    assert_eq!((heard(&one).await, heard(&other).await), (vec![], vec![]));
}

#[tokio::test]
async fn hundred_apps_are_taken_over_and_released_at_once_with_few_connections() {
    let server = Server::start_with(&["fsync=on", "synchronous_commit=on", "max_connections=20"]).await;
    let name = database(server.port).await;
    let one = Postgres::join(&settings(server.port, &name, "a")).await.unwrap();
    let apps: Vec<_> = (1..=100).map(app).collect();
    let acquired = futures::future::join_all(apps.iter().map(|app| one.acquire(app))).await;
    for acquired in acquired {
        acquired.unwrap();
    }
    let released = futures::future::join_all(apps.iter().map(|app| one.release(app, true))).await;
    for released in released {
        released.unwrap();
    }
    one.close().await;
}

#[tokio::test]
async fn a_lease_is_renewed_for_as_long_as_the_node_lives() {
    let server = start().await;
    let name = database(server.port).await;
    let one = Postgres::join(&short(settings(server.port, &name, "a"))).await.unwrap();
    let first = one.acquire(&app(1)).await.unwrap();
    let mut ends = std::collections::BTreeSet::new();
    while ends.len() < 4 {
        ends.insert(server.sql(&name, "SELECT expires_at FROM owners"));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(one.owners().await.unwrap()[0].epoch, first.epoch);
}

#[tokio::test]
async fn no_call_starts_while_the_database_is_away_for_longer_than_the_lease() {
    let mut server = start().await;
    let name = database(server.port).await;
    let state = Postgres::join(&short(settings(server.port, &name, "a"))).await.unwrap();
    state.acquire(&app(1)).await.unwrap();
    state.may_start(&app(1)).unwrap();
    server.stop();
    tokio::time::sleep(SHORT.lease).await;
    assert!(is_fenced(state.may_start(&app(1))));
    let refused = state.intent(&app(1), &intent("t", 1, 1)).await;
    assert!(matches!(refused, Err(Error::Postgres { .. })), "{refused:?}");
    server.restart().await;
    // No other node has taken it over, so the same lease continues automatically.
    for attempt in 0.. {
        match state.intent(&app(1), &intent("t", 1, 1)).await {
            Ok(()) => break,
            Err(error) => assert!(attempt < 600, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_takeover_waits_for_a_write_that_is_under_way_and_a_renewal_does_not() {
    let server = start().await;
    let name = database(server.port).await;
    let one = Postgres::join(&short(settings(server.port, &name, "a"))).await.unwrap();
    one.acquire(&app(1)).await.unwrap();
    // Like the first statement of a writer. The server does not end the test's own idle connection.
    let mut writer = PgConnection::connect(&url(server.port, &name)).await.unwrap();
    writer.execute("BEGIN; SELECT epoch FROM owners FOR KEY SHARE").await.unwrap();
    let until = || server.sql(&name, "SELECT expires_at FROM owners");
    let before = until();
    while until() == before {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // The node dies, and its lease expires, but its transaction is still open.
    drop(one);
    let ended = "SELECT expires_at <= clock_timestamp() FROM owners";
    while server.sql(&name, ended).trim() != "t" {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let other = Postgres::join(&short(settings(server.port, &name, "b"))).await.unwrap();
    let taking = tokio::spawn(async move { other.acquire(&app(1)).await.map(|acquired| acquired.epoch) });
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
    while server.sql(&name, waiting).trim() != "1" {
        assert!(!taking.is_finished(), "it takes the app over in the middle of a write");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    writer.execute("COMMIT").await.unwrap();
    assert_eq!(taking.await.unwrap().unwrap(), 2);
}

#[tokio::test]
async fn the_whole_state_has_one_owner_too() {
    let server = start().await;
    let name = database(server.port).await;
    let one = Postgres::open(&settings(server.port, &name, "a")).await.unwrap();
    let refused = Postgres::open(&settings(server.port, &name, "b")).await.unwrap_err().to_string();
    assert!(refused.contains("node a") && refused.contains(&name), "{refused}");
    assert!(!refused.contains("admin-secret-1"), "{refused}");
    one.verify().await.unwrap();
    server.sql(&name, "UPDATE owners SET epoch = epoch + 1");
    assert!(one.verify().await.is_err());
    assert!(is_fenced(one.intent(&app(1), &intent("t", 1, 1)).await));
}

#[tokio::test]
async fn a_server_that_may_lose_what_it_has_confirmed_is_refused() {
    for (setting, other) in [("fsync", "synchronous_commit"), ("synchronous_commit", "fsync")] {
        let server = Server::start_with(&[&format!("{setting}=off"), &format!("{other}=on")]).await;
        let error = Postgres::open(&settings(server.port, "postgres", "a")).await.unwrap_err().to_string();
        assert!(error.contains(&format!("{setting} is off")) && error.contains("executed twice"), "{error}");
        let tables = server.sql("postgres", "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'");
        assert_eq!(tables.trim(), "0", "nothing was made in it");
    }
}

#[tokio::test]
async fn a_pool_in_session_mode_is_fine_and_one_that_hands_out_transactions_is_refused() {
    let server = start().await;
    let name = database(server.port).await;
    for connections in [1, 2, 5] {
        let pool = PgBouncer::start(&server, "transaction", connections).await;
        let error = Postgres::open(&settings(pool.port, &name, "a")).await.unwrap_err();
        assert!(matches!(&error, Error::Unfit { .. }), "{connections}: {error}");
        assert!(error.to_string().contains("session"), "{connections}: {error}");
    }
    let pool = PgBouncer::start(&server, "session", 20).await;
    let state = Postgres::open(&settings(pool.port, &name, "a")).await.unwrap();
    state.intent(&app(1), &intent("t", 1, 1)).await.unwrap();
    assert_eq!(state.counts(&app(1)).await.unwrap().intended, 1);
    state.close().await;
}

#[tokio::test]
async fn the_server_must_prove_who_it_is_where_that_is_asked_for() {
    let server = start().await;
    let name = database(server.port).await;
    let given = settings(server.port, &name, "a");
    let verified = |roots| {
        let address =
            Address::parse(&format!("{}?sslmode=verify-full", url(server.port, &name)), roots).unwrap();
        Settings { address, ..given.clone() }
    };
    let known = std::fs::read(&server.ca).unwrap();
    Postgres::open(&verified(known)).await.unwrap().close().await;
    let other = Server::start().await;
    let unknown = std::fs::read(&other.ca).unwrap();
    let refused = Postgres::open(&verified(unknown)).await.unwrap_err();
    assert!(matches!(&refused, Error::Postgres { .. }), "{refused}");
    assert!(!refused.to_string().contains("admin-secret-1"), "{refused}");
}

#[tokio::test]
async fn two_nodes_that_start_at_the_same_time_make_one_state() {
    let server = start().await;
    let name = database(server.port).await;
    let (a, b) = (settings(server.port, &name, "a"), settings(server.port, &name, "b"));
    let (one, other) = tokio::join!(Postgres::join(&a), Postgres::join(&b));
    let (one, _other) = (one.unwrap(), other.unwrap());
    assert_eq!(server.sql(&name, "SELECT count(*) FROM lineage").trim(), "1");
    assert_eq!(server.sql(&name, "SELECT count(*) FROM doubts").trim(), "1");
    one.close().await;
}

#[tokio::test]
async fn a_node_works_with_newer_tables_until_they_are_no_longer_compatible() {
    let server = start().await;
    let name = database(server.port).await;
    let a = settings(server.port, &name, "a");
    let newer = Postgres::join(&a).await.unwrap();
    server.sql(&name, "INSERT INTO _sqlx_migrations SELECT 9999, description, now(), true, checksum, 1 FROM _sqlx_migrations LIMIT 1");
    newer.close().await;
    let older = Postgres::join(&a).await.unwrap();
    older.acquire(&app(1)).await.unwrap();
    older.intent(&app(1), &intent("t", 1, 1)).await.unwrap();
    older.close().await;
    server.sql(&name, "UPDATE compatibility SET oldest = 9999");
    let refused = Postgres::join(&a).await.unwrap_err();
    assert!(matches!(refused, Error::TooNew { found: 9999, .. }), "{refused}");
    server.sql(&name, "DROP TABLE compatibility");
    assert!(Postgres::join(&a).await.is_err());
}

#[tokio::test]
async fn writes_that_wait_share_a_commit_and_one_that_is_refused_fails_alone() {
    let server = start().await;
    let name = database(server.port).await;
    let state = Postgres::open(&settings(server.port, &name, "a")).await.unwrap();
    state.record_outcome(&app(1), &intent("t7", 1, 1), &completed("a")).await.unwrap();
    let before = state.stats();
    let app = &app(1);
    let writes = (0..40).map(|number| {
        let (state, intent) = (&state, intent(&format!("t{number}"), 1, 1));
        async move { state.intent(app, &intent).await }
    });
    let results = futures::future::join_all(writes).await;
    for (number, result) in results.into_iter().enumerate() {
        assert_eq!(result.is_err(), number == 7, "{number}: {result:?}");
    }
    let after = state.stats();
    assert_eq!(after.writes - before.writes, 40);
    assert!(after.commits - before.commits <= 4, "{before:?} {after:?}");
    assert_eq!(state.counts(app).await.unwrap().intended, 39);
}
