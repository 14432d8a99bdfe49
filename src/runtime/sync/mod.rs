//! The life of a sync: `list → validate → start → push groups, licences, then accounts → verify → complete | abandon →
//! watch the clean-up`.
//!
//! [`schedule`] says when and [`series`] what follows a failure; [`turn`] lets one at a time begin, and [`engine`] leads through a sync. [`read`] reads the target page by page, [`validate`] holds each
//! record against the documented rules, [`intake`] adds the good ones to the listing, [`push`] sends pages and splits
//! those that are refused, [`references`] gives unknown references a second look, [`settle`] catches up with what tasks
//! did meanwhile. Before completing, [`judge`] measures what would be removed and asks the [`guard`]; [`past`] tells a
//! first sync from a lost state. [`finish`] completes and watches, and [`conclude`] says how it ended.

mod conclude;
mod engine;
mod error;
mod finish;
mod guard;
mod intake;
mod judge;
mod past;
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

pub use error::Error;
pub use summary::{InvalidRecord, Options, Summary, TypeSummary};
pub(crate) use turn::run;
