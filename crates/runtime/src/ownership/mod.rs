//! Decides which apps run on this node if several nodes share their state.
//!
//! [`plan`] decides which apps this node takes and gives up; this module does it, every tenth of a lease, but at least once a second and at
//! most ten times a second. An app that this node does not own is still in the fleet, as a context without loops, so that its status can be
//! read. Taking an app starts the loops of a new context, like a start of the daemon; giving it up ends them, like a stop. Safety does not
//! depend on this module: the database refuses writes to an app that this node does not own, and no call starts without a recorded intent
//! and a lease.

mod plan;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use self::plan::Step;
use super::app::AppContext;
use super::builder::Assembly;
use super::fleet::Fleet;
use super::history::Recorder;
use super::supervisor::{Ended, Supervisor};
use bridgehead_store::lease::{Leases, Mailbox, Presence, SharedStatus, View};
use bridgehead_store::{AppKey, Error};

/// How long a node that is leaving tries to announce it.
const FAREWELL: Duration = Duration::from_secs(1);

/// Knows which node runs which app.
#[derive(Debug)]
pub(crate) struct Ownership {
    leases: Arc<dyn Leases>,
    started_at: Instant,
    seen: RwLock<Seen>,
    /// Since when each app has had no owner, as this node saw it.
    orphans: RwLock<BTreeMap<AppKey, Instant>>,
}

/// A task for one app that may take a while.
#[derive(Clone, Debug)]
enum Task {
    /// Take over the app.
    Take(AppKey),
    /// Start its loops: this node owns it already.
    Start(AppKey),
    /// End it, so that the node with this name can take it over.
    Move(AppKey, String),
    /// End it: another node has taken it over.
    Lose(AppKey),
}

impl Task {
    fn app(&self) -> &AppKey {
        match self {
            Self::Take(app) | Self::Start(app) | Self::Move(app, _) | Self::Lose(app) => app,
        }
    }
}

/// The last view of the nodes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) view: View,
    /// When it was read; `None` before the first time.
    pub(crate) at: Option<Instant>,
    /// Why the last attempt to read it failed.
    pub(crate) failure: Option<String>,
}

/// The parts of this daemon that ownership acts on.
pub(crate) struct Here<'a> {
    pub(crate) fleet: &'a Fleet,
    pub(crate) supervisor: &'a Supervisor,
    pub(crate) assembly: &'a Assembly,
    pub(crate) history: Option<&'a Recorder>,
}

impl Ownership {
    pub(crate) fn new(leases: Arc<dyn Leases>) -> Self {
        Self { leases, started_at: Instant::now(), seen: RwLock::default(), orphans: RwLock::default() }
    }

    /// Returns the last view.
    pub(crate) fn seen(&self) -> Seen {
        self.seen.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Since when an app has had no owner, if it has none.
    pub(crate) fn orphaned_since(&self, app: &AppKey) -> Option<Instant> {
        self.orphans.read().unwrap_or_else(PoisonError::into_inner).get(app).copied()
    }

    /// The name of this node.
    pub(crate) fn node_name(&self) -> &str {
        self.leases.node_name()
    }

    /// Passes requests of operators between the nodes.
    pub(crate) fn mailbox(&self) -> &dyn Mailbox {
        self.leases.mailbox()
    }

    /// Passes the status of apps between the nodes.
    pub(crate) fn shared_status(&self) -> Option<&dyn SharedStatus> {
        self.leases.shared_status()
    }

    /// The duration of a lease.
    pub(crate) fn lease(&self) -> Duration {
        self.leases.lease()
    }

    /// Whether this node owns the app, as far as it knows.
    pub(crate) fn holds(&self, app: &AppKey) -> bool {
        self.leases.holds(app)
    }

    pub(crate) async fn allow_calls(&self, longest: Duration) -> Result<(), Error> {
        self.leases.allow_calls(longest).await
    }

    /// Takes apps and gives them up until `stop`.
    ///
    /// Cancel: `stop` ends it after the current step. Error: if the state cannot be reached, the next tick retries; until then, nothing is
    /// taken or given up. Panic: a panic in here ends the supervisor, and with it every loop.
    pub(crate) async fn run(&self, here: &Here<'_>, stop: &CancellationToken) {
        let lease = self.leases.lease();
        let mut ticks = interval((lease / 10).clamp(Duration::from_millis(100), Duration::from_secs(1)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut moved_at = Instant::now();
        // Steps run beside each other and beside this loop: ending one app may take the whole grace period, and neither the other apps nor
        // the other nodes wait for it.
        let mut running = FuturesUnordered::new();
        let mut busy = BTreeSet::new();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(app) = running.next(), if !running.is_empty() => {
                    busy.remove(&app);
                    continue;
                }
                _ = ticks.tick() => {}
            }
            let is_fresh = self.look(here).await;
            let may_move = moved_at.elapsed() >= lease;
            for task in self.due(here, is_fresh, may_move) {
                if busy.insert(task.app().clone()) {
                    if matches!(task, Task::Move(..)) {
                        moved_at = Instant::now();
                    }
                    running.push(self.perform(here, task));
                }
            }
        }
        while running.next().await.is_some() {}
    }

    /// What has to be done now.
    fn due(&self, here: &Here<'_>, is_fresh: bool, may_move: bool) -> Vec<Task> {
        let mut tasks = Vec::new();
        for app in here.fleet.all().into_values() {
            let is_stuck = app.lifecycle.stuck.load(Ordering::Relaxed);
            match (self.holds(&app.key), here.supervisor.is_running(&app.name)) {
                (false, true) => tasks.push(Task::Lose(app.key.clone())),
                // A reload added it, or it was taken during one.
                (true, false) if !is_stuck => tasks.push(Task::Start(app.key.clone())),
                _ => {}
            }
        }
        if is_fresh {
            let steps = plan::steps(&self.seen().view, self.leases.lease(), may_move);
            tasks.extend(steps.into_iter().filter_map(|step| match step {
                // Its lease has expired, but its loops have not ended: either a renewal brings it back, or it was lost, and its loops end
                // first. With a new epoch, they would go on with outdated knowledge, although other nodes may have run the app meanwhile.
                Step::Acquire(app) if self.holds(&app) || is_running(here, &app) => None,
                Step::Acquire(app) => Some(Task::Take(app)),
                Step::Leave(app) => Some(Task::Move(app, "a node that may run it".to_owned())),
                Step::Release { app, to } => Some(Task::Move(app, to)),
            }));
        }
        tasks
    }

    /// Performs a task, and returns its app.
    async fn perform(&self, here: &Here<'_>, task: Task) -> AppKey {
        let key = task.app().clone();
        let Some(app) = here.fleet.all().into_values().find(|app| app.key == key) else {
            // A reload removed the app from this configuration. A call may still be running.
            self.release(&key, key.as_str(), false).await;
            return key;
        };
        match task {
            Task::Take(_) => self.take(here, &app).await,
            Task::Start(_) => start(here, &app.name, &key, false).await,
            Task::Move(_, to) => {
                tracing::info!(app = %app.name, to, "the app is moved to another node");
                self.end(here, &app).await;
            }
            Task::Lose(_) => {
                tracing::error!(app = %app.name, "another node runs the app now, because this one could not renew its lease in time");
                app.lifecycle.lost.cancel();
                self.end(here, &app).await;
            }
        }
        key
    }

    async fn look(&self, here: &Here<'_>) -> bool {
        let name = self.leases.node_name();
        let all = here.fleet.all();
        // An app may be restricted to the nodes that can reach its target.
        let fit = all.values().filter(|app| {
            let nodes = &app.settings.nodes;
            let may_run = nodes.is_empty() || nodes.iter().any(|node| node == name);
            // Another node has to run an app whose loops do not end here.
            may_run && !app.lifecycle.stuck.load(Ordering::Relaxed)
        });
        let apps = fit.map(|app| app.key.clone()).collect();
        let presence = Presence { apps, is_leaving: false };
        let limit = self.leases.lease() / 3;
        let looked = tokio::time::timeout(limit, self.leases.look(&presence)).await;
        if let Ok(Ok(view)) = &looked {
            let mut orphans = self.orphans.write().unwrap_or_else(PoisonError::into_inner);
            let known = std::mem::take(&mut *orphans);
            let without = all.values().map(|app| &app.key).filter(|key| view.owner(key).is_none());
            orphans.extend(
                without.map(|key| (key.clone(), known.get(key).copied().unwrap_or_else(Instant::now))),
            );
        }
        let mut seen = self.seen.write().unwrap_or_else(PoisonError::into_inner);
        match looked {
            Ok(Ok(view)) => {
                *seen = Seen { view, at: Some(Instant::now()), failure: None };
                true
            }
            Ok(Err(error)) => {
                if seen.failure.is_none() {
                    tracing::warn!(%error, "the other nodes cannot be seen; apps stay where they are");
                }
                seen.failure = Some(error.to_string());
                false
            }
            Err(_) => {
                seen.failure = Some("the state database does not answer".to_owned());
                false
            }
        }
    }

    async fn take(&self, here: &Here<'_>, app: &AppContext) {
        match self.leases.acquire(&app.key).await {
            Ok(acquired) => {
                let settles_in = acquired.settles_in;
                tracing::info!(app = %app.name, epoch = acquired.epoch, ?settles_in, "this node runs the app now");
                // A process that starts may have to wait until leases have expired. Later, the app has only moved here: it keeps its schedule,
                // so a crash of one node does not cause full syncs of all its apps.
                let has_moved = self.started_at.elapsed() > 2 * self.leases.lease();
                start(here, &app.name, &app.key, has_moved).await;
            }
            Err(Error::Owned { node, .. }) => {
                tracing::debug!(app = %app.name, node, "another node was quicker to take the app");
            }
            Err(error) => {
                tracing::warn!(app = %app.name, %error, "the app could not be taken; retrying");
            }
        }
    }

    /// Ends the loops of an app, and releases it if this node owns it.
    async fn end(&self, here: &Here<'_>, app: &Arc<AppContext>) {
        let Some(_turn) = here.supervisor.move_app().await else { return };
        let (ended, commands) = here.supervisor.end_loops(app).await;
        if ended == Ended::Stuck {
            // From now on, this node leaves the app to others.
            app.lifecycle.stuck.store(true, Ordering::Relaxed);
            tracing::error!(app = %app.name, "the app does not end: a call of its connector blocks; restart the daemon");
            return;
        }
        self.give_back(here.history, app, ended == Ended::Finished).await;
        here.supervisor.forget(&app.name);
        here.fleet.put(here.assembly.again(app, false));
        drop(commands);
    }

    /// Releases an app whose loops have ended, so that other nodes can take it.
    pub(crate) async fn give_back(&self, history: Option<&Recorder>, app: &AppContext, is_over: bool) {
        if !self.holds(&app.key) {
            return;
        }
        if let Some(history) = history {
            history.write(app).await;
        }
        self.release(&app.key, &app.name, is_over).await;
    }

    async fn release(&self, key: &AppKey, name: &str, is_over: bool) {
        if let Err(error) = self.leases.release(key, is_over).await {
            tracing::warn!(app = name, %error, "the app could not be returned; others take it when its lease has ended");
        }
    }

    /// Announces that this node takes no more apps.
    pub(crate) async fn leave(&self) {
        let presence = Presence { apps: Vec::new(), is_leaving: true };
        // If the announcement fails, its leases still expire.
        drop(tokio::time::timeout(FAREWELL, self.leases.look(&presence)).await);
    }
}

/// Whether the loops of an app run in this process, or do not end.
fn is_running(here: &Here<'_>, key: &AppKey) -> bool {
    here.fleet.all().values().any(|app| {
        let is_stuck = app.lifecycle.stuck.load(Ordering::Relaxed);
        app.key == *key && (is_stuck || here.supervisor.is_running(&app.name))
    })
}

/// Starts the loops of an app in a new context. `continues` says whether it has only moved from another node.
async fn start(here: &Here<'_>, name: &str, key: &AppKey, continues: bool) {
    let Some(_turn) = here.supervisor.move_app().await else { return };
    let Some(app) = here.fleet.get(name).filter(|app| app.key == *key) else { return };
    if here.supervisor.is_running(name) {
        return;
    }
    let app = here.assembly.again(&app, continues);
    if here.supervisor.start(&app) {
        here.fleet.put(app);
    }
}
