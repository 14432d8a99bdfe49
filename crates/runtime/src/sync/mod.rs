//! The steps of a sync: `list → validate → start → push groups, licenses, then accounts → verify → complete | abandon → watch the cleanup`.
//!
//! [`schedule`] decides when a sync starts, and [`resync`] what follows a failure. [`sync_lock`] ensures that only one sync runs at a time,
//! and [`sync_run`] takes it through its [`phases`], each of which is consumed by the next:
//! `Preparing → Reading → Reconciling → Checking → Completing`. The [`record`] contains everything needed at the end, and [`close`]
//! determines the [`outcome`], from which everything else follows.
//!
//! [`read`] reads the target page by page, [`validate`] checks each record against the documented rules, [`ingest`] adds valid records to
//! the snapshot, [`push`] sends pages and splits rejected ones, and [`references`] checks unknown references a second time. [`evidence`]
//! decides whether a listing is complete. Before completing, [`losses`] measures what would be removed, and the [`guard`] decides;
//! [`consent`] is the operator's approval. [`baseline`] distinguishes a first sync from a lost state, and an old copy of the state from the
//! current one. [`export`] returns what would be pushed. [`names`] looks up the names of affected accounts. [`session`] contains the calls
//! that start and end a session.

mod baseline;
mod close;
mod consent;
mod error;
mod evidence;
pub(crate) mod export;
mod guard;
mod ingest;
mod losses;
mod names;
mod outcome;
pub(crate) mod phases;
#[cfg(test)]
mod proof_tests;
mod push;
#[cfg(test)]
mod push_model;
mod read;
mod record;
mod references;
mod resync;
pub(crate) mod schedule;
mod session;
mod summary;
mod sync_lock;
mod sync_run;
mod validate;

pub use baseline::is_current;
pub use consent::{Consent, Digest, NoDigest};
pub use error::Error;
pub use outcome::SyncResult;
pub use summary::{HeldReason, InvalidRecord, LossSummary, LostRecord, Options, Summary, TypeSummary};
pub(crate) use sync_lock::run;
