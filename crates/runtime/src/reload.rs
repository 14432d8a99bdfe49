//! Replaces apps while the daemon runs: changed apps shut down cleanly and start again, others are not affected.
//!
//! The guarantees are those of a restart, for one app: running work finishes within the grace period, started work is in the journal, and
//! an app starts only after the previous app with the same `app_id` has ended completely.

use std::collections::BTreeMap;
use std::sync::Arc;

use bridgehead_sdk::Connector;
use futures::FutureExt;
use futures::future::{BoxFuture, Shared, join_all};
use tokio::sync::OwnedRwLockWriteGuard;
use uuid::Uuid;

use super::app::AppContext;
use super::builder::Runtime;
use super::supervisor::Ended;
use bridgehead_bridge::Api;
use bridgehead_config as config;

/// What to do with the app of a given name.
pub enum Change {
    /// Start the app, or replace the current app with this name.
    Run {
        /// The settings of the new app.
        settings: Box<config::App>,
        /// The connector of the new app.
        connector: Arc<dyn Connector>,
        /// The API that the new app uses to reach the Bridge.
        bridge: Arc<dyn Api>,
    },
    /// Remove the app.
    Remove,
}

impl std::fmt::Debug for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Run { settings, .. } => f.debug_tuple("Run").field(&settings.app_id).finish(),
            Self::Remove => f.write_str("Remove"),
        }
    }
}

/// The result of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exchanged {
    /// The change was made.
    Done,
    /// The change was made; work that was still running when the grace period expired was aborted.
    CutOff,
    /// The previous app does not end: a call of its connector blocks. No app was started in its place.
    Stuck,
    /// The daemon is stopping.
    Stopping,
}

/// The end of an app. Holding the result keeps the app inaccessible.
type Ending = Shared<BoxFuture<'static, (Ended, Arc<Option<OwnedRwLockWriteGuard<()>>>)>>;

impl Runtime {
    /// Applies the changes, keyed by app name, and returns the result of each. Other apps are not affected. Do not drop this future before
    /// it is done: an app that has already ended would be missing.
    pub async fn exchange(
        self: &Arc<Self>,
        changes: BTreeMap<String, Change>,
    ) -> BTreeMap<String, Exchanged> {
        let Some(_turn) = self.supervisor.change().await else {
            return changes.into_keys().map(|name| (name, Exchanged::Stopping)).collect();
        };
        let endings: Vec<(String, Uuid, Ending)> = changes
            .keys()
            .filter_map(|name| self.fleet.get(name))
            .map(|app| (app.name.clone(), app.settings.app_id, self.ending(app)))
            .collect();
        let endings = &endings;
        let made = changes.into_iter().map(|(name, change)| async move {
            let exchanged = self.make(&name, change, endings).await;
            (name, exchanged)
        });
        join_all(made).await.into_iter().collect()
    }

    /// Ends an app; the result is shared by all changes that wait for it. The app stays in the fleet until another one takes its place.
    fn ending(self: &Arc<Self>, app: Arc<AppContext>) -> Ending {
        let runtime = Arc::clone(self);
        let ended = async move {
            tracing::info!(app = %app.name, "the app ends for a reload; what runs may finish");
            let (ended, commands) = runtime.supervisor.end(&app).await;
            if let Some(history) = &runtime.history {
                history.write(&app).await;
            }
            match ended {
                Ended::Finished | Ended::CutOff => runtime.supervisor.forget(&app.name),
                Ended::Stuck => {
                    tracing::error!(app = %app.name, "the app does not end: a call of its connector blocks; restart the daemon");
                }
            }
            (ended, Arc::new(commands))
        };
        ended.boxed().shared()
    }

    async fn make(&self, name: &str, change: Change, endings: &[(String, Uuid, Ending)]) -> Exchanged {
        // A new app may take over the name of one app and the identity of another, so it waits for both.
        let app_id = if let Change::Run { settings, .. } = &change { Some(settings.app_id) } else { None };
        let before = endings.iter().filter(|(other, id, _)| other == name || Some(*id) == app_id);
        let ended = join_all(before.map(|(.., ending)| ending.clone())).await;
        let ended: Vec<Ended> = ended.into_iter().map(|(ended, _)| ended).collect();
        if ended.contains(&Ended::Stuck) {
            return Exchanged::Stuck;
        }
        match change {
            Change::Remove => {
                let is_over = !ended.contains(&Ended::CutOff);
                if let (Some(ownership), Some(app)) = (&self.ownership, self.fleet.get(name)) {
                    ownership.give_back(self.history.as_deref(), &app, is_over).await;
                }
                self.fleet.remove(name);
                tracing::info!(app = name, "the app was removed");
            }
            Change::Run { settings, connector, bridge } => {
                let continues = endings.iter().any(|(_, id, _)| *id == settings.app_id);
                let app = self.assembly.app(name, *settings, connector, bridge, continues);
                // An app that is another node's, or nobody's yet, begins when this one takes it.
                let is_here = self.ownership.as_ref().is_none_or(|ownership| ownership.holds(&app.key));
                if is_here && !self.supervisor.start(&app) {
                    return Exchanged::Stopping;
                }
                self.fleet.put(app);
                tracing::info!(app = name, "the app runs with the new configuration");
            }
        }
        if ended.contains(&Ended::CutOff) { Exchanged::CutOff } else { Exchanged::Done }
    }

    /// Sets how long running work may continue after a stop.
    pub fn set_shutdown_grace(&self, grace: std::time::Duration) {
        self.supervisor.set_grace(grace);
    }

    /// Records the result of a reload, for status reports.
    pub fn reloaded(&self, reload: super::report::LastReload) {
        self.fleet.reloaded(reload);
    }

    /// The current wall-clock time.
    pub fn now(&self) -> jiff::Timestamp {
        self.assembly.shared.clock.now()
    }
}
