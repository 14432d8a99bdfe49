//! A response, and the variables with which expressions read it.

use std::collections::BTreeMap;
use std::time::Duration;

use bridgehead_sdk::http::Answer;
use bridgehead_sdk::http::reqwest::header::{HeaderName, SET_COOKIE};
use bridgehead_sdk::{Code, Error, Retry, duplicate_member};
use minijinja::Value;
use url::Url;

use crate::template::{Fault, Scope, Vars};

/// The response to one request. `Debug` shows neither headers nor body.
#[derive(Debug)]
pub(crate) struct Reply {
    system: String,
    answer: Answer,
    /// The body, if it is JSON in which no object has a member twice.
    json: Option<Value>,
}

/// The variables of an expression that reads a response.
pub(crate) fn scope(of_request: Scope) -> Scope {
    of_request.any("answer").any("status").any("headers").any("cookies").any("text")
}

impl Reply {
    pub(crate) fn new(system: &str, answer: Answer) -> Self {
        let json = answer.json_exact().ok();
        Self { system: system.to_owned(), answer, json }
    }

    pub(crate) fn system(&self) -> &str {
        &self.system
    }

    pub(crate) fn status(&self) -> u16 {
        self.answer.status().as_u16()
    }

    pub(crate) fn retry_after(&self) -> Option<Duration> {
        self.answer.retry_after()
    }

    /// The URL that returned the response.
    pub(crate) fn url(&self) -> &Url {
        self.answer.url()
    }

    /// The body, if it is JSON.
    pub(crate) fn json(&self) -> Option<&Value> {
        self.json.as_ref()
    }

    /// The names of the headers, in lower case.
    pub(crate) fn header_names(&self) -> impl Iterator<Item = &str> {
        self.answer.headers().keys().map(HeaderName::as_str)
    }

    /// Every value of a header.
    pub(crate) fn header_values(&self, name: &str) -> impl Iterator<Item = &str> {
        self.answer.headers().get_all(name).iter().filter_map(|value| value.to_str().ok())
    }

    /// Whether it is a web page.
    pub(crate) fn is_page(&self) -> bool {
        self.answer.is_page()
    }

    /// The usual meaning of its status.
    pub(crate) fn refusal(&self, what: &str) -> Error {
        self.answer.refusal(what)
    }

    /// The variables of the request and of the response.
    pub(crate) fn vars(&self, of_request: &Vars) -> Vars {
        let mut vars = of_request.clone();
        // A body that is not JSON counts as missing; an expression that needs it reports that.
        if let Some(json) = &self.json {
            vars.set("answer", json.clone());
        } else {
            vars.set("text", String::from_utf8_lossy(self.answer.body()).into_owned());
        }
        vars.set("status", self.status());
        vars.set("headers", self.headers());
        vars.set("cookies", self.cookies());
        vars
    }

    /// The error for a response without what an expression needs. The effect is unknown: the target may have executed the request.
    pub(crate) fn fault(&self, what: &str, fault: &Fault) -> Error {
        let (shape, retry) = match &self.json {
            Some(_) => ("", Retry::Never),
            None if duplicate_member(self.answer.body()).is_some() => {
                (" (an object in the body has a member twice)", Retry::Never)
            }
            None if self.is_page() => {
                (" (the body is a web page, like that of a login or of maintenance)", Retry::Backoff)
            }
            None if self.answer.body().is_empty() => (" (the body is empty)", Retry::Never),
            // Whatever responded, or damaged the response, may be gone at the next attempt.
            None => (" (the body is not JSON)", Retry::Backoff),
        };
        let message = format!(
            "{what}: {} returned {}{shape}, but {fault}; correct the configuration, or contact the target's \
             operator",
            self.system,
            self.status()
        );
        Error::new(Code::InternalError, message).with_retry(retry)
    }

    fn headers(&self) -> Value {
        let mut headers: BTreeMap<String, String> = BTreeMap::new();
        for (name, value) in self.answer.headers() {
            let Ok(value) = value.to_str() else { continue };
            headers
                .entry(name.as_str().to_owned())
                .and_modify(|all| {
                    all.push_str(", ");
                    all.push_str(value);
                })
                .or_insert_with(|| value.to_owned());
        }
        Value::from_pairs(headers)
    }

    fn cookies(&self) -> Value {
        let pairs = self.header_values(SET_COOKIE.as_str()).filter_map(|cookie| {
            let (name, value) = cookie.split(';').next()?.split_once('=')?;
            Some((name.trim().to_owned(), Value::from(value.trim())))
        });
        Value::from_pairs(pairs)
    }
}
