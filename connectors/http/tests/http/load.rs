//! Mistakes in a configuration are reported when it is loaded, in one sentence that names the key.

use std::fmt::Write;

use bridgehead_sdk::Setup;
use serde_json::{Map, Value, json};

use crate::support::{build, recipe, set};

fn target() -> Map<String, Value> {
    let list = json!({ "path": "/users", "records": "answer.items",
        "query": { "offset": "{{ page.offset }}" }, "paging": { "type": "offset" } });
    let target = json!({
        "base_url": "https://example.com/api",
        "secrets": { "pepper": "hunter2" },
        "check": { "path": "/ping", "headers": { "X-Pepper": "{{ secrets.pepper }}" } },
        "accounts": {
            "list": list,
            "follow_ups": [{ "name": "roles", "path": "/users/{{ record.id }}/roles" }],
            "record": { "id": "record.id", "username": "record.login", "status": { "value": "record.state" },
                "memberships": { "role": "follow.roles" } },
        },
        "find": { "by_id": { "path": "/users/{{ account.id }}" }, "scan": true },
        "groups": [{ "slug": "role", "name": "Role", "fixed": [{ "id": "r1", "name": "One" }] }],
        "create_account": { "account_id": "saved.id", "steps": [
            { "method": "POST", "path": "/users", "json": { "login": "{{ account.username }}" }, "save": { "id": "answer.id" } },
            { "for_each": "memberships.role.added", "method": "PUT", "path": "/users/{{ saved.id }}/roles/{{ item }}" } ] },
        "update_account": { "steps": [
            { "method": "PATCH", "path": "/users/{{ current.id }}", "json": { "name": "{{ changes.display_name }}" } } ] },
        "suspend_account": { "steps": [{ "method": "POST", "path": "/users/{{ current.id }}/lock" }] },
    });
    target.as_object().unwrap().clone()
}

#[test]
fn base_test_configuration_is_accepted() {
    build(&target()).unwrap();
}

#[test]
fn recipes_are_accepted() {
    for name in ["http-jupyterhub.toml", "http-rabbitmq.toml"] {
        build(&recipe(name, "Quiet-Harbour-7")).unwrap();
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "one line for each thing that can be wrong")]
fn silently_ignored_settings_are_errors_at_load() {
    let wrong: &[(&str, Value)] = &[
        // addresses and transport
        ("base_url", json!("example.com")),
        ("base_url", json!("http://example.com/api")),
        ("base_url", json!("https://example.com/api?x=1")),
        ("limits", json!({ "request": "0s" })),
        ("auth", json!({ "bearer": "a", "basic": { "username": "u", "password": "hunter2" } })),
        ("chek", json!({})),
        ("accounts.list.queri", json!({})),
        // requests
        ("check.path", json!("ping")),
        ("check.path", json!("/ping?x=1")),
        ("check.path", json!("/{{ account.id }}")),
        ("check.path", json!("/{{ secrets.peper }}")),
        ("check.method", json!("FETCH")),
        ("check.json", json!({})),
        ("check.form", json!({})),
        ("check.query", json!({ "a": { "b": 1 } })),
        ("check.query", json!({ "a": "{{ 1 | uper }}" })),
        ("check.headers", json!({ "X Y": "1" })),
        ("check.headers", json!({ "X-A": "1", "x-a": "{{ secrets.pepper }}" })),
        ("check.expect", json!({ "status": 1000 })),
        ("check.expect", json!({ "status": [] })),
        ("check.expect", json!({ "when": "answer." })),
        ("create_account.steps.0.form", json!({ "a": 1 })),
        // error entries that are never reached
        ("check.errors", json!([{ "code": "TIMEOUT" }])),
        ("check.errors", json!([{ "status": 200, "code": "TIMEOUT" }])),
        (
            "check.errors",
            json!([{ "status": 404, "code": "TIMEOUT" }, { "status": [404], "when": "answer.x", "code": "TIMEOUT" }]),
        ),
        (
            "check.errors",
            json!([{ "status": 404, "when": "answer.x", "code": "TIMEOUT" }, { "status": 404, "when": "answer.x", "code": "TIMEOUT" }]),
        ),
        ("check.errors", json!([{ "status": 404, "code": "GONE" }])),
        ("check.errors", json!([{ "status": 404, "code": "TIMEOUT", "message": "{{ answer.message }}" }])),
        ("check.errors", json!([{ "status": 404, "code": "TIMEOUT", "message": "{{ account.password }}" }])),
        ("errors", json!([{ "code": "TIMEOUT" }])),
        // secrets and logins
        ("secrets.salt", json!("x")),
        ("headers", json!({ "X": "{{ login.token }}" })),
        ("login", json!({ "path": "/login", "save": {} })),
        ("login", json!({ "path": "/login", "save": { "token": "answer.token" } })),
        ("login", json!({ "path": "/login/{{ login.token }}", "save": { "token": "answer.token" } })),
        ("login", json!({ "path": "/login", "save": { "token": "answer.token" }, "renew_on": 200 })),
        // paging
        ("accounts.list.query", json!({})),
        ("accounts.list.paging", json!({ "type": "pages" })),
        ("accounts.list.paging", json!({ "type": "cursor" })),
        ("accounts.list.paging", json!({ "type": "offset", "next": "answer.next" })),
        ("accounts.list.paging", json!({ "type": "offset", "size": 10 })),
        ("accounts.list.paging", json!({ "type": "offset", "size": 0 })),
        ("accounts.list.paging", json!({ "type": "page" })),
        ("accounts.list.paging", json!({ "type": "link" })),
        ("accounts.list.paging", Value::Null),
        ("accounts.list.records", json!("items")),
        // records
        ("accounts.record.username", Value::Null),
        ("accounts.record.email", json!("recrod.mail")),
        ("accounts.record.extra", json!({ "email": "record.mail" })),
        ("accounts.record.extra", json!({ "password": "record.password" })),
        ("accounts.record.id", json!("follow.roles")),
        ("accounts.list.allow", json!(["people"])),
        ("groups.0.members", json!({ "path": "/admins" })),
        (
            "groups.+",
            json!({ "slug": "team", "name": "Team", "fixed": [{ "id": "a", "name": "A" }, { "id": "b", "name": "B" }], "members": { "path": "/admins" } }),
        ),
        ("find.by_id.absent_also", json!([{ "status": 400 }])),
        ("find.by_id.allow", json!(["total"])),
        ("accounts.record.memberships.team", json!("record.teams")),
        ("accounts.record.memberships.role", json!("record.roles")),
        ("accounts.record.memberships.role", json!("follow.rules")),
        ("accounts.record.status", Value::Null),
        ("accounts.record.status", json!({ "value": "record.on", "active": [true] })),
        ("accounts.record.status", json!({ "value": "record.on", "suspended": [false] })),
        ("accounts.record.status", json!({ "value": "record.on", "active": [1], "suspended": [1] })),
        ("accounts.follow_ups.0.path", json!("/roles")),
        ("accounts.follow_ups_at_once", json!(0)),
        ("accounts.slug", json!("a b")),
        ("groups.+", json!({ "slug": "role", "name": "Again", "fixed": [] })),
        ("groups.+", json!({ "slug": "team", "name": "Team" })),
        ("groups.+", json!({ "slug": "team", "name": "Team", "list": { "path": "/teams" } })),
        ("groups.0.find", json!({ "path": "/roles/{{ ref }}" })),
        // look-ups
        ("find.by_id", json!({ "path": "/users/1" })),
        ("find.by_id", json!({ "path": "/users/{{ account.username }}" })),
        ("find.by_id", json!({ "path": "/users/{{ account.id }}", "paging": { "type": "link" } })),
        ("find.by_id", json!({ "path": "/users/{{ account.id }}", "absent": { "status": 200 } })),
        ("find.scan", json!(false)),
        ("find.by_username", json!({ "path": "/users/{{ account.username }}" })),
        // actions
        ("delete_account", json!({ "steps": [] })),
        ("delete_account", json!({ "steps": [{ "path": "/users/{{ current.id }}" }] })),
        ("delete_account", json!({ "steps": [{ "method": "DELETE", "path": "/users/{{ saved.id }}" }] })),
        ("delete_account", json!({ "steps": [{ "method": "DELETE", "path": "/users/{{ changes.id }}" }] })),
        (
            "delete_account",
            json!({ "account_id": "current.id", "steps": [{ "method": "DELETE", "path": "/{{ current.id }}" }] }),
        ),
        (
            "delete_account",
            json!({ "ignore": ["x"], "steps": [{ "method": "DELETE", "path": "/{{ current.id }}" }] }),
        ),
        ("delete_account", json!({ "steps": [{ "method": "DELETE", "path": "/users" }] })),
        ("create_account.account_id", Value::Null),
        ("create_account.account_id", json!("saved.di")),
        ("create_account.steps.0.save", json!({ "id": "answer.id", "etag": "headers.etag" })),
        ("create_account.steps.1.save", json!({ "x": "answer.x" })),
        ("create_account.steps.1.path", json!("/users/{{ saved.id }}/roles")),
        ("create_account.steps.1.for_each", json!("memberships.team.added")),
        ("create_account.result", json!({ "password": "saved.id" })),
        ("update_account.steps.0.json", json!({})),
        ("update_account.ignore", json!(["display_name"])),
    ];
    let mut told = String::new();
    for (key, value) in wrong {
        let mut target = target();
        set(&mut target, key, value.clone());
        let error =
            build(&target).map(|_| ()).expect_err(&format!("{key} = {value} was accepted")).to_string();
        assert!(!error.contains("hunter2"), "{error}");
        writeln!(told, "{key} = {value}\n    {error}").unwrap();
    }
    insta::assert_snapshot!(told);
}

#[test]
fn plain_secret_in_a_template_is_refused() {
    let mut target = target();
    set(&mut target, "check.headers.X-Token", json!("Quiet-Harbour-7"));
    let setup = Setup::new("app", target);
    setup.redactor.protect_for_good(["Quiet-Harbour-7"]);
    let error = bridgehead_http::factory().build(setup).map(|_| ()).unwrap_err();
    assert_eq!(error.key, "check.headers.X-Token");
    assert!(error.message.contains("{{ secrets.NAME }}"), "{error}");
}
