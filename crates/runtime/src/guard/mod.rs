//! The deprovision limit: once a maximum number of deletions and suspensions was executed within a time window, further ones are held until
//! the operator releases them.
//!
//! [`sliding_window`] counts, and is pure. [`deprovision_limit`] decides about each task and tracks held ones; [`load`] restores its state
//! from the journal. The event loop for an app's tasks asks before it starts a task (`task::approval_queue`), and an attempt announces when
//! the connector is called.

mod deprovision_limit;
mod load;
mod sliding_window;

pub(crate) use deprovision_limit::{Change, Decision, DeprovisionLimit};
pub use deprovision_limit::{HeldTask, Holding};
pub(crate) use load::load;
