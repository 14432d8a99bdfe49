//! Interfaces that others depend on: commands and options, configuration keys, the shape of JSON, metrics, requests to Iden. Users notice
//! changes to these snapshots, so each needs a line in CHANGELOG.md.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::{Value, json};

use crate::admin::{ADMIN, address, get, status};
use crate::support::{World, eventually};
use crate::target::ACTIONS;

fn stdout(arguments: &[&str]) -> String {
    let output =
        Command::new(env!("CARGO_BIN_EXE_bridgehead")).args(arguments).output().expect("the binary runs");
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// The words of bash's completions: each command with its options, without their descriptions.
#[test]
fn commands_and_options() {
    let script = stdout(&["completions", "bash"]);
    let lines: Vec<&str> = script
        .lines()
        .map(str::trim)
        .filter(|line| line.starts_with("opts=") || (line.starts_with("bridgehead") && line.ends_with(')')))
        .collect();
    insta::assert_snapshot!(lines.join("\n"));
}

/// Each key with its type, whether it is required, and its default.
#[test]
fn configuration_keys() {
    fn walk(path: &str, schema: &Value, into: &mut Vec<String>) {
        let Some(object) = schema.as_object() else { return };
        let facts: Vec<String> =
            ["type", "enum", "const", "default", "minimum", "maximum", "pattern", "format"]
                .iter()
                .filter_map(|name| object.get(*name).map(|value| format!("{name}={value}")))
                .collect();
        if !facts.is_empty() {
            into.push(format!("{path} {}", facts.join(" ")));
        }
        let required: Vec<&str> = object
            .get("required")
            .and_then(Value::as_array)
            .map(|names| names.iter().filter_map(Value::as_str).collect())
            .unwrap_or_default();
        for (name, inner) in object.get("properties").and_then(Value::as_object).into_iter().flatten() {
            let mark = if required.contains(&name.as_str()) { "!" } else { "" };
            walk(&format!("{path}.{name}{mark}"), inner, into);
        }
        for name in ["additionalProperties", "items", "not"] {
            if let Some(inner) = object.get(name) {
                walk(&format!("{path}.<{name}>"), inner, into);
            }
        }
        for name in ["oneOf", "anyOf", "allOf"] {
            for inner in object.get(name).and_then(Value::as_array).into_iter().flatten() {
                walk(&format!("{path}|"), inner, into);
            }
        }
        for (name, inner) in object.get("$defs").and_then(Value::as_object).into_iter().flatten() {
            walk(&format!("$defs.{name}"), inner, into);
        }
    }
    let schema: Value = serde_json::from_str(&stdout(&["config", "schema"])).expect("JSON");
    let mut keys = Vec::new();
    walk("", &schema, &mut keys);
    insta::assert_snapshot!(keys.join("\n"));
}

/// Every member of a document with the type of its value. The items of a list share one line, as do members whose names are data.
fn shape(document: &Value) -> BTreeSet<String> {
    fn walk(path: String, value: &Value, into: &mut BTreeSet<String>) {
        match value {
            Value::Object(members) => {
                for (name, value) in members {
                    let is_data = name.contains('-') || matches!(name.as_str(), "hr" | "account" | "team");
                    // The value is a time only while the list is being read, which is chance; only its presence matters.
                    let value = if name == "silent_since" { &Value::Null } else { value };
                    walk(format!("{path}.{}", if is_data { "<name>" } else { name }), value, into);
                }
            }
            Value::Array(items) => items.iter().for_each(|item| walk(format!("{path}[]"), item, into)),
            Value::Null => {
                into.insert(format!("{path}: null"));
            }
            Value::Bool(_) => {
                into.insert(format!("{path}: bool"));
            }
            Value::Number(_) => {
                into.insert(format!("{path}: number"));
            }
            Value::String(_) => {
                into.insert(format!("{path}: string"));
            }
        }
    }
    let mut lines = BTreeSet::new();
    walk(String::new(), document, &mut lines);
    lines
}

fn lines(of: impl IntoIterator<Item = String>) -> String {
    of.into_iter().collect::<Vec<_>>().join("\n")
}

/// A target with two accounts and a group, and one task of each action; one of them fails.
fn fill(world: &World) -> Vec<String> {
    world.write(
        "people/accounts.csv",
        "id,email,username,status,team\nu0,u0@example.org,u0,active,t1\nu1,u1@example.org,u1,active,\n",
    );
    world.write("people/team.csv", "id,name\nt1,Team One\n");
    world.configure(&format!(
        "connector = \"file\"\ntasks = {{ poll_interval = \"200ms\" }}\n[apps.hr.sync]\nenabled = false\n\
         [apps.hr.target]\npath = \"people\"\n{ADMIN}"
    ));
    ACTIONS
        .iter()
        .map(|action| {
            let payload = match *action {
                "create_account" => json!({"account": {"username": "bob", "email": "bob@example.org"}}),
                "update_account" => json!({"account": {"id": "u1"}, "changes": {"email": "new@example.org"}}),
                _ => json!({"account": {"id": "u0"}}),
            };
            world.sandbox.add_task(world.app, json!({"action": action, "payload": payload}))
        })
        .collect()
}

/// The JSON documents, the metrics, and the requests that Iden receives.
#[tokio::test]
async fn json_metrics_and_wire() {
    let world = World::new().await;
    let tasks = fill(&world);
    let daemon = world.start();
    let address = address(&daemon).await;
    eventually("all tasks have ended", || tasks.iter().all(|task| world.task(task)["status"] != "pending"))
        .await;
    let synced = world.run(&["sync", "hr", "--json"]).await;
    assert!(synced.status.success(), "{synced:?}");
    let now = status(&address, "the sync is over", |status| {
        status["apps"]["hr"]["sync"]["under_way"].is_null()
            && status["apps"]["hr"]["sync"]["last"]["result"] == "completed"
    })
    .await;
    insta::assert_snapshot!("status", lines(shape(&now)));

    let mut documents = BTreeSet::new();
    for arguments in [
        &["status", "--json"][..],
        &["sync", "hr", "--json"],
        &["sync", "hr", "--dry-run", "--json"],
        &["tasks", "list", "hr", "--json"],
        &["apps", "list", "--json"],
        &["check", "--json"],
        &["config", "show", "--json"],
        &["call", "hr", "list", "--json"],
        &["call", "hr", "find", "--id", "u1", "--json"],
    ] {
        let mut command = world.command(arguments);
        command.env("BRIDGEHEAD__ADMIN__LISTEN", &address);
        let output = tokio::task::spawn_blocking(move || command.output().expect("the binary runs"));
        let output = output.await.expect("it was waited for");
        let document: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{arguments:?}: {error}: {output:?}"));
        documents.extend(shape(&document).into_iter().map(|line| format!("{}: {line}", arguments.join(" "))));
    }
    insta::assert_snapshot!("documents", lines(documents));

    let metrics = get(&address, "/metrics").await.body;
    let names: BTreeSet<String> = metrics
        .lines()
        .filter_map(|line| {
            if let Some(kind) = line.strip_prefix("# TYPE ") {
                return Some(format!("type {kind}"));
            }
            let (name, _) = line.rsplit_once(' ').filter(|_| !line.starts_with('#'))?;
            let (name, labels) = name.split_once('{').unwrap_or((name, ""));
            let labels: Vec<&str> = labels
                .trim_end_matches('}')
                .split("\",")
                .filter_map(|label| label.split_once('=').map(|(name, _)| name))
                .collect();
            Some(format!("series {name} {}", labels.join(",")).trim_end().to_owned())
        })
        .collect();
    insta::assert_snapshot!("metrics", lines(names));

    let mut wire = BTreeSet::new();
    for entry in world.sandbox.ledger() {
        let path: Vec<String> = entry
            .path
            .split('/')
            .map(|part| {
                if uuid::Uuid::parse_str(part).is_ok() || part.len() > 24 {
                    "{id}".into()
                } else {
                    part.to_owned()
                }
            })
            .collect();
        let query = entry.query.unwrap_or_default();
        let query: Vec<&str> = query.split('&').filter_map(|pair| pair.split('=').next()).collect();
        let call = format!("{} {}?{}", entry.method, path.join("/"), query.join("&"));
        match entry.body {
            Some(body) => wire.extend(shape(&body).into_iter().map(|line| format!("{call} {line}"))),
            None => {
                wire.insert(call);
            }
        }
    }
    insta::assert_snapshot!("wire", lines(wire));
    daemon.stop().await;
}
