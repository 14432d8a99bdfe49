//! The runtime: executes Iden's tasks through connectors, reports their outcomes, and keeps Iden's records of each target in sync.
//!
//! ```text
//! Runtime ─ supervisor ─┬─ task::scheduler ─ task::executor ─▶ connector     one loop for the tasks of each app
//!                       ├─ sync::schedule ─ sync::sync_run ─▶ connector   one for its syncs
//!                       └─ probe ─▶ connector                           one that watches an unreachable target
//! ```
//!
//! The loops of an app share its context ([`app`]). Each system is reached through exactly one module: the Bridge through [`upstream`], the
//! connector through [`target`], the journal through [`store`]. The types in [`proof`] enforce the order of these calls. Decisions are pure
//! functions ([`retry_decision`], [`desired_state`], the removal guard of the sync). [`hand`] runs a single operation for
//! `bridgehead call`. Every other mechanism has its own file or folder: [`guard`] (the deprovision limit), [`change_tracker`],
//! [`policies`]. This crate never names a connector.
//!
//! [`status`] collects what the loops do, and [`history`] stores it by the hour. The [`reporter`] turns it into a single [`report`].
//! [`progress`] knows what should make progress and when it last did, and [`alarm`] derives what needs attention.
//!
//! Any loop can be cancelled at any time: started work is in the journal, and everything else is still pending in Iden.

#![allow(rustdoc::private_intra_doc_links, reason = "a module's page leads through its private parts too")]

pub mod actions;
mod alarm;
mod app;
pub mod audit;
mod builder;
mod change_tracker;
mod clock;
mod comparison;
mod created_accounts;
mod desired_state;
#[cfg(test)]
mod fakes;
mod fleet;
#[doc(hidden)]
pub mod fuzz;
mod guard;
pub mod hand;
mod history;
pub mod inspection;
mod liveness;
mod metrics;
mod names;
pub mod operator_commands;
mod ownership;
mod policies;
mod probe;
mod progress;
#[doc(hidden)]
pub mod proof;
mod readiness;
mod reload;
mod report;
mod reporter;
mod retry_decision;
mod saving;
mod shared_status;
mod stalled;
mod status;
mod store;
mod supervisor;
pub mod sync;
mod target;
mod task;
#[cfg(test)]
mod tests;
mod upstream;

pub use alarm::all as alarms;
pub use bridgehead_resilience::{Clock, SystemClock};
pub use builder::{Apps, Runtime, RuntimeBuilder};
pub use guard::{HeldTask, Holding};
pub use history::ShownRemovals;
pub use liveness::Liveness;
pub use liveness::Unhealthy;
pub use metrics::Counters;
pub use metrics::Metrics;
pub use names::first_names;
pub use readiness::{Readiness, Ready};
pub use reload::{Change, Exchanged};
pub use report::{
    Alarm, AlarmKind, AppOverview, Completed, DaemonOverview, Guarded, Held, LastReload, Level, Limits,
    NodeOverview, OwnerOverview, PollFailing, Silence, StateDoubted, StatusReport, SyncEnd, SyncOverview,
    SyncRun, TaskAttempts, TasksOverview, TypeCounts, Unwritable,
};
pub use reporter::StatusReporter;
pub use reporter::from_state;
pub use shared_status::report as report_to_other_nodes;
pub use status::{AppStatus, LastSync, PollFailure, PollState, SyncProgress, TaskCounts};
pub use target::rate_limiter::RateLimiter;
pub use task::{Answer, ByHand, Decision, Refused};

/// The daemon is shutting down. Unfinished work resumes at the next start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShuttingDown;
