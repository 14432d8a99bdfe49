//! State in a real PostgreSQL database: the same guarantees as in a folder, and the behavior during an outage of the database.

use std::process::Output;

use bridgehead_test_servers::Postgres;
use serde_json::{Value, json};

use crate::support::{Daemon, World, eventually};
use crate::target::QUICK;

/// The password in the database URL; no output may ever show it.
const PASSWORD: &str = "admin-secret-1";

/// Starts a server that does not lose confirmed commits.
pub(crate) async fn server() -> Postgres {
    Postgres::start_with(&["fsync=on", "synchronous_commit=on"]).await
}

/// The URL of a server's only database, with the test's user.
pub(crate) fn url(server: &Postgres) -> String {
    format!("postgresql://admin:{PASSWORD}@127.0.0.1:{}/postgres", server.port)
}

impl World {
    /// Changes the configuration to keep the state in a database.
    pub(crate) fn keep_state_in(&self, url: &str) {
        self.write("state-url", url);
        let text = self.read("bridgehead.toml");
        let with = "[state]\npath = \"state\"\nurl = { file = \"state-url\" }\nlease = \"2s\"\n";
        self.write("bridgehead.toml", &text.replace("[state]\npath = \"state\"\n", with));
    }

    /// Changes the configuration to keep the state in the folder again.
    fn keep_state_in_the_folder(&self) {
        let text = self.read("bridgehead.toml");
        let kept =
            text.lines().filter(|line| !line.starts_with("url = { file") && !line.starts_with("lease"));
        self.write("bridgehead.toml", &kept.collect::<Vec<_>>().join("\n"));
    }

    fn many(&self, names: std::ops::Range<usize>) -> Vec<String> {
        names.map(|n| self.task_for("create_account", json!(format!("user-{n}")))).collect()
    }
}

fn told(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!("{}{}", text(&output.stdout), text(&output.stderr))
}

/// The kinds of alarms of the app.
async fn alarms(world: &World) -> Vec<String> {
    let output = world.run(&["status", "--json"]).await;
    let status: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let alarms = status["apps"]["hr"]["alarms"].as_array().cloned().unwrap_or_default();
    alarms.iter().map(|alarm| alarm["kind"].as_str().unwrap_or_default().to_owned()).collect()
}

fn once(world: &World, tasks: &[String], daemon: &Daemon) {
    for task in tasks {
        let (status, applied) = (world.task(task)["status"].clone(), world.applied(task));
        assert_eq!((status, applied), (json!("completed"), 1), "{task}: {}", daemon.log());
    }
}

#[tokio::test]
async fn tasks_run_once_with_state_in_a_database_also_over_a_kill() {
    let server = server().await;
    let world = World::new().await;
    world.script(QUICK, "");
    world.keep_state_in(&url(&server));
    world.rules(&json!([{"account": "user-3", "attempt": 1, "apply": true, "hang_until": "never"}]));
    let tasks = world.many(0..8);
    let daemon = world.start();
    eventually("all but one are done, and that one was applied", || {
        world.tasks_that_are("pending") == 1 && world.applied(&tasks[3]) == 1
    })
    .await;
    let log = daemon.kill();
    assert!(!world.path("state/tasks.db").exists(), "{log}");
    let more = world.many(8..12);
    // It uses the same folder, so it does not have to wait for the lease of the dead process.
    let daemon = world.start();
    world.drained().await;
    once(&world, &[tasks, more].concat(), &daemon);
    assert_eq!(alarms(&world).await, Vec::<String>::new());
    let log = daemon.stop().await + &log;
    assert!(!log.contains(PASSWORD), "{log}");
    assert!(server.sql("postgres", "SELECT count(*) FROM tasks WHERE state = 'ended'").trim() == "12");
    assert_eq!(server.sql("postgres", "SELECT is_released FROM owners").trim(), "t", "it was given back");
}

#[tokio::test]
async fn while_the_database_is_away_nothing_is_executed_and_what_was_done_waits_to_be_recorded() {
    let mut server = server().await;
    let world = World::new().await;
    world.script(QUICK, "");
    world.keep_state_in(&url(&server));
    world.rules(&json!([{"account": "user-0", "attempt": 1, "apply": true, "hang_until": "done"}]));
    let first = world.many(0..1);
    let daemon = world.start();
    eventually("the first is applied, and not answered yet", || world.applied(&first[0]) == 1).await;
    server.stop();
    world.write("target/done", "");
    let second = world.many(1..6);
    daemon.says("could not be").await;
    eventually_alarm(&world, "state_unwritable").await;
    assert_eq!(world.reported(&first[0]), Vec::<Value>::new(), "it is not recorded, so it is not reported");
    assert!(second.iter().all(|task| world.attempts(task).is_empty()), "nothing that cannot be recorded");
    server.restart().await;
    world.drained().await;
    once(&world, &[first, second].concat(), &daemon);
    eventually_no_alarm(&world).await;
    let log = daemon.stop().await;
    assert!(!log.contains(PASSWORD), "{log}");
}

async fn eventually_alarm(world: &World, kind: &str) {
    for _ in 0..600 {
        if alarms(world).await.iter().any(|found| found == kind) {
            return;
        }
    }
    panic!("the alarm {kind} was never raised");
}

async fn eventually_no_alarm(world: &World) {
    for _ in 0..600 {
        if alarms(world).await.is_empty() {
            return;
        }
    }
    panic!("an alarm stays: {:?}", alarms(world).await);
}

#[tokio::test]
async fn a_daemon_that_starts_while_its_database_is_away_waits_for_it() {
    let mut server = server().await;
    let world = World::new().await;
    world.script(QUICK, "");
    world.keep_state_in(&url(&server));
    server.stop();
    let tasks = world.many(0..1);
    let daemon = world.start();
    daemon.says("the daemon cannot start").await;
    server.restart().await;
    world.drained().await;
    once(&world, &tasks, &daemon);
    daemon.stop().await;
}

#[tokio::test]
async fn check_says_of_a_database_what_is_wrong_and_what_to_do() {
    let server = server().await;
    let world = World::new().await;
    world.script(QUICK, "");
    let right = url(&server);
    let port = server.port.to_string();
    for (address, expected) in [
        (right.clone(), vec!["is PostgreSQL", "the daemon creates its tables"]),
        (right.replace(PASSWORD, "wrong-secret-2"), vec!["password authentication failed", "pg_hba.conf"]),
        (right.replace("/postgres", "/nowhere"), vec!["does not exist", "CREATE DATABASE"]),
        (right.replace(&port, "1"), vec!["Check the host and port"]),
        (
            right.replace("postgresql://", "mysql://"),
            vec!["state.url", "postgresql://USER:PASSWORD@HOST:PORT/DATABASE"],
        ),
        (format!("{right}?sslmode=verify-full"), vec!["network.ca_file"]),
    ] {
        world.script(QUICK, "");
        world.keep_state_in(&address);
        let output = told(&world.run(&["check"]).await);
        for part in expected {
            assert!(output.contains(part), "{part}: {output}");
        }
        assert!(!output.contains(PASSWORD) && !output.contains("wrong-secret-2"), "{output}");
    }
    world.script(QUICK, "");
    world.keep_state_in(&right);
    std::fs::remove_file(world.path("state-url")).expect("it is there");
    let output = told(&world.run(&["check"]).await);
    assert!(output.contains("state.url") && output.contains("put the secret there"), "{output}");
    world.write("state-url", &right);
    let daemon = world.start();
    daemon.says("ready").await;
    let output = told(&world.run(&["check"]).await);
    assert!(output.contains("has state, with tables of version 5"), "{output}");
    daemon.stop().await;
}

#[tokio::test]
async fn commands_work_with_state_in_a_database_and_those_for_a_folder_say_what_to_do_instead() {
    let server = server().await;
    let world = World::new().await;
    world.script(QUICK, "");
    world.keep_state_in(&url(&server));
    for (arguments, part) in [
        (&["tasks", "release", "hr", "--all"][..], "there is no state in the database 127.0.0.1"),
        (&["tasks", "list", "--held"], "There is no journal in the database"),
        (&["state", "inspect"], "There is no state in the database"),
    ] {
        let output = told(&world.run(arguments).await);
        assert!(output.contains(part), "{arguments:?}: {output}");
    }
    let tables = server.sql("postgres", "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'");
    assert_eq!(tables.trim(), "0", "looking makes nothing");
    let tasks = world.many(0..2);
    let daemon = world.start();
    world.drained().await;
    once(&world, &tasks, &daemon);
    daemon.stop().await;
    for (arguments, code, part) in [
        (&["state", "inspect"][..], 0, "2 ended"),
        (&["status"], 75, "From the journal"),
        (&["tasks", "list", "--rejected"], 0, ""),
        (&["tasks", "release", "hr", "--all"], 0, "No held tasks"),
        (&["apps", "pause", "hr"], 0, "has been paused"),
        (&["apps", "resume", "hr"], 0, "is resumed"),
        (&["state", "backup", "copy"], 2, "pg_dump"),
        (&["state", "restore", "copy", "--yes"], 2, "pg_restore"),
    ] {
        let output = world.run(arguments).await;
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", told(&output));
        assert!(told(&output).contains(part), "{arguments:?}: {}", told(&output));
        assert!(!told(&output).contains(PASSWORD), "{arguments:?}");
    }
    let shown = told(&world.run(&["tasks", "show", "hr", &tasks[0]]).await);
    assert!(shown.contains("create_account"), "{shown}");
    let archive = world.path("support.tar.gz");
    let output = world.run(&["support", "--yes", "--output", &archive.display().to_string()]).await;
    assert!(output.status.success(), "{}", told(&output));
}

#[tokio::test]
async fn state_moves_into_a_database_and_back_and_no_task_is_done_twice() {
    let server = server().await;
    let world = World::new().await;
    world.script(QUICK, "");
    world.rules(&json!([{"account": "user-1", "attempt": 1, "apply": true, "hang_until": "never"}]));
    let mut tasks = world.many(0..2);
    let daemon = world.start();
    eventually("both are applied", || tasks.iter().all(|task| world.applied(task) == 1)).await;
    eventually("one is reported", || world.tasks_that_are("pending") == 1).await;
    let refused = told(&world.run(&["state", "migrate", "--to", "url"]).await);
    assert!(refused.contains("state.url is not set"), "{refused}");
    daemon.kill();
    world.keep_state_in(&url(&server));
    let mut unmoved = world.start();
    assert_eq!(unmoved.ended().await.code(), Some(1), "{}", unmoved.log());
    eventually("it says why", || unmoved.log().contains("state migrate")).await;
    let moved = world.run(&["state", "migrate", "--to", "url"]).await;
    assert!(moved.status.success(), "{}", told(&moved));
    assert!(told(&moved).contains("2 tasks and"), "{}", told(&moved));

    tasks.extend(world.many(2..4));
    let daemon = world.start();
    world.drained().await;
    once(&world, &tasks, &daemon);
    let running = told(&world.run(&["state", "migrate", "--to", "path"]).await);
    assert!(running.contains("stop all daemons before you move the state"), "{running}");
    daemon.stop().await;

    let moved = world.run(&["state", "migrate", "--to", "path"]).await;
    assert!(moved.status.success(), "{}", told(&moved));
    let mut elsewhere = world.start();
    assert_eq!(elsewhere.ended().await.code(), Some(1), "{}", elsewhere.log());
    world.keep_state_in_the_folder();
    tasks.extend(world.many(4..6));
    let daemon = world.start();
    world.drained().await;
    once(&world, &tasks, &daemon);
    assert_eq!(alarms(&world).await, Vec::<String>::new());
    let log = daemon.stop().await;
    assert!(!log.contains(PASSWORD), "{log}");
}

/// Replaces a database with a copy of another one while clients use it.
fn copy(server: &Postgres, from: &str, to: &str) {
    for database in [from, to] {
        server.sql(
            "postgres",
            &format!("UPDATE pg_database SET datallowconn = false WHERE datname = '{database}'"),
        );
        server.sql(
            "postgres",
            &format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}'"),
        );
    }
    server.sql("postgres", &format!("DROP DATABASE IF EXISTS {to} WITH (FORCE)"));
    server.sql("postgres", &format!("CREATE DATABASE {to} TEMPLATE {from}"));
    for database in [from, to] {
        server.sql(
            "postgres",
            &format!("UPDATE pg_database SET datallowconn = true WHERE datname = '{database}'"),
        );
    }
}

/// A world with one completed task, whose database was backed up after it.
async fn backed_up() -> (Postgres, World, Daemon) {
    let server = server().await;
    server.sql("postgres", "CREATE DATABASE state");
    let world = World::new().await;
    world.script(QUICK, "");
    world.keep_state_in(&url(&server).replace("/postgres", "/state"));
    world.rules(&json!([{"account": "bob", "attempt": 1, "apply": true, "hang_until": "done"}]));
    let ann = world.task_for("create_account", json!("ann"));
    let daemon = world.start();
    world.drained().await;
    once(&world, &[ann], &daemon);
    copy(&server, "state", "backup");
    (server, world, daemon)
}

#[tokio::test]
async fn tasks_are_not_repeated_after_the_database_was_restored_while_the_daemon_was_stopped() {
    let (server, world, daemon) = backed_up().await;
    let bob = world.task_for("create_account", json!("bob"));
    eventually("bob applied", || world.applied(&bob) == 1).await;
    let log = daemon.kill();
    copy(&server, "backup", "state");
    world.rules(&json!([]));
    let daemon = world.start();
    eventually_alarm(&world, "state_doubted").await;
    world.drained().await;
    let log = log + &daemon.stop().await;
    assert_eq!((world.applied(&bob), world.attempts(&bob)), (1, vec![1]), "looked up, and found done: {log}");
    assert_eq!(world.task(&bob)["status"], "completed", "{log}");
    assert!(log.contains("restored from a backup") && !log.contains(PASSWORD), "{log}");
}

#[tokio::test]
async fn tasks_are_not_repeated_after_the_database_was_restored_while_the_daemon_ran() {
    let (server, world, daemon) = backed_up().await;
    let bob = world.task_for("create_account", json!("bob"));
    eventually("bob applied", || world.applied(&bob) == 1).await;
    copy(&server, "backup", "state");
    world.write("target/done", "");
    eventually_alarm(&world, "state_doubted").await;
    let eve = world.task_for("create_account", json!("eve"));
    world.drained().await;
    let log = daemon.stop().await;
    for task in [&bob, &eve] {
        assert_eq!((world.applied(task), world.attempts(task)), (1, vec![1]), "{log}");
        assert_eq!(world.task(task)["status"], "completed", "{log}");
    }
    assert!(log.contains("restored from an older copy") && !log.contains(PASSWORD), "{log}");
}
