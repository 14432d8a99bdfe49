//! `bridgehead new`: what it writes works as it stands. The crate is compiled by the test of the guide.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

fn bridgehead(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_bridgehead"))
        .args(arguments)
        .current_dir(folder)
        .env("IDEN_API_KEY", "none")
        .output()
        .expect("the binary runs")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn people(file: &Path) -> Value {
    let text = std::fs::read_to_string(file).expect("a file");
    let state: Value = serde_json::from_str(&text).expect("JSON");
    state["account"].clone()
}

#[test]
fn the_python_connector_passes_the_kit_and_leaves_its_target_as_it_was() {
    let folder = tempfile::tempdir().expect("a folder");
    let written = bridgehead(folder.path(), &["new", "sap-hr", "--lang", "python"]);
    assert!(written.status.success(), "{}", said(&written));
    let folder = folder.path().join("sap-hr");
    let before = people(&folder.join("people.json"));
    let checked = bridgehead(&folder, &["--config", "sap-hr.toml", "check", "--offline"]);
    assert!(checked.status.success(), "{}", said(&checked));
    let arguments = ["--config", "sap-hr.toml", "check", "sap-hr", "--conformance", "--yes", "--json"];
    let proven = bridgehead(&folder, &arguments);
    assert!(proven.status.success(), "{}", said(&proven));
    let told: Value = serde_json::from_slice(&proven.stdout).expect("JSON");
    assert!(told["failed"] == 0 && told["passed"].as_u64() >= Some(20), "{told:#}");
    for name in ["create", "update", "suspend", "unsuspend", "delete", "duplicate-create", "missing-group"] {
        let check = told["checks"].as_array().expect("checks").iter().find(|check| check["name"] == name);
        assert_eq!(check.map(|check| &check["result"]), Some(&"passed".into()), "{name}: {told:#}");
    }
    assert_eq!(people(&folder.join("people.json")), before, "whom the kit made, it has removed");
}

#[test]
fn nothing_of_anybodys_is_overwritten() {
    let folder = tempfile::tempdir().expect("a folder");
    let mine = folder.path().join("jira/README.md");
    std::fs::create_dir(folder.path().join("jira")).expect("a folder");
    std::fs::write(&mine, "mine").expect("a file");
    for arguments in
        [&["new", "jira", "--lang", "python"][..], &["new", "other", "--lang", "python", "--path", "jira"]]
    {
        let refused = bridgehead(folder.path(), arguments);
        assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
        assert!(
            said(&refused).contains("jira is there already, and is not empty; nothing was written"),
            "{}",
            said(&refused)
        );
    }
    let entries = std::fs::read_dir(folder.path().join("jira")).expect("a folder").count();
    assert_eq!((entries, std::fs::read_to_string(&mine).expect("a file").as_str()), (1, "mine"));

    std::fs::create_dir(folder.path().join("empty")).expect("a folder");
    let written =
        bridgehead(folder.path(), &["new", "other", "--lang", "python", "--path", "empty", "--json"]);
    assert!(written.status.success(), "{}", said(&written));
    let told: Value = serde_json::from_slice(&written.stdout).expect("JSON");
    for file in told["files"].as_array().expect("files") {
        assert!(folder.path().join(file.as_str().expect("a path")).is_file(), "{file}");
    }
}

#[test]
fn a_bad_name_gets_a_sentence_and_no_files() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, told) in [
        ("Jira", "'Jira' cannot be the name of a connector"),
        ("../jira", "'../jira' cannot be the name of a connector"),
        ("file", "there is a connector 'file' already"),
    ] {
        let refused = bridgehead(folder.path(), &["new", name]);
        assert_eq!(refused.status.code(), Some(2), "{}", said(&refused));
        assert!(said(&refused).contains(told), "{}", said(&refused));
    }
    let refused = bridgehead(folder.path(), &["new", "jira", "--sdk", "nowhere"]);
    assert_eq!(refused.status.code(), Some(2), "{}", said(&refused));
    assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0);
}

#[test]
fn the_crate_is_formatted_and_its_unit_is_as_closed_as_our_own() {
    let folder = tempfile::tempdir().expect("a folder");
    let written = bridgehead(folder.path(), &["new", "jira"]);
    assert!(written.status.success(), "{}", said(&written));
    let folder = folder.path().join("jira");
    let formatted = Command::new("rustfmt")
        .args(["--check", "--edition", "2024", "src/lib.rs", "src/main.rs", "tests/conformance.rs"])
        .current_dir(&folder)
        .output()
        .expect("rustfmt runs");
    assert!(formatted.status.success(), "{}", said(&formatted));

    let unit = std::fs::read_to_string(folder.join("systemd/bridgehead-jira.service")).expect("a unit");
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd/bridgehead.service");
    let ours = std::fs::read_to_string(ours).expect("a unit");
    let settings = |unit: &str| -> Vec<String> {
        let named = unit.replace("bridgehead-jira", "bridgehead");
        let lines = named.lines().filter(|line| line.contains('=') && !line.starts_with(['#', 'D']));
        lines.map(str::to_owned).collect()
    };
    let (theirs, ours) = (settings(&unit), settings(&ours));
    assert_eq!(theirs, ours);
    assert!(ours.len() > 40, "{ours:?}");
}
