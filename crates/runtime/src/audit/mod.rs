//! The audit log: what was decided about whom, on what evidence, and who ordered what. See docs/decisions/0023-audit-log.md.
//!
//! It is a folder of files, a line of JSON an entry. Each entry carries the hash of the one before it, over file borders too, so that
//! no account can change, add or remove one in the middle of others without [`verify`] finding it. What was cut off at the end is found with
//! the head, which the daemon publishes as a metric.
//!
//! A line is handed to the operating system before [`Audit::record`] returns, so that it outlives the process; it is forced to the disk
//! about every second, and at once for what an operator orders. Nothing waits for the log: what cannot be written is kept in memory, the
//! daemon raises an alarm, and tasks continue.

mod entry;
mod files;
mod log;
mod read;
mod verify;

pub use entry::{Actor, Entry, Event, GENESIS};
pub use log::{Audit, AuditStatus, OpenError, Settings};
pub use read::{Filter, ReadError, csv_cell, newest, read};
pub use verify::{Broken, Head, NoHead, Proof, VerifyError, verify};
