//! The responses that the kit sends in the target's place.

use super::relay::Seen;
use super::wire::Said;

/// A string that occurs only in the bodies of bad responses: if it occurs elsewhere, a body was quoted.
pub(super) const MARK: &str = "bhk-quoted-Xk29vLq7";

/// How long a bad response asks to wait, in seconds.
pub(super) const WAIT: u64 = 7;

/// A response in place of the target's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Bad {
    /// This status, with an error as JSON.
    Status(u16),
    /// This status, with a `Retry-After` in seconds.
    Wait(u16),
    /// This status, with a `Retry-After` as a date.
    Until(u16),
    /// This status, with an HTML page, as a proxy sends it.
    Page(u16),
    /// A redirect to a login page.
    Elsewhere,
    /// 204 without a body, where one is expected.
    NoContent,
    /// 200, with an error as JSON.
    ErrorInBody,
    /// 200, with an HTML page: a proxy or gateway has responded.
    Html,
    /// 200, with an empty body.
    Empty,
    /// 200, with `null`.
    Null,
    /// An error in a protocol other than HTTP.
    Says(Said),
    /// A part of the target's response, and then an error, in a protocol other than HTTP.
    Partly(Said),
    /// The first half of the target's response.
    Half,
    /// No response: the connection is closed.
    HangUp,
}

/// The bad responses of one protocol, by purpose.
pub(super) struct Bads {
    /// Responses of a target that has not executed the request.
    pub(super) refusals: &'static [Bad],
    /// Responses that come from a proxy, or that have a success status but another meaning.
    pub(super) confused: &'static [Bad],
    /// Responses that are lost although the target may have executed the request.
    pub(super) lost: &'static [Bad],
    /// Responses that the target starts to send, and does not finish.
    pub(super) broken: &'static [Bad],
    /// Responses to those requests of a change that only read.
    pub(super) reading: &'static [Bad],
    /// Responses that every request of every call gets, to be judged by several checks.
    pub(super) tried: &'static [Bad],
    /// Responses of a target that is down.
    pub(super) down: &'static [Bad],
}

impl Bads {
    /// All responses that a reading request can get.
    pub(super) fn all(&self) -> impl Iterator<Item = Bad> + '_ {
        self.refusals.iter().chain(self.confused).chain(self.broken).copied()
    }
}

pub(super) static HTTP: Bads = Bads {
    refusals: &Bad::REFUSALS,
    confused: &Bad::CONFUSED,
    lost: &Bad::LOST,
    broken: &[Bad::Half, Bad::HangUp],
    reading: &[
        Bad::Elsewhere,
        Bad::Status(401),
        Bad::Status(403),
        Bad::Status(404),
        Bad::Wait(429),
        Bad::Status(500),
        Bad::Html,
        Bad::ErrorInBody,
    ],
    tried: &[
        Bad::Wait(429),
        Bad::Status(429),
        Bad::Until(429),
        Bad::Page(429),
        Bad::Page(403),
        Bad::Status(403),
        Bad::Status(401),
        Bad::Wait(503),
        Bad::Status(500),
        Bad::Status(502),
        Bad::ErrorInBody,
        Bad::Html,
    ],
    down: &[Bad::Wait(503), Bad::ErrorInBody, Bad::Html, Bad::Empty],
};

impl Bad {
    /// Responses of a target that has not executed the request.
    pub(super) const REFUSALS: [Self; 12] = [
        Self::Elsewhere,
        Self::Status(400),
        Self::Status(401),
        Self::Status(403),
        Self::Status(404),
        Self::Status(409),
        Self::Status(410),
        Self::Wait(429),
        Self::Status(500),
        Self::Status(502),
        Self::Wait(503),
        Self::Status(504),
    ];
    /// Responses that come from a proxy, or that have a success status but another meaning.
    pub(super) const CONFUSED: [Self; 5] =
        [Self::ErrorInBody, Self::Html, Self::Empty, Self::Null, Self::NoContent];
    /// Responses that are lost although the target may have executed the request.
    pub(super) const LOST: [Self; 7] = [
        Self::Status(500),
        Self::Status(502),
        Self::Wait(503),
        Self::Status(504),
        Self::Html,
        Self::Half,
        Self::HangUp,
    ];

    /// Whether the status is a success.
    pub(super) fn says_success(self) -> bool {
        matches!(self, Self::ErrorInBody | Self::Html | Self::Empty | Self::Null | Self::NoContent)
    }

    /// Whether few targets send this response.
    pub(super) fn is_rare(self) -> bool {
        matches!(self, Self::Elsewhere | Self::NoContent | Self::Null | Self::Status(400 | 409 | 410 | 504))
            || matches!(self, Self::Until(_) | Self::Page(_))
    }

    /// Whether it means the same as another response.
    pub(super) fn is_a_variant(self) -> bool {
        match self {
            Self::Says(said) => said.is_a_variant,
            other => matches!(other, Self::Status(429) | Self::Until(_) | Self::Page(_)),
        }
    }

    /// Whether it says that the account does not exist in the same way as this response of the target.
    pub(super) fn says_nobody(self, answer: &Seen) -> bool {
        let Some(status) = answer.status else { return false };
        match self {
            Self::Status(404 | 410) => matches!(status, 404 | 410),
            Self::Status(other) => other == status,
            Self::NoContent => status == 204,
            Self::Null => answer.is_null,
            Self::Says(said) => said.number == status,
            _ => false,
        }
    }
}

impl std::fmt::Display for Bad {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Status(status) => write!(f, "{status}"),
            Self::Wait(status) => write!(f, "{status} with Retry-After: {WAIT}"),
            Self::Until(status) => write!(f, "{status} with a date as Retry-After"),
            Self::Page(status) => write!(f, "{status} with an HTML page"),
            Self::Elsewhere => f.write_str("302 to a login page"),
            Self::NoContent => f.write_str("204 without a body"),
            Self::ErrorInBody => f.write_str("200 with {\"error\": …}"),
            Self::Html => f.write_str("200 with an HTML page"),
            Self::Empty => f.write_str("200 with an empty body"),
            Self::Null => f.write_str("200 with null"),
            Self::Says(said) => write!(f, "{said}"),
            Self::Partly(said) => write!(f, "a part of it, then {said}"),
            Self::Half => f.write_str("a response that is truncated in the middle"),
            Self::HangUp => f.write_str("no response, and the connection closed"),
        }
    }
}
