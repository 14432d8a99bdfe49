//! Operator actions on tasks, syncs and apps.
//!
//! [`Actions`] has one method per action, for both the command line and the page; each returns its result and records it in the audit log.
//! While no daemon runs, the command line changes the state folder directly where that is possible: with [`resolve`], and the functions of
//! [`operator_commands`](super::operator_commands). It then records the change with [`audited`].
//!
//! If another node runs the app, the action is passed to it: see [`remote`].
//!
//! The other files give access to a running daemon: [`waiting`] tracks waiting tasks, and [`pausing`] and [`cancelling`] are switches that
//! the loops of an app check.

pub mod audited;
mod cancelling;
mod command;
mod error;
mod pausing;
mod remote;
mod resolving;
mod service;
mod waiting;

pub(crate) use cancelling::Cancelling;
pub use error::{Error, LONGEST_REASON};
pub(crate) use pausing::Pausing;
pub use remote::serve;
pub use resolving::{Resolution, Resolved, resolve};
pub use service::{Actions, Cancelled, PauseChange};
pub(crate) use waiting::Waiting;
