//! Leases: one owner for each app, and no writes of an earlier one.

use std::sync::Arc;
use std::time::Duration;

use super::super::lease::{Acquired, Leases, Presence, Progress, Terms};
use super::super::shared::{Database, Direct, Identity, Node};
use super::super::{Error, Known, ReportResult, SnapshotStore, State, TaskJournal};
use super::*;

/// A short lease, and calls that may last longer than the lease.
const SHORT: Terms = Terms { lease: Duration::from_secs(2), longest_call: Duration::from_secs(3) };

/// A long lease, as most tests need: nothing expires by itself.
const LONG: Terms = Terms { lease: Duration::from_secs(60), longest_call: Duration::from_secs(60) };

/// Creates a test of each function for a kind of database.
macro_rules! on {
    ($cluster:ty, $test:meta) => {
        on! { $cluster, $test,
            an_app_has_one_owner_and_apps_are_owned_apart,
            what_is_given_back_is_taken_at_once_and_the_one_who_gave_it_writes_no_more,
            what_is_given_back_before_its_calls_have_ended_settles_later,
            a_node_that_dies_is_followed_when_its_lease_has_ended_and_what_it_did_settles_later,
            a_node_that_was_taken_over_without_knowing_writes_nothing,
            a_request_is_taken_once_and_answered,
        }
    };
    ($cluster:ty, $test:meta, $($name:ident),+ $(,)?) => {
        $(#[$test] async fn $name() { super::$name::<$cluster>().await; })+
    };
}

/// A database that several nodes share.
pub(crate) trait Cluster: Sized {
    type Node: TaskJournal + SnapshotStore + Leases;

    /// An empty database. Leases are `terms`.
    async fn empty(terms: Terms) -> Self;

    /// Opens the state on a node called so.
    async fn join(&self, name: &str) -> Self::Node;

    /// Ends the lease on an app, as if the clock of the database had jumped.
    async fn expire(&self, app: &AppKey);
}

/// Memory.
struct Memories {
    database: Database,
    terms: Terms,
}

impl Cluster for Memories {
    type Node = Node;

    async fn empty(terms: Terms) -> Self {
        Self { database: Database::new(at(0)), terms }
    }

    async fn join(&self, name: &str) -> Node {
        let identity = Identity { name: name.to_owned(), process: name.to_owned(), ended: Vec::new() };
        Node::join(&self.database, identity, self.terms, Arc::new(Direct))
    }

    async fn expire(&self, app: &AppKey) {
        self.database.expire(app);
    }
}

#[cfg(feature = "postgres")]
mod postgres {
    use bridgehead_test_servers::Postgres as Server;

    use super::super::super::postgres::{Postgres, Settings};
    use super::super::server::{database, settings, start};
    use super::{AppKey, Cluster, Terms};

    struct Databases {
        server: Server,
        name: String,
        terms: Terms,
    }

    impl Cluster for Databases {
        type Node = Postgres;

        async fn empty(terms: Terms) -> Self {
            let server = start().await;
            let name = database(server.port).await;
            Self { server, name, terms }
        }

        async fn join(&self, name: &str) -> Postgres {
            let settings = settings(self.server.port, &self.name, name);
            Postgres::join(&Settings { terms: self.terms, ..settings }).await.unwrap()
        }

        async fn expire(&self, app: &AppKey) {
            let past = "expires_at = clock_timestamp() - interval '1 second'";
            self.server.sql(&self.name, &format!("UPDATE owners SET {past} WHERE app = '{app}'"));
        }
    }

    on!(Databases, tokio::test);
}

mod memory {
    on!(super::Memories, tokio::test(start_paused = true));
}

/// Takes over an app as soon as the database allows it.
async fn take(node: &impl Leases, number: u128) -> Acquired {
    loop {
        match node.acquire(&app(number)).await {
            Ok(acquired) => return acquired,
            Err(Error::Owned { lasts_for, .. }) => tokio::time::sleep(lasts_for).await,
            Err(error) => panic!("{error}"),
        }
    }
}

fn is_fenced<T>(result: Result<T, Error>) -> bool {
    result.is_err_and(|error| matches!(error, Error::Fenced { .. }))
}

async fn an_app_has_one_owner_and_apps_are_owned_apart<C: Cluster>() {
    let cluster = C::empty(LONG).await;
    let (one, other) = (cluster.join("a").await, cluster.join("b").await);
    assert!(is_fenced(one.intent(&app(1), &intent("t", 1, 1)).await), "nobody owns it yet");
    assert_eq!(one.acquire(&app(1)).await.unwrap().epoch, 1);
    assert_eq!(other.acquire(&app(2)).await.unwrap().epoch, 1);
    let refused = other.acquire(&app(1)).await.unwrap_err();
    assert!(matches!(&refused, Error::Owned { node, .. } if node == "a"), "{refused}");
    one.intent(&app(1), &intent("t", 1, 1)).await.unwrap();
    assert!(is_fenced(other.intent(&app(1), &intent("t", 1, 1)).await));
    assert!(is_fenced(other.begin(&app(1)).await));
    assert!(is_fenced(one.record_outcome(&app(2), &intent("t", 1, 1), &completed("a")).await));
    other.intent(&app(2), &intent("t", 1, 1)).await.unwrap();
    let view = one.look(&Presence::default()).await.unwrap();
    let names: Vec<&str> = view.owners.iter().map(|owner| owner.node.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
}

async fn what_is_given_back_is_taken_at_once_and_the_one_who_gave_it_writes_no_more<C: Cluster>() {
    let cluster = C::empty(LONG).await;
    let (one, other) = (cluster.join("a").await, cluster.join("b").await);
    one.acquire(&app(1)).await.unwrap();
    one.record_outcome(&app(1), &intent("done", 1, 1), &completed("a")).await.unwrap();
    one.begin(&app(1)).await.unwrap();
    Leases::release(&one, &app(1), true).await.unwrap();
    let acquired = other.acquire(&app(1)).await.unwrap();
    assert_eq!((acquired.epoch, acquired.settles_in), (2, Duration::ZERO), "nothing is under way");
    assert!(is_fenced(one.ended(&app(1), &"done".into(), &ReportResult::Accepted, at(2)).await));
    assert!(is_fenced(one.commit(&app(1), at(2)).await));
    let open = other.open(&app(1)).await.unwrap();
    assert_eq!(open[0].state, State::Decided(completed("a")), "it is reported, and not done again");
    let half = other.commit(&app(1), at(3)).await;
    assert!(
        matches!(half, Err(Error::NoListing { .. })),
        "a listing of another owner is never completed: {half:?}"
    );
}

async fn what_is_given_back_before_its_calls_have_ended_settles_later<C: Cluster>() {
    let cluster = C::empty(LONG).await;
    let (one, other) = (cluster.join("a").await, cluster.join("b").await);
    one.acquire(&app(1)).await.unwrap();
    Leases::release(&one, &app(1), false).await.unwrap();
    let settles_in = other.acquire(&app(1)).await.unwrap().settles_in;
    assert!(settles_in > Duration::ZERO && settles_in <= LONG.longest_call, "{settles_in:?}");
    // The first owner's calls end no sooner because the app has moved once more.
    Leases::release(&other, &app(1), true).await.unwrap();
    let again = one.acquire(&app(1)).await.unwrap().settles_in;
    assert!(again > Duration::ZERO && again <= settles_in, "{again:?}");
}

async fn a_node_that_dies_is_followed_when_its_lease_has_ended_and_what_it_did_settles_later<C: Cluster>() {
    let cluster = C::empty(SHORT).await;
    let (one, other) = (cluster.join("a").await, cluster.join("b").await);
    one.acquire(&app(1)).await.unwrap();
    one.intent(&app(1), &intent("t", 1, 1)).await.unwrap();
    // Like a node that has died: nothing is released, and the lease is not renewed.
    drop(one);
    let acquired = take(&other, 1).await;
    assert_eq!(acquired.epoch, 2);
    assert!(
        acquired.settles_in > Duration::ZERO && acquired.settles_in <= SHORT.longest_call,
        "{acquired:?}: the longest call counts from the end of the lease"
    );
    let known = other.known(&app(1), &["t".into()]).await.unwrap();
    assert_eq!(known[&TaskId::from("t")], Known::Intended, "unknown, as after a crash");
}

async fn a_node_that_was_taken_over_without_knowing_writes_nothing<C: Cluster>() {
    let cluster = C::empty(LONG).await;
    let (one, other) = (cluster.join("a").await, cluster.join("b").await);
    one.acquire(&app(1)).await.unwrap();
    one.intent(&app(1), &intent("t", 1, 1)).await.unwrap();
    // By the first node's clock, its lease is still valid; the database's clock has jumped.
    cluster.expire(&app(1)).await;
    assert_eq!(other.acquire(&app(1)).await.unwrap().epoch, 2);
    assert!(is_fenced(one.intent(&app(1), &intent("t2", 1, 1)).await));
    assert!(is_fenced(one.record_outcome(&app(1), &intent("t", 1, 1), &completed("a")).await));
    assert!(is_fenced(one.begin(&app(1)).await));
    assert_eq!(other.entry(&app(1), &"t2".into()).await.unwrap(), None);
    assert_eq!(other.open(&app(1)).await.unwrap()[0].state, State::Intended);
    one.verify().await.unwrap();
    assert!(!one.holds(&app(1)), "it knows that it has lost the app");
}

async fn a_request_is_taken_once_and_answered<C: Cluster>() {
    let cluster = C::empty(LONG).await;
    let (one, other) = (cluster.join("a").await, cluster.join("b").await);
    let process = other.look(&Presence::default()).await.unwrap().me;
    let (from, to) = (one.mailbox(), other.mailbox());
    let id = from.send(&app(1), &process, "ann", b"sync").await.unwrap();
    assert!(from.take().await.unwrap().is_empty(), "it is for another process");
    assert!(from.progress(&id).await.unwrap() == Progress::Waiting);
    let taken = to.take().await.unwrap();
    assert_eq!((taken[0].id.as_str(), taken[0].body.as_slice(), taken.len()), (id.as_str(), &b"sync"[..], 1));
    assert!(to.take().await.unwrap().is_empty());
    assert!(from.progress(&id).await.unwrap() == Progress::Taken);
    assert!(!from.withdraw(&id).await.unwrap(), "the recipient is at it");
    to.answer(&id, b"done").await.unwrap();
    assert!(from.progress(&id).await.unwrap() == Progress::Answered(b"done".to_vec()));
    assert!(from.withdraw(&id).await.unwrap());
    assert!(from.progress(&id).await.unwrap() == Progress::Gone);
}
