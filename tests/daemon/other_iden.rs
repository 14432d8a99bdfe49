//! An Iden that shares no code with the sandbox: a few routes, written from the Bridge's documents, that lie on demand. Tests against it do
//! not depend on the sandbox's interpretation of Iden.

#![expect(clippy::unused_async, reason = "a handler of axum is asynchronous, whether it waits or not")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, patch};
use axum::{Json, Router};
use serde_json::{Value, json};

/// The response to a report, and whether the report is kept.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reply {
    Keep,
    /// Responds with 200 and the new status, but keeps the old one.
    Lose,
    Conflict,
    Missing,
}

#[derive(Debug, Default)]
struct RetainedOutcome {
    app: String,
    tasks: BTreeMap<String, Value>,
    replies: Vec<Reply>,
    reports: Vec<(String, Value)>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct OtherIden {
    kept: Arc<Mutex<RetainedOutcome>>,
    address: String,
}

impl OtherIden {
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = format!("http://{}", listener.local_addr().expect("it listens"));
        let iden = Self { address, ..Self::default() };
        let routes = Router::new()
            .route("/api/v1/bridge/apps/", get(Self::apps))
            .route("/api/v1/bridge/apps/{app}/tasks/", get(Self::list))
            .route("/api/v1/bridge/apps/{app}/tasks/{task}/", get(Self::read))
            .route("/api/v1/bridge/apps/{app}/tasks/{task}/status/", patch(Self::report))
            .with_state(iden.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        iden
    }

    pub(crate) fn base_url(&self) -> &str {
        &self.address
    }

    /// Sets the id of its only app.
    pub(crate) fn has_app(&self, app: &str) {
        app.clone_into(&mut self.kept.lock().expect("it").app);
    }

    pub(crate) fn add(&self, id: &str, action: &str, payload: Value) {
        let task = json!({"id": id, "action": action, "resource_type": "account", "status": "pending",
            "execute_after": null, "created_at": "2026-01-01T00:00:00Z", "payload": payload});
        self.kept.lock().expect("it").tasks.insert(id.to_owned(), task);
    }

    /// Sets the responses to the next reports; later reports are kept.
    pub(crate) fn replies(&self, replies: &[Reply]) {
        self.kept.lock().expect("it").replies = replies.iter().rev().copied().collect();
    }

    pub(crate) fn status(&self, id: &str) -> String {
        self.kept.lock().expect("it").tasks[id]["status"].as_str().unwrap_or_default().to_owned()
    }

    pub(crate) fn reports(&self, id: &str) -> Vec<Value> {
        let kept = self.kept.lock().expect("it");
        kept.reports.iter().filter(|(task, _)| task == id).map(|(_, body)| body.clone()).collect()
    }

    async fn apps(State(iden): State<Self>) -> Json<Value> {
        let app = iden.kept.lock().expect("it").app.clone();
        let app = json!({"id": app, "name": "HR", "configuration_status": "NEW", "created_at": "2026-01-01T00:00:00Z", "last_synced_at": null});
        Json(json!({"count": 1, "next": null, "previous": null, "results": [app]}))
    }

    async fn list(State(iden): State<Self>) -> Json<Value> {
        let kept = iden.kept.lock().expect("it");
        let pending: Vec<&Value> = kept.tasks.values().filter(|task| task["status"] == "pending").collect();
        Json(json!({"count": pending.len(), "next": null, "previous": null, "results": pending}))
    }

    async fn read(
        State(iden): State<Self>,
        Path((_, task)): Path<(String, String)>,
    ) -> Result<Json<Value>, StatusCode> {
        let kept = iden.kept.lock().expect("it");
        kept.tasks.get(&task).cloned().map(Json).ok_or(StatusCode::NOT_FOUND)
    }

    async fn report(
        State(iden): State<Self>,
        Path((_, id)): Path<(String, String)>,
        Json(body): Json<Value>,
    ) -> (StatusCode, Json<Value>) {
        let mut kept = iden.kept.lock().expect("it");
        kept.reports.push((id.clone(), body.clone()));
        let reply = kept.replies.pop().unwrap_or(Reply::Keep);
        let Some(task) = kept.tasks.get_mut(&id) else {
            return (StatusCode::NOT_FOUND, Json(json!({"detail": "Task not found."})));
        };
        match reply {
            Reply::Keep => {
                task["status"] = body["status"].clone();
                (StatusCode::OK, Json(task.clone()))
            }
            Reply::Lose => {
                let mut told = task.clone();
                told["status"] = body["status"].clone();
                (StatusCode::OK, Json(told))
            }
            Reply::Conflict => (StatusCode::CONFLICT, Json(json!({"detail": "Task is locked, try again."}))),
            Reply::Missing => (StatusCode::NOT_FOUND, Json(json!({"detail": "Task not found."}))),
        }
    }
}
