//! Changing an account, suspending it, removing it.

use bridgehead_sdk::{
    Account, AccountStatus, Code, Completion, Context, Effect, Error, Subject, UpdateAccount, is_secret_name,
};
use serde_json::Value;

use crate::directory::{Directory, equals};
use crate::draft;
use crate::duplicates;
use crate::entry::Entry;
use crate::failure::Failure;
use crate::groups;
use crate::layout::GroupLayout;
use crate::lock;
use crate::memberships::{self, Group, folded, member_values};
use crate::name::{Name, Rdn};
use crate::password;
use crate::report::About;
use crate::schema::Rule;
use crate::session::{Change, Search, Session};

/// What an update comes to, once the entry is known.
#[derive(Debug, Default)]
struct Plan {
    changes: Vec<Change>,
    /// The name that the entry is to have.
    rdn: Option<Rdn>,
    /// Whether it is to be suspended, where the task says so.
    suspended: Option<bool>,
    password: Option<secrecy::SecretString>,
}

/// Changes fields and memberships of an account.
pub(crate) async fn update(
    directory: &Directory,
    context: &Context,
    update: &UpdateAccount,
) -> Result<Completion, Error> {
    let label = update.account.label();
    let lease = directory.lease(About::Account(label)).await?;
    let entry = find(directory, &lease, context, update).await?;
    // What seems to be so already may only be so on this server.
    directory.must_be_settled()?;
    let wanted = groups::look_up(directory, &lease, update.memberships.as_ref()).await?;
    let mut plan = plan(directory, update, &entry)?;
    let (password, suspended) = (plan.password.take(), plan.suspended);
    not_taken(directory, &lease, update, &entry).await?;
    let mut applied = false;
    let changed = change(directory, &lease, context, update, &entry, plan, &wanted, &mut applied).await;
    // What was done so far stays done: the runtime is to look before it says what became of the task.
    let so_far = |error: Error| if applied { error.effect(Effect::Unknown) } else { error };
    let after = changed.map_err(so_far)?;
    let lease = match password {
        Some(password) => {
            // A lock is decided on the account as it was before, and on what the task wants.
            let was = directory.layout().suspension.as_ref().is_some_and(|of| of.is_set(&entry));
            let keep = suspended.unwrap_or(was);
            password::set(directory, lease, &after, label, password, keep).await.map_err(so_far)?
        }
        None => lease,
    };
    if suspended == Some(true) {
        let held = lock::must_hold(directory, &lease, &after.dn, Some(&entry), label).await;
        // Other parts of the task are done.
        held.map_err(
            |error| if update.changes.len() > 1 || !wanted.is_empty() { so_far(error) } else { error },
        )?;
    }
    Ok(Completion::done())
}

/// Suspends an account, or lets it in again.
pub(crate) async fn set_suspended(
    directory: &Directory,
    account: &Account,
    suspended: bool,
) -> Result<Completion, Error> {
    let label = account.label();
    let lease = directory.lease(About::Account(label)).await?;
    let entry = directory.get(&lease, account).await?;
    let changes = directory.layout().suspension.as_ref().map(|of| of.changes(&entry, suspended));
    let changes = changes.unwrap_or_default();
    if changes.is_empty() {
        directory.must_be_settled()?;
    }
    modify(directory, &lease, &entry, label, changes).await?;
    if suspended {
        lock::must_hold(directory, &lease, &entry.dn, Some(&entry), label).await?;
    }
    Ok(Completion::done())
}

/// Removes an account, from its groups first: if the call broke off in between, the next one still finds it. If the server then
/// refuses to remove it, it is put back into them.
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
    match lease.delete(&entry.dn).await {
        Ok(()) => Ok(Completion::done()),
        Err(failure) => {
            let error = match failure.code() {
                Some(66) => entries_below(directory, &entry, label).source(failure),
                _ => directory.changing_failed(&lease, failure, &entry, label).await,
            };
            // The entry itself is gone: there is nobody to be put back.
            if error.code() == Code::AccountNotFound {
                return Err(if left.is_empty() { error } else { error.effect(Effect::Unknown) });
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

/// Whether there are entries below an account, as far as they can be seen.
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
        // Deleting will tell.
        Err(failure) if failure.code().is_some() => Ok(false),
        Err(failure) => Err(directory.report(failure, About::Reading("what lies below the account"))),
    }
}

/// The entry to update. An attempt after one that may have been applied may have to look under the name that the task gives.
async fn find(
    directory: &Directory,
    session: &Session,
    context: &Context,
    update: &UpdateAccount,
) -> Result<Entry, Error> {
    if let Some(entry) = directory.find(session, &update.account).await? {
        return Ok(entry);
    }
    if context.may_have_applied && update.account.id.is_none() {
        let text = |field: &str| update.changes.get(field).and_then(Value::as_str).map(str::to_owned);
        let renamed = Account { username: text("username"), email: text("email"), ..Account::default() };
        if renamed.is_identified()
            && let Some(entry) = directory.find(session, &renamed).await?
            && is_as_updated(directory, update, &entry)
        {
            return Ok(entry);
        }
    }
    Err(directory.reporter.account_not_found(update.account.label()))
}

/// Whether an entry under the new name is the account of the task: it shows all that the task sets, and something that the task
/// knew of the account before. Whoever merely has the new name is somebody else.
fn is_as_updated(directory: &Directory, update: &UpdateAccount, entry: &Entry) -> bool {
    let layout = directory.layout();
    let shows = |field: &str, value: &Value| {
        let (Some(attribute), Value::String(value)) = (layout.attribute(field), value) else { return false };
        let rule = directory.rule(attribute);
        entry.values(attribute).iter().any(|held| rule.same(held, value.as_bytes()))
    };
    let is_field = |field: &str| layout.attribute(field).is_some();
    let as_set =
        update.changes.iter().filter(|(field, _)| is_field(field)).all(|(field, value)| match value {
            Value::Null => layout.attribute(field).is_none_or(|attribute| entry.values(attribute).is_empty()),
            value => shows(field, value),
        });
    let before = draft::fields(&update.account);
    let mut kept =
        before.iter().filter(|(field, _)| is_field(field) && !update.changes.contains_key(*field)).peekable();
    as_set && kept.peek().is_some() && kept.all(|(field, value)| shows(field, value))
}

fn plan(directory: &Directory, update: &UpdateAccount, entry: &Entry) -> Result<Plan, Error> {
    let layout = directory.layout();
    let (system, label) = (directory.system(), update.account.label());
    let mut plan = Plan::default();
    let rdn = entry.rdn();
    let mut set: Vec<(&str, Vec<String>)> = Vec::new();
    for (field, value) in &update.changes {
        match field.as_str() {
            "memberships" | "assignments" => continue,
            "id" | "account_id" => {
                let held = entry.values(&layout.id.name).first().and_then(|value| layout.id.text(value));
                if !value.is_null() && value.as_str() != held.as_deref() {
                    let message = format!("{system}: the id of User {label} cannot be changed");
                    return Err(Error::internal(message));
                }
                continue;
            }
            "status" => {
                plan.suspended = suspends(directory, label, value)?;
                continue;
            }
            "password" | "new_password" => {
                plan.password = value.as_str().map(Into::into);
                continue;
            }
            _ => {}
        }
        let Some(attribute) = layout.attribute(field) else {
            if is_secret_name(field) {
                continue;
            }
            return Err(Error::internal(format!(
                "{system}: no attribute is mapped to {field} of User {label}; add it to accounts.attributes"
            )));
        };
        let values = directory.rule(attribute).distinct(draft::texts(directory, label, field, value)?);
        if let Some((_, other)) = set.iter().find(|(of, _)| *of == attribute) {
            if *other == values {
                continue;
            }
            return Err(Error::internal(format!(
                "{system}: user name and e-mail of User {label} are one attribute here ({attribute}), and the task has two \
                 different ones"
            )));
        }
        set.push((attribute, values.clone()));
        match rdn.as_ref().filter(|rdn| rdn.value_of(attribute).is_some()) {
            Some(rdn) => {
                let Some(value) = values.first() else {
                    let message = format!(
                        "{system}: {field} of User {label} names the entry ({attribute}) and cannot be cleared"
                    );
                    return Err(Error::internal(message));
                };
                if rdn.value_of(attribute) != Some(value.as_bytes()) {
                    plan.rdn = Some(plan.rdn.as_ref().unwrap_or(rdn).with(attribute, value));
                }
            }
            None if value.is_array() => plan.changes.extend(list_changes(entry, attribute, &values)),
            None => plan.changes.extend(value_changes(entry, attribute, &values, directory.rule(attribute))),
        }
    }
    // One step with the fields: a suspension does not wait for anything else.
    if let (Some(suspended), Some(suspension)) = (plan.suspended, &layout.suspension) {
        plan.changes.extend(suspension.changes(entry, suspended));
    }
    derive(directory, update, entry, rdn.as_ref(), &mut plan);
    Ok(plan)
}

fn suspends(directory: &Directory, label: &str, value: &Value) -> Result<Option<bool>, Error> {
    let system = directory.system();
    let status = value.as_str().and_then(AccountStatus::from_name);
    match (status, &directory.layout().suspension) {
        _ if value.is_null() => Ok(None),
        (Some(status), Some(_)) => Ok(Some(status != AccountStatus::Active)),
        (Some(_), None) => {
            let message = format!(
                "{system}: the status of User {label} cannot be changed: suspend.method says that there is no such thing"
            );
            Err(Error::internal(message))
        }
        (None, _) => Err(Error::internal(format!(
            "{system}: the status of User {label} must be active, inactive or suspended"
        ))),
    }
}

/// What makes the values of an attribute exactly those of a list.
fn list_changes(entry: &Entry, attribute: &str, values: &[String]) -> Vec<Change> {
    let held = entry.values(attribute);
    let same =
        held.len() == values.len() && values.iter().all(|value| held.iter().any(|of| of == value.as_bytes()));
    if same {
        return Vec::new();
    }
    Change::set(attribute, values.iter().map(|value| value.clone().into_bytes()))
}

/// What makes the values of an attribute those that are wanted. Of an attribute with several values, a single new one takes the
/// place of the one that counts, which is the first; the others, aliases of a mailbox perhaps, stay behind it.
fn value_changes(entry: &Entry, attribute: &str, values: &[String], rule: Rule) -> Vec<Change> {
    let (Some(main), [value]) = (entry.main_value(attribute), values) else {
        return list_changes(entry, attribute, values);
    };
    if main == value.as_bytes() {
        return Vec::new();
    }
    Change::set(attribute, values_after(entry.values(attribute), main, value, rule))
}

/// The values of an attribute, once another one counts.
fn values_after(held: &[Vec<u8>], main: &[u8], value: &str, rule: Rule) -> Vec<Vec<u8>> {
    let stays = |of: &&Vec<u8>| of.as_slice() != main && !rule.same(of, value.as_bytes());
    std::iter::once(value.as_bytes().to_vec()).chain(held.iter().filter(stays).cloned()).collect()
}

/// What follows from a change: attributes made of fields (`create.attributes`) that hold what was made of the fields as they were. One
/// that somebody has set otherwise is left alone.
fn derive(directory: &Directory, update: &UpdateAccount, entry: &Entry, rdn: Option<&Rdn>, plan: &mut Plan) {
    let layout = directory.layout();
    let mut before = serde_json::Map::new();
    for (field, attribute) in &layout.accounts.attributes {
        if let Some(Ok(value)) = entry.main_value(attribute).map(std::str::from_utf8) {
            before.insert(field.clone(), value.into());
        }
    }
    let mut after = before.clone();
    after.extend(update.changes.clone());
    for (attribute, template) in &layout.create.attributes {
        let is_mapped = layout.accounts.attributes.values().any(|name| name.eq_ignore_ascii_case(attribute));
        if is_mapped || !update.changes.keys().any(|field| template.mentions(field)) {
            continue;
        }
        let render = |fields: &serde_json::Map<String, Value>| {
            template.render(|name| draft::field_text(layout, fields, name))
        };
        let (Some(before), Some(after)) = (render(&before), render(&after)) else { continue };
        let is_before = |held: &[u8]| String::from_utf8_lossy(held).to_lowercase() == before.to_lowercase();
        if before == after {
            continue;
        }
        match rdn.and_then(|rdn| Some((rdn, rdn.value_of(attribute)?))) {
            Some((rdn, held)) if is_before(held) => {
                plan.rdn = Some(plan.rdn.as_ref().unwrap_or(rdn).with(attribute, &after));
            }
            None if entry.main_value(attribute).is_some_and(is_before) => {
                plan.changes.extend(value_changes(entry, attribute, &[after], directory.rule(attribute)));
            }
            _ => {}
        }
    }
}

/// That nobody else has the user name or e-mail address that the account is to have.
async fn not_taken(
    directory: &Directory,
    session: &Session,
    update: &UpdateAccount,
    entry: &Entry,
) -> Result<(), Error> {
    for (field, what) in [("username", "user name"), ("email", "e-mail address")] {
        let wanted = update.changes.get(field).and_then(Value::as_str).filter(|value| !value.is_empty());
        let (Some(value), Some(attribute)) = (wanted, directory.layout().attribute(field)) else { continue };
        let others = directory.find_all(session, &equals(attribute, value)).await?;
        if let Some(other) = others.iter().find(|other| folded(&other.dn) != folded(&entry.dn)) {
            return Err(Error::account_already_exists(format!(
                "User {}: the {what} {value} is taken in {} by {}",
                update.account.label(),
                directory.system(),
                other.dn
            )));
        }
    }
    Ok(())
}

/// Changes the entry and its groups, and says in `applied` whether anything was changed when it fails.
#[expect(clippy::too_many_arguments, reason = "the parts of one task")]
async fn change(
    directory: &Directory,
    session: &Session,
    context: &Context,
    update: &UpdateAccount,
    entry: &Entry,
    plan: Plan,
    wanted: &groups::Wanted,
    applied: &mut bool,
) -> Result<Entry, Error> {
    let entry = apply(directory, session, update.account.label(), entry, plan, applied).await?;
    if context.may_have_applied {
        leave_old_name(directory, session, update, &entry, applied).await?;
    }
    groups::settle(directory, session, &entry, wanted, true, applied).await?;
    Ok(entry)
}

/// Changes the entry, and its name, and what stands for it in groups where the server does not see to that. Gives the entry as it is
/// then.
async fn apply(
    directory: &Directory,
    session: &Session,
    label: &str,
    entry: &Entry,
    plan: Plan,
    applied: &mut bool,
) -> Result<Entry, Error> {
    let after = after(directory, entry, &plan);
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
        // A server that looks after memberships by itself may have thought otherwise.
        let held = memberships::direct(directory, session, &after).await?;
        if let Some(of) = moves.iter().find(|of| !held.iter().any(|group| group.is_same(&of.group))) {
            let message = format!(
                "{}: User {label} is {} now, and is not in {} any more; put the account into that group, and see which overlay \
                 or plug-in takes it out (referential_integrity)",
                directory.system(),
                after.dn,
                of.group.dn
            );
            return Err(Error::internal(message).effect(Effect::Unknown));
        }
    }
    Ok(after)
}

/// The entry once a plan is carried out, as far as groups know it.
fn after(directory: &Directory, entry: &Entry, plan: &Plan) -> Entry {
    let mut after = entry.clone();
    if let (Some(rdn), Some(name)) = (&plan.rdn, entry.name()) {
        let parent = name.parent().to_string();
        after.dn = if parent.is_empty() { rdn.to_string() } else { format!("{rdn},{parent}") };
    }
    let Some(attribute) = directory.layout().attribute("username") else { return after };
    let set: Vec<&Change> = plan.changes.iter().filter(|change| change.attribute == attribute).collect();
    let values: Vec<Vec<u8>> = if set.is_empty() {
        let named =
            |rdn: &Option<Rdn>| rdn.as_ref().and_then(|rdn| rdn.value_of(attribute).map(<[u8]>::to_vec));
        match (entry.main_value(attribute), named(&plan.rdn).as_deref().map(std::str::from_utf8)) {
            (Some(main), Some(Ok(new))) => {
                values_after(entry.values(attribute), main, new, directory.rule(attribute))
            }
            _ => return after,
        }
    } else {
        set.into_iter().flat_map(Change::texts).map(|value| value.as_bytes().to_vec()).collect()
    };
    after.attributes.retain(|(name, _)| !name.eq_ignore_ascii_case(attribute));
    after.attributes.push((attribute.to_owned(), values));
    after
}

/// Renames an entry. Groups that the server does not look after have the new name before, as far as they take it: at every moment one
/// of the two that stand in the group is the account, and an attempt that breaks off leaves both.
async fn rename(
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
                // An overlay such as `memberof` may refuse a name that is nobody's yet; the group gets it afterwards.
                Err(error) if error.code() == Code::InternalError && error.about() != Subject::Connection => {
                }
                // It may not be changed at all, or cannot be reached.
                Err(error) => return Err(without_new_names(directory, session, moves, error).await),
                Ok(()) => {}
            }
        }
    }
    let mut renamed = session.rename(&entry.dn, &rdn.to_string()).await;
    if matches!(&renamed, Err(failure) if failure.code() == Some(20)) && !moves.is_empty() {
        // The server sees to it after all, and stumbles over the new name in a group.
        for of in moves {
            for new in &of.new {
                groups::remove_value(directory, session, &of.group, new).await?;
            }
        }
        renamed = session.rename(&entry.dn, &rdn.to_string()).await;
    }
    match renamed {
        Ok(()) => Ok(()),
        Err(failure) => {
            let error = not_renamed(directory, session, failure, entry, label, rdn).await;
            Err(without_new_names(directory, session, moves, error).await)
        }
    }
}

/// Takes a new name out of groups again that its account did not get.
async fn without_new_names(directory: &Directory, session: &Session, moves: &[Move], error: Error) -> Error {
    if error.effect_on_target() == Effect::Unknown {
        return error;
    }
    for of in moves {
        for new in &of.new {
            if groups::remove_value(directory, session, &of.group, new).await.is_err() {
                return error.effect(Effect::Unknown);
            }
        }
    }
    error
}

/// What must be replaced in a group when an entry is called otherwise.
#[derive(Debug)]
struct Move {
    group: Group,
    old: Vec<String>,
    new: Vec<String>,
}

/// What must be replaced in which group when an entry is called otherwise.
async fn moves(
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
        // Of several user names, those that stay the account's stay in the group.
        let old: Vec<String> =
            group.values.iter().filter(|held| !names.iter().any(|name| is(held, name))).cloned().collect();
        let has_other = old.len() < group.values.len();
        let new: Vec<String> = names.into_iter().take(usize::from(!has_other)).collect();
        (ours(of) && !old.is_empty()).then_some(Move { group, old, new })
    });
    Ok(moves.collect())
}

/// Takes the old name of a renamed account out of its groups, where an earlier attempt broke off behind renaming. Another entry
/// that has the name by now is left alone, and so is a name that another task than this one has changed.
async fn leave_old_name(
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

async fn modify(
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
    match session.modify(&entry.dn, changes).await {
        Ok(()) => Ok(()),
        // A rule of the server against duplicates.
        Err(failure) if matches!(failure.code(), Some(19 | 68)) => {
            let others = duplicates::elsewhere(directory, session, &names).await;
            match others.iter().find(|other| folded(&other.dn) != folded(&entry.dn)) {
                Some(other) => Err(Error::account_already_exists(format!(
                    "User {label}: a name that must be unique is taken in {} by {}",
                    directory.system(),
                    other.dn
                ))
                .source(failure)),
                None => Err(directory.changing_failed(session, failure, entry, label).await),
            }
        }
        Err(failure) => Err(directory.changing_failed(session, failure, entry, label).await),
    }
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
    let message = format!("User {label}: the name {rdn} is taken in {} by another entry", directory.system());
    Error::account_already_exists(message).source(failure)
}
