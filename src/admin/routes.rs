//! What is answered to which path.

use std::net::SocketAddr;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use serde::Serialize;

use super::guard::guard;
use super::{metrics, page};
use bridgehead_runtime::StatusReporter;

/// All paths. Other methods than GET and HEAD are answered with 405.
pub(super) fn routes(observer: StatusReporter, address: SocketAddr) -> Router {
    Router::new()
        .route("/", get(for_people))
        .route("/healthz", get(health))
        .route("/readyz", get(readiness))
        .route("/status", get(status))
        .route("/metrics", get(exposition))
        .fallback(elsewhere)
        .layer(middleware::from_fn_with_state(address, guard))
        .with_state(observer)
}

async fn for_people(State(observer): State<StatusReporter>) -> Response {
    match page::render(&observer.overview().await) {
        Ok(html) => Html(html).into_response(),
        Err(error) => {
            tracing::error!(%error, "the status page cannot be rendered");
            (StatusCode::INTERNAL_SERVER_ERROR, "the page cannot be rendered; /status has the same\n")
                .into_response()
        }
    }
}

async fn health(State(observer): State<StatusReporter>) -> Response {
    match observer.health() {
        Ok(()) => "ok\n".into_response(),
        Err(ailment) => (StatusCode::SERVICE_UNAVAILABLE, format!("{ailment}\n")).into_response(),
    }
}

async fn readiness(State(observer): State<StatusReporter>) -> Response {
    let ready = observer.readiness().now();
    let status = if ready.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, format!("{ready}\n")).into_response()
}

async fn status(State(observer): State<StatusReporter>, RawQuery(query): RawQuery) -> Response {
    let is_pretty = query.as_deref().is_some_and(|query| {
        url::form_urlencoded::parse(query.as_bytes())
            .any(|(name, value)| name == "pretty" && value != "false")
    });
    json(&observer.overview().await, is_pretty)
}

async fn exposition(State(observer): State<StatusReporter>, headers: HeaderMap) -> Response {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    let format = metrics::Format::asked_for(accept);
    match metrics::exposition(&observer, format).await {
        Ok(text) => ([(header::CONTENT_TYPE, format.content_type())], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "the metrics cannot be written");
            (StatusCode::INTERNAL_SERVER_ERROR, "the metrics cannot be written\n").into_response()
        }
    }
}

async fn elsewhere() -> Response {
    (StatusCode::NOT_FOUND, "Available paths: /, /status, /status?pretty, /metrics, /healthz and /readyz.\n")
        .into_response()
}

fn json(value: &impl Serialize, is_pretty: bool) -> Response {
    let text = if is_pretty { serde_json::to_string_pretty(value) } else { serde_json::to_string(value) };
    match text {
        Ok(text) => ([(header::CONTENT_TYPE, "application/json")], text + "\n").into_response(),
        Err(error) => {
            tracing::error!(%error, "the status cannot be written as JSON");
            (StatusCode::INTERNAL_SERVER_ERROR, "the status cannot be written\n").into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use bridgehead_runtime::{Clock, Liveness, SystemClock};

    #[tokio::test(start_paused = true)]
    async fn a_daemon_without_a_heartbeat_is_unhealthy_and_the_page_says_so() {
        let vitals = Arc::new(Liveness::new());
        let now = SystemClock.now();
        let observer = StatusReporter::without_apps(Arc::clone(&vitals), Arc::new(SystemClock), now);
        assert_eq!(health(State(observer.clone())).await.status(), StatusCode::OK);
        tokio::time::advance(Duration::from_secs(11)).await;
        assert_eq!(health(State(observer.clone())).await.status(), StatusCode::SERVICE_UNAVAILABLE);
        let overview = observer.overview().await;
        assert!(overview.needs_somebody());
        let html = page::render(&overview).unwrap();
        assert!(
            html.contains("has not responded for 11 seconds") && html.contains("Action required"),
            "{html}"
        );
    }
}
