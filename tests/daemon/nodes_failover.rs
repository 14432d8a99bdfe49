//! The database fails over to a streaming replica while two nodes use it.

use bridgehead_test_servers::{Link, Postgres};
use serde_json::json;

use crate::nodes::{each_once, many, owned_by, start, status, two_nodes};
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
    nodes: [Daemon; 2],
}

impl Scene {
    async fn new() -> Self {
        let (primary, world) = two_nodes().await;
        let (address, replication) = (Link::new(), Link::new());
        address.lead_to(primary.port);
        replication.lead_to(primary.port);
        let replica = primary.replica(replication.port).await;
        let (own, shared) = (primary.port.to_string(), address.port.to_string());
        world.write("state-url", &url(&primary).replace(&own, &shared));
        let a = start(&world, "a");
        owned_by(&world, "a", "a").await;
        let b = start(&world, "b");
        owned_by(&world, "b", "a").await;
        Self { primary, replica, world, address, replication, nodes: [a, b] }
    }

    /// Whether the replica has everything that the primary has confirmed.
    fn is_synchronous(&self) -> bool {
        self.primary.sql("postgres", "SELECT sync_state FROM pg_stat_replication").trim() == "sync"
    }

    /// The primary crashes, and the replica takes its place.
    fn fail_over(&mut self) {
        self.primary.crash();
        self.replica.promote();
        self.address.lead_to(self.replica.port);
        self.address.cut();
        self.address.release();
    }

    fn logs(&self) -> String {
        format!("--- a\n{}\n--- b\n{}", self.nodes[0].log(), self.nodes[1].log())
    }

    /// Whether an alarm says that the state lacks what was confirmed.
    async fn is_doubted(&self) -> bool {
        let seen = status(&self.world, "b").await;
        seen["apps"]["hr"]["alarms"].to_string().contains("state_doubted")
    }

    async fn end(self) {
        for node in self.nodes {
            node.stop().await;
        }
    }
}

#[tokio::test]
async fn failover_to_a_synchronous_replica_loses_nothing_and_repeats_nothing() {
    let mut scene = Scene::new().await;
    let all = "ALTER SYSTEM SET synchronous_standby_names = '*'";
    scene.primary.sql("postgres", all);
    scene.primary.sql("postgres", "SELECT pg_reload_conf()");
    eventually("the replica is synchronous", || scene.is_synchronous()).await;
    // One call is applied and never answered.
    let rule = json!([{"account": "user-3", "attempt": 1, "apply": true, "hang_until": "never"}]);
    scene.world.rules(&rule);
    let tasks = many(&scene.world, 0..40);
    eventually("some are done, and some are not", || {
        (1..35).contains(&scene.world.tasks_that_are("pending")) && scene.world.applied(&tasks[3]) == 1
    })
    .await;
    scene.fail_over();
    scene.world.drained().await;
    let more = many(&scene.world, 40..45);
    scene.world.drained().await;
    each_once(&scene.world, &[tasks, more].concat(), &scene.logs());
    assert!(!scene.is_doubted().await, "{}", scene.logs());
    scene.end().await;
}

#[tokio::test]
async fn failover_that_loses_confirmed_writes_is_noticed_and_repeats_nothing() {
    let mut scene = Scene::new().await;
    let early = many(&scene.world, 0..5);
    scene.world.drained().await;
    eventually("the replica has followed", || {
        scene.replica.sql("postgres", "SELECT count(*) FROM owners").trim() == "1"
    })
    .await;
    // From now on, the replica misses everything.
    scene.replication.hold();
    let rule = json!([{"account": "user-7", "attempt": 1, "apply": true, "hang_until": "never"}]);
    scene.world.rules(&rule);
    let late = many(&scene.world, 5..30);
    eventually("some are done, and some are not", || {
        (1..20).contains(&scene.world.tasks_that_are("pending")) && scene.world.applied(&late[2]) == 1
    })
    .await;
    scene.fail_over();
    scene.world.drained().await;
    each_once(&scene.world, &[early, late].concat(), &scene.logs());
    assert!(scene.is_doubted().await, "{}", scene.logs());
    scene.end().await;
}
