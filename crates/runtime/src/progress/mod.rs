//! What should make progress in an app, and when it last did: the single place that knows whether work is advancing.
//!
//! The loops report their activity here ([`Progress`]), and every write to the journal passes through [`WatchedJournal`]. The reporter adds
//! the snapshot ([`Seen`]) to the overview, from which `alarm` derives what needs attention. All times are measured with a monotonic clock.

mod journal;
mod watch;

pub(crate) use journal::WatchedJournal;
pub(crate) use watch::{Progress, Seen, TaskSeen};
