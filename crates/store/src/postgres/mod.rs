//! State in PostgreSQL, for several nodes that can take over from one another.
//!
//! The tables are the same as in SQLite, in one database. There are two writers ([`writer`]), one for the journal and one for the snapshots
//! of syncs, so that a sync of a million records does not delay tasks, and a few connections for reading. Every write carries the epoch of
//! its owner, and the database refuses it unless that epoch is the newest: see `lease::claims` and `docs/decisions/0024-postgresql.md`.

mod attempts;
mod commit;
pub(crate) mod connect;
mod doubts;
mod failover;
#[cfg(test)]
mod failover_tests;
mod history;
mod holds;
mod local;
mod losses;
mod mailbox;
mod nodes;
mod noted;
pub(crate) mod open;
pub(crate) mod owners;
pub(super) mod position;
#[cfg(test)]
mod restored_tests;
mod retention;
mod snapshots;
mod status;
mod survey;
mod tasks;
#[cfg(test)]
mod tests;
mod text;
mod told;
mod trust;
mod writer;

pub use super::lease::Acquired;
pub use connect::Address;
pub use open::{Postgres, Settings};
pub use owners::Owner;
pub use survey::Survey;
pub use trust::system_authorities;
