//! Changes an account, and suspends it.

use bridgehead_sdk::{Account, Completion, Context, Effect, Error, UpdateAccount};
use jiff::Timestamp;
use serde_json::Value;

use crate::apply::{apply, modify};
use crate::directory::{Directory, named};
use crate::entry::Entry;
use crate::groups;
use crate::lock;
use crate::memberships::folded;
use crate::new_entry;
use crate::password;
use crate::plan::{self, Plan};
use crate::rename::leave_old_name;
use crate::report::About;
use crate::session::Session;

/// Changes fields and memberships of an account.
pub(crate) async fn update(
    directory: &Directory,
    context: &Context,
    update: &UpdateAccount,
) -> Result<Completion, Error> {
    let label = update.account.label();
    let lease = directory.lease(About::Account(label)).await?;
    let entry = find(directory, &lease, context, update).await?;
    // A change may appear to be made already, but only on this server.
    directory.must_be_settled()?;
    let wanted = groups::look_up(directory, &lease, update.memberships.as_ref()).await?;
    let mut plan = plan::plan(directory, update, &entry)?;
    let (password, suspended) = (plan.password.take(), plan.suspended);
    not_taken(directory, &lease, update, &entry).await?;
    let mut applied = false;
    let changed = change(directory, &lease, context, update, &entry, plan, &wanted, &mut applied).await;
    // Completed steps are kept: the runtime must read the account back before it decides the result of the task.
    let so_far = |error: Error| if applied { error.with_effect(Effect::Unknown) } else { error };
    let after = changed.map_err(so_far)?;
    let lease = match password {
        Some(password) => {
            // Whether to keep a lock depends on the account's earlier state and on the task.
            let was = directory.layout().suspension.as_ref().is_some_and(|of| of.is_set(&entry));
            let keep = suspended.unwrap_or(was);
            password::set(directory, lease, &after, label, password, keep).await.map_err(so_far)?
        }
        None => lease,
    };
    if suspended == Some(true) {
        let held = lock::must_hold(directory, &lease, &after.dn, Some(&entry), label).await;
        // Other parts of the task are already done.
        held.map_err(
            |error| if update.changes.len() > 1 || !wanted.is_empty() { so_far(error) } else { error },
        )?;
    }
    Ok(Completion::done())
}

/// Suspends an account, or ends its suspension.
pub(crate) async fn set_suspended(
    directory: &Directory,
    account: &Account,
    suspended: bool,
) -> Result<Completion, Error> {
    let label = account.label();
    let lease = directory.lease(About::Account(label)).await?;
    let entry = directory.get(&lease, account).await?;
    must_be_effective(directory, &entry, label, suspended)?;
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

/// Fails, before anything is changed, if a suspension or its end would not have the intended effect.
pub(crate) fn must_be_effective(
    directory: &Directory,
    entry: &Entry,
    label: &str,
    suspended: bool,
) -> Result<(), Error> {
    #[expect(clippy::disallowed_methods, reason = "a connector has the machine's time, as its target has")]
    let now = Timestamp::now();
    let obstacle = directory.layout().suspension.as_ref().and_then(|of| of.obstacle(entry, suspended, now));
    let Some(why) = obstacle else { return Ok(()) };
    let what = if suspended { "suspended" } else { "unsuspended" };
    Err(Error::internal(format!("{}: User {label} is not {what}: {why}", directory.system())))
}

/// The entry to update. After an attempt that may have been applied, the entry may only be found under the task's new name.
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
        let mut renamed = Account::default();
        (renamed.username, renamed.email) = (text("username"), text("email"));
        if renamed.is_identified()
            && let Some(entry) = directory.find(session, &renamed).await?
            && is_as_updated(directory, update, &entry)
        {
            return Ok(entry);
        }
    }
    Err(directory.reporter.account_not_found(update.account.label()))
}

/// Whether an entry under the new name is the account of the task: it has everything that the task sets, and something that the task knew
/// about the account before. An entry that merely has the new name is a different account.
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
    let before = new_entry::fields(&update.account);
    let mut kept =
        before.iter().filter(|(field, _)| is_field(field) && !update.changes.contains_key(*field)).peekable();
    as_set && kept.peek().is_some() && kept.all(|(field, value)| shows(field, value))
}

/// Checks that no other account has the new user name or email address.
async fn not_taken(
    directory: &Directory,
    session: &Session,
    update: &UpdateAccount,
    entry: &Entry,
) -> Result<(), Error> {
    for (field, what) in [("username", "user name"), ("email", "email address")] {
        let wanted = update.changes.get(field).and_then(Value::as_str).filter(|value| !value.is_empty());
        let (Some(value), Some(attribute)) = (wanted, directory.layout().attribute(field)) else { continue };
        let others = directory.find_all(session, &named(attribute, value)).await?;
        if let Some(other) = others.iter().find(|other| folded(&other.dn) != folded(&entry.dn)) {
            return Err(Error::account_already_exists(format!(
                "User {}: the {what} {value} is already taken in {} by {}",
                update.account.label(),
                directory.system(),
                other.dn
            )));
        }
    }
    Ok(())
}

/// Changes the entry and its groups. If it fails, `applied` shows whether anything was changed.
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
