//! PostgreSQL behind a connection pool that assigns a connection for each transaction.

use std::sync::Arc;

use bridgehead_sdk::{Action, Code, Connector, Effect, Retry, Subject};
use bridgehead_test_servers::PgBouncer;
use serde_json::json;
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::{ConnectOptions, Row, raw_sql};

use crate::postgres::Crm;
use crate::support::{accounts, create, execute, find, ids, list};

#[tokio::test(flavor = "multi_thread")]
async fn transaction_pooling_reports_actual_outcomes() {
    let crm = Crm::start().await;
    // The driver queries the server about types that are not built in.
    crm.server.sql("crm", "CREATE EXTENSION citext; ALTER TABLE accounts ALTER department TYPE citext");
    let pool = PgBouncer::start(&crm.server, "transaction", 2).await;
    let through = crm.example().patient().at(pool.port).with("pool.max_connections", 3);
    // Connectors with different orders of statements, so that the statements that one has prepared do not match those of another.
    let connectors: Vec<Arc<dyn Connector>> = (0..4)
        .map(|number| {
            let example = through.clone();
            let step = format!("UPDATE accounts SET department = 'd{number}' WHERE id = :id");
            let delete = format!("DELETE FROM accounts WHERE id = :id AND department <> 'x{number}'");
            example.with("actions.delete_account", json!([step, delete])).connector()
        })
        .collect();
    let tasks = connectors.iter().cloned().enumerate().map(|(number, connector)| {
        tokio::spawn(async move {
            for round in 0..12 {
                // Without a check, the connection does not know the type before.
                if number % 2 == 0 {
                    connector.check().await.unwrap();
                }
                let name = format!("u{number}-{round}");
                let id = create(&*connector, &name).await;
                let payload = json!({ "account": { "id": id } });
                execute(&*connector, Action::SuspendAccount, payload.clone()).await.unwrap();
                if round % 3 == 0 {
                    list(&*connector, &accounts()).await.unwrap();
                }
                if round % 2 == 0 {
                    execute(&*connector, Action::DeleteAccount, payload).await.unwrap();
                    assert_eq!(find(&*connector, &name).await, None, "{name}");
                }
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    let there = crm.server.sql("crm", "SELECT count(*) FROM accounts WHERE NOT active");
    assert_eq!(there.trim(), "24");
    assert_eq!(ids(&list(&*connectors[0], &accounts()).await.unwrap().0).len(), 24);
    // A pool that assigns a connection for each statement could execute only half a task: it is rejected before anything is run.
    let half = PgBouncer::start(&crm.server, "statement", 2).await;
    let refused = crm.example().patient().at(half.port).connector();
    let task = json!({ "account": { "username": "ann" } });
    for error in [
        refused.check().await.unwrap_err(),
        execute(&*refused, Action::CreateAccount, task).await.unwrap_err(),
        list(&*refused, &accounts()).await.unwrap_err(),
    ] {
        assert!(error.message().contains("set pool_mode = transaction"), "{error}");
        assert_eq!((error.retry(), error.subject()), (Retry::Backoff, Subject::Connection), "{error}");
    }
    assert_eq!(find(&*connectors[0], "ann").await, None);
    // Nothing is left on the server connections for other clients, to which the pool assigns them in turn.
    let options = PgConnectOptions::new_without_pgpass().host("127.0.0.1").port(pool.port).database("crm");
    let options = options.username(&crm.server.user).ssl_mode(PgSslMode::Disable).extra_float_digits(None);
    let mut other = options.connect().await.unwrap();
    for _ in 0..6 {
        let left =
            raw_sql("SELECT count(*) FROM pg_prepared_statements").fetch_one(&mut other).await.unwrap();
        assert_eq!(left.get::<i64, _>(0), 0);
        let timeout = raw_sql("SHOW statement_timeout").fetch_one(&mut other).await.unwrap();
        assert_eq!(timeout.get::<String, _>(0), "0");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pooler_refusals_are_reported_like_server_errors() {
    let mut crm = Crm::start().await;
    let users = [(crm.server.user.as_str(), crm.server.password.as_str()), ("stale", "stale-secret-1")];
    let pool = PgBouncer::start_for(&crm.server, "session", 5, &users).await;
    let example = crm.example().patient().at(pool.port);
    let through = || example.clone();
    through().connector().check().await.unwrap();
    for (example, code) in [
        (through().with("password", "wrong-secret-1"), Code::PermissionDenied),
        (through().with("user", "nobody"), Code::PermissionDenied),
        // The pool knows this user, but the server does not.
        (through().login("stale", "stale-secret-1"), Code::PermissionDenied),
        (through().with("database", "nowhere"), Code::Timeout),
    ] {
        let connector = example.connector();
        let task = json!({ "account": { "username": "ann" } });
        for error in [
            connector.check().await.unwrap_err(),
            execute(&*connector, Action::CreateAccount, task).await.unwrap_err(),
        ] {
            assert_eq!(
                (error.code(), error.effect(), error.retry(), error.subject()),
                (code, Effect::NotApplied, Retry::Backoff, Subject::Connection),
                "{error}"
            );
            assert!(!error.message().contains("secret-1"), "{error}");
        }
    }
    crm.server.stop();
    // The pool waits for its server to come back, but the connector does not.
    let hasty = through().with("connect_timeout", "3s").with("statement_timeout", "3s").connector();
    let error = hasty.check().await.unwrap_err();
    assert_eq!((error.code(), error.subject()), (Code::Timeout, Subject::Connection), "{error}");
}
