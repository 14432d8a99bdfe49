//! The life of a sync: `list → validate → start → push groups, licenses, then accounts → verify → complete | abandon →
//! watch the cleanup`.
//!
//! [`schedule`] says when and [`series`] what follows a failure; [`turn`] lets one at a time begin, and [`engine`] leads through a sync. [`read`] reads the target page by page, [`validate`] holds each
//! record against the documented rules, [`intake`] adds the good ones to the listing, [`push`] sends pages and splits
//! those that are refused, [`references`] gives unknown references a second look, [`settle`] catches up with what tasks
//! did meanwhile. [`evidence`] says whether a listing was read to its end. Before completing, [`judge`] and [`losses`] measure what
//! would be taken away and ask the [`guard`]; [`consent`] is what the operator allows of it; [`past`] tells a first sync from a lost
//! state, and an old copy of the state from the current one. [`export`] gives away what would be pushed. [`names`] reads who loses something. [`finish`] completes and watches, and [`conclude`] says how it ended.

mod conclude;
mod consent;
mod engine;
mod error;
mod evidence;
pub(crate) mod export;
mod finish;
mod guard;
mod intake;
mod judge;
mod losses;
mod names;
mod past;
#[cfg(test)]
mod proof_tests;
mod push;
#[cfg(test)]
mod push_model;
mod read;
mod references;
pub(crate) mod schedule;
mod series;
mod settle;
mod summary;
mod turn;
mod validate;

pub use consent::{Consent, Digest, NoDigest};
pub use error::Error;
pub use summary::{HeldReason, InvalidRecord, LossSummary, LostRecord, Options, Summary, TypeSummary};
pub(crate) use turn::run;
