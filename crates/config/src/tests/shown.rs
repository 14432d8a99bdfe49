//! The output of `config show`.

use super::support::{APP, BRIDGE, connectors, environment};
use crate::{Shown, Sources, show};

fn shown(text: &str, variables: &[(&str, &str)]) -> (Shown, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.toml");
    std::fs::write(&path, text).unwrap();
    let sources = Sources { paths: vec![path], environment: environment(variables) };
    let shown = show(&sources, &connectors()).unwrap_or_else(|errors| panic!("{errors}"));
    (shown, folder.path().display().to_string())
}

#[test]
fn merged_layers_show_the_origin_of_each_key() {
    let text = format!(
        "{BRIDGE}{APP}[apps.acme-hr.sync]\ncron = \"0 3 * * *\"\n[apps.acme-hr.target]\npath = \"people\"\npassword = {{ file = \"pw\" }}\n"
    );
    let (shown, folder) = shown(&text, &[("BRIDGEHEAD__LOG__LEVEL", "debug"), ("IDEN_API_KEY", "hunter2")]);
    insta::assert_snapshot!(shown.to_toml(true).replace(&folder, "DIR"), @r#"
    [bridge]
    base_url = "https://developer.idenhq.com/org/acme"  # DIR/a.toml:2:12
    api_key = { env = "IDEN_API_KEY" }  # DIR/a.toml:3:11
    request_timeout = "30s"  # default
    refs = "id"  # default

    [state]
    path = "/var/lib/bridgehead"  # default

    [audit]
    max_bytes = 16777216  # default
    keep = 64  # default

    [log]
    format = "text"  # default
    level = "debug"  # BRIDGEHEAD__LOG__LEVEL

    [runtime]
    shutdown_grace = "30s"  # default

    [apps.acme-hr]
    app_id = "11111111-1111-4111-8111-111111111111"  # DIR/a.toml:5:10
    connector = "file"  # DIR/a.toml:6:13
    register_resource_types = true  # default

    [apps.acme-hr.tasks]
    enabled = true  # default
    poll_interval = "10s"  # default
    concurrency = 8  # default
    timeout = "60s"  # default
    give_up_after = "15m"  # default
    hold_for = "1h"  # default
    verify = true  # default

    [apps.acme-hr.sync]
    enabled = true  # default
    cron = "0 3 * * *"  # DIR/a.toml:8:8
    on_start = true  # default
    first = "complete"  # default
    push_concurrency = 4  # default
    on_invalid = "abandon"  # default
    complete_without_proof = "hold"  # default
    guard = { max_removals = 100, max_removal_percent = 10, max_deactivations = 100, max_deactivation_percent = 10, max_membership_losses = 1000, max_membership_loss_percent = 25, min_records = 10, window = "24h" }  # default

    [apps.acme-hr.protect]
    accounts = []  # default

    [apps.acme-hr.target]
    password = { file = "pw" }  # DIR/a.toml:11:12
    path = "people"  # DIR/a.toml:10:8
    "#);
    let origins = shown.origins();
    assert_eq!(origins["bridge.api_key"].to_string(), format!("{folder}/a.toml:3:11"));
    assert_eq!(origins["log.level"].to_string(), "BRIDGEHEAD__LOG__LEVEL");
    assert_eq!(origins["apps.acme-hr.tasks.timeout"].to_string(), "default");
}

#[test]
fn toml_and_json_output_agree() {
    let text = format!("{BRIDGE}{APP}[apps.acme-hr.target]\nwhen = 1979-05-27\nratio = 1.0\n\"a \\\"b\\\" \\u007f\" = 'it''s'\nlong = \"\"\"two\nlines # \"\"\"\nlist = [1, {{ deep = {{ er = true }} }}]\n[apps.acme-hr.target.empty]\n[[apps.acme-hr.target.more]]\nx.y = 2\n").replace("'it''s'", "\"it's\"");
    let (shown, _) = shown(&text, &[]);
    for origins in [true, false] {
        let toml = shown.to_toml(origins);
        let read: serde_json::Value =
            toml::from_str(&toml.replace("when = 1979-05-27", "when = \"1979-05-27\""))
                .unwrap_or_else(|error| panic!("{error}: {toml}"));
        assert_eq!(read, shown.to_json(), "{toml}");
    }
}

#[test]
fn shown_invalid_configuration_contains_no_secret() {
    let text = r#"
[bridge]
base_url = "https://user:hunter2@example.com"
api_key = "hunter2"
api_kee = "hunter2"
refs = { id = "hunter2" }
[brige]
key = ["hunter2"]
[apps.acme-hr]
connector = "file"
[apps.acme-hr.target]
url = "postgres://app:hunter2@db.example.com/hr"
password = "hunter2"
tokens = ["hunter2", { value = "hunter2" }]
credentials = { user = "hunter2", level = 3 }
env = { API_TOKEN = "hunter2" }
pass = "hunter2"
unicodePwd = "hunter2"
otp = "hunter2"
accessKey = "hunter2"
pin_code = "hunter2"
login = { auth = { basic = { username = "shown", password = "hunter2" } } }
auth = { env = "not a name: hunter2" }
plain = "shown"
"#;
    let (shown, _) = shown(text, &[("BRIDGEHEAD__APPS__ACME_HR__TARGET__SECRET", "hunter2")]);
    for text in [shown.to_toml(true), shown.to_json().to_string(), format!("{shown:?}")] {
        assert!(!text.contains("hunter2"), "{text}");
        assert!(text.contains("[redacted]") && text.contains("shown"), "{text}");
    }
}
