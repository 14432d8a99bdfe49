//! `bridgehead new`: generates the project of a new connector that works immediately.
//!
//! [`command`] runs it, [`name`] checks the connector's name, [`source`] locates bridgehead's own crates, [`template`] lists the files. The
//! files themselves are in `templates/`, with placeholders such as `@@name@@`.

mod command;
mod name;
mod source;
mod template;

pub(crate) use command::run;
pub(crate) use template::{Language, Template};
