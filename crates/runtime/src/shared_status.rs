//! Shows on each node how the apps of the other nodes are doing.
//!
//! A node reports the status of the apps that it runs through the shared database, if it has changed. What the database contains anyway,
//! such as past syncs, is not reported: each node reads it itself.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use xxhash_rust::xxh3::xxh3_64;

use super::ownership::Ownership;
use super::report::AppOverview;
use super::reporter::{StatusReporter, long_ago};
use crate::Runtime;
use bridgehead_store::AppKey;

/// How often the status of apps is reported, if it has changed.
const EVERY: Duration = Duration::from_secs(2);
/// How often an unchanged status is reported again: a crash of the database may have lost it.
const AGAIN: Duration = Duration::from_mins(1);
/// How long the database may take. The status is shown without the other nodes if it takes longer.
const PATIENCE: Duration = Duration::from_secs(2);

/// What was last reported of an app.
struct Last {
    hash: u64,
    at: Instant,
}

/// Reports the status of the apps of this node until `stop`. Returns immediately if the state is not shared.
///
/// Cancel: `stop` ends it. Error: if the database cannot be reached, the next report follows two seconds later. Panic: other nodes show
/// the last report.
pub async fn report(runtime: Arc<Runtime>, stop: CancellationToken) {
    let Some(ownership) = runtime.ownership.clone() else { return };
    let Some(shared) = ownership.shared_status() else { return };
    let observer = runtime.observer();
    let mut known: BTreeMap<AppKey, Last> = BTreeMap::new();
    while !stop.is_cancelled() {
        let changed = changed(&observer, &ownership, &mut known);
        if !changed.is_empty()
            && let Err(error) = shared.report(&changed).await
        {
            tracing::debug!(%error, "the status of apps cannot be reported to the other nodes");
            known.clear();
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = sleep(EVERY) => {}
        }
    }
}

/// The apps of this node whose status has to be reported.
fn changed(
    observer: &StatusReporter,
    ownership: &Ownership,
    known: &mut BTreeMap<AppKey, Last>,
) -> Vec<(AppKey, Vec<u8>)> {
    let mut changed = Vec::new();
    for app in observer.apps() {
        if !ownership.holds(&app.key) {
            known.remove(&app.key);
            continue;
        }
        // An overview can always be serialized.
        let body = serde_json::to_vec(&observer.live(&app)).unwrap_or_default();
        let hash = xxh3_64(&body);
        let is_known = known.get(&app.key).is_some_and(|last| last.hash == hash && last.at.elapsed() < AGAIN);
        if !is_known {
            known.insert(app.key.clone(), Last { hash, at: Instant::now() });
            changed.push((app.key.clone(), body));
        }
    }
    changed
}

/// What the other nodes have reported about their apps, by the app's id. A status that this version cannot read is left out.
pub(crate) async fn reported(ownership: Option<&Ownership>, now: Timestamp) -> BTreeMap<String, AppOverview> {
    let Some(shared) = ownership.and_then(Ownership::shared_status) else { return BTreeMap::new() };
    let Ok(Ok(all)) = timeout(PATIENCE, shared.reported()).await else { return BTreeMap::new() };
    let read = all.into_iter().filter_map(|reported| {
        let seen: AppOverview = serde_json::from_slice(&reported.body).ok()?;
        let reported_at = Some(long_ago(now, reported.age));
        Some((reported.app, AppOverview { reported_at, ..seen }))
    });
    read.collect()
}
