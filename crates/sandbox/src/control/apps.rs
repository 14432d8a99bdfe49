//! Apps, their tasks and their records.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State as Shared};
use axum::http::{StatusCode, Uri};
use axum::response::IntoResponse;
use bridgehead_sdk::ResourceType;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{query, read};
use crate::refusal::Refusal;
use crate::state::State;
use crate::store::{App, AppStats, NewApp, RecordFilter, STATUSES, Status, no_app};

/// The default number of tasks per page.
const TASKS_PER_PAGE: usize = 100;

/// An app to create.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    app_id: Option<Uuid>,
    name: Option<String>,
    clone_from: Option<Uuid>,
    #[serde(default)]
    resource_types: Vec<ResourceType>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct TaskFilter {
    status: Option<String>,
    limit: Option<usize>,
    offset: Option<usize>,
}

fn inspect<T>(state: &State, app_id: &str, act: impl FnOnce(&mut App) -> T) -> Result<T, Refusal> {
    app_id.parse().ok().and_then(|id| state.inspect(id, |app, _| act(app))).ok_or_else(|| no_app(app_id))
}

/// Creates an app with a given id: 201, or 200 if it already exists, in which case only its resource types change.
pub(crate) async fn create(
    Shared(state): Shared<Arc<State>>,
    body: Bytes,
) -> Result<impl IntoResponse, Refusal> {
    let wanted: Wanted = read(&body)?;
    let id = wanted.app_id.unwrap_or_else(Uuid::new_v4);
    let new = NewApp { name: wanted.name.unwrap_or_else(|| id.to_string()), clone_from: wanted.clone_from };
    let is_new = state.apps.make(id, new, state.clock.now())?;
    let shown = inspect(&state, &id.to_string(), |app| {
        for one in wanted.resource_types {
            app.ensure_type(one);
        }
        app.shown()
    })?;
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(shown)))
}

pub(crate) async fn list(Shared(state): Shared<Arc<State>>) -> Json<Vec<AppStats>> {
    let apps = state.apps.all();
    Json(apps.into_iter().filter_map(|(id, _)| state.inspect(id, |app, _| app.stats())).collect())
}

pub(crate) async fn stats(
    Shared(state): Shared<Arc<State>>,
    Path(app_id): Path<String>,
) -> Result<Json<AppStats>, Refusal> {
    inspect(&state, &app_id, |app| app.stats()).map(Json)
}

pub(crate) async fn records(
    Shared(state): Shared<Arc<State>>,
    Path(app_id): Path<String>,
    uri: Uri,
) -> Result<Json<Value>, Refusal> {
    let filter: RecordFilter = query(&uri)?;
    let (count, page) = inspect(&state, &app_id, |app| app.sync.records.page(&filter))?;
    Ok(Json(json!({"count": count, "results": page})))
}

/// Adds one task or a list of tasks: all or none.
pub(crate) async fn add_tasks(
    Shared(state): Shared<Arc<State>>,
    Path(app_id): Path<String>,
    body: Bytes,
) -> Result<impl IntoResponse, Refusal> {
    let tasks = match read::<Value>(&body)? {
        Value::Array(tasks) => tasks,
        task => vec![task],
    };
    let id = app_id.parse().map_err(|_| no_app(&app_id))?;
    let ids = state.add_tasks(id, tasks).ok_or_else(|| no_app(&app_id))?.map_err(Refusal::bad_request)?;
    Ok((StatusCode::CREATED, Json(json!({"ids": ids}))))
}

/// The tasks with their outcomes.
pub(crate) async fn tasks(
    Shared(state): Shared<Arc<State>>,
    Path(app_id): Path<String>,
    uri: Uri,
) -> Result<Json<Value>, Refusal> {
    let filter: TaskFilter = query(&uri)?;
    let status = filter
        .status
        .map(|name| {
            Status::from_name(&name)
                .ok_or_else(|| Refusal::bad_request(format!("status: one of {}", STATUSES.join(", "))))
        })
        .transpose()?;
    let (count, page) = inspect(&state, &app_id, |app| {
        let page: Vec<Value> = app
            .tasks
            .with_outcomes(status)
            .skip(filter.offset.unwrap_or(0))
            .take(filter.limit.unwrap_or(TASKS_PER_PAGE))
            .collect();
        (app.tasks.count(status), page)
    })?;
    Ok(Json(json!({"count": count, "results": page})))
}
