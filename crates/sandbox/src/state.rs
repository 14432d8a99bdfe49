//! The complete state of a sandbox, and the operations that the Bridge API and the control plane share.

use std::net::SocketAddr;
use std::sync::Mutex;

use bridgehead_resilience::{Clock as _, SystemClock};
use jiff::Timestamp;
use serde_json::Value;
use uuid::Uuid;

use super::clock::Clock;
use super::error::Error;
use super::fault::Faults;
use super::key::{Keys, check_secret};
use super::ledger::Ledger;
use super::lock::lock;
use super::options::Options;
use super::refusal::Refusal;
use super::settings::{Cleanup, Settings};
use super::store::{App, Apps, Draft, draft, no_app};

pub(crate) struct State {
    pub(crate) tenant: String,
    pub(crate) address: SocketAddr,
    pub(crate) clock: Clock,
    pub(crate) settings: Mutex<Settings>,
    pub(crate) apps: Apps,
    pub(crate) keys: Keys,
    pub(crate) ledger: Ledger,
    pub(crate) faults: Faults,
}

impl State {
    pub(crate) fn new(options: &Options, address: SocketAddr) -> Self {
        Self {
            tenant: options.tenant.clone(),
            address,
            clock: Clock::starting_at(options.started_at.unwrap_or_else(|| SystemClock.now())),
            settings: Mutex::new(Settings {
                cleanup: Cleanup::after(options.cleanup_delay),
                auto_create_apps: options.auto_create_apps,
                ..Settings::default()
            }),
            apps: Apps::default(),
            keys: Keys::new(options.api_key.clone()),
            ledger: Ledger::new(options.ledger_entries, options.ledger_body_bytes),
            faults: Faults::default(),
        }
    }

    /// Checks that a sandbox can be started with these options.
    pub(crate) fn check(options: &Options) -> Result<(), Error> {
        let is_slug = |text: &str| {
            !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        };
        if !is_slug(&options.tenant) {
            return Err(Error::Tenant(options.tenant.clone()));
        }
        check_secret(&options.api_key)
    }

    /// The base URL of the Bridge API.
    pub(crate) fn base_url(&self) -> String {
        format!("http://{}/org/{}", self.address, self.tenant)
    }

    /// Calls a function with an app on behalf of a key: 404 if the app does not exist, 403 if the key has no access to it.
    pub(crate) fn with_app<T>(
        &self,
        key: &str,
        app_id: &str,
        act: impl FnOnce(&mut App, Timestamp) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        let id: Uuid = app_id.parse().map_err(|_| no_app(app_id))?;
        let app = match self.apps.get(id) {
            Some(app) => app,
            None if lock(&self.settings).auto_create_apps => self.apps.get_or_make(id, self.clock.now()),
            None => return Err(no_app(app_id)),
        };
        if !self.keys.permits(key, id) {
            return Err(Refusal::forbidden("The API key does not have access to the requested app."));
        }
        let now = self.clock.now();
        let mut app = lock(&app);
        app.settle(now);
        act(&mut app, now)
    }

    /// Calls a function with an app on behalf of the control plane, if the app exists.
    pub(crate) fn inspect<T>(&self, id: Uuid, act: impl FnOnce(&mut App, Timestamp) -> T) -> Option<T> {
        let app = self.apps.get(id)?;
        let now = self.clock.now();
        let mut app = lock(&app);
        app.settle(now);
        Some(act(&mut app, now))
    }

    /// Ends a session with `complete`, and uses up one of the configured failures of cleanups.
    pub(crate) fn complete(&self, app: &mut App, sync_id: &str, now: Timestamp) -> Result<(), Refusal> {
        let this = self.take_cleanup(app.id());
        let completed = app.sync.complete(sync_id, now, &this);
        if completed.is_err() {
            lock(&self.settings).cleanup.failures += this.failures;
        }
        completed
    }

    /// The behavior of the next cleanup of an app: with one failure or none.
    fn take_cleanup(&self, app_id: Uuid) -> Cleanup {
        let cleanup = &mut lock(&self.settings).cleanup;
        let fails = cleanup.failures > 0 && cleanup.app.is_none_or(|only| only == app_id);
        cleanup.failures -= u32::from(fails);
        Cleanup::after(cleanup.delay).failing(u32::from(fails))
    }

    /// Adds tasks, all or none, and returns their ids; `None` if the app does not exist.
    pub(crate) fn add_tasks(&self, app_id: Uuid, tasks: Vec<Value>) -> Option<Result<Vec<String>, String>> {
        self.inspect(app_id, |app, now| {
            let drafts: Vec<Draft> = tasks
                .into_iter()
                .enumerate()
                .map(|(index, task)| draft(task, now).map_err(|why| format!("task {index}: {why}")))
                .collect::<Result<_, _>>()?;
            Ok(drafts.into_iter().map(|draft| app.tasks.add(draft)).collect())
        })
    }
}
