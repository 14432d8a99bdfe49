//! Failures of PostgreSQL, and the connector's errors for them.

use bridgehead_sdk::{Action, Code, Connector, Effect, Error, Retry, Subject};
use serde_json::{Value, json};

use crate::example::Example;
use crate::postgres::Crm;
use crate::relay::{Loss, relay};
use crate::support::{create, execute, find};

const CREATE: Action = Action::CreateAccount;
const INSERT: &str =
    "INSERT INTO accounts (username, email, department) VALUES (:username, :email, :department)";

async fn fails(connector: &dyn Connector, name: &str) -> Error {
    execute(connector, CREATE, json!({ "account": { "username": name } })).await.unwrap_err()
}

/// A creation with another step in the same transaction.
fn then(crm: &Crm, step: impl Into<Value>) -> Example {
    crm.example().with("actions.create_account", [Value::from(INSERT), step.into()].to_vec())
}

fn parts(error: &Error) -> (Code, Effect, Retry, Subject) {
    (error.code(), error.effect(), error.retry(), error.subject())
}

const LOST: (Code, Effect, Retry, Subject) =
    (Code::Timeout, Effect::NotApplied, Retry::Backoff, Subject::Connection);

#[tokio::test(flavor = "multi_thread")]
async fn failure_before_commit_is_not_applied() {
    let crm = Crm::start().await;
    let never = (Code::InternalError, Effect::NotApplied, Retry::Never, Subject::Account);

    let refuse =
        json!({ "require": "SELECT 1 WHERE false", "otherwise": "LICENSE_EXHAUSTED", "message": "no seat" });
    let error = fails(&*then(&crm, refuse).connector(), "check").await;
    assert_eq!(parts(&error), (Code::LicenseExhausted, Effect::NotApplied, Retry::Never, Subject::License));
    assert_eq!(error.message(), "crm: create_account failed for User check: no seat");

    let update = "UPDATE accounts SET active = true WHERE username = :email";
    let expect = json!({ "sql": update, "expect": { "rows": 1, "otherwise": "ACCOUNT_NOT_FOUND" } });
    let error = fails(&*then(&crm, expect).connector(), "expect").await;
    assert_eq!(error.code(), Code::AccountNotFound);
    assert!(error.message().contains("must change or return 1 rows, but it is 0"), "{error}");

    let error = fails(
        &*then(&crm, json!("UPDATE accounts SET username = NULL WHERE username = :username")).connector(),
        "null",
    )
    .await;
    assert_eq!(parts(&error), never);
    assert!(error.message().contains("(username) [PostgreSQL 23502]"), "{error}");

    // Values are never quoted, because they may be passwords.
    let error = fails(
        &*then(&crm, json!("UPDATE accounts SET active = :username::boolean WHERE username = :username"))
            .connector(),
        "hunter2",
    )
    .await;
    assert_eq!(parts(&error), never);
    assert!(
        error.message().ends_with("a value does not fit its column or its cast [PostgreSQL 22P02]"),
        "{error}"
    );

    let end =
        json!({ "require": "SELECT pg_terminate_backend(pg_backend_pid())", "otherwise": "INTERNAL_ERROR" });
    let error = fails(&*then(&crm, end).connector(), "killed").await;
    assert_eq!(parts(&error), LOST, "{error}");

    let sleep = json!({ "require": "SELECT pg_sleep(60)", "otherwise": "INTERNAL_ERROR" });
    let error = fails(&*then(&crm, sleep).with("statement_timeout", "300ms").connector(), "slow").await;
    assert_eq!(
        parts(&error),
        (Code::Timeout, Effect::NotApplied, Retry::Backoff, Subject::Account),
        "{error}"
    );

    // The server cannot run one statement: other tasks are not held because of it.
    crm.server.sql(
        "crm",
        "CREATE FUNCTION broken() RETURNS int LANGUAGE plpgsql AS $$ BEGIN \
                           RAISE EXCEPTION 'cache lookup failed' USING ERRCODE = 'XX000'; END $$",
    );
    let broken = json!({ "require": "SELECT broken()", "otherwise": "INTERNAL_ERROR" });
    let error = fails(&*then(&crm, broken).connector(), "broken").await;
    assert_eq!(
        parts(&error),
        (Code::InternalError, Effect::NotApplied, Retry::Backoff, Subject::Account),
        "{error}"
    );

    crm.server.sql("crm", "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
                           RAISE EXCEPTION 'closed on Sundays'; END $$; \
                           CREATE TRIGGER sundays BEFORE INSERT ON web_sessions FOR EACH ROW EXECUTE FUNCTION refuse()");
    let session = "INSERT INTO web_sessions SELECT id, '' FROM accounts WHERE username = :username";
    let rules = json!([
        { "code": "P0001", "contains": "Saturdays", "report": "TIMEOUT" },
        { "code": "P0001", "contains": "Sundays", "report": "RATE_LIMITED", "subject": "connection" },
    ]);
    let error = fails(&*then(&crm, json!(session)).connector(), "sunday").await;
    assert!(error.message().contains("closed on Sundays"), "{error}");
    let error = fails(&*then(&crm, json!(session)).with("errors", rules).connector(), "sunday").await;
    assert_eq!(parts(&error), (Code::RateLimited, Effect::NotApplied, Retry::Backoff, Subject::Connection));

    let connector = crm.example().connector();
    for name in ["check", "expect", "null", "hunter2", "killed", "slow", "broken", "sunday"] {
        assert_eq!(find(&*connector, name).await, None, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_an_unanswered_commit_has_unknown_effect() {
    let crm = Crm::start().await;
    let through = async |text, loss| crm.example().at(relay(crm.server.port, text, loss).await).connector();
    let in_doubt = (Code::Timeout, Effect::Unknown, Retry::Backoff, Subject::Account);
    let connector = crm.example().connector();

    let error = fails(&*through(b"COMMIT", Loss::Answer).await, "answer").await;
    assert_eq!(parts(&error), in_doubt, "{error}");
    assert!(find(&*connector, "answer").await.is_some(), "it was committed");

    let error = fails(&*through(b"COMMIT", Loss::Message).await, "message").await;
    assert_eq!(parts(&error), in_doubt, "{error}");
    assert_eq!(find(&*connector, "message").await, None);

    for loss in [Loss::Message, Loss::Answer] {
        let error = fails(&*through(b"INSERT INTO accounts", loss).await, "insert").await;
        assert_eq!(parts(&error), LOST, "{loss:?}: {error}");
        assert_eq!(find(&*connector, "insert").await, None);
    }

    // A deferred constraint is only checked by the commit: the server responds, and has changed nothing.
    crm.server.sql("crm", "ALTER TABLE accounts ADD CONSTRAINT one_department UNIQUE (department) DEFERRABLE INITIALLY DEFERRED");
    let payload = |name: &str| json!({ "account": { "username": name, "department": "only" } });
    execute(&*connector, CREATE, payload("first")).await.unwrap();
    let error = execute(&*connector, CREATE, payload("second")).await.unwrap_err();
    assert_eq!(
        parts(&error),
        (Code::InternalError, Effect::NotApplied, Retry::Never, Subject::Account),
        "the department is no name of the account"
    );
    assert!(error.message().contains("(one_department)"), "{error}");
    assert_eq!(find(&*connector, "second").await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_common_to_all_tasks_are_connection_errors() {
    let crm = Crm::start().await;
    let check = async |example: Example| example.connector().check().await.unwrap_err();
    let later = |code, error: &Error| {
        assert_eq!(parts(error), (code, Effect::NotApplied, Retry::Backoff, Subject::Connection), "{error}");
        assert!(!error.message().contains("secret"), "{error}");
    };
    let sql = |statement: &str| crm.server.sql("crm", statement);
    crm.example().connector().check().await.unwrap();

    later(Code::PermissionDenied, &check(crm.example().with("password", "wrong-secret-1")).await);
    later(Code::PermissionDenied, &check(crm.example().with("user", "nobody")).await);
    let missing = check(crm.example().with("database", "nowhere")).await;
    later(Code::InternalError, &missing);
    assert!(missing.message().contains("does not exist or cannot be opened"), "{missing}");
    assert!(
        missing.message().ends_with("database \"nowhere\" does not exist [PostgreSQL 3D000]"),
        "{missing}"
    );
    // A task waits for the database as well, and then for its tables.
    let early = crm.example().with("database", "later").connector();
    later(Code::InternalError, &fails(&*early, "ann").await);
    sql("CREATE DATABASE later");
    let error = fails(&*early, "ann").await;
    later(Code::InternalError, &error);
    assert!(error.message().contains("42P01"), "{error}");

    sql("CREATE ROLE full_up LOGIN PASSWORD 'full-secret-1' CONNECTION LIMIT 0");
    later(Code::RateLimited, &check(crm.example().login("full_up", "full-secret-1")).await);

    // The server has the database, but does not let the user in, or nobody.
    let settings = crm.example();
    sql("CREATE ROLE shut_out LOGIN PASSWORD 'shut-secret-1'; REVOKE CONNECT ON DATABASE crm FROM PUBLIC");
    let shut_out = settings.clone().login("shut_out", "shut-secret-1").connector();
    later(Code::PermissionDenied, &fails(&*shut_out, "ann").await);
    sql("GRANT CONNECT ON DATABASE crm TO PUBLIC");
    sql("CREATE DATABASE closed ALLOW_CONNECTIONS false");
    later(Code::Timeout, &fails(&*settings.with("database", "closed").connector(), "ann").await);

    // A user without read permission cannot read any account.
    sql("CREATE ROLE blind LOGIN PASSWORD 'blind-secret-1'");
    let blind = crm.example().login("blind", "blind-secret-1").connector();
    let of = crate::support::accounts();
    later(Code::PermissionDenied, &blind.list(&of, None).await.unwrap_err());
    later(Code::PermissionDenied, &fails(&*blind, "ann").await);

    // An invalid statement is reported before it is ever run.
    let error =
        check(crm.example().with("actions.delete_account", json!(["DELETE FROM acounts WHERE id = :id"])))
            .await;
    later(Code::InternalError, &error);
    assert!(
        error
            .message()
            .ends_with("relation \"acounts\" does not exist [PostgreSQL 42P01] (actions.delete_account.0)"),
        "{error}"
    );
    let error = check(crm.example().with("accounts.id_type", "text")).await;
    assert!(error.message().contains("operator does not exist: uuid > text"), "{error}");

    // A standby does not accept changes.
    sql(
        "CREATE ROLE standby LOGIN PASSWORD 'standby-secret-1'; GRANT ALL ON ALL TABLES IN SCHEMA public TO standby; \
         ALTER ROLE standby SET default_transaction_read_only = on",
    );
    later(
        Code::PermissionDenied,
        &fails(&*crm.example().login("standby", "standby-secret-1").connector(), "ann").await,
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_pooled_and_replaced() {
    let mut crm = Crm::start().await;
    let sleep = json!({ "require": "SELECT pg_sleep(3)", "otherwise": "INTERNAL_ERROR" });
    let pool = json!({ "max_connections": 1, "acquire_timeout": "200ms" });
    let connector = then(&crm, sleep).with("pool", pool).connector();
    let busy = {
        let connector = connector.clone();
        tokio::spawn(async move { create(&*connector, "slow").await })
    };
    let begun = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'bridgehead' AND query LIKE '%pg_sleep%'";
    while crm.server.sql("crm", begun).trim() == "0" {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let error = fails(&*connector, "ann").await;
    assert_eq!(
        parts(&error),
        (Code::Timeout, Effect::NotApplied, Retry::Backoff, Subject::Account),
        "{error}"
    );
    assert!(error.message().contains("all 1 connections of the pool are in use"), "{error}");
    busy.await.unwrap();

    // The same connection is used until the server is restarted; then a new one is opened.
    let pid = "SELECT string_agg(pid::text, ',') FROM pg_stat_activity WHERE application_name = 'bridgehead'";
    let before = crm.server.sql("crm", pid);
    assert!(find(&*connector, "slow").await.is_some());
    assert_eq!(crm.server.sql("crm", pid), before);
    crm.server.stop();
    let error = connector.check().await.unwrap_err();
    assert_eq!(parts(&error), LOST, "{error}");
    crm.server.restart().await;
    assert!(find(&*connector, "slow").await.is_some());

    connector.shutdown().await;
    while !crm.server.sql("crm", pid).trim().is_empty() {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connection_uses_tls_and_verifies_the_certificate() {
    let crm = Crm::start().await;
    let mut example = crm.example().with("tls", true);
    let unknown = example.connector().check().await.unwrap_err();
    assert_eq!(parts(&unknown), LOST, "{unknown}");
    assert!(unknown.message().contains("no encrypted connection can be established"), "{unknown}");

    example.network.authorities = std::fs::read(&crm.server.ca).unwrap().into();
    let connector = example.connector();
    connector.check().await.unwrap();
    let encrypted = "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = 'bridgehead'";
    assert_eq!(crm.server.sql("crm", encrypted).trim(), "t");

    // A socket is on the same machine, so it does not use TLS.
    let socket =
        crm.example().with("host", Value::Null).with("socket", crm.server.socket().to_str().unwrap());
    socket.connector().check().await.unwrap();
    assert!(socket.with("tls", true).build().is_err());

    // The host name is checked, not only the authority.
    let error = example.clone().with("host", "127.0.0.2").connector().check().await.unwrap_err();
    assert_eq!(parts(&error), LOST, "{error}");
    example.network.authorities = bridgehead_test_servers::Authority::new().ca_pem().into_bytes().into();
    assert!(example.connector().check().await.is_err());
    example.network.authorities = b"nonsense".as_slice().into();
    assert!(example.build().is_err());
}
