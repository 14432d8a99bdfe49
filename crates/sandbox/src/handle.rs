//! The control plane for tests in the same process.

use std::time::Duration;

use bridgehead_sdk::ResourceType;
use jiff::Timestamp;
use serde_json::Value;
use uuid::Uuid;

use super::clock::later;
use super::error::Error;
use super::fault::{Fault, FaultId, FaultStatus};
use super::key::{KeyStatus, NewKey};
use super::ledger::{Entry, Filter, Report};
use super::lock::lock;
use super::server::Sandbox;
use super::settings::{Cleanup, Settings};
use super::store::{App, AppStats, Draft, NewApp, draft};

impl Sandbox {
    /// Creates an app with that id; an existing one stays unchanged.
    pub fn add_app(&self, app_id: Uuid, name: &str) {
        let new = NewApp { name: name.to_owned(), clone_from: None };
        // Only cloning can be rejected.
        if let Err(refusal) = self.state.apps.make(app_id, new, self.state.clock.now()) {
            tracing::error!(detail = refusal.detail, "the sandbox could not make an app");
        }
    }

    /// Registers a resource type with an app, unless the slug is taken. An unknown app is created.
    pub fn add_resource_type(&self, app_id: Uuid, resource_type: ResourceType) {
        self.with(app_id, |app, _| app.ensure_type(resource_type));
    }

    /// Adds a task and returns its id. Missing fields are filled in: see `docs/sandbox.md`. An unknown app is created. A task that cannot
    /// be completed is stored unchanged, as with `"raw": true`.
    pub fn add_task(&self, app_id: Uuid, task: Value) -> String {
        self.with(app_id, |app, now| {
            let draft = draft(task.clone(), now).unwrap_or_else(|why| {
                tracing::warn!(why, "the sandbox stores a task as it is");
                Draft::raw(task, now)
            });
            app.tasks.add(draft)
        })
    }

    /// Adds tasks and returns their ids in the same order; see [`Self::add_task`].
    pub fn add_tasks(&self, app_id: Uuid, tasks: impl IntoIterator<Item = Value>) -> Vec<String> {
        tasks.into_iter().map(|task| self.add_task(app_id, task)).collect()
    }

    /// The tasks of an app, ordered by `created_at`, each with its reported `result` and `error`.
    pub fn tasks(&self, app_id: Uuid) -> Vec<Value> {
        self.state.inspect(app_id, |app, _| app.tasks.with_outcomes(None).collect()).unwrap_or_default()
    }

    /// The records of a type, ordered by id, each with `"active": bool`. Records of an unfinished session are not included.
    pub fn records(&self, app_id: Uuid, slug: &str) -> Vec<Value> {
        self.state.inspect(app_id, |app, _| app.sync.records.of_type(slug)).unwrap_or_default()
    }

    /// The size of an app, if it exists.
    pub fn stats(&self, app_id: Uuid) -> Option<AppStats> {
        self.state.inspect(app_id, |app, _| app.stats())
    }

    /// Every report on a task, in the order of handling, including faults and rejections.
    pub fn reports(&self, task_id: &str) -> Vec<Report> {
        self.state.ledger.reports(task_id)
    }

    /// Every Bridge request that is still kept, in the order of arrival.
    pub fn ledger(&self) -> Vec<Entry> {
        self.state.ledger.entries(&Filter::default())
    }

    /// The Bridge requests that match a filter.
    pub fn ledger_matching(&self, filter: &Filter) -> Vec<Entry> {
        self.state.ledger.entries(filter)
    }

    /// How many entries the ledger dropped for lack of space.
    pub fn ledger_dropped(&self) -> u64 {
        self.state.ledger.dropped()
    }

    /// Removes all entries and reports.
    pub fn clear_ledger(&self) {
        self.state.ledger.clear();
    }

    /// Adds a fault.
    pub fn add_fault(&self, fault: Fault) -> FaultId {
        if let Err(error) = fault.check() {
            tracing::warn!(%error, "the sandbox was given a fault that it can do in part only");
        }
        self.state.faults.add(fault)
    }

    /// The faults and their effect so far.
    pub fn faults(&self) -> Vec<FaultStatus> {
        self.state.faults.list()
    }

    /// Removes a fault; returns whether it existed.
    pub fn remove_fault(&self, id: FaultId) -> bool {
        self.state.faults.remove(id)
    }

    /// Removes all faults.
    pub fn clear_faults(&self) {
        self.state.faults.clear();
    }

    /// Sets the behavior of cleanups that are requested after this call.
    pub fn set_cleanup(&self, cleanup: Cleanup) {
        lock(&self.state.settings).cleanup = cleanup;
    }

    /// The current settings.
    pub fn settings(&self) -> Settings {
        lock(&self.state.settings).clone()
    }

    /// Replaces all settings.
    pub fn set_settings(&self, settings: Settings) {
        *lock(&self.state.settings) = settings;
    }

    /// The sandbox's time.
    pub fn now(&self) -> Timestamp {
        self.state.clock.now()
    }

    /// Moves the sandbox's clock forward: keys expire, tasks fall due, cleanups run.
    pub fn advance_clock(&self, by: Duration) {
        self.state.clock.advance(by);
    }

    /// Adds a key.
    pub fn add_key(&self, key: NewKey) -> Result<(), Error> {
        self.state.keys.add(key, self.state.clock.now())
    }

    /// All keys, without their values. The one from [`Options`](super::Options) is called `default`.
    pub fn keys(&self) -> Vec<KeyStatus> {
        self.state.keys.list(self.state.clock.now())
    }

    /// Revokes a key.
    pub fn revoke_key(&self, name: &str) -> Result<(), Error> {
        self.state.keys.revoke(name)
    }

    /// Makes a key expire after this time; immediately if it is zero.
    pub fn expire_key(&self, name: &str, after: Duration) -> Result<(), Error> {
        self.state.keys.expire(name, later(self.state.clock.now(), after))
    }

    /// Grants a key access to an app.
    pub fn grant(&self, name: &str, app_id: Uuid) -> Result<(), Error> {
        self.state.keys.grant(name, app_id)
    }

    /// Revokes a key's access to an app.
    pub fn deny(&self, name: &str, app_id: Uuid) -> Result<(), Error> {
        self.state.keys.deny(name, app_id)
    }

    /// Calls a function with an app, which is created if it does not exist.
    fn with<T>(&self, app_id: Uuid, act: impl FnOnce(&mut App, Timestamp) -> T) -> T {
        let now = self.state.clock.now();
        let app = self.state.apps.get_or_make(app_id, now);
        let mut app = lock(&app);
        app.settle(now);
        act(&mut app, now)
    }
}
