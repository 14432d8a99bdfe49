//! Removes a newly created account that cannot be kept.

use bridgehead_sdk::{Effect, Error};

use crate::directory::Directory;
use crate::entry::Entry;
use crate::groups;
use crate::session::Session;
use crate::staging::{remove, spare};

/// Removes what this call has created, because the task has failed: an account that exists without a task would give access. Another
/// attempt creates it again.
pub(crate) async fn undo(directory: &Directory, session: &Session, entry: &Entry, error: Error) -> Error {
    let Some(why) = left(directory, session, entry).await else { return error };
    let message = format!(
        "{}; {} was created and may still exist ({why}): delete it if no other attempt follows",
        error.message(),
        entry.dn
    );
    Error::new(error.code(), message)
        .with_effect(Effect::Unknown)
        .with_retry(error.retry())
        .with_subject(error.subject())
        .with_source(error)
}

/// Why the account still exists; `None` if it does not.
async fn left(directory: &Directory, session: &Session, entry: &Entry) -> Option<String> {
    let spare = match spare(&directory.endpoint, session).await {
        Ok(spare) => spare,
        Err(failure) => return Some(failure.to_string()),
    };
    let used = spare.as_ref().unwrap_or(session);
    if let Err(error) = groups::leave_all(directory, used, entry).await {
        return Some(format!("it could not be removed from its groups: {}", error.message()));
    }
    remove(&directory.endpoint, session, used, &entry.dn).await
}
