//! Reaches a running daemon, or its state if none is running.

use super::context::Context;
use super::failure::{Exit, Failure};
use super::place::{Place, State};
use super::print;
use crate::control::{self, Client};
use bridgehead_store::{self as journal, AppKey};

/// A connection to the daemon that uses this state folder, if one listens.
pub(crate) async fn connect(context: &Context) -> Result<Option<Client>, Failure> {
    Ok(control::connect(&context.config.state.path).await?)
}

/// The state for reading, if no daemon responded; `None` if there is no state.
pub(crate) async fn readable_state(context: &Context) -> Result<Option<State>, Failure> {
    let place = context.place()?;
    if let Some(state) = place.read_only().await? {
        return Ok(Some(state));
    }
    match place {
        // There is none, or it cannot be read as it lies: then opening it puts it in order.
        Place::Folder(_) => place.open_existing(&[]).await.map_err(|error| of_state(context, error)),
        Place::Database(_) => Ok(None),
    }
}

/// Reports that nothing is known here, which is not the same as an empty result.
pub(crate) fn no_journal(place: &Place) {
    print::complain(format!("There is no journal in {place} yet ({}).\n", place.key()));
}

/// The same for a command that could only guess: an empty list would claim that nothing waits.
pub(crate) fn without_journal(place: &Place) -> Failure {
    let message = format!(
        "There is no journal in {place} yet ({}), so it is not known which tasks wait. If there was one, find out what happened to it \
         before you start the daemon.",
        place.key()
    );
    Failure::new(Exit::Failed, message)
}

/// The state, for a command that needs one, if no daemon responded. It never creates a state: the daemon's user could not use one that root
/// created.
pub(crate) async fn state(context: &Context, app: &str) -> Result<State, Failure> {
    let app = AppKey::from(context.config.apps[app].app_id);
    let place = context.place()?;
    let state = place.open_existing(&[app]).await.map_err(|error| of_state(context, error))?;
    state.ok_or_else(|| {
        let message = format!(
            "there is no state in {place} yet ({}), so there is nothing to act on, and nothing was changed. \
             The daemon creates it at its first start: run `bridgehead run` as the user who should own it",
            place.key()
        );
        Failure::new(Exit::Failed, message)
    })
}

/// The state for a sync, if no daemon responded. It creates what is missing, like the daemon, and files created by root get the owner of
/// the folder.
pub(crate) async fn state_for_sync(context: &Context, apps: &[AppKey]) -> Result<State, Failure> {
    context.place()?.open_to_help(apps).await.map_err(|error| of_state(context, error))
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
