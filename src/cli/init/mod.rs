//! `bridgehead init`: from nothing to the dry run of a real target.
//!
//! [`interview`] is what was answered, and how to go back; [`plan`] is what is asked next; [`drive`] asks until everything is answered.
//! These three are pure but for two traits: who is asked, and what looks at the target and at Iden. [`lines`] asks at a terminal or on
//! standard input, [`flags`] takes answers from the command line, [`target`] looks at a
//! target through its connector, [`generic`] at what the schema of one says that finds out nothing, [`iden`] at Iden.
//! [`place`] is where the configuration goes, [`secret`] where secrets stay, [`write`] what is written, [`next`] what to type
//! next, [`command`] puts it together.

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
