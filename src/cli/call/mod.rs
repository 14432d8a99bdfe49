//! `bridgehead call APP OPERATION`: one manual operation.
//!
//! [`command`] runs it, [`payload`] builds a task's payload from the flags, [`show`] prints the result.

mod command;
mod payload;
mod show;

pub(crate) use command::run;
