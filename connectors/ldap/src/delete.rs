//! Deletes an account.

use bridgehead_sdk::{Account, Code, Completion, Effect, Error};

use crate::directory::Directory;
use crate::entry::Entry;
use crate::groups;
use crate::report::About;
use crate::session::{Search, Session};

/// Deletes an account, after removing it from its groups: if the call is interrupted in between, the next one still finds it. If the server
/// then refuses to delete the entry, it is added back to its groups.
pub(crate) async fn delete(directory: &Directory, account: &Account) -> Result<Completion, Error> {
    let label = account.label();
    let lease = directory.lease(About::Account(label)).await?;
    let entry = directory.get(&lease, account).await?;
    directory.must_be_settled()?;
    let layout = directory.layout();
    if has_entries_below(directory, &lease, &entry).await? {
        return Err(entries_below(directory, &entry, label));
    }
    let leaves = !layout.referential_integrity || layout.groups.iter().any(|of| of.by_username);
    let left = if leaves { groups::leave_all(directory, &lease, &entry).await? } else { Vec::new() };
    match lease.delete_held(&directory.holder(&entry)).await {
        Ok(()) => Ok(Completion::done()),
        Err(failure) => {
            let error = match failure.code() {
                Some(66) => entries_below(directory, &entry, label).with_source(failure),
                _ => directory.changing_failed(&lease, failure, &entry, label).await,
            };
            // The entry no longer exists, so there is nothing to add back.
            if error.code() == Code::AccountNotFound {
                return Err(if left.is_empty() { error } else { error.with_effect(Effect::Unknown) });
            }
            Err(groups::put_back(directory, &lease, &left, error).await)
        }
    }
}

fn entries_below(directory: &Directory, entry: &Entry, label: &str) -> Error {
    Error::internal(format!(
        "{}: User {label} ({}) has entries below it and cannot be deleted; remove those first",
        directory.system(),
        entry.dn
    ))
}

/// Whether there are entries below an account, as far as they are visible.
async fn has_entries_below(directory: &Directory, session: &Session, entry: &Entry) -> Result<bool, Error> {
    let search = Search {
        base: &entry.dn,
        scope: ldap3::Scope::OneLevel,
        filter: "(objectClass=*)",
        attributes: &["1.1"],
        limit: 1,
    };
    match session.search_here(&search).await {
        Ok((found, _)) => Ok(!found.is_empty()),
        // The deletion itself will show it.
        Err(failure) if failure.code().is_some() => Ok(false),
        Err(failure) => Err(directory.report(failure, About::Reading("the entries below the account"))),
    }
}
