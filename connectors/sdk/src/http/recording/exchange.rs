//! One exchange as it is stored in the file.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Request, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

use super::super::{Answer, retry_after};
use super::clean::Cleaner;

/// A request and its response.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Exchange {
    pub(super) request: Asked,
    answer: Answered,
}

/// The request, without its credentials. The host is not part of it, so that a recording can be replayed at any address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Asked {
    method: String,
    path: String,
    /// Sorted by name: no target gives a meaning to the order of different parameters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    query: Vec<(String, String)>,
    #[serde(default, skip_serializing_if = "Body::is_empty")]
    pub(super) body: Body,
}

/// The response.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Answered {
    status: u16,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    headers: Vec<(String, String)>,
    #[serde(default, skip_serializing_if = "Body::is_empty")]
    body: Body,
}

/// A body in its most readable form.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Body {
    #[default]
    Empty,
    Json(Value),
    Form(Vec<(String, String)>),
    Text(String),
    Base64(String),
    /// A stream, which cannot be recorded.
    Streamed,
}

impl Exchange {
    pub(super) fn of(request: Asked, answer: &Answer, cleaner: &Cleaner<'_>) -> Self {
        let headers = answer.headers().iter().filter_map(|(name, value)| {
            let text = value.to_str().ok()?;
            cleaner.header(name.as_str(), text).map(|value| (name.as_str().to_owned(), value))
        });
        let answered = Answered {
            status: answer.status().as_u16(),
            headers: headers.collect(),
            body: Body::of(answer.body(), answer.headers(), cleaner),
        };
        Self { request, answer: answered }
    }

    /// The response as the client returns it. The error says what in the file is wrong.
    pub(super) fn answer(&self, system: Arc<str>, url: Url) -> Result<Answer, String> {
        let told = |what: &str| format!("the response to {} has {what}", self.request);
        let status = StatusCode::from_u16(self.answer.status).map_err(|_| told("an invalid status"))?;
        let mut headers = HeaderMap::new();
        for (name, value) in &self.answer.headers {
            let name =
                HeaderName::from_bytes(name.as_bytes()).map_err(|_| told("a header with an invalid name"))?;
            headers.append(
                name,
                HeaderValue::from_str(value).map_err(|_| told("a header that cannot be sent"))?,
            );
        }
        let body = self.answer.body.bytes().ok_or_else(|| told("a body that is not base64"))?;
        let retry_after = retry_after::read(&headers, SystemTime::now());
        Ok(Answer::from_parts(system, status, headers, url, retry_after, body))
    }
}

impl Asked {
    pub(super) fn of(request: &Request, cleaner: &Cleaner<'_>) -> Self {
        cleaner.learn(request.headers());
        let url = request.url();
        let mut query: Vec<(String, String)> =
            url.query_pairs().map(|(name, value)| cleaner.pair(&name, &value)).collect();
        query.sort_by(|one, other| one.0.cmp(&other.0));
        let body = match request.body() {
            None => Body::Empty,
            Some(body) => {
                body.as_bytes().map_or(Body::Streamed, |bytes| Body::of(bytes, request.headers(), cleaner))
            }
        };
        Self { method: request.method().to_string(), path: cleaner.text(url.path()), query, body }
    }

    pub(super) fn is_same_but_for_the_body(&self, other: &Self) -> bool {
        (&self.method, &self.path, &self.query) == (&other.method, &other.path, &other.query)
    }
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.path)?;
        for (at, (name, value)) in self.query.iter().enumerate() {
            write!(f, "{}{name}={value}", if at == 0 { '?' } else { '&' })?;
        }
        Ok(())
    }
}

impl Body {
    pub(super) fn of(bytes: &[u8], headers: &HeaderMap, cleaner: &Cleaner<'_>) -> Self {
        if bytes.is_empty() {
            return Self::Empty;
        }
        let media_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if media_type.starts_with("application/x-www-form-urlencoded") {
            let pairs = url::form_urlencoded::parse(bytes);
            return Self::Form(pairs.map(|(name, value)| cleaner.pair(&name, &value)).collect());
        }
        let Ok(text) = std::str::from_utf8(bytes) else { return Self::Base64(STANDARD.encode(bytes)) };
        match serde_json::from_str::<Value>(text) {
            // A single number or word is treated as text, which must be replayed unchanged.
            Ok(value) if value.is_object() || value.is_array() => Self::Json(cleaner.json(value)),
            _ => Self::Text(cleaner.text(text)),
        }
    }

    fn bytes(&self) -> Option<Vec<u8>> {
        Some(match self {
            Self::Empty | Self::Streamed => Vec::new(),
            Self::Json(value) => value.to_string().into_bytes(),
            Self::Form(pairs) => {
                url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish().into_bytes()
            }
            Self::Text(text) => text.clone().into_bytes(),
            Self::Base64(text) => STANDARD.decode(text).ok()?,
        })
    }

    fn is_empty(&self) -> bool {
        *self == Self::Empty
    }
}
