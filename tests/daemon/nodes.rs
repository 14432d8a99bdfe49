//! Two daemons on one PostgreSQL database: each app runs on one of them, and the other takes over the remaining tasks exactly once.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use bridgehead_test_servers::Link;
use serde_json::{Value, json};

use crate::state_database::{server, url};
use crate::support::{Daemon, World, eventually};
use crate::target::QUICK;

pub(crate) const LEASE: Duration = Duration::from_secs(2);

/// Two nodes with the same app: their configurations differ only in the folder and the name.
pub(crate) async fn two_nodes() -> (bridgehead_test_servers::Postgres, World) {
    let server = server().await;
    let world = World::new().await;
    world.script(QUICK, "");
    world.keep_state_in(&url(&server));
    let text = world.read("bridgehead.toml");
    for node in ["a", "b"] {
        let own = text.replace("path = \"state\"", &format!("path = \"state-{node}\"\nnode = \"{node}\""));
        world.write(&format!("{node}.toml"), &own);
    }
    (server, world)
}

/// The program of a node. `tests/upgrade` lets node `a` be an earlier version.
fn program(node: &str) -> String {
    let previous = std::env::var("BRIDGEHEAD_PREVIOUS").ok().filter(|_| node == "a");
    previous.unwrap_or_else(|| env!("CARGO_BIN_EXE_bridgehead").to_owned())
}

pub(crate) fn start(world: &World, node: &str) -> Daemon {
    let mut command = std::process::Command::new(program(node));
    command.arg("--config").arg(world.path(format!("{node}.toml"))).arg("run");
    command.env_remove("NOTIFY_SOCKET").env("IDEN_API_KEY", crate::support::KEY);
    World::started(command)
}

/// A node's status of itself and the others.
pub(crate) async fn status(world: &World, node: &str) -> Value {
    let (program, config) = (program(node), world.path(format!("{node}.toml")));
    let output = tokio::task::spawn_blocking(move || {
        let mut command = std::process::Command::new(program);
        command
            .arg("--config")
            .arg(config)
            .args(["status", "--json"])
            .env("IDEN_API_KEY", crate::support::KEY);
        command.output().expect("the binary runs")
    });
    serde_json::from_slice(&output.await.expect("it was waited for").stdout).unwrap_or_default()
}

async fn owner(world: &World, node: &str) -> String {
    status(world, node).await["apps"]["hr"]["owner"]["node"].as_str().unwrap_or_default().to_owned()
}

pub(crate) async fn owned_by(world: &World, asked: &str, node: &str) {
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(180);
    while tokio::time::Instant::now() < deadline {
        if owner(world, asked).await == node {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("{node} never has the app: {}", status(world, asked).await);
}

pub(crate) fn many(world: &World, names: std::ops::Range<usize>) -> Vec<String> {
    names.map(|n| world.task_for("create_account", json!(format!("user-{n}")))).collect()
}

pub(crate) fn each_once(world: &World, tasks: &[String], log: &str) {
    for task in tasks {
        assert_eq!(
            (&world.task(task)["status"], world.applied(task)),
            (&json!("completed"), 1),
            "{task}: {log}"
        );
    }
}

#[tokio::test]
async fn a_node_that_is_killed_under_load_is_followed_and_every_task_is_done_once() {
    let (_server, world) = two_nodes().await;
    // One call is applied and never answered, another hangs before it is applied.
    world.rules(&json!([
        {"account": "user-3", "attempt": 1, "apply": true, "hang_until": "never"},
        {"account": "user-5", "attempt": 1, "until": "never"},
    ]));
    let a = start(&world, "a");
    owned_by(&world, "a", "a").await;
    let b = start(&world, "b");
    b.says("ready").await;
    let tasks = many(&world, 0..30);
    eventually("some are done, and two are under way", || {
        world.tasks_that_are("pending") < 25
            && world.applied(&tasks[3]) == 1
            && world.called("create_account", "user-5") == 1
    })
    .await;
    // What runs is left where it is.
    owned_by(&world, "b", "a").await;
    let killed = Instant::now();
    let log = a.kill();
    world.rules(&json!([]));
    owned_by(&world, "b", "b").await;
    let took = killed.elapsed();
    world.drained().await;
    println!("taken over after {took:?}, everything done after {:?}", killed.elapsed());
    assert!(took < 2 * LEASE + Duration::from_secs(10), "{took:?}: {}", b.log());
    each_once(&world, &tasks, &format!("{log}\n--- b\n{}", b.log()));
    // The first node comes back, and takes no app.
    let a = start(&world, "a");
    a.says("ready").await;
    let more = many(&world, 30..35);
    world.drained().await;
    owned_by(&world, "a", "b").await;
    each_once(&world, &more, &b.log());
    let nodes = status(&world, "a").await["daemon"]["nodes"].clone();
    let names: Vec<&str> =
        nodes.as_array().expect("nodes").iter().filter_map(|node| node["name"].as_str()).collect();
    assert_eq!(names, ["a", "b"], "{nodes}");
    a.stop().await;
    b.stop().await;
}

#[tokio::test]
async fn a_node_that_stops_hands_its_apps_over_at_once() {
    let (_server, world) = two_nodes().await;
    let a = start(&world, "a");
    owned_by(&world, "a", "a").await;
    let b = start(&world, "b");
    b.says("ready").await;
    eventually("both see each other", || b.log().contains("ready")).await;
    let tasks = many(&world, 0..3);
    world.drained().await;
    let stopped = Instant::now();
    a.signal("TERM").await;
    owned_by(&world, "b", "b").await;
    println!("handed over after {:?}", stopped.elapsed());
    let log = a.has_stopped().await;
    assert!(!b.log().contains("may still be under way"), "nothing is waited for: {}", b.log());
    let more = many(&world, 3..6);
    world.drained().await;
    each_once(&world, &[tasks, more].concat(), &format!("{log}\n--- b\n{}", b.log()));
    b.stop().await;
}

/// Sends a signal to exactly this daemon, by process id.
pub(crate) fn send(daemon: &Daemon, signal: &str) {
    let status =
        std::process::Command::new("kill").arg(format!("-{signal}")).arg(daemon.pid().to_string()).status();
    assert!(status.expect("kill runs").success(), "{}", daemon.log());
}

#[tokio::test]
async fn a_node_that_stood_still_for_longer_than_its_lease_does_nothing_more() {
    let (_server, world) = two_nodes().await;
    let a = start(&world, "a");
    owned_by(&world, "a", "a").await;
    let b = start(&world, "b");
    owned_by(&world, "b", "a").await;
    let tasks = many(&world, 0..20);
    eventually("some are done", || world.tasks_that_are("pending") < 18).await;
    send(&a, "STOP");
    owned_by(&world, "b", "b").await;
    let more = many(&world, 20..30);
    eventually("the other one works", || more.iter().any(|task| world.applied(task) == 1)).await;
    send(&a, "CONT");
    a.says("another node runs the app now").await;
    world.drained().await;
    each_once(&world, &[tasks, more].concat(), &format!("{}\n--- b\n{}", a.log(), b.log()));
    // The one that stood still sees it, too.
    owned_by(&world, "a", "b").await;
    a.stop().await;
    b.stop().await;
}

#[tokio::test]
async fn a_node_that_is_cut_off_from_the_database_is_followed_and_finds_its_way_back() {
    let (server, world) = two_nodes().await;
    let link = Link::new();
    link.lead_to(server.port);
    world.write("state-url-a", &url(&server).replace(&server.port.to_string(), &link.port.to_string()));
    let text = world.read("a.toml").replace("\"state-url\"", "\"state-url-a\"");
    world.write("a.toml", &text);
    // The call is applied while the node is cut off, so that the node cannot record its outcome.
    world.rules(&json!([{"account": "user-0", "attempt": 1, "apply": true, "hang_until": "cut"}]));
    let a = start(&world, "a");
    owned_by(&world, "a", "a").await;
    let b = start(&world, "b");
    owned_by(&world, "b", "a").await;
    let tasks = many(&world, 0..1);
    eventually("it is applied, and not answered", || world.applied(&tasks[0]) == 1).await;
    link.hold();
    world.write("target/cut", "");
    let more = many(&world, 1..10);
    owned_by(&world, "b", "b").await;
    eventually("the other one works", || more.iter().all(|task| world.applied(task) == 1)).await;
    world.drained().await;
    link.release();
    a.says("another node runs the app now").await;
    each_once(&world, &[tasks, more].concat(), &format!("{}\n--- b\n{}", a.log(), b.log()));
    send(&b, "KILL");
    owned_by(&world, "a", "a").await;
    let last = many(&world, 10..12);
    world.drained().await;
    each_once(&world, &last, &a.log());
    a.stop().await;
}

#[tokio::test]
async fn apps_are_spread_over_the_nodes_and_one_that_names_its_nodes_stays_there() {
    let server = server().await;
    let world = World::new().await;
    let mut text = format!(
        "[bridge]\nbase_url = \"{}\"\napi_key = {{ env = \"IDEN_API_KEY\" }}\n[state]\npath = \"state-NODE\"\nnode = \"NODE\"\nurl = {{ file = \"state-url\" }}\nlease = \"2s\"\n",
        world.sandbox.base_url(),
    );
    world.write("state-url", &url(&server));
    for name in ["one", "two", "three", "four", "pinned"] {
        let app = uuid::Uuid::new_v4();
        world.sandbox.add_app(app, name);
        let nodes = if name == "pinned" { "nodes = [\"b\"]\n" } else { "" };
        write!(
            text,
            "[apps.{name}]\napp_id = \"{app}\"\n{nodes}connector = \"simulated\"\nsync = {{ enabled = false }}\n"
        )
        .expect("a string");
    }
    for node in ["a", "b"] {
        world.write(&format!("{node}.toml"), &text.replace("NODE", node));
    }
    let owners = |status: &Value| -> Vec<String> {
        let apps = status["apps"].as_object().cloned().unwrap_or_default();
        let owner = |app: &Value| app["owner"]["node"].as_str().unwrap_or("nobody").to_owned();
        apps.iter().map(|(name, app)| format!("{name}: {}", owner(app))).collect()
    };
    let a = start(&world, "a");
    let mut seen = Vec::new();
    for _ in 0..600 {
        seen = owners(&status(&world, "a").await);
        if seen.iter().filter(|owner| owner.ends_with(": a")).count() == 4 {
            break;
        }
    }
    assert!(seen.contains(&"pinned: nobody".to_owned()), "{seen:?}");
    let why = status(&world, "a").await["apps"]["pinned"]["elsewhere"].to_string();
    assert!(why.contains("no node runs it"), "{why}");
    let b = start(&world, "b");
    // One at a time, and only after b has been up for a while.
    let mut most_at_once = 0;
    let mut before = owners(&status(&world, "b").await);
    for _ in 0..600 {
        let now = owners(&status(&world, "b").await);
        let moved = now.iter().filter(|owner| {
            owner.ends_with(": b") && !before.contains(owner) && !owner.starts_with("pinned")
        });
        most_at_once = most_at_once.max(moved.count());
        before.clone_from(&now);
        seen = now;
        if seen.iter().filter(|owner| owner.ends_with(": b")).count() >= 2
            && seen.contains(&"pinned: b".to_owned())
        {
            break;
        }
    }
    assert!(seen.contains(&"pinned: b".to_owned()), "{seen:?}");
    assert_eq!(seen.iter().filter(|owner| owner.ends_with(": a")).count(), 3, "{seen:?}: {}", a.log());
    assert!(most_at_once <= 1, "one at a time");
    send(&b, "KILL");
    for _ in 0..600 {
        seen = owners(&status(&world, "a").await);
        if seen.iter().filter(|owner| owner.ends_with(": a")).count() == 4
            && seen.contains(&"pinned: nobody".to_owned())
        {
            break;
        }
    }
    assert!(seen.contains(&"pinned: nobody".to_owned()), "{seen:?}");
    a.stop().await;
}

/// Runs a command on a node, and returns its output.
pub(crate) async fn command(world: &World, node: &str, arguments: &[&str]) -> std::process::Output {
    let mut command = std::process::Command::new(program(node));
    command.arg("--config").arg(world.path(format!("{node}.toml"))).args(arguments);
    command.env("IDEN_API_KEY", crate::support::KEY);
    let output = tokio::task::spawn_blocking(move || command.output().expect("the binary runs"));
    output.await.expect("it was waited for")
}

#[tokio::test]
async fn a_command_on_any_node_reaches_the_node_that_runs_the_app() {
    let (_server, world) = two_nodes().await;
    let a = start(&world, "a");
    owned_by(&world, "a", "a").await;
    let b = start(&world, "b");
    owned_by(&world, "b", "a").await;
    let done = async |arguments: &[&str]| {
        let output = command(&world, "b", arguments).await;
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert!(done(&["apps", "pause", "hr", "--reason", "migration"]).await.contains("has been paused"));
    let paused = status(&world, "a").await["apps"]["hr"]["paused"].clone();
    assert!(paused["by"].as_str().is_some_and(|by| by.ends_with(" on b")), "{paused}");
    let refused = command(&world, "b", &["sync", "hr"]).await;
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("hr is paused"), "{said}");
    assert!(done(&["apps", "resume", "hr"]).await.contains("is resumed"));
    let synced = done(&["sync", "hr", "--json"]).await;
    assert!(synced.contains("\"completed\""), "{synced}");
    done(&["tasks", "release", "hr", "--all"]).await;
    done(&["tasks", "retry", "hr", "--all"]).await;
    let none = command(&world, "b", &["sync", "--cancel", "hr"]).await;
    let said = String::from_utf8_lossy(&none.stderr).into_owned();
    assert!(none.status.code() == Some(1) && said.contains("No sync of hr is running"), "{said}");
    for node in ["a", "b"] {
        let audit =
            String::from_utf8(command(&world, node, &["audit", "show", "--json"]).await.stdout).unwrap();
        assert!(audit.contains("\"pause\"") && audit.contains("\"sync\""), "{node}: {audit}");
        assert_eq!(audit.contains("forwarded_to"), node == "b", "{node}: {audit}");
    }
    send(&a, "KILL");
    b.stop().await;
}
