//! The ledger, and the reports on a task.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State as Shared};
use axum::http::{StatusCode, Uri};
use serde_json::{Value, json};

use super::query;
use crate::ledger::{Filter, Report};
use crate::refusal::Refusal;
use crate::state::State;

/// The default number of entries per page.
const ENTRIES_PER_PAGE: usize = 100;

pub(crate) async fn list(Shared(state): Shared<Arc<State>>, uri: Uri) -> Result<Json<Value>, Refusal> {
    let filter: Filter = query(&uri)?;
    let (count, page) = state.ledger.page(&filter, ENTRIES_PER_PAGE);
    Ok(Json(json!({"count": count, "dropped": state.ledger.dropped(), "results": page})))
}

pub(crate) async fn clear(Shared(state): Shared<Arc<State>>) -> StatusCode {
    state.ledger.clear();
    StatusCode::NO_CONTENT
}

pub(crate) async fn reports(
    Shared(state): Shared<Arc<State>>,
    Path(task_id): Path<String>,
) -> Json<Vec<Report>> {
    Json(state.ledger.reports(&task_id))
}
