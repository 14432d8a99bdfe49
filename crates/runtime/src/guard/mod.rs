//! The guard on destructive tasks: past so many deletions and suspensions within a time, further ones are held until
//! the operator lets them go.
//!
//! [`sliding_window`] counts, and is pure. [`deprovision_limit`] decides about each task and knows what is held; [`load`] gives it what
//! the journal remembers. The event loop of an app's tasks asks it before it starts a task
//! (`task::holding`), and the trial tells it when the connector is called.

mod deprovision_limit;
mod load;
mod sliding_window;

pub(crate) use deprovision_limit::{Change, Decision, DeprovisionLimit};
pub use deprovision_limit::{HeldTask, Holding};
pub(crate) use load::load;
