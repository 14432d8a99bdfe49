//! Applies a changed configuration while the daemon runs, app by app.
//!
//! [`plan`] compares the new configuration with the running one, [`reloader`] applies the change in the daemon, [`command`] requests it,
//! and [`show`] prints the result. See `docs/decisions/0019-reload.md`.

mod command;
mod plan;
mod reloader;
mod show;

pub(crate) use command::{run, state_folder};
pub(crate) use reloader::{Reloader, Reloading};
