//! Executes a plan: changes the entry, its name, and its name in groups.

use bridgehead_sdk::{Effect, Error};

use crate::directory::Directory;
use crate::duplicates;
use crate::entry::Entry;
use crate::groups;
use crate::memberships::{self, folded};
use crate::plan::{self, Plan};
use crate::rename::{moves, rename};
use crate::session::{Change, Session};

/// Changes the entry, its name, and its values in groups that the server does not maintain. Returns the entry in its new state.
pub(crate) async fn apply(
    directory: &Directory,
    session: &Session,
    label: &str,
    entry: &Entry,
    plan: Plan,
    applied: &mut bool,
) -> Result<Entry, Error> {
    let after = plan::after(directory, entry, &plan);
    let Plan { changes, rdn, .. } = plan;
    let moves = moves(directory, session, entry, &after).await?;
    if !changes.is_empty() {
        modify(directory, session, entry, label, changes).await?;
        *applied = true;
    }
    if let Some(rdn) = rdn {
        rename(directory, session, label, entry, &rdn, &moves).await?;
        *applied = true;
    }
    for of in &moves {
        for new in &of.new {
            groups::add_value(directory, session, &of.group, new).await?;
            *applied = true;
        }
        for old in &of.old {
            groups::remove_value(directory, session, &of.group, old).await?;
            *applied = true;
        }
    }
    if !moves.is_empty() {
        // A server that maintains memberships itself may have changed them.
        let held = memberships::direct(directory, session, &after).await?;
        if let Some(of) = moves.iter().find(|of| !held.iter().any(|group| group.is_same(&of.group))) {
            let message = format!(
                "{}: User {label} is now {}, and is no longer in {}; add the account to that group, and \
                 find the overlay or plug-in that removes it (referential_integrity)",
                directory.system(),
                after.dn,
                of.group.dn
            );
            return Err(Error::internal(message).with_effect(Effect::Unknown));
        }
    }
    Ok(after)
}

pub(crate) async fn modify(
    directory: &Directory,
    session: &Session,
    entry: &Entry,
    label: &str,
    changes: Vec<Change>,
) -> Result<(), Error> {
    if changes.is_empty() {
        return Ok(());
    }
    let set = changes.iter().filter(|change| duplicates::is_name(directory, &change.attribute));
    let names: Vec<(String, String)> = set
        .flat_map(|change| change.texts().map(|value| (change.attribute.clone(), value.to_owned())))
        .collect();
    match session.modify_held(&directory.holder(entry), changes).await {
        Ok(()) => Ok(()),
        // A server rule against duplicates.
        Err(failure) if matches!(failure.code(), Some(19 | 68)) => {
            let others = duplicates::elsewhere(directory, session, &names).await;
            match others.iter().find(|other| folded(&other.dn) != folded(&entry.dn)) {
                Some(other) => Err(Error::account_already_exists(format!(
                    "User {label}: a name that must be unique is already taken in {} by {}",
                    directory.system(),
                    other.dn
                ))
                .with_source(failure)),
                None => Err(directory.changing_failed(session, failure, entry, label).await),
            }
        }
        Err(failure) => Err(directory.changing_failed(session, failure, entry, label).await),
    }
}
