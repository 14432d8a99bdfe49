//! API keys.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State as Shared};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use super::read;
use crate::clock::later;
use crate::error::Error;
use crate::key::{KeyStatus, NewKey};
use crate::refusal::Refusal;
use crate::state::State;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    name: String,
    key: Option<String>,
    apps: Option<Vec<Uuid>>,
    #[serde(default, with = "jiff::fmt::serde::unsigned_duration::friendly::compact::optional")]
    expires_in: Option<Duration>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Expiry {
    #[serde(rename = "in", with = "jiff::fmt::serde::unsigned_duration::friendly::compact::optional")]
    after: Option<Duration>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Access {
    app_id: Uuid,
}

fn refused(error: &Error) -> Refusal {
    match error {
        Error::UnknownKey(_) => Refusal::not_found(error.to_string()),
        Error::KeyExists(_) => Refusal::conflict(error.to_string()),
        _ => Refusal::bad_request(error.to_string()),
    }
}

/// Adds a key. Only this response ever shows the key.
pub(crate) async fn add(
    Shared(state): Shared<Arc<State>>,
    body: Bytes,
) -> Result<impl IntoResponse, Refusal> {
    let wanted: Wanted = read(&body)?;
    let key = wanted.key.unwrap_or_else(|| format!("sandbox-{}", Uuid::new_v4().simple()));
    let answer = json!({"name": wanted.name, "key": key});
    let new = NewKey { name: wanted.name, key, apps: wanted.apps, expires_in: wanted.expires_in };
    state.keys.add(new, state.clock.now()).map_err(|error| refused(&error))?;
    Ok((StatusCode::CREATED, Json(answer)))
}

pub(crate) async fn list(Shared(state): Shared<Arc<State>>) -> Json<Vec<KeyStatus>> {
    Json(state.keys.list(state.clock.now()))
}

pub(crate) async fn revoke(
    Shared(state): Shared<Arc<State>>,
    Path(name): Path<String>,
) -> Result<StatusCode, Refusal> {
    state.keys.revoke(&name).map_err(|error| refused(&error))?;
    Ok(StatusCode::NO_CONTENT)
}

/// Makes a key expire, immediately or after `{"in": "30s"}`.
pub(crate) async fn expire(
    Shared(state): Shared<Arc<State>>,
    Path(name): Path<String>,
    body: Bytes,
) -> Result<StatusCode, Refusal> {
    let expiry = if body.is_empty() { Expiry::default() } else { read(&body)? };
    let at = later(state.clock.now(), expiry.after.unwrap_or_default());
    state.keys.expire(&name, at).map_err(|error| refused(&error))?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn grant(
    Shared(state): Shared<Arc<State>>,
    Path(name): Path<String>,
    body: Bytes,
) -> Result<StatusCode, Refusal> {
    let access: Access = read(&body)?;
    state.keys.grant(&name, access.app_id).map_err(|error| refused(&error))?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn deny(
    Shared(state): Shared<Arc<State>>,
    Path(name): Path<String>,
    body: Bytes,
) -> Result<StatusCode, Refusal> {
    let access: Access = read(&body)?;
    state.keys.deny(&name, access.app_id).map_err(|error| refused(&error))?;
    Ok(StatusCode::NO_CONTENT)
}
