//! Taking up a changed configuration while the daemon runs, app by app.
//!
//! [`plan`] compares what was read with what runs, [`reloader`] makes the change in the daemon, [`command`] asks for it, and [`show`]
//! shows the result. See `docs/decisions/0019-reload.md`.

mod command;
mod plan;
mod reloader;
mod show;

pub(crate) use command::{run, state_folder};
pub(crate) use reloader::{Reloader, Reloading};
