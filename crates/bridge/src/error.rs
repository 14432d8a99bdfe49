//! The errors of a call: each status of the Error Reference has its own meaning.

use std::time::Duration;

use bridgehead_sdk::Effect;

use super::beginning::FirstItem;
use super::call::Idempotency;
use super::{Call, KeyError, help};

/// What went wrong with a call.
///
/// The text is one sentence that names the call and the app; [`Error::advice`] says what to do about it.
/// Texts that come from the server are bounded, free of control characters and HTML, and never hold the key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The request cannot be created, for example because an identifier cannot be part of an address. Nothing was sent.
    /// The caller must act.
    #[error("cannot {call}: {what}; the request was not sent")]
    Invalid {
        /// What was asked.
        call: Call,
        /// What does not fit.
        what: String,
    },
    /// `400`: the request does not match the API, or the session it is about has ended. The caller must act.
    #[error("cannot {call}: the Bridge rejected the request (400): {detail}")]
    BadRequest {
        /// What was asked.
        call: Call,
        /// What the Bridge says.
        detail: String,
    },
    /// `401`: the key is missing, wrong, revoked or expired, and reading it again returned no other. The operator must
    /// act.
    #[error("cannot {call}: the Bridge rejected the API key (401)")]
    Unauthorized {
        /// What was asked.
        call: Call,
    },
    /// `403`: the key is fine, but not for this app. The operator must act.
    #[error("cannot {call}: the API key does not have access (403)")]
    Forbidden {
        /// What was asked.
        call: Call,
    },
    /// `404`: app, resource type, session or task is not there.
    #[error("cannot {call}: not found (404{}): {what}", if *.from_bridge { "" } else { ", and the response did not come from the Bridge" })]
    NotFound {
        /// What was asked.
        call: Call,
        /// What is not there.
        what: String,
        /// Whether the answer was JSON, as the Bridge's are. If not, a proxy or a load balancer may have
        /// given it, or `base_url` may be wrong: then it says nothing about the task or the session.
        from_bridge: bool,
    },
    /// `409`: the task is in a final state already, or the resource type exists as something else.
    #[error("cannot {call}: it conflicts with the current state (409): {detail}")]
    Conflict {
        /// What was asked.
        call: Call,
        /// What the Bridge says.
        detail: String,
    },
    /// `422`: a rule on records is violated. One invalid record makes Iden reject the whole page. The connector, or the
    /// owner of the record, must act.
    #[error("cannot {call}: the request violates a rule (422): {detail}")]
    Unprocessable {
        /// What was asked.
        call: Call,
        /// Which rule, as far as the Error Reference tells them apart.
        rule: BrokenRule,
        /// What the Bridge says; it names the record.
        detail: String,
    },
    /// `429`, or a call that was held back because of one. No action needed.
    #[error("cannot {call} yet: rate limited by the Bridge (429){}", wait(*.retry_after))]
    RateLimited {
        /// What was asked.
        call: Call,
        /// How long to wait, where it is known.
        retry_after: Option<Duration>,
    },
    /// `5xx`: the Bridge, or something in front of it, failed. No action is possible here.
    #[error("cannot {call}: server error from the Bridge ({status}){}", wait(*.retry_after))]
    Server {
        /// What was asked.
        call: Call,
        /// The status, 500 to 599.
        status: u16,
        /// How long the server asks to wait, if it does.
        retry_after: Option<Duration>,
    },
    /// Any other status: a redirect, which is never followed because the key must not travel, or one that the
    /// API does not document. The operator must act, if it stays.
    #[error("cannot {call}: the response has a status that the Bridge does not document ({status})")]
    Unexpected {
        /// What was asked.
        call: Call,
        /// The status.
        status: u16,
    },
    /// No connection, or the Bridge is known to be down: no byte of the request was sent.
    #[error("cannot {call}: the Bridge is unreachable ({cause}); the request was not sent")]
    NotSent {
        /// What was asked.
        call: Call,
        /// What the connection failed with.
        cause: String,
    },
    /// The request was sent and the response was incomplete. The effect is unknown.
    #[error("unknown whether it worked to {call}: the response was incomplete ({cause})")]
    NoAnswer {
        /// What was asked.
        call: Call,
        /// A timeout, or what the connection broke with.
        cause: String,
    },
    /// The answer is larger than it may be.
    #[error("cannot {call}: the response is larger than {limit} bytes")]
    BodyTooLarge {
        /// What was asked.
        call: Call,
        /// How large it may be.
        limit: usize,
        /// What it begins with, if it is a list of objects.
        first: Option<FirstItem>,
    },
    /// The answer holds more values than are worth the memory.
    #[error("cannot {call}: the response contains more than {limit} values")]
    TooManyValues {
        /// What was asked.
        call: Call,
        /// How many it may hold.
        limit: usize,
        /// What it begins with, if it is a list of objects.
        first: Option<FirstItem>,
    },
    /// An answer whose body is not what is documented: a success with an HTML page, no body, another shape; a
    /// 400, 409 or 422 with an HTML page. It may not come from the Bridge at all, so whether the call took
    /// effect is unknown.
    #[error("cannot {call}: unexpected response from the Bridge: {what}")]
    Malformed {
        /// What was asked.
        call: Call,
        /// What is wrong with it. No values.
        what: String,
    },
    /// A link to the next page leads somewhere else. It was not followed: the key must not go there.
    #[error("cannot {call}: the link to the next page points to {target}, so it was not followed")]
    ForeignLink {
        /// What was asked.
        call: Call,
        /// Where it leads.
        target: String,
    },
    /// Links to next pages lead in a circle, or never end.
    #[error("cannot {call}: the links to next pages never end")]
    LinkLoop {
        /// What was asked.
        call: Call,
    },
    /// There is no key to send. The operator must act.
    #[error("cannot {call}: {cause}")]
    Key {
        /// What was asked.
        call: Call,
        /// Why there is none.
        #[source]
        cause: KeyError,
    },
}

/// Which rule a page breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BrokenRule {
    /// Another record has the same identifier already: "Duplicate key in the database. Rare -- usually means concurrent writes"
    /// (Error Reference). The same page may be accepted when no other is under way.
    Duplicate,
    /// Any other.
    Other,
}

impl BrokenRule {
    /// The rule that this detail of a 422 is about. The Error Reference has no codes for them, only texts: "a record with the
    /// same identifier already exists.".
    pub(super) fn of(detail: &str) -> Self {
        if detail.contains("already exists") { Self::Duplicate } else { Self::Other }
    }
}

fn wait(retry_after: Option<Duration>) -> String {
    retry_after.map_or_else(String::new, |wait| format!(", for {} s", wait.as_secs_f64().ceil()))
}

impl Error {
    /// Whether a retry can succeed without any change.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::RateLimited { .. }
            | Self::Server { .. }
            | Self::NotSent { .. }
            | Self::NoAnswer { .. }
            // A maintenance page of something in between, as a rule.
            | Self::Malformed { .. }
            | Self::TooManyValues { .. }
            // A file that is being replaced, or is not mounted yet.
            | Self::Key { .. } => true,
            Self::NotFound { from_bridge, .. } => !from_bridge,
            Self::Unexpected { status, .. } => matches!(status, 408 | 425),
            Self::Invalid { .. }
            | Self::BadRequest { .. }
            | Self::Unauthorized { .. }
            | Self::Forbidden { .. }
            | Self::Conflict { .. }
            | Self::Unprocessable { .. }
            | Self::BodyTooLarge { .. }
            | Self::ForeignLink { .. }
            | Self::LinkLoop { .. } => false,
        }
    }

    /// Whether repeating the call is safe, and may help: a call that changes something is repeated only if it certainly
    /// had no effect. A report never counts as safe here; reporting has its own rule.
    pub fn is_safe_to_repeat(&self) -> bool {
        let nothing_happened = matches!(self, Self::NotSent { .. } | Self::RateLimited { .. });
        match self.call().operation().repeat() {
            Idempotency::Freely => match self {
                Self::NoAnswer { .. } | Self::Server { .. } => true,
                Self::Unexpected { .. } => self.is_transient(),
                _ => nothing_happened,
            },
            Idempotency::IfNotApplied => nothing_happened,
            Idempotency::ByCaller => false,
        }
    }

    /// How long the Bridge asks to wait.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after, .. } | Self::Server { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// What the call did at Iden: certainly nothing, or unknown.
    pub fn effect(&self) -> Effect {
        match self {
            Self::Server { .. }
            | Self::NoAnswer { .. }
            | Self::BodyTooLarge { .. }
            | Self::TooManyValues { .. }
            | Self::Malformed { .. } => Effect::Unknown,
            // The other refusals of the 4xx class are refusals; a 408 may come from between here and there.
            Self::Unexpected { status, .. } if !(400..500).contains(status) || *status == 408 => {
                Effect::Unknown
            }
            _ => Effect::NotApplied,
        }
    }

    /// Whether the response shows that key and app are accepted: Iden itself has processed the call. A response from
    /// something in between (a proxy's page, 502), or a rejection before the key is checked (429), shows nothing, and
    /// neither does a missing response.
    pub fn shows_access(&self) -> bool {
        match self {
            Self::NotFound { from_bridge, .. } => *from_bridge,
            Self::BadRequest { .. }
            | Self::Conflict { .. }
            | Self::Unprocessable { .. }
            | Self::TooManyValues { .. }
            | Self::ForeignLink { .. }
            | Self::LinkLoop { .. } => true,
            Self::Invalid { .. }
            | Self::Unauthorized { .. }
            | Self::Forbidden { .. }
            | Self::RateLimited { .. }
            | Self::Server { .. }
            | Self::Unexpected { .. }
            | Self::NotSent { .. }
            | Self::NoAnswer { .. }
            | Self::BodyTooLarge { .. }
            | Self::Malformed { .. }
            | Self::Key { .. } => false,
        }
    }

    /// Whether key or access was refused (401, 403): every call of the key, or of the app, meets the same
    /// fate.
    pub fn is_access(&self) -> bool {
        matches!(self, Self::Unauthorized { .. } | Self::Forbidden { .. })
    }

    /// Whether the answer was larger than it may be.
    pub fn is_too_large(&self) -> bool {
        matches!(self, Self::BodyTooLarge { .. } | Self::TooManyValues { .. })
    }

    /// What to do about it, after the Error Reference and its troubleshooting section.
    pub fn advice(&self) -> &'static str {
        help::of(self)
    }

    /// The call that went wrong.
    pub fn call(&self) -> &Call {
        match self {
            Self::Invalid { call, .. }
            | Self::BadRequest { call, .. }
            | Self::Unauthorized { call }
            | Self::Forbidden { call }
            | Self::NotFound { call, .. }
            | Self::Conflict { call, .. }
            | Self::Unprocessable { call, .. }
            | Self::RateLimited { call, .. }
            | Self::Server { call, .. }
            | Self::Unexpected { call, .. }
            | Self::NotSent { call, .. }
            | Self::NoAnswer { call, .. }
            | Self::BodyTooLarge { call, .. }
            | Self::TooManyValues { call, .. }
            | Self::Malformed { call, .. }
            | Self::ForeignLink { call, .. }
            | Self::LinkLoop { call }
            | Self::Key { call, .. } => call,
        }
    }

    pub(super) fn malformed(call: &Call, what: impl Into<String>) -> Self {
        Self::Malformed { call: call.clone(), what: what.into() }
    }
}
