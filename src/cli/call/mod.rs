//! `bridgehead call APP OPERATION`: one operation by hand.
//!
//! [`command`] leads through it, [`payload`] makes a task's payload of the flags, [`show`] prints what came of it.

mod command;
mod payload;
mod show;

pub(crate) use command::run;
