//! Unusable connections, and tables that change while they are used.

use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use bridgehead_sdk::{Action, Code, Connector, Error, Record, Subject};
use serde_json::{Value, json};
use sqlx::{Connection, Executor};

use crate::example::Example;
use crate::mariadb::Shop;
use crate::postgres::Crm;
use crate::sqlite::{Wiki, open};
use crate::support::{accounts, create, execute, find, list};

async fn refused(connector: &dyn Connector, name: &str) -> Error {
    execute(connector, Action::CreateAccount, json!({ "account": { "username": name } })).await.unwrap_err()
}

#[tokio::test(flavor = "multi_thread")]
async fn read_only_postgresql_connection_is_dropped() {
    let crm = Crm::start().await;
    crm.server.sql("postgres", "ALTER DATABASE crm SET default_transaction_read_only = on");
    let connector = crm.example().patient().with("pool.max_connections", 1).connector();
    let error = refused(&*connector, "ann").await;
    assert_eq!((error.code(), error.subject()), (Code::PermissionDenied, Subject::Connection), "{error}");
    crm.server.sql("postgres", "ALTER DATABASE crm RESET default_transaction_read_only");
    create(&*connector, "ann").await;

    let shop = Shop::start().await;
    shop.server.sql("shop", "SET GLOBAL tx_read_only = ON");
    let connector = shop.example().patient().with("pool.max_connections", 1).connector();
    let error = refused(&*connector, "ann").await;
    assert_eq!((error.code(), error.subject()), (Code::PermissionDenied, Subject::Connection), "{error}");
    shop.server.sql("shop", "SET GLOBAL tx_read_only = OFF");
    create(&*connector, "ann").await;
    // Users with all privileges can change a read-only server; others cannot.
    shop.server.sql(
        "shop",
        "CREATE USER app IDENTIFIED BY 'app-secret-1'; GRANT ALL ON shop.* TO app; SET GLOBAL read_only = ON",
    );
    let app =
        shop.example().login("app", "app-secret-1").patient().with("pool.max_connections", 1).connector();
    let error = refused(&*app, "bob").await;
    assert!(error.message().contains("[MySQL 1290]"), "{error}");
    assert_eq!((error.code(), error.subject()), (Code::PermissionDenied, Subject::Connection), "{error}");
    shop.server.sql("shop", "SET GLOBAL read_only = OFF");
    create(&*app, "bob").await;

    // Root can write to every file, so the file itself declares that this SQLite is too old to write to it (its write version, at byte 18).
    let wiki = Wiki::start().await;
    let file = std::fs::File::options().write(true).open(wiki.path("app.sqlite")).unwrap();
    let version = |version: u8| file.write_all_at(&[version], 18).unwrap();
    version(3);
    let connector = wiki.example("app.sqlite").patient().with("pool.max_connections", 1).connector();
    assert_eq!(find(&*connector, "ann").await, None);
    let error = refused(&*connector, "ann").await;
    assert!(error.message().contains("[SQLite 8]"), "{error}");
    assert_eq!((error.code(), error.subject()), (Code::PermissionDenied, Subject::Connection), "{error}");
    version(1);
    create(&*connector, "ann").await;
}

/// The connection is replaced after each of these errors, and the task is retried.
#[tokio::test(flavor = "multi_thread")]
async fn connection_is_replaced_after_session_errors() {
    let crm = Crm::start().await;
    crm.server.sql(
        "crm",
        "CREATE FUNCTION fails(state text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = state; END $$",
    );
    let pid = || {
        crm.server.sql(
            "crm",
            "SELECT string_agg(pid::text, ',') FROM pg_stat_activity WHERE application_name = 'bridgehead'",
        )
    };
    let example = crm.example().patient().with("pool.max_connections", 1);
    for (state, is_kept) in [
        ("0A000", false),
        ("26000", false),
        ("42P05", false),
        ("08P01", false),
        ("25006", false),
        ("23514", true),
        ("P0001", true),
    ] {
        let step = format!("SELECT fails('{state}') WHERE :username IS NOT NULL");
        let connector = example.clone().with("actions.create_account", json!([step])).connector();
        assert_eq!(find(&*connector, "ann").await, None);
        let before = pid();
        let error = refused(&*connector, "ann").await;
        assert!(error.message().contains(state), "{error}");
        if !is_kept {
            assert_eq!(error.subject(), Subject::Connection, "{error}");
        }
        assert_eq!(find(&*connector, "ann").await, None);
        // The server needs a moment to end a dropped connection.
        let is_same = loop {
            let now = pid();
            if now.trim().parse::<u32>().is_ok() {
                break now == before;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        };
        assert_eq!(is_same, is_kept, "{state}");
        connector.shutdown().await;
        while !pid().trim().is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }
}

/// The same with the error numbers with which MySQL and MariaDB reject changes, whether or not a current server has a setting that causes
/// each.
#[tokio::test(flavor = "multi_thread")]
async fn read_only_mysql_connection_is_dropped() {
    let mut shop = Shop::start().await;
    let example = shop.example().patient().with("pool.max_connections", 1);
    let ids = |shop: &Shop| {
        let list = "SELECT GROUP_CONCAT(id) FROM information_schema.processlist WHERE db = 'shop' AND id <> connection_id()";
        shop.server.sql("shop", list).trim().to_owned()
    };
    for (number, is_kept) in [(1036, false), (1290, false), (1792, false), (1836, false), (1644, true)] {
        shop.server.sql(
            "shop",
            &format!(
                "CREATE OR REPLACE TRIGGER fails BEFORE INSERT ON accounts FOR EACH ROW \
                 SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = {number}"
            ),
        );
        let connector = example.connector();
        assert_eq!(find(&*connector, "ann").await, None);
        let before = ids(&shop);
        let error = refused(&*connector, "ann").await;
        assert!(error.message().contains(&format!("[MySQL {number}]")), "{error}");
        let of_connection = (Code::PermissionDenied, Subject::Connection);
        assert_eq!((error.code(), error.subject()) == of_connection, !is_kept, "{error}");
        assert_eq!(find(&*connector, "ann").await, None);
        let is_same = loop {
            let now = ids(&shop);
            if now.parse::<u32>().is_ok() {
                break now == before;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        };
        assert_eq!(is_same, is_kept, "{number}");
        connector.shutdown().await;
        while ids(&shop) != "NULL" {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }
    shop.server.sql("shop", "DROP TRIGGER fails");
    // A setting that requires a restart.
    let connector = example.connector();
    create(&*connector, "before").await;
    shop.server.restart_with(&["--innodb-read-only=ON"]).await;
    let error = refused(&*connector, "ann").await;
    assert_eq!((error.code(), error.subject()), (Code::PermissionDenied, Subject::Connection), "{error}");
    assert!(find(&*connector, "before").await.is_some(), "it is read as before");
    let error = connector.check().await.unwrap_err();
    assert!(error.message().contains("innodb_read_only is on"), "{error}");
}

/// A listing of whatever columns exist, on a single connection.
fn people(example: Example) -> Arc<dyn Connector> {
    example
        .patient()
        .with("groups", Value::Null)
        .with("licenses", Value::Null)
        .with("pool.max_connections", 1)
        .with("actions", json!({ "update_account": ["UPDATE people SET name = :username, email = :email, note = :note WHERE id = :id"] }))
        .with("accounts", json!({
            "fields": { "id": "id", "username": "name", "email": "email", "note": "note" }, "select": "SELECT * FROM people",
            "list": "WHERE id > COALESCE(:after, '') ORDER BY id LIMIT :limit", "by_id": "WHERE id = :id",
            "by_username": "WHERE name = :username", "by_email": "WHERE email = :email",
        }))
        .connector()
}

type Shown = (String, String, Value);

async fn first(connector: &dyn Connector) -> Shown {
    let (records, ..) = list(connector, &accounts()).await.unwrap();
    let Record::Account(account) = &records[0] else { panic!("no account") };
    (account.username.clone().unwrap(), account.email.clone().unwrap(), account.extra["note"].clone())
}

async fn update(connector: &dyn Connector, note: &str) {
    let payload = json!({ "account": { "id": "1" }, "changes": { "note": note } });
    execute(connector, Action::UpdateAccount, payload).await.unwrap();
}

fn expected(note: &str) -> Shown {
    ("ann".to_owned(), "ann@example.com".to_owned(), json!(note))
}

#[tokio::test(flavor = "multi_thread")]
async fn server_table_change_never_shifts_values_between_fields() {
    let columns = "id VARCHAR(9), name VARCHAR(20), email VARCHAR(40), note VARCHAR(20)";
    let table = format!(
        "CREATE TABLE people ({columns}); INSERT INTO people VALUES ('1', 'ann', 'ann@example.com', 'short')"
    );
    let (crm, shop) = (Crm::start().await, Shop::start().await);
    crm.server.sql("crm", &table);
    shop.server.sql("shop", &table);
    // PostgreSQL cannot add a column in the middle.
    let copied = "CREATE TABLE copy AS SELECT id, 'hidden' AS secret, name, email, note FROM people; DROP TABLE people; \
                  ALTER TABLE copy RENAME TO people";
    let added = "ALTER TABLE people ADD COLUMN secret VARCHAR(20) DEFAULT 'hidden' AFTER id";
    let dropped = "ALTER TABLE people DROP COLUMN secret";
    for (connector, sql, steps) in [
        (
            people(crm.example()),
            &(|sql: &str| crm.server.sql("crm", sql)) as &dyn Fn(&str) -> String,
            [copied, dropped],
        ),
        (people(shop.example()), &|sql: &str| shop.server.sql("shop", sql), [added, dropped]),
    ] {
        assert_eq!(first(&*connector).await, expected("short"));
        update(&*connector, "n0").await;
        for (n, step) in steps.into_iter().enumerate() {
            sql(step);
            assert_eq!(first(&*connector).await, expected(&format!("n{n}")));
            update(&*connector, &format!("n{}", n + 1)).await;
            assert_eq!(first(&*connector).await, expected(&format!("n{}", n + 1)));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn table_change_never_shifts_values_between_fields() {
    let wiki = Wiki::start().await;
    let path = wiki.path("app.sqlite");
    let mut file = open(&path).await;
    file.execute("CREATE TABLE people (id TEXT, name TEXT, email TEXT, note TEXT)").await.unwrap();
    file.execute("INSERT INTO people VALUES ('1', 'ann', 'ann@example.com', 'short')").await.unwrap();
    let connector = people(wiki.example("app.sqlite"));
    let shown = async || first(&*connector).await;
    let update = async |note: &str| update(&*connector, note).await;
    assert_eq!(shown().await, expected("short"));
    update("first").await;
    // A column in the middle, as added by a migration that copies the table.
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

    // Another file replaces it, like a restored backup.
    let backup = wiki.path("backup.sqlite");
    std::fs::copy(&path, &backup).unwrap();
    update("third").await;
    std::fs::rename(&backup, &path).unwrap();
    assert_eq!(shown().await, expected("second"));
}

#[tokio::test(flavor = "multi_thread")]
async fn non_ascii_names_are_found_ignoring_case() {
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
    // Where SQLite only compares ASCII letters, lowercase and uppercase spellings are looked up too.
    let connector = wiki.example("app.sqlite").patient().connector();
    create(&*connector, "ÖLLE").await;
    assert!(find(&*connector, "ölle").await.is_some());
}
