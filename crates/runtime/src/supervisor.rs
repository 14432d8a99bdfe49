//! Keeps the loops of every app running, and ends them cleanly: all of them when the daemon stops, or those of one app when a reload
//! replaces it.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bridgehead_resilience::{Backoff, Next};
use futures::future::join_all;
use tokio::sync::{RwLockReadGuard, RwLockWriteGuard};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::ShuttingDown;
use super::app::AppContext;
use super::liveness::Liveness;
use super::ownership::{Here, Ownership};
use super::policies;
use super::{probe, sync, task};
use crate::fleet::Fleet;

/// Aborted work needs a moment to be dropped.
const DROPPED_WITHIN: Duration = Duration::from_secs(2);
/// A loop that ignores even an abort blocks its thread.
const ABORTED_WITHIN: Duration = Duration::from_secs(5);

/// At the start, apps read their lists for the first time so far apart at most: evenly over `poll_interval`, if they are many.
const APART: Duration = Duration::from_millis(50);

/// How the loops of an app ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// All running work finished.
    Finished,
    /// The grace period expired first; the remaining work was aborted.
    CutOff,
    /// A loop is still running and blocks a thread. No other execution may take over the work it started.
    Stuck,
}

/// The apps whose loops run. Dropping it aborts all of them.
#[derive(Debug)]
pub(crate) struct Supervisor {
    vitals: Arc<Liveness>,
    /// How long running work may continue after shutdown has been requested.
    grace: Arc<Mutex<Duration>>,
    running: Mutex<BTreeMap<String, AbortOnDropHandle<Ended>>>,
    /// Cancelled when the daemon stops: nothing new is started after that.
    stopping: CancellationToken,
    /// Written during a reload, read while a single app moves between nodes: shutdown waits for the apps that either has started.
    changing: tokio::sync::RwLock<()>,
}

impl Supervisor {
    pub(crate) fn new(vitals: Arc<Liveness>, grace: Duration) -> Self {
        Self {
            vitals,
            grace: Arc::new(Mutex::new(grace)),
            running: Mutex::default(),
            stopping: CancellationToken::new(),
            changing: tokio::sync::RwLock::default(),
        }
    }

    pub(crate) fn set_grace(&self, grace: Duration) {
        *self.grace.lock().unwrap_or_else(PoisonError::into_inner) = grace;
    }

    pub(crate) fn grace(&self) -> Duration {
        *self.grace.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for other reloads, and for apps that move between nodes. `None` if the daemon is stopping.
    pub(crate) async fn change(&self) -> Option<RwLockWriteGuard<'_, ()>> {
        let turn = self.changing.write().await;
        (!self.stopping.is_cancelled()).then_some(turn)
    }

    /// Waits for reloads, but not for other apps that move: one that ends slowly delays no other. `None` if the daemon is stopping.
    pub(crate) async fn move_app(&self) -> Option<RwLockReadGuard<'_, ()>> {
        let turn = self.changing.read().await;
        (!self.stopping.is_cancelled()).then_some(turn)
    }

    /// Starts the loops of an app, unless the daemon is stopping.
    pub(crate) fn start(&self, app: &Arc<AppContext>) -> bool {
        if self.stopping.is_cancelled() {
            return false;
        }
        let (vitals, grace) = (Arc::clone(&self.vitals), Arc::clone(&self.grace));
        let running = tokio::spawn(run_app(Arc::clone(app), grace, vitals));
        let mut all = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(app.name.clone(), AbortOnDropHandle::new(running));
        true
    }

    /// Ends an app: its loops, its operator commands, and its connector. Until the result is dropped, the app stays inaccessible.
    pub(crate) async fn end(
        &self,
        app: &AppContext,
    ) -> (Ended, Option<tokio::sync::OwnedRwLockWriteGuard<()>>) {
        let (ended, commands) = self.end_loops(app).await;
        if ended != Ended::Stuck {
            app.target.shut_down().await;
        }
        (ended, commands)
    }

    /// The same without its connector, with which another context of the app can go on.
    pub(crate) async fn end_loops(
        &self,
        app: &AppContext,
    ) -> (Ended, Option<tokio::sync::OwnedRwLockWriteGuard<()>>) {
        app.lifecycle.stop.cancel();
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).remove(&app.name);
        let ended = match running {
            // The app's supervisor itself panicked, and its loops were aborted with it.
            Some(running) => running.await.unwrap_or(Ended::CutOff),
            None => Ended::Finished,
        };
        if ended == Ended::Stuck {
            app.lifecycle.stuck.store(true, Ordering::Relaxed);
        }
        // Once stuck, an app stays stuck: later calls must not take it for ended.
        let ended = if app.lifecycle.stuck.load(Ordering::Relaxed) { Ended::Stuck } else { ended };
        let patience = self.grace() + ABORTED_WITHIN;
        let commands = tokio::time::timeout(patience, Arc::clone(&app.operator.commands).write_owned()).await;
        let (Ended::Finished | Ended::CutOff, Ok(commands)) = (ended, commands) else {
            return (Ended::Stuck, None);
        };
        (ended, Some(commands))
    }

    /// Whether the loops of an app run.
    pub(crate) fn is_running(&self, app: &str) -> bool {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).contains_key(app)
    }

    /// Starts all apps. Their first polls are spread over the poll interval.
    pub(crate) fn start_all(&self, fleet: &Fleet) {
        let apps = fleet.all();
        for (number, app) in (0_u32..).zip(apps.values()) {
            let share = app.settings.tasks.poll_interval / u32::try_from(apps.len()).unwrap_or(u32::MAX);
            // It is set once, before the app starts.
            let _already: Result<(), Duration> = app.lifecycle.first_poll.set(share.min(APART) * number);
            self.start(app);
        }
    }

    /// Removes an app, so that its loops are no longer expected to run.
    pub(crate) fn forget(&self, app: &str) {
        self.vitals.forget(app);
    }

    /// Runs all apps until `stop` is cancelled, then gives running work its grace period to finish. A loop that panics is restarted with
    /// backoff; other apps are not affected.
    ///
    /// Cancel: `stop` ends new work and waits for what runs; after the grace period, the rest is cut off. Dropping this aborts every
    /// loop, which loses nothing that the journal does not have. Error: none gets here; each loop handles its own. A loop that stops
    /// unexpectedly makes the daemon [unhealthy](Liveness), and is not started again. Panic: one in here aborts every loop of its app.
    ///
    /// Whether everything that ran has finished: else, a call may still be under way in a target.
    ///
    /// Where nodes share the state, `ownership` says which apps run here, and each is returned as soon as it has ended.
    pub(crate) async fn run(
        &self,
        here: &Here<'_>,
        ownership: Option<&Ownership>,
        stop: CancellationToken,
    ) -> bool {
        let _all = EndsWith(&self.running);
        let fleet = here.fleet;
        let stop_all = || fleet.all().values().for_each(|app| app.lifecycle.stop.cancel());
        let running = async {
            if let Some(ownership) = ownership {
                ownership.run(here, &stop).await;
            } else {
                self.start_all(fleet);
                stop.cancelled().await;
            }
        };
        // All apps stop at once, even if one of them is just ending for another node.
        let stopping = async {
            stop.cancelled().await;
            self.stopping.cancel();
            stop_all();
            Instant::now()
        };
        let ((), began) = futures::future::join(running, stopping).await;
        // A reload in progress starts nothing after this; the apps it has already started are stopped too.
        let _turn = self.changing.write().await;
        stop_all();
        let running = std::mem::take(&mut *self.running.lock().unwrap_or_else(PoisonError::into_inner));
        let leaving = async {
            if let Some(ownership) = ownership {
                ownership.leave().await;
            }
        };
        let ending = join_all(running.into_iter().map(|(name, running)| async move {
            let ended = running.await;
            let app = fleet.get(&name);
            if let (Some(ownership), Some(app), Ok(Ended::Finished | Ended::CutOff)) =
                (ownership, app, &ended)
            {
                ownership.give_back(here.history, &app, matches!(ended, Ok(Ended::Finished))).await;
            }
            ended
        }));
        let (ended, ()) = futures::future::join(ending, leaving).await;
        let is_over = ended.iter().all(|ended| matches!(ended, Ok(Ended::Finished)));
        if is_over {
            tracing::info!(took = ?began.elapsed(), "all running work has finished");
        } else {
            tracing::warn!(grace = ?self.grace(), "grace period expired with work still running");
        }
        join_all(fleet.all().values().map(|app| app.target.shut_down())).await;
        is_over
    }
}

/// Aborts all apps when the supervisor is dropped.
struct EndsWith<'a>(&'a Mutex<BTreeMap<String, AbortOnDropHandle<Ended>>>);

impl Drop for EndsWith<'_> {
    fn drop(&mut self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// Runs the loops of one app until it is stopped.
async fn run_app(app: Arc<AppContext>, grace: Arc<Mutex<Duration>>, vitals: Arc<Liveness>) -> Ended {
    let cut_off = CancellationToken::new();
    let stop = &app.lifecycle.stop;
    if load_pause(&app, stop).await.is_err() {
        return Ended::Finished;
    }
    // At once, also if the app is paused: reading lists, reporting and the sync's reading need not wait for it.
    let _fencing = {
        let (app, stop) = (Arc::clone(&app), stop.clone());
        AbortOnDropHandle::new(tokio::spawn(async move { app.fence.pass(&app, &stop).await }))
    };
    let mut loops = JoinSet::new();
    let tasks = {
        let (stop, cut_off) = (stop.clone(), cut_off.clone());
        move |app| task::scheduler::run(app, stop.clone(), cut_off.clone())
    };
    loops.spawn(keep_alive(Arc::clone(&app), "tasks", tasks));
    if app.settings.sync.enabled {
        let stop = stop.clone();
        loops.spawn(keep_alive(Arc::clone(&app), "sync", move |app| sync::schedule::run(app, stop.clone())));
    }
    let probe = {
        let stop = stop.clone();
        move |app| probe::run(app, stop.clone())
    };
    loops.spawn(keep_alive(Arc::clone(&app), "probe", probe));
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Some(ended) = loops.join_next() => if let (Ok(name), false) = (ended, stop.is_cancelled()) {
                tracing::error!(app = %app.name, "the {name} loop stopped unexpectedly; restart the daemon");
                vitals.ended(&app.name, name);
            }
        }
    }
    let grace = *grace.lock().unwrap_or_else(PoisonError::into_inner);
    let has_finished = tokio::select! {
        finished = tokio::time::timeout(grace, all_of(&mut loops)) => finished.is_ok(),
        () = app.lifecycle.lost.cancelled() => false,
    };
    if has_finished {
        return Ended::Finished;
    }
    cut_off.cancel();
    if tokio::time::timeout(DROPPED_WITHIN, all_of(&mut loops)).await.is_ok() {
        return Ended::CutOff;
    }
    match tokio::time::timeout(ABORTED_WITHIN, loops.shutdown()).await {
        Ok(()) => Ended::CutOff,
        Err(_) => Ended::Stuck,
    }
}

async fn all_of<T: 'static>(loops: &mut JoinSet<T>) {
    while loops.join_next().await.is_some() {}
}

/// A paused app stays paused across restarts and reloads.
async fn load_pause(app: &AppContext, stop: &CancellationToken) -> Result<(), ShuttingDown> {
    let retry = app.retry(policies::LOCAL).until(stop);
    let _change = app.operator.pausing.change().await;
    let paused = retry.run(
        |_| app.store.paused(),
        |_| Next::Retry,
        |failed| tracing::error!(app = %app.name, error = %failed.error, "the journal cannot be read"),
    );
    let paused = paused.await.map_err(|_| ShuttingDown)?;
    if let Some(pause) = &paused {
        tracing::warn!(app = %app.name, by = pause.by, since = %pause.since, "the app is paused: no task and no sync starts until it is resumed");
    }
    app.operator.pausing.set(paused);
    Ok(())
}

/// Runs a loop until it ends, and returns its name.
///
/// Cancel: dropping the future aborts the loop. Error: loops return none. Panic: a panic of the loop is counted, and the loop is restarted
/// after a delay that grows while panics follow one another within ten minutes.
async fn keep_alive<F>(
    app: Arc<AppContext>,
    name: &'static str,
    start: impl Fn(Arc<AppContext>) -> F,
) -> &'static str
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut backoff = Backoff::new(policies::LOCAL);
    loop {
        let began = Instant::now();
        let mut running = JoinSet::new();
        running.spawn(start(Arc::clone(&app)));
        match running.join_next().await {
            Some(Err(error)) if error.is_panic() => {
                if began.elapsed() > Duration::from_mins(10) {
                    backoff.succeeded();
                }
                app.status.tally().panicked(name, app.shared.clock.now());
                let wait = backoff.failed(app.shared.rng.unit());
                tracing::error!(app = %app.name, panics = backoff.failures(), ?wait, "the {name} loop panicked and is being restarted");
                tokio::time::sleep(wait).await;
            }
            _ => return name,
        }
    }
}
