//! `…/tasks/`.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State as Shared};
use axum::http::Uri;
use axum::{Extension, Json};
use serde_json::Value;

use crate::front::Caller;
use crate::lock::lock;
use crate::paging::{Window, parameter};
use crate::refusal::Refusal;
use crate::schema::not_one_of;
use crate::state::State;
use crate::store::{STATUSES, Status};

pub(crate) async fn list(
    Shared(state): Shared<Arc<State>>,
    Extension(caller): Extension<Caller>,
    Path((_, app_id)): Path<(String, String)>,
    uri: Uri,
) -> Result<Json<Value>, Refusal> {
    let order = lock(&state.settings).task_order;
    let (window, count, page) = state.with_app(&caller.key, &app_id, |app, _| {
        let window = Window::of(&uri)?;
        let status = status_of(&uri)?;
        let (count, page) = app.tasks.page(status, order, window);
        Ok((window, count, page))
    })?;
    Ok(Json(window.envelope(&caller.origin, &uri, count, page)))
}

/// The `status` filter of a list request.
pub(crate) fn status_of(uri: &Uri) -> Result<Option<Status>, Refusal> {
    parameter(uri, "status")
        .map(|name| {
            Status::from_name(&name)
                .ok_or_else(|| Refusal::bad_request(format!("status: {}", not_one_of(&STATUSES))))
        })
        .transpose()
}

pub(crate) async fn detail(
    Shared(state): Shared<Arc<State>>,
    Extension(caller): Extension<Caller>,
    Path((_, app_id, task_id)): Path<(String, String, String)>,
) -> Result<Json<Value>, Refusal> {
    state.with_app(&caller.key, &app_id, |app, _| app.tasks.get(&task_id)).map(Json)
}

pub(crate) async fn report(
    Shared(state): Shared<Arc<State>>,
    Extension(caller): Extension<Caller>,
    Path((_, app_id, task_id)): Path<(String, String, String)>,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    state
        .with_app(&caller.key, &app_id, |app, _| {
            if caller.forgets {
                app.tasks.pretend(&task_id, &body)
            } else {
                app.tasks.report(&task_id, &body)
            }
        })
        .map(Json)
}
