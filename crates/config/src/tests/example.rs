//! The example that is shipped: it loads and is complete.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::support::{BRIDGE, connectors, layered};
use crate::keys::{Keys, Kind};
use crate::tree::{SourcedValue, join};
use crate::{self as config, LogFormat, OnInvalid, Refs, Schedule, Sources, load, schema};

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/bridgehead.toml")
}

#[test]
fn example_loads() {
    let sources = Sources { paths: vec![path()], ..Sources::default() };
    let config = load(&sources, &connectors()).unwrap_or_else(|errors| panic!("{errors}"));
    config.require_apps().unwrap();
    let app = &config.apps["acme-hr"];
    assert_eq!(app.target.base, path().parent().unwrap());
    assert_eq!(app.protect.actions.as_ref().unwrap().len(), 4);
    assert!(app.protect.accounts.iter().any(|pattern| pattern.matches("SVC-backup")));
    assert_eq!(app.target.rate_limit.unwrap().burst, 20);
    let Schedule::Cron { expression, timezone } = &config.apps["acme-crm"].sync.schedule else {
        panic!("the second app has a cron");
    };
    assert_eq!((expression.as_str(), timezone.iana_name()), ("0 3 * * *", Some("Europe/Paris")));
}

/// All keys that a schema knows, as paths in which every app is `*`.
fn known(keys: Keys<'_>, path: &str, found: &mut BTreeSet<String>) {
    match keys.kind() {
        Kind::Leaf | Kind::Secret => {
            found.insert(path.to_owned());
        }
        Kind::Free if keys.names().is_empty() => {
            found.insert(path.to_owned());
        }
        Kind::Map => known(keys.child("*").unwrap(), &join(path, "all"), found),
        Kind::Table | Kind::Free => {
            for name in keys.names() {
                known(keys.child(name).unwrap(), &join(path, name), found);
            }
        }
    }
}

/// Uncomments the tables that are commented out because they hardly ever fit unchanged: `# [network]` and the lines after it.
pub(super) fn uncommented(text: &str) -> String {
    let mut within = false;
    let lines = text.lines().map(|line| {
        within = line.starts_with("# [") || (within && line.starts_with("# "));
        // A token suits nobody who has not made one, and a database nobody who has none.
        let suits_few =
            ["# token = ", "# url = { env = \"BRIDGEHEAD_STATE", "# node = ", "# nodes = ", "# lease = "];
        if within || suits_few.iter().any(|start| line.starts_with(start)) { &line[2..] } else { line }
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn written(node: &SourcedValue, keys: Keys<'_>, path: &str, found: &mut BTreeSet<String>) {
    match keys.kind() {
        Kind::Leaf | Kind::Secret => {
            found.insert(path.to_owned());
        }
        // Its keys are unknown.
        Kind::Free if keys.names().is_empty() => {
            found.insert(path.to_owned());
        }
        kind => {
            for (name, entry) in node.as_table().unwrap() {
                // Keys that only a connector knows are not compared.
                if let Some(below) = keys.child(name) {
                    let name = if kind == Kind::Map { "all" } else { name };
                    written(&entry.node, below, &join(path, name), found);
                }
            }
        }
    }
}

#[test]
fn example_contains_every_schema_key() {
    let schema = schema(&connectors());
    let keys = Keys::of(&schema);
    let mut expected = BTreeSet::new();
    known(keys, "", &mut expected);
    let text = uncommented(&std::fs::read_to_string(path()).unwrap());
    let tree = SourcedValue::parse(&path(), &text).unwrap_or_else(|errors| panic!("{errors:?}"));
    let mut found = BTreeSet::new();
    written(&tree, keys, "", &mut found);
    assert_eq!(found, expected);
    assert!(expected.contains("apps.all.sync.guard.window") && expected.len() > 50, "{expected:?}");
}

#[test]
fn example_shows_the_defaults() {
    let sources = Sources { paths: vec![path()], ..Sources::default() };
    let example = load(&sources, &connectors()).unwrap();
    let least = layered(&[&format!("{BRIDGE}{}", super::support::APP)], &[]).unwrap();
    let (shown, default) = (&example.apps["acme-hr"], &least.apps["acme-hr"]);
    // By default nothing is held: only the operator knows how many are too many.
    assert!(shown.tasks.guard.is_some() && default.tasks.guard.is_none());
    let shown_tasks = config::Tasks { guard: None, ..shown.tasks.clone() };
    assert_eq!(format!("{shown_tasks:?}"), format!("{:?}", default.tasks));
    assert_eq!(format!("{:?}", shown.sync), format!("{:?}", default.sync));
    assert_eq!(format!("{:?}", example.log), format!("{:?}", least.log));
    assert_eq!(format!("{:?}", example.runtime), format!("{:?}", least.runtime));
    assert_eq!(example.state.path, least.state.path);
    assert_eq!(example.bridge.request_timeout, least.bridge.request_timeout);
}

#[test]
fn defaults_have_the_documented_values() {
    let config = layered(&[&format!("{BRIDGE}{}", super::support::APP)], &[]).unwrap();
    let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
    assert_eq!(config.bridge.request_timeout, Duration::from_secs(30));
    assert_eq!((config.bridge.refs, config.bridge.rate_limit), (Refs::Id, None));
    assert_eq!(config.state.path, Path::new("/var/lib/bridgehead"));
    assert!(config.admin.is_none());
    assert_eq!((config.log.format, config.log.level.as_str()), (LogFormat::Text, "info"));
    assert_eq!(config.runtime.shutdown_grace, Duration::from_secs(30));
    let app = &config.apps["acme-hr"];
    assert!(app.register_resource_types && app.tasks.enabled && app.sync.enabled && app.sync.on_start);
    assert_eq!(app.tasks.poll_interval, Duration::from_secs(10));
    assert_eq!((app.tasks.concurrency, app.sync.push_concurrency), (8, 4));
    assert_eq!((app.tasks.timeout, app.tasks.give_up_after), (minutes(1), minutes(15)));
    assert_eq!(app.tasks.hold_for, minutes(60));
    assert_eq!(app.sync.schedule, Schedule::Every(minutes(360)));
    assert_eq!(app.sync.on_invalid, OnInvalid::Abandon);
    assert!(app.tasks.verify);
    assert_eq!(app.sync.complete_without_proof, config::WithoutProof::Hold);
    let guard = app.sync.guard;
    assert_eq!((guard.max_removals, guard.min_records, guard.window), (100, 10, minutes(1440)));
    assert_eq!((guard.max_deactivations, guard.max_membership_losses), (100, 1000));
    let percents =
        [guard.max_removal_percent, guard.max_deactivation_percent, guard.max_membership_loss_percent];
    assert!(percents.iter().zip([10.0, 10.0, 25.0]).all(|(one, wanted)| (one - wanted).abs() < f64::EPSILON));
    assert!(app.protect.accounts.is_empty() && app.protect.actions.is_none());
    assert!(app.target.rate_limit.is_none());
}
