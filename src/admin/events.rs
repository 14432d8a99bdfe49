//! `/events`: notifies a page of changes through server-sent events. The page then reloads itself.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::time::Instant;
use xxhash_rust::xxh3::xxh3_64;

use super::listener::Lasting;
use super::site::Site;
use bridgehead_runtime::StatusReport;

/// How often to check for changes.
const EVERY: Duration = Duration::from_secs(2);
/// After this time without changes a comment is sent, so that a dead connection is detected.
const SILENCE: Duration = Duration::from_secs(15);
/// The maximum duration of a connection; the browser then opens another.
const LASTS: Duration = Duration::from_mins(30);

/// Streams changes of the status.
pub(super) async fn follow(State(site): State<Arc<Site>>) -> Response {
    let Ok(place) = Arc::clone(&site.live).try_acquire_owned() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "too many pages are open; this one is not kept live\n")
            .into_response();
    };
    let start = (site, place, None::<u64>, Instant::now());
    let events = futures::stream::unfold(start, async |(site, place, mut known, mut said)| {
        loop {
            if known.is_some() {
                tokio::time::sleep(EVERY).await;
            }
            let is = fingerprint(&*site.overview().await);
            let text = if known != Some(is) {
                known = Some(is);
                format!("event: changed\ndata: {is:016x}\n\n")
            } else if said.elapsed() >= SILENCE {
                ":\n\n".to_owned()
            } else {
                continue;
            };
            said = Instant::now();
            return Some((Ok::<_, std::convert::Infallible>(text), (site, place, known, said)));
        }
    });
    let mut response =
        ([(header::CONTENT_TYPE, "text/event-stream")], Body::from_stream(events)).into_response();
    response.extensions_mut().insert(Lasting(LASTS));
    response
}

/// A digest that differs when there is something new to show; the time alone does not change it.
fn fingerprint(report: &StatusReport) -> u64 {
    let mut report = report.clone();
    report.at = jiff::Timestamp::UNIX_EPOCH;
    if let Some(daemon) = &mut report.daemon {
        daemon.uptime_seconds = 0;
    }
    serde_json::to_vec(&report).map_or(0, |bytes| xxh3_64(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bridgehead_runtime::{AppOverview, DaemonOverview};

    #[test]
    fn time_alone_does_not_change_the_fingerprint() {
        let report = |second, ready| StatusReport {
            at: jiff::Timestamp::from_second(second).unwrap(),
            daemon: Some(DaemonOverview {
                uptime_seconds: second.unsigned_abs(),
                ready,
                ..DaemonOverview::default()
            }),
            apps: [("hr".to_owned(), AppOverview::default())].into(),
        };
        assert_eq!(fingerprint(&report(1, true)), fingerprint(&report(2, true)));
        assert_ne!(fingerprint(&report(1, true)), fingerprint(&report(1, false)));
    }
}
