//! `bridgehead new`: the beginning of a connector, which works as it stands.
//!
//! [`command`] leads through it, [`name`] says what a connector may be called, [`source`] where bridgehead's own crates are,
//! [`template`] which files there are. The files themselves are in `templates/`, with `@@name@@` and the like in them.

mod command;
mod name;
mod source;
mod template;

pub(crate) use command::run;
pub(crate) use template::{Language, Template};
