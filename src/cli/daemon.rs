//! Reaches a running daemon, or its state if none is running.

use std::path::Path;

use super::context::Context;
use super::failure::{Exit, Failure};
use super::print;
use crate::control::{self, Client};
use bridgehead_store::{self as journal, Sqlite};

/// A connection to the daemon that uses this state folder, if one listens.
pub(crate) async fn connect(context: &Context) -> Result<Option<Client>, Failure> {
    Ok(control::connect(&context.config.state.path).await?)
}

/// The state for reading, if no daemon responded; `None` if there is no state.
pub(crate) async fn readable_state(context: &Context) -> Result<Option<Sqlite>, Failure> {
    let folder = &context.config.state.path;
    if let Some(state) = Sqlite::read_only(folder).await? {
        return Ok(Some(state));
    }
    // There is none, or it cannot be read in its current form: then opening it recovers it.
    Sqlite::open_existing(folder).await.map_err(|error| of_state(context, error))
}

/// Reports that nothing is known here, which is not the same as an empty result.
pub(crate) fn no_journal(folder: &Path) {
    print::complain(format!("There is no journal in {} yet (state.path).\n", folder.display()));
}

/// The state, for a command that needs one, if no daemon responded. It never creates a state: the daemon's user could not use one that root
/// created.
pub(crate) async fn state(context: &Context) -> Result<Sqlite, Failure> {
    let folder = &context.config.state.path;
    let state = Sqlite::open_existing(folder).await.map_err(|error| of_state(context, error))?;
    state.ok_or_else(|| {
        let message = format!(
            "there is no state in {} yet (state.path), so there are no held tasks and no rejected reports. \
             The daemon creates it at its first start: run `bridgehead run` as the user who should own it",
            folder.display()
        );
        Failure::new(Exit::Failed, message)
    })
}

/// The state for a sync, if no daemon responded. It creates what is missing, like the daemon, and files created by root get the owner of
/// the folder.
pub(crate) async fn state_for_sync(context: &Context) -> Result<Sqlite, Failure> {
    let folder = &context.config.state.path;
    Sqlite::open_to_help(folder).await.map_err(|error| of_state(context, error))
}

fn of_state(context: &Context, error: journal::Error) -> Failure {
    let folder = &context.config.state.path;
    match error {
        journal::Error::Locked { pid, .. } => Failure::new(
            Exit::Temporary,
            format!(
                "the state folder {} is in use by another bridgehead{} that does not respond on {}. It is a \
                 command such as `bridgehead sync`, or a daemon that is starting or stopping: try again \
                 later. If it is a daemon that could not create its control socket, its log says why; stop \
                 it first",
                folder.display(),
                pid.map_or_else(String::new, |pid| format!(" (process {pid})")),
                control::socket(folder).display(),
            ),
        ),
        error => error.into(),
    }
}

impl From<control::Error> for Failure {
    fn from(error: control::Error) -> Self {
        let exit = if error.is_temporary() { Exit::Temporary } else { Exit::Failed };
        Self::new(exit, error.to_string())
    }
}
