//! Changes the members of groups.

use bridgehead_sdk::{Effect, Error, Memberships, Retry};

use crate::directory::{Directory, equals};
use crate::entry::Entry;
use crate::failure::Failure;
use crate::holder::NAME_TAKEN;
use crate::memberships::{self, Group, Resolver, member_values};
use crate::report::About;
use crate::session::{Change, Search, Session};
use crate::settings::Profile;

/// The groups that a task requests; all of them exist.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    /// The types that the task names, as indexes into the layout.
    types: Vec<usize>,
    groups: Vec<Group>,
}

impl Wanted {
    pub(crate) fn is_empty(&self) -> bool {
        self.types.is_empty()
    }
}

/// Looks up every group of a task before anything is changed.
pub(crate) async fn look_up(
    directory: &Directory,
    session: &Session,
    wanted: Option<&Memberships>,
) -> Result<Wanted, Error> {
    let mut found = Wanted::default();
    let layouts = &directory.layout().groups;
    for (slug, refs) in wanted.iter().flat_map(|wanted| &wanted.0) {
        let Some(of) = layouts.iter().position(|of| of.resource_type.slug == *slug) else {
            let known: Vec<_> = layouts.iter().map(crate::layout::GroupLayout::slug).collect();
            return Err(Error::group_not_found(format!(
                "{}: unknown group type '{slug}'; known types are {}",
                directory.system(),
                known.join(", ")
            )));
        };
        found.types.push(of);
        for wanted in refs {
            let groups = match directory.layout().id.filter(&wanted.id) {
                Some(condition) => memberships::naming(directory, session, of, &condition, &[]).await?,
                None => Vec::new(),
            };
            // Servers compare loosely; see `Directory::find`.
            let mut groups = groups.into_iter().filter(|group| group.id.eq_ignore_ascii_case(&wanted.id));
            match (groups.next(), groups.next()) {
                (Some(group), None) => found.groups.push(group),
                (None, _) => return Err(not_found(directory, of, &wanted.id)),
                (Some(one), Some(other)) => {
                    let message = format!(
                        "{}: {} and {} both have the id {}; choose an id_attribute that is unique",
                        directory.system(),
                        one.dn,
                        other.dn,
                        wanted.id
                    );
                    return Err(Error::internal(message).with_subject(layouts[of].subject()));
                }
            }
        }
    }
    Ok(found)
}

fn not_found(directory: &Directory, of: usize, id: &str) -> Error {
    let layout = &directory.layout().groups[of];
    let name = &layout.resource_type.name;
    Error::group_not_found(format!(
        "{name} {id} not found in {}; create it there, or run a sync to bring Iden up to date",
        directory.system()
    ))
    .with_subject(layout.subject())
}

/// The error if another client has renamed or moved a group since it was read. The next attempt finds it under its new name.
async fn renamed(directory: &Directory, session: &Session, group: &Group) -> Result<Option<Error>, Error> {
    let Some(condition) = directory.layout().id.filter(&group.id) else { return Ok(None) };
    let found = memberships::naming(directory, session, group.of, &condition, &[]).await?;
    let now = found.into_iter().find(|now| !group.is_same(now));
    Ok(now.map(|now| {
        let message = format!(
            "{}: {} was renamed or moved by another client while its members were being changed; it is now {}",
            directory.system(),
            group.dn,
            now.dn
        );
        let subject = directory.layout().groups[group.of].subject();
        Error::internal(message).with_retry(Retry::Backoff).with_subject(subject)
    }))
}

/// Adds an account to the requested groups. With `exactly`, also removes it from the others of the same types. If it fails, `applied` shows
/// whether any group was changed.
pub(crate) async fn settle(
    directory: &Directory,
    session: &Session,
    entry: &Entry,
    wanted: &Wanted,
    exactly: bool,
    applied: &mut bool,
) -> Result<(), Error> {
    if wanted.types.is_empty() {
        return Ok(());
    }
    let held = memberships::direct(directory, session, entry).await?;
    let is_wanted = |group: &Group| wanted.groups.iter().any(|other| group.is_same(other));
    let named = |group: &&Group| wanted.types.contains(&group.of);
    let surplus: Vec<&Group> =
        held.iter().filter(named).filter(|group| exactly && !is_wanted(group)).collect();
    let resolver = Resolver::default();
    let mut missing: Vec<&Group> =
        wanted.groups.iter().filter(|group| !held.iter().any(|other| group.is_same(other))).collect();
    if directory.layout().nested {
        let kept = held.iter().filter(|group| !surplus.iter().any(|other| group.is_same(other))).cloned();
        let through = resolver.closure(directory, session, kept.collect()).await?;
        missing.retain(|group| !through.iter().any(|other| group.is_same(other)));
        let after = through.iter().cloned().chain(missing.iter().map(|group| (*group).clone())).collect();
        let after = resolver.closure(directory, session, after).await?;
        if let Some(group) = after.iter().filter(named).find(|group| exactly && !is_wanted(group)) {
            return Err(Error::internal(format!(
                "{}: {} would stay in {} through another group; change that group",
                directory.system(),
                entry.dn,
                group.dn
            ))
            .with_subject(directory.layout().groups[group.of].subject()));
        }
    }
    for group in &missing {
        add(directory, session, group, entry).await?;
        *applied = true;
    }
    for group in &surplus {
        remove(directory, session, group).await?;
        *applied = true;
    }
    if !exactly || missing.len() + surplus.len() == 0 {
        return Ok(());
    }
    // The members are names: those of an account that was renamed meanwhile are in the groups under its new name.
    let Some(moved) = directory.moved(session, entry).await? else { return Ok(()) };
    if is_there(directory, session, &entry.dn).await? {
        // The name belongs to another account now, which must not get or lose what the task is about.
        give_back(directory, session, entry, &missing, &surplus).await?;
    }
    Err(moved)
}

/// Undoes changes of groups: the name of the account belongs to another one by now.
async fn give_back(
    directory: &Directory,
    session: &Session,
    entry: &Entry,
    joined: &[&Group],
    left: &[&Group],
) -> Result<(), Error> {
    for group in joined {
        let layout = &directory.layout().groups[group.of];
        for value in member_values(directory.layout(), layout, entry) {
            remove_value(directory, session, group, &value).await?;
        }
    }
    for group in left {
        for value in &group.values {
            add_value(directory, session, group, value).await?;
        }
    }
    Ok(())
}

/// Adds an account to a group; an existing membership is fine.
async fn add(directory: &Directory, session: &Session, group: &Group, entry: &Entry) -> Result<(), Error> {
    let layout = &directory.layout().groups[group.of];
    let Some(value) = member_values(directory.layout(), layout, entry).into_iter().next() else {
        let message = format!(
            "{}: {} has no user name, which {} requires for its members",
            directory.system(),
            entry.dn,
            group.dn
        );
        return Err(Error::internal(message).with_subject(layout.subject()));
    };
    add_value(directory, session, group, &value).await
}

/// Adds a member to a group, and removes the placeholder if there was one.
pub(crate) async fn add_value(
    directory: &Directory,
    session: &Session,
    group: &Group,
    value: &str,
) -> Result<(), Error> {
    let layout = &directory.layout().groups[group.of];
    let about = About::Group(&group.dn, layout.subject());
    match session.modify_held(&directory.holder_of(group), vec![Change::add(&layout.member, value)]).await {
        Ok(()) => {}
        // Active Directory returns 68 instead of 20.
        Err(failure) if matches!(failure.code(), Some(20 | 68)) => return Ok(()),
        Err(failure) if failure.code() == Some(NAME_TAKEN) => {
            let error = renamed(directory, session, group).await?;
            return Err(error
                .unwrap_or_else(|| not_found(directory, group.of, &group.id))
                .with_source(failure));
        }
        Err(failure) if failure.code() == Some(32) => {
            return Err(if is_there(directory, session, &group.dn).await? {
                // Active Directory: the member does not exist.
                directory.reporter.account_not_found(value)
            } else {
                match renamed(directory, session, group).await? {
                    Some(renamed) => renamed,
                    None => not_found(directory, group.of, &group.id),
                }
            });
        }
        Err(failure) => return Err(directory.explain(session, failure, about).await),
    }
    let Some(placeholder) = &layout.placeholder else { return Ok(()) };
    let condition = equals(&layout.member, placeholder);
    let search = Search {
        base: &group.dn,
        scope: ldap3::Scope::Base,
        filter: &condition,
        attributes: &["1.1"],
        limit: 1,
    };
    let holds = session.search(&search).await.map_err(|failure| directory.report(failure, about))?;
    if holds.is_empty() {
        return Ok(());
    }
    let taken_out = vec![Change::delete(&layout.member, placeholder.as_str())];
    match session.modify_held(&directory.holder_of(group), taken_out).await {
        Err(failure) if !matches!(failure.code(), Some(16 | NAME_TAKEN)) => {
            Err(directory.explain(session, failure, about).await)
        }
        _ => Ok(()),
    }
}

/// Removes an account from a group, under every name that it has there.
async fn remove(directory: &Directory, session: &Session, group: &Group) -> Result<(), Error> {
    for value in &group.values {
        remove_value(directory, session, group, value).await?;
    }
    Ok(())
}

/// Removes a member from a group. If it was the last one and the schema requires one, the placeholder replaces it.
pub(crate) async fn remove_value(
    directory: &Directory,
    session: &Session,
    group: &Group,
    value: &str,
) -> Result<(), Error> {
    let layout = &directory.layout().groups[group.of];
    let about = About::Group(&group.dn, layout.subject());
    let delete = || Change::delete(&layout.member, value);
    match session.modify_held(&directory.holder_of(group), vec![delete()]).await {
        Ok(()) => Ok(()),
        Err(failure) if failure.code() == Some(16) => Ok(()),
        // A group that no longer exists has no members; one that was renamed still has.
        Err(failure) if matches!(failure.code(), Some(32 | NAME_TAKEN)) => {
            match renamed(directory, session, group).await? {
                Some(renamed) => Err(renamed.with_source(failure)),
                None => Ok(()),
            }
        }
        Err(failure) if failure.code() == Some(65) => {
            let Some(placeholder) = &layout.placeholder else {
                let message = format!(
                    "{}: {} requires a member, and this is the last one; set placeholder_member of the type \
                     '{}'",
                    directory.system(),
                    group.dn,
                    layout.slug()
                );
                return Err(Error::internal(message).with_subject(layout.subject()));
            };
            let changes = vec![Change::add(&layout.member, placeholder.as_str()), delete()];
            match session.modify_held(&directory.holder_of(group), changes).await {
                Ok(()) => Ok(()),
                Err(failure) => Err(directory.explain(session, failure, about).await),
            }
        }
        // Active Directory returns "unwilling to perform" for a value that does not exist.
        Err(failure)
            if failure.code() == Some(53) && directory.layout().profile == Profile::ActiveDirectory =>
        {
            let condition = equals(&layout.member, value);
            let search = Search {
                base: &group.dn,
                scope: ldap3::Scope::Base,
                filter: &condition,
                attributes: &["1.1"],
                limit: 1,
            };
            let holds = session.search(&search).await;
            match holds {
                Ok(holds) if holds.is_empty() => Ok(()),
                Ok(_) => Err(directory.explain(session, failure, about).await),
                Err(failure) => Err(directory.report(failure, about)),
            }
        }
        Err(failure) => Err(directory.explain(session, failure, about).await),
    }
}

/// Removes an account from every group, if the server does not do this itself when the entry is deleted. Returns the groups; if one of them
/// refuses, the account is added back to those that it has left.
pub(crate) async fn leave_all(
    directory: &Directory,
    session: &Session,
    entry: &Entry,
) -> Result<Vec<Group>, Error> {
    let mut left = Vec::new();
    for group in memberships::direct(directory, session, entry).await? {
        let layout = &directory.layout().groups[group.of];
        if layout.by_username || !directory.layout().referential_integrity {
            left.push(group);
            if let Err(error) = remove(directory, session, &left[left.len() - 1]).await {
                return Err(put_back(directory, session, &left, error).await);
            }
        }
    }
    Ok(left)
}

/// Adds an account back to the groups that it left for an operation that then failed. The error includes the result.
pub(crate) async fn put_back(
    directory: &Directory,
    session: &Session,
    left: &[Group],
    error: Error,
) -> Error {
    let may_have_been_done = error.effect() == Effect::Unknown;
    if left.is_empty() || may_have_been_done {
        return error;
    }
    let mut lost = Vec::new();
    for group in left {
        for value in &group.values {
            if add_value(directory, session, group, value).await.is_err() {
                lost.push(group.dn.as_str());
            }
        }
    }
    let (what, effect) = if lost.is_empty() {
        ("nothing was changed: the account is back in its groups".to_owned(), Effect::NotApplied)
    } else {
        lost.dedup();
        (format!("it could not be added back to {}: add it there", lost.join(" and ")), Effect::Unknown)
    };
    Error::new(error.code(), format!("{}; {what}", error.message()))
        .with_effect(effect)
        .with_retry(error.retry())
        .with_subject(error.subject())
        .with_source(error)
}

/// Whether an entry exists.
pub(crate) async fn is_there(directory: &Directory, session: &Session, dn: &str) -> Result<bool, Error> {
    let search = Search {
        base: dn,
        scope: ldap3::Scope::Base,
        filter: "(objectClass=*)",
        attributes: &["1.1"],
        limit: 1,
    };
    match session.search(&search).await {
        Ok(found) => Ok(!found.is_empty()),
        Err(Failure::Refused(refusal)) if refusal.code == 32 => Ok(false),
        Err(failure) => Err(directory.report(failure, About::Reading("an entry"))),
    }
}
