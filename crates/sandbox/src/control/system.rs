//! Health, settings and the clock.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State as Shared;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::read;
use crate::lock::lock;
use crate::refusal::Refusal;
use crate::settings::Settings;
use crate::state::State;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    advance: Duration,
}

pub(crate) async fn health(Shared(state): Shared<Arc<State>>) -> Json<Value> {
    Json(json!({
        "status": "ok",
        "base_url": state.base_url(),
        "tenant": state.tenant,
        "apps": state.apps.len(),
        "time": state.clock.now(),
    }))
}

pub(crate) async fn settings(Shared(state): Shared<Arc<State>>) -> Json<Settings> {
    Json(lock(&state.settings).clone())
}

/// Changes the settings in the body, including single fields of `cleanup`; the others stay unchanged.
pub(crate) async fn change_settings(
    Shared(state): Shared<Arc<State>>,
    body: Bytes,
) -> Result<Json<Settings>, Refusal> {
    let changes: Map<String, Value> = read(&body)?;
    let mut settings = lock(&state.settings);
    let mut merged = json!(*settings);
    merge(&mut merged, changes);
    *settings = read(merged.to_string().as_bytes())?;
    Ok(Json(settings.clone()))
}

fn merge(into: &mut Value, changes: Map<String, Value>) {
    for (name, change) in changes {
        match change {
            Value::Object(inner) if into[name.as_str()].is_object() => merge(&mut into[name.as_str()], inner),
            change => into[name.as_str()] = change,
        }
    }
}

pub(crate) async fn clock(Shared(state): Shared<Arc<State>>) -> Json<Value> {
    Json(json!({"time": state.clock.now()}))
}

pub(crate) async fn advance_clock(
    Shared(state): Shared<Arc<State>>,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    let by: Advance = read(&body)?;
    state.clock.advance(by.advance);
    Ok(Json(json!({"time": state.clock.now()})))
}
