//! The health of the Bridge, as a client sees it.

use jiff::Timestamp;

/// The state of the Bridge, as one client's calls have determined it. It changes only with the next call: an expired pause stays `Paused`
/// until a call is made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Health {
    /// No call has received a response yet.
    #[default]
    Unknown,
    /// The last response was an ordinary one.
    Up,
    /// Several consecutive calls failed, and none has succeeded since; calls are made one at a time.
    Down {
        /// When the outage was detected.
        since: Timestamp,
        /// The error of the last call.
        cause: String,
    },
    /// The Bridge is rate limiting (`429`).
    Paused {
        /// Until when no call is sent.
        until: Timestamp,
    },
    /// The key was rejected, or there is none.
    Refused {
        /// Why.
        cause: String,
    },
}
