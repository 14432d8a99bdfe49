//! Renames an entry, and updates its name in groups that the server does not maintain.

use bridgehead_sdk::{Code, Effect, Error, Subject, UpdateAccount};
use serde_json::Value;

use crate::directory::Directory;
use crate::entry::Entry;
use crate::failure::Failure;
use crate::groups;
use crate::layout::GroupLayout;
use crate::memberships::{self, Group, folded, member_values};
use crate::name::{Name, Rdn};
use crate::session::Session;

/// The values to replace in a group when an entry is renamed.
#[derive(Debug)]
pub(crate) struct Move {
    pub(crate) group: Group,
    pub(crate) old: Vec<String>,
    pub(crate) new: Vec<String>,
}

/// The values to replace in each group when an entry is renamed.
pub(crate) async fn moves(
    directory: &Directory,
    session: &Session,
    before: &Entry,
    after: &Entry,
) -> Result<Vec<Move>, Error> {
    let layout = directory.layout();
    let ours = |of: &GroupLayout| of.by_username || !layout.referential_integrity;
    let differs = layout
        .groups
        .iter()
        .any(|of| ours(of) && member_values(layout, of, before) != member_values(layout, of, after));
    if !differs {
        return Ok(Vec::new());
    }
    let held = memberships::direct(directory, session, before).await?;
    let moves = held.into_iter().filter_map(|group| {
        let of = &layout.groups[group.of];
        let names = member_values(layout, of, after);
        let is = |one: &str, other: &str| {
            if of.by_username {
                one.to_lowercase() == other.to_lowercase()
            } else {
                folded(one) == folded(other)
            }
        };
        // If the account has several user names, those that it keeps stay in the group.
        let old: Vec<String> =
            group.values.iter().filter(|held| !names.iter().any(|name| is(held, name))).cloned().collect();
        let has_other = old.len() < group.values.len();
        let new: Vec<String> = names.into_iter().take(usize::from(!has_other)).collect();
        (ours(of) && !old.is_empty()).then_some(Move { group, old, new })
    });
    Ok(moves.collect())
}

/// Renames an entry. Groups that the server does not maintain get the new name first, as far as they accept it: at every moment, one of the
/// two names in the group belongs to the account, and an interrupted attempt leaves both.
pub(crate) async fn rename(
    directory: &Directory,
    session: &Session,
    label: &str,
    entry: &Entry,
    rdn: &Rdn,
    moves: &[Move],
) -> Result<(), Error> {
    for of in moves {
        for new in &of.new {
            match groups::add_value(directory, session, &of.group, new).await {
                // An overlay such as `memberof` may reject a name that does not exist yet; the group gets it afterwards.
                Err(error)
                    if error.code() == Code::InternalError && error.subject() != Subject::Connection => {}
                // The group cannot be changed at all, or the server cannot be reached.
                Err(error) => return Err(without_new_names(directory, session, moves, error).await),
                Ok(()) => {}
            }
        }
    }
    let mut renamed = session.rename_held(&directory.holder(entry), &rdn.to_string()).await;
    if matches!(&renamed, Err(failure) if failure.code() == Some(20)) && !moves.is_empty() {
        // The server maintains this group after all, and fails because the group already has the new name.
        for of in moves {
            for new in &of.new {
                groups::remove_value(directory, session, &of.group, new).await?;
            }
        }
        renamed = session.rename_held(&directory.holder(entry), &rdn.to_string()).await;
    }
    match renamed {
        Ok(()) => Ok(()),
        Err(failure) => {
            let error = not_renamed(directory, session, failure, entry, label, rdn).await;
            Err(without_new_names(directory, session, moves, error).await)
        }
    }
}

/// Removes the new name from groups again after the rename failed.
async fn without_new_names(directory: &Directory, session: &Session, moves: &[Move], error: Error) -> Error {
    if error.effect() == Effect::Unknown {
        return error;
    }
    for of in moves {
        for new in &of.new {
            if groups::remove_value(directory, session, &of.group, new).await.is_err() {
                return error.with_effect(Effect::Unknown);
            }
        }
    }
    error
}

async fn not_renamed(
    directory: &Directory,
    session: &Session,
    failure: Failure,
    entry: &Entry,
    label: &str,
    rdn: &Rdn,
) -> Error {
    if failure.code() != Some(68) {
        return directory.changing_failed(session, failure, entry, label).await;
    }
    let message =
        format!("User {label}: the name {rdn} is already taken in {} by another entry", directory.system());
    Error::account_already_exists(message).with_source(failure)
}

/// Removes the old name of a renamed account from its groups, if an earlier attempt was interrupted after renaming. The name is kept if
/// another entry has it by now, or if a different task has renamed the account.
pub(crate) async fn leave_old_name(
    directory: &Directory,
    session: &Session,
    update: &UpdateAccount,
    entry: &Entry,
    applied: &mut bool,
) -> Result<(), Error> {
    let layout = directory.layout();
    let (Some(old), Some(attribute)) = (&update.account.username, layout.attribute("username")) else {
        return Ok(());
    };
    let Some(wanted) = update.changes.get("username").and_then(Value::as_str) else { return Ok(()) };
    let (Some(rdn), Some(name)) = (entry.rdn(), entry.name()) else { return Ok(()) };
    let held = rdn.value_of(attribute);
    let is = |text: &str| held.is_some_and(|held| held.eq_ignore_ascii_case(text.as_bytes()));
    if layout.referential_integrity || !is(wanted) || is(old) {
        return Ok(());
    }
    let mut rdns = name.rdns.clone();
    rdns[0] = rdn.with(attribute, old);
    let old = Entry::named(&Name { rdns }.to_string());
    if groups::is_there(directory, session, &old.dn).await? {
        return Ok(());
    }
    for group in memberships::direct(directory, session, &old).await? {
        groups::add_value(directory, session, &group, &entry.dn).await?;
        *applied = true;
        groups::remove_value(directory, session, &group, &old.dn).await?;
    }
    Ok(())
}
