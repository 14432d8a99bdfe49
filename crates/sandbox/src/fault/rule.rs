//! The definition of a fault: which requests it affects, how often, and how.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::http::{HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::pattern::PathPattern;
use crate::error::Error;

/// A rule that makes requests fail. It matches every Bridge request with its `method`, `path` and `app`, in the order of arrival; it
/// ignores the first `skip` of them, and then fires `times` times.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// The method, case-insensitive; any if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// The path; any if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathPattern>,
    /// The app in the path; any or none if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<Uuid>,
    /// How many matching requests to skip first. Default 0.
    #[serde(default)]
    pub skip: u64,
    /// How often it fires. Default `forever`.
    #[serde(default)]
    pub times: Times,
    /// The probability that it fires on a matching request, from 0 to 1. Default 1.
    #[serde(default = "always")]
    pub probability: f64,
    /// The seed of the random numbers: the same seed gives the same sequence. Default 0.
    #[serde(default)]
    pub seed: u64,
    /// The effect.
    pub effect: Effect,
}

fn always() -> f64 {
    1.0
}

/// How often a fault fires.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Times {
    /// This many times.
    Count(u64),
    /// Until the fault is removed.
    #[default]
    #[serde(with = "forever")]
    Forever,
}

mod forever {
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("forever")
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<(), D::Error> {
        match String::deserialize(deserializer)?.as_str() {
            "forever" => Ok(()),
            other => Err(serde::de::Error::custom(format!("'{other}' is not 'forever'"))),
        }
    }
}

/// The effect of a fault. The delays of several faults add up; of all other effects, only that of the first fault that fires applies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Effect {
    /// Sends this response without executing the request.
    Answer(Canned),
    /// Executes the request immediately, and sends the response after this delay.
    Delay(#[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")] Duration),
    /// Waits this long before executing the request, which is not executed if the client has disconnected by then.
    Stall(#[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")] Duration),
    /// Closes the connection before reading the body; the request is not executed.
    Cut,
    /// Executes the request, and then loses the response.
    Lose(Loss),
    /// Responds to a report as if it had been accepted, and discards it. Other requests are executed normally.
    Forget,
    /// Executes the request, and responds with an HTML page.
    Garbage {
        /// The status of that response. Default 200.
        #[serde(default = "ok")]
        status: u16,
    },
    /// Executes the request, and responds with a body that never ends.
    Endless,
    /// Executes the request, and sends the body of the response byte by byte.
    SlowLoris {
        /// The interval between two bytes.
        #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
        every: Duration,
    },
    /// Executes the request, and adds a `next` link to another host to the list.
    ForeignNext {
        /// The target; a host that does not exist if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        to: Option<String>,
    },
    /// Executes the request, and adds a `next` link to the same page to the list.
    LoopingNext,
}

fn ok() -> u16 {
    200
}

/// A predefined response.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Canned {
    /// The status, from 200 to 599.
    pub status: u16,
    /// The body as JSON. Without this and `text`, the body is a `detail` that names the status, and empty for a 204.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Value>,
    /// The body as text, sent unchanged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Headers, such as `Retry-After`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
}

/// How a response is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Loss {
    /// The connection is closed before the head.
    Cut,
    /// The connection is closed in the middle of the body.
    Truncate,
    /// This status is sent instead, from 200 to 599.
    Status(u16),
}

impl Effect {
    /// Responds with a status without executing the request.
    pub fn answer(status: u16) -> Self {
        Self::Answer(Canned { status, body: None, text: None, headers: BTreeMap::new() })
    }

    /// Responds with a status and a `Retry-After` of this many seconds, without executing the request.
    pub fn retry_after(status: u16, seconds: u64) -> Self {
        Self::Answer(Canned {
            status,
            body: None,
            text: None,
            headers: BTreeMap::from([("Retry-After".to_owned(), seconds.to_string())]),
        })
    }

    /// Responds with a status and a JSON body, without executing the request.
    pub fn answer_json(status: u16, body: Value) -> Self {
        Self::Answer(Canned { status, body: Some(body), text: None, headers: BTreeMap::new() })
    }
}

impl Fault {
    /// A permanent fault of every Bridge request.
    pub fn new(effect: Effect) -> Self {
        Self {
            method: None,
            path: None,
            app: None,
            skip: 0,
            times: Times::Forever,
            probability: 1.0,
            seed: 0,
            effect,
        }
    }

    /// Restricts the fault to requests with this method.
    pub fn method(self, method: impl Into<String>) -> Self {
        Self { method: Some(method.into()), ..self }
    }

    /// Restricts the fault to requests whose path matches the pattern, see [`PathPattern`]. An invalid regular expression after `^` matches
    /// nothing; [`PathPattern::parse`] returns the error.
    pub fn path(self, pattern: &str) -> Self {
        let path = PathPattern::parse(pattern).or_else(|error| {
            tracing::error!(%error, "a fault of the sandbox will never fire");
            PathPattern::parse("")
        });
        Self { path: path.ok(), ..self }
    }

    /// Restricts the fault to requests about this app.
    pub fn app(self, app: Uuid) -> Self {
        Self { app: Some(app), ..self }
    }

    /// Skips this many matching requests first.
    pub fn skip(self, skip: u64) -> Self {
        Self { skip, ..self }
    }

    /// Fires this many times.
    pub fn times(self, times: u64) -> Self {
        Self { times: Times::Count(times), ..self }
    }

    /// Fires with this probability, from 0 to 1; `seed` seeds the random numbers.
    pub fn probability(self, probability: f64, seed: u64) -> Self {
        Self { probability, seed, ..self }
    }

    /// Checks that everything it requests is possible.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if !(0.0..=1.0).contains(&self.probability) {
            return Err(Error::Fault(format!("probability {} is not between 0 and 1", self.probability)));
        }
        let status = match &self.effect {
            Effect::Answer(canned) => {
                for (name, value) in &canned.headers {
                    let fits = HeaderName::try_from(name).is_ok() && HeaderValue::try_from(value).is_ok();
                    if !fits {
                        return Err(Error::Fault(format!("'{name}: {value}' is no header")));
                    }
                }
                Some(canned.status)
            }
            Effect::Lose(Loss::Status(status)) | Effect::Garbage { status } => Some(*status),
            _ => None,
        };
        match status {
            Some(status) if !(200..=599).contains(&status) => {
                Err(Error::Fault(format!("status {status} is not between 200 and 599")))
            }
            _ => Ok(()),
        }
    }
}
