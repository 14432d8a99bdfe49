//! The guard on destructive tasks: past so many deletions and suspensions within a time, further ones are held until
//! the operator lets them go.
//!
//! [`window`] counts, and is pure. [`task_guard`] decides about each task and knows what is held; [`load`] gives it what
//! the journal remembers. The event loop of an app's tasks asks it before it starts a task
//! (`task::holding`), and the trial tells it when the connector is called.

mod load;
mod task_guard;
mod window;

pub(crate) use load::load;
pub(crate) use task_guard::{Change, TaskGuard, Verdict};
pub use task_guard::{HeldTask, Holding};
