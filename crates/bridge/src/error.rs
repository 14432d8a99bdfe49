//! The errors of a call: each status of the Error Reference has its own variant.

use std::time::Duration;

use bridgehead_sdk::Effect;

use super::beginning::FirstItem;
use super::call::Idempotency;
use super::{Call, KeyError, help};

/// Why a call failed.
///
/// The message is one sentence that names the call and the app; [`Error::advice`] says what to do about it. Strings from the server are
/// shortened and stripped of control characters and HTML, and never contain the key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The request cannot be created, for example because an identifier cannot be part of an address. Nothing was sent.
    /// The caller must act.
    #[error("cannot {call}: {what}; the request was not sent")]
    Invalid {
        /// The call.
        call: Call,
        /// What is invalid.
        what: String,
    },
    /// `400`: the request does not match the API, or the session it is about has ended. The caller must act.
    #[error("cannot {call}: the Bridge rejected the request (400): {detail}")]
    BadRequest {
        /// The call.
        call: Call,
        /// The Bridge's message.
        detail: String,
    },
    /// `401`: the key is missing, wrong, revoked or expired, and reloading it returned the same key. The operator must act.
    #[error("cannot {call}: the Bridge rejected the API key (401)")]
    Unauthorized {
        /// The call.
        call: Call,
    },
    /// `403`: the key is valid, but not for this app. The operator must act.
    #[error("cannot {call}: the API key does not have access (403)")]
    Forbidden {
        /// The call.
        call: Call,
    },
    /// `404`: the app, resource type, session or task does not exist.
    #[error("cannot {call}: not found (404{}): {what}", if *.from_bridge { "" } else { ", and the response did not come from the Bridge" })]
    NotFound {
        /// The call.
        call: Call,
        /// What does not exist.
        what: String,
        /// Whether the response was JSON, as the Bridge's are. If not, it may come from a proxy or a load balancer, or `base_url` may be
        /// wrong: then it says nothing about the task or the session.
        from_bridge: bool,
    },
    /// `409`: the task is already in a final state, or the resource type exists with a different kind.
    #[error("cannot {call}: it conflicts with the current state (409): {detail}")]
    Conflict {
        /// The call.
        call: Call,
        /// The Bridge's message.
        detail: String,
    },
    /// `422`: a rule on records is violated. One invalid record makes Iden reject the whole page. The connector, or the
    /// owner of the record, must act.
    #[error("cannot {call}: the request violates a rule (422): {detail}")]
    Unprocessable {
        /// The call.
        call: Call,
        /// The rule, as far as the Error Reference distinguishes them.
        rule: BrokenRule,
        /// The Bridge's message, which names the record.
        detail: String,
    },
    /// `429`, or a call that was delayed because of one. No action needed.
    #[error("cannot {call} yet: rate limited by the Bridge (429){}", wait(*.retry_after))]
    RateLimited {
        /// The call.
        call: Call,
        /// How long to wait, if known.
        retry_after: Option<Duration>,
    },
    /// `5xx`: the Bridge, or a proxy in front of it, failed. No action is possible here.
    #[error("cannot {call}: server error from the Bridge ({status}){}", wait(*.retry_after))]
    Server {
        /// The call.
        call: Call,
        /// The status, 500 to 599.
        status: u16,
        /// How long the server asks to wait, if it does.
        retry_after: Option<Duration>,
    },
    /// Any other status: a redirect, which is never followed because it would leak the key, or an undocumented status. The operator must
    /// act if it persists.
    #[error("cannot {call}: the response has a status that the Bridge does not document ({status})")]
    Unexpected {
        /// The call.
        call: Call,
        /// The status.
        status: u16,
    },
    /// The connection failed, or the Bridge is known to be down: no byte of the request was sent.
    #[error("cannot {call}: the Bridge is unreachable ({cause}); the request was not sent")]
    NotSent {
        /// The call.
        call: Call,
        /// The cause of the failure.
        cause: String,
        /// Whether the Bridge was already known to be down, so that this call was not even tried. The log says so once.
        known: bool,
    },
    /// The request was sent and the response was incomplete. The effect is unknown.
    #[error("unknown whether it worked to {call}: the response was incomplete ({cause})")]
    NoAnswer {
        /// The call.
        call: Call,
        /// A timeout, or the error that broke the connection.
        cause: String,
    },
    /// The response exceeds the size limit.
    #[error("cannot {call}: the response is larger than {limit} bytes")]
    BodyTooLarge {
        /// The call.
        call: Call,
        /// The limit in bytes.
        limit: usize,
        /// The first item, if the body is a list of objects.
        first: Option<FirstItem>,
    },
    /// The response contains more values than the memory limit allows.
    #[error("cannot {call}: the response contains more than {limit} values")]
    TooManyValues {
        /// The call.
        call: Call,
        /// The limit.
        limit: usize,
        /// The first item, if the body is a list of objects.
        first: Option<FirstItem>,
    },
    /// The body of a response is not as documented: an HTML page, no body, or another structure after a success; an HTML page with a 400,
    /// 409 or 422. It may not come from the Bridge at all, so the effect of the call is unknown.
    #[error("cannot {call}: unexpected response from the Bridge: {what}")]
    Malformed {
        /// The call.
        call: Call,
        /// What is wrong with it, without values.
        what: String,
    },
    /// The link to the next page points to another host or path. It was not followed: the key must not be sent there.
    #[error("cannot {call}: the link to the next page points to {target}, so it was not followed")]
    ForeignLink {
        /// The call.
        call: Call,
        /// Where it points.
        target: String,
    },
    /// Links to next pages form a loop or never end.
    #[error("cannot {call}: the links to next pages never end")]
    LinkLoop {
        /// The call.
        call: Call,
    },
    /// There is no key to send. The operator must act.
    #[error("cannot {call}: {cause}")]
    Key {
        /// The call.
        call: Call,
        /// Why there is no key.
        #[source]
        cause: KeyError,
    },
}

/// The rule that a page violates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BrokenRule {
    /// Another record already has the same identifier: "Duplicate key in the database. Rare -- usually means concurrent writes" (Error
    /// Reference). The same page may be accepted when no other is being written.
    Duplicate,
    /// Any other rule.
    Other,
}

impl BrokenRule {
    /// Determines the rule from the `detail` of a 422. The Error Reference has no codes, only messages: "a record with the same identifier
    /// already exists.".
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
            // Usually a maintenance page of a proxy.
            | Self::Malformed { .. }
            | Self::TooManyValues { .. }
            // The file may be in the middle of being replaced, or not mounted yet.
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

    /// Whether repeating the call is safe and may help. A call that changes something is repeated only if it certainly had no effect. A
    /// report never counts as safe here; reporting has its own rule.
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

    /// What the call did in Iden: certainly nothing, or unknown.
    pub fn effect(&self) -> Effect {
        match self {
            Self::Server { .. }
            | Self::NoAnswer { .. }
            | Self::BodyTooLarge { .. }
            | Self::TooManyValues { .. }
            | Self::Malformed { .. } => Effect::Unknown,
            // Other 4xx statuses are rejections; a 408 may come from a proxy.
            Self::Unexpected { status, .. } if !(400..500).contains(status) || *status == 408 => {
                Effect::Unknown
            }
            _ => Effect::NotApplied,
        }
    }

    /// Whether the response proves that key and app are accepted: Iden itself processed the call. A proxy's response (an HTML page, 502), a
    /// rejection before the key is checked (429) and a missing response prove nothing.
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

    /// Whether the key or the access to the app was rejected (401, 403): all other calls with this key, or for this app, will be rejected
    /// too.
    pub fn is_access(&self) -> bool {
        matches!(self, Self::Unauthorized { .. } | Self::Forbidden { .. })
    }

    /// Whether the response exceeded a limit.
    pub fn is_too_large(&self) -> bool {
        matches!(self, Self::BodyTooLarge { .. } | Self::TooManyValues { .. })
    }

    /// What to do about it, from the Error Reference and its troubleshooting section.
    pub fn advice(&self) -> &'static str {
        help::of(self)
    }

    /// The call that failed.
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
