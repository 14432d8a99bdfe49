//! Durable state: what the daemon must still know after a crash.
//!
//! Three narrow traits stand between the runtime and a database, so that another one can take its place:
//! - [`TaskJournal`] holds the life of each task: the *intent* to call the connector, written before the first
//!   call; the *outcome*, written before the first report; and what the Bridge said to the report.
//! - [`SnapshotStore`] holds what each sync saw in the target: the listing that is being read, the one of the last
//!   completed sync, and what was removed when, which is what the removal guard decides from.
//! - [`HistoryStore`] holds what was done when, for charts and lists: numbers alone.
//!
//! [`Sqlite`] is all of them, in one folder that one process at a time may use. [`Memory`] is the same for tests and simulations: nothing
//! survives the process.
//!
//! With the feature `postgres`, `postgres::Postgres` is all of them too, for nodes that stand in for one another: see `docs/decisions/0024-postgresql.md`.
//!
//! # Guarantees of [`Sqlite`]
//! - An answer to a write comes after the write is on the disk. A write that was answered with an error may
//!   be repeated; each is safe to repeat.
//! - An outcome is never overwritten, and no intent is written over one: a task is not executed twice because
//!   of a mistake elsewhere.
//! - Once a report has ended, nothing of the outcome's result is left in any file of the folder but what [`RetainedOutcome`] names.
//! - No write is answered as done unless the folder and its files were still in their place after it, and no other process
//!   has taken them over. State that was lost or is an old copy is found out when it is opened: see [`Doubt`].
//! - A caller that goes away while it waits takes no one else's write with it.

#![allow(rustdoc::private_intra_doc_links, reason = "a module's page leads through its private parts too")]

mod app;
mod attempt;
#[cfg(test)]
mod contract;
mod doubt;
mod error;
mod facts;
mod history;
pub mod lease;
mod memory;
#[cfg(feature = "postgres")]
pub mod moving;
#[cfg(feature = "postgres")]
pub mod postgres;
mod run;
mod snapshot;
mod sqlite;
mod task;
mod trust;
mod whole;

pub use app::AppKey;
pub use attempt::{AttemptStep, Pause, Phase, STEPS_KEPT};
pub use doubt::{Doubt, Reason};
pub use error::Error;
pub use facts::{AccessFacts, AccessLoss};
pub use history::{DURATION_BOUNDS, Durations, HistoryStore, Hour, RecordedRun};
pub use memory::Memory;
pub use run::{Run, RunReason, RunResult};
pub use snapshot::{
    AccessBase, Added, BaselineOrigin, Changes, Difference, Duplicate, IdenTime, LastSync, Loser, Losers,
    LossCount, LossKind, RecordHash, Shown, SnapshotStore, Trust, Which,
};
pub use sqlite::TASKS_FILE;
pub use sqlite::{Backup, Restored, back_up, last_backup, read_backup, restore};
pub use sqlite::{CommitPhase, Observer, Sqlite, Stats, Step};
pub use task::{
    Counts, Entry, Held, Intent, Known, NOT_VERIFIED, Outcome, PriorAccount, ReportResult, RetainedOutcome,
    State, TaskJournal,
};
pub use trust::{Distrust, Loss};
pub use whole::StateStore;
