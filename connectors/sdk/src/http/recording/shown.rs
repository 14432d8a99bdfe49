//! An exchange as the trace shows it: on one line, with secrets removed as for the file.

use reqwest::Request;

use super::super::Answer;
use super::clean::Cleaner;
use super::exchange::{Asked, Body};
use crate::Trace;

/// What `--trace` shows of an exchange.
pub(crate) struct Shown;

impl Shown {
    /// A request: method, path, query and body.
    pub(crate) fn asked(request: &Request, trace: &Trace) -> String {
        let asked = Asked::of(request, &Cleaner::new(trace.redactor()));
        let host = request.url().authority();
        // The host may contain a user name and a password.
        let host = host.rsplit('@').next().unwrap_or_default();
        format!("{asked} ({host}){}", body(&asked.body))
    }

    /// A response: its status, the headers that a connector may use, and its body.
    pub(crate) fn answered(answer: &Answer, trace: &Trace) -> String {
        let cleaner = Cleaner::new(trace.redactor());
        let headers: Vec<String> = answer
            .headers()
            .iter()
            .filter_map(|(name, value)| {
                Some(format!("{name}: {}", cleaner.header(name.as_str(), value.to_str().ok()?)?))
            })
            .collect();
        let body = body(&Body::of(answer.body(), answer.headers(), &cleaner));
        format!("{} [{}]{body}", answer.status().as_u16(), headers.join(", "))
    }
}

/// A body, preceded by a space.
fn body(body: &Body) -> String {
    match body {
        Body::Empty => String::new(),
        Body::Json(value) => format!(" {value}"),
        Body::Form(pairs) => {
            let pairs: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
            format!(" {}", pairs.join("&"))
        }
        Body::Text(text) => format!(" {text}"),
        Body::Base64(text) => format!(" {} bytes", text.len() / 4 * 3),
        Body::Streamed => " a stream".to_owned(),
    }
}
