//! MariaDB, which also represents MySQL.

use std::net::SocketAddr;
use std::sync::Arc;

use bridgehead_conformance::{self as conformance, Protocol, Situation, Skip, TestTarget};
use bridgehead_sdk::{Account, Action, Code, Connector, Effect, Error, Record, Retry, Subject, async_trait};
use bridgehead_test_servers::MariaDb;
use serde_json::{Value, json};

use crate::example::{Example, tables};
use crate::relay::{Loss, relay};
use crate::support::{accounts, create, execute, find, list};

pub(crate) struct Shop {
    pub(crate) server: MariaDb,
}

impl Shop {
    pub(crate) async fn start() -> Self {
        let shop = Self { server: MariaDb::start().await };
        shop.database("shop");
        shop.server
            .sql("shop", "CREATE USER reader IDENTIFIED BY 'reader-secret-1'; GRANT SELECT ON *.* TO reader");
        shop
    }

    fn database(&self, name: &str) {
        self.server.sql("mysql", &format!("CREATE DATABASE {name}"));
        self.server.sql(name, &tables("mariadb.sql"));
        self.server.sql(
            name,
            "INSERT INTO teams SELECT CONCAT('team-', seq), CONCAT('Team ', seq) FROM seq_1_to_200",
        );
    }

    pub(crate) fn example(&self) -> Example {
        let example = Example::read("sql-mariadb.toml").at(self.server.port);
        example.login(&self.server.user, &self.server.password)
    }
}

#[async_trait]
impl TestTarget for Shop {
    async fn connect(&self, situation: Situation) -> Result<Arc<dyn Connector>, Skip> {
        let example = self.example();
        Ok(match situation {
            Situation::Working => example,
            Situation::BadCredential => example.login(&self.server.user, "wrong-secret-1"),
            Situation::RefusedPermission => example.login("reader", "reader-secret-1"),
            Situation::Unreachable(at) | Situation::Silent(at) | Situation::Through(at) => {
                example.at(at.port())
            }
            Situation::SmallPages(at) => example.at(at.port()).with("accounts.page_size", 2),
            _ => return Err(Skip::because("the target is a server")),
        }
        .connector())
    }

    fn address(&self) -> Option<SocketAddr> {
        Some((self.server.address, self.server.port).into())
    }

    fn protocol(&self) -> Protocol {
        Protocol::MySql
    }

    async fn populated(&self, accounts: usize) -> Result<Arc<dyn Connector>, Skip> {
        let name = format!("shop_{accounts}");
        let known = self.server.sql("mysql", &format!("SHOW DATABASES LIKE '{name}'"));
        if known.trim().is_empty() {
            self.database(&name);
            // The sequence engine would count from 1 down to 0.
            if accounts > 0 {
                self.server.sql(
                    &name,
                    &format!(
                        "INSERT INTO accounts (username, email) \
                         SELECT CONCAT('u', seq), CONCAT('u', seq, '@example.com') FROM seq_1_to_{accounts}; \
                         INSERT INTO team_members SELECT id, CONCAT('team-', 1 + id % 200) FROM accounts"
                    ),
                );
            }
        }
        Ok(self.example().with("database", name).connector())
    }

    fn free_text_fields(&self) -> Vec<&'static str> {
        vec!["display_name", "first_name", "last_name"]
    }

    fn secrets(&self) -> Vec<String> {
        ["admin-secret-1", "wrong-secret-1", "reader-secret-1"].map(str::to_owned).to_vec()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mariadb_passes_the_kit() {
    let shop = Shop::start().await;
    let report = conformance::run(&shop).await;
    report.assert_passed();
}

const CREATE: Action = Action::CreateAccount;
const INSERT: &str = "INSERT INTO accounts (username, email) VALUES (:username, :email)";

async fn fails(connector: &dyn Connector, name: &str) -> Error {
    execute(connector, CREATE, json!({ "account": { "username": name } })).await.unwrap_err()
}

fn parts(error: &Error) -> (Code, Effect, Retry, Subject) {
    (error.code(), error.effect(), error.retry(), error.subject())
}

#[tokio::test(flavor = "multi_thread")]
async fn failure_after_a_procedure_that_commits_is_not_reported_as_rolled_back() {
    let shop = Shop::start().await;
    shop.server
        .sql("shop", "CREATE PROCEDURE archive(who BIGINT) CREATE TABLE IF NOT EXISTS archive (id BIGINT)");
    let mark = "UPDATE accounts SET display_name = 'half' WHERE id = :id";
    let cases: [(&[&str], Effect); 2] =
        [(&[mark], Effect::NotApplied), (&[mark, "CALL archive(:id)"], Effect::Unknown)];
    for (steps, effect) in cases {
        let connector = shop.example().with("actions.delete_account", json!(steps)).connector();
        let id = create(&*connector, &format!("ann-{}", steps.len())).await;
        let task = json!({ "account": { "id": id } });
        let error = execute(&*connector, Action::DeleteAccount, task).await.unwrap_err();
        assert_eq!((error.code(), error.effect()), (Code::InternalError, effect), "{error}");
        let found = connector.find_account(&Account::by_id(id.as_str())).await.unwrap().unwrap();
        let is_half = found.display_name.as_deref() == Some("half");
        assert_eq!(is_half, effect == Effect::Unknown, "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mariadb_errors_are_reported_and_rolled_back() {
    let shop = Shop::start().await;
    let then = |step: Value| shop.example().with("actions.create_account", json!([INSERT, step]));
    let sql = |statement: &str| shop.server.sql("shop", statement);
    let not_applied = |code, retry, subject| (code, Effect::NotApplied, retry, subject);

    // Without RETURNING, as in MySQL, the account is looked up.
    let plain = shop.example().with("actions.create_account", json!([INSERT]));
    let id = create(&*plain.connector(), "ann").await;
    assert_eq!(find(&*plain.connector(), "ANN").await.unwrap().id.as_str(), id);

    // Strings that MySQL converts to the number are not the identifier.
    let loose = plain.clone().with("accounts.id_type", "text").connector();
    for wrong in [format!("{id}abc"), format!("{id}.0"), format!("0{id}")] {
        for connector in [&loose, &plain.connector()] {
            assert_eq!(
                connector.find_account(&Account::by_id(wrong.as_str())).await.unwrap(),
                None,
                "{wrong}"
            );
        }
    }

    let cases = [
        (
            json!("UPDATE accounts SET username = NULL WHERE username = :username"),
            "1048",
            Code::InternalError,
        ),
        (
            json!("UPDATE accounts SET active = :username WHERE username = :username"),
            "1366",
            Code::InternalError,
        ),
        (
            json!("UPDATE accounts SET first_name = REPEAT('x', 256) WHERE username = :username"),
            "1406",
            Code::InternalError,
        ),
        (
            json!("UPDATE accounts SET username = 'ann' WHERE username = :username"),
            "1062",
            Code::AccountAlreadyExists,
        ),
        (
            json!("INSERT INTO team_members SELECT id, 'nowhere' FROM accounts WHERE username = :username"),
            "1452",
            Code::InternalError,
        ),
    ];
    for (step, number, code) in cases {
        let error = fails(&*then(step).connector(), "bob").await;
        assert_eq!(parts(&error), not_applied(code, Retry::Never, Subject::Account), "{error}");
        assert!(error.message().contains(&format!("[MySQL {number}]")), "{error}");
        assert_eq!(find(&*plain.connector(), "bob").await, None);
    }

    let rules =
        json!([{ "constraint": "username", "report": "PERMISSION_DENIED", "message": "ask the owner" }]);
    let step = json!("UPDATE accounts SET username = 'ann' WHERE username = :username");
    let error = fails(&*then(step).with("errors", rules).connector(), "bob").await;
    assert_eq!(
        (error.code(), error.message()),
        (Code::PermissionDenied, "crm: create_account failed for User bob: ask the owner")
    );

    let slow = json!({ "require": "SELECT SLEEP(60)", "otherwise": "INTERNAL_ERROR" });
    let error = fails(&*then(slow).with("statement_timeout", "1s").connector(), "bob").await;
    assert_eq!(parts(&error), not_applied(Code::Timeout, Retry::Backoff, Subject::Account), "{error}");

    let killed = json!({ "require": "SELECT SLEEP(60) /* killed */", "otherwise": "INTERNAL_ERROR" });
    let connector = then(killed).with("statement_timeout", "30s").connector();
    let call = tokio::spawn(async move { fails(&*connector, "bob").await });
    let running =
        "SELECT id FROM information_schema.processlist WHERE info LIKE 'SELECT SLEEP(60) /* killed%'";
    let id = loop {
        let id = sql(running);
        if !id.trim().is_empty() {
            break id;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    sql(&format!("KILL {id}"));
    let error = call.await.unwrap();
    assert_eq!(parts(&error), not_applied(Code::Timeout, Retry::Backoff, Subject::Connection), "{error}");

    // Another client holds a lock.
    sql("INSERT INTO accounts (username) VALUES ('locked')");
    let holder = shop.example().with("actions.create_account", json!([INSERT, {
        "require": "SELECT 1 FROM accounts WHERE username = 'locked' AND SLEEP(4) = 0 FOR UPDATE", "otherwise": "INTERNAL_ERROR",
    }]));
    let holding = holder.with("statement_timeout", "20s").connector();
    let hold = tokio::spawn(async move { create(&*holding, "holder").await });
    while sql("SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE '%SLEEP(4)%' AND info LIKE 'SELECT 1%'").trim() == "0" {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let waiting = then(json!("UPDATE accounts SET first_name = :username WHERE username = 'locked'"));
    let error = fails(&*waiting.with("statement_timeout", "1s").connector(), "bob").await;
    assert_eq!(parts(&error), not_applied(Code::Timeout, Retry::Backoff, Subject::Account), "{error}");
    hold.await.unwrap();

    let check = async |example: Example| example.connector().check().await.unwrap_err();
    let error =
        check(plain.clone().with("actions.delete_account", json!(["DELETE FROM acounts WHERE id = :id"])))
            .await;
    assert_eq!(
        parts(&error),
        not_applied(Code::InternalError, Retry::Backoff, Subject::Connection),
        "{error}"
    );
    assert!(error.message().ends_with("[MySQL 1146] (actions.delete_account.0)"), "{error}");
    let error = check(plain.clone().with("database", "nowhere")).await;
    assert_eq!(
        parts(&error),
        not_applied(Code::InternalError, Retry::Backoff, Subject::Connection),
        "{error}"
    );
    assert!(error.message().ends_with("[MySQL 1049]"), "{error}");
    // A user without rights is not told that the database does not exist; the password is not to blame.
    sql("CREATE USER poor IDENTIFIED BY 'poor-secret-1'");
    let error = check(plain.clone().login("poor", "poor-secret-1").with("database", "nowhere")).await;
    assert_eq!(
        parts(&error),
        not_applied(Code::PermissionDenied, Retry::Backoff, Subject::Connection),
        "{error}"
    );
    assert!(error.message().contains("no access to the database"), "{error}");
    sql("CREATE USER full_up IDENTIFIED BY 'full-secret-1' WITH MAX_CONNECTIONS_PER_HOUR 1");
    let full = plain.login("full_up", "full-secret-1").with("database", "information_schema");
    check(full.clone()).await;
    let error = check(full).await;
    assert_eq!(parts(&error), not_applied(Code::RateLimited, Retry::Backoff, Subject::Connection), "{error}");
}

/// The server closes the connection without reading the rest of the statement, so its error may never arrive.
#[tokio::test(flavor = "multi_thread")]
async fn value_that_mariadb_does_not_accept_fails_its_task_alone() {
    let shop = Shop::start().await;
    shop.server.sql("shop", "SET GLOBAL max_allowed_packet = 1048576");
    let long = json!([
        INSERT,
        "UPDATE accounts SET display_name = LEFT(:display_name, 9) WHERE username = :username"
    ]);
    let connector = shop.example().with("actions.create_account", long).connector();
    let task = |name: &str, size: usize| json!({ "account": { "username": name, "display_name": "x".repeat(size) } });
    for size in [(1 << 20) + 1, 3 << 20, 20 << 20] {
        let error = execute(&*connector, CREATE, task("bob", size)).await.unwrap_err();
        let alone = (Code::InternalError, Effect::NotApplied, Retry::Never, Subject::Account);
        assert_eq!(parts(&error), alone, "{size}: {error}");
        assert!(error.message().contains("max_allowed_packet of the server [MySQL 1153]"), "{error}");
        assert_eq!(find(&*connector, "bob").await, None);
        let error = connector.find_account(&Account::by_username("y".repeat(size))).await.unwrap_err();
        assert_eq!((error.retry(), error.subject()), (Retry::Never, Subject::Account), "{size}: {error}");
    }
    execute(&*connector, CREATE, task("ann", 1 << 19)).await.unwrap();
}

/// An error that an administrator causes for all tasks, by changing what a statement needs, holds them: none of them is to blame.
#[tokio::test(flavor = "multi_thread")]
async fn broken_view_holds_the_tasks_of_mariadb() {
    let shop = Shop::start().await;
    let sql = |statement: &str| shop.server.sql("shop", statement);
    sql("CREATE TABLE extra (username VARCHAR(190)); \
         CREATE VIEW people AS SELECT a.username FROM accounts a LEFT JOIN extra USING (username)");
    let step =
        json!({ "unless": "SELECT 1 FROM people WHERE username = :username", "otherwise": "INTERNAL_ERROR" });
    let connector = shop.example().with("actions.create_account", json!([step, INSERT])).connector();
    create(&*connector, "ann").await;
    sql("DROP TABLE extra");
    let error = fails(&*connector, "bob").await;
    assert_eq!(
        parts(&error),
        (Code::InternalError, Effect::NotApplied, Retry::Backoff, Subject::Connection),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn mariadb_uses_tls_and_a_lost_commit_has_unknown_effect() {
    let shop = Shop::start().await;
    let mut example = shop.example().with("tls", true);
    let error = example.connector().check().await.unwrap_err();
    assert_eq!(error.subject(), Subject::Connection, "{error}");
    assert!(error.message().contains("no encrypted connection can be established"), "{error}");
    example.network.authorities = std::fs::read(&shop.server.ca).unwrap().into();
    let connector = example.connector();
    connector.check().await.unwrap();
    assert!(example.clone().with("host", "127.0.0.2").connector().check().await.is_err());

    let socket =
        shop.example().with("host", Value::Null).with("socket", shop.server.socket().to_str().unwrap());
    socket.connector().check().await.unwrap();

    let lossy = shop.example().at(relay(shop.server.port, b"COMMIT", Loss::Answer).await).connector();
    let error = fails(&*lossy, "answer").await;
    assert_eq!(parts(&error), (Code::Timeout, Effect::Unknown, Retry::Backoff, Subject::Account), "{error}");
    assert!(find(&*connector, "answer").await.is_some(), "it was committed");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_mariadb_type_is_read() {
    let shop = Shop::start().await;
    shop.server.sql("shop", "CREATE TABLE kinds (id BIGINT PRIMARY KEY, flag BOOLEAN, small SMALLINT, tiny TINYINT UNSIGNED, medium MEDIUMINT, \
        plain INT, big BIGINT UNSIGNED, price DECIMAL(10,2), huge DECIMAL(40,2), f FLOAT, d DOUBLE, day DATE, moment DATETIME(3), stamp TIMESTAMP NULL, \
        clock TIME, year YEAR, bits BIT(9), name VARCHAR(10), exact VARCHAR(10) COLLATE utf8mb4_bin, fixed CHAR(4), long_text LONGTEXT, \
        raw BINARY(4), bytes BLOB, pick ENUM('a', 'b'), many SET('a', 'b'), doc JSON, ident UUID, nothing INT); \
        SET time_zone = '+00:00'; INSERT INTO kinds VALUES (1, TRUE, -2, 200, -3, -4, 18446744073709551615, 12.50, 12345678901234567890.12, 1.5, 0.1, \
        '2024-02-29', '2024-02-29 01:02:03.45', '1999-12-31 23:59:59', '-26:03:04', 2024, b'100000001', 'né', 'É', 'x', 'long', \
        UNHEX('deadbeef'), UNHEX('00ff'), 'b', 'a,b', '{\"a\": [1, null]}', '6f1c2a34-0000-4000-8000-000000000001', NULL)");
    let columns = [
        ("flag", json!(true)),
        ("small", json!(-2)),
        ("tiny", json!(200)),
        ("medium", json!(-3)),
        ("plain", json!(-4)),
        ("big", json!(u64::MAX)),
        ("price", json!("12.50")),
        ("huge", json!("12345678901234567890.12")),
        ("f", json!(1.5)),
        ("d", json!(0.1)),
        ("day", json!("2024-02-29")),
        ("moment", json!("2024-02-29T01:02:03.45")),
        ("stamp", json!("1999-12-31T23:59:59Z")),
        ("clock", json!("-26:03:04")),
        ("year", json!(2024)),
        ("bits", json!(257)),
        ("name", json!("né")),
        ("exact", json!("É")),
        ("fixed", json!("x")),
        ("long_text", json!("long")),
        ("raw", json!("deadbeef")),
        ("bytes", json!("00ff")),
        ("pick", json!("b")),
        ("many", json!("a,b")),
        ("ident", json!("6f1c2a34-0000-4000-8000-000000000001")),
        ("nothing", Value::Null),
    ];
    let fields = columns.iter().map(|(column, _)| (format!("field_{column}"), json!(column)));
    let mut fields = Value::Object(fields.collect());
    fields["id"] = json!("id");
    fields["username"] = json!("pick");
    fields["doc"] = json!("doc");
    let connector = shop
        .example()
        .with("actions", Value::Null)
        .with("groups", Value::Null)
        .with("accounts.fields", fields)
        .with("accounts.select", "SELECT * FROM kinds")
        .with("accounts.by_username", "WHERE pick = :username")
        .with("accounts.by_email", Value::Null)
        .connector();
    connector.check().await.unwrap();
    let (records, rejected, _) = list(&*connector, &accounts()).await.unwrap();
    assert_eq!(rejected, []);
    let Record::Account(account) = &records[0] else { panic!("no account") };
    for (column, expected) in &columns {
        let read = account.extra.get(&format!("field_{column}")).unwrap_or(&Value::Null);
        assert_eq!(read.to_string(), expected.to_string(), "{column}");
    }
    // JSON is a text type in MariaDB, and a separate type in MySQL.
    let doc = &account.extra["doc"];
    assert!(*doc == json!("{\"a\": [1, null]}") || *doc == json!({ "a": [1, null] }), "{doc}");
}
