//! `bridgehead check APP --conformance`: the kit that proves a connector, against the live target of one app.
//!
//! [`command`] leads through it, [`consent`] is what must be so before anything is changed, [`test_target`] tells the kit how to get at
//! the target, [`noted`] stands between the kit and the connector, [`selection`] says which checks are meant, [`progress`] prints each result as it
//! comes, [`show`] the report.

mod command;
mod consent;
mod noted;
mod progress;
mod selection;
mod show;
mod test_target;

pub(crate) use command::run;
