//! Reloads in the daemon: one at a time, from any source.

use std::collections::BTreeMap;
use std::hash::RandomState;
use std::sync::Arc;

use sd_notify::NotifyState;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use super::super::args::Global;
use super::super::context::{self, Context};
use super::super::failure::Failure;
use super::super::log_levels::Levels;
use super::super::{audit, check, service};
use super::plan::{Step, Wanted, changes};
use super::show;
use crate::admin::Access;
use crate::control::{About, AppReloaded, Ask, Asking, Current, Fate, Reloaded};
use bridgehead_bridge::{Api, Client};
use bridgehead_config::{self as config, Connectors, Settings};
use bridgehead_runtime::{Change, Exchanged, LastReload, Runtime};

/// The maximum number of waiting commands.
const WAITING: usize = 8;

/// The configuration that the daemon runs with, and its sources.
pub(crate) struct Reloader {
    global: Global,
    connectors: Connectors,
    hasher: RandomState,
    context: Context,
    client: Client,
    /// Access to the page.
    page: Access,
    /// The settings of each running app, with its identity.
    apps: BTreeMap<String, (Uuid, Settings)>,
    /// The settings that the apps share, as the client was created with them.
    shared: Settings,
    key: Settings,
    daemon: Settings,
    fixed: Settings,
    /// Identifies the effective configuration.
    fingerprint: String,
}

/// Receives requests for reloads.
pub(crate) struct Reloading {
    asking: Asking,
    asked: mpsc::Receiver<Ask>,
}

impl Reloading {
    pub(crate) fn new() -> Self {
        let (asking, asked) = mpsc::channel(WAITING);
        Self { asking, asked }
    }

    pub(crate) fn asking(&self) -> Asking {
        self.asking.clone()
    }
}

impl Reloader {
    /// Loads the configuration with which the daemon starts. Fails with the daemon's own errors.
    pub(crate) fn load(global: &Global, connectors: &Connectors) -> Result<Self, Failure> {
        let hasher = RandomState::new();
        let sources = context::sources(global);
        let reading = config::read(&sources, connectors, &hasher)?;
        let context = Context::of(reading.config.clone(), sources);
        let wanted = Wanted::take(reading, &context)?;
        let client = wanted.context.bridge()?;
        // An unreadable secret ends the start later, when the connectors are built.
        let apps = context
            .config
            .apps
            .iter()
            .filter_map(|(name, app)| Some((name.clone(), (app.app_id, wanted.app(name)?.clone()))));
        Ok(Self {
            global: global.clone(),
            connectors: connectors.clone(),
            hasher,
            client,
            page: Access::new(wanted.token.clone()),
            apps: apps.collect(),
            shared: wanted.shared(),
            key: wanted.key.clone(),
            daemon: wanted.daemon(),
            fixed: wanted.fixed(),
            fingerprint: wanted.fingerprint.clone(),
            context,
        })
    }

    pub(crate) fn context(&self) -> &Context {
        &self.context
    }

    /// The client that the apps use. It makes each call once.
    pub(crate) fn bridge(&self) -> Arc<dyn Api> {
        Arc::new(self.client.without_retries())
    }

    /// Access to the page, which a reload changes.
    pub(crate) fn page(&self) -> Access {
        self.page.clone()
    }

    /// The facts about the daemon.
    pub(crate) fn about(&self) -> Result<About, Failure> {
        Ok(About {
            configuration: self.fingerprint.clone(),
            base_url: self.context.config.bridge.base_url.clone(),
            bridge: Arc::new(self.client.clone()),
            network: check::network(&self.context, &self.context.network()?),
        })
    }

    /// Reloads on SIGHUP or a command, until `stop`. A reload that has started is always finished.
    pub(crate) fn start(
        mut self,
        hangup: Arc<Notify>,
        mut reloading: Reloading,
        runtime: Arc<Runtime>,
        current: Current,
        stop: CancellationToken,
    ) -> AbortOnDropHandle<()> {
        AbortOnDropHandle::new(tokio::spawn(async move {
            loop {
                let ask = tokio::select! {
                    biased;
                    () = stop.cancelled() => return,
                    () = hangup.notified() => None,
                    Some(ask) = reloading.asked.recv() => Some(ask),
                };
                let apply = ask.as_ref().is_none_or(|ask| ask.apply);
                let began = Instant::now();
                let before = self.fingerprint.clone();
                let reloaded = Box::pin(self.reload(apply, &runtime, &current)).await;
                if apply {
                    let actor = ask.as_ref().map(|ask| ask.actor.clone());
                    let event =
                        audit::reloaded(actor, &reloaded, [&before, &self.fingerprint], began.elapsed());
                    runtime.audit().record_command(event);
                }
                if let Some(Ask { answer, .. }) = ask {
                    tell(answer, reloaded);
                }
            }
        }))
    }

    async fn reload(&mut self, apply: bool, runtime: &Arc<Runtime>, current: &Current) -> Reloaded {
        if apply {
            begin();
        }
        let at = runtime.now();
        let reloaded = match self.look() {
            Ok(wanted) => Box::pin(self.apply(wanted, apply, runtime, current)).await,
            Err(failure) => Reloaded { refused: Some(failure.message().to_owned()), ..Reloaded::default() },
        };
        let reloaded = Reloaded { dry_run: !apply, ..reloaded };
        if apply {
            let message = show::sentence(&reloaded);
            log(&reloaded, &message);
            runtime.reloaded(LastReload { at, applied: reloaded.is_whole(), message });
            service::tell_reloaded(&runtime.observer()).await;
        }
        reloaded
    }

    fn look(&self) -> Result<Wanted, Failure> {
        let reading = config::read(&context::sources(&self.global), &self.connectors, &self.hasher)?;
        Wanted::take(reading, &self.context)
    }

    async fn apply(
        &mut self,
        wanted: Wanted,
        apply: bool,
        runtime: &Arc<Runtime>,
        current: &Current,
    ) -> Reloaded {
        let mut steps = wanted.steps(&self.apps, &self.connectors);
        let needs_client = !changes(&self.shared, &wanted.shared(), &wanted.context).is_empty();
        let client = if needs_client { wanted.context.bridge() } else { Ok(self.client.clone()) };
        let client = match client {
            Ok(client) => client,
            Err(failure) => {
                return Reloaded { refused: Some(failure.message().to_owned()), ..Reloaded::default() };
            }
        };
        let key = changes(&self.key, &wanted.key, &wanted.context);
        let mut reloaded = Reloaded {
            daemon: changes(&self.daemon, &wanted.daemon(), &wanted.context),
            needs_restart: changes(&self.fixed, &wanted.fixed(), &wanted.context),
            ..Reloaded::default()
        };
        reloaded.daemon.extend(key.into_iter().filter(|_| !needs_client));
        if apply {
            // Another node must know for how long a call of this one may be under way before there is one.
            let longest = wanted.context.config.apps.values().map(|app| app.tasks.timeout).max();
            if let Err(error) = runtime.allow_calls(longest.unwrap_or_default()).await {
                return Reloaded { refused: Some(error.to_string()), ..Reloaded::default() };
            }
            self.page.set(wanted.token.clone());
            runtime.set_shutdown_grace(wanted.context.config.runtime.shutdown_grace);
            if let Some(levels) = Levels::of_process() {
                levels.configure(&wanted.context.config.log.level);
            }
            if !needs_client && let Err(error) = client.renew_key().await {
                tracing::error!(%error, "the key of the Bridge could not be read again; it continues with the one that it has");
            }
            self.exchange(&wanted, &client, &mut steps, runtime).await;
            self.client = client;
            self.shared = wanted.shared();
            self.key = wanted.key.clone();
            self.daemon = wanted.daemon();
        }
        reloaded.apps = steps.into_iter().map(|(name, (_, app))| (name, app)).collect();
        if apply {
            // If some changes of the files are not in effect, commands should still notice the difference.
            if reloaded.is_whole() {
                self.fingerprint.clone_from(&wanted.fingerprint);
            }
            self.context = wanted.context;
            if let Ok(about) = self.about() {
                current.set(about);
            }
        }
        reloaded
    }

    async fn exchange(
        &mut self,
        wanted: &Wanted,
        client: &Client,
        steps: &mut BTreeMap<String, (Step, AppReloaded)>,
        runtime: &Arc<Runtime>,
    ) {
        let bridge: Arc<dyn Api> = Arc::new(client.without_retries());
        let change = |(name, (step, _)): (&String, &(Step, AppReloaded))| {
            let change = match step {
                Step::Keep => return None,
                Step::Remove => Change::Remove,
                Step::Run(connector) => Change::Run {
                    settings: Box::new(wanted.context.config.apps.get(name)?.clone()),
                    connector: Arc::clone(connector),
                    bridge: Arc::clone(&bridge),
                },
            };
            Some((name.clone(), change))
        };
        let changes: BTreeMap<String, Change> = steps.iter().filter_map(change).collect();
        if changes.is_empty() {
            return;
        }
        for (name, exchanged) in runtime.exchange(changes).await {
            let Some((step, app)) = steps.get_mut(&name) else { continue };
            match exchanged {
                Exchanged::Done | Exchanged::CutOff => {
                    if exchanged == Exchanged::CutOff {
                        let detail = "what ran when runtime.shutdown_grace was over was cut off; it is looked up in the target, and continues";
                        app.detail = Some(detail.to_owned());
                    }
                    let settings = wanted.app(&name).cloned();
                    match (step, wanted.app_id(&name).zip(settings)) {
                        (Step::Run(_), Some(settings)) => drop(self.apps.insert(name, settings)),
                        _ => drop(self.apps.remove(&name)),
                    }
                }
                Exchanged::Stuck => {
                    app.result = Fate::Failed;
                    let detail = "the app that is to end does not: a call of its connector blocks. It is stopped, and nothing was started in its place; restart the daemon";
                    app.detail = Some(detail.to_owned());
                }
                Exchanged::Stopping => {
                    app.result = Fate::Failed;
                    app.detail = Some("the daemon is stopping".to_owned());
                }
            }
        }
    }
}

/// Tells systemd that a reload has started; its end must be reported too.
fn begin() {
    tracing::info!("reading the configuration again");
    let mut state = vec![NotifyState::Reloading];
    state.extend(NotifyState::monotonic_usec_now().ok());
    drop(sd_notify::notify(&state));
}

fn log(reloaded: &Reloaded, message: &str) {
    if let Some(refused) = &reloaded.refused {
        for line in refused.lines() {
            tracing::error!("the configuration is not reloaded: {line}");
        }
    } else if reloaded.is_whole() {
        tracing::info!("{message}");
    } else {
        tracing::warn!("{message}");
    }
}

/// The caller may have disconnected.
fn tell(answer: oneshot::Sender<Reloaded>, reloaded: Reloaded) {
    drop(answer.send(reloaded));
}
