//! What `check` reports before the first task.

use bridgehead_sdk::{Code, Connector, Retry, Subject};
use serde_json::{Value, json};
use sqlx::Executor;

use crate::mariadb::Shop;
use crate::postgres::Crm;
use crate::secrecy::Log;
use crate::sqlite::{Wiki, open};
use crate::support::create;

async fn said(connector: &dyn Connector) -> String {
    match connector.check().await {
        Ok(()) => "nothing is wrong".to_owned(),
        Err(error) => {
            assert_eq!((error.retry(), error.subject()), (Retry::Backoff, Subject::Connection), "{error}");
            format!("{} {}", error.code(), error.message())
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn check_reports_read_only_server_and_missing_privileges() {
    let crm = Crm::start().await;
    let sql = |statement: &str| crm.server.sql("crm", statement);
    // PostgreSQL parses a statement without checking permissions.
    sql(
        "CREATE ROLE half LOGIN PASSWORD 'half-secret-1'; GRANT ALL ON ALL TABLES IN SCHEMA public TO half; \
         GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO half; REVOKE DELETE ON team_members FROM half",
    );
    let half = crm.example().patient().login("half", "half-secret-1");
    let why = said(&*half.connector()).await;
    assert!(
        why.starts_with("PERMISSION_DENIED") && why.ends_with("[PostgreSQL 42501] (groups.0.remove.0)"),
        "{why}"
    );
    sql("GRANT DELETE ON team_members TO half");
    assert_eq!(said(&*half.connector()).await, "nothing is wrong");

    let places = "SELECT id, username, email, display_name, first_name, last_name, department, active, point(1, 2) AS place FROM accounts a";
    let without_form =
        crm.example().patient().with("accounts.fields.place", "place").with("accounts.select", places);
    let why = said(&*without_form.with("actions", Value::Null).connector()).await;
    assert!(why.contains("returns place, which holds place, as POINT"), "{why}");

    crm.server.sql("postgres", "ALTER DATABASE crm SET default_transaction_read_only = on");
    let why = said(&*crm.example().patient().connector()).await;
    assert!(why.starts_with("PERMISSION_DENIED") && why.contains("transaction_read_only is on"), "{why}");
    // A connector that only reads needs no further permissions.
    let reads = crm
        .example()
        .patient()
        .with("actions", Value::Null)
        .with("groups", Value::Null)
        .with("licenses", Value::Null);
    assert_eq!(said(&*reads.connector()).await, "nothing is wrong");

    let shop = Shop::start().await;
    assert_eq!(said(&*shop.example().patient().connector()).await, "nothing is wrong");
    shop.server.sql("shop", "SET GLOBAL tx_read_only = ON");
    let why = said(&*shop.example().patient().connector()).await;
    assert!(
        why.starts_with("PERMISSION_DENIED") && why.contains("the database does not accept changes"),
        "{why}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn check_warns_about_possible_problems() {
    let log = Log::default();
    let subscriber =
        tracing_subscriber::fmt().with_max_level(tracing::Level::WARN).with_writer(log.clone()).finish();
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let wiki = Wiki::start().await;
    let example = wiki.example("app.sqlite").patient();
    create(&*example.connector(), "ann").await;
    example.connector().check().await.unwrap();
    assert_eq!(log.text(), "", "the example is as it should be");

    let exact = example.clone().with("accounts.by_username", "WHERE a.username = :username COLLATE BINARY");
    exact.connector().check().await.unwrap();
    assert!(
        log.text().contains("accounts.by_username")
            && log.text().contains("a second account could be created"),
        "{}",
        log.text()
    );

    let mut file = open(&wiki.path("app.sqlite")).await;
    file.execute("CREATE TABLE people (id TEXT, name TEXT)").await.unwrap();
    let keyless = example.with("groups", json!([])).with("actions", json!({})).with("accounts", json!({
        "fields": { "id": "id", "username": "name" }, "paging": "none", "list": "SELECT id, name FROM people",
        "by_id": "SELECT id, name FROM people WHERE id = :id", "by_username": "SELECT id, name FROM people WHERE lower(name) = lower(:username)",
    }));
    keyless.connector().check().await.unwrap();
    assert!(log.text().contains("the column id of people has no unique key"), "{}", log.text());
    let error = keyless
        .with("accounts.by_id", "SELECT id, nme AS name FROM people WHERE id = :id")
        .connector()
        .check()
        .await;
    assert_eq!(error.unwrap_err().code(), Code::InternalError);
}
