//! The runtime: takes tasks from the Bridge to connectors and outcomes back, and keeps Iden's picture of each target true.
//!
//! ```text
//! Runtime ─ supervisor ─┬─ task::dispatch ─ task::life ─▶ connector     one loop for the tasks of each app
//!                       ├─ sync::schedule ─ sync::engine ─▶ connector   one for its syncs
//!                       └─ probe ─▶ connector                           one that watches a target unreachable
//! ```
//!
//! What an app's loops share is in [`app`]. There is one way each out of it: [`upstream`] to the Bridge, [`target`] to the connector,
//! [`store`] to the journal; [`proof`] has the types that hold them in order. Decisions are pure functions ([`decide`], [`wanted`], the
//! guard of the sync); [`hand`] does manually what the loops do automatically. Further mechanisms are a file or folder each: [`guard`] (of
//! destructive tasks), [`activity`], [`policies`]. No connector is known here by name.
//!
//! What can be seen of the loops from outside goes through [`status`] and the [`observer`] into one [`overview`]; [`progress`] knows what
//! should move and when it last did, and [`alarm`] says what needs attention.
//!
//! Cancelling any loop at any moment is safe: what was begun is in the journal, and everything else is still pending in
//! Iden.

mod activity;
mod alarm;
mod app;
mod assembly;
mod clock;
mod decide;
#[cfg(test)]
mod fakes;
#[doc(hidden)]
pub mod fuzz;
mod guard;
pub(crate) mod hand;
pub(crate) mod inspection;
mod newcomers;
mod observer;
pub mod orders;
mod overview;
mod policies;
mod probe;
mod progress;
#[doc(hidden)]
pub mod proof;
mod readiness;
mod stalled;
mod status;
mod store;
mod supervisor;
pub mod sync;
mod tally;
mod target;
mod task;
mod upstream;
mod verification;
mod vitals;
mod wanted;

#[cfg(test)]
pub(crate) use alarm::all as alarms;
pub use assembly::{Apps, Assembly, Runtime};
pub use bridgehead_resilience::{Clock, SystemClock};
pub use guard::{HeldTask, Holding};
pub use observer::Observer;
pub(crate) use observer::from_state;
pub use overview::{
    Alarm, AlarmKind, AppOverview, Completed, DaemonOverview, Figures, Guarded, Held, Level, Overview,
    PollFailing, Silence, StateDoubted, SyncEnd, SyncOverview, SyncRun, TaskAttempts, TasksOverview,
    Unwritable,
};
pub use readiness::{Readiness, Ready};
pub use status::{AppStatus, Contact, LastSync, PollFailure, SyncProgress, TaskCounts};
pub(crate) use tally::Counted;
#[cfg(test)]
pub(crate) use tally::Tally;
pub(crate) use target::pacing::Pacing;
pub(crate) use task::{Answer, ByHand, Decision, Refused};
pub use vitals::Ailment;
#[cfg(test)]
pub(crate) use vitals::Vitals;

/// The daemon is stopping. Running work continues at the next start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stopped;
