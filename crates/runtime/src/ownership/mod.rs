//! Decides which apps run on this node if several nodes share their state.
//!
//! [`plan`] decides which apps this node takes and gives up; this module does it, every tenth of a lease, but at least once a second and at
//! most ten times a second. An app that this node does not own is still in the fleet, as a context without loops, so that its status can be
//! read. Taking an app starts the loops of a new context, like a start of the daemon; giving it up ends them, like a stop. Safety does not
//! depend on this module: the database refuses writes to an app that this node does not own, and no call starts without a recorded intent
//! and a lease.

mod plan;

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
use bridgehead_store::lease::{Leases, Presence, View};
use bridgehead_store::{AppKey, Error};

/// How long a node that is leaving tries to announce it.
const FAREWELL: Duration = Duration::from_secs(1);

/// Knows which node runs which app.
#[derive(Debug)]
pub(crate) struct Ownership {
    leases: Arc<dyn Leases>,
    seen: RwLock<Seen>,
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
        Self { leases, seen: RwLock::default() }
    }

    /// Returns the last view.
    pub(crate) fn seen(&self) -> Seen {
        self.seen.read().unwrap_or_else(PoisonError::into_inner).clone()
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
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                _ = ticks.tick() => {}
            }
            let is_fresh = self.look(here).await;
            self.end_what_is_lost(here).await;
            if !is_fresh || stop.is_cancelled() {
                continue;
            }
            let view = self.seen().view;
            let may_move = moved_at.elapsed() >= lease;
            let mut taking = FuturesUnordered::new();
            for step in plan::steps(&view, lease, may_move) {
                match step {
                    Step::Acquire(app) => taking.push(self.take(here, app)),
                    Step::Leave(app) => self.move_away(here, &app, "a node that may run it").await,
                    Step::Release { app, to } => {
                        moved_at = Instant::now();
                        self.move_away(here, &app, &to).await;
                    }
                }
            }
            while taking.next().await.is_some() {}
            self.start_what_is_ours(here).await;
        }
    }

    async fn look(&self, here: &Here<'_>) -> bool {
        let name = self.leases.node_name();
        let all = here.fleet.all();
        // An app may be restricted to the nodes that can reach its target.
        let fit = all.values().filter(|app| {
            let nodes = &app.settings.nodes;
            nodes.is_empty() || nodes.iter().any(|node| node == name)
        });
        let apps = fit.map(|app| app.key.clone()).collect();
        let presence = Presence { apps, is_leaving: false };
        let limit = self.leases.lease() / 3;
        let looked = tokio::time::timeout(limit, self.leases.look(&presence)).await;
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

    async fn take(&self, here: &Here<'_>, key: AppKey) {
        let Some(app) = here.fleet.all().into_values().find(|app| app.key == key) else { return };
        match self.leases.acquire(&key).await {
            Ok(acquired) => {
                let settles_in = acquired.settles_in;
                tracing::info!(app = %app.name, epoch = acquired.epoch, ?settles_in, "this node runs the app from now on");
                start(here, &app.name, &key, settles_in).await;
            }
            Err(Error::Owned { node, .. }) => {
                tracing::debug!(app = %app.name, node, "another node was quicker to take the app");
            }
            Err(error) => {
                tracing::warn!(app = %app.name, %error, "the app could not be taken; retrying");
            }
        }
    }

    async fn move_away(&self, here: &Here<'_>, key: &AppKey, to: &str) {
        let Some(app) = here.fleet.all().into_values().find(|app| app.key == *key) else { return };
        tracing::info!(app = %app.name, to, "the app is moved to another node");
        self.end(here, &app).await;
    }

    /// Ends the loops of apps that another node has taken over.
    async fn end_what_is_lost(&self, here: &Here<'_>) {
        for app in here.fleet.all().into_values() {
            if here.supervisor.is_running(&app.name) && !self.holds(&app.key) {
                tracing::error!(app = %app.name, "another node runs the app now, because this one could not renew its lease in time");
                self.end(here, &app).await;
            }
        }
    }

    /// Starts apps that a reload has added, or that were taken during a reload.
    async fn start_what_is_ours(&self, here: &Here<'_>) {
        for app in here.fleet.all().into_values() {
            let is_stuck = app.lifecycle.stuck.load(std::sync::atomic::Ordering::Relaxed);
            if self.holds(&app.key) && !here.supervisor.is_running(&app.name) && !is_stuck {
                start(here, &app.name, &app.key, Duration::ZERO).await;
            }
        }
    }

    /// Ends the loops of an app, and releases it if this node owns it.
    async fn end(&self, here: &Here<'_>, app: &Arc<AppContext>) {
        let Some(_turn) = here.supervisor.change().await else { return };
        let (ended, commands) = here.supervisor.end_loops(app).await;
        if ended == Ended::Stuck {
            tracing::error!(app = %app.name, "the app does not end: a call of its connector blocks; restart the daemon");
            return;
        }
        self.give_back(here.history, app, ended == Ended::Finished).await;
        here.supervisor.forget(&app.name);
        here.fleet.put(here.assembly.again(app, Duration::ZERO));
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
        if let Err(error) = self.leases.release(&app.key, is_over).await {
            tracing::warn!(app = %app.name, %error, "the app could not be returned; others take it when its lease has ended");
        }
    }

    /// Announces that this node takes no more apps.
    pub(crate) async fn leave(&self) {
        let presence = Presence { apps: Vec::new(), is_leaving: true };
        // If the announcement fails, its leases still expire.
        drop(tokio::time::timeout(FAREWELL, self.leases.look(&presence)).await);
    }
}

/// Starts the loops of an app in a new context.
async fn start(here: &Here<'_>, name: &str, key: &AppKey, settles_in: Duration) {
    let Some(_turn) = here.supervisor.change().await else { return };
    let Some(app) = here.fleet.get(name).filter(|app| app.key == *key) else { return };
    if here.supervisor.is_running(name) {
        return;
    }
    let app = here.assembly.again(&app, settles_in);
    if here.supervisor.start(&app) {
        here.fleet.put(app);
    }
}
