//! Computes an update: converts the fields of a task to changes of attributes and a new name. Sends nothing.

use bridgehead_sdk::{AccountStatus, Error, UpdateAccount, is_secret_name};
use secrecy::SecretString;
use serde_json::Value;

use crate::directory::Directory;
use crate::entry::Entry;
use crate::name::Rdn;
use crate::new_entry;
use crate::schema::Rule;
use crate::session::Change;
use crate::settings::PasswordMethod;
use crate::update::must_be_effective;

/// The changes of an update, computed from the current entry.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) changes: Vec<Change>,
    /// The new name of the entry.
    pub(crate) rdn: Option<Rdn>,
    /// Whether to suspend the account, if the task says so.
    pub(crate) suspended: Option<bool>,
    pub(crate) password: Option<SecretString>,
}

pub(crate) fn plan(directory: &Directory, update: &UpdateAccount, entry: &Entry) -> Result<Plan, Error> {
    let layout = directory.layout();
    let (system, label) = (directory.system(), update.account.label());
    if update.password.is_some() && layout.password == PasswordMethod::None {
        return Err(Error::internal(format!(
            "{system}: the task has a password for User {label}, but target.password.method is \"none\""
        )));
    }
    let mut plan = Plan { password: update.password.clone(), ..Plan::default() };
    let rdn = entry.rdn();
    let mut set: Vec<(&str, Vec<String>)> = Vec::new();
    for (field, value) in &update.changes {
        match field.as_str() {
            // Set separately; the password from wherever the task has it.
            "memberships" | "assignments" | "password" | "new_password" => continue,
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
            _ => {}
        }
        let Some(attribute) = layout.attribute(field) else {
            if is_secret_name(field) {
                return Err(Error::internal(format!(
                    "{system}: {field} of User {label} has the name of a secret, and is not set; change a password \
                     with reset_password"
                )));
            }
            return Err(Error::internal(format!(
                "{system}: no attribute is mapped to {field} of User {label}; add it to accounts.attributes"
            )));
        };
        let values = directory.rule(attribute).distinct(new_entry::texts(directory, label, field, value)?);
        if let Some((_, other)) = set.iter().find(|(of, _)| *of == attribute) {
            if *other == values {
                continue;
            }
            return Err(Error::internal(format!(
                "{system}: user name and email of User {label} are the same attribute here ({attribute}), \
                 but the task sets different values"
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
    // In the same request as the fields, because a suspension must not wait for anything else.
    if let (Some(suspended), Some(suspension)) = (plan.suspended, &layout.suspension) {
        must_be_effective(directory, entry, label, suspended)?;
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
                "{system}: the status of User {label} cannot be changed, because suspend.method disables \
                 suspension"
            );
            Err(Error::internal(message))
        }
        (None, _) => Err(Error::internal(format!(
            "{system}: the status of User {label} must be active, inactive or suspended"
        ))),
    }
}

/// The changes that make the values of an attribute equal to a list.
fn list_changes(entry: &Entry, attribute: &str, values: &[String]) -> Vec<Change> {
    let held = entry.values(attribute);
    let same =
        held.len() == values.len() && values.iter().all(|value| held.iter().any(|of| of == value.as_bytes()));
    if same {
        return Vec::new();
    }
    Change::set(attribute, values.iter().map(|value| value.clone().into_bytes()))
}

/// The changes that set the wanted values of an attribute. If the attribute has several values, a single new value replaces the main one
/// and becomes the first; the others, which may be aliases of a mailbox, are kept after it.
fn value_changes(entry: &Entry, attribute: &str, values: &[String], rule: Rule) -> Vec<Change> {
    let (Some(main), [value]) = (entry.main_value(attribute), values) else {
        return list_changes(entry, attribute, values);
    };
    if main == value.as_bytes() {
        return Vec::new();
    }
    Change::set(attribute, values_after(entry.values(attribute), main, value, rule))
}

/// The values of an attribute after its main value is replaced.
fn values_after(held: &[Vec<u8>], main: &[u8], value: &str, rule: Rule) -> Vec<Vec<u8>> {
    let stays = |of: &&Vec<u8>| of.as_slice() != main && !rule.same(of, value.as_bytes());
    std::iter::once(value.as_bytes().to_vec()).chain(held.iter().filter(stays).cloned()).collect()
}

/// Updates derived attributes: those of `create.attributes` that still contain the value derived from the old fields. An attribute that was
/// set to something else is left unchanged.
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
            template.render(|name| new_entry::field_text(layout, fields, name))
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

/// The entry after a plan is executed, with the parts that groups depend on.
pub(crate) fn after(directory: &Directory, entry: &Entry, plan: &Plan) -> Entry {
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
