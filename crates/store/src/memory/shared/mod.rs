//! State in memory that several nodes share, for tests and simulations.
//!
//! It behaves like PostgreSQL does for nodes: each write checks the epoch of its app, leases expire by the clock of the database alone, and
//! a node decides by its own clock whether it may start a call. `src/contract` tests both. A [`Link`] decides how long a request takes and
//! whether it arrives. Needs a tokio runtime; with a paused clock, everything happens in the same order every time.
//!
//! Not simulated: backups that are restored.

mod database;
mod journal;
mod leases;
mod link;
mod mailbox;
mod node;
mod owners;
mod queue;
mod snapshots;

pub use database::{Checks, Database};
pub use link::{Direct, Link, Lost};
pub use node::{Identity, Node};
