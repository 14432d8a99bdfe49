//! A Bridge that rejects the key or the app, or does not respond: the daemon reports this, waits and resumes without a restart.

use std::time::Duration;

use bridgehead::sandbox::{Effect, Fault, NewKey, Options, Sandbox};
use serde_json::json;
use uuid::Uuid;

use crate::support::{KEY, World, eventually};
use crate::target::QUICK;

const OTHER_KEY: &str = "another-key-that-must-never-leak-4712";

impl World {
    /// Configures the daemon to read its API key from the file `key`.
    fn key_in_a_file(&self) {
        let text = self.read("bridgehead.toml");
        self.write("bridgehead.toml", &text.replace("{ env = \"IDEN_API_KEY\" }", "{ file = \"key\" }"));
        self.write("key", KEY);
    }

    fn other_key(&self) {
        let key = NewKey {
            name: "other".into(),
            key: OTHER_KEY.into(),
            apps: Some(vec![self.app]),
            expires_in: None,
        };
        self.sandbox.add_key(key).expect("a new key");
    }
}

#[tokio::test]
async fn temporarily_refused_app_pauses_and_recovers() {
    let world = World::new().await;
    world.script(QUICK, "");
    world.rules(&json!([{"account": "ann", "method": "create_account", "apply": true, "hang_until": "go"}]));
    let under_way = world.task_for("create_account", json!("ann"));
    let daemon = world.start();
    eventually("it is under way", || world.applied(&under_way) == 1).await;
    world.sandbox.deny("default", world.app).expect("a known key");
    daemon.says("the API key does not have access (403)").await;
    world.write("target/go", "");
    let later = world.task_for("create_account", json!("bob"));
    let asked = world.sandbox.ledger().len();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let now = world.sandbox.ledger().len();
    assert!(now <= asked + 2, "it waits instead of asking on and on: {asked}, {now}");
    world.sandbox.grant("default", world.app).expect("a known key");
    world.drained().await;
    let log = daemon.stop().await;
    assert!(log.contains(&world.app.to_string()), "which app: {log}");
    assert!(log.contains("accepts the key for this app again"), "{log}");
    for task in [&under_way, &later] {
        assert_eq!((world.attempts(task), world.task(task)["status"].as_str()), (vec![1], Some("completed")));
    }
}

#[tokio::test]
async fn key_replaced_after_revocation_is_used_without_a_restart() {
    let world = World::new().await;
    world.script(QUICK, "");
    world.key_in_a_file();
    let before = world.task_for("create_account", json!("ann"));
    let daemon = world.start();
    world.drained().await;
    world.sandbox.revoke_key("default").expect("a known key");
    daemon.says("the Bridge rejected the API key (401)").await;
    let after = world.task_for("create_account", json!("bob"));
    world.other_key();
    world.write("key", &format!("{OTHER_KEY}\n"));
    world.drained().await;
    let log = daemon.stop().await;
    for task in [&before, &after] {
        assert_eq!((world.attempts(task), world.task(task)["status"].as_str()), (vec![1], Some("completed")));
    }
    assert!(!log.contains(KEY) && !log.contains(OTHER_KEY), "{log}");
}

#[tokio::test]
async fn key_replaced_before_revocation_is_used_without_a_pause() {
    let world = World::new().await;
    world.script(QUICK, "");
    world.key_in_a_file();
    let before = world.task_for("create_account", json!("ann"));
    let daemon = world.start();
    world.drained().await;
    world.other_key();
    world.write("key", OTHER_KEY);
    world.sandbox.revoke_key("default").expect("a known key");
    let after = world.task_for("create_account", json!("bob"));
    world.drained().await;
    let log = daemon.stop().await;
    assert!(log.contains("has since been replaced; repeating the call"), "{log}");
    assert!(!log.contains("accepts the key for this app again"), "there was no pause: {log}");
    assert!(!log.contains(KEY) && !log.contains(OTHER_KEY), "{log}");
    for task in [&before, &after] {
        assert_eq!((world.attempts(task), world.task(task)["status"].as_str()), (vec![1], Some("completed")));
    }
}

#[tokio::test]
async fn daemon_starts_during_a_bridge_outage_and_catches_up() {
    let mut world = World::new().await;
    world.script(QUICK, "");
    let address = world.sandbox.address();
    let gone =
        std::mem::replace(&mut world.sandbox, Sandbox::start(Options::default()).await.expect("a free port"));
    gone.stop().await;
    let daemon = world.start();
    daemon.says("the Bridge is not available yet for hr").await;

    let options = Options { listen: address, api_key: KEY.into(), ..Options::default() };
    world.sandbox = Sandbox::start(options).await.expect("the port is free");
    world.sandbox.add_app(world.app, "HR");
    let tasks: Vec<String> =
        (0..5).map(|n| world.task_for("create_account", json!(format!("user-{n}")))).collect();
    world.drained().await;
    daemon.stop().await;
    for task in &tasks {
        assert_eq!((world.attempts(task), world.task(task)["status"].as_str()), (vec![1], Some("completed")));
    }
}

#[tokio::test]
async fn bridge_outage_during_a_task_loses_nothing() {
    let mut world = World::new().await;
    world.script(QUICK, "");
    world.rules(&json!([{"method": "create_account", "apply": true, "hang_until": "go"}]));
    let task =
        json!({"id": "the-task", "action": "create_account", "payload": {"account": {"username": "ann"}}});
    world.sandbox.add_task(world.app, task.clone());
    let daemon = world.start();
    eventually("it is under way", || world.applied("the-task") == 1).await;
    let address = world.sandbox.address();
    let gone =
        std::mem::replace(&mut world.sandbox, Sandbox::start(Options::default()).await.expect("a free port"));
    gone.stop().await;
    world.write("target/go", "");
    daemon.says("the outcome could not be reported").await;
    let options = Options { listen: address, api_key: KEY.into(), ..Options::default() };
    world.sandbox = Sandbox::start(options).await.expect("the port is free");
    world.sandbox.add_app(world.app, "HR");
    world.sandbox.add_task(world.app, task);
    world.drained().await;
    daemon.stop().await;
    assert_eq!((world.attempts("the-task"), world.applied("the-task")), (vec![1], 1));
    assert_eq!(world.task("the-task")["result"], json!({"account_id": "ann"}));
}

/// Configures three apps with the same key, each with tasks: `hr` and two others. Returns the others.
fn three_apps(world: &World) -> [Uuid; 2] {
    let others = [Uuid::new_v4(), Uuid::new_v4()];
    let table = |(n, app): (usize, &Uuid)| {
        world.sandbox.add_app(*app, "Another");
        format!(
            "[apps.other-{n}]\napp_id = \"{app}\"\nconnector = \"simulated\"\nsync = {{ enabled = false }}\n\
             tasks = {{ poll_interval = \"100ms\" }}\n[apps.other-{n}.target]\naccounts = 0\n"
        )
    };
    let text: String = others.iter().enumerate().map(table).collect();
    world.script(QUICK, &text);
    others
}

fn create(name: &str) -> serde_json::Value {
    json!({"action": "create_account", "payload": {"account": {"username": name}}})
}

#[tokio::test]
async fn bridge_outage_limits_requests_of_all_apps_together() {
    let world = World::new().await;
    let others = three_apps(&world);
    world.rules(&json!([{"method": "create_account", "apply": true, "hang_until": "go"}]));
    // Outcomes to report meanwhile, and lists to read.
    let tasks: Vec<String> =
        (0..8).map(|n| world.task_for("create_account", json!(format!("user-{n}")))).collect();
    let daemon = world.start();
    eventually("all are under way", || tasks.iter().all(|task| world.applied(task) == 1)).await;
    let outage = world.sandbox.add_fault(Fault::new(Effect::answer(503)));
    world.write("target/go", "");
    daemon.says("the outcome could not be reported").await;
    // Calls that were in progress when it went down have ended by now.
    tokio::time::sleep(Duration::from_secs(1)).await;
    world.sandbox.clear_ledger();
    let began = tokio::time::Instant::now();
    tokio::time::sleep(Duration::from_secs(10)).await;
    let (asked, seconds) = (world.sandbox.ledger().len(), began.elapsed().as_secs_f64());
    assert!((asked as f64) < 2.0 * seconds, "{asked} requests in {seconds} s");
    assert!(asked > 0, "it is asked whether it is back");

    let late: Vec<String> = others.iter().map(|app| world.sandbox.add_task(*app, create("late"))).collect();
    world.sandbox.remove_fault(outage);
    world.drained().await;
    eventually("the other apps catch up too", || {
        others.iter().all(|app| world.sandbox.tasks(*app).iter().all(|task| task["status"] == "completed"))
    })
    .await;
    daemon.stop().await;
    for task in &tasks {
        assert_eq!((world.attempts(task), world.task(task)["status"].as_str()), (vec![1], Some("completed")));
    }
    assert_eq!(late.len(), 2);
}

#[tokio::test]
async fn rate_limited_call_pauses_all_apps_of_the_key() {
    let world = World::new().await;
    three_apps(&world);
    let daemon = world.start();
    daemon.says("ready").await;
    let throttled = Fault::new(Effect::retry_after(429, 3)).path(&format!("**/apps/{}/tasks/", world.app));
    world.sandbox.add_fault(throttled.times(1));
    eventually("it is refused once", || world.sandbox.ledger().iter().any(|entry| entry.status == Some(429)))
        .await;
    let entries = || world.sandbox.ledger();
    let refused = entries().into_iter().find(|entry| entry.status == Some(429)).expect("it was").time;
    let seconds = |time: jiff::Timestamp| time.duration_since(refused).as_secs_f64();
    eventually("it goes on", || entries().iter().any(|entry| seconds(entry.time) > 2.5)).await;
    daemon.stop().await;
    // Calls that were already in progress are not cancelled.
    let early: Vec<f64> =
        entries().iter().map(|entry| seconds(entry.time)).filter(|at| (0.5..2.8).contains(at)).collect();
    assert!(early.is_empty(), "{early:?}");
}
