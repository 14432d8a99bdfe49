//! Servers are stopped with the test that started them, however it ended.

mod support;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use bridgehead_test_servers::Process;
use support::{running, until_nothing_runs};

/// A server that starts another process and ignores SIGTERM.
const STUBBORN: &str = "trap '' TERM; sleep 600 & echo started $!; while :; do sleep 600; done";

async fn start(script: &str, folder: &Path) -> Process {
    let process = Process::start("stubborn", folder, Command::new("sh").args(["-c", script]));
    let log = folder.join("stubborn.log");
    process.ready(|| std::fs::read_to_string(&log).is_ok_and(|text| text.contains("started"))).await
}

#[tokio::test]
async fn server_ignoring_sigterm_is_killed_with_its_children() {
    let folder = tempfile::tempdir().unwrap();
    let process = start(STUBBORN, folder.path()).await;
    let group = process.id();
    assert!(running(group).len() >= 2, "{:?}", running(group));
    drop(process);
    until_nothing_runs(group).await;
}

#[tokio::test]
async fn paused_server_is_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let process = start("echo started; exec sleep 600", folder.path()).await;
    let group = process.id();
    process.pause();
    drop(process);
    until_nothing_runs(group).await;
}

#[tokio::test]
async fn panicking_test_leaves_no_server() {
    let folder = tempfile::tempdir().unwrap();
    let process = start("sleep 600 & echo started; wait", folder.path()).await;
    let group = process.id();
    let task = tokio::spawn(async move {
        let _process = process;
        panic!("on purpose");
    });
    assert!(task.await.unwrap_err().is_panic());
    until_nothing_runs(group).await;
}

#[tokio::test]
async fn server_exiting_before_ready_fails_the_test_with_its_log() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(
        "hasty",
        folder.path(),
        Command::new("sh").args(["-c", "echo no such schema; exit 3"]),
    );
    let failure = tokio::spawn(process.ready(|| false)).await.unwrap_err().into_panic();
    let message = failure.downcast_ref::<String>().unwrap();
    assert!(message.contains("hasty has ended with 3") && message.contains("no such schema"), "{message}");
}

#[tokio::test]
async fn killed_test_leaves_no_server() {
    let folder = tempfile::tempdir().unwrap();
    let note = folder.path().join("group");
    // Runs this same program again, with only the helper below, and kills it.
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "helper_that_is_killed_while_its_server_runs"])
        .env("NOTE", &note)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let group = loop {
        if let Some(group) = std::fs::read_to_string(&note).ok().and_then(|text| text.trim().parse().ok()) {
            break group;
        }
        assert!(child.try_wait().unwrap().is_none(), "the helper has ended");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert!(!running(group).is_empty());
    child.kill().unwrap();
    child.wait().unwrap();
    until_nothing_runs(group).await;
}

#[tokio::test]
#[ignore = "started by the test above"]
async fn helper_that_is_killed_while_its_server_runs() {
    let Some(note) = std::env::var_os("NOTE") else { return };
    let folder = tempfile::tempdir().unwrap();
    let process = start(STUBBORN, folder.path()).await;
    std::fs::write(note, format!("{}\n", process.id())).unwrap();
    tokio::time::sleep(Duration::from_secs(600)).await;
}
