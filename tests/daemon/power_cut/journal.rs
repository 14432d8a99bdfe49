//! Cuts the power in retrospect, at many operations of one life of the daemon: the state opens, and what the target and Iden had seen by
//! then is in it.

use bridgehead_store::{AppKey, Known, Reason, SnapshotStore, Sqlite, TaskJournal};
use rand::Rng;
use rand::rngs::StdRng;

use super::STATE;
use super::disk::Disk;
use super::log::Operation;
use crate::crash::Scene;
use crate::crash::evidence::ledger::Ledger;

/// What others have seen of the daemon, with the times at which they did.
struct Seen {
    /// Tasks for which the connector was called.
    called: Vec<(i128, String)>,
    /// Tasks whose outcome was reported.
    reported: Vec<(i128, String)>,
    /// Syncs that Iden was told to complete.
    completed: Vec<i128>,
}

/// Returns what was wrong. `before` is the disk as this life of the daemon found it.
pub(crate) async fn check(
    before: &Disk,
    operations: &[Operation],
    scene: &Scene,
    root: &std::path::Path,
    points: usize,
    rng: &mut StdRng,
) -> Vec<String> {
    let mut violations = Vec::new();
    if operations.is_empty() {
        return violations;
    }
    let seen = Seen::of(scene);
    let app: AppKey = scene.world.app.to_string().parse().expect("an app");
    let mut at: Vec<usize> = (0..points).map(|_| rng.random_range(1..=operations.len())).collect();
    at.sort_unstable();
    let mut disk = before.clone();
    let mut applied = 0;
    for point in at {
        for operation in &operations[applied..point] {
            disk.apply(&operation.what);
        }
        applied = point;
        let mut after = disk.clone();
        after.cut(rng);
        let folder = tempfile::tempdir().expect("a folder");
        after.write_to(root, folder.path(), rng);
        let moment = operations[point - 1].at;
        let last = &operations[point - 1].what;
        match Sqlite::open(&folder.path().join(STATE)).await {
            Ok(state) => {
                for what in seen.missing(&state, &app, moment).await {
                    violations.push(format!("cut at operation {point}: {what}"));
                }
                state.close().await;
            }
            Err(error) => {
                violations
                    .push(format!("cut at operation {point}, {last:?}: the state does not open: {error}"));
            }
        }
    }
    violations
}

impl Seen {
    fn of(scene: &Scene) -> Self {
        let calls = Ledger::read(&scene.world.path("target")).calls();
        let called = calls.iter().map(|call| (call.received, call.task.clone())).collect();
        let mut reported = Vec::new();
        for wish in &scene.wishes {
            let reports = scene.world.sandbox.reports(&wish.id);
            reported.extend(reports.iter().map(|report| (report.time.as_nanosecond(), wish.id.clone())));
        }
        let completed = scene.world.sandbox.ledger().into_iter().filter(|entry| {
            entry.method == "POST" && entry.path.ends_with("/complete/") && entry.handled == Some(202)
        });
        Self { called, reported, completed: completed.map(|entry| entry.time.as_nanosecond()).collect() }
    }

    /// What was seen before a moment, and the state does not know.
    async fn missing(&self, state: &Sqlite, app: &AppKey, moment: i128) -> Vec<String> {
        let mut missing = Vec::new();
        let tasks = self.called.iter().chain(&self.reported).map(|(_, task)| task.as_str().into());
        let known = state.known(app, &tasks.collect::<Vec<_>>()).await.expect("the journal can be read");
        for (_, task) in self.called.iter().filter(|(at, _)| *at < moment) {
            if !known.contains_key(task.as_str()) {
                missing.push(format!("the journal does not know {task}, which the connector was called for"));
            }
        }
        for (_, task) in self.reported.iter().filter(|(at, _)| *at < moment) {
            let known = known.get(task.as_str());
            if !matches!(known, Some(Known::Decided | Known::Ended)) {
                missing.push(format!(
                    "the journal does not know the outcome of {task}, which was reported: {known:?}"
                ));
            }
        }
        let last =
            state.last(app).await.expect("the snapshots can be read").map(|last| last.at.as_nanosecond());
        let mut completed = self.completed.iter().rev().filter(|at| **at < moment);
        if completed.next().is_some() {
            // The last sync was prepared after the one before it was completed.
            let before = completed.next().copied().unwrap_or(i128::MIN);
            if last.is_none_or(|last| last < before) {
                missing.push("the snapshots do not know the last sync, which Iden completed".to_owned());
            }
        }
        let doubt = state.doubted(app).await.expect("the journal can be read");
        if let Some(doubt) = doubt.filter(|doubt| doubt.reason != Reason::New) {
            missing.push(format!("the journal is believed to be lost: {}", doubt.reason));
        }
        missing
    }
}
