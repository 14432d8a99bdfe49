//! `…/apps/`.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State as Shared;
use axum::http::{StatusCode, Uri};
use axum::response::IntoResponse;
use axum::{Extension, Json};
use uuid::Uuid;

use crate::front::Caller;
use crate::lock::lock;
use crate::paging::Window;
use crate::refusal::Refusal;
use crate::state::State;
use crate::store::{NewApp, no_app};

/// Creates an app and gives the key access to it.
pub(crate) async fn create(
    Shared(state): Shared<Arc<State>>,
    Extension(caller): Extension<Caller>,
    body: Bytes,
) -> Result<impl IntoResponse, Refusal> {
    let new = NewApp::read(&body)?;
    if let Some(original) = new.clone_from {
        state.with_app(&caller.key, &original.to_string(), |_, _| Ok(()))?;
    }
    let id = Uuid::new_v4();
    state.apps.make(id, new, state.clock.now())?;
    // The key was just authenticated; if it has been removed since, there is no key to grant access to.
    state.keys.grant(&caller.key, id).ok();
    let shown = state.inspect(id, |app, _| app.shown()).ok_or_else(|| no_app(&id.to_string()))?;
    Ok((StatusCode::CREATED, Json(shown)))
}

/// The apps the key has access to.
pub(crate) async fn list(
    Shared(state): Shared<Arc<State>>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
) -> Result<impl IntoResponse, Refusal> {
    let window = Window::of(&uri)?;
    let mut apps = state.apps.all();
    apps.retain(|(id, _)| state.keys.permits(&caller.key, *id));
    let count = apps.len();
    let now = state.clock.now();
    let shown = window
        .cut(apps)
        .into_iter()
        .map(|(_, app)| {
            let mut app = lock(&app);
            app.settle(now);
            app.shown()
        })
        .collect();
    Ok(Json(window.envelope(&caller.origin, &uri, count, shown)))
}
