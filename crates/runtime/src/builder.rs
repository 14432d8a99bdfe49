//! Assembles a runtime without starting anything.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bridgehead_resilience::{Clock, SeededRng, SystemClock};
use bridgehead_sdk::{Connector, Redactor};
use tokio::sync::OwnedRwLockReadGuard;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::app::{AppContext, AppParts, SharedServices};
use super::audit::Audit;
use super::fleet::Fleet;
use super::guard::HeldTask;
use super::history::Recorder;
use super::liveness::Liveness;
use super::operator_commands::{self, RejectedReport};
use super::ownership::{Here, Ownership};
use super::reporter::StatusReporter;
use super::status::AppStatus;
use super::supervisor::Supervisor;
use super::sync;
use bridgehead_bridge::Api;
use bridgehead_config as config;
use bridgehead_store::lease::Leases;
use bridgehead_store::{self as journal, HistoryStore, SnapshotStore, TaskJournal};

/// The apps of a configuration by name, each with its settings and its connector.
pub type Apps = BTreeMap<String, (config::App, Arc<dyn Connector>)>;

/// The components of a runtime. All external dependencies are behind traits, so that tests can replace them.
pub struct RuntimeBuilder {
    /// The configured apps, each with its connector.
    pub apps: Apps,
    /// The Bridge. The runtime retries calls itself: see [`Client::without_retries`](bridgehead_bridge::Client::without_retries).
    pub bridge: Arc<dyn Api>,
    /// The durable state of tasks.
    pub journal: Arc<dyn TaskJournal>,
    /// The durable state of syncs.
    pub snapshots: Arc<dyn SnapshotStore>,
    /// Storage for the history; without it there are no charts.
    pub history: Option<Arc<dyn HistoryStore>>,
    /// Knows every secret of the configuration.
    pub redactor: Redactor,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// The seed for all jitter; random if `None`.
    pub seed: Option<u64>,
    /// How long running work may continue after shutdown has been requested.
    pub shutdown_grace: Duration,
    /// The audit log for decisions and operator commands.
    pub audit: Audit,
    /// The leases of this node, where several nodes share the state; without, every app is its own.
    pub leases: Option<Arc<dyn Leases>>,
}

impl RuntimeBuilder {
    /// Creates a builder with the system clock and random jitter.
    pub fn new(
        apps: Apps,
        bridge: Arc<dyn Api>,
        journal: Arc<dyn TaskJournal>,
        snapshots: Arc<dyn SnapshotStore>,
        redactor: Redactor,
        shutdown_grace: Duration,
    ) -> Self {
        let clock = Arc::new(SystemClock);
        let (history, seed, audit, leases) = (None, None, Audit::none(), None);
        Self {
            apps,
            bridge,
            journal,
            snapshots,
            history,
            redactor,
            clock,
            seed,
            shutdown_grace,
            audit,
            leases,
        }
    }

    /// Stores a history of the apps' activity.
    pub fn with_history(self, history: Arc<dyn HistoryStore>) -> Self {
        Self { history: Some(history), ..self }
    }

    /// Builds the runtime.
    pub fn build(self) -> Runtime {
        let assembly = Assembly {
            journal: self.journal,
            snapshots: self.snapshots,
            shared: SharedServices::new(
                &self.redactor,
                self.clock,
                Arc::new(self.seed.map_or_else(SeededRng::from_os, SeededRng::seeded)),
                self.audit.clone(),
            ),
            leases: self.leases.clone(),
        };
        let apps = self.apps.into_iter().map(|(name, (settings, connector))| {
            let app = assembly.app(&name, settings, connector, Arc::clone(&self.bridge), false);
            (name, app)
        });
        let fleet = Arc::new(Fleet::new(apps.collect()));
        let vitals = Arc::new(Liveness::new());
        let started_at = assembly.shared.clock.now();
        let history = self.history.map(|store| Arc::new(Recorder::new(Arc::clone(&fleet), store)));
        let observer = StatusReporter::new(
            Arc::clone(&fleet),
            Arc::clone(&vitals),
            Arc::clone(&assembly.shared.clock),
            started_at,
            self.audit.clone(),
        )
        .with_history(history.clone());
        let ownership = self.leases.map(|leases| Arc::new(Ownership::new(leases)));
        let observer = observer.with_ownership(ownership.clone());
        let supervisor = Supervisor::new(Arc::clone(&vitals), self.shutdown_grace);
        Runtime { fleet, assembly, supervisor, vitals, observer, audit: self.audit, history, ownership }
    }
}

impl std::fmt::Debug for RuntimeBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RuntimeBuilder").field("apps", &self.apps.keys()).finish_non_exhaustive()
    }
}

/// Components shared by all apps of a runtime.
pub(crate) struct Assembly {
    journal: Arc<dyn TaskJournal>,
    snapshots: Arc<dyn SnapshotStore>,
    pub(crate) shared: SharedServices,
    leases: Option<Arc<dyn Leases>>,
}

impl Assembly {
    /// Builds an app. `continues` says whether it replaces another app with the same identity.
    pub(crate) fn app(
        &self,
        name: &str,
        settings: config::App,
        connector: Arc<dyn Connector>,
        bridge: Arc<dyn Api>,
        continues: bool,
    ) -> Arc<AppContext> {
        let parts = AppParts {
            name: name.to_owned(),
            settings,
            connector,
            bridge,
            journal: Arc::clone(&self.journal),
            snapshots: Arc::clone(&self.snapshots),
            status: Arc::new(AppStatus::new(Arc::clone(&self.shared.clock))),
            shared: self.shared.clone(),
            leases: self.leases.clone(),
        };
        if continues { AppContext::continuing(parts) } else { AppContext::new(parts) }
    }

    /// Builds another context of an app, for when this node takes it over or gives it up.
    pub(crate) fn again(&self, app: &AppContext, continues: bool) -> Arc<AppContext> {
        let (connector, bridge) = (Arc::clone(&app.lifecycle.connector), Arc::clone(&app.lifecycle.bridge));
        self.app(&app.name, app.settings.clone(), connector, bridge, continues)
    }
}

impl std::fmt::Debug for Assembly {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Assembly").finish_non_exhaustive()
    }
}

/// A runtime that is ready to run.
#[derive(Debug)]
pub struct Runtime {
    pub(crate) fleet: Arc<Fleet>,
    pub(crate) assembly: Assembly,
    pub(crate) supervisor: Supervisor,
    vitals: Arc<Liveness>,
    observer: StatusReporter,
    audit: Audit,
    pub(crate) history: Option<Arc<Recorder>>,
    pub(crate) ownership: Option<Arc<Ownership>>,
}

/// An app that executes an operator command. The app does not end while this value exists.
pub(crate) struct Entered {
    pub(crate) app: Arc<AppContext>,
    _command: OwnedRwLockReadGuard<()>,
}

impl Runtime {
    /// The status of each app.
    pub fn status(&self) -> BTreeMap<String, Arc<AppStatus>> {
        self.fleet.all().into_iter().map(|(name, app)| (name, Arc::clone(&app.status))).collect()
    }

    /// Returns a reporter for this runtime. Drop it before the journal is closed.
    pub fn observer(&self) -> StatusReporter {
        self.observer.clone()
    }

    /// Executes tasks and syncs on schedule until `stop`, then ends in order, within the grace. Whether everything that ran has finished
    /// by itself; what was cut off may still be under way in a target.
    pub async fn run(&self, stop: CancellationToken) -> bool {
        let enough = CancellationToken::new();
        let recording = self.history.clone().map(|recorder| {
            let enough = enough.clone();
            AbortOnDropHandle::new(tokio::spawn(async move { recorder.run(enough).await }))
        });
        let is_over = {
            let here = Here {
                fleet: &self.fleet,
                supervisor: &self.supervisor,
                assembly: &self.assembly,
                history: self.history.as_deref(),
            };
            self.vitals.during(self.supervisor.run(&here, self.ownership.as_deref(), stop)).await
        };
        enough.cancel();
        if let Some(recording) = recording {
            // It ends after the current write; if it panicked, nothing else depends on it.
            drop(recording.await);
        }
        if let Some(history) = &self.history {
            history.write_all().await;
        }
        is_over
    }

    /// Returns the app with this name for an operator command. While a reload replaces the app, this waits for the new one. `None` if it
    /// does not exist.
    pub(crate) async fn enter(&self, name: &str) -> Option<Entered> {
        loop {
            let app = self.fleet.get(name)?;
            let order = Arc::clone(&app.operator.commands).read_owned().await;
            let is_current = self.fleet.get(name).is_some_and(|current| Arc::ptr_eq(&current, &app));
            if !app.lifecycle.stop.is_cancelled() || is_current {
                return Some(Entered { app, _command: order });
            }
        }
    }

    /// The node that runs an app, if that is not this one; empty if none does. `None` if this one does.
    pub fn elsewhere(&self, name: &str) -> Option<String> {
        let ownership = self.ownership.as_ref()?;
        let app = self.fleet.get(name)?;
        if ownership.holds(&app.key) {
            return None;
        }
        let seen = ownership.seen();
        Some(seen.view.owner(&app.key).map(|owner| owner.node.clone()).unwrap_or_default())
    }

    /// The name of an app in this node's configuration.
    pub(crate) fn name_of(&self, key: &journal::AppKey) -> Option<String> {
        self.fleet.all().into_values().find(|app| app.key == *key).map(|app| app.name.clone())
    }

    /// From now on, a call for a task may last so long: other nodes know it before this returns.
    pub async fn allow_calls(&self, longest: Duration) -> Result<(), journal::Error> {
        match &self.ownership {
            Some(ownership) => ownership.allow_calls(longest).await,
            None => Ok(()),
        }
    }

    /// Syncs one app once, immediately. `None` if the app does not exist.
    pub async fn sync(
        &self,
        app: &str,
        options: sync::Options,
        stop: &CancellationToken,
    ) -> Option<sync::Summary> {
        let entered = self.enter(app).await?;
        let ends = entered.app.lifecycle.stop.child_token();
        let mut sync = Box::pin(sync::run(&entered.app, options, &ends));
        tokio::select! {
            biased;
            () = stop.cancelled() => ends.cancel(),
            summary = &mut sync => return Some(summary),
        }
        Some(sync.await)
    }

    /// The audit log for decisions and operator commands.
    pub fn audit(&self) -> &Audit {
        &self.audit
    }

    /// The app with this name.
    pub(super) fn app(&self, name: &str) -> Option<Arc<AppContext>> {
        self.fleet.get(name)
    }

    /// The number of records in the app's last completed sync; 0 if unknown.
    pub async fn expected(&self, app: &str) -> u64 {
        let Some(app) = self.fleet.get(app) else { return 0 };
        let last = app.snapshots.last(&app.key).await.ok().flatten();
        last.map_or(0, |last| last.counts.values().sum())
    }

    /// The tasks held by the app's deprovision limit, oldest first. `None` if the app does not exist.
    pub fn held(&self, app: &str) -> Option<Vec<HeldTask>> {
        Some(self.fleet.get(app)?.deprovision_limit.held())
    }

    /// The reports that Iden rejected, oldest task first. `None` if the app does not exist.
    pub async fn put_aside(&self, app: &str) -> Option<Result<Vec<RejectedReport>, journal::Error>> {
        let app = self.fleet.get(app)?;
        Some(operator_commands::put_aside(app.store.for_operator(), &app.key).await)
    }

    /// Shuts down the connectors cleanly, if [`run`](Self::run) was not used.
    pub async fn close(&self) {
        for app in self.fleet.all().values() {
            app.target.shut_down().await;
        }
    }
}
