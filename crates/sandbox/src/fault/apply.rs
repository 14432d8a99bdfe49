//! Applies a fault to a response.

use std::io;
use std::time::Duration;

use axum::Json;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::stream;
use serde_json::{Value, json};

use super::rule::{Canned, Effect, Loss};

/// The time between the first half of a body and the cut of the connection, so that the half is sent before.
const BEFORE_CUT: Duration = Duration::from_millis(20);
/// The default target of a foreign `next` link: a host name that never resolves (RFC 2606).
const FOREIGN: &str = "https://elsewhere.invalid";

/// What the client finally gets.
pub(crate) enum Outcome {
    Answer(Response),
    /// The connection is closed without a response.
    Cut,
}

/// The response that a fault defines.
pub(crate) fn canned(canned: &Canned) -> Response {
    let status = status_of(canned.status);
    let mut response = match (&canned.text, &canned.body) {
        (Some(text), _) => (status, text.clone()).into_response(),
        (None, Some(body)) => (status, Json(body)).into_response(),
        (None, None) if status == StatusCode::NO_CONTENT => status.into_response(),
        (None, None) => {
            let detail = format!("The sandbox was told to answer {}.", status.as_u16());
            (status, Json(json!({"detail": detail}))).into_response()
        }
    };
    for (name, value) in &canned.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// Applies a fault to the response of a request that has already taken effect.
pub(crate) async fn spoil(effect: Option<&Effect>, origin: &str, uri: &Uri, response: Response) -> Outcome {
    let spoilt = match effect {
        Some(Effect::Cut | Effect::Lose(Loss::Cut)) => return Outcome::Cut,
        None | Some(Effect::Answer(_) | Effect::Delay(_) | Effect::Stall(_) | Effect::Forget) => response,
        Some(Effect::Lose(Loss::Truncate)) => return truncated(response).await,
        Some(Effect::Lose(Loss::Status(status))) => {
            (status_of(*status), "Internal Server Error").into_response()
        }
        Some(Effect::Garbage { status }) => (
            status_of(*status),
            [(header::CONTENT_TYPE, "text/html; charset=utf-8")],
            "<!DOCTYPE html>\n<html><head><title>Please wait</title></head><body><h1>502 Bad Gateway</h1>\
             <p>The service is temporarily unavailable.</p></body></html>\n",
        )
            .into_response(),
        Some(Effect::Endless) => with_body(response, endless()),
        Some(Effect::SlowLoris { every }) => {
            let (parts, body) = response.into_parts();
            let body = read(body).await;
            let mut slow = Response::from_parts(parts, slow(body.clone(), *every));
            slow.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
            slow
        }
        Some(Effect::ForeignNext { to }) => {
            let link = to.clone().unwrap_or_else(|| format!("{FOREIGN}{uri}"));
            with_next(response, link).await
        }
        Some(Effect::LoopingNext) => with_next(response, format!("{origin}{uri}")).await,
    };
    Outcome::Answer(spoilt)
}

fn status_of(status: u16) -> StatusCode {
    StatusCode::from_u16(status)
        .ok()
        .filter(|status| !status.is_informational())
        .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

async fn read(body: Body) -> Bytes {
    // The sandbox's own responses are already in memory: reading one neither fails nor blocks.
    to_bytes(body, usize::MAX).await.unwrap_or_default()
}

fn with_body(response: Response, body: Body) -> Response {
    let (mut parts, _) = response.into_parts();
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, body)
}

async fn truncated(response: Response) -> Outcome {
    let (mut parts, body) = response.into_parts();
    let body = read(body).await;
    if body.is_empty() {
        return Outcome::Cut;
    }
    parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    let half = body.slice(..body.len() / 2);
    let chunks = stream::unfold(Some(half), |half| async move {
        match half {
            Some(half) if !half.is_empty() => Some((Ok(half), Some(Bytes::new()))),
            Some(_) => {
                tokio::time::sleep(BEFORE_CUT).await;
                Some((Err(io::Error::from(io::ErrorKind::ConnectionReset)), None))
            }
            None => None,
        }
    });
    Outcome::Answer(Response::from_parts(parts, Body::from_stream(chunks)))
}

/// The beginning of a list, followed by spaces, which JSON permits indefinitely.
fn endless() -> Body {
    const SPACES: &[u8] = &[b' '; 16 * 1024];
    let chunks = stream::unfold(false, |has_begun| async move {
        let chunk =
            if has_begun { SPACES } else { br#"{"count": 1, "next": null, "previous": null, "results": ["# };
        // The stream never waits; without this, one endless response would occupy a thread.
        tokio::task::yield_now().await;
        Some((Ok::<_, io::Error>(Bytes::from_static(chunk)), true))
    });
    Body::from_stream(chunks)
}

fn slow(body: Bytes, every: Duration) -> Body {
    let bytes = stream::unfold(body, move |mut rest| async move {
        if rest.is_empty() {
            return None;
        }
        tokio::time::sleep(every).await;
        Some((Ok::<_, io::Error>(rest.split_to(1)), rest))
    });
    Body::from_stream(bytes)
}

async fn with_next(response: Response, link: String) -> Response {
    let (mut parts, body) = response.into_parts();
    let body = read(body).await;
    let Ok(Value::Object(mut list)) = serde_json::from_slice::<Value>(&body) else {
        return Response::from_parts(parts, Body::from(body));
    };
    if !list.contains_key("next") {
        return Response::from_parts(parts, Body::from(body));
    }
    list.insert("next".to_owned(), link.into());
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, Body::from(Value::Object(list).to_string()))
}
