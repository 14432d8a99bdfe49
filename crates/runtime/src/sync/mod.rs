//! The steps of a sync: `list → validate → start → push groups, licenses, then accounts → verify → complete | abandon → watch the cleanup`.
//!
//! [`schedule`] decides when a sync starts, and [`resync`] what follows a failure. [`sync_lock`] ensures that only one sync runs at a time,
//! and [`sync_run`] takes it through its [`phases`], each of which is consumed by the next:
//! `Preparing → Reading → Reconciling → Checking → Completing`. The [`record`] contains everything needed at the end, and [`close`]
//! determines the [`outcome`], from which everything else follows.
//!
//! [`read`] reads the target page by page and ahead, [`validate`] holds each record against the documented rules, [`prepared`]
//! writes the good ones in wire format, [`ingest`] adds them to the listing ([`adding`]), [`push`] sends pages and splits those that are refused, [`references`] gives unknown references a second
//! look. [`evidence`] says whether a listing was read to its end. Before completing, [`losses`] measures what would be taken away
//! and asks the [`guard`]; [`consent`] is what the operator allows of it; [`baseline`] tells a first sync from a lost state, and an
//! old copy of the state from the current one. [`export`] gives away what would be pushed. [`names`] reads who loses something.
//! [`session`] holds the calls that begin and end a session, and [`save`](crate::saving::save) writes what the next sync must know.
//! [`fence`] keeps a `complete` that is still on its way from taking effect after a task has changed the target.

mod adding;
mod baseline;
mod close;
mod consent;
mod error;
mod evidence;
pub(crate) mod export;
mod fence;
#[cfg(test)]
mod fence_tests;
#[cfg(test)]
mod first_listings_tests;
mod guard;
mod ingest;
#[cfg(test)]
mod late_effect_tests;
mod losses;
mod names;
mod outcome;
#[cfg(test)]
mod overlap_tests;
pub(crate) mod pages;
pub(crate) mod phases;
mod prepared;
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
pub(crate) use fence::Fence;
pub use outcome::SyncResult;
pub(crate) use prepared::access_facts;
pub use summary::{HeldReason, InvalidRecord, LossSummary, LostRecord, Options, Summary, TypeSummary};
pub(crate) use sync_lock::run;
