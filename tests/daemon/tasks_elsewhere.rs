//! Others that do the same work: another client that resolves a task first, and a second daemon on the same state.

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{KEY, World, eventually};
use crate::target::QUICK;

/// Resolves a task as another client of the API would.
async fn resolve(world: &World, task: &str, body: &str) {
    let mut stream =
        tokio::net::TcpStream::connect(world.sandbox.address()).await.expect("the sandbox listens");
    let request = format!(
        "PATCH /org/sandbox/api/v1/bridge/apps/{}/tasks/{task}/status/ HTTP/1.1\r\nHost: x\r\nAuthorization: Api-Key {KEY}\r\n\
         Content-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        world.app,
        body.len()
    );
    stream.write_all(request.as_bytes()).await.expect("it can be sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("it is answered");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

fn lists(world: &World) -> usize {
    world.sandbox.ledger().iter().filter(|entry| entry.path.ends_with("/tasks/")).count()
}

#[tokio::test]
async fn task_resolved_elsewhere_is_skipped_permanently() {
    let world = World::new().await;
    world.script(QUICK, "");
    world.rules(&json!([{"account": "ann", "method": "create_account", "apply": true, "hang_until": "go"}]));
    let task = world.task_for("create_account", json!("ann"));
    let daemon = world.start();
    eventually("the target has done it", || world.applied(&task) == 1).await;
    resolve(&world, &task, r#"{"status": "failed", "error": {"code": "TIMEOUT", "message": "by hand"}}"#)
        .await;
    world.write("target/go", "");
    daemon.says("was already resolved in Iden (409)").await;
    let other = world.task_for("create_account", json!("bob"));
    let before = lists(&world);
    eventually("it has looked at the list again", || lists(&world) > before + 2).await;
    let first = daemon.stop().await;
    assert_eq!(world.task(&other)["status"], "completed");
    assert_eq!(first.matches("was already resolved in Iden").count(), 1, "{first}");

    let before = lists(&world);
    let daemon = world.start();
    eventually("it has looked at the list", || lists(&world) > before + 2).await;
    let second = daemon.stop().await;
    assert!(!second.contains(&task), "{second}");
    assert_eq!((world.attempts(&task), world.applied(&task)), (vec![1], 1));
    let handled: Vec<_> = world.sandbox.reports(&task).iter().map(|report| report.handled).collect();
    assert_eq!(handled, [Some(200), Some(409)]);
    assert_eq!(world.message(&task), "by hand");
}

#[tokio::test]
async fn task_resolved_while_held_is_not_executed() {
    let world = World::new().await;
    world.script(QUICK, "");
    let down = json!({"message": "HR is down", "data": {"code": "PERMISSION_DENIED", "retry": "backoff", "subject": "connection"}});
    world.rules(
        &json!([{"method": "create_account", "error": down, "times": 1}, {"method": "check", "error": down}]),
    );
    let task = world.task_for("create_account", json!("ann"));
    let daemon = world.start();
    daemon.says("the target is unreachable").await;
    resolve(&world, &task, r#"{"status": "completed"}"#).await;
    world.rules(&json!([]));
    daemon.says("was already resolved in Iden").await;
    let other = world.task_for("create_account", json!("bob"));
    eventually("another task is done", || world.task(&other)["status"] == "completed").await;
    daemon.stop().await;
    assert_eq!((world.attempts(&task), world.applied(&task)), (vec![1], 0));
    assert_eq!(world.sandbox.reports(&task).len(), 1, "that of the other client");
}

#[tokio::test]
async fn second_daemon_on_the_same_state_is_refused() {
    let world = World::new().await;
    world.script(QUICK, "");
    world.rules(&json!([{"account": "ann", "method": "create_account", "hang_until": "go"}]));
    let task = world.task_for("create_account", json!("ann"));
    let first = world.start();
    eventually("the first is at work", || world.called("create_account", "ann") == 1).await;

    let second = world.run(&["run"]).await;
    assert_eq!(second.status.code(), Some(75));
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    let folder = world.path("state").canonicalize().expect("the folder is there");
    assert!(said.contains(&first.pid().to_string()), "the pid: {said}");
    assert!(said.contains(folder.to_str().expect("text")), "the folder: {said}");

    world.write("target/go", "");
    world.drained().await;
    let other = world.task_for("create_account", json!("bob"));
    world.drained().await;
    first.stop().await;
    for task in [&task, &other] {
        assert_eq!((&world.task(task)["status"], world.attempts(task)), (&json!("completed"), vec![1]));
    }
    // The lock ends with the process.
    let daemon = world.start();
    daemon.says("ready").await;
    daemon.stop().await;
}
