//! What of an app should move, and when it last did: the one place that knows whether work gets on.
//!
//! The loops say here what they do ([`Progress`]), and every write to the journal passes through [`WatchedJournal`]. The
//! observer puts what is [`Seen`] into the overview, from which `alarm` derives what needs attention. All of it is measured
//! with a clock that no one can set.

mod journal;
mod watch;

pub(crate) use journal::WatchedJournal;
pub(crate) use watch::{Progress, Seen, TaskSeen};
