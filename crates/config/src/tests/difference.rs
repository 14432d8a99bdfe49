//! Comparing configurations.

use std::collections::BTreeMap;
use std::hash::RandomState;
use std::path::Path;

use super::support;
use crate::{Difference, Settings, Sources, read};

const CONFIG: &str = r#"
[bridge]
base_url = "https://iden.example.org/org/acme"
api_key = { env = "KEY" }
[apps.hr]
app_id = "00000000-0000-4000-8000-000000000001"
connector = "file"
target = { path = "people", password = { file = "password" } }
[apps.crm]
app_id = "00000000-0000-4000-8000-000000000002"
connector = "file"
"#;

fn settings(folder: &Path, hasher: &RandomState, text: &str) -> Settings {
    std::fs::write(folder.join("bridgehead.toml"), text).unwrap();
    let sources = Sources { paths: vec![folder.join("bridgehead.toml")], environment: BTreeMap::new() };
    let mut reading = read(&sources, &support::connectors(), hasher).unwrap();
    for app in reading.config.apps.values() {
        reading.settings.add_secrets(&app.target.secrets().unwrap());
    }
    reading.settings
}

fn told(differences: &[Difference]) -> Vec<(&str, Option<&str>, Option<&str>, bool)> {
    differences
        .iter()
        .map(|it| (it.key.as_str(), it.old.as_deref(), it.new.as_deref(), it.is_behind))
        .collect()
}

#[test]
fn differing_key_shows_both_values_unless_secret() {
    let folder = tempfile::tempdir().unwrap();
    let hasher = RandomState::new();
    std::fs::write(folder.path().join("password"), "first-password").unwrap();
    let before = settings(folder.path(), &hasher, CONFIG);
    assert_eq!(before.differences(&settings(folder.path(), &hasher, CONFIG)), []);

    // Formatting and explicit defaults make no difference.
    let same = CONFIG.replace("[apps.crm]", "[apps.crm.tasks]\nconcurrency = 8\n[apps.crm]");
    assert_eq!(before.differences(&settings(folder.path(), &hasher, &same)), []);

    let text = CONFIG.replace("path = \"people\"", "path = \"staff\"").replace("[apps.crm]", "[apps.erp]");
    std::fs::write(folder.path().join("password"), "second-password").unwrap();
    let after = settings(folder.path(), &hasher, &text);
    let differences = before.part(&["apps.hr"]).differences(&after.part(&["apps.hr"]));
    let password = Some(r#"{ file = "password" }"#);
    assert_eq!(
        told(&differences),
        [
            ("apps.hr.target.password", password, password, true),
            ("apps.hr.target.path", Some("\"people\""), Some("\"staff\""), false),
        ]
    );
    let all = format!("{:?}{after:?}{before:?}", before.differences(&after));
    assert!(all.contains("apps.erp.app_id") && all.contains("apps.crm.app_id"));
    assert!(!all.contains("first-password") && !all.contains("second-password"), "{all}");
    assert!(before.without(&["apps", "bridge"]).differences(&after.without(&["apps", "bridge"])).is_empty());
}
