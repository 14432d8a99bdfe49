//! How the Bridge is doing, as a client sees it.

use jiff::Timestamp;

/// The state of the Bridge, as one client's calls have found it. It changes only with the next call: a pause that is
/// over stays `Paused` until a call is made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Health {
    /// No call has been answered yet.
    #[default]
    Unknown,
    /// The last answer was an ordinary one.
    Up,
    /// Several calls in a row failed, and none has succeeded since; calls go one at a time.
    Down {
        /// When it was found to be down.
        since: Timestamp,
        /// What the last call failed with.
        cause: String,
    },
    /// The Bridge asked to wait (`429`).
    Paused {
        /// Until when nothing is sent.
        until: Timestamp,
    },
    /// The key was refused, or there is none.
    Refused {
        /// Why.
        cause: String,
    },
}
