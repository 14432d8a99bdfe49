//! The exact text of every error message. A file starts with [`BRIDGE`] and [`APP`], six lines, unless a test specifies otherwise.

use super::support::{APP, BRIDGE, layered, with_app};

/// The errors for each of these texts, appended to the minimal configuration.
fn app(texts: &[&str]) -> String {
    complaints(texts, |text| with_app(text, &[]))
}

/// The errors for each of these texts alone.
fn whole(texts: &[&str]) -> String {
    complaints(texts, |text| layered(&[text], &[]))
}

fn complaints(texts: &[&str], load: impl Fn(&str) -> Result<crate::Config, crate::Errors>) -> String {
    let said: Vec<String> = texts
        .iter()
        .map(|text| match load(text) {
            Ok(_) => panic!("nothing is wrong with {text}"),
            Err(errors) => errors.to_string(),
        })
        .collect();
    said.join("\n")
}

#[test]
fn syntax_errors_have_a_location_and_never_quote_the_line() {
    insta::assert_snapshot!(whole(&[
        "[bridge]\napi_key = hunter2",
        "[bridge]\napi_key = \"hunter2",
        "[bridge\napi_key = { env = \"hunter2\" }",
        "[bridge]\napi_key = { env = \"x\" } hunter2",
        "[bridge]\nrefs = \"id\"\nrefs = \"id\"",
        "[bridge]\n[bridge]",
        "a = 1\na.b = 2",
        "hunter2",
        "a = 99999999999999999999",
        "a = inf",
        "a = 2024-13-45",
    ]), @r#"
    /etc/a.toml:2:11: not valid TOML: string values must be quoted, expected literal string
    /etc/a.toml:2:19: not valid TOML: invalid basic string, expected `"`
    /etc/a.toml:1:8: not valid TOML: unclosed table, expected `]`
    /etc/a.toml:2:25: not valid TOML: unexpected key or value, expected newline, `#`
    /etc/a.toml:3:1: not valid TOML: duplicate key
    /etc/a.toml:2:2: not valid TOML: duplicate key
    /etc/a.toml:2:1: not valid TOML: cannot extend value of type integer with a dotted key
    /etc/a.toml:1:8: not valid TOML: key with no value, expected `=`
    /etc/a.toml:1:5: not valid TOML: the number is infinite, or larger than 64 bits
    /etc/a.toml:1:5: not valid TOML: the number is infinite, or larger than 64 bits
    /etc/a.toml:1:5: not valid TOML: invalid date, expected month between 01 and 12
    "#);
}

#[test]
fn missing_keys_say_what_to_write() {
    insta::assert_snapshot!(whole(&[
        "",
        "[bridge]",
        "# a comment\n[bridge]\nrefs = \"id\"\n[admin]\n[apps.acme-hr]",
        &format!("{BRIDGE}{APP}[apps.acme-hr.target.rate_limit]\nburst = 1"),
    ]), @r#"
    /etc/a.toml:1:1: bridge.base_url: missing; write base_url = "https://developer.idenhq.com/org/NAME" under [bridge]
    /etc/a.toml:1:1: bridge.api_key: missing; write api_key = { env = "IDEN_API_KEY" } under [bridge], or { file = "path" }, or { credential = "name" }
    /etc/a.toml:1:1: bridge.base_url: missing; write base_url = "https://developer.idenhq.com/org/NAME" under [bridge]
    /etc/a.toml:1:1: bridge.api_key: missing; write api_key = { env = "IDEN_API_KEY" } under [bridge], or { file = "path" }, or { credential = "name" }
    /etc/a.toml:2:1: bridge.base_url: missing; write base_url = "https://developer.idenhq.com/org/NAME" under [bridge]
    /etc/a.toml:2:1: bridge.api_key: missing; write api_key = { env = "IDEN_API_KEY" } under [bridge], or { file = "path" }, or { credential = "name" }
    /etc/a.toml:4:1: admin.listen: missing; write listen = "127.0.0.1:9464", or remove [admin]
    /etc/a.toml:5:7: apps.acme-hr.app_id: missing; write app_id = "…" with the UUID that `bridgehead apps list` shows
    /etc/a.toml:5:7: apps.acme-hr.connector: missing; write connector = "…" with one of exec, file
    /etc/a.toml:7:1: apps.acme-hr.target.rate_limit.per_second: missing; write, for example, { per_second = 50, burst = 100 }
    "#);
}

#[test]
fn unknown_keys_suggest_the_nearest_key() {
    insta::assert_snapshot!(app(&[
        "[apps.acme-hr.tasks]\npol_interval = \"10s\"",
        "[apps.acme-hr.tasks]\npoll-interval = \"10s\"",
        "[apps.acme-hr.task]\nenabled = true",
        "[app.acme-hr.tasks]\nenabled = true",
        "[apps.acme-hr.sync]\nguard = { max_removal = 1 }",
        "xyzzy = 1",
        "[xyzzy]",
        "[state]\nxyzzy = 1",
        "[\"a b\"]",
    ]), @r#"
    /etc/a.toml:8:1: apps.acme-hr.tasks.pol_interval: unknown key; did you mean 'poll_interval'?
    /etc/a.toml:8:1: apps.acme-hr.tasks.poll-interval: unknown key; did you mean 'poll_interval'?
    /etc/a.toml:7:15: apps.acme-hr.task: unknown key; did you mean 'tasks'?
    /etc/a.toml:7:2: app: unknown key; did you mean 'apps'?
    /etc/a.toml:8:11: apps.acme-hr.sync.guard.max_removal: unknown key; did you mean 'max_removals'?
    /etc/a.toml:7:1: apps.acme-hr.xyzzy: unknown key; known keys are app_id, connector, register_resource_types, nodes, tasks, sync, protect, target, conformance
    /etc/a.toml:7:2: xyzzy: unknown key; known keys are bridge, network, state, audit, admin, log, runtime, apps
    /etc/a.toml:8:1: state.xyzzy: unknown key; known keys are path, url, node, lease
    /etc/a.toml:7:2: "a b": unknown key; known keys are bridge, network, state, audit, admin, log, runtime, apps
    "#);
}

#[test]
fn wrong_types_state_the_expected_type() {
    insta::assert_snapshot!(app(&[
        "[apps.acme-hr.tasks]\nenabled = \"yes\"",
        "[apps.acme-hr.tasks]\npoll_interval = 10",
        "[apps.acme-hr.tasks]\npoll_interval = \"10\"",
        "[apps.acme-hr.tasks]\npoll_interval = \"-10s\"",
        "[apps.acme-hr.tasks]\nconcurrency = \"8\"",
        "[apps.acme-hr.tasks]\nconcurrency = 8.5",
        "[apps.acme-hr.sync]\nguard = 100",
        "[apps.acme-hr.sync]\non_invalid = \"abandn\"",
        "[apps.acme-hr.sync]\non_invalid = 1",
        "[apps.acme-hr.protect]\naccounts = \"admin\"",
        "[apps.acme-hr.protect]\naccounts = [\"a\", 5]",
        "[[apps.acme-hr.tasks]]",
        "[apps]\nother = 1",
        "[log]\nformat = \"xml\"",
        "[admin]\nlisten = 9464",
        "[admin]\nlisten = \"localhost\"",
        "[state]\npath = \"\"",
        "[state]\npath = 1",
        "[runtime]\nshutdown_grace = true",
        "[apps.acme-hr.target]\nrate_limit = 5",
    ]), @r#"
    /etc/a.toml:8:11: apps.acme-hr.tasks.enabled: must be true or false, without quotes
    /etc/a.toml:8:17: apps.acme-hr.tasks.poll_interval: must be a duration such as "10s"
    /etc/a.toml:8:17: apps.acme-hr.tasks.poll_interval: must be a duration such as "10s"
    /etc/a.toml:8:17: apps.acme-hr.tasks.poll_interval: must be a duration such as "10s"
    /etc/a.toml:8:15: apps.acme-hr.tasks.concurrency: must be a whole number between 1 and 1024
    /etc/a.toml:8:15: apps.acme-hr.tasks.concurrency: must be a whole number between 1 and 1024
    /etc/a.toml:8:9: apps.acme-hr.sync.guard: must be a table, such as one that starts with [apps.acme-hr.sync.guard]
    /etc/a.toml:8:14: apps.acme-hr.sync.on_invalid: must be "abandon" or "skip"; did you mean 'abandon'?
    /etc/a.toml:8:14: apps.acme-hr.sync.on_invalid: must be "abandon" or "skip"
    /etc/a.toml:8:12: apps.acme-hr.protect.accounts: must be a list such as ["svc-*", "admin"]
    /etc/a.toml:8:18: apps.acme-hr.protect.accounts[1]: must be a quoted string, for example "svc-*"
    /etc/a.toml:7:1: apps.acme-hr.tasks: must be a table, such as one that starts with [apps.acme-hr.tasks]
    /etc/a.toml:8:9: apps.other: must be a table, such as one that starts with [apps.other]
    /etc/a.toml:8:10: log.format: must be "text" or "json"
    /etc/a.toml:8:10: admin.listen: must be an IP address with a port such as "127.0.0.1:9464"
    /etc/a.toml:8:10: admin.listen: must be an IP address with a port such as "127.0.0.1:9464"
    /etc/a.toml:8:8: state.path: must not be empty; write, for example, "/var/lib/bridgehead"
    /etc/a.toml:8:8: state.path: must be a quoted string, for example "/var/lib/bridgehead"
    /etc/a.toml:8:18: runtime.shutdown_grace: must be a duration such as "30s"
    /etc/a.toml:8:14: apps.acme-hr.target.rate_limit: must be a table, such as one that starts with [apps.acme-hr.target.rate_limit]
    "#);
    insta::assert_snapshot!(whole(&["bridge = 5", "[[bridge]]", "apps = 5"]), @r#"
    /etc/a.toml:1:10: bridge: must be a table, such as one that starts with [bridge]
    /etc/a.toml:1:1: bridge: must be a table, such as one that starts with [bridge]
    /etc/a.toml:1:1: bridge.base_url: missing; write base_url = "https://developer.idenhq.com/org/NAME" under [bridge]
    /etc/a.toml:1:1: bridge.api_key: missing; write api_key = { env = "IDEN_API_KEY" } under [bridge], or { file = "path" }, or { credential = "name" }
    /etc/a.toml:1:8: apps: must be a table, such as one that starts with [apps]
    "#);
}

#[test]
fn bounds_are_checked() {
    insta::assert_snapshot!(app(&[
        "[apps.acme-hr.tasks]\nconcurrency = 0",
        "[apps.acme-hr.tasks]\nconcurrency = 1025",
        "[apps.acme-hr.sync]\npush_concurrency = -1",
        "[apps.acme-hr.tasks]\npoll_interval = \"99ms\"",
        "[apps.acme-hr.tasks]\nhold_for = \"0s\"",
        "[apps.acme-hr.tasks]\nhold_for = \"367d\"",
        "[apps.acme-hr.tasks]\ntimeout = \"16m\"",
        "[apps.acme-hr.tasks]\ngive_up_after = \"30s\"",
        "[apps.acme-hr.sync.guard]\nmax_removal_percent = 100.1",
        "[apps.acme-hr.sync.guard]\nmax_removal_percent = -1",
        "[apps.acme-hr.sync.guard]\nmax_removals = -1",
        "[apps.acme-hr.sync.guard]\nwindow = \"0h\"",
        "[apps.acme-hr.target]\nrate_limit = { per_second = 0, burst = 0 }",
        "[apps.acme-hr.target]\nrate_limit = { per_second = 1e-300, burst = 1.5 }",
    ]), @r#"
    /etc/a.toml:8:15: apps.acme-hr.tasks.concurrency: must be a whole number between 1 and 1024
    /etc/a.toml:8:15: apps.acme-hr.tasks.concurrency: must be a whole number between 1 and 1024
    /etc/a.toml:8:20: apps.acme-hr.sync.push_concurrency: must be a whole number between 1 and 1024
    /etc/a.toml:8:17: apps.acme-hr.tasks.poll_interval: must be at least 100ms, such as "10s"
    /etc/a.toml:8:12: apps.acme-hr.tasks.hold_for: must be longer than zero, such as "1h"
    /etc/a.toml:8:12: apps.acme-hr.tasks.hold_for: must be at most 366d; write, for example, "1h"
    /etc/a.toml:8:11: apps.acme-hr.tasks.timeout: must be at most give_up_after, which is "15m"
    /etc/a.toml:8:17: apps.acme-hr.tasks.give_up_after: must be at least timeout, which is "1m"
    /etc/a.toml:8:23: apps.acme-hr.sync.guard.max_removal_percent: must be a number between 0 and 100
    /etc/a.toml:8:23: apps.acme-hr.sync.guard.max_removal_percent: must be a number between 0 and 100
    /etc/a.toml:8:16: apps.acme-hr.sync.guard.max_removals: must be a whole number, at least 0
    /etc/a.toml:8:10: apps.acme-hr.sync.guard.window: must be longer than zero, such as "24h"
    /etc/a.toml:8:29: apps.acme-hr.target.rate_limit.per_second: must be a number between 0.0001 and 100000
    /etc/a.toml:8:40: apps.acme-hr.target.rate_limit.burst: must be a whole number between 1 and 1000000
    /etc/a.toml:8:29: apps.acme-hr.target.rate_limit.per_second: must be a number between 0.0001 and 100000
    /etc/a.toml:8:45: apps.acme-hr.target.rate_limit.burst: must be a whole number between 1 and 1000000
    "#);
    let timeout = "[apps.acme-hr.tasks]\nconcurrency = 1024\npoll_interval = \"100ms\"\ntimeout = \"15m\"";
    assert!(with_app(timeout, &[]).is_ok(), "the bounds themselves are fine");
    let guard = "[apps.acme-hr.sync.guard]\nmax_removal_percent = 100\nmax_removals = 0\nmin_records = 0";
    assert!(with_app(guard, &[]).is_ok(), "the bounds themselves are fine");
}

#[test]
fn schedules_are_checked() {
    insta::assert_snapshot!(app(&[
        "[apps.acme-hr.sync]\nevery = \"6h\"\ncron = \"0 3 * * *\"",
        "[apps.acme-hr.sync]\ntimezone = \"Europe/Paris\"",
        "[apps.acme-hr.sync]\nevery = \"6h\"\ntimezone = \"Europe/Paris\"",
        "[apps.acme-hr.sync]\ncron = \"0 3 * *\"",
        "[apps.acme-hr.sync]\ncron = \"0 0 3 * * *\"",
        "[apps.acme-hr.sync]\ncron = \"0 25 * * *\"",
        "[apps.acme-hr.sync]\ncron = \"@daily\"",
        "[apps.acme-hr.sync]\ncron = \"0 0 31 2 *\"",
        "[apps.acme-hr.sync]\ncron = 3",
        "[apps.acme-hr.sync]\ncron = \"0 3 * * *\"\ntimezone = \"Europe/Pariss\"",
    ]), @r#"
    /etc/a.toml:9:8: apps.acme-hr.sync.cron: conflicts with 'every'; keep one of the two
    /etc/a.toml:8:12: apps.acme-hr.sync.timezone: only applies with 'cron'; set cron, or remove this key
    /etc/a.toml:9:12: apps.acme-hr.sync.timezone: only applies with 'cron'; set cron, or remove this key
    /etc/a.toml:8:8: apps.acme-hr.sync.cron: must have five fields: minute, hour, day of the month, month, day of the week; such as "0 3 * * *"
    /etc/a.toml:8:8: apps.acme-hr.sync.cron: must have five fields: minute, hour, day of the month, month, day of the week; such as "0 3 * * *"
    /etc/a.toml:8:8: apps.acme-hr.sync.cron: must have five fields: minute, hour, day of the month, month, day of the week; such as "0 3 * * *"
    /etc/a.toml:8:8: apps.acme-hr.sync.cron: must have five fields: minute, hour, day of the month, month, day of the week; such as "0 3 * * *"
    /etc/a.toml:8:8: apps.acme-hr.sync.cron: never occurs; check the day against the month
    /etc/a.toml:8:8: apps.acme-hr.sync.cron: must be a quoted string, for example "0 3 * * *"
    /etc/a.toml:9:12: apps.acme-hr.sync.timezone: unknown time zone; did you mean 'Europe/Paris'?
    "#);
}

#[test]
fn every_log_directive_is_checked() {
    insta::assert_snapshot!(app(&[
        "[log]\nlevel = \"inof\"",
        "[log]\nlevel = \"\"",
        "[log]\nlevel = \"info,bridgehead=debgu\"",
        "[log]\nlevel = \"info,=debug\"",
        "[log]\nlevel = 3",
    ]), @r#"
    /etc/a.toml:8:9: log.level: must be a level (off, error, warn, info, debug, trace), or levels by module such as "info,bridgehead=debug"; did you mean 'info'?
    /etc/a.toml:8:9: log.level: must not be empty; write, for example, "info"
    /etc/a.toml:8:9: log.level: must be a level (off, error, warn, info, debug, trace), or levels by module such as "info,bridgehead=debug"; did you mean 'debug'?
    /etc/a.toml:8:9: log.level: must be a level (off, error, warn, info, debug, trace), or levels by module such as "info,bridgehead=debug"
    /etc/a.toml:8:9: log.level: must be a quoted string, for example "info"
    "#);
    assert!(with_app("[log]\nlevel = \"INFO,bridgehead=debug\"", &[]).is_ok());
}

#[test]
fn the_base_url_must_be_safe_for_the_key() {
    let texts = [
        "http://developer.idenhq.com/org/acme",
        "http://10.0.0.1/org/acme",
        "http://localhost.example.com/org/acme",
        "http://127.0.0.1.example.com/",
        "ftp://developer.idenhq.com",
        "developer.idenhq.com/org/acme",
        "https://",
        "https://developer.idenhq.com/org/acme?x=1",
        "https://developer.idenhq.com/org/acme#x",
        "https://me:hunter2@developer.idenhq.com/org/acme",
        "https://developer.idenhq.com/org/acme/api/v1/bridge/apps/",
    ];
    let url = |url: &str| format!("[bridge]\nbase_url = {url:?}\napi_key = {{ env = \"KEY\" }}");
    let texts = texts.map(url);
    insta::assert_snapshot!(whole(&texts.each_ref().map(String::as_str)), @r#"
    /etc/a.toml:2:12: bridge.base_url: must start with https://, otherwise the API key would be sent unencrypted; http is for loopback only
    /etc/a.toml:2:12: bridge.base_url: must start with https://, otherwise the API key would be sent unencrypted; http is for loopback only
    /etc/a.toml:2:12: bridge.base_url: must start with https://, otherwise the API key would be sent unencrypted; http is for loopback only
    /etc/a.toml:2:12: bridge.base_url: must start with https://, otherwise the API key would be sent unencrypted; http is for loopback only
    /etc/a.toml:2:12: bridge.base_url: must be a URL such as "https://developer.idenhq.com/org/acme"
    /etc/a.toml:2:12: bridge.base_url: must be a URL such as "https://developer.idenhq.com/org/acme"
    /etc/a.toml:2:12: bridge.base_url: must be a URL such as "https://developer.idenhq.com/org/acme"
    /etc/a.toml:2:12: bridge.base_url: must end with its path, without '?' or '#'
    /etc/a.toml:2:12: bridge.base_url: must end with its path, without '?' or '#'
    /etc/a.toml:2:12: bridge.base_url: must not contain a user name or password; bridgehead authenticates to Iden with bridge.api_key
    /etc/a.toml:2:12: bridge.base_url: must not include /api/v1, which is appended; write "https://developer.idenhq.com/org/acme"
    "#);
    for fine in
        ["http://localhost:8080/org/x", "http://127.0.0.1:1/", "http://[::1]:1/x/", "https://10.0.0.1"]
    {
        assert!(layered(&[&url(fine)], &[]).is_ok(), "{fine}");
    }
}

#[test]
fn apps_are_checked_against_connectors_and_each_other() {
    insta::assert_snapshot!(app(&[
        "[apps.other]\napp_id = \"11111111-1111-4111-8111-111111111111\"\nconnector = \"exec\"",
        "[apps.other]\napp_id = \"11111111\"\nconnector = \"fiel\"",
        "[apps.other]\napp_id = 1\nconnector = \"xyzzy\"",
        "[apps.\"a b\"]\napp_id = \"22222222-2222-4222-8222-222222222222\"\nconnector = \"exec\"",
        "[apps.\"\"]\napp_id = \"22222222-2222-4222-8222-222222222222\"\nconnector = \"exec\"",
        "[apps.acme-hr.protect]\naccounts = [\"admin\", \"\", \" \"]",
        "[apps.acme-hr.protect]\nactions = [\"create_acount\", \"delete_account\", \"xyzzy\"]",
    ]), @r#"
    /etc/a.toml:8:10: apps.other.app_id: is the app_id of apps.acme-hr as well; every app needs its own
    /etc/a.toml:8:10: apps.other.app_id: must be a UUID such as "11111111-1111-4111-8111-111111111111"; `bridgehead apps list` shows it
    /etc/a.toml:9:13: apps.other.connector: unknown connector; did you mean 'file'?
    /etc/a.toml:8:10: apps.other.app_id: must be a UUID such as "11111111-1111-4111-8111-111111111111"; `bridgehead apps list` shows it
    /etc/a.toml:9:13: apps.other.connector: unknown connector; known keys are exec, file
    /etc/a.toml:7:7: apps."a b": an app's name must have 1 to 64 letters, digits, '-' and '_', such as "acme-hr"
    /etc/a.toml:7:7: apps."": an app's name must have 1 to 64 letters, digits, '-' and '_', such as "acme-hr"
    /etc/a.toml:8:22: apps.acme-hr.protect.accounts[1]: must not be empty; write, for example, "svc-*"
    /etc/a.toml:8:26: apps.acme-hr.protect.accounts[2]: must not be empty; write, for example, "svc-*"
    /etc/a.toml:8:12: apps.acme-hr.protect.actions[0]: unknown action; did you mean 'create_account'?
    /etc/a.toml:8:47: apps.acme-hr.protect.actions[2]: unknown action; known keys are create_account, update_account, delete_account, suspend_account, unsuspend_account, reset_password
    "#);
}

#[test]
fn all_errors_of_an_app_are_reported() {
    let twice = "[apps.acme-hr]\nregister_resource_types = 1\n[apps.acme-hr.tasks]\ntimeout = \"1h\"\nverify = 1\n\
        [apps.other]\napp_id = \"11111111-1111-4111-8111-111111111111\"\nsync = { cron = 3, every = \"1h\", guard = { windw = 1 } }\n\
        protect = { accounts = [\"\", \"a\", \" b\"], actions = \"all\" }\n[network]\nno_proxy = 5\n";
    let errors = layered(&[&format!("{BRIDGE}{APP}"), twice], &[]).unwrap_err();
    insta::assert_snapshot!(errors, @r#"
    /etc/b.toml:2:27: apps.acme-hr.register_resource_types: must be true or false, without quotes
    /etc/b.toml:4:11: apps.acme-hr.tasks.timeout: must be at most give_up_after, which is "15m"
    /etc/b.toml:5:10: apps.acme-hr.tasks.verify: must be true or false, without quotes
    /etc/b.toml:6:7: apps.other.connector: missing; write connector = "…" with one of exec, file
    /etc/b.toml:7:10: apps.other.app_id: is the app_id of apps.acme-hr as well; every app needs its own
    /etc/b.toml:8:17: apps.other.sync.cron: must be a quoted string, for example "0 3 * * *"
    /etc/b.toml:8:17: apps.other.sync.cron: conflicts with 'every'; keep one of the two
    /etc/b.toml:8:44: apps.other.sync.guard.windw: unknown key; did you mean 'window'?
    /etc/b.toml:9:25: apps.other.protect.accounts[0]: must not be empty; write, for example, "svc-*"
    /etc/b.toml:9:34: apps.other.protect.accounts[2]: starts or ends with a space, which no account name does; remove it
    /etc/b.toml:9:51: apps.other.protect.actions: must be a list such as ["create_account", "update_account"]
    /etc/b.toml:11:12: network.no_proxy: must be a list such as ["intranet.example.com", "10.0.0.0/8"]
    /etc/b.toml:11:12: network.no_proxy: only applies with 'proxy'; set proxy, or remove this key
    "#);
}

#[test]
fn plain_text_secrets_are_refused_without_quoting_them() {
    let key = |key: &str| format!("[bridge]\nbase_url = \"https://example.com\"\napi_key = {key}");
    let keys = [
        "\"hunter2\"",
        "[\"hunter2\"]",
        "5",
        "{}",
        "{ env = \"A\", file = \"b\" }",
        "{ envv = \"A\" }",
        "{ env = 5 }",
        "{ env = \"\" }",
        "{ env = \"hunter2-is-no-name\" }",
        "{ file = \"\" }",
        "{ credential = \"../hunter2\" }",
    ]
    .map(key);
    insta::assert_snapshot!(whole(&keys.each_ref().map(String::as_str)), @r#"
    /etc/a.toml:3:11: bridge.api_key: secrets are not allowed in plain text; write { env = "NAME" }, { file = "path" } or { credential = "name" }
    /etc/a.toml:3:11: bridge.api_key: secrets are not allowed in plain text; write { env = "NAME" }, { file = "path" } or { credential = "name" }
    /etc/a.toml:3:11: bridge.api_key: secrets are not allowed in plain text; write { env = "NAME" }, { file = "path" } or { credential = "name" }
    /etc/a.toml:3:11: bridge.api_key: must have exactly one key: env, file or credential
    /etc/a.toml:3:11: bridge.api_key: must have exactly one key: env, file or credential
    /etc/a.toml:3:11: bridge.api_key: unknown key; did you mean 'env'?
    /etc/a.toml:3:11: bridge.api_key: must be a quoted string, for example "IDEN_API_KEY"
    /etc/a.toml:3:11: bridge.api_key: must not be empty; write, for example, "IDEN_API_KEY"
    /etc/a.toml:3:11: bridge.api_key: env must be the name of a variable (letters, digits and '_'), such as "IDEN_API_KEY"
    /etc/a.toml:3:11: bridge.api_key: must not be empty; write, for example, "/etc/bridgehead/key"
    /etc/a.toml:3:11: bridge.api_key: credential must be a plain name, such as "iden-key"; for a path, use file
    "#);
    insta::assert_snapshot!(app(&[
        "[apps.acme-hr.target]\npassword = \"hunter2\"",
        "[apps.acme-hr.target]\ndeep = [{ client-secret = \"hunter2\" }, { tokens = [\"hunter2\"] }]",
        "[apps.acme-hr.target]\nurl = \"postgres://app:hunter2@db.example.com/hr\"",
        "[apps.acme-hr.target]\npassword = { env = \"hunter2 it is\" }",
        "[apps.acme-hr.target]\nrate_limit = { per_second = 1, burst = 1, token = \"hunter2\" }",
        "[apps.acme-hr.target]\nsecrets = { pepper = \"hunter2\" }\njson = { password = \"{{ password }}\" }",
    ]), @r#"
    /etc/a.toml:8:12: apps.acme-hr.target.password: secrets are not allowed in plain text; write { env = "NAME" }, { file = "path" } or { credential = "name" }
    /etc/a.toml:8:27: apps.acme-hr.target.deep[0].client-secret: secrets are not allowed in plain text; write { env = "NAME" }, { file = "path" } or { credential = "name" }
    /etc/a.toml:8:52: apps.acme-hr.target.deep[1].tokens[0]: secrets are not allowed in plain text; write { env = "NAME" }, { file = "path" } or { credential = "name" }
    /etc/a.toml:8:7: apps.acme-hr.target.url: secrets are not allowed in plain text; write { env = "NAME" }, { file = "path" } or { credential = "name" }
    /etc/a.toml:8:12: apps.acme-hr.target.password: env must be the name of a variable (letters, digits and '_'), such as "IDEN_API_KEY"
    /etc/a.toml:8:43: apps.acme-hr.target.rate_limit.token: unknown key; known keys are per_second, burst
    /etc/a.toml:8:51: apps.acme-hr.target.rate_limit.token: secrets are not allowed in plain text; write { env = "NAME" }, { file = "path" } or { credential = "name" }
    /etc/a.toml:8:22: apps.acme-hr.target.secrets.pepper: secrets are not allowed in plain text; write { env = "NAME" }, { file = "path" } or { credential = "name" }
    "#);
}

#[test]
fn errors_name_the_environment_variable() {
    let variables = |variables: &[(&str, &str)]| with_app("", variables).unwrap_err().to_string();
    insta::assert_snapshot!(variables(&[
        ("BRIDGEHEAD__", "x"),
        ("BRIDGEHEAD__BRIDGE__API_KEY", "hunter2"),
        ("BRIDGEHEAD__BRIDGE__BASE_URL", "http://example.com"),
        ("BRIDGEHEAD__BRIDGE_BASE_URL", "x"),
        ("BRIDGEHEAD__BRIGE__BASE_URL", "x"),
        ("BRIDGEHEAD__LOG__LEVL", "info"),
        ("BRIDGEHEAD__LOG__LEVEL__DEEP", "info"),
        ("BRIDGEHEAD__LOG____LEVEL", "info"),
        ("BRIDGEHEAD__STATE__PATH", "relative"),
        ("BRIDGEHEAD__APPS__ACME_RH__TASKS__CONCURRENCY", "8"),
        ("BRIDGEHEAD__APPS__ACME_HR__TASKS__CONCURRENCY", "eight"),
        ("BRIDGEHEAD__APPS__ACME_HR__TASKS__HOLD_FOR", "60"),
        ("BRIDGEHEAD__APPS__ACME_HR__TARGET__PASSWORD", "hunter2"),
        ("BRIDGEHEAD__APPS__ACME_HR__TARGET__NOTE__FILE", "relative"),
    ]), @r#"
    BRIDGEHEAD__: "": one level of the name is empty
    BRIDGEHEAD__APPS__ACME_HR__TARGET__NOTE__FILE: apps.acme-hr.target.note: must be an absolute path such as "/etc/bridgehead/key": an environment variable has no folder to resolve a relative path against
    BRIDGEHEAD__APPS__ACME_HR__TARGET__PASSWORD: apps.acme-hr.target.password: secrets are not allowed in plain text; write { env = "NAME" }, { file = "path" } or { credential = "name" }
    BRIDGEHEAD__APPS__ACME_HR__TASKS__CONCURRENCY: apps.acme-hr.tasks.concurrency: must be a whole number between 1 and 1024
    BRIDGEHEAD__APPS__ACME_HR__TASKS__HOLD_FOR: apps.acme-hr.tasks.hold_for: must be a duration such as "1h"
    BRIDGEHEAD__APPS__ACME_RH__TASKS__CONCURRENCY: apps.acme_rh: unknown app; did you mean 'acme-hr'? (an app must be defined in a file first)
    BRIDGEHEAD__BRIDGE_BASE_URL: bridge_base_url: unknown key; known keys are bridge, network, state, audit, admin, log, runtime, apps (use two underscores between levels; write BRIDGEHEAD__BRIDGE__BASE_URL)
    BRIDGEHEAD__BRIDGE__API_KEY: bridge.api_key: secrets are not allowed in plain text; write { env = "NAME" }, { file = "path" } or { credential = "name" }
    BRIDGEHEAD__BRIDGE__BASE_URL: bridge.base_url: must start with https://, otherwise the API key would be sent unencrypted; http is for loopback only
    BRIDGEHEAD__BRIGE__BASE_URL: brige: unknown key; did you mean 'bridge'?
    BRIDGEHEAD__LOG__LEVEL__DEEP: log.level.deep: the parent key is a value, and cannot contain other keys
    BRIDGEHEAD__LOG__LEVL: log.levl: unknown key; did you mean 'level'?
    BRIDGEHEAD__LOG____LEVEL: log."": one level of the name is empty (use two underscores between levels; write BRIDGEHEAD__LOG__LEVEL)
    BRIDGEHEAD__STATE__PATH: state.path: must be an absolute path such as "/var/lib/bridgehead": an environment variable has no folder to resolve a relative path against
    "#);
    let two = format!(
        "{BRIDGE}{APP}[apps.acme_hr]\napp_id = \"22222222-2222-4222-8222-222222222222\"\nconnector = \"file\""
    );
    let errors = layered(&[&two], &[("BRIDGEHEAD__APPS__ACME_HR__CONNECTOR", "exec")]).unwrap_err();
    insta::assert_snapshot!(errors, @"BRIDGEHEAD__APPS__ACME_HR__CONNECTOR: apps.acme_hr: may mean 'acme-hr' or 'acme_hr'; set the key in a file instead");
    let none = layered(&[BRIDGE], &[("BRIDGEHEAD__APPS__ACME_HR__CONNECTOR", "exec")]).unwrap_err();
    insta::assert_snapshot!(none, @"BRIDGEHEAD__APPS__ACME_HR__CONNECTOR: apps.acme_hr: unknown app; an app must be defined in a file first");
    insta::assert_snapshot!(variables(&[("BRIDGEHEAD__BRIDGE__API_KEY__ENV__MORE", "x")]), @"BRIDGEHEAD__BRIDGE__API_KEY__ENV__MORE: bridge.api_key.env.more: the parent key is a value, and cannot contain other keys");
}

#[test]
fn all_errors_are_collected_in_file_order() {
    let first = "[log]\nlevel = \"inof\"\n[bridge]\nbase_url = 5\n[apps.b]\n[apps.a.tasks]\nconcurrency = 0\ntimeout = 5";
    let second = "[admin]\nlisten = 1\n[apps.a.tasks]\nenabeld = true\nhold_for = 1";
    let errors = layered(&[first, second], &[("BRIDGEHEAD__RUNTIME__SHUTDOWN_GRACE", "5")]).unwrap_err();
    insta::assert_snapshot!(errors, @r#"
    /etc/a.toml:2:9: log.level: must be a level (off, error, warn, info, debug, trace), or levels by module such as "info,bridgehead=debug"; did you mean 'info'?
    /etc/a.toml:3:1: bridge.api_key: missing; write api_key = { env = "IDEN_API_KEY" } under [bridge], or { file = "path" }, or { credential = "name" }
    /etc/a.toml:4:12: bridge.base_url: must be a URL such as "https://developer.idenhq.com/org/acme"
    /etc/a.toml:5:7: apps.b.app_id: missing; write app_id = "…" with the UUID that `bridgehead apps list` shows
    /etc/a.toml:5:7: apps.b.connector: missing; write connector = "…" with one of exec, file
    /etc/a.toml:6:7: apps.a.app_id: missing; write app_id = "…" with the UUID that `bridgehead apps list` shows
    /etc/a.toml:6:7: apps.a.connector: missing; write connector = "…" with one of exec, file
    /etc/a.toml:7:15: apps.a.tasks.concurrency: must be a whole number between 1 and 1024
    /etc/a.toml:8:11: apps.a.tasks.timeout: must be a duration such as "60s"
    /etc/b.toml:2:10: admin.listen: must be an IP address with a port such as "127.0.0.1:9464"
    /etc/b.toml:4:1: apps.a.tasks.enabeld: unknown key; did you mean 'enabled'?
    /etc/b.toml:5:12: apps.a.tasks.hold_for: must be a duration such as "1h"
    BRIDGEHEAD__RUNTIME__SHUTDOWN_GRACE: runtime.shutdown_grace: must be a duration such as "30s"
    "#);
    assert_eq!(errors.iter().count(), errors.to_string().lines().count());
    // The syntax errors of every file are reported, and nothing else: a half-read file causes misleading errors.
    insta::assert_snapshot!(layered(&["a = ", "b = 1 2\nc = = 3"], &[]).unwrap_err(), @r"
    /etc/a.toml:1:5: not valid TOML: string values must be quoted, expected literal string
    /etc/b.toml:1:5: not valid TOML: string values must be quoted, expected literal string
    /etc/b.toml:2:5: not valid TOML: extra `=`, expected nothing
    ");
}

#[test]
fn deprovision_limit_requires_a_valid_maximum_and_period() {
    insta::assert_snapshot!(app(&[
        "[apps.acme-hr.tasks]\nguard = { max = 50 }",
        "[apps.acme-hr.tasks]\nguard = { per = \"1h\" }",
        "[apps.acme-hr.tasks]\nguard = { max = -1, per = \"31d\" }",
        "[apps.acme-hr.tasks]\nguard = { max = 5, per = \"10ms\" }",
        "[apps.acme-hr.tasks]\nguard = { max = 5, per = \"1h\", window = \"1h\" }",
        "[apps.acme-hr.tasks]\nguard = 50",
    ]), @r#"
    /etc/a.toml:8:9: apps.acme-hr.tasks.guard.per: missing; write, for example, { max = 50, per = "1h" }
    /etc/a.toml:8:9: apps.acme-hr.tasks.guard.max: missing; write, for example, { max = 50, per = "1h" }
    /etc/a.toml:8:17: apps.acme-hr.tasks.guard.max: must be a whole number between 0 and 100000
    /etc/a.toml:8:27: apps.acme-hr.tasks.guard.per: must be between 1s and 30d, such as "1h"
    /etc/a.toml:8:26: apps.acme-hr.tasks.guard.per: must be between 1s and 30d, such as "1h"
    /etc/a.toml:8:32: apps.acme-hr.tasks.guard.window: unknown key; known keys are max, per
    /etc/a.toml:8:9: apps.acme-hr.tasks.guard: must be a table, such as one that starts with [apps.acme-hr.tasks.guard]
    "#);
}

#[test]
fn reset_password_key_is_not_a_secret_but_may_contain_one() {
    let steps = |step: &str| format!("[apps.acme-hr.target.actions]\nreset_password = [{step}]");
    with_app(&steps("\"UPDATE accounts SET password_hash = :password\""), &[])
        .expect("a valid configuration");
    insta::assert_snapshot!(app(&[&steps("{ password = \"hunter2\" }")]), @r#"/etc/a.toml:8:32: apps.acme-hr.target.actions.reset_password[0].password: secrets are not allowed in plain text; write { env = "NAME" }, { file = "path" } or { credential = "name" }"#);
}
