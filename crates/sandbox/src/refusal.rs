//! Error responses of the form `{"detail": "…"}`.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// A rejected request: the status and the `detail` of the response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) detail: String,
}

macro_rules! refusals {
    ($($name:ident => $status:ident),* $(,)?) => {
        impl Refusal {
            $(pub(crate) fn $name(detail: impl Into<String>) -> Self {
                Self { status: StatusCode::$status, detail: detail.into() }
            })*
        }
    };
}

refusals! {
    bad_request => BAD_REQUEST,
    unauthorised => UNAUTHORIZED,
    forbidden => FORBIDDEN,
    not_found => NOT_FOUND,
    not_allowed => METHOD_NOT_ALLOWED,
    conflict => CONFLICT,
    unprocessable => UNPROCESSABLE_ENTITY,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(json!({"detail": self.detail}))).into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Api-Key"));
        }
        response
    }
}
