//! Mistakes in a configuration are reported when it is loaded, with their key.

#![cfg(test)]

#[path = "databases/example.rs"]
#[expect(dead_code, reason = "no server is needed here")]
mod example;

use bridgehead_sdk::{Action, ResourceType};
use example::Example;
use serde_json::{Value, json};

fn fault(example: &Example) -> String {
    example.build().map_or_else(|error| error.to_string(), |_| "nothing is wrong".to_owned())
}

/// The messages for an example when one key has another value.
fn faults(name: &str, changes: &[(&str, Value)]) -> String {
    let lines = changes.iter().map(|(key, value)| {
        let engine = Example::read(name);
        // SQLite has no password.
        let plain =
            if engine.target.contains_key("password") { engine.with("password", "x") } else { engine };
        let example = plain.with(key, value.clone());
        format!("{}\n", fault(&example))
    });
    lines.collect()
}

#[test]
fn examples_are_valid() {
    for name in ["sql.toml", "sql-mariadb.toml", "sql-sqlite.toml", "sql-postgres-roles.toml"] {
        assert_eq!(fault(&Example::read(name).with("password", Value::Null)), "nothing is wrong", "{name}");
    }
}

#[test]
fn first_example_in_the_operator_page_is_valid() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/connectors/sql.md");
    let page = std::fs::read_to_string(page).unwrap();
    let (_, behind) = page.split_once("```toml\n").unwrap();
    let (first, _) = behind.split_once("```").unwrap();
    assert_eq!(fault(&Example::parse(first).with("password", "x")), "nothing is wrong");
}

#[test]
fn statement_that_would_change_other_members_is_an_error_at_load() {
    let exists =
        json!({ "require": "SELECT 1 FROM accounts WHERE id = :id", "otherwise": "ACCOUNT_NOT_FOUND" });
    let with = |part: &str, steps: Value| {
        let mut example = Example::read("sql.toml").with("password", "x");
        example.target["groups"][0][part] = steps;
        fault(&example)
    };
    for (part, steps, said) in [
        (
            "remove",
            json!([exists, "DELETE FROM team_members WHERE team_id = :ref"]),
            "groups.0.remove.1: writes to team_members without using :id, so it would change other members too",
        ),
        (
            "remove",
            json!(["INSERT INTO log VALUES (:ref)", "DELETE FROM ONLY team_members WHERE account_id = :id"]),
            "groups.0.remove.1: writes to team_members without using :ref",
        ),
        (
            "add",
            json!([
                exists,
                "WITH gone AS (DELETE FROM team_members WHERE team_id = :ref RETURNING 1) INSERT INTO log VALUES (1)"
            ]),
            "groups.0.add.1: writes to team_members without using :id",
        ),
    ] {
        let fault = with(part, steps);
        assert!(fault.starts_with(said), "{fault}");
    }
    let several = json!({ "sql": "DELETE FROM team_members WHERE team_id = :ref", "many_rows": true });
    assert_eq!(with("remove", json!([exists, several])), "nothing is wrong");
    let counter = json!([
        "DELETE FROM team_members WHERE account_id = :id AND team_id = :ref",
        "UPDATE teams SET size = size - 1 WHERE id = :ref"
    ]);
    assert_eq!(with("remove", counter), "nothing is wrong");
}

#[test]
fn statements_that_would_fail_silently_are_errors_at_load() {
    let said = faults(
        "sql.toml",
        &[
            ("password", json!({ "evn": "X" })),
            ("parameters", json!({ "tenant": { "value": "acme" } })),
            (
                "actions.delete_account",
                json!([
                    "WITH gone AS (DELETE FROM accounts WHERE id = :id RETURNING *) INSERT INTO old SELECT * FROM gone"
                ]),
            ),
            ("accounts.list", json!("ORDER BY id LIMIT :limit")),
            ("accounts.list", json!("WHERE id > :after ORDER BY id")),
            ("accounts.list", json!("WHERE id > :after LIMIT :limit")),
            ("accounts.list", json!("WHERE id > :after ORDER BY id LIMIT :limit OFFSET :offset")),
            ("accounts.list", json!("")),
            ("accounts.list", json!("WHERE id > :aftre ORDER BY id LIMIT :limit")),
            ("accounts.list", json!("SELECT id FROM accounts WHERE id > :after ORDER BY id LIMIT :limit")),
            ("accounts.list", json!("WHERE id > :after ORDER BY id LIMIT :limit; DROP TABLE accounts")),
            ("accounts.list", json!("WHERE id > $1 ORDER BY id LIMIT :limit")),
            ("accounts.list", json!("WHERE id > 'x ORDER BY :after LIMIT :limit")),
            ("accounts.paging", json!("offset")),
            ("accounts.paging", json!("none")),
            ("accounts.page_size", json!(0)),
            ("accounts.select", json!("DELETE FROM accounts")),
            ("accounts.fields", json!({ "username": "username" })),
            ("accounts.fields", json!({ "id": "id", "department": "department" })),
            ("accounts.fields", json!({ "id": "id", "username": "username" })),
            ("accounts.fields.password_hash", json!("password_hash")),
            ("accounts.fields.after", json!("after")),
            ("accounts.fields.memberships", json!("teams")),
            ("accounts.fields.username", json!({ "column": "username", "values": { "a": "active" } })),
            ("accounts.fields.status", json!({ "column": "active", "valeus": {} })),
            ("accounts.fields.status", json!({ "column": "active", "values": { "true": "on" } })),
            ("accounts.fields.status", Value::Null),
            ("accounts.by_id", json!("WHERE true")),
            ("accounts.by_username", Value::Null),
            ("accounts.by_email", json!("WHERE email = :username")),
            ("accounts.slug", json!("team")),
            ("accounts.slug", json!("my account")),
            ("actions.create_account", json!([])),
            ("actions.create_account", json!(["INSERT INTO accounts (username) VALUES (:usrname)"])),
            ("actions.create_account", json!(["INSERT INTO accounts (title) VALUES (:title)"])),
            ("actions.create_account", json!(["INSERT INTO accounts (id) VALUES (:id)"])),
            ("actions.create_account", json!([{ "require": "SELECT 1" }])),
            (
                "actions.create_account",
                json!([{ "unless": "SELECT 1", "otherwise": "ACCOUNT_ALREADY_EXISTS" }]),
            ),
            ("actions.create_account", json!([{ "sql": "SELECT 1", "unless": "SELECT 1" }])),
            ("actions.create_account", json!([{ "sql": "SELECT :username", "expct": { "rows": 1 } }])),
            ("actions.create_account", json!([{ "sql": "SELECT :username", "otherwise": "TIMEOUT" }])),
            ("actions.create_account", json!([{ "sql": "SELECT :username", "message": "no" }])),
            ("actions.create_account", json!([{ "sql": "SELECT :username", "when": ["username"] }])),
            ("actions.create_account", json!([7])),
            ("actions.delete_account", json!(["DELETE FROM accounts"])),
            ("actions.delete_account", json!(["COMMIT"])),
            ("actions.delete_account", json!(["SET search_path = other"])),
            (
                "actions.delete_account",
                json!([{ "sql": "DELETE FROM accounts WHERE id = :id", "returns": "id" }]),
            ),
            (
                "actions.suspend_account",
                json!(["UPDATE accounts SET password_hash = :password WHERE id = :id"]),
            ),
            (
                "actions.update_account",
                json!([{ "sql": "UPDATE accounts SET email = :email", "when": ["title"] }]),
            ),
            ("actions.update_account", json!([{ "sql": "UPDATE accounts SET email = :email", "when": [] }])),
            ("actions.rename_account", json!(["SELECT 1"])),
            ("parameters", json!({ "id": { "value": 1 } })),
            ("parameters", json!({ "x": {} })),
            ("parameters", json!({ "x": { "field": "email" } })),
            ("parameters", json!({ "x": { "field": "api_token" } })),
            ("errors", json!([{ "report": "TIMEOUT" }])),
            ("errors", json!([{ "constraint": "", "report": "TIMEOUT" }])),
            (
                "errors",
                json!([{ "code": "23505", "report": "TIMEOUT" }, { "code": "23505", "report": "RATE_LIMITED" }]),
            ),
            ("errors", json!([{ "code": "23505", "report": "NO_SUCH_CODE" }])),
            ("engine", json!("oracle")),
            ("host", Value::Null),
            ("host", json!("/run/postgresql")),
            ("socket", json!("/run/postgresql")),
            ("path", json!("x.sqlite")),
            ("user", Value::Null),
            ("tls", json!("yes")),
            ("statement_timeout", json!("0s")),
            ("statement_timeout", json!("2h")),
            ("pool", json!({ "max_connections": 0 })),
            ("pool", json!({ "max_conections": 5 })),
        ],
    );
    insta::assert_snapshot!(said);
}

#[test]
fn invalid_type_settings_are_reported() {
    let with = |change: &dyn Fn(&mut Value)| {
        let mut example = Example::read("sql.toml").with("password", Value::Null);
        let group = &mut example.target["groups"][0];
        change(group);
        format!("{}\n", fault(&example))
    };
    let set = |key: &'static str, value: Value| {
        with(&move |group| {
            group[key] = value.clone();
        })
    };
    let remove = |key: &'static str| {
        with(&move |group| {
            group.as_object_mut().unwrap().remove(key);
        })
    };
    let said = [
        set("slug", json!("account")),
        set("slug", json!("plan")),
        set("fields", json!({ "id": "id" })),
        set("list", json!("SELECT id, name FROM teams")),
        set("find", json!("SELECT 1 FROM teams")),
        set("find", json!("DELETE FROM teams WHERE id = :ref")),
        set("members", json!({})),
        set("members", json!({ "column": "teams", "list": "SELECT 1" })),
        set("members", json!({ "column": "teams", "separator": "" })),
        set("members", json!({ "column": "teams", "account": "a" })),
        set("members", json!({ "list": "SELECT a, b FROM m", "account": "a", "ref": "b" })),
        set("members", json!({ "list": "SELECT a, b FROM m WHERE :ids = ''", "ref": "b" })),
        set("add", json!(["INSERT INTO team_members (account_id) VALUES (:id)"])),
        set("add", json!([{ "sql": "SELECT :id, :ref", "returns": "id" }])),
        remove("members"),
        remove("remove"),
        remove("add"),
        remove("find"),
    ]
    .concat();
    insta::assert_snapshot!(said);
}

#[test]
fn unsupported_engine_features_are_reported() {
    let mysql = faults(
        "sql-mariadb.toml",
        &[
            ("actions.delete_account", json!(["DROP USER :username"])),
            ("actions.delete_account", json!([{ "execute_result": true, "sql": "SELECT :id" }])),
            ("actions.delete_account", json!(["DELETE FROM accounts WHERE id = ?"])),
            ("actions.delete_account", json!(["DELETE FROM accounts WHERE id = :id /*!50000 LIMIT 1 */"])),
        ],
    );
    let sqlite = faults(
        "sql-sqlite.toml",
        &[
            ("host", json!("localhost")),
            ("tls", json!(true)),
            ("path", Value::Null),
            ("actions.delete_account", json!(["PRAGMA foreign_keys = OFF"])),
            ("actions.delete_account", json!(["DELETE FROM accounts WHERE id = @id"])),
        ],
    );
    insta::assert_snapshot!(format!("{mysql}{sqlite}"));
}

#[tokio::test]
async fn declared_capabilities_match_the_configuration() {
    let example = Example::read("sql-sqlite.toml").with("actions", Value::Null);
    let description = example.connector().describe().await.unwrap();
    let only_memberships = [Action::UpdateAccount].into();
    assert_eq!(description.actions, only_memberships, "memberships alone are reason enough");
    assert_eq!(
        description.resource_types,
        [ResourceType::group("team", "Team"), ResourceType::account("account", "Account")]
    );
}
