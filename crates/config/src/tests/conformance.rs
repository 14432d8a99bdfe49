//! `[apps.NAME.conformance]`: overriding the settings of a target, and what is rejected.

use serde_json::{Value, json};

use super::support::with_app;
use crate::{Conformance, Target};

const TABLE: &str = r#"[apps.acme-hr.target]
path = "people"
pool = { size = 1, host = "here" }
password = { env = "PASSWORD" }
[apps.acme-hr.conformance]
account = { department = "kit", manager = { id = "{name}" }, last_name = "" }
changes = { title = "New {name}" }
free_text_fields = ["title"]
missing_refs = { team = "t0" }
usable_refs = { team = "t1" }
address = "127.0.0.1:389"
bad_credential = { password = "wrong" }
refused_permission = { password = { env = "READER" } }
unreachable = { path = "ldap://{address}", pool = { size = "{port}", host = "{host}" }, more = ["{host}:{port}"] }
cut_listing = { file = "people-cut" }
"#;

fn read() -> (Conformance, Target) {
    let config = with_app(TABLE, &[("PASSWORD", "hunter2"), ("READER", "hunter3")]);
    let app = config.unwrap_or_else(|errors| panic!("{errors}")).apps.remove("acme-hr").unwrap();
    (app.conformance, app.target)
}

fn resolved(target: Option<Target>) -> Value {
    Value::Object(target.unwrap().resolve().unwrap().settings)
}

#[test]
fn situation_overrides_target_settings() {
    let (conformance, target) = read();
    let address = Some("127.0.0.1:4711".parse().unwrap());
    assert_eq!(
        resolved(conformance.target(&target, "bad_credential", None)),
        json!({ "path": "people", "pool": { "size": 1, "host": "here" }, "password": "wrong" })
    );
    assert_eq!(
        resolved(conformance.target(&target, "refused_permission", None))["password"],
        "hunter3",
        "references are resolved"
    );
    assert_eq!(
        resolved(conformance.target(&target, "unreachable", address)),
        json!({
            "path": "ldap://127.0.0.1:4711", "pool": { "size": 4711, "host": "127.0.0.1" }, "password": "hunter2",
            "more": ["127.0.0.1:4711"],
        })
    );
    assert_eq!(
        resolved(conformance.target(&target, "cut_listing", None))["file"],
        "people-cut",
        "a table of one key is no reference to a secret"
    );
    assert!(conformance.target(&target, "silent", address).is_none());
    let told = format!("{conformance:?}");
    assert!(told.contains("department") && !told.contains("wrong") && !told.contains("\"kit\""), "{told}");
}

#[test]
fn conformance_accounts_and_groups_are_parsed() {
    let (conformance, _) = read();
    let expected = json!({ "department": "kit", "last_name": "", "manager": { "id": "{name}" } });
    assert_eq!(Value::Object(conformance.account), expected);
    assert_eq!(Value::Object(conformance.changes.unwrap()), json!({ "title": "New {name}" }));
    assert_eq!(conformance.free_text_fields.unwrap(), ["title"]);
    assert_eq!(
        (conformance.missing_refs["team"].as_str(), conformance.usable_refs["team"].as_str()),
        ("t0", "t1")
    );
    assert_eq!(conformance.address.unwrap().port(), 389);
    let none = with_app("", &[]).unwrap().apps.remove("acme-hr").unwrap().conformance;
    assert!(none.account.is_empty() && none.changes.is_none() && none.address.is_none());
}

#[test]
fn invalid_settings_are_refused_when_parsed() {
    let texts = [
        "account = 5",
        "changes = [\"a\"]",
        "free_text_fields = \"title\"",
        "missing_refs = { team = 5 }",
        "address = \"localhost:389\"",
        "silent = \"ldap://{address}\"",
        "through = { password = \"hunter2\" }",
        "unreachabel = { url = \"x\" }",
    ];
    let table =
        |text: &&str| with_app(&format!("[apps.acme-hr.conformance]\n{text}"), &[]).unwrap_err().to_string();
    let told = texts.iter().map(table).collect::<Vec<_>>().join("\n");
    assert!(!told.contains("hunter2"), "{told}");
    insta::assert_snapshot!(told, @r#"
    /etc/a.toml:8:11: apps.acme-hr.conformance.account: must be a table such as { department = "kit" }
    /etc/a.toml:8:11: apps.acme-hr.conformance.changes: must be a table such as { department = "kit" }
    /etc/a.toml:8:20: apps.acme-hr.conformance.free_text_fields: must be a list such as ["display_name"]
    /etc/a.toml:8:16: apps.acme-hr.conformance.missing_refs: must be a table of resource type and id, such as { team = "t1" }
    /etc/a.toml:8:11: apps.acme-hr.conformance.address: must be an IP address with a port such as "127.0.0.1:389"
    /etc/a.toml:8:10: apps.acme-hr.conformance.silent: must be a table of keys of target
    /etc/a.toml:8:24: apps.acme-hr.conformance.through.password: secrets are not allowed in plain text; write { env = "NAME" }, { file = "path" } or { credential = "name" }
    /etc/a.toml:8:1: apps.acme-hr.conformance.unreachabel: unknown key; did you mean 'unreachable'?
    "#);
    let variables = [("BRIDGEHEAD__APPS__ACME_HR__CONFORMANCE__THROUGH", "{ url = \"ldap://{address}\" }")];
    assert!(with_app("", &variables).is_ok());
}
