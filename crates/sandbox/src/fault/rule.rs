//! What a fault says: which requests, how often, and what happens to them.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::http::{HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::pattern::PathPattern;
use crate::error::Error;

/// A rule that makes requests go wrong. It is about every Bridge request that its `method`, `path` and `app`
/// admit, in the order they arrive; of those it lets `skip` pass, and then fires `times` times.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// The method, in any case; any, where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// The path; any, where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathPattern>,
    /// The app in the path; any or none, where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<Uuid>,
    /// How many matching requests pass first. Default 0.
    #[serde(default)]
    pub skip: u64,
    /// How often it fires. Default `forever`.
    #[serde(default)]
    pub times: Times,
    /// How likely it fires on each matching request, from 0 to 1. Default 1.
    #[serde(default = "always")]
    pub probability: f64,
    /// What the dice start from: the same seed gives the same sequence. Default 0.
    #[serde(default)]
    pub seed: u64,
    /// What happens.
    pub effect: Effect,
}

fn always() -> f64 {
    1.0
}

/// How often a fault fires.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Times {
    /// So often, and then no more.
    Count(u64),
    /// As long as it is there.
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

/// What a fault does. Delays of several faults add up; of the other effects, the first fault that fires has its way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Effect {
    /// Answers this, and does nothing.
    Answer(Canned),
    /// Does what was requested immediately, and responds so much later.
    Delay(#[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")] Duration),
    /// Waits so long, and only then does what was asked for: nothing, if the client has left by then.
    Stall(#[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")] Duration),
    /// Closes the connection before reading the body; nothing is done.
    Cut,
    /// Does what was asked for, and then the answer is lost.
    Lose(Loss),
    /// Answers a report as if it had been taken, and forgets it. Whatever else is asked for is done as usual.
    Forget,
    /// Does what was asked for, and answers with a page of HTML.
    Garbage {
        /// The status that goes with it. Default 200.
        #[serde(default = "ok")]
        status: u16,
    },
    /// Does what was asked for, and answers with a body that never ends.
    Endless,
    /// Does what was asked for, and sends the body of the answer byte by byte.
    SlowLoris {
        /// How long after one another the bytes are sent.
        #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
        every: Duration,
    },
    /// Does what was asked for, and puts a `next` link into the list that leads elsewhere.
    ForeignNext {
        /// Where to; a host that does not exist, where absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        to: Option<String>,
    },
    /// Does what was asked for, and puts a `next` link into the list that leads to the same page.
    LoopingNext,
}

fn ok() -> u16 {
    200
}

/// An answer that is made up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Canned {
    /// The status, from 200 to 599.
    pub status: u16,
    /// The body as JSON. Where neither this nor `text` is there, a `detail` says which fault it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Value>,
    /// The body as text, sent as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Headers, such as `Retry-After`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
}

/// How an answer is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Loss {
    /// The connection is closed before the head.
    Cut,
    /// The connection is closed in the middle of the body.
    Truncate,
    /// This status comes instead, from 200 to 599.
    Status(u16),
}

impl Effect {
    /// Answers with a status, and does nothing.
    pub fn answer(status: u16) -> Self {
        Self::Answer(Canned { status, body: None, text: None, headers: BTreeMap::new() })
    }

    /// Answers with a status and a `Retry-After` of so many seconds, and does nothing.
    pub fn retry_after(status: u16, seconds: u64) -> Self {
        Self::Answer(Canned {
            status,
            body: None,
            text: None,
            headers: BTreeMap::from([("Retry-After".to_owned(), seconds.to_string())]),
        })
    }

    /// Answers with a status and a JSON body, and does nothing.
    pub fn answer_json(status: u16, body: Value) -> Self {
        Self::Answer(Canned { status, body: Some(body), text: None, headers: BTreeMap::new() })
    }
}

impl Fault {
    /// A fault of every Bridge request, permanently.
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

    /// Only of requests with this method.
    pub fn method(self, method: impl Into<String>) -> Self {
        Self { method: Some(method.into()), ..self }
    }

    /// Only of requests whose path fits the pattern, see [`PathPattern`]. What begins with `^` and is no regular
    /// expression fits nothing; [`PathPattern::parse`] says what is wrong with it.
    pub fn path(self, pattern: &str) -> Self {
        let path = PathPattern::parse(pattern).or_else(|error| {
            tracing::error!(%error, "a fault of the sandbox will never fire");
            PathPattern::parse("")
        });
        Self { path: path.ok(), ..self }
    }

    /// Only of requests about this app.
    pub fn app(self, app: Uuid) -> Self {
        Self { app: Some(app), ..self }
    }

    /// Lets so many matching requests pass first.
    pub fn skip(self, skip: u64) -> Self {
        Self { skip, ..self }
    }

    /// Fires so often, and then no more.
    pub fn times(self, times: u64) -> Self {
        Self { times: Times::Count(times), ..self }
    }

    /// Fires with this probability, from 0 to 1; the dice start from `seed`.
    pub fn probability(self, probability: f64, seed: u64) -> Self {
        Self { probability, seed, ..self }
    }

    /// Whether everything it asks for can be done.
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
