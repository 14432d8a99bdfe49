//! Observes a running runtime from outside.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bridgehead_resilience::{Clock, SystemClock};
use bridgehead_sdk::visible;
use futures::future::join_all;
use jiff::{SignedDuration, Timestamp, Unit};
use tokio::time::Instant;

use super::alarm;
use super::app::AppContext;
use super::audit::Audit;
use super::fleet::Fleet;
use super::history::Recorder;
use super::liveness::{Liveness, Unhealthy};
use super::ownership::{self, Ownership};
use super::policies;
use super::progress::{Seen, TaskSeen};
use super::readiness::{Readiness, Watched};
use super::report::{
    AppOverview, Completed, DaemonOverview, Guarded, Held, NodeOverview, OwnerOverview, PollFailing, Silence,
    StatusReport, SyncRun, TaskAttempts, Unwritable,
};
use super::shared_status;
use super::status::AppStatus;
use bridgehead_store::lease::NodeSeen;
use bridgehead_store::{self as journal, AppKey, HistoryStore, Pause, SnapshotStore, TaskJournal};

/// How many recent syncs are shown.
const SHOWN: usize = 10;
/// How many tasks that are retried are shown.
const SHOWN_ATTEMPTS: usize = 20;
/// How many recent syncs are read to find out since when a state has lasted.
const LOOKED_AT: u32 = 200;
/// How long the state folder may take to respond.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a panic is shown.
const PANIC_SHOWN: SignedDuration = SignedDuration::from_hours(1);

/// Observes a runtime. Clones observe the same one. Keeps the journal open while it exists.
#[derive(Clone, Debug)]
pub struct StatusReporter {
    fleet: Arc<Fleet>,
    vitals: Arc<Liveness>,
    clock: Arc<dyn Clock>,
    started_at: Timestamp,
    audit: Audit,
    history: Option<Arc<Recorder>>,
    ownership: Option<Arc<Ownership>>,
}

impl StatusReporter {
    pub(crate) fn new(
        fleet: Arc<Fleet>,
        vitals: Arc<Liveness>,
        clock: Arc<dyn Clock>,
        started_at: Timestamp,
        audit: Audit,
    ) -> Self {
        Self { fleet, vitals, clock, started_at, audit, history: None, ownership: None }
    }

    pub(crate) fn with_history(self, history: Option<Arc<Recorder>>) -> Self {
        Self { history, ..self }
    }

    pub(crate) fn with_ownership(self, ownership: Option<Arc<Ownership>>) -> Self {
        Self { ownership, ..self }
    }

    /// Whether an app runs on this node.
    fn is_here(&self, app: &AppContext) -> bool {
        self.ownership.as_ref().is_none_or(|ownership| ownership.holds(&app.key))
    }

    /// How many times a reload has replaced, added or removed an app. If it has changed, data read earlier may concern other apps.
    pub fn exchanges(&self) -> u64 {
        self.fleet.exchanges()
    }

    pub(crate) fn apps(&self) -> Vec<Arc<AppContext>> {
        self.fleet.all().into_values().collect()
    }

    pub(crate) fn app(&self, name: &str) -> Option<Arc<AppContext>> {
        self.fleet.get(name)
    }

    pub(crate) fn history(&self) -> Option<&dyn HistoryStore> {
        self.history.as_deref().map(Recorder::store)
    }

    /// A reporter for a daemon without apps, for tests of code that displays it.
    #[doc(hidden)]
    pub fn without_apps(vitals: Arc<Liveness>, clock: Arc<dyn Clock>, started_at: Timestamp) -> Self {
        Self::new(Arc::default(), vitals, clock, started_at, Audit::none())
    }

    /// Whether the background loops are running.
    pub fn health(&self) -> Result<(), Unhealthy> {
        self.vitals.check()
    }

    /// Returns a watcher for readiness.
    pub fn readiness(&self) -> Readiness {
        let apps = self.fleet.all().into_iter().filter(|(_, app)| self.is_here(app));
        let watched = |app: &AppContext| Watched {
            polls: app.settings.tasks.enabled.then(|| Arc::clone(&app.status)),
            upstream: Arc::clone(&app.upstream),
        };
        Readiness::new(apps.map(|(name, app)| (name, watched(&app))).collect())
    }

    /// The counters of each app.
    pub fn statuses(&self) -> impl Iterator<Item = (String, Arc<AppStatus>)> {
        self.fleet.all().into_iter().map(|(name, app)| (name, Arc::clone(&app.status)))
    }

    /// The current state of the daemon and its apps. Reads the journal; data that does not arrive in time is left out.
    pub async fn overview(&self) -> StatusReport {
        let all = self.fleet.all();
        let ownership = self.ownership.as_deref().filter(|_| !all.values().all(|app| self.is_here(app)));
        let others = shared_status::reported(ownership, self.clock.now()).await;
        let look =
            async |(name, app): (&String, &Arc<AppContext>)| (name.clone(), self.look_at(app, &others).await);
        let apps = join_all(all.iter().map(look));
        let apps = apps.await.into_iter().collect();
        let now = self.clock.now();
        let ready = self.readiness().now();
        let uptime = now.duration_since(self.started_at).as_secs();
        let daemon = DaemonOverview {
            version: env!("CARGO_PKG_VERSION").into(),
            pid: std::process::id(),
            started_at: self.started_at,
            uptime_seconds: u64::try_from(uptime).unwrap_or(0),
            unhealthy: self.health().err().map(|ailment| ailment.to_string()),
            ready: ready.is_ready(),
            readiness: ready.to_string(),
            last_reload: self.fleet.last_reload(),
            audit: self.audit.status(),
            nodes: self
                .ownership
                .as_ref()
                .map(|ownership| nodes(&ownership.seen(), ownership.lease(), now))
                .unwrap_or_default(),
        };
        StatusReport { at: now, daemon: Some(daemon), apps }
    }

    async fn look_at(&self, app: &AppContext, others: &BTreeMap<String, AppOverview>) -> AppOverview {
        let is_here = self.is_here(app);
        let mut seen = if is_here {
            self.live(app)
        } else {
            let configured = AppOverview::configured(&app.settings);
            match others.get(app.key.as_str()) {
                Some(reported) => AppOverview { limits: configured.limits, ..reported.clone() },
                None => configured,
            }
        };
        // What the app itself knows about its last sync is newer than what was recorded.
        let last = seen.sync.last.take();
        remember(&mut seen, app.store.for_operator(), &*app.snapshots, &app.key).await;
        seen.sync.last = last.or_else(|| seen.sync.last.take());
        clean_syncs(app, &mut seen);
        let now = self.clock.now();
        if let Some(ownership) = &self.ownership {
            seen.owner = owner(&ownership.seen(), &app.key, now);
        }
        if is_here || seen.reported_at.is_some() {
            seen.alarms = alarm::all(&app.name, &seen, now);
        }
        if let Some(ownership) = self.ownership.as_ref().filter(|_| !is_here) {
            let why = elsewhere(&ownership.seen(), &app.key);
            if let Some(since) = ownership.orphaned_since(&app.key) {
                let lasts = since.elapsed();
                seen.alarms.push(alarm::no_owner(&why, long_ago(now, lasts), lasts, ownership.lease()));
            }
            seen.elsewhere = Some(why);
        }
        seen
    }

    /// What this process knows about an app that it runs, without reading the state.
    pub(crate) fn live(&self, app: &AppContext) -> AppOverview {
        let mut seen = AppOverview::configured(&app.settings);
        seen.running_since = Some(app.lifecycle.running_since);
        let now = self.clock.now();
        let status = &app.status;
        let clean = |text: &str| visible(&app.shared.redactor.redact(text)).into_owned();
        let pause = app.operator.pausing.now();
        seen.paused = pause.map(|pause| Pause { reason: pause.reason.as_deref().map(clean), ..pause });
        seen.audit_unwritable = self.audit.status().and_then(|audit| {
            let message = audit.message.as_deref().map(clean)?;
            Some(Unwritable { since: audit.failing_since?, message })
        });
        seen.access_refused = app.upstream.refused().map(|cause| clean(&cause));
        seen.held = app.target.outage().map(|cause| Held {
            since: long_ago(now, cause.since.elapsed()),
            code: cause.code,
            message: clean(&cause.message),
            hold_for_seconds: app.settings.tasks.hold_for.as_secs(),
        });
        seen.tasks.contact = *status.contact().borrow();
        seen.tasks.polled_at = status.polled_at();
        seen.tasks.failing = status.poll_failure().map(|failure| PollFailing {
            since: failure.since,
            message: clean(&failure.message),
            advice: failure.advice,
        });
        seen.tasks.counts = Some(status.tasks());
        add_progress(&mut seen, status.progress().seen(), now);
        // Show the worst: most attempts first, then those under way for longest.
        seen.tasks.attempts.sort_by_key(|task| std::cmp::Reverse(task.attempts));
        seen.tasks.attempts.truncate(SHOWN_ATTEMPTS);
        seen.silence = app
            .target
            .silence()
            .map(|silence| Silence { since: long_ago(now, silence.since.elapsed()), calls: silence.calls });
        seen.tasks.guarded = status.holding().map(Into::into);
        seen.sync.next_due_at = status.next_sync();
        let progress = status.sync().borrow().clone();
        seen.sync.under_way = (!progress.phase.is_empty()).then_some(progress);
        seen.sync.last = status.last_sync().borrow().clone().map(Into::into);
        seen.panicked = status
            .tally()
            .last_panic()
            .filter(|(_, at)| now.duration_since(*at) < PANIC_SHOWN)
            .map(|(name, at)| (name.to_owned(), at));
        clean_syncs(app, &mut seen);
        seen
    }
}

/// Redacts the texts of syncs: a value that an earlier process wrote may only later have been recognized as a secret.
fn clean_syncs(app: &AppContext, seen: &mut AppOverview) {
    let clean = |text: &str| visible(&app.shared.redactor.redact(text)).into_owned();
    let recent = seen.sync.recent.iter_mut().map(|run| (&mut run.detail, &mut run.cause));
    let last = seen.sync.last.iter_mut().map(|last| (&mut last.detail, &mut last.cause));
    for (detail, cause) in recent.chain(last) {
        *detail = clean(detail);
        *cause = cause.take().map(|cause| clean(&cause));
    }
}

/// The state of the apps without a running daemon: what the journal contains, opened read-only.
pub async fn from_state(
    apps: &BTreeMap<String, bridgehead_config::App>,
    state: Option<&dyn journal::StateStore>,
) -> StatusReport {
    let now = SystemClock.now();
    let mut overview = StatusReport { at: now, daemon: None, apps: BTreeMap::new() };
    for (name, settings) in apps {
        let mut seen = AppOverview::configured(settings);
        if let Some(state) = state {
            let key = AppKey::from(settings.app_id);
            remember(&mut seen, state, state, &key).await;
            // An earlier version may have written this state, and it recorded no held tasks.
            seen.tasks.guarded = state.held(&key).await.ok().and_then(|held| still_held(&held));
            seen.paused = state.paused(&key).await.ok().flatten();
        }
        seen.alarms = alarm::all(name, &seen, now);
        overview.apps.insert(name.clone(), seen);
    }
    overview
}

fn still_held(tasks: &[journal::Held]) -> Option<Guarded> {
    let held = || tasks.iter().filter(|task| task.released_at.is_none());
    let since = held().map(|task| task.held_at).min()?;
    Some(Guarded { since, held: held().count() as u64, executed: None, max: None, per_seconds: None })
}

/// All nodes, as the database knows them.
fn nodes(seen: &ownership::Seen, lease: Duration, now: Timestamp) -> Vec<NodeOverview> {
    let age = seen.at.map(|at| at.elapsed()).unwrap_or_default();
    let node = |node: &NodeSeen| {
        let owned = seen.view.owners.iter().filter(|owner| owner.process == node.process);
        NodeOverview {
            name: node.name.clone(),
            version: node.version.clone(),
            is_this: node.process == seen.view.me,
            up_since: long_ago(now, node.up_for + age),
            seen_at: long_ago(now, node.silent_for + age),
            leaving: node.presence.is_leaving,
            lost: node.process != seen.view.me && node.silent_for + age > lease,
            apps: owned.filter(|owner| !owner.lasts_for.is_zero()).count() as u64,
        }
    };
    seen.view.nodes.iter().map(node).collect()
}

fn owner(seen: &ownership::Seen, app: &AppKey, now: Timestamp) -> Option<OwnerOverview> {
    let owner = seen.view.owner(app)?;
    let age = seen.at.map(|at| at.elapsed()).unwrap_or_default();
    Some(OwnerOverview { node: owner.node.clone(), since: long_ago(now, owner.owned_for + age) })
}

/// Why an app does not run here.
fn elsewhere(seen: &ownership::Seen, app: &AppKey) -> String {
    if let Some(failure) = &seen.failure {
        return format!("no node can be seen to run it: {failure}");
    }
    match seen.view.owner(app) {
        Some(owner) => format!("node {} runs it", owner.node),
        None if seen.at.is_none() => "this node has not looked yet who runs it".to_owned(),
        None => match seen.view.owners.iter().find(|owner| owner.app == app.as_str()) {
            Some(last) => {
                format!("no node runs it: node {} had it last, and another one takes it soon", last.node)
            }
            None => "no node runs it yet".to_owned(),
        },
    }
}

/// Adds what should make progress, and since when it has made none.
fn add_progress(app: &mut AppOverview, progress: Seen, now: Timestamp) {
    let at = |instant: Instant| long_ago(now, instant.elapsed());
    let tasks = &mut app.tasks;
    tasks.attempts_total = progress.tasks.len() as u64;
    tasks.attempts =
        progress.tasks.into_iter().take(SHOWN_ATTEMPTS).map(|task| attempts(task, now)).collect();
    tasks.not_due = progress.not_due;
    tasks.unreadable = progress.unreadable;
    tasks.still_since = progress.still.map(at);
    if tasks.enabled {
        // Between two polls there is a pause of `poll_interval`, or a growing delay after a failure.
        let rest = Duration::from_millis(tasks.poll_interval_ms).saturating_mul(2) + policies::BRIDGE.cap;
        let overdue = progress.heard.checked_add(rest).filter(|due| *due <= Instant::now());
        tasks.silent_since = progress.asked.or(overdue).map(at);
    }
    app.state_unwritable = progress
        .unwritten
        .map(|unwritten| Unwritable { since: at(unwritten.since), message: unwritten.message });
    app.sync.moved_at = Some(at(progress.sync_moved));
}

fn attempts(task: TaskSeen, now: Timestamp) -> TaskAttempts {
    let at = |instant: Instant| long_ago(now, instant.elapsed());
    let until = |instant: Instant| {
        let left = SignedDuration::try_from(instant.saturating_duration_since(Instant::now()));
        let then = now.saturating_add(left.unwrap_or(SignedDuration::MAX)).unwrap_or(Timestamp::MAX);
        then.round(Unit::Second).unwrap_or(then)
    };
    TaskAttempts {
        task: task.task.into_string(),
        action: task.action,
        attempts: task.attempts,
        since: at(task.since),
        tried_at: task.tried.map(at),
        code: task.code,
        reason: task.reason,
        next_try_at: task.next.map(until),
        decided_at: task.decided.map(at),
    }
}

/// Adds what the journal contains.
async fn remember(
    seen: &mut AppOverview,
    journal: &dyn TaskJournal,
    snapshots: &dyn SnapshotStore,
    key: &AppKey,
) {
    // A database that is away answers nothing for a while.
    let verified = tokio::time::timeout(PATIENCE, journal.verify()).await;
    let Ok(verified) = verified else {
        seen.state_unreadable = Some(format!("no response within {PATIENCE:?}"));
        return;
    };
    match verified {
        Ok(()) => {}
        Err(error @ journal::Error::NotOurs { .. }) => {
            // The folder was replaced, so whatever can still be read is outdated.
            seen.state_gone = Some(error.to_string());
            return;
        }
        Err(error) => {
            seen.state_unreadable = Some(error.to_string());
            return;
        }
    }
    // An earlier version may have written this state, and it recorded no doubts. A question is not a doubt yet.
    let doubt = tokio::time::timeout(PATIENCE, journal.doubted(key)).await;
    let doubt = doubt.ok().and_then(Result::ok).flatten();
    seen.state_doubted = doubt.filter(|doubt| !doubt.is_question()).map(Into::into);
    let deadline = Instant::now() + PATIENCE;
    let asked =
        async { tokio::try_join!(journal.counts(key), snapshots.runs(key, LOOKED_AT), snapshots.last(key)) };
    let (counts, runs, last) = match tokio::time::timeout_at(deadline, asked).await {
        Ok(Ok(answers)) => answers,
        Ok(Err(error)) => {
            seen.state_unreadable = Some(error.to_string());
            return;
        }
        Err(_) => {
            seen.state_unreadable = Some(format!("no response within {PATIENCE:?}"));
            return;
        }
    };
    let mut runs: Vec<SyncRun> = runs.into_iter().map(SyncRun::from).collect();
    seen.tasks.journal = Some(counts);
    seen.sync.failures_in_a_row = alarm::failures_in_a_row(&runs);
    seen.sync.unchanged_since = alarm::unchanged_since(&runs);
    seen.sync.last = alarm::told(&runs).next().map(Into::into);
    runs.truncate(SHOWN);
    seen.sync.last_completed = last.map(|last| Completed { at: last.at, counts: last.counts });
    seen.sync.recent = runs;
}

/// A past instant, rounded to seconds. Otherwise, rounding errors would make the result differ at each call.
pub(super) fn long_ago(now: Timestamp, elapsed: Duration) -> Timestamp {
    let elapsed = SignedDuration::try_from(elapsed).unwrap_or(SignedDuration::MAX);
    let then = now.saturating_sub(elapsed).unwrap_or(Timestamp::MIN);
    then.round(Unit::Second).unwrap_or(then)
}
