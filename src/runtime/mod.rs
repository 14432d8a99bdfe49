//! The runtime: takes tasks from the Bridge to connectors and outcomes back, and keeps Iden's picture of each target true.
//!
//! ```text
//! Runtime ─ supervisor ─┬─ task::dispatch ─ task::life ─▶ connector     one loop for the tasks of each app
//!                       ├─ sync::schedule ─ sync::engine ─▶ connector   one for its syncs
//!                       └─ probe ─▶ connector                           one that watches a target out of reach
//! ```
//!
//! What an app's loops share is in [`app`]. Decisions are pure functions ([`decide`], [`wanted`], the guard of the sync);
//! mechanisms are a file each: [`guard`] (of destructive tasks), [`breaker`], [`access`], [`pacing`], [`activity`], [`backoff`], [`call`]. No connector is
//! known here by name.
//!
//! Cancelling any loop at any moment is safe: what was begun is in the journal, and everything else is still pending in
//! Iden.

mod access;
mod activity;
mod app;
mod assembly;
mod backoff;
mod breaker;
mod call;
mod clock;
mod decide;
mod guard;
pub mod orders;
mod pacing;
mod probe;
mod status;
mod supervisor;
pub mod sync;
mod task;
mod wanted;

pub use assembly::{Assembly, Runtime};
pub use clock::{Clock, SystemClock};
pub use guard::{HeldTask, Holding};
pub use status::{AppStatus, Contact, LastSync, SyncProgress, TaskCounts};

/// The daemon is stopping. What was under way goes on at the next start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stopped;
