//! The control plane, `/sandbox/v1/…`: how a test or a person controls the sandbox from outside.

mod apps;
mod faults;
mod keys;
mod ledger;
mod system;

use std::sync::Arc;

use axum::Router;
use axum::extract::Query;
use axum::http::{Method, Uri};
use axum::routing::{delete, get, post};
use serde::de::DeserializeOwned;

use super::refusal::Refusal;
use super::state::State;

pub(crate) fn router(state: Arc<State>) -> Router {
    let at = |path: &str| format!("/sandbox/v1{path}");
    Router::new()
        .route(&at("/health"), get(system::health))
        .route(&at("/settings"), get(system::settings).patch(system::change_settings))
        .route(&at("/clock"), get(system::clock).post(system::advance_clock))
        .route(&at("/apps"), get(apps::list).post(apps::create))
        .route(&at("/apps/{app_id}"), get(apps::stats))
        .route(&at("/apps/{app_id}/stats"), get(apps::stats))
        .route(&at("/apps/{app_id}/records"), get(apps::records))
        .route(&at("/apps/{app_id}/tasks"), get(apps::tasks).post(apps::add_tasks))
        .route(&at("/tasks/{task_id}/reports"), get(ledger::reports))
        .route(&at("/ledger"), get(ledger::list).delete(ledger::clear))
        .route(&at("/faults"), get(faults::list).post(faults::add).delete(faults::clear))
        .route(&at("/faults/{id}"), delete(faults::remove))
        .route(&at("/keys"), get(keys::list).post(keys::add))
        .route(&at("/keys/{name}/revoke"), post(keys::revoke))
        .route(&at("/keys/{name}/expire"), post(keys::expire))
        .route(&at("/keys/{name}/grant"), post(keys::grant))
        .route(&at("/keys/{name}/deny"), post(keys::deny))
        .fallback(async |uri: Uri| {
            Refusal::not_found(format!(
                "The control plane has no '{}'. Its paths begin with /sandbox/v1/ and end without '/'.",
                uri.path()
            ))
        })
        .method_not_allowed_fallback(async |method: Method| {
            Refusal::not_allowed(format!("Method '{method}' is not allowed here."))
        })
        .with_state(state)
}

/// Parses a JSON body; the error names the field.
fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut json)
        .map_err(|error| Refusal::bad_request(error.to_string()))?;
    json.end().map_err(|error| Refusal::bad_request(error.to_string()))?;
    Ok(value)
}

/// Parses the query; an unknown parameter is rejected.
fn query<T: DeserializeOwned>(uri: &Uri) -> Result<T, Refusal> {
    Query::try_from_uri(uri)
        .map(|Query(value)| value)
        .map_err(|error| Refusal::bad_request(error.body_text()))
}
