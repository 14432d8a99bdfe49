//! The Bridge API: one handler for each documented call.

mod apps;
mod resource_types;
mod sync;
mod tasks;

use std::sync::Arc;

use axum::Router;
use axum::http::{Method, Uri};
use axum::routing::{get, patch, post, put};

use super::front::no_such_path;
use super::refusal::Refusal;
use super::state::State;

pub(crate) fn router(state: Arc<State>) -> Router {
    let at = |path: &str| format!("/org/{{tenant}}/api/v1/bridge/apps{path}");
    Router::new()
        .route(&at("/"), get(apps::list).post(apps::create))
        .route(&at("/{app_id}/resource-types/"), get(resource_types::list).post(resource_types::register))
        .route(&at("/{app_id}/resource-types/{slug}/"), patch(resource_types::rename))
        .route(&at("/{app_id}/sync/"), post(sync::start))
        .route(&at("/{app_id}/sync/{sync_id}/"), get(sync::progress))
        .route(&at("/{app_id}/sync/{sync_id}/complete/"), post(sync::complete))
        .route(&at("/{app_id}/sync/{sync_id}/abandon/"), post(sync::abandon))
        .route(&at("/{app_id}/sync/{sync_id}/{slug}/"), put(sync::push))
        .route(&at("/{app_id}/tasks/"), get(tasks::list))
        .route(&at("/{app_id}/tasks/{task_id}/"), get(tasks::detail))
        .route(&at("/{app_id}/tasks/{task_id}/status/"), patch(tasks::report))
        .fallback(async |uri: Uri| no_such_path(uri.path()))
        .method_not_allowed_fallback(async |method: Method| {
            Refusal::not_allowed(format!("Method '{method}' is not allowed here."))
        })
        .with_state(state)
}
