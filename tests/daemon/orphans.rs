//! Connector programs do not outlive the process that started them, however it ends.

use std::process::Command;

use serde_json::json;

use crate::support::{World, eventually};
use crate::target::QUICK;

/// A connector that ignores the end of its input and SIGTERM, as does its helper process. Both write their ids to a file and keep changing
/// the target.
const STUBBORN: &str = r#"
import json, os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
folder = os.path.dirname(os.path.abspath(__file__))
helper = subprocess.Popen([sys.executable, "-S", "-c", """
import signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
while True:
    open(sys.argv[1], "a").write("x")
    time.sleep(0.02)
""", os.path.join(folder, "helper.log")], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
with open(os.path.join(folder, "started.new"), "w") as file: json.dump({"pid": os.getpid(), "helper": helper.pid}, file)
types = [{"slug": "account", "name": "Account", "type": "account"}]
for line in sys.stdin.buffer:
    request = json.loads(line)
    results = {"initialize": {"name": "s", "version": "1", "actions": ["delete_account"], "resource_types": types}, "check": {},
               "find_account": None}
    if request["method"] not in results:
        os.replace(os.path.join(folder, "started.new"), os.path.join(folder, "started.json"))
        while True: time.sleep(1)
    print(json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": results[request["method"]]}), flush=True)
while True: time.sleep(1)
"#;

async fn stubborn() -> World {
    let world = World::new().await;
    world.write("target/stubborn.py", STUBBORN);
    world.configure(&format!(
        "connector = \"exec\"\nsync = {{ enabled = false }}\ntasks = {{ poll_interval = \"100ms\", timeout = \"30s\" }}\n\
         [apps.hr.target]\ncommand = [\"python3\", \"-S\", {:?}]\n",
        world.path("target/stubborn.py")
    ));
    world
}

/// The process ids that the connector wrote: its own and its helper's.
async fn started(world: &World) -> [u64; 2] {
    let file = world.path("target/started.json");
    eventually("the connector is at work", || file.exists()).await;
    let noted: serde_json::Value = serde_json::from_str(&world.read("target/started.json")).expect("JSON");
    ["pid", "helper"].map(|name| noted[name].as_u64().expect("a process id"))
}

fn is_running(pid: u64) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
        let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
        !matches!(state, Some('Z' | 'X'))
    })
}

/// Kills processes that a failed test would leave behind.
struct ReportResult([u64; 2]);

impl Drop for ReportResult {
    fn drop(&mut self) {
        for pid in self.0.iter().filter(|pid| is_running(**pid)) {
            drop(Command::new("kill").arg("-KILL").arg(pid.to_string()).status());
        }
    }
}

#[tokio::test]
async fn killed_daemons_programs_end_before_the_next_executes() {
    let world = stubborn().await;
    world
        .sandbox
        .add_task(world.app, json!({"action": "delete_account", "payload": {"account": {"id": "u1"}}}));
    let daemon = world.start();
    let pids = started(&world).await;
    let _ended = ReportResult(pids);
    let [program, helper] = pids;
    assert!(is_running(program) && is_running(helper));
    daemon.kill();
    eventually("the program ends with its daemon", || !is_running(program)).await;
    assert!(is_running(helper), "nobody has told the helper");
    std::fs::remove_file(world.path("target/started.json")).expect("the note");
    // The outcome of the first task is verified by reading back; this task is new.
    world
        .sandbox
        .add_task(world.app, json!({"action": "delete_account", "payload": {"account": {"id": "u2"}}}));

    let daemon = world.start();
    let again = started(&world).await;
    let _again = ReportResult(again);
    assert!(!is_running(helper), "the helper of the first one is there while the second one works");
    let log = daemon.kill();
    let ended = log.find("stopping a connector program left behind").expect("it is told of");
    assert!(log.find("connector process started").is_none_or(|start| ended < start), "{log}");
}

#[tokio::test]
async fn killed_checks_program_ends_with_it() {
    let world = stubborn().await;
    // The mode that a daemon gives the folder.
    std::fs::create_dir_all(world.path("state")).expect("a folder");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    std::fs::set_permissions(world.path("state"), mode).expect("its mode");
    let mut check =
        world.command(&["check", "hr", "--conformance", "--yes"]).spawn().expect("the binary runs");
    let pids = started(&world).await;
    let _ended = ReportResult(pids);
    check.kill().expect("it can be killed");
    check.wait().expect("it ends");
    eventually("the program ends with the check", || !is_running(pids[0])).await;
    let daemon = world.start();
    daemon.says("stopping a connector program left behind").await;
    eventually("the helper is ended", || !is_running(pids[1])).await;
}

#[tokio::test]
async fn child_processes_are_recorded_until_the_daemon_stops() {
    let world = World::new().await;
    world.script(QUICK, "");
    world.task_for("suspend_account", json!({"username": "nobody"}));
    let daemon = world.start();
    world.drained().await;
    let notes = || {
        let entries = std::fs::read_dir(world.path("state")).expect("the state").flatten();
        entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("children-")).count()
    };
    assert_eq!(notes(), 1);
    let log = daemon.stop().await;
    assert_eq!(notes(), 0);
    assert!(!log.contains("stopping a connector program left behind"), "{log}");
}
