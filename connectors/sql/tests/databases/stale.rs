//! Connections that are no good any more, and tables that change under them.

use bridgehead_sdk::{Action, Code, Connector, Error, Record, Subject};
use serde_json::{Value, json};
use sqlx::{Connection, Executor};

use crate::mariadb::Shop;
use crate::postgres::Crm;
use crate::sqlite::{Wiki, open};
use crate::support::{accounts, create, execute, find, list};

async fn refused(connector: &dyn Connector, name: &str) -> Error {
    execute(connector, Action::CreateAccount, json!({ "account": { "username": name } })).await.unwrap_err()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_to_a_server_that_takes_no_changes_is_not_kept() {
    let crm = Crm::start().await;
    crm.server.sql("postgres", "ALTER DATABASE crm SET default_transaction_read_only = on");
    let connector = crm.example().patient().with("pool.max_connections", 1).connector();
    let error = refused(&*connector, "ann").await;
    assert_eq!((error.code(), error.about()), (Code::PermissionDenied, Subject::Connection), "{error}");
    crm.server.sql("postgres", "ALTER DATABASE crm RESET default_transaction_read_only");
    create(&*connector, "ann").await;

    let shop = Shop::start().await;
    shop.server.sql("shop", "SET GLOBAL tx_read_only = ON");
    let connector = shop.example().patient().with("pool.max_connections", 1).connector();
    let error = refused(&*connector, "ann").await;
    assert_eq!((error.code(), error.about()), (Code::PermissionDenied, Subject::Connection), "{error}");
    shop.server.sql("shop", "SET GLOBAL tx_read_only = OFF");
    create(&*connector, "ann").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_changes_shifts_no_value_into_another_field() {
    let wiki = Wiki::start().await;
    let path = wiki.path("app.sqlite");
    let mut file = open(&path).await;
    file.execute("CREATE TABLE people (id TEXT, name TEXT, email TEXT, note TEXT)").await.unwrap();
    file.execute("INSERT INTO people VALUES ('1', 'ann', 'ann@example.com', 'short')").await.unwrap();
    let connector = wiki
        .example("app.sqlite").patient()
        .with("groups", Value::Null)
        .with("pool.max_connections", 1)
        .with("actions", json!({ "update_account": ["UPDATE people SET name = :username, email = :email, note = :note WHERE id = :id"] }))
        .with("accounts.fields", json!({ "id": "id", "username": "name", "email": "email", "note": "note" }))
        .with("accounts.select", "SELECT * FROM people")
        .with("accounts.list", "WHERE id > COALESCE(:after, '') ORDER BY id LIMIT :limit")
        .with("accounts.by_id", "WHERE id = :id")
        .with("accounts.by_username", "WHERE name = :username")
        .with("accounts.by_email", "WHERE email = :email")
        .connector();
    let shown = async || {
        let (records, ..) = list(&*connector, &accounts()).await.unwrap();
        let Record::Account(account) = &records[0] else { panic!("no account") };
        (account.username.clone().unwrap(), account.email.clone().unwrap(), account.extra["note"].clone())
    };
    let update = async |note: &str| {
        let payload = json!({ "account": { "id": "1" }, "changes": { "note": note } });
        execute(&*connector, Action::UpdateAccount, payload).await.unwrap();
    };
    let expected = |note: &str| ("ann".to_owned(), "ann@example.com".to_owned(), json!(note));
    assert_eq!(shown().await, expected("short"));
    update("first").await;
    // A column in the middle, as a migration that copies the table makes one.
    file.execute(
        "CREATE TABLE new (id TEXT, secret TEXT, name TEXT, email TEXT, note TEXT); \
         INSERT INTO new SELECT id, 'hidden', name, email, note FROM people; DROP TABLE people; ALTER TABLE new RENAME TO people",
    )
    .await
    .unwrap();
    assert_eq!(shown().await, expected("first"));
    update("second").await;
    assert_eq!(shown().await, expected("second"));
    file.close().await.unwrap();

    // Another file in its place, as a restored backup is.
    let backup = wiki.path("backup.sqlite");
    std::fs::copy(&path, &backup).unwrap();
    update("third").await;
    std::fs::rename(&backup, &path).unwrap();
    assert_eq!(shown().await, expected("second"));
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_found_in_any_case_beyond_ascii_too() {
    let wiki = Wiki::start().await;
    let connector = wiki
        .example("app.sqlite")
        .patient()
        .with("accounts.by_username", "WHERE a.username = :username COLLATE UNICODE_NOCASE")
        .connector();
    connector.check().await.unwrap();
    create(&*connector, "Éva Straße").await;
    for name in ["éva straße", "ÉVA STRAßE", "Éva Straße"] {
        assert!(find(&*connector, name).await.is_some(), "{name}");
    }
    // With the letters of ASCII alone, small and capital letters are looked for, too.
    let connector = wiki.example("app.sqlite").patient().connector();
    create(&*connector, "ÖLLE").await;
    assert!(find(&*connector, "ölle").await.is_some());
}
