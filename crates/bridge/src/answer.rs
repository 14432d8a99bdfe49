//! A request, its response, and the meaning of each status.

use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Method, Response, StatusCode};
use serde_json::{Map, Value};
use tokio::time::{Instant, timeout_at};
use url::Url;

use super::beginning::FirstItem;
use super::error::BrokenRule;
use super::lenient_json::salvage;
use bridgehead_sdk::http::{body, retry_after};

use super::exchange::{Environment, Undelivered};
use super::{ApiKey, Call, Error, Precondition, sanitize};

/// How many bytes of an error body are read.
const ERROR_BYTES: usize = 64 * 1024;
/// How long reading an error body may take. The status alone carries most of the information.
const ERROR_TIME: Duration = Duration::from_secs(5);

/// The maximum size of a response that is neither a list nor a task.
const SHORT_BYTES: usize = 1024 * 1024;
/// How many bytes of an oversized body are kept, to find out which task it is about.
const BEGINNING: usize = 64 * 1024;
/// The maximum number of values in a response. Once parsed, each takes many times the two bytes of `0,`.
const MOST_VALUES: usize = 1_000_000;

/// A request that can be sent repeatedly.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) call: Call,
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) body: Option<Bytes>,
    pub(super) only_if: Option<Precondition>,
}

impl Request {
    pub(super) fn new(call: Call, method: Method, url: Url) -> Self {
        Self { call, method, url, body: None, only_if: None }
    }

    pub(super) fn json(mut self, body: &Value) -> Self {
        self.body = Some(body.to_string().into());
        self
    }

    fn on_the_wire(&self, authorization: HeaderValue) -> reqwest::Request {
        let mut request = reqwest::Request::new(self.method.clone(), self.url.clone());
        request.headers_mut().insert(AUTHORIZATION, authorization);
        if let Some(body) = &self.body {
            request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            *request.body_mut() = Some(body.clone().into());
        }
        request
    }
}

/// The limits of an exchange.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) time: Duration,
    pub(super) bytes: usize,
}

/// A successful response (200, 201, 202 or 204) with its complete body.
#[derive(Debug)]
pub(super) struct Answer {
    call: Call,
    status: u16,
    /// Whether the request had been sent before without a usable response.
    pub(super) repeated: bool,
    body: Vec<u8>,
}

impl Answer {
    pub(super) fn new(call: Call, status: u16, body: Vec<u8>) -> Self {
        Self { call, status, repeated: false, body }
    }

    pub(super) fn status(&self) -> u16 {
        self.status
    }

    /// The body, which must be JSON. The parser limits the nesting depth; an overly nested member of a task makes only that member
    /// unreadable.
    pub(super) fn json(self) -> Result<Value, Error> {
        if self.body.trim_ascii().is_empty() {
            return Err(Error::malformed(&self.call, "an empty body where the documentation requires one"));
        }
        // An upper bound for the number of values, counted before any memory is allocated for them.
        let values = self.body.iter().filter(|byte| matches!(byte, b',' | b'[' | b'{')).take(MOST_VALUES + 1);
        if values.count() > MOST_VALUES {
            let (call, first) = (self.call, FirstItem::of(&self.body[..self.body.len().min(BEGINNING)]));
            return Err(Error::TooManyValues { call, limit: MOST_VALUES, first });
        }
        serde_json::from_slice(&self.body).or_else(|error| salvage(&self.body).ok_or(error)).map_err(
            |error| {
                // The parser's message may quote the input; its position does not.
                let what =
                    if error.is_eof() { "truncated JSON" } else { "invalid JSON, or JSON nested too deeply" };
                Error::malformed(
                    &self.call,
                    format!("{what} (line {}, column {})", error.line(), error.column()),
                )
            },
        )
    }

    /// The body, which must be a JSON object.
    pub(super) fn object(self) -> Result<Map<String, Value>, Error> {
        let call = self.call.clone();
        match self.json()? {
            Value::Object(fields) => Ok(fields),
            other => {
                let found = match other {
                    Value::Null => "null",
                    Value::Array(_) => "a list",
                    _ => "a plain value",
                };
                Err(Error::malformed(&call, format!("{found} where the documentation requires an object")))
            }
        }
    }

    /// The body of a call whose response is not documented: empty, or JSON. An HTML page does not come from the Bridge.
    pub(super) fn acknowledged(self) -> Result<(), Error> {
        if self.body.trim_ascii().is_empty() { Ok(()) } else { self.json().map(|_| ()) }
    }
}

/// Sends a request once.
pub(super) async fn once(
    environment: &Environment,
    request: &Request,
    key: &ApiKey,
    bounds: Bounds,
) -> Result<Answer, Error> {
    let call = &request.call;
    let not_sent = |cause: String| Error::NotSent { call: call.clone(), cause, known: false };
    let no_answer = |cause: String| Error::NoAnswer { call: call.clone(), cause };
    let header =
        key.header().map_err(|_| not_sent("the API key cannot be sent in an HTTP header".to_owned()))?;
    let deadline = Instant::now() + bounds.time;
    match timeout_at(deadline, environment.exchange.exchange(request.on_the_wire(header))).await {
        Err(_) => Err(no_answer(late(bounds.time))),
        Ok(Err(Undelivered::NotSent(cause))) => Err(not_sent(cause)),
        Ok(Err(Undelivered::NoAnswer(cause))) => Err(no_answer(cause)),
        Ok(Ok(mut response)) if is_success(response.status()) => {
            let longest = if call.operation().is_read_at_length() {
                bounds.bytes
            } else {
                bounds.bytes.min(SHORT_BYTES)
            };
            match body::read_or_beginning(&mut response, longest, BEGINNING, deadline).await {
                Ok(body) => Ok(Answer::new(call.clone(), response.status().as_u16(), body)),
                Err((body::Error::TooLarge(limit), beginning)) => {
                    Err(Error::BodyTooLarge { call: call.clone(), limit, first: FirstItem::of(&beginning) })
                }
                Err((body::Error::Late, _)) => Err(no_answer(late(bounds.time))),
                Err((body::Error::Cut(error), _)) => Err(no_answer(cause(error))),
                // The Bridge is up: only this response is damaged.
                Err((error @ (body::Error::Damaged(_) | body::Error::Encoded(_)), _)) => {
                    let status = response.status().as_u16();
                    Err(Error::malformed(call, format!("a {status} that cannot be read: {error}")))
                }
            }
        }
        Ok(Ok(response)) => Err(refusal(call, response, key, environment.clock.now(), deadline).await),
    }
}

/// Each of the four success statuses is accepted for every call: the specific one adds nothing to the body.
fn is_success(status: StatusCode) -> bool {
    matches!(status.as_u16(), 200 | 201 | 202 | 204)
}

/// Maps an error status to its error. A missing or incomplete body does not change the result.
async fn refusal(
    call: &Call,
    mut response: Response,
    key: &ApiKey,
    now: Timestamp,
    deadline: Instant,
) -> Error {
    let status = response.status().as_u16();
    let retry_after = retry_after::read(response.headers(), now.into());
    let deadline = deadline.min(Instant::now() + ERROR_TIME);
    // Read even if it is unused: otherwise the connection cannot be reused.
    let body = body::read_some(&mut response, ERROR_BYTES, deadline).await;
    meaning(call, status, retry_after, &body, key)
}

/// Maps an error status and its body to an error.
pub(super) fn meaning(
    call: &Call,
    status: u16,
    retry_after: Option<Duration>,
    body: &[u8],
    key: &ApiKey,
) -> Error {
    let told = sanitize::of_body(body, key);
    let from_bridge = told.is_some();
    let detail = told.unwrap_or_else(|| sanitize::NONE.to_owned());
    let call = call.clone();
    match status {
        // These statuses would end a task or mark a record as invalid. A proxy that rejects a request uses HTML.
        400 | 409 | 422 if is_of_another(body) => {
            Error::Malformed { what: format!("a {status} that did not come from the Bridge"), call }
        }
        400 => Error::BadRequest { call, detail },
        401 => Error::Unauthorized { call },
        403 => Error::Forbidden { call },
        404 => {
            let looked_for = call.operation().looks_for();
            let says_more = from_bridge && detail != sanitize::NONE;
            let what = if says_more {
                format!("{looked_for}; the Bridge says: {detail}")
            } else {
                looked_for.to_owned()
            };
            Error::NotFound { call, what, from_bridge }
        }
        409 => Error::Conflict { call, detail },
        422 => Error::Unprocessable { call, rule: BrokenRule::of(&detail), detail },
        429 => Error::RateLimited { call, retry_after },
        500..=599 => Error::Server { call, status, retry_after },
        _ => Error::Unexpected { call, status },
    }
}

/// Whether a body is clearly not a JSON object, and so not from the Bridge, for example an HTML page. A missing or truncated body is
/// inconclusive.
fn is_of_another(body: &[u8]) -> bool {
    body.trim_ascii_start().first().is_some_and(|first| *first != b'{')
}

fn late(time: Duration) -> String {
    format!("no response within {} s", time.as_secs_f64())
}

/// The chain of causes in one line. The error itself is not kept: it cannot be cloned or constructed, and its URL would repeat what the
/// call contains.
pub(super) fn cause(error: reqwest::Error) -> String {
    let error = error.without_url();
    let chain = std::iter::successors(std::error::Error::source(&error), |error| error.source());
    let told = chain
        .map(ToString::to_string)
        .reduce(|all, one| if all.contains(&one) { all } else { format!("{all}: {one}") });
    sanitize::clean(&told.unwrap_or_else(|| error.to_string()))
}
