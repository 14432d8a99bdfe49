//! A minimal client that makes the fewest calls that the protocol allows.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use hyper::Method;
use serde::Deserialize;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::place::Place;
use crate::failure::{Failure, Result};

const DONE: &[u8] = br#"{"status":"completed","result":{"account_id":"1"}}"#;

#[derive(Deserialize)]
struct Page {
    next: Option<String>,
    results: Vec<Task>,
}

#[derive(Deserialize)]
struct Task {
    id: String,
}

/// Lists the pending tasks page by page, then waits `target` for each and reports it. Returns tasks per second.
pub(super) async fn tasks(place: &Place, app: &str, concurrency: usize, target: Duration) -> Result<f64> {
    let path = place.path(app);
    let mut connections = Vec::new();
    for _ in 0..concurrency {
        connections.push(place.connect().await?);
    }
    let mut lister = place.connect().await?;
    let began = Instant::now();
    let mut ids = Vec::new();
    loop {
        let path = format!("{path}/tasks/?status=pending&limit=100&offset={}", ids.len());
        let body = lister.call(Method::GET, &path, Bytes::new()).await?;
        let page: Page = serde_json::from_slice(&body)
            .map_err(|error| Failure::Unfit(format!("a page of tasks cannot be read: {error}")))?;
        ids.extend(page.results.into_iter().map(|task| task.id));
        if page.next.is_none() {
            break;
        }
    }
    let count = ids.len();
    let ids = Arc::new(ids);
    let next = Arc::new(AtomicUsize::new(0));
    let mut workers = JoinSet::new();
    for mut connection in connections {
        let (ids, next, path) = (Arc::clone(&ids), Arc::clone(&next), path.clone());
        workers.spawn(async move {
            while let Some(id) = ids.get(next.fetch_add(1, Ordering::Relaxed)) {
                if !target.is_zero() {
                    tokio::time::sleep(target).await;
                }
                let path = format!("{path}/tasks/{id}/status/");
                connection.call(Method::PATCH, &path, Bytes::from_static(DONE)).await?;
            }
            Ok(())
        });
    }
    finish(workers).await?;
    Ok(rate(count, began))
}

/// Sends prepared pages within one session, and completes it. Returns records per second.
pub(super) async fn sync(
    place: &Place,
    app: &str,
    pages: Vec<(&'static str, Bytes)>,
    records: usize,
    concurrency: usize,
) -> Result<f64> {
    let path = place.path(app);
    let mut connections = Vec::new();
    for _ in 0..concurrency {
        connections.push(place.connect().await?);
    }
    let mut first = place.connect().await?;
    let began = Instant::now();
    let session = first.call(Method::POST, &format!("{path}/sync/"), Bytes::new()).await?;
    let session: serde_json::Value = serde_json::from_slice(&session)
        .map_err(|error| Failure::Unfit(format!("the sync session cannot be read: {error}")))?;
    let path = format!("{path}/sync/{}", session["sync_id"].as_str().unwrap_or_default());
    // Groups and licenses are sent before the accounts that refer to them.
    let is_account = |page: &(&str, Bytes)| page.0 == "account";
    let (accounts, others): (Vec<_>, Vec<_>) = pages.into_iter().partition(is_account);
    for (slug, body) in others {
        first.call(Method::PUT, &format!("{path}/{slug}/"), body).await?;
    }
    let accounts = Arc::new(accounts);
    let next = Arc::new(AtomicUsize::new(0));
    let mut workers = JoinSet::new();
    for mut connection in connections {
        let (pages, next, path) = (Arc::clone(&accounts), Arc::clone(&next), path.clone());
        workers.spawn(async move {
            while let Some((slug, body)) = pages.get(next.fetch_add(1, Ordering::Relaxed)) {
                connection.call(Method::PUT, &format!("{path}/{slug}/"), body.clone()).await?;
            }
            Ok(())
        });
    }
    finish(workers).await?;
    first.call(Method::POST, &format!("{path}/complete/"), Bytes::new()).await?;
    Ok(rate(records, began))
}

async fn finish(mut workers: JoinSet<Result<()>>) -> Result<()> {
    while let Some(ended) = workers.join_next().await {
        ended.map_err(|error| Failure::Unfit(format!("the floor failed: {error}")))??;
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "a count of what was measured")]
fn rate(count: usize, began: Instant) -> f64 {
    count as f64 / began.elapsed().as_secs_f64()
}
