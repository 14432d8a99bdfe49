//! Durable state: everything that the daemon must still know after a crash.
//!
//! Three narrow traits separate the runtime from the database, so that it can be replaced:
//! - [`TaskJournal`] records the execution of each task: the *intent* to call the connector, written before the first call; the *outcome*,
//!   written before the first report; and the Bridge's response to the report.
//! - [`SnapshotStore`] records what each sync saw in the target: the snapshot in progress, the snapshot of the last completed sync, and
//!   past removals, on which the removal guard bases its decisions.
//! - [`HistoryStore`] records statistics over time, for charts and lists: only numbers.
//!
//! [`Sqlite`] implements all of them in one folder, which only one process at a time may use. [`Memory`] implements them for tests and
//! simulations: nothing survives the process.
//!
//! With the feature `postgres`, `postgres::Postgres` is all of them too, for nodes that stand in for one another: see `docs/decisions/0024-postgresql.md`.
//!
//! # Guarantees of [`Sqlite`]
//! - A write is acknowledged after it is on disk. A write that returned an error may be repeated; every write is idempotent.
//! - An outcome is never overwritten, and no intent is written over one: a bug elsewhere cannot cause a task to be executed twice.
//! - Once a report has ended, no file in the folder contains any part of the outcome's result, except the fields that [`RetainedOutcome`]
//!   names.
//! - A write is only acknowledged if the folder and its files were still in place after it, and no other process has taken them over. Lost
//!   or outdated state is detected when it is opened: see [`Doubt`].
//! - A caller that is dropped while it waits does not affect the writes of others.

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
pub use memory::{Memory, shared};
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
