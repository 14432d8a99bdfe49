//! Faults.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State as Shared};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use serde_json::{Value, json};

use super::read;
use crate::fault::{Fault, FaultId, FaultStatus};
use crate::refusal::Refusal;
use crate::state::State;

/// Adds one fault or a list of faults: all or none.
pub(crate) async fn add(
    Shared(state): Shared<Arc<State>>,
    body: Bytes,
) -> Result<impl IntoResponse, Refusal> {
    // The first character distinguishes a list from a single fault; trying to parse both would lose the error message.
    let faults: Vec<Fault> =
        if matches!(read::<Value>(&body)?, Value::Array(_)) { read(&body)? } else { vec![read(&body)?] };
    for fault in &faults {
        fault.check().map_err(|error| Refusal::bad_request(error.to_string()))?;
    }
    let ids: Vec<FaultId> = faults.into_iter().map(|fault| state.faults.add(fault)).collect();
    Ok((StatusCode::CREATED, Json(json!({"ids": ids}))))
}

pub(crate) async fn list(Shared(state): Shared<Arc<State>>) -> Json<Vec<FaultStatus>> {
    Json(state.faults.list())
}

pub(crate) async fn clear(Shared(state): Shared<Arc<State>>) -> StatusCode {
    state.faults.clear();
    StatusCode::NO_CONTENT
}

pub(crate) async fn remove(
    Shared(state): Shared<Arc<State>>,
    Path(id): Path<String>,
) -> Result<StatusCode, Refusal> {
    let was_there = id.parse().is_ok_and(|id| state.faults.remove(FaultId(id)));
    if was_there {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Refusal::not_found(format!("There is no fault '{id}'.")))
    }
}
