//! `bridgehead check APP --conformance`: runs the conformance kit against the live target of one app.
//!
//! [`command`] runs it, [`consent`] has the conditions for changes, [`test_target`] tells the kit how to reach the target, [`noted`] wraps
//! the connector, [`selection`] selects the checks, [`progress`] prints each result as it arrives, [`show`] prints the report.

mod command;
mod consent;
mod noted;
mod progress;
mod selection;
mod show;
mod test_target;

pub(crate) use command::run;
