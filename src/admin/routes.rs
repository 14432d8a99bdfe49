//! The routes of the listener.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Serialize;

use super::guard::guard;
use super::site::Site;
use super::{acting, events, looking, metrics, pages};

/// The maximum size of a form.
const LARGEST_FORM: usize = 64 * 1024;

/// All paths. POST is accepted only where there is a form; other methods than GET and HEAD get a 405 elsewhere.
pub(super) fn routes(site: Arc<Site>, address: SocketAddr) -> Router {
    Router::new()
        .route("/", get(looking::overview))
        .route("/apps/{app}", get(looking::app))
        .route("/apps/{app}/history.csv", get(looking::history_csv))
        .route("/apps/{app}/tasks", get(looking::tasks))
        .route("/apps/{app}/tasks/{task}", get(looking::task))
        .route("/apps/{app}/tasks.csv", get(looking::tasks_csv))
        .route("/apps/{app}/syncs", get(looking::syncs))
        .route("/apps/{app}/syncs.csv", get(looking::syncs_csv))
        .route("/apps/{app}/syncs/{id}", get(looking::sync))
        .route("/apps/{app}/actions/{action}", get(acting::confirm).post(acting::perform))
        .route("/alarms", get(looking::alarms))
        .route("/login", get(acting::sign_in_form).post(acting::sign_in))
        .route("/logout", get(acting::sign_out_form).post(acting::sign_out))
        .route("/events", get(events::follow))
        .route("/page.css", get(async || asset("text/css; charset=utf-8", pages::STYLE)))
        .route("/page.js", get(async || asset("text/javascript; charset=utf-8", pages::SCRIPT)))
        .route("/icon.svg", get(async || asset("image/svg+xml", pages::ICON)))
        .route("/healthz", get(health))
        .route("/readyz", get(readiness))
        .route("/status", get(status))
        .route("/metrics", get(exposition))
        .fallback(elsewhere)
        .layer(DefaultBodyLimit::max(LARGEST_FORM))
        .layer(middleware::from_fn_with_state(address, guard))
        .with_state(site)
}

fn asset(content_type: &'static str, text: &'static str) -> Response {
    ([(header::CONTENT_TYPE, content_type)], text).into_response()
}

async fn health(State(site): State<Arc<Site>>) -> Response {
    match site.observer.health() {
        Ok(()) => "ok\n".into_response(),
        Err(ailment) => (StatusCode::SERVICE_UNAVAILABLE, format!("{ailment}\n")).into_response(),
    }
}

async fn readiness(State(site): State<Arc<Site>>) -> Response {
    let ready = site.observer.readiness().now();
    let status = if ready.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, format!("{ready}\n")).into_response()
}

async fn status(State(site): State<Arc<Site>>, RawQuery(query): RawQuery) -> Response {
    let is_pretty = query.as_deref().is_some_and(|query| {
        url::form_urlencoded::parse(query.as_bytes())
            .any(|(name, value)| name == "pretty" && value != "false")
    });
    json(&site.observer.overview().await, is_pretty)
}

async fn exposition(State(site): State<Arc<Site>>, headers: HeaderMap) -> Response {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    let format = metrics::Format::asked_for(accept);
    match metrics::exposition(&site.observer, format).await {
        Ok(text) => ([(header::CONTENT_TYPE, format.content_type())], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "the metrics cannot be written");
            (StatusCode::INTERNAL_SERVER_ERROR, "the metrics cannot be written\n").into_response()
        }
    }
}

async fn elsewhere() -> Response {
    let text = "Available paths: /, /apps/NAME, /status, /status?pretty, /metrics, /healthz and /readyz.\n";
    (StatusCode::NOT_FOUND, text).into_response()
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
    use std::time::Duration;

    use super::*;
    use crate::admin::session::Access;
    use bridgehead_runtime::{Clock, Liveness, StatusReporter, SystemClock};

    #[tokio::test(start_paused = true)]
    async fn daemon_without_heartbeat_is_shown_unhealthy() {
        let vitals = Arc::new(Liveness::new());
        let now = SystemClock.now();
        let observer = StatusReporter::without_apps(Arc::clone(&vitals), Arc::new(SystemClock), now);
        let site = Arc::new(Site::new(observer, Access::new(None), None, 1));
        assert_eq!(health(State(Arc::clone(&site))).await.status(), StatusCode::OK);
        tokio::time::advance(Duration::from_secs(11)).await;
        assert_eq!(health(State(Arc::clone(&site))).await.status(), StatusCode::SERVICE_UNAVAILABLE);
        let overview = site.overview().await;
        assert!(overview.needs_somebody());
        let html = pages::overview(&site.frame("/", None, &overview), &overview).unwrap();
        assert!(
            html.contains("has not responded for 11 seconds") && html.contains("Action required"),
            "{html}"
        );
    }
}
