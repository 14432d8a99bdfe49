//! The database fails over to a streaming replica while two nodes use it.

use bridgehead_test_servers::{Link, Postgres};
use serde_json::json;

use crate::nodes::{each_once, many, owned_by, send, start, status, two_nodes};
use crate::state_database::url;
use crate::support::{Daemon, World, eventually};

/// A primary with a replica, and two nodes that reach whichever of them is in charge through one address.
struct Scene {
    primary: Postgres,
    replica: Postgres,
    world: World,
    /// From the nodes to the database.
    address: Link,
    /// From the replica to the primary.
    replication: Link,
    a: Option<Daemon>,
    b: Daemon,
    /// The logs of processes that have ended.
    log: String,
}

impl Scene {
    /// Node `a` runs the app.
    async fn new(is_synchronous: bool) -> Self {
        let (primary, world) = two_nodes().await;
        let (address, replication) = (Link::new(), Link::new());
        address.lead_to(primary.port);
        replication.lead_to(primary.port);
        let replica = primary.replica(replication.port).await;
        if is_synchronous {
            // Not before the replica was copied: it would wait for a replica of its own.
            primary.sql("postgres", "ALTER SYSTEM SET synchronous_standby_names = '*'");
            primary.sql("postgres", "SELECT pg_reload_conf()");
            let state = "SELECT sync_state FROM pg_stat_replication";
            eventually("it is synchronous", || primary.sql("postgres", state).trim() == "sync").await;
        }
        // A call has no effect later than this, as the runtime assumes.
        for node in ["a.toml", "b.toml"] {
            let text = world.read(node).replace("settings = { ", "settings = { within = 5.0, ");
            world.write(node, &text);
        }
        let (own, shared) = (primary.port.to_string(), address.port.to_string());
        world.write("state-url", &url(&primary).replace(&own, &shared));
        let a = start(&world, "a");
        owned_by(&world, "a", "a").await;
        let b = start(&world, "b");
        owned_by(&world, "b", "a").await;
        Self { primary, replica, world, address, replication, a: Some(a), b, log: String::new() }
    }

    /// The primary crashes, and the address leads to the replica, which is not promoted yet.
    fn lead_to_standby(&mut self) {
        self.primary.crash();
        self.address.lead_to(self.replica.port);
    }

    /// The primary crashes, and the replica takes its place. The address leads to it from then on, as a virtual address or a name does.
    fn fail_over(&mut self) {
        self.lead_to_standby();
        self.replica.promote();
    }

    /// From now on, the replica misses everything that the primary confirms.
    async fn hold_replication(&self) {
        let written = self.primary.sql("postgres", "SELECT pg_current_wal_lsn()");
        let has_it = format!("SELECT pg_last_wal_replay_lsn() >= '{}'", written.trim());
        eventually("the replica has followed", || self.replica.sql("postgres", &has_it).trim() == "t").await;
        self.replication.hold();
    }

    /// How many tasks a database knows.
    fn known_to(server: &Postgres) -> usize {
        server.sql("postgres", "SELECT count(*) FROM tasks").trim().parse().expect("a number")
    }

    fn kill_a(&mut self) {
        self.log += &self.a.take().expect("it runs").kill();
    }

    fn logs(&self) -> String {
        let a = self.a.as_ref().map(Daemon::log).unwrap_or_default();
        format!("--- a\n{}{a}\n--- b\n{}", self.log, self.b.log())
    }

    /// The reasons for which the journal is doubted, other than that it was new once.
    fn doubts(&self) -> String {
        let doubts = "SELECT DISTINCT reason FROM doubts WHERE reason <> 'new'";
        self.replica.sql("postgres", doubts).trim().to_owned()
    }

    /// Whether an alarm tells operators that the state lacks what was confirmed.
    async fn is_alarm_raised(&self) -> bool {
        let seen = status(&self.world, "b").await;
        seen["apps"]["hr"]["alarms"].to_string().contains("state_doubted")
    }

    async fn end(self) {
        for node in self.a.into_iter().chain([self.b]) {
            node.stop().await;
        }
    }
}

#[tokio::test]
async fn failover_to_a_synchronous_replica_loses_nothing_and_repeats_nothing() {
    let mut scene = Scene::new(true).await;
    scene.world.rules(&json!([{"account": "user-3", "attempt": 1, "apply": true, "hang_until": "never"}]));
    let tasks = many(&scene.world, 0..40);
    eventually("some are done, and one is applied and not answered", || {
        scene.world.tasks_that_are("pending") < 35 && scene.world.applied(&tasks[3]) == 1
    })
    .await;
    scene.fail_over();
    scene.world.drained().await;
    let more = many(&scene.world, 40..45);
    scene.world.drained().await;
    each_once(&scene.world, &[tasks, more].concat(), &scene.logs());
    assert_eq!(scene.doubts(), "", "{}", scene.logs());
    assert!(!scene.is_alarm_raised().await, "{}", scene.logs());
    scene.end().await;
}

#[tokio::test]
async fn failover_that_loses_confirmed_writes_is_noticed_and_repeats_nothing() {
    let mut scene = Scene::new(false).await;
    let early = many(&scene.world, 0..5);
    scene.world.drained().await;
    scene.hold_replication().await;
    scene.world.rules(&json!([{"account": "user-7", "attempt": 1, "apply": true, "hang_until": "never"}]));
    let late = many(&scene.world, 5..30);
    eventually("some are done, and one is applied and not answered", || {
        scene.world.tasks_that_are("pending") < 25 && scene.world.applied(&late[2]) == 1
    })
    .await;
    assert_eq!(Scene::known_to(&scene.replica), 5, "what the primary has confirmed since is lost");
    scene.fail_over();
    scene.world.drained().await;
    each_once(&scene.world, &[early, late].concat(), &scene.logs());
    assert_eq!(scene.doubts(), "restored", "{}", scene.logs());
    assert!(scene.is_alarm_raised().await, "{}", scene.logs());
    scene.end().await;
}

/// The node that made the lost writes is the only one that knows of them, and its calls are still under way.
#[tokio::test]
async fn failover_that_loses_the_writes_of_a_node_that_stands_still_repeats_nothing() {
    let mut scene = Scene::new(false).await;
    let early = many(&scene.world, 0..3);
    scene.world.drained().await;
    scene.hold_replication().await;
    // By what the replica knows of the lease, no call can be under way any more.
    let is_over = "SELECT expires_at + longest_call * interval '1 ms' < clock_timestamp() FROM owners";
    eventually("it has ended", || scene.replica.sql("postgres", is_over).trim() == "t").await;
    let slow =
        |n| json!({"account": format!("user-{n}"), "method": "suspend_account", "attempt": 1, "delay": 4.0});
    scene.world.rules(&json!([slow(0), slow(1), slow(2)]));
    let suspend = |n| scene.world.task_for("suspend_account", json!(format!("user-{n}")));
    let late: Vec<String> = (0..3).map(suspend).collect();
    eventually("all are under way", || {
        (0..3).all(|n| scene.world.called("suspend_account", &format!("user-{n}")) == 1)
    })
    .await;
    assert_eq!(Scene::known_to(&scene.replica), 3, "what the primary has confirmed since is lost");
    let a = scene.a.take().expect("it runs");
    send(&a, "STOP");
    scene.fail_over();
    owned_by(&scene.world, "b", "b").await;
    scene.world.drained().await;
    send(&a, "CONT");
    scene.a = Some(a);
    each_once(&scene.world, &[early, late].concat(), &scene.logs());
    assert_eq!(scene.doubts(), "restored", "{}", scene.logs());
    assert!(scene.is_alarm_raised().await, "{}", scene.logs());
    scene.end().await;
}

#[tokio::test]
async fn a_node_that_finds_a_standby_waits_until_it_is_promoted() {
    let mut scene = Scene::new(true).await;
    let early = many(&scene.world, 0..3);
    scene.world.drained().await;
    scene.kill_a();
    scene.lead_to_standby();
    let a = start(&scene.world, "a");
    a.says("the daemon cannot start").await;
    a.says("is a standby").await;
    let late = many(&scene.world, 3..6);
    scene.replica.promote();
    scene.a = Some(a);
    scene.world.drained().await;
    each_once(&scene.world, &[early, late].concat(), &scene.logs());
    assert_eq!(scene.doubts(), "", "{}", scene.logs());
    scene.end().await;
}
