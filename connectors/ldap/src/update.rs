//! Changing an account, suspending it, removing it.

use bridgehead_sdk::{
    Account, AccountStatus, Completion, Context, Effect, Error, UpdateAccount, is_secret_name,
};
use serde_json::Value;

use crate::directory::{Directory, equals};
use crate::draft;
use crate::entry::Entry;
use crate::failure::Failure;
use crate::groups;
use crate::memberships::{self, Group, folded, member_value};
use crate::name::{Name, Rdn};
use crate::password;
use crate::report::About;
use crate::session::{Change, Session};

/// What an update comes to, once the entry is known.
#[derive(Debug, Default)]
struct Plan {
    changes: Vec<Change>,
    /// The name that the entry is to have.
    rdn: Option<Rdn>,
    /// The user name that it is to have, where that changes.
    username: Option<String>,
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
    let wanted = groups::look_up(directory, &lease, update.memberships.as_ref()).await?;
    let mut plan = plan(directory, update, &entry)?;
    let password = plan.password.take();
    not_taken(directory, &lease, update, &entry).await?;
    let mut applied = false;
    let changed = change(directory, &lease, context, update, &entry, plan, &wanted, &mut applied).await;
    // What was done so far stays done: the runtime is to look before it says what became of the task.
    let so_far = |error: Error| if applied { error.effect(Effect::Unknown) } else { error };
    let entry = changed.map_err(so_far)?;
    if let Some(password) = password {
        password::set(directory, lease, &entry, label, password).await.map_err(so_far)?;
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
    let changes = directory.layout.suspension.as_ref().map(|of| of.changes(&entry, suspended));
    modify(directory, &lease, &entry, label, changes.unwrap_or_default()).await?;
    Ok(Completion::done())
}

/// Removes an account, from its groups first: if the call broke off in between, the next one still finds it.
pub(crate) async fn delete(directory: &Directory, account: &Account) -> Result<Completion, Error> {
    let label = account.label();
    let lease = directory.lease(About::Account(label)).await?;
    let entry = directory.get(&lease, account).await?;
    let layout = &directory.layout;
    let leaves = !layout.referential_integrity || layout.groups.iter().any(|of| of.by_username);
    let left = leaves && groups::leave_all(directory, &lease, &entry).await?;
    match lease.delete(&entry.dn).await {
        Ok(()) => Ok(Completion::done()),
        Err(failure) => {
            let error = match &failure {
                Failure::Refused(refusal) if refusal.code == 66 => Error::internal(format!(
                    "{}: User {label} ({}) has entries below it and cannot be deleted; remove those first",
                    directory.system(),
                    entry.dn
                ))
                .source(failure),
                _ => directory.changing_failed(&lease, failure, &entry, label).await,
            };
            Err(if left { error.effect(Effect::Unknown) } else { error })
        }
    }
}

/// The entry to update. A repeated attempt may have to look under the user name that an earlier one has set.
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
        {
            return Ok(entry);
        }
    }
    Err(directory.reporter.account_not_found(update.account.label()))
}

fn plan(directory: &Directory, update: &UpdateAccount, entry: &Entry) -> Result<Plan, Error> {
    let layout = &directory.layout;
    let (system, label) = (directory.system(), update.account.label());
    let mut plan = Plan::default();
    let rdn = entry.rdn();
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
                plan.changes.extend(status_changes(directory, entry, label, value)?);
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
        let values = draft::texts(directory, label, field, value)?;
        if field == "username" {
            plan.username = values.first().cloned();
        }
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
            None => plan.changes.extend(value_changes(entry, attribute, &values)),
        }
    }
    derive(directory, update, entry, rdn.as_ref(), &mut plan);
    Ok(plan)
}

fn status_changes(
    directory: &Directory,
    entry: &Entry,
    label: &str,
    value: &Value,
) -> Result<Vec<Change>, Error> {
    let system = directory.system();
    let status = value.as_str().and_then(AccountStatus::from_name);
    match (status, &directory.layout.suspension) {
        _ if value.is_null() => Ok(Vec::new()),
        (Some(status), Some(suspension)) => Ok(suspension.changes(entry, status != AccountStatus::Active)),
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

/// What makes the values of an attribute those that are wanted. Of an attribute with several values, a single new one replaces
/// the one that counts: an alias of a mailbox is not lost.
fn value_changes(entry: &Entry, attribute: &str, values: &[String]) -> Vec<Change> {
    let held = entry.values(attribute);
    let same =
        held.len() == values.len() && values.iter().all(|value| held.iter().any(|of| of == value.as_bytes()));
    if same {
        return Vec::new();
    }
    match (entry.main_value(attribute), values) {
        (Some(main), [value]) if held.len() > 1 => {
            if main == value.as_bytes() {
                return Vec::new();
            }
            let mut changes = vec![Change::delete(attribute, main)];
            if !held.iter().any(|of| of == value.as_bytes()) {
                changes.push(Change::add(attribute, value.as_str()));
            }
            changes
        }
        _ => vec![Change::replace(attribute, values.iter().map(String::as_str))],
    }
}

/// What follows from a change: attributes made of fields (`create.attributes`) that hold what was made of the fields as they were. One
/// that somebody has set otherwise is left alone.
fn derive(directory: &Directory, update: &UpdateAccount, entry: &Entry, rdn: Option<&Rdn>, plan: &mut Plan) {
    let layout = &directory.layout;
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
                plan.changes.extend(value_changes(entry, attribute, &[after]));
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
        let (Some(value), Some(attribute)) = (wanted, directory.layout.attribute(field)) else { continue };
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
        leave_old_name(directory, session, &update.account, &entry, applied).await?;
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
    let Plan { changes, rdn, username, .. } = plan;
    let mut after = entry.clone();
    if let (Some(rdn), Some(name)) = (&rdn, entry.name()) {
        let parent = name.parent().to_string();
        after.dn = if parent.is_empty() { rdn.to_string() } else { format!("{rdn},{parent}") };
    }
    if let (Some(username), Some(attribute)) = (username, directory.layout.attribute("username")) {
        after.attributes.retain(|(name, _)| !name.eq_ignore_ascii_case(attribute));
        after.attributes.push((attribute.to_owned(), vec![username.into_bytes()]));
    }
    if !changes.is_empty() {
        modify(directory, session, entry, label, changes).await?;
        *applied = true;
    }
    let moves = moves(directory, session, entry, &after).await?;
    // The new name first: at every moment, one of the two that stand in the group is the account.
    for (group, _, new) in &moves {
        groups::add_value(directory, session, group, new).await?;
        *applied = true;
    }
    if let Some(rdn) = rdn {
        match session.rename(&entry.dn, &rdn.to_string()).await {
            Ok(()) => {}
            // The server sees to it after all, and stumbles over the new name in a group.
            Err(failure) if failure.code() == Some(20) && !moves.is_empty() => {
                for (group, _, new) in &moves {
                    groups::remove_value(directory, session, group, new).await?;
                }
                let renamed = session.rename(&entry.dn, &rdn.to_string()).await;
                if let Err(failure) = renamed {
                    return Err(not_renamed(directory, session, failure, entry, label, &rdn).await);
                }
                for (group, _, new) in &moves {
                    groups::add_value(directory, session, group, new).await?;
                }
            }
            Err(failure) => return Err(not_renamed(directory, session, failure, entry, label, &rdn).await),
        }
        *applied = true;
    }
    for (group, old, _) in &moves {
        groups::remove_value(directory, session, group, old).await?;
    }
    Ok(after)
}

/// What must be replaced in which group when an entry is called otherwise.
async fn moves(
    directory: &Directory,
    session: &Session,
    before: &Entry,
    after: &Entry,
) -> Result<Vec<(Group, String, String)>, Error> {
    let layout = &directory.layout;
    let differs = layout.groups.iter().any(|of| {
        (of.by_username || !layout.referential_integrity)
            && member_value(directory, of, before) != member_value(directory, of, after)
    });
    if !differs {
        return Ok(Vec::new());
    }
    let held = memberships::direct(directory, session, before).await?;
    let moves = held.into_iter().filter_map(|group| {
        let of = &layout.groups[group.of];
        let (old, new) = (member_value(directory, of, before)?, member_value(directory, of, after)?);
        let ours = of.by_username || !layout.referential_integrity;
        (ours && folded(&old) != folded(&new)).then_some((group, old, new))
    });
    Ok(moves.collect())
}

/// Takes the old name of a renamed account out of its groups, where an earlier attempt broke off behind renaming. Another entry
/// that has the name by now is left alone.
async fn leave_old_name(
    directory: &Directory,
    session: &Session,
    account: &Account,
    entry: &Entry,
    applied: &mut bool,
) -> Result<(), Error> {
    let layout = &directory.layout;
    let (Some(old), Some(attribute)) = (&account.username, layout.attribute("username")) else {
        return Ok(());
    };
    let (Some(rdn), Some(name)) = (entry.rdn(), entry.name()) else { return Ok(()) };
    let is_renamed = rdn.value_of(attribute).is_some_and(|held| !held.eq_ignore_ascii_case(old.as_bytes()));
    if layout.referential_integrity || !is_renamed {
        return Ok(());
    }
    let mut rdns = name.rdns.clone();
    rdns[0] = rdn.with(attribute, old);
    let old = Entry { dn: Name { rdns }.to_string(), attributes: Vec::new() };
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
    match session.modify(&entry.dn, changes).await {
        Ok(()) => Ok(()),
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
