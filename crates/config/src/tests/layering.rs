//! Files override files, the environment overrides files.

use std::path::Path;
use std::time::Duration;

use super::support::{APP, BRIDGE, connectors, environment, layered, with_app};
use crate::{Error, Schedule, Secret, Sources, load};

#[test]
fn later_files_merge_tables_and_replace_lists() {
    let config = layered(
        &[
            &format!("{BRIDGE}{APP}[apps.acme-hr.tasks]\nconcurrency = 2\ntimeout = \"5s\"\n[apps.acme-hr.protect]\naccounts = [\"a\", \"b\"]"),
            "[apps.acme-hr.tasks]\nconcurrency = 3\n[apps.acme-hr.protect]\naccounts = [\"c\"]",
        ],
        &[],
    )
    .unwrap();
    let app = &config.apps["acme-hr"];
    assert_eq!((app.tasks.concurrency, app.tasks.timeout), (3, Duration::from_secs(5)));
    assert_eq!(app.protect.accounts.iter().map(ToString::to_string).collect::<Vec<_>>(), ["c"]);
}

#[test]
fn secret_reference_is_replaced_as_a_whole() {
    let config = layered(&[BRIDGE, "[bridge]\napi_key = { file = \"key\" }"], &[]).unwrap();
    assert_eq!(config.bridge.api_key, Secret::File { path: "/etc/key".into() });
    let config = layered(&[BRIDGE], &[("BRIDGEHEAD__BRIDGE__API_KEY__CREDENTIAL", "7")]).unwrap();
    assert_eq!(config.bridge.api_key, Secret::Credential { name: "7".into() });
}

#[test]
fn target_resembling_a_secret_reference_is_merged() {
    let target = |text: &str| format!("[apps.acme-hr.target]\n{text}\n");
    let config =
        layered(&[&format!("{BRIDGE}{APP}{}", target("file = \"people.csv\"")), &target("env = \"x\"")], &[])
            .unwrap();
    let resolved = config.apps["acme-hr"].target.resolve().unwrap();
    assert_eq!(
        resolved.settings,
        *serde_json::json!({ "file": "people.csv", "env": "x" }).as_object().unwrap()
    );
    assert!(resolved.secrets.is_empty());
}

#[test]
fn later_schedule_replaces_an_earlier_one() {
    let every = "[apps.acme-hr.sync]\nevery = \"1h\"\n";
    let cron = "[apps.acme-hr.sync]\ncron = \"0 3 * * *\"\ntimezone = \"Europe/Paris\"\n";
    let schedule = |first: &str, second: &str| {
        let config = layered(&[&format!("{BRIDGE}{APP}{first}"), second], &[]).unwrap();
        config.apps["acme-hr"].sync.schedule.clone()
    };
    assert_eq!(schedule(cron, every), Schedule::Every(Duration::from_hours(1)));
    assert!(
        matches!(schedule(every, cron), Schedule::Cron { timezone, .. } if timezone.iana_name() == Some("Europe/Paris"))
    );
    assert!(
        matches!(schedule("", "[apps.acme-hr.sync]\ncron = \"0 3 * * *\""), Schedule::Cron { timezone, .. } if timezone == jiff::tz::TimeZone::UTC)
    );
}

#[test]
fn environment_overrides_files() {
    let config = with_app(
        "[apps.acme-hr.target]\npath = \"people\"\n[apps.acme-hr.target.Pool]\nsize = 1\n",
        &[
            ("BRIDGEHEAD__BRIDGE__BASE_URL", "http://127.0.0.1:8080/org/x"),
            ("BRIDGEHEAD__APPS__ACME_HR__TASKS__CONCURRENCY", "3"),
            ("BRIDGEHEAD__apps__acme-hr__tasks__enabled", "false"),
            ("BRIDGEHEAD__APPS__ACME_HR__TASKS__POLL_INTERVAL", "5s"),
            ("BRIDGEHEAD__APPS__ACME_HR__PROTECT__ACCOUNTS", "[\"root\"]"),
            ("BRIDGEHEAD__APPS__ACME_HR__TARGET__PATH", "1979-05-27"),
            ("BRIDGEHEAD__APPS__ACME_HR__TARGET__POOL__SIZE", "2"),
            ("BRIDGEHEAD__APPS__ACME_HR__TARGET__PASSWORD__ENV", "PASSWORD"),
            ("BRIDGEHEAD__APPS__ACME_HR__TARGET__NEW__Key", "[broken"),
            ("BRIDGEHEAD__APPS__ACME_HR__TARGET__RATE_LIMIT", "{ per_second = 0.5, burst = 1 }"),
            ("BRIDGEHEAD_CONFIG", "is no key"),
            ("PASSWORD", "hunter2"),
        ],
    )
    .unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(config.bridge.base_url.as_str(), "http://127.0.0.1:8080/org/x");
    let app = &config.apps["acme-hr"];
    assert_eq!((app.tasks.concurrency, app.tasks.enabled), (3, false));
    assert_eq!(app.tasks.poll_interval, Duration::from_secs(5));
    assert_eq!(app.protect.accounts[0].as_str(), "root");
    assert_eq!(app.target.rate_limit.unwrap().burst, 1);
    assert_eq!(app.target.base, Path::new("/etc"));
    let expected = serde_json::json!({
        "Pool": { "size": 2 }, "new": { "key": "[broken" }, "password": "hunter2", "path": "1979-05-27",
    });
    assert_eq!(serde_json::Value::Object(app.target.resolve().unwrap().settings), expected);
}

#[test]
fn configuration_folder_is_read_in_name_order() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("20-last.toml", "[state]\npath = \"state\"\n[log]\nformat = \"json\"");
    write(
        "10-first.toml",
        &format!(
            "{BRIDGE}{APP}[log]\nformat = \"text\"\nlevel = \"debug\"\n[apps.acme-hr.target]\npath = \"people\""
        ),
    );
    write(".hidden.toml", "no TOML at all");
    write("notes.txt", "no TOML at all");
    std::fs::create_dir(folder.path().join("30-folder.toml")).unwrap();
    let extra = tempfile::tempdir().unwrap();
    let file = extra.path().join("extra");
    std::fs::write(&file, "[log]\nlevel = \"warn\"\n[apps.acme-hr.target]\nmore = 1").unwrap();
    let sources = Sources { paths: vec![folder.path().into(), file], environment: environment(&[]) };
    let config = load(&sources, &connectors()).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!((format!("{:?}", config.log.format).as_str(), config.log.level.as_str()), ("Json", "warn"));
    assert_eq!(config.state.path, folder.path().join("state"));
    assert_eq!(config.apps["acme-hr"].target.base, folder.path(), "the first that defines the target");
}

#[test]
fn unreadable_sources_say_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let errors = |paths: Vec<std::path::PathBuf>| {
        let sources = Sources { paths, environment: environment(&[]) };
        load(&sources, &connectors())
            .unwrap_err()
            .to_string()
            .replace(&folder.path().display().to_string(), "DIR")
    };
    insta::assert_snapshot!(errors(vec![]), @"no configuration found; specify it with --config PATH");
    insta::assert_snapshot!(errors(vec![folder.path().into(), folder.path().join("none.toml")]), @r"
    DIR: the folder contains no *.toml file; put the configuration there, or specify another with --config PATH
    DIR/none.toml: no such file or folder; create it, or specify the configuration with --config PATH
    ");
    std::fs::write(folder.path().join("a.toml"), b"\xff\xfe").unwrap();
    insta::assert_snapshot!(errors(vec![folder.path().into()]), @"cannot read DIR/a.toml: it is not UTF-8; save it as UTF-8");
}

#[test]
fn apps_are_required_only_to_run() {
    let config = layered(&[BRIDGE], &[]).unwrap();
    assert!(matches!(config.require_apps(), Err(Error::NoApps)));
    assert!(with_app("", &[]).unwrap().require_apps().is_ok());
}

#[test]
fn empty_action_list_allows_no_actions() {
    let config = with_app("[apps.acme-hr.protect]\nactions = []", &[]).unwrap();
    assert_eq!(config.apps["acme-hr"].protect.actions.as_ref().map(std::collections::BTreeSet::len), Some(0));
}

#[test]
fn quoted_names_are_not_split_at_dots() {
    let errors =
        layered(&[&format!("\"log.level\" = \"debug\"\n\"log[0]\" = 1\n{BRIDGE}")], &[]).unwrap_err();
    insta::assert_snapshot!(errors, @r#"
    /etc/a.toml:1:1: "log.level": unknown key; known keys are bridge, network, state, audit, admin, log, runtime, apps
    /etc/a.toml:2:1: "log[0]": unknown key; did you mean 'log'?
    "#);
    let target = "[apps.acme-hr.target]\n\"a.b\" = { \"c.d\" = 1 }\n";
    let config =
        layered(&[&format!("{BRIDGE}{APP}{target}"), "apps.acme-hr.target.\"a.b\".e = 2"], &[]).unwrap();
    let settings = config.apps["acme-hr"].target.resolve().unwrap().settings;
    assert_eq!(serde_json::Value::Object(settings), serde_json::json!({ "a.b": { "c.d": 1, "e": 2 } }));
}

#[test]
fn table_keeps_its_first_location_unless_replaced_by_a_value() {
    let missing = |texts: &[&str]| layered(texts, &[]).unwrap_err().to_string();
    let limit = "bridge.rate_limit.burst: missing; write, for example, { per_second = 50, burst = 100 }";
    let first = format!("{BRIDGE}[bridge.rate_limit]\nper_second = 1");
    let table = "\n\n[bridge.rate_limit]\nper_second = 2";
    assert_eq!(missing(&[&first, table]), format!("/etc/a.toml:4:1: {limit}"));
    assert_eq!(missing(&[&first, "bridge.rate_limit = 5", table]), format!("/etc/c.toml:3:1: {limit}"));
    // The value in between has removed the keys of the table.
    let burst = format!("{BRIDGE}[bridge.rate_limit]\nburst = 1");
    assert_eq!(missing(&[&burst, "bridge.rate_limit = 5", table]), format!("/etc/c.toml:3:1: {limit}"));
}
