//! SQLite.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bridgehead_conformance::{self as conformance, Situation, Skip, TestTarget};
use bridgehead_sdk::{
    AccountStatus, Action, Code, Connector, Effect, Error, Record, Retry, Subject, async_trait,
};
use serde_json::{Value, json};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor};
use tokio::sync::Mutex;

use crate::example::{Example, tables};
use crate::support::{accounts, create, execute, find, list};

pub(crate) struct Wiki {
    folder: tempfile::TempDir,
    /// A connection that locks the file for all others.
    holder: Mutex<Option<SqliteConnection>>,
}

pub(crate) async fn open(path: &Path) -> SqliteConnection {
    SqliteConnectOptions::new().filename(path).create_if_missing(true).connect().await.unwrap()
}

impl Wiki {
    pub(crate) async fn start() -> Self {
        let wiki = Self { folder: tempfile::tempdir().unwrap(), holder: Mutex::default() };
        wiki.file("app.sqlite", 0).await;
        wiki
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    async fn file(&self, name: &str, accounts: usize) {
        let mut file = open(&self.path(name)).await;
        file.execute(AssertSqlSafe(tables("sqlite.sql"))).await.unwrap();
        let rows = format!(
            "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n LIMIT 200) \
             INSERT INTO teams SELECT 'team-' || n, 'Team ' || n FROM n; \
             WITH RECURSIVE n (n) AS (SELECT 1 WHERE {accounts} > 0 UNION ALL SELECT n + 1 FROM n WHERE n < {accounts}) \
             INSERT INTO accounts (username, email) SELECT 'u' || n, 'u' || n || '@example.com' FROM n; \
             INSERT INTO team_members SELECT id, 'team-' || (1 + rowid % 200) FROM accounts"
        );
        file.execute(AssertSqlSafe(rows)).await.unwrap();
        file.close().await.unwrap();
    }

    pub(crate) fn example(&self, name: &str) -> Example {
        Example::read("sql-sqlite.toml").with("path", self.path(name).to_str().unwrap())
    }
}

#[async_trait]
impl TestTarget for Wiki {
    async fn connect(&self, situation: Situation) -> Result<Arc<dyn Connector>, Skip> {
        match situation {
            Situation::Working => Ok(self.example("app.sqlite").connector()),
            Situation::Unreachable(_) => {
                // A file that does not exist is a mistake in the configuration. A link to itself fails in another way, like a mount whose
                // server is down.
                let nowhere = self.path("nowhere.sqlite");
                drop(std::os::unix::fs::symlink(&nowhere, &nowhere));
                Ok(self.example("nowhere.sqlite").connector())
            }
            Situation::Silent(_) => {
                let mut held = self.holder.lock().await;
                if held.is_none() {
                    self.file("held.sqlite", 1).await;
                    let mut holder = open(&self.path("held.sqlite")).await;
                    holder.execute("BEGIN EXCLUSIVE").await.unwrap();
                    *held = Some(holder);
                }
                Ok(self.example("held.sqlite").with("statement_timeout", "1s").connector())
            }
            Situation::CutListing => {
                if !self.path("cut.sqlite").exists() {
                    self.file("cut.sqlite", 2_000).await;
                }
                let bytes = std::fs::read(self.path("cut.sqlite")).unwrap();
                std::fs::write(self.path("cut.sqlite"), &bytes[..bytes.len() / 2]).unwrap();
                Ok(self.example("cut.sqlite").connector())
            }
            Situation::BadCredential => Err(Skip::because("a file asks for no credential")),
            _ => Err(Skip::because("an account that may write to a file may change everything in it")),
        }
    }

    async fn populated(&self, accounts: usize) -> Result<Arc<dyn Connector>, Skip> {
        let name = format!("app-{accounts}.sqlite");
        if !self.path(&name).exists() {
            self.file(&name, accounts).await;
        }
        Ok(self.example(&name).connector())
    }

    fn free_text_fields(&self) -> Vec<&'static str> {
        vec!["display_name", "first_name", "last_name"]
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_passes_the_kit() {
    let wiki = Wiki::start().await;
    let report = conformance::run(&wiki).await;
    report.assert_passed();
}

const CREATE: Action = Action::CreateAccount;
const INSERT: &str = "INSERT INTO accounts (username, email) VALUES (:username, :email)";

fn parts(error: &Error) -> (Code, Effect, Retry, Subject) {
    (error.code(), error.effect(), error.retry(), error.subject())
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_errors_are_reported_and_rolled_back() {
    let wiki = Wiki::start().await;
    let then = |step: Value| wiki.example("app.sqlite").with("actions.create_account", json!([INSERT, step]));
    let fails = async |example: Example| {
        execute(&*example.connector(), CREATE, json!({ "account": { "username": "bob" } })).await.unwrap_err()
    };
    let connector = wiki.example("app.sqlite").connector();
    create(&*connector, "ann").await;
    let mut file = open(&wiki.path("app.sqlite")).await;
    file.execute(
        "CREATE TRIGGER closed BEFORE DELETE ON accounts BEGIN SELECT RAISE(ABORT, 'closed on Sundays'); END;",
    )
    .await
    .unwrap();

    let account = |code| (code, Effect::NotApplied, Retry::Never, Subject::Account);
    let cases = [
        (
            "UPDATE accounts SET username = 'ANN' WHERE username = :username",
            "(accounts.username) [SQLite 2067]",
            Code::AccountAlreadyExists,
        ),
        (
            "UPDATE accounts SET username = NULL WHERE username = :username",
            "(accounts.username) [SQLite 1299]",
            Code::InternalError,
        ),
        (
            "UPDATE accounts SET status = 'gone' WHERE username = :username",
            "[SQLite 275]",
            Code::InternalError,
        ),
        (
            "INSERT INTO team_members SELECT id, 'nowhere' FROM accounts WHERE username = :username",
            "[SQLite 787]",
            Code::InternalError,
        ),
        (
            "DELETE FROM accounts WHERE username = :username",
            ": closed on Sundays [SQLite 1811]",
            Code::InternalError,
        ),
        (
            "UPDATE accounts SET first_name = json(:username) WHERE username = :username",
            "its cast [SQLite 1]",
            Code::InternalError,
        ),
    ];
    for (step, why, code) in cases {
        let error = fails(then(json!(step))).await;
        assert_eq!(parts(&error), account(code), "{error}");
        assert!(error.message().ends_with(why), "{error}");
        assert_eq!(find(&*connector, "bob").await, None);
    }

    let later = |code, subject| (code, Effect::NotApplied, Retry::Backoff, subject);
    let endless = "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n) SELECT count(*) FROM n";
    let step = json!({ "require": endless, "otherwise": "INTERNAL_ERROR" });
    let error = fails(then(step).with("statement_timeout", "300ms")).await;
    assert_eq!(parts(&error), later(Code::Timeout, Subject::Account), "{error}");
    assert!(error.message().contains("[SQLite 9]"), "{error}");

    file.execute("BEGIN EXCLUSIVE").await.unwrap();
    let error = fails(wiki.example("app.sqlite").with("statement_timeout", "300ms")).await;
    assert_eq!(parts(&error), later(Code::Timeout, Subject::Account), "{error}");
    file.execute("ROLLBACK").await.unwrap();

    let check = async |example: Example| example.connector().check().await.unwrap_err();
    let error = check(then(json!("UPDATE acounts SET username = :username"))).await;
    assert_eq!(parts(&error), later(Code::InternalError, Subject::Connection), "{error}");
    assert!(error.message().contains("no such table: acounts"), "{error}");
    std::fs::write(wiki.path("other.sqlite"), "nothing of the kind".repeat(100)).unwrap();
    let error = check(wiki.example("other.sqlite")).await;
    assert_eq!(parts(&error), later(Code::InternalError, Subject::Connection), "{error}");
    assert!(!wiki.path("nowhere.sqlite").exists());
    std::fs::create_dir(wiki.path("folder.sqlite")).unwrap();
    for (name, why) in [("nowhere.sqlite", "No such file"), ("folder.sqlite", "it is not a file")] {
        let error = check(wiki.example(name)).await;
        assert_eq!(parts(&error), later(Code::InternalError, Subject::Connection), "{error}");
        assert!(error.message().contains(&format!("{name}: {why}")), "{error}");
    }
    assert!(!wiki.path("nowhere.sqlite").exists(), "no file is made");
}

#[tokio::test(flavor = "multi_thread")]
async fn new_account_is_created_suspended_as_requested_or_not_at_all() {
    let wiki = Wiki::start().await;
    let task = json!({ "account": { "username": "bob", "status": "suspended" } });
    let connector = wiki.example("app.sqlite").with("actions.suspend_account", Value::Null).connector();
    let error = execute(&*connector, CREATE, task.clone()).await.unwrap_err();
    assert_eq!(parts(&error), (Code::InternalError, Effect::NotApplied, Retry::Never, Subject::Account));
    assert!(error.message().contains("there is no suspend_account"), "{error}");
    assert_eq!(find(&*connector, "bob").await, None);
    let connector = wiki.example("app.sqlite").connector();
    let done = execute(&*connector, CREATE, task).await.unwrap();
    assert!(!done.result.contains_key("fields_without_statement"), "{done:?}");
    assert_eq!(find(&*connector, "bob").await.unwrap().status, AccountStatus::Suspended);
    for value in [json!({ "a": 1 }), json!(["x"]), json!(true)] {
        let task = json!({ "account": { "username": "bob" }, "changes": { "first_name": value } });
        let error = execute(&*connector, Action::UpdateAccount, task).await.unwrap_err();
        assert!(error.message().contains("changes.first_name must be a text"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_sqlite_type_is_read() {
    let wiki = Wiki::start().await;
    let mut file = open(&wiki.path("app.sqlite")).await;
    file.execute(
        "CREATE TABLE kinds (id INTEGER PRIMARY KEY, flag BOOLEAN, off BOOLEAN, odd BOOLEAN, number INTEGER, r REAL, name TEXT, raw BLOB, absent TEXT, mixed); \
         INSERT INTO kinds VALUES (1, 1, 0, 7, -9223372036854775808, 0.1, 'né', x'00ff', NULL, 12), (2, 1, 0, 7, 5, 2.0, '', x'', NULL, 'text')",
    )
    .await
    .unwrap();
    let fields = json!({ "id": "id", "username": "mixed", "flag": "flag", "off": "off", "odd": "odd", "number": "number", "r": "r",
                         "name_of": "name", "raw": "raw", "nothing": "absent" });
    let connector = wiki
        .example("app.sqlite")
        .with("actions", Value::Null)
        .with("groups", Value::Null)
        .with("accounts.fields", fields)
        .with("accounts.id_type", "integer")
        .with("accounts.select", "SELECT * FROM kinds")
        .with("accounts.list", "WHERE id > COALESCE(:after, 0) ORDER BY id LIMIT :limit")
        .with("accounts.by_id", "WHERE id = :id")
        .with("accounts.by_username", "WHERE mixed = :username")
        .with("accounts.by_email", Value::Null)
        .connector();
    connector.check().await.unwrap();
    let (records, rejected, _) = list(&*connector, &accounts()).await.unwrap();
    assert_eq!(rejected, []);
    let read: Vec<Value> = records
        .iter()
        .map(|record| match record {
            Record::Account(account) => serde_json::to_value(account).unwrap(),
            Record::Entity(_) => panic!("no account"),
        })
        .collect();
    let first = json!({ "id": "1", "username": "12", "status": "active", "flag": true, "name_of": "né", "number": i64::MIN, "odd": 7,
                        "off": false, "r": 0.1, "raw": "00ff" });
    assert_eq!(read[0], first);
    assert_eq!(
        (&read[1]["r"], &read[1]["raw"], &read[1]["username"]),
        (&json!(2.0), &json!(""), &json!("text"))
    );
}

/// A schema that requires a column which the kit's accounts do not set.
struct Strict(Wiki);

#[async_trait]
impl TestTarget for Strict {
    async fn connect(&self, situation: Situation) -> Result<Arc<dyn Connector>, Skip> {
        if situation != Situation::Working {
            return Err(Skip::because("it is about creating alone"));
        }
        let insert = "INSERT INTO accounts (username, email, staff) VALUES (:username, :email, :staff)";
        let example =
            self.0.example("app.sqlite").with("parameters", json!({ "staff": { "field": "staff_no" } }));
        Ok(example.with("actions.create_account", json!([insert])).connector())
    }

    fn remedy(&self, action: Action) -> Option<String> {
        (action == Action::CreateAccount)
            .then(|| "set suitable fields with account in [apps.wiki.conformance]".to_owned())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_kit_says_which_key_brings_the_columns_that_a_schema_requires() {
    let wiki = Wiki::start().await;
    let mut file = open(&wiki.path("app.sqlite")).await;
    file.execute("ALTER TABLE accounts ADD COLUMN staff INTEGER CHECK (staff IS NOT NULL)").await.unwrap();
    let report = conformance::run(&Strict(wiki)).await.to_string();
    // The report breaks long lines.
    let words = report.split_whitespace().collect::<Vec<_>>().join(" ");
    let (_, told) = words.split_once("create_account: expected success").unwrap();
    let (told, _) = told.split_once("[apps.wiki.conformance]").unwrap();
    assert!(told.ends_with("set suitable fields with account in "), "{report}");
    assert!(told.len() < 500, "the remedy stands with the failure: {report}");
}
