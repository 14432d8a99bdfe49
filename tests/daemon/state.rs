//! The state folder: its owner, and whether it is still the folder that was opened and has the contents that were left.

use std::os::unix::fs::{MetadataExt, chown, symlink};
use std::process::Output;

use serde_json::{Value, json};

use crate::admin::{ADMIN, address, get, kinds, status};
use crate::support::{World, eventually};

async fn world() -> World {
    let world = World::new().await;
    world.write("people/accounts.csv", "id,email,username,status\nu0,u0@example.org,u0,active\n");
    world.configure(&format!(
        "connector = \"file\"\nsync = {{ enabled = false }}\ntasks = {{ poll_interval = \"100ms\" }}\n\
         [apps.hr.target]\npath = \"people\"\n{ADMIN}"
    ));
    world
}

fn suspension(world: &World) -> String {
    let task = json!({"action": "suspend_account", "payload": {"account": {"id": "u0"}}});
    world.sandbox.add_task(world.app, task)
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test]
async fn removed_state_stops_execution_and_raises_an_alarm() {
    let world = world().await;
    let daemon = world.start();
    let address = address(&daemon).await;
    daemon.says("ready").await;
    let before = world.read("people/accounts.csv");
    std::fs::remove_file(world.path("state/tasks.db")).expect("it is there");
    let task = suspension(&world);
    daemon.says("the journal cannot be written; no task is executed").await;
    let now = status(&address, "the alarm", |status| kinds(status) == ["state_gone"]).await;
    let message = now["apps"]["hr"]["alarms"][0]["message"].as_str().expect("a message").to_owned();
    assert!(message.contains("tasks.db was removed") && message.contains("Stop this daemon"), "{message}");
    let metrics = get(&address, "/metrics").await.body;
    let metric = metrics.lines().find(|line| line.contains("kind=\"state_gone\"")).expect("a metric");
    assert!(metric.ends_with(" 1.0"), "{metric}");
    assert_eq!(
        (world.read("people/accounts.csv"), &world.task(&task)["status"]),
        (before, &json!("pending"))
    );
    let log = daemon.kill();
    assert!(log.contains("no longer belongs to this daemon: tasks.db was removed"), "{log}");
}

#[tokio::test]
async fn idle_daemon_detects_that_its_state_was_moved() {
    let world = world().await;
    let daemon = world.start();
    daemon.says("ready").await;
    std::fs::rename(world.path("state"), world.path("elsewhere")).expect("it is there");
    daemon.says("no longer belongs to this daemon: the folder itself was removed").await;
}

#[tokio::test]
async fn second_daemon_is_refused_even_without_the_lock_file() {
    let world = world().await;
    let first = world.start();
    first.says("ready").await;
    std::fs::remove_file(world.path("state/lock")).expect("it is there");
    let mut second = world.start();
    assert_eq!(second.ended().await.code(), Some(75), "{}", second.log());
    eventually("it says why", || second.log().contains("would execute every task twice")).await;
    assert!(!world.path("state/lock").exists());
}

#[tokio::test]
async fn lost_journal_is_reported_with_and_without_a_listener() {
    let world = world().await;
    let daemon = world.start();
    daemon.says("ready").await;
    suspension(&world);
    world.drained().await;
    daemon.stop().await;
    std::fs::remove_file(world.path("state/tasks.db")).expect("it is there");
    let daemon = world.start();
    daemon.says("may already have been started").await;
    let address = address(&daemon).await;
    status(&address, "the alarm", |status| kinds(status) == ["state_doubted"]).await;
    daemon.stop().await;
    let told = world.run(&["status", "--json"]).await;
    let told: Value = serde_json::from_slice(&told.stdout).expect("JSON");
    assert_eq!(kinds(&told), ["state_doubted"], "also from the state alone");
}

#[tokio::test]
async fn first_sync_before_first_task_is_not_a_lost_journal() {
    let world = world().await;
    let synced =
        world.read("bridgehead.toml").replace("sync = { enabled = false }", "sync = { every = \"1h\" }");
    world.write("bridgehead.toml", &synced);
    let daemon = world.start();
    let address = address(&daemon).await;
    daemon.says("sync completed").await;
    suspension(&world);
    world.drained().await;
    let now = status(&address, "the task is counted", |status| {
        status["apps"]["hr"]["tasks"]["counts"]["completed"] == 1
    })
    .await;
    assert_eq!((kinds(&now), &now["apps"]["hr"]["state_doubted"]), (vec![], &Value::Null));
    daemon.stop().await;
}

#[tokio::test]
async fn only_run_and_sync_create_state() {
    let world = world().await;
    for (arguments, code) in [
        (&["tasks", "release", "hr", "--all"][..], 1),
        (&["tasks", "retry", "hr", "--all"], 1),
        (&["tasks", "list", "--held"], 1),
        (&["tasks", "list", "--rejected"], 1),
        (&["tasks", "list"], 0),
        (&["apps", "list"], 0),
        (&["check"], 0),
        (&["sync", "--dry-run"], 0),
    ] {
        for is_there in [false, true] {
            if is_there {
                std::fs::create_dir(world.path("state")).expect("a folder");
            }
            let output = world.run(arguments).await;
            assert_eq!(output.status.code(), Some(code), "{arguments:?}: {output:?}");
            if code == 1 {
                let said = stderr(&output);
                let (problem, remedy) = match arguments[1] {
                    "list" => ("There is no journal in", "before you start the daemon"),
                    _ => ("there is no state in", "bridgehead run"),
                };
                assert!(said.contains(problem) && said.contains(remedy), "{said}");
            }
            if is_there {
                std::fs::remove_dir(world.path("state")).expect("it is empty");
            } else {
                assert!(!world.path("state").exists(), "{arguments:?}");
            }
        }
    }
}

#[tokio::test]
async fn files_of_a_root_sync_belong_to_the_service_user() {
    let world = world().await;
    std::fs::create_dir(world.path("state")).expect("a folder");
    if chown(world.path("state"), Some(4711), Some(4711)).is_err() {
        // Only root can change the owner.
        return;
    }
    let done = world.run(&["sync"]).await;
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    let files: Vec<_> = std::fs::read_dir(world.path("state")).expect("a folder").flatten().collect();
    assert!(files.iter().any(|file| file.file_name() == "tasks.db"), "{files:?}");
    for file in files {
        assert_eq!(file.metadata().expect("a file").uid(), 4711, "{file:?}");
    }
    let mut daemon = world.start();
    assert_eq!(daemon.ended().await.code(), Some(1), "{}", daemon.log());
    eventually("it says why", || daemon.log().contains("run bridgehead as the owner of the state")).await;
}

#[tokio::test]
async fn daemon_does_not_follow_links_in_its_state_folder() {
    let world = world().await;
    world.write("precious", "precious");
    std::fs::create_dir(world.path("state")).expect("a folder");
    symlink(world.path("precious"), world.path("state/lock")).expect("a link");
    let mut daemon = world.start();
    assert_eq!(daemon.ended().await.code(), Some(1), "{}", daemon.log());
    eventually("it says why", || daemon.log().contains("is a symbolic link")).await;
    assert_eq!(world.read("precious"), "precious");
}
