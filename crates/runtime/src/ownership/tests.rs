use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bridgehead_bridge::{self as bridge, NextPage, TaskPage, TaskQuery};
use bridgehead_sdk::{Connector, Redactor};
use bridgehead_store::lease::{
    Acquired, Leases, Mailbox, NodeSeen, OwnerSeen, Presence, Progress, Request, View,
};
use bridgehead_store::{AppKey, Error, Memory, SnapshotStore, TaskJournal};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::actions::{self, Actions};
use crate::audit::Actor;
use crate::builder::{Apps, Runtime, RuntimeBuilder};
use crate::fakes::{self, Script, Untouched};

const LEASE: Duration = Duration::from_secs(15);
const GRACE: Duration = Duration::from_mins(10);
const SLOW: Uuid = Uuid::from_u128(1);
const OTHER: Uuid = Uuid::from_u128(2);

/// A Bridge that is away.
#[derive(Debug)]
struct Away;

#[async_trait]
impl Script for Away {
    async fn tasks(&self, _: &TaskQuery) -> Result<TaskPage, bridge::Error> {
        Err(fakes::unexpected(bridge::Operation::ListTasks))
    }

    async fn next_tasks(&self, _: &NextPage) -> Result<TaskPage, bridge::Error> {
        Err(fakes::unexpected(bridge::Operation::ListTasks))
    }
}

/// Leases whose database is a variable of the test.
#[derive(Debug, Default)]
pub(crate) struct Database {
    owned: Mutex<BTreeSet<AppKey>>,
    elsewhere: Mutex<BTreeSet<AppKey>>,
    /// Apps whose lease has expired, whatever the node believes.
    expired: Mutex<BTreeSet<AppKey>>,
    acquired: Mutex<Vec<AppKey>>,
    released: Mutex<Vec<(AppKey, bool)>>,
    /// The last announcement of the node.
    presence: Mutex<Presence>,
    settled_at: Mutex<Option<Instant>>,
    mail: Mail,
}

/// A request, whether it was taken, and its answer.
type Letter = (Request, bool, Option<Vec<u8>>);

/// Requests between nodes, in memory.
#[derive(Debug, Default)]
struct Mail(Mutex<BTreeMap<String, Letter>>);

impl Mail {
    fn answer(&self) -> Option<serde_json::Value> {
        let rows = self.0.lock().unwrap();
        let answer = rows.values().find_map(|(_, _, answer)| answer.clone())?;
        serde_json::from_slice(&answer).ok()
    }
}

#[async_trait]
impl Mailbox for Mail {
    async fn send(&self, app: &AppKey, _: &str, actor: &str, body: &[u8]) -> Result<String, Error> {
        let mut rows = self.0.lock().unwrap();
        let id = rows.len().to_string();
        let (app, actor, body) = (app.clone(), actor.to_owned(), body.to_owned());
        rows.insert(id.clone(), (Request { id: id.clone(), app, actor, body }, false, None));
        Ok(id)
    }

    async fn progress(&self, id: &str) -> Result<Progress, Error> {
        Ok(match self.0.lock().unwrap().get(id) {
            None => Progress::Gone,
            Some((_, _, Some(answer))) => Progress::Answered(answer.clone()),
            Some((_, true, None)) => Progress::Taken,
            Some((_, false, None)) => Progress::Waiting,
        })
    }

    async fn withdraw(&self, id: &str) -> Result<bool, Error> {
        let mut rows = self.0.lock().unwrap();
        let may_go = rows.get(id).is_some_and(|(_, is_taken, answer)| !is_taken || answer.is_some());
        Ok(may_go && rows.remove(id).is_some())
    }

    async fn take(&self) -> Result<Vec<Request>, Error> {
        let mut rows = self.0.lock().unwrap();
        let waiting = rows.values_mut().filter(|(_, is_taken, _)| !is_taken);
        Ok(waiting
            .map(|(request, is_taken, _)| {
                *is_taken = true;
                request.clone()
            })
            .collect())
    }

    async fn answer(&self, id: &str, body: &[u8]) -> Result<(), Error> {
        if let Some((_, _, answer)) = self.0.lock().unwrap().get_mut(id) {
            *answer = Some(body.to_owned());
        }
        Ok(())
    }
}

impl Database {
    fn owner(app: &AppKey, process: &str) -> OwnerSeen {
        OwnerSeen {
            app: app.to_string(),
            node: process.to_owned(),
            process: process.to_owned(),
            epoch: 1,
            owned_for: Duration::ZERO,
            lasts_for: LEASE,
        }
    }
}

#[async_trait]
impl Leases for Database {
    fn lease(&self) -> Duration {
        LEASE
    }

    fn node_name(&self) -> &'static str {
        "me"
    }

    async fn look(&self, presence: &Presence) -> Result<View, Error> {
        self.presence.lock().unwrap().clone_from(presence);
        let me = NodeSeen {
            name: "me".to_owned(),
            process: "me".to_owned(),
            version: "1".to_owned(),
            up_for: LEASE * 10,
            silent_for: Duration::ZERO,
            presence: presence.clone(),
        };
        let owned = self.owned.lock().unwrap().clone();
        let elsewhere = self.elsewhere.lock().unwrap().clone();
        let expired = self.expired.lock().unwrap().clone();
        let owners = owned.difference(&expired).map(|app| Self::owner(app, "me"));
        let owners = owners.chain(elsewhere.iter().map(|app| Self::owner(app, "another"))).collect();
        Ok(View { me: "me".to_owned(), nodes: vec![me], owners })
    }

    async fn acquire(&self, app: &AppKey) -> Result<Acquired, Error> {
        self.owned.lock().unwrap().insert(app.clone());
        self.expired.lock().unwrap().remove(app);
        self.acquired.lock().unwrap().push(app.clone());
        Ok(Acquired { epoch: 2, settles_in: Duration::ZERO })
    }

    async fn release(&self, app: &AppKey, is_over: bool) -> Result<(), Error> {
        self.owned.lock().unwrap().remove(app);
        self.released.lock().unwrap().push((app.clone(), is_over));
        Ok(())
    }

    fn holds(&self, app: &AppKey) -> bool {
        self.owned.lock().unwrap().contains(app)
    }

    fn settled_at(&self, _: &AppKey) -> Option<Instant> {
        *self.settled_at.lock().unwrap()
    }

    fn may_start(&self, app: &AppKey) -> bool {
        self.holds(app)
    }

    async fn allow_calls(&self, _: Duration) -> Result<(), Error> {
        Ok(())
    }

    fn mailbox(&self) -> &dyn Mailbox {
        &self.mail
    }
}

/// A node with the apps `slow` and `other`.
fn node(database: &Arc<Database>) -> Runtime {
    let app = |name: &str, id: Uuid| {
        let mut settings = fakes::settings();
        settings.app_id = id;
        settings.sync.enabled = false;
        (name.to_owned(), (settings, Arc::new(Untouched) as Arc<dyn Connector>))
    };
    let apps: Apps = BTreeMap::from([app("slow", SLOW), app("other", OTHER)]);
    let state = Memory::new(jiff::Timestamp::UNIX_EPOCH);
    let journal = Arc::new(state.clone()) as Arc<dyn TaskJournal>;
    let snapshots = Arc::new(state) as Arc<dyn SnapshotStore>;
    let builder =
        RuntimeBuilder::new(apps, fakes::api(&Arc::new(Away)), journal, snapshots, Redactor::new(), GRACE);
    RuntimeBuilder { leases: Some(Arc::clone(database) as Arc<dyn Leases>), seed: Some(1), ..builder }.build()
}

#[tokio::test(start_paused = true)]
async fn slow_end_of_one_app_does_not_delay_the_takeover_of_another() {
    let database = Arc::new(Database::default());
    let (slow, other) = (AppKey::from(SLOW), AppKey::from(OTHER));
    database.elsewhere.lock().unwrap().insert(other.clone());
    let node = node(&database);
    let stop = CancellationToken::new();
    let story = async {
        sleep(LEASE).await;
        assert!(node.supervisor.is_running("slow") && !node.supervisor.is_running("other"));
        // A command of an operator keeps the app from ending, up to the grace period.
        let command = node.enter("slow").await.expect("the app");
        database.owned.lock().unwrap().remove(&slow);
        database.elsewhere.lock().unwrap().insert(slow.clone());
        sleep(LEASE / 3).await;
        database.elsewhere.lock().unwrap().remove(&other);
        sleep(LEASE / 3).await;
        assert!(node.supervisor.is_running("other"), "it waits for the end of another app");
        drop(command);
        stop.cancel();
    };
    tokio::join!(node.run(stop.clone()), story);
    assert_eq!(*database.released.lock().unwrap(), [(other, true)], "a lost app is not released");
}

#[tokio::test(start_paused = true)]
async fn app_that_does_not_end_is_left_to_other_nodes() {
    let database = Arc::new(Database::default());
    let slow = AppKey::from(SLOW);
    let node = node(&database);
    let stop = CancellationToken::new();
    let story = async {
        sleep(LEASE).await;
        // A command of an operator does not end.
        let command = node.enter("slow").await.expect("the app");
        database.owned.lock().unwrap().remove(&slow);
        sleep(GRACE + 2 * LEASE).await;
        assert!(node.fleet.get("slow").expect("the app").lifecycle.stuck.load(Ordering::Relaxed));
        // Nobody owns it, and its lease has expired.
        database.acquired.lock().unwrap().clear();
        sleep(2 * LEASE).await;
        assert_eq!(*database.acquired.lock().unwrap(), []);
        let offered = database.presence.lock().unwrap().apps.clone();
        assert_eq!(offered, [AppKey::from(OTHER)]);
        assert!(!node.supervisor.is_running("slow") && node.supervisor.is_running("other"));
        drop(command);
        stop.cancel();
    };
    tokio::join!(node.run(stop.clone()), story);
}

/// Found by the simulation and by the test with three nodes: a task was executed twice.
#[tokio::test(start_paused = true)]
async fn app_that_runs_here_is_acquired_again_only_after_its_loops_have_ended() {
    let database = Arc::new(Database::default());
    let slow = AppKey::from(SLOW);
    let node = node(&database);
    let times = || database.acquired.lock().unwrap().iter().filter(|app| **app == slow).count();
    let stop = CancellationToken::new();
    let story = async {
        sleep(LEASE).await;
        let before = node.fleet.get("slow").expect("the app");
        assert_eq!(times(), 1);
        // Its lease has ended, and other nodes may have run it since: this node does not know yet.
        database.expired.lock().unwrap().insert(slow.clone());
        sleep(LEASE).await;
        assert_eq!(times(), 1, "the loops of the old epoch would go on");
        // A renewal finds out that it was lost.
        database.owned.lock().unwrap().remove(&slow);
        database.expired.lock().unwrap().clear();
        sleep(LEASE).await;
        assert_eq!(times(), 2);
        let after = node.fleet.get("slow").expect("the app");
        assert!(before.lifecycle.lost.is_cancelled() && !Arc::ptr_eq(&before, &after));
        assert!(node.supervisor.is_running("slow"));
        stop.cancel();
    };
    tokio::join!(node.run(stop.clone()), story);
}

#[tokio::test(start_paused = true)]
async fn app_that_left_the_configuration_is_released() {
    let database = Arc::new(Database::default());
    let gone = AppKey::from(Uuid::from_u128(3));
    database.owned.lock().unwrap().insert(gone.clone());
    let node = node(&database);
    let stop = CancellationToken::new();
    let story = async {
        sleep(LEASE).await;
        assert_eq!(*database.released.lock().unwrap(), [(gone, false)]);
        stop.cancel();
    };
    tokio::join!(node.run(stop.clone()), story);
}

#[tokio::test(start_paused = true)]
async fn app_replaced_by_a_reload_still_waits_for_calls_of_the_previous_owner() {
    let database = Arc::new(Database::default());
    let settled_at = Instant::now() + Duration::from_mins(1);
    *database.settled_at.lock().unwrap() = Some(settled_at);
    let node = node(&database);
    let before = node.fleet.get("slow").unwrap();
    let (connector, bridge) = (Arc::new(Untouched), fakes::api(&Arc::new(Away)));
    let after = node.assembly.app("slow", before.settings.clone(), connector, bridge, true);
    assert_eq!((before.settled_at(), after.settled_at()), (settled_at, settled_at));
}

#[tokio::test(start_paused = true)]
async fn action_for_an_app_of_a_silent_node_is_withdrawn() {
    let database = Arc::new(Database::default());
    database.elsewhere.lock().unwrap().insert(AppKey::from(SLOW));
    let node = Arc::new(node(&database));
    let stop = CancellationToken::new();
    let story = async {
        sleep(LEASE).await;
        let refused = Actions::new(Arc::clone(&node)).pause(&Actor::page(), "slow", None).await.unwrap_err();
        assert_eq!(refused.code(), "silent", "{refused}");
        assert!(
            refused.to_string().contains("node another") && refused.to_string().contains("slow"),
            "{refused}"
        );
        assert!(database.mail.0.lock().unwrap().is_empty(), "nobody can take it any more");
        stop.cancel();
    };
    tokio::join!(node.run(stop.clone()), story);
}

#[tokio::test(start_paused = true)]
async fn action_of_a_node_that_ended_without_an_answer_is_reported_as_unknown() {
    let database = Arc::new(Database::default());
    database.elsewhere.lock().unwrap().insert(AppKey::from(SLOW));
    let node = Arc::new(node(&database));
    let stop = CancellationToken::new();
    let story = async {
        sleep(LEASE).await;
        let actions = Actions::new(Arc::clone(&node));
        let page = Actor::page();
        let asking = actions.pause(&page, "slow", None);
        // The other node takes it, and is not among the live nodes.
        let taking = async {
            sleep(Duration::from_secs(1)).await;
            assert_eq!(database.mail.take().await.unwrap().len(), 1);
        };
        let (refused, ()) = tokio::join!(asking, taking);
        assert_eq!(refused.unwrap_err().code(), "unanswered");
        stop.cancel();
    };
    tokio::join!(node.run(stop.clone()), story);
}

#[tokio::test(start_paused = true)]
async fn request_of_another_node_is_executed_once_and_answered() {
    let database = Arc::new(Database::default());
    let node = Arc::new(node(&database));
    let stop = CancellationToken::new();
    let slow = AppKey::from(SLOW);
    let ask = async |body: &str| {
        database.mail.0.lock().unwrap().clear();
        database.mail.send(&slow, "me", "ann (uid 1000) on b", body.as_bytes()).await.unwrap();
        for _ in 0..100 {
            sleep(Duration::from_millis(100)).await;
            if let Some(answer) = database.mail.answer() {
                return answer;
            }
        }
        panic!("no answer");
    };
    let story = async {
        sleep(LEASE).await;
        let paused = ask(r#"{"command":"pause","reason":"migration"}"#).await;
        assert_eq!(paused["done"]["paused"]["by"], "ann (uid 1000) on b", "{paused}");
        assert_eq!(paused["done"]["changed"], true, "{paused}");
        let refused = ask(r#"{"command":"sync","dry_run":false,"allow_removals":null}"#).await;
        assert_eq!(refused["refused"]["code"], "paused", "{refused}");
        let unknown = ask(r#"{"command":"reboot"}"#).await;
        assert_eq!(unknown["refused"]["code"], "unknown_command", "{unknown}");
        // It is not passed on again, although another node runs the app now.
        database.owned.lock().unwrap().remove(&slow);
        database.elsewhere.lock().unwrap().insert(slow.clone());
        let moved = ask(r#"{"command":"resume"}"#).await;
        assert_eq!(moved["refused"]["code"], "elsewhere", "{moved}");
        stop.cancel();
    };
    let serving = tokio::spawn(actions::serve(Arc::clone(&node), stop.clone()));
    tokio::join!(node.run(stop.clone()), story);
    serving.await.unwrap();
}
