//! What an operator does to tasks, syncs and apps.
//!
//! [`Actions`] has one method an action, for the command line and the page alike; each returns its result and records it in the audit
//! log. While no daemon runs, the command line does to the state what can be done there: [`resolve`] here, and the functions of
//! [`operator_commands`](super::operator_commands); [`audited`] is what it then records.
//!
//! The other files are how a running daemon is reached into: [`waiting`] knows the tasks that wait, [`pausing`] and [`cancelling`] are
//! the switches that the loops of an app look at.

pub mod audited;
mod cancelling;
mod error;
mod pausing;
mod resolving;
mod service;
mod waiting;

pub(crate) use cancelling::Cancelling;
pub use error::{Error, LONGEST_REASON};
pub(crate) use pausing::Pausing;
pub use resolving::{Resolution, Resolved, resolve};
pub use service::{Actions, Cancelled, PauseChange};
pub(crate) use waiting::Waiting;
