//! `…/resource-types/`.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State as Shared};
use axum::http::{StatusCode, Uri};
use axum::response::IntoResponse;
use axum::{Extension, Json};
use serde_json::{Value, json};

use crate::front::Caller;
use crate::lock::lock;
use crate::paging::Window;
use crate::refusal::Refusal;
use crate::settings::ListShape;
use crate::state::State;

pub(crate) async fn register(
    Shared(state): Shared<Arc<State>>,
    Extension(caller): Extension<Caller>,
    Path((_, app_id)): Path<(String, String)>,
    body: Bytes,
) -> Result<impl IntoResponse, Refusal> {
    let added = state.with_app(&caller.key, &app_id, |app, _| app.register(&body))?;
    Ok((StatusCode::CREATED, Json(added)))
}

pub(crate) async fn list(
    Shared(state): Shared<Arc<State>>,
    Extension(caller): Extension<Caller>,
    Path((_, app_id)): Path<(String, String)>,
    uri: Uri,
) -> Result<Json<Value>, Refusal> {
    let types = state.with_app(&caller.key, &app_id, |app, _| Ok(app.types()))?;
    if lock(&state.settings).resource_type_list == ListShape::Array {
        return Ok(Json(json!(types)));
    }
    let window = Window::of(&uri)?;
    let count = types.len();
    let shown = window.cut(types).iter().map(|one| json!(one)).collect();
    Ok(Json(window.envelope(&caller.origin, &uri, count, shown)))
}

pub(crate) async fn rename(
    Shared(state): Shared<Arc<State>>,
    Extension(caller): Extension<Caller>,
    Path((_, app_id, slug)): Path<(String, String, String)>,
    body: Bytes,
) -> Result<impl IntoResponse, Refusal> {
    let renamed = state.with_app(&caller.key, &app_id, |app, _| app.rename(&slug, &body))?;
    Ok(Json(renamed))
}
