//! Failover to a streaming replica, with real PostgreSQL servers.

use std::time::Duration;

use bridgehead_test_servers::{Link, Postgres as Server};

use super::super::contract::server::{database, settings, start};
use super::super::contract::{app, intent};
use super::super::lease::{Leases, Presence, Terms};
use super::super::{Error, Reason, TaskJournal};
use super::{Postgres, Settings};

const SHORT: Terms = Terms { lease: Duration::from_secs(2), longest_call: Duration::from_secs(30) };

/// A primary and a replica, which nodes reach through one address.
struct Pair {
    primary: Server,
    replica: Server,
    address: Link,
    replication: Link,
    name: String,
}

impl Pair {
    async fn start() -> Self {
        let primary = start().await;
        let name = database(primary.port).await;
        let (address, replication) = (Link::new(), Link::new());
        address.lead_to(primary.port);
        replication.lead_to(primary.port);
        let replica = primary.replica(replication.port).await;
        Self { primary, replica, address, replication, name }
    }

    /// A node that has new state, and knows that it is new.
    async fn node(&self, name: &str, terms: Option<Terms>) -> Postgres {
        let given = settings(self.address.port, &self.name, name);
        let settings = Settings { terms: terms.unwrap_or(given.terms), ..given };
        let state = Postgres::join(&settings).await.unwrap();
        // The node sees how the server is set.
        look(&state).await.unwrap();
        state
    }

    fn fail_over(&mut self) {
        self.primary.crash();
        self.replica.promote();
        self.address.lead_to(self.replica.port);
    }

    /// Waits until the replica shows this.
    async fn shows(&self, statement: &str, what: &str) {
        while self.replica.sql(&self.name, statement).trim() != what {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn doubts(&self) -> String {
        self.replica.sql(&self.name, "SELECT DISTINCT reason FROM doubts WHERE reason <> 'new'").trim().into()
    }
}

async fn look(state: &Postgres) -> Result<(), Error> {
    Leases::look(state, &Presence::default()).await.map(drop)
}

/// Repeats something until the database is back, and returns the first other result.
async fn again<T>(mut what: impl AsyncFnMut() -> Result<T, Error>) -> Result<T, Error> {
    loop {
        match what().await {
            Err(Error::Postgres { .. } | Error::Owned { .. }) => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            other => return other,
        }
    }
}

#[tokio::test]
async fn a_node_that_lost_nothing_itself_detects_that_another_one_may_have() {
    let mut pair = Pair::start().await;
    let (one, other) = (pair.node("a", Some(SHORT)).await, pair.node("b", Some(SHORT)).await);
    one.acquire(&app(1)).await.unwrap();
    other.acquire(&app(2)).await.unwrap();
    one.settle_new(&app(1), false).await.unwrap();
    pair.shows("SELECT count(*) FROM new_apps", "1").await;
    pair.replication.hold();
    // On a slow machine, the lease may have to be renewed before a call may start.
    drop(one.intent(&app(1), &intent("lost", 1, 1)).await);
    let known = "SELECT count(*) FROM tasks";
    assert_eq!(
        (pair.primary.sql(&pair.name, known).trim(), pair.replica.sql(&pair.name, known).trim()),
        ("1", "0")
    );
    // It dies with the server.
    drop(one);
    pair.fail_over();
    again(async || other.acquire(&app(1)).await).await.unwrap();
    // A lease and the longest call.
    let waits = "SELECT bool_and(settled_at >= to_timestamp(found_at / 1000000.0) + interval '32 s') \
         FROM owners, doubts WHERE reason = 'restored'";
    assert_eq!(pair.replica.sql(&pair.name, waits).trim(), "t", "calls of any node may still be under way");
    let doubt = TaskJournal::doubted(&other, &app(1)).await.unwrap().unwrap();
    assert_eq!(doubt.reason, Reason::Restored);
    assert!(!other.has(&app(2)), "what it knows of its own apps may be lost, too");
    assert_eq!(pair.replica.sql(&pair.name, "SELECT number, is_synchronous FROM timeline").trim(), "2\tf");
    other.close().await;
}

#[tokio::test]
async fn after_a_synchronous_failover_nothing_is_doubted_and_nodes_continue() {
    let mut pair = Pair::start().await;
    pair.primary.sql("postgres", "ALTER SYSTEM SET synchronous_standby_names = '*'");
    pair.primary.sql("postgres", "SELECT pg_reload_conf()");
    let state = pair.node("a", None).await;
    while pair.primary.sql(&pair.name, "SELECT is_synchronous FROM timeline").trim() != "t" {
        look(&state).await.unwrap();
    }
    let acquired = state.acquire(&app(1)).await.unwrap();
    state.intent(&app(1), &intent("before", 1, 1)).await.unwrap();
    pair.fail_over();
    again(async || state.intent(&app(1), &intent("after", 1, 1)).await).await.unwrap();
    assert_eq!(state.owners().await.unwrap()[0].epoch, acquired.epoch);
    assert_eq!(pair.doubts(), "");
    assert_eq!(pair.replica.sql(&pair.name, "SELECT count(*) FROM tasks").trim(), "2");
    state.close().await;
}

#[tokio::test]
async fn replication_that_became_asynchronous_is_remembered_although_the_replica_does_not_show_it() {
    let mut pair = Pair::start().await;
    pair.primary.sql("postgres", "ALTER SYSTEM SET synchronous_standby_names = '*'");
    pair.primary.sql("postgres", "SELECT pg_reload_conf()");
    let state = pair.node("a", None).await;
    let is_synchronous = "SELECT is_synchronous FROM timeline";
    while pair.primary.sql(&pair.name, is_synchronous).trim() != "t" {
        look(&state).await.unwrap();
    }
    state.acquire(&app(1)).await.unwrap();
    pair.shows(is_synchronous, "t").await;
    pair.replication.hold();
    pair.primary.sql("postgres", "ALTER SYSTEM RESET synchronous_standby_names");
    pair.primary.sql("postgres", "SELECT pg_reload_conf()");
    while pair.primary.sql(&pair.name, is_synchronous).trim() != "f" {
        look(&state).await.unwrap();
    }
    pair.fail_over();
    assert_eq!(pair.replica.sql(&pair.name, is_synchronous).trim(), "t");
    again(async || look(&state).await).await.unwrap();
    assert_eq!((pair.doubts().as_str(), state.has(&app(1))), ("restored", false));
    state.close().await;
}

#[tokio::test]
async fn a_role_without_privileges_sees_the_timeline() {
    let server = start().await;
    let name = database(server.port).await;
    server.sql(&name, "CREATE ROLE plain LOGIN PASSWORD 'plain-secret-1'");
    server.sql(&name, &format!("ALTER DATABASE {name} OWNER TO plain; ALTER SCHEMA public OWNER TO plain"));
    let given = settings(server.port, &name, "a");
    let url = format!("postgresql://plain:plain-secret-1@127.0.0.1:{}/{name}", server.port);
    let address = super::Address::parse(&url, Vec::new()).unwrap();
    let state = Postgres::join(&Settings { address, ..given }).await.unwrap();
    assert_eq!(server.sql(&name, "SELECT number, is_synchronous FROM timeline").trim(), "1\tf");
    state.close().await;
}
