//! The life of a sync: `list → validate → start → push groups, licences, then accounts → verify → complete | abandon →
//! watch the clean-up`.
//!
//! [`schedule`] says when, [`turn`] lets one at a time begin, [`engine`] leads through it. [`read`] reads the target page by page, [`validate`] holds each
//! record against the documented rules, [`push`] sends pages and splits those that are refused, [`references`] gives unknown references a second look,
//! [`settle`] catches up with what tasks did meanwhile, [`guard`] judges what completing would remove, and [`finish`] completes and watches.

mod engine;
mod error;
mod finish;
mod guard;
mod push;
mod read;
mod references;
pub(crate) mod schedule;
mod settle;
mod summary;
mod turn;
mod validate;

pub use error::Error;
pub use summary::{InvalidRecord, Options, Summary, TypeSummary};
pub(crate) use turn::run;
