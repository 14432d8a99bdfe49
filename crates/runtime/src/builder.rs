//! Putting a runtime together: pure, nothing is started.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bridgehead_resilience::{Clock, SeededRng, SystemClock};
use bridgehead_sdk::{Connector, Redactor};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::app::{AppContext, Parts};
use super::guard::HeldTask;
use super::history::Recorder;
use super::liveness::Liveness;
use super::operator_commands::{self, RejectedReport, Released, ReportRetrier, Retries, Selection};
use super::reporter::StatusReporter;
use super::status::AppStatus;
use super::{history, supervisor, sync};
use bridgehead_bridge::Api;
use bridgehead_config as config;
use bridgehead_store::{self as journal, HistoryStore, SnapshotStore, TaskJournal};

/// The apps of a configuration by name, each with its settings and its connector.
pub type Apps = BTreeMap<String, (config::App, Arc<dyn Connector>)>;

/// What a runtime is made of. Everything it reaches stands behind a trait, so that a test can give it something else.
pub struct RuntimeBuilder {
    /// The apps of the configuration, each with its connector.
    pub apps: Apps,
    /// The Bridge. The runtime repeats calls itself: see [`Client::without_retries`](bridgehead_bridge::Client::without_retries).
    pub bridge: Arc<dyn Api>,
    /// The durable state of tasks.
    pub journal: Arc<dyn TaskJournal>,
    /// The durable state of syncs.
    pub listings: Arc<dyn SnapshotStore>,
    /// Where the history is kept; without it there are no charts.
    pub history: Option<Arc<dyn HistoryStore>>,
    /// Knows every secret of the configuration.
    pub redactor: Redactor,
    /// The time of day.
    pub clock: Arc<dyn Clock>,
    /// The seed of all jitter; random when absent.
    pub seed: Option<u64>,
    /// How long what runs may go on after a stop.
    pub shutdown_grace: Duration,
}

impl RuntimeBuilder {
    /// An assembly with the clock of the machine and random jitter.
    pub fn new(
        apps: Apps,
        bridge: Arc<dyn Api>,
        journal: Arc<dyn TaskJournal>,
        listings: Arc<dyn SnapshotStore>,
        redactor: Redactor,
        shutdown_grace: Duration,
    ) -> Self {
        let clock = Arc::new(SystemClock);
        let (history, seed) = (None, None);
        Self { apps, bridge, journal, listings, history, redactor, clock, seed, shutdown_grace }
    }

    /// Keeps a history of what the apps do.
    pub fn with_history(self, history: Arc<dyn HistoryStore>) -> Self {
        Self { history: Some(history), ..self }
    }

    /// Puts the runtime together.
    pub fn build(self) -> Runtime {
        let rng = Arc::new(self.seed.map_or_else(SeededRng::from_os, SeededRng::seeded));
        let apps: BTreeMap<String, Arc<AppContext>> = self
            .apps
            .into_iter()
            .map(|(name, (settings, connector))| {
                let app = AppContext::new(Parts {
                    name: name.clone(),
                    settings,
                    connector,
                    bridge: Arc::clone(&self.bridge),
                    journal: Arc::clone(&self.journal),
                    listings: Arc::clone(&self.listings),
                    redactor: self.redactor.clone(),
                    clock: Arc::clone(&self.clock),
                    rng: Arc::clone(&rng),
                    status: Arc::new(AppStatus::new(Arc::clone(&self.clock))),
                });
                (name, app)
            })
            .collect();
        let vitals = Arc::new(Liveness::new());
        let started_at = self.clock.now();
        let observer = StatusReporter::new(apps.clone(), Arc::clone(&vitals), self.clock, started_at)
            .with_history(self.history.clone());
        let recorders = self
            .history
            .iter()
            .flat_map(|store| apps.values().map(|app| Recorder::new(Arc::clone(app), Arc::clone(store))));
        let recorders = recorders.collect();
        Runtime { apps, grace: self.shutdown_grace, vitals, observer, recorders }
    }
}

impl std::fmt::Debug for RuntimeBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RuntimeBuilder").field("apps", &self.apps.keys()).finish_non_exhaustive()
    }
}

/// A runtime, ready to run.
#[derive(Debug)]
pub struct Runtime {
    apps: BTreeMap<String, Arc<AppContext>>,
    grace: Duration,
    vitals: Arc<Liveness>,
    observer: StatusReporter,
    recorders: Arc<[Recorder]>,
}

impl Runtime {
    /// What can be seen of each app.
    pub fn status(&self) -> BTreeMap<String, Arc<AppStatus>> {
        self.apps.iter().map(|(name, app)| (name.clone(), Arc::clone(&app.status))).collect()
    }

    /// Looks at the runtime from outside. Let go of it before the journal is closed.
    pub fn observer(&self) -> StatusReporter {
        self.observer.clone()
    }

    /// Executes tasks and syncs on schedule until `stop`, then ends in order, within the grace.
    pub async fn run(&self, stop: CancellationToken) {
        let apps = self.apps.values().cloned().collect();
        let enough = CancellationToken::new();
        let recording = (!self.recorders.is_empty()).then(|| {
            let recording = history::record(Arc::clone(&self.recorders), enough.clone());
            AbortOnDropHandle::new(tokio::spawn(recording))
        });
        self.vitals.during(supervisor::run(apps, stop, self.grace, &self.vitals)).await;
        enough.cancel();
        if let Some(recording) = recording {
            // It ends after the write that is under way; a panic of it has nothing more to say.
            drop(recording.await);
        }
        for recorder in &*self.recorders {
            recorder.write().await;
        }
    }

    /// Syncs one app once, now. `None` if there is no such app.
    pub async fn sync(
        &self,
        app: &str,
        options: sync::Options,
        stop: &CancellationToken,
    ) -> Option<sync::Summary> {
        let app = self.apps.get(app)?;
        Some(Box::pin(sync::run(app, options, stop)).await)
    }

    /// An app by its name.
    pub(super) fn app(&self, name: &str) -> Option<&Arc<AppContext>> {
        self.apps.get(name)
    }

    /// How many records the last completed sync of an app had; 0 if nothing is known.
    pub async fn expected(&self, app: &str) -> u64 {
        let Some(app) = self.apps.get(app) else { return 0 };
        let last = app.listings.last(&app.key).await.ok().flatten();
        last.map_or(0, |last| last.counts.values().sum())
    }

    /// The tasks that the guard of an app holds, oldest first. `None` if there is no such app.
    pub fn held(&self, app: &str) -> Option<Vec<HeldTask>> {
        Some(self.apps.get(app)?.guard.held())
    }

    /// Lets held tasks of an app go: exactly those that are held now. Where another number than `expect` are, nothing is done.
    /// `None` if there is no such app.
    pub async fn release(
        &self,
        app: &str,
        selection: &Selection,
        expect: Option<u64>,
    ) -> Option<Result<Released, journal::Error>> {
        Some(operator_commands::release_in(self.apps.get(app)?, selection, expect).await)
    }

    /// The reports that Iden refused, oldest task first. `None` if there is no such app.
    pub async fn put_aside(&self, app: &str) -> Option<Result<Vec<RejectedReport>, journal::Error>> {
        let app = self.apps.get(app)?;
        Some(operator_commands::put_aside(app.store.for_operator(), &app.key).await)
    }

    /// Reports again what Iden had refused. Where another number of reports than `expect` is put aside, nothing is done. `None` if
    /// there is no such app.
    pub async fn retry(
        &self,
        app: &str,
        selection: &Selection,
        expect: Option<u64>,
    ) -> Option<Result<Retries, journal::Error>> {
        let app = self.apps.get(app)?;
        let desk = ReportRetrier::of(app);
        Some(desk.retry(selection, expect).await)
    }

    /// Ends the connectors in order, when [`run`](Self::run) was not used.
    pub async fn close(&self) {
        for app in self.apps.values() {
            app.target.shut_down().await;
        }
    }
}
