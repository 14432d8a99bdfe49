//! `bridgehead init`: from no configuration to the dry run of a real target.
//!
//! [`interview`] has the answers and going back; [`plan`] determines the next question; [`drive`] asks until all are answered. These three
//! are pure except for two traits: one asks the user, one gets information from the target and Iden. [`lines`] asks on a terminal or
//! standard input, [`flags`] takes answers from the command line, [`target`] explores a target through its connector, [`generic`] uses the
//! schema of a connector without discovery, [`iden`] lists Iden's apps. [`place`] is the location of the configuration, [`secret`] the
//! location of secrets, [`write`] the content of the file, [`next`] the next commands, and [`command`] combines them.

mod command;
mod drive;
mod flags;
mod generic;
mod iden;
mod interview;
mod lines;
mod next;
mod place;
mod plan;
mod secret;
mod target;
mod write;

pub(crate) use command::run;
pub(crate) use flags::{command as command_line, parse};
