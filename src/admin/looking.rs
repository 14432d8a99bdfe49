//! Pages and lists for reading. Nothing here changes anything.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{Html, IntoResponse, Response};
use jiff::{SignedDuration, Timestamp};

use super::actions::Refusal;
use super::listener::Lasting;
use super::pages::{self, Frame};
use super::query::Fields;
use super::site::Site;
use bridgehead_runtime::StatusReport;
use bridgehead_sdk::TaskId;

/// The maximum duration of a list that is streamed completely.
const LONG: Duration = Duration::from_mins(10);
/// How far charts go back.
const HISTORY: SignedDuration = SignedDuration::from_hours(30 * 24);
/// How long Iden may take to respond for a list that is shown.
const PATIENCE: Duration = Duration::from_secs(12);

/// The context of a request.
pub(super) struct Asked {
    pub(super) here: String,
    pub(super) fields: Fields,
    pub(super) session: Option<String>,
    pub(super) overview: Arc<StatusReport>,
    pub(super) frame: Frame,
}

impl Asked {
    pub(super) async fn of(site: &Site, uri: &Uri, headers: &HeaderMap) -> Self {
        let here = uri.path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string);
        let fields = Fields::read(uri.query().unwrap_or_default().as_bytes());
        let (session, overview) = (site.session(headers), site.overview().await);
        let frame = site.frame(&here, session.as_deref(), &overview);
        Self { here, fields, session, overview, frame }
    }

    /// Marks the page as one that updates itself.
    fn live(mut self) -> Self {
        self.frame.is_live = true;
        self
    }
}

/// A rendered page, or an error.
pub(super) fn page(rendered: Result<String, minijinja::Error>) -> Response {
    page_with(StatusCode::OK, rendered)
}

pub(super) fn page_with(status: StatusCode, rendered: Result<String, minijinja::Error>) -> Response {
    match rendered {
        Ok(html) => (status, Html(html)).into_response(),
        Err(error) => {
            tracing::error!(%error, "a page cannot be rendered");
            (StatusCode::INTERNAL_SERVER_ERROR, "the page cannot be rendered; /status has the same\n")
                .into_response()
        }
    }
}

/// A page for something that does not exist.
pub(super) fn missing(asked: &Asked, what: &str) -> Response {
    let rendered = pages::message(&asked.frame, "Not found", what, ("/", "Overview"));
    page_with(StatusCode::NOT_FOUND, rendered)
}

fn unreadable(asked: &Asked, error: &bridgehead_store::Error) -> Response {
    let rendered =
        pages::message(&asked.frame, "The history cannot be read", &error.to_string(), ("/", "Overview"));
    page_with(StatusCode::SERVICE_UNAVAILABLE, rendered)
}

const NO_APP: &str = "There is no such app.";

pub(super) async fn overview(State(site): State<Arc<Site>>, uri: Uri, headers: HeaderMap) -> Response {
    let mut asked = Asked::of(&site, &uri, &headers).await.live();
    asked.frame.renews = true;
    page(pages::overview(&asked.frame, &asked.overview))
}

pub(super) async fn alarms(State(site): State<Arc<Site>>, uri: Uri, headers: HeaderMap) -> Response {
    let asked = Asked::of(&site, &uri, &headers).await;
    page(pages::alarms(&asked.frame))
}

pub(super) async fn app(
    State(site): State<Arc<Site>>,
    Path(name): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let asked = Asked::of(&site, &uri, &headers).await.live();
    let Some(app) = asked.overview.apps.get(&name) else { return missing(&asked, NO_APP) };
    let now = asked.overview.at;
    let since = now.saturating_sub(HISTORY).unwrap_or(Timestamp::MIN);
    let kept = tokio::join!(site.observer.hours(&name, since), site.observer.recorded_runs(&name));
    let (hours, runs) = match kept {
        (Some(Ok(hours)), Some(Ok(runs))) => (hours, runs),
        (Some(Err(error)), _) | (_, Some(Err(error))) => return unreadable(&asked, &error),
        _ => return missing(&asked, NO_APP),
    };
    let shown = site.observer.shown_removals(&name);
    let of = pages::App {
        name: &name,
        state: app,
        now,
        range: asked.fields.get("range"),
        hours: &hours,
        runs: &runs,
        oldest: site.observer.oldest_pending(&name),
        shown: shown.as_deref(),
    };
    page(of.render(&asked.frame))
}

pub(super) async fn tasks(
    State(site): State<Arc<Site>>,
    Path(name): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let asked = Asked::of(&site, &uri, &headers).await;
    let listed = match tokio::time::timeout(PATIENCE, site.tasks(&name, &asked.fields)).await {
        Ok(Err(Refusal::NoSuchApp)) => return missing(&asked, NO_APP),
        Ok(listed) => listed.map_err(|refusal| refusal.message()),
        Err(_) => Err("Iden did not answer in time. Try again in a moment.".to_owned()),
    };
    let rows = listed.as_ref().map(|listed| (&*listed.0, &listed.1)).map_err(Clone::clone);
    page(pages::TaskList { name: &name, rows, fields: &asked.fields }.render(&asked.frame))
}

pub(super) async fn task(
    State(site): State<Arc<Site>>,
    Path((name, task)): Path<(String, String)>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let asked = Asked::of(&site, &uri, &headers).await;
    let back = format!("/apps/{}/tasks", pages::path_of(&name));
    let failed = |text: &str| {
        let rendered = pages::message(&asked.frame, "Not possible now", text, (&back, "Tasks"));
        page_with(StatusCode::SERVICE_UNAVAILABLE, rendered)
    };
    match tokio::time::timeout(PATIENCE, site.story(&name, &TaskId::new(task))).await {
        Err(_) => failed("Iden did not answer in time. Try again in a moment."),
        Ok(Err(Refusal::NoSuchApp)) => missing(&asked, NO_APP),
        Ok(Err(refusal)) => failed(&refusal.message()),
        Ok(Ok(None)) => missing(&asked, "There is no such task: neither Iden nor the journal knows it."),
        Ok(Ok(Some(story))) => page(pages::task(&asked.frame, &name, &story)),
    }
}

pub(super) async fn syncs(
    State(site): State<Arc<Site>>,
    Path(name): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let asked = Asked::of(&site, &uri, &headers).await.live();
    match site.observer.recorded_runs(&name).await {
        None => missing(&asked, NO_APP),
        Some(Err(error)) => unreadable(&asked, &error),
        Some(Ok(runs)) => {
            page(pages::SyncList { name: &name, runs, fields: &asked.fields }.render(&asked.frame))
        }
    }
}

pub(super) async fn sync(
    State(site): State<Arc<Site>>,
    Path((name, id)): Path<(String, String)>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let asked = Asked::of(&site, &uri, &headers).await;
    // Lists show it with a number sign; an id that is not a number does not exist.
    let Ok(id) = id.parse() else { return missing(&asked, "There is no such sync.") };
    match site.observer.recorded_run(&name, id).await {
        None => missing(&asked, NO_APP),
        Some(Err(error)) => unreadable(&asked, &error),
        Some(Ok(None)) => missing(&asked, "There is no such sync, or it is older than 30 days."),
        Some(Ok(Some(recorded))) => {
            let shown = site.observer.shown_removals(&name);
            page(pages::sync(&asked.frame, &name, &recorded, shown.as_deref()))
        }
    }
}

/// A file that browsers save.
fn file(name: &str, what: &str, body: Body) -> Response {
    let name: String =
        name.chars().filter(|one| one.is_ascii_alphanumeric() || matches!(one, '-' | '_')).collect();
    let disposition = format!("attachment; filename=\"{name}-{what}.csv\"");
    (
        [
            (header::CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()),
            (header::CONTENT_DISPOSITION, disposition),
        ],
        body,
    )
        .into_response()
}

pub(super) async fn history_csv(
    State(site): State<Arc<Site>>,
    Path(name): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    match site.observer.hours(&name, Timestamp::MIN).await {
        Some(Ok(hours)) => file(&name, "history", pages::history_csv(&hours).into()),
        Some(Err(error)) => unreadable(&Asked::of(&site, &uri, &headers).await, &error),
        None => missing(&Asked::of(&site, &uri, &headers).await, NO_APP),
    }
}

pub(super) async fn syncs_csv(
    State(site): State<Arc<Site>>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let fields = Fields::read(query.unwrap_or_default().as_bytes());
    match site.observer.recorded_runs(&name).await {
        Some(Ok(runs)) => file(&name, "syncs", pages::syncs_csv(runs, &fields).into()),
        Some(Err(error)) => unreadable(&Asked::of(&site, &uri, &headers).await, &error),
        None => missing(&Asked::of(&site, &uri, &headers).await, NO_APP),
    }
}

/// All tasks of a list, streamed while they are read, so that memory use does not depend on their number. If the list is incomplete, its
/// last line says so.
pub(super) async fn tasks_csv(
    State(site): State<Arc<Site>>,
    Path(name): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let asked = Asked::of(&site, &uri, &headers).await;
    let Some(operator) = site.operator.clone() else { return missing(&asked, NO_APP) };
    if !asked.overview.apps.contains_key(&name) {
        return missing(&asked, NO_APP);
    }
    let (status, which, _) = pages::which(&asked.fields);
    let (fields, has_names, app) = (asked.fields, asked.session.is_some(), name.clone());
    let (sender, receiver) = tokio::sync::mpsc::channel::<String>(4);
    let stop = operator.stop.clone();
    let reading = async move {
        let told = async |text: String| sender.send(text).await.is_ok();
        if !told(pages::csv_head()).await {
            return;
        }
        let broken = |error: &dyn std::fmt::Display| super::csv::line([format!("# incomplete: {error}")]);
        // A reload has removed the app in the meantime.
        let Some(inspected) = operator.runtime.inspected(&app) else { return };
        let bridge = operator.bridge();
        let mut listing = match inspected.list_tasks(&*bridge, which, None).await {
            Ok(listing) => listing,
            Err(error) => {
                told(broken(&error)).await;
                return;
            }
        };
        loop {
            match listing.next().await {
                Ok(Some(rows)) => {
                    let shown =
                        rows.iter().map(|row| if has_names { row.clone() } else { pages::nameless(row) });
                    let lines: String = shown.filter_map(|row| pages::csv_row(&row, &fields)).collect();
                    // Some clients would treat an empty chunk as the end of the body.
                    if !lines.is_empty() && !told(lines).await {
                        return;
                    }
                }
                Ok(None) => return,
                Err(error) => {
                    told(broken(&error)).await;
                    return;
                }
            }
        }
    };
    tokio::spawn(async move {
        tokio::select! {
            () = reading => {}
            () = stop.cancelled() => {}
        }
    });
    let lines = futures::stream::unfold(receiver, async |mut receiver| {
        let line = receiver.recv().await?;
        Some((Ok::<_, std::convert::Infallible>(line), receiver))
    });
    let mut response = file(&name, &format!("{status}-tasks"), Body::from_stream(lines));
    response.extensions_mut().insert(Lasting(LONG));
    response
}
