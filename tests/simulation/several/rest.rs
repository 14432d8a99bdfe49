//! The end of a run: the faults end, everything settles, and a last sync brings Iden up to date.

use std::sync::Arc;
use std::time::Duration;

use bridgehead::journal::LossKind;
use bridgehead::journal::lease::Leases;
use bridgehead::runtime::sync::{self, HeldReason, SyncResult};
use bridgehead::sandbox::Cleanup;
use serde_json::json;
use tokio::time::Instant;

use super::process::{LEASE, Process};
use super::{App, State, World};
use crate::plan;
use crate::world::REST;

/// A takeover is over after this time.
const TAKEN_WITHIN: Duration = Duration::from_secs(10 * LEASE.as_secs());
/// How often a last sync is tried: it fails if its app moves to another node.
const TRIES: usize = 5;

impl World {
    /// Ends the faults, and lets everything drain.
    pub(super) async fn rest(&mut self, fresh: bool) {
        self.shared.sandbox.clear_faults();
        self.shared.sandbox.set_cleanup(Cleanup::default());
        for app in &self.apps {
            self.shared.sandbox.grant("default", app.id).expect("the key found");
            app.target.behave(plan::peace(self.shared.seed));
        }
        if fresh {
            (0..self.nodes.len()).for_each(|number| self.terminate(number, Duration::ZERO));
        }
        let began = Instant::now();
        while self.pending() > 0 && began.elapsed() < REST {
            self.until(Instant::now() + Duration::from_millis(500)).await;
        }
        let began = Instant::now();
        while self.unowned().is_some() && began.elapsed() < TAKEN_WITHIN {
            self.until(Instant::now() + Duration::from_millis(200)).await;
        }
        if let Some(what) = self.unowned() {
            self.complain("every app has exactly one owner", what);
        }
        for number in 0..self.apps.len() {
            self.last_sync(number).await;
        }
    }

    fn pending(&self) -> usize {
        let tasks = self.apps.iter().flat_map(|app| self.shared.sandbox.tasks(app.id));
        tasks.filter(|task| task["status"] == "pending").count()
    }

    fn processes(&self) -> impl Iterator<Item = &Process> {
        self.nodes.iter().filter_map(|node| match &node.state {
            State::Up(process) => Some(&**process),
            State::Down(_) | State::Stopping(..) => None,
        })
    }

    /// The process that owns an app.
    fn owner(&self, app: &App) -> Option<&Process> {
        let view = self.shared.database.view();
        let owner = view.owner(&app.key)?;
        self.processes().find(|process| process.identity.process == owner.process)
    }

    /// What is wrong with the owner of an app, if it is not exactly one process.
    fn unowned(&self) -> Option<String> {
        self.apps.iter().find_map(|app| {
            let holders: Vec<&str> = self
                .processes()
                .filter(|process| process.node.holds(&app.key))
                .map(|process| process.identity.process.as_str())
                .collect();
            let owner = self.owner(app).map(|owner| owner.identity.process.as_str());
            let is_right = owner.is_some_and(|owner| holders == [owner]);
            (!is_right).then(|| format!("{} is owned by {owner:?}, and held by {holders:?}", app.name))
        })
    }

    async fn last_sync(&mut self, number: usize) {
        let mut last = sync::Summary::default();
        for _ in 0..TRIES {
            let app = &self.apps[number];
            if let Some(process) = self.owner(app) {
                // A first sync that was killed repeatedly is held until an operator has looked.
                let consent = (!self.was_ever_completed(app)).then_some(sync::Consent::Shown);
                let life = Arc::clone(&process.life);
                tokio::select! {
                    biased;
                    summary = sync_with(process, app, consent) => last = summary,
                    () = life.ended() => {}
                }
                if last.result == SyncResult::Completed {
                    return;
                }
            }
            self.until(Instant::now() + LEASE).await;
        }
        let what = format!("of app {number}, it was {}: {}", last.result, last.detail);
        self.complain("a last sync is clean", what);
    }

    fn was_ever_completed(&self, app: &App) -> bool {
        self.shared.sandbox.ledger().iter().any(|entry| {
            entry.app_id == Some(app.id)
                && entry.method == "POST"
                && entry.path.contains("/complete/")
                && entry.handled == Some(202)
        })
    }
}

/// Syncs an app, and allows what the sync holds if an operator would.
async fn sync_with(process: &Process, app: &App, consent: Option<sync::Consent>) -> sync::Summary {
    let mut options = sync::Options::default();
    let summary = process.sync(&app.name, options).await;
    let consent = consent.or_else(|| are_all_gone(app, &summary).then_some(sync::Consent::Shown));
    if summary.result == SyncResult::Completed || consent.is_none() {
        return summary;
    }
    options.allow_removals = consent;
    process.sync(&app.name, options).await
}

/// Whether the guard holds a sync because of accounts that are really gone. Deletions by tasks count for it, and a small app soon has too
/// many.
fn are_all_gone(app: &App, held: &sync::Summary) -> bool {
    let is_gone = |id: &String| app.target.find(&json!({"id": id})).is_none();
    held.held_because == [HeldReason::AccessGuard]
        && held.losses.iter().all(|loss| loss.kind == LossKind::Removed)
        && held.removals.iter().all(|(slug, ids)| slug == "account" && ids.iter().all(is_gone))
}
