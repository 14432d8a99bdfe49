//! The files that the repository ships must work unchanged.

use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// Runs the binary with every secret that the configuration takes from the environment.
fn bridgehead(config: &Path, arguments: &[&str]) -> std::process::Output {
    let text = std::fs::read_to_string(config).expect("a configuration");
    let variables = text.split("{ env = \"").skip(1).filter_map(|rest| rest.split('"').next());
    Command::new(env!("CARGO_BIN_EXE_bridgehead"))
        .arg("--config")
        .arg(config)
        .args(arguments)
        .envs(variables.map(|name| (name, "a-secret")))
        .output()
        .expect("the binary runs")
}

#[test]
fn every_example_configuration_is_valid() {
    let examples = std::fs::read_dir(root().join("config/examples")).expect("the examples").flatten();
    let mut files: Vec<PathBuf> = examples
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    for connector in ["exec", "file", "http", "ldap", "scim", "simulated", "sql"] {
        let of = |path: &PathBuf| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(connector))
        };
        assert!(files.iter().any(of), "{connector} has no example: {files:?}");
    }
    files.push(root().join("config/bridgehead.toml"));
    for file in files {
        let output = bridgehead(&file, &["check", "--offline"]);
        let said =
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {said}", file.display());
    }
}

#[test]
fn invalid_configuration_is_refused_with_line_and_suggestion() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("bridgehead.toml");
    let text = "[bridge]\nbase_url = \"https://developer.idenhq.com/org/acme\"\napi_key = { env = \"IDEN_API_KEY\" }\n\
                [apps.hr]\napp_id = \"11111111-1111-4111-8111-111111111111\"\nconnector = \"file\"\n\
                [apps.hr.tasks]\npol_interval = \"10s\"\n[apps.hr.target]\npath = \"people\"\n";
    std::fs::write(&file, text).expect("a file");
    let output = bridgehead(&file, &["run"]);
    assert_eq!(output.status.code(), Some(78));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let expected =
        "bridgehead.toml:8:1: apps.hr.tasks.pol_interval: unknown key; did you mean 'poll_interval'?";
    assert!(said.contains(expected), "{said}");
}

#[test]
fn readme_commands_exist() {
    let readme = std::fs::read_to_string(root().join("README.md")).expect("the README");
    let top: String = readme.lines().take(24).collect::<Vec<_>>().join("\n");
    assert!(top.contains("cargo run --release -- demo") && top.contains("./tests/run"), "{top}");
    let help =
        Command::new(env!("CARGO_BIN_EXE_bridgehead")).arg("--help").output().expect("the binary runs");
    let help = String::from_utf8_lossy(&help.stdout).into_owned();
    let table =
        readme.lines().skip_while(|line| *line != "## Commands").take_while(|line| *line != "## More");
    let commands: Vec<&str> =
        table.filter_map(|line| line.strip_prefix("| `")?.split([' ', '`']).next()).collect();
    assert!(commands.len() >= 10, "{commands:?}");
    for command in commands {
        assert!(help.contains(&format!("\n  {command} ")), "{command} is in the README and not in --help");
    }
}

#[tokio::test]
async fn demo_ends_as_expected() {
    let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_bridgehead"))
        .args(["demo", "--json"])
        .output()
        .await
        .expect("the binary runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let told: serde_json::Value = serde_json::from_str(&said).expect("JSON");
    assert!(output.status.success(), "{told:#}");
    assert_eq!(told["records"], 517);
    assert_eq!(told["tasks"].as_array().map(Vec::len), Some(60));
    assert_eq!(told["removed"], serde_json::json!(["p0200"]));
    assert!(!said.contains("A-Secret-Nobody-Sees"));
}
