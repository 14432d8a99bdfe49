//! The audit log: decisions about accounts with their evidence, and commands with their actors. See docs/decisions/0023-audit-log.md.
//!
//! The log is a folder of files with one JSON entry per line. Each entry contains the hash of the previous one, across files too, so
//! [`verify`] detects any entry in the middle that was changed, added or removed. Truncation at the end is detected with the head, which
//! the daemon publishes as a metric.
//!
//! [`Audit::record`] passes a line to the operating system before it returns, so that it outlives the process. Lines are synced to disk
//! about every second, and immediately for operator commands. Nothing waits for the log: entries that cannot be written are kept in memory,
//! the daemon raises an alarm, and tasks continue.

mod entry;
mod files;
mod log;
mod read;
mod verify;

pub use entry::{Actor, Entry, Event, GENESIS};
pub use log::{Audit, AuditStatus, OpenError, Settings};
pub use read::{Filter, ReadError, csv_cell, newest, read};
pub use verify::{Broken, Head, NoHead, Proof, VerifyError, verify};
