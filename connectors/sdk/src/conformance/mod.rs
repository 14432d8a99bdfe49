//! The kit that proves a connector.
//!
//! One suite for all: [`run`] takes a connector through everything that the contract of [`Connector`](crate::Connector) says, and
//! gives a [`Report`] that names each check and what it found. A [`Bench`] says how to get at the connector and its target,
//! and what the target has been filled with.
//!
//! ```no_run
//! # use bridgehead_sdk::conformance::{self, Bench};
//! # async fn example(bench: impl Bench) {
//! conformance::run(&bench).await.assert_passed();
//! # }
//! ```

mod bench;
mod checks;
mod finding;
mod kit;
mod listing;
mod network;
mod probe;
mod report;
mod rule;
mod run;
mod tasks;
mod watch;

pub use bench::{Bench, Situation, Skip};
pub use report::{Check, Outcome, Report};
pub use run::run;
