//! `bridgehead support`: the archive contains what is needed, and no secrets or personal data, wherever they occurred.

use std::collections::BTreeMap;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};

use crate::admin::address;
use crate::support::{KEY, World, eventually};

/// Every planted value contains this string, in upper or lower case.
const CANARY: &str = "canary";

/// Output of `journalctl`: real log entries that contain personal data.
const JOURNAL: &str = r#"#!/bin/sh
echo '{"__REALTIME_TIMESTAMP":"1700000000000000","PRIORITY":"4","CODE_FILE":"crates/runtime/src/task/executor.rs","CODE_LINE":"88","MESSAGE":"canary-message of canary@example.org","BRIDGEHEAD_APP":"hr","BRIDGEHEAD_ACCOUNT":"canary-account","BRIDGEHEAD_CODE":"TIMEOUT","_CMDLINE":"canary"}'
echo '{"__REALTIME_TIMESTAMP":"1700000000000001","PRIORITY":"6","MESSAGE":[99,97,110,97,114,121],"BRIDGEHEAD_APP":"canary@example.org"}'
echo 'canary, not JSON'
"#;

async fn run(world: &World, arguments: &[&str]) -> Output {
    world.write("bin/journalctl", JOURNAL);
    let script = world.path("bin/journalctl");
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).expect("a mode");
    let mut command = world.command(arguments);
    let path = std::env::var("PATH").expect("a path");
    command
        .env("PATH", format!("{}:{path}", world.path("bin").display()))
        .env("HTTPS_PROXY", "http://canary-user:canary-password@127.0.0.1:9")
        .env("CANARY_TOKEN", "canary-token")
        .env("PAGE_TOKEN", "canary-page-token-0123456789");
    tokio::task::spawn_blocking(move || command.output().expect("it runs")).await.expect("it ran")
}

/// The files of an archive, by name.
fn unpacked(archive: &Path) -> BTreeMap<String, String> {
    let mode = std::fs::metadata(archive).expect("an archive").permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
    let file = std::fs::File::open(archive).expect("an archive");
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(file));
    let mut files = BTreeMap::new();
    for entry in archive.entries().expect("entries") {
        let mut entry = entry.expect("an entry");
        assert_eq!(entry.header().mode().expect("a mode"), 0o600);
        let name = entry.path().expect("a name").display().to_string();
        let mut text = String::new();
        entry.read_to_string(&mut text).expect("text");
        files.insert(name.strip_prefix("bridgehead-support/").expect("one folder").to_owned(), text);
    }
    files
}

fn nobody_and_no_secret(files: &BTreeMap<String, String>) {
    for (name, text) in files {
        for line in text.lines() {
            let line = line.to_lowercase();
            assert!(
                !line.contains(CANARY) && !line.contains(KEY) && !line.contains("@example"),
                "{name}: {line}"
            );
        }
    }
}

fn document(files: &BTreeMap<String, String>, name: &str) -> Value {
    serde_json::from_str(&files[name]).unwrap_or_else(|error| panic!("{name}: {error}: {}", files[name]))
}

async fn bundle(world: &World, name: &str) -> BTreeMap<String, String> {
    let to = world.path(name);
    let output = run(world, &["support", "--yes", "--output", to.to_str().expect("a path")]).await;
    assert!(output.status.success(), "{output:?}");
    let files = unpacked(&to);
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    for (name, text) in &files {
        let size = format!("{} bytes", text.len());
        assert!(
            told.lines().any(|line| line.contains(name) && line.contains(&size)),
            "{name} {size}: {told}"
        );
    }
    nobody_and_no_secret(&files);
    files
}

/// Puts a canary into every field of the configuration and the target.
fn plant(world: &World) {
    // The port is currently free; nothing else in this test listens on other ports.
    let listen = std::net::TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr()).expect("a port");
    world.write("target/rules.json", "[]");
    world.script_with(
        ", canary = 'canary-setting', password = { env = \"CANARY_TOKEN\" }, url = 'https://canary@hr.example.org/canary?canary'",
        "poll_interval = \"100ms\"\ntimeout = \"2s\"\ngive_up_after = \"2s\"\n",
        &format!(
            "[apps.hr.protect]\naccounts = [\"canary-protected\"]\n[admin]\nlisten = \"{listen}\"\ntoken = {{ env = \"PAGE_TOKEN\" }}\n\
             [network]\nproxy = \"http://127.0.0.1:9\"\nproxy_username = \"canary-proxy\"\n\
             proxy_password = {{ env = \"CANARY_TOKEN\" }}\n"
        ),
    );
    let message = "canary-person (canary@example.org) is unknown in canary";
    let error = |code: &str, more: Value| {
        let mut data = more;
        data["code"] = json!(code);
        json!({ "message": message, "data": data })
    };
    world.rules(&json!([
        {"account": "canary-fails", "error": error("LICENSE_EXHAUSTED", json!({}))},
        {"account": "canary-waits", "error": error("RATE_LIMITED", json!({"retry": "backoff"}))},
    ]));
    world.account(&json!({"id": "canary-fails", "username": "canary-name", "email": "canary@example.org", "status": "active"}));
    world.account(&json!({"id": "canary-waits", "username": "canary-other", "email": "canary2@example.org", "status": "active"}));
}

fn task(world: &World, account: &str) -> String {
    let account = json!({"id": account, "username": "canary-name", "email": "canary@example.org", "first_name": "Canary"});
    world.task_for("suspend_account", account)
}

#[tokio::test]
async fn support_bundle_contains_no_secrets_or_personal_data() {
    let world = World::new().await;
    plant(&world);
    let failing = task(&world, "canary-fails");
    let mut command = world.command(&["run"]);
    command.env("CANARY_TOKEN", "canary-token").env("PAGE_TOKEN", "canary-page-token-0123456789");
    let daemon = World::started(command);
    address(&daemon).await;
    eventually("the task has failed", || world.task(&failing)["status"] == "failed").await;
    task(&world, "canary-waits");
    daemon.says("RATE_LIMITED").await;

    let files = bundle(&world, "running.tar.gz").await;
    let names: Vec<&str> = files.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "about.json",
            "check.json",
            "configuration.json",
            "failures.json",
            "log.jsonl",
            "metrics.txt",
            "runs.json",
            "state.json",
            "status.json"
        ]
    );
    // The archive is useful nevertheless.
    let about = document(&files, "about.json");
    assert_eq!(about["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(about["limits_of"], "the daemon");
    let status = document(&files, "status.json");
    assert_eq!(status["daemon"]["pid"], daemon.pid());
    assert!(status["apps"]["hr"]["tasks"]["counts"].is_object(), "{status}");
    let configuration = document(&files, "configuration.json");
    assert_eq!(configuration["apps"]["hr"]["connector"], "exec");
    assert_eq!(configuration["apps"]["hr"]["tasks"]["timeout"], "2s");
    assert_eq!(configuration["apps"]["hr"]["protect"]["accounts"], json!(["[left out]"]));
    let checked = document(&files, "check.json");
    assert!(checked.as_array().expect("findings").iter().any(|found| found["what"] == "clock"), "{checked}");
    assert_eq!(document(&files, "state.json")["schema_versions"]["tasks"], 8);
    assert!(files["metrics.txt"].contains("bridgehead_"), "{}", files["metrics.txt"]);
    assert!(files["log.jsonl"].contains("crates/runtime/src/task/executor.rs"), "{}", files["log.jsonl"]);
    daemon.stop().await;

    // The history of a stopped daemon contains the error codes.
    let files = bundle(&world, "stopped.tar.gz").await;
    assert_eq!(document(&files, "failures.json")["hr"]["failed"]["LICENSE_EXHAUSTED"], 1);
    assert_eq!(document(&files, "status.json")["daemon"], Value::Null);
}

#[tokio::test]
async fn invalid_configuration_is_bundled_as_error_locations_only() {
    let world = World::new().await;
    plant(&world);
    let wrong = world.read("bridgehead.toml").replace(
        &format!("base_url = \"{}\"", world.sandbox.base_url()),
        "base_url = \"https://canary-user:canary-password@iden.example.org/org/acme\"\ncanary_key = \"canary\"",
    );
    assert!(wrong.contains("canary_key"));
    world.write("bridgehead.toml", &wrong);
    let files = bundle(&world, "wrong.tar.gz").await;
    let checked = document(&files, "check.json");
    let errors = checked[0]["errors"].as_array().expect("errors");
    assert!(errors.iter().any(|error| error["key"] == "bridge.base_url" && error["line"] == 2), "{checked}");
    // A file that is not even TOML.
    world.write("bridgehead.toml", "[bridge\napi_key = \"canary\"\n");
    let files = bundle(&world, "broken.tar.gz").await;
    assert_eq!(document(&files, "check.json")[0]["errors"][0]["line"], 1);
}

#[tokio::test]
async fn support_bundle_requires_consent_and_never_overwrites() {
    let world = World::new().await;
    world.configure("connector = \"simulated\"\n[apps.hr.target]\naccounts = 3\n");
    let to = world.path("report.tar.gz");
    let shown = to.to_str().expect("a path");
    // Without a terminal, the command cannot ask for confirmation.
    let refused = run(&world, &["support", "--output", shown]).await;
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(told.contains("check.json") && told.contains("--yes"), "{told}");
    let listed = run(&world, &["support", "--output", shown, "--dry-run", "--json"]).await;
    let listed: Value = serde_json::from_slice(&listed.stdout).expect("JSON");
    assert_eq!((&listed["written"], to.exists()), (&json!(false), false), "{listed}");
    assert!(
        listed["contents"].as_array().expect("a list").iter().all(|part| part["bytes"].as_u64() > Some(0))
    );
    let written = run(&world, &["support", "--output", shown, "--yes", "--json"]).await;
    let written: Value = serde_json::from_slice(&written.stdout).expect("JSON");
    assert_eq!(written["written"], true);
    let before = std::fs::read(&to).expect("an archive");
    let refused = run(&world, &["support", "--output", shown, "--yes"]).await;
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    assert_eq!(std::fs::read(&to).expect("the archive"), before);
}
