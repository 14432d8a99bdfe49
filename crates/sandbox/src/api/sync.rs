//! `…/sync/`.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State as Shared};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::{Extension, Json};
use serde_json::{Value, json};

use crate::front::Caller;
use crate::refusal::Refusal;
use crate::state::State;
use crate::store::parse_page;

type SessionPath = Path<(String, String, String)>;

pub(crate) async fn start(
    Shared(state): Shared<Arc<State>>,
    Extension(caller): Extension<Caller>,
    Path((_, app_id)): Path<(String, String)>,
) -> Result<impl IntoResponse, Refusal> {
    let id = state.with_app(&caller.key, &app_id, |app, _| Ok(app.sync.start()))?;
    Ok((StatusCode::CREATED, Json(json!({"sync_id": id}))))
}

pub(crate) async fn push(
    Shared(state): Shared<Arc<State>>,
    Extension(caller): Extension<Caller>,
    Path((_, app_id, sync_id, slug)): Path<(String, String, String, String)>,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    let kind = state.with_app(&caller.key, &app_id, |app, _| {
        let kind = app.kind_of(&slug)?;
        app.sync.check_open(&sync_id)?;
        Ok(kind)
    })?;
    // Read without the app's lock: other requests of the same app continue.
    let page = parse_page(kind, &body)?;
    state
        .with_app(&caller.key, &app_id, |app, _| {
            let types = app.types();
            app.sync.push(&sync_id, &slug, page, &types)
        })
        .map(Json)
}

pub(crate) async fn progress(
    Shared(state): Shared<Arc<State>>,
    Extension(caller): Extension<Caller>,
    Path((_, app_id, sync_id)): SessionPath,
) -> Result<Json<Value>, Refusal> {
    state.with_app(&caller.key, &app_id, |app, _| app.sync.progress(&sync_id, &app.types())).map(Json)
}

pub(crate) async fn complete(
    Shared(state): Shared<Arc<State>>,
    Extension(caller): Extension<Caller>,
    Path((_, app_id, sync_id)): SessionPath,
) -> Result<StatusCode, Refusal> {
    state.with_app(&caller.key, &app_id, |app, now| state.complete(app, &sync_id, now))?;
    Ok(StatusCode::ACCEPTED)
}

pub(crate) async fn abandon(
    Shared(state): Shared<Arc<State>>,
    Extension(caller): Extension<Caller>,
    Path((_, app_id, sync_id)): SessionPath,
) -> Result<StatusCode, Refusal> {
    state.with_app(&caller.key, &app_id, |app, _| app.sync.abandon(&sync_id))?;
    Ok(StatusCode::NO_CONTENT)
}
