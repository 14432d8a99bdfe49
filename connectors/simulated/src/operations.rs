//! The six actions.

use bridgehead_sdk::{
    AccountRecord, AccountStatus, Completion, CreateAccount, Error, Memberships, Operation, ResourceKind,
    Subject, UpdateAccount, is_secret_name,
};
use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::overlay::{Key, Overlay};
use crate::people::{People, SEAT, TEAM};

/// Executes an operation on the current accounts.
pub(crate) fn apply(
    system: &str,
    people: &People,
    overlay: &mut Overlay,
    operation: &Operation,
    now: Timestamp,
) -> Result<Completion, Error> {
    let target = Target { system, people };
    let account = operation.account();
    if let Operation::CreateAccount(create) = operation {
        return target.create(overlay, create);
    }
    let (key, mut record) = overlay
        .find(account)
        .ok_or_else(|| Error::account_not_found(format!("User {} not found in {system}", account.label())))?;
    match operation {
        Operation::UpdateAccount(update) => target.update(overlay, key, &mut record, update)?,
        Operation::DeleteAccount(_) => {
            overlay.remove(key);
            return Ok(Completion::done());
        }
        Operation::SuspendAccount(_) => record.status = AccountStatus::Suspended,
        Operation::UnsuspendAccount(_) => record.status = AccountStatus::Active,
        Operation::ResetPassword(_) => {
            record.extra.insert("password_changed_at".into(), Value::from(now.to_string()));
        }
        other => return Err(Error::unsupported(other.action())),
    }
    overlay.set(key, record);
    Ok(Completion::done())
}

struct Target<'a> {
    system: &'a str,
    people: &'a People,
}

impl Target<'_> {
    fn create(&self, overlay: &mut Overlay, create: &CreateAccount) -> Result<Completion, Error> {
        let account = &create.account;
        let label = account.label();
        let id = account.id.clone().unwrap_or_else(|| label.into());
        let names = [Some(id.as_str()), account.username.as_deref(), account.email.as_deref()];
        for name in names.into_iter().flatten() {
            self.free(overlay, label, name, None)?;
        }
        if account.username.is_none() && account.email.is_none() {
            return Err(self.wrong(label, "account", "present: at least one of email and username"));
        }
        let mut record = AccountRecord::new(id.clone());
        record.email.clone_from(&account.email);
        record.username.clone_from(&account.username);
        record.first_name.clone_from(&account.first_name);
        record.last_name.clone_from(&account.last_name);
        record.display_name.clone_from(&account.display_name);
        record.status = account.status.unwrap_or_default();
        if let Some(wanted) = &create.memberships {
            self.set_memberships(label, &mut record, wanted)?;
        }
        let ours = ["memberships", "assignments", "account_id", "status"];
        let kept =
            account.extra.iter().filter(|(name, _)| !is_secret_name(name) && !ours.contains(&name.as_str()));
        record.extra = kept.map(|(name, value)| (name.clone(), value.clone())).collect::<Map<_, _>>();
        overlay.add(record);
        Ok(Completion::created(id))
    }

    fn update(
        &self,
        overlay: &Overlay,
        key: Key,
        record: &mut AccountRecord,
        update: &UpdateAccount,
    ) -> Result<(), Error> {
        let label = update.account.label();
        for (name, value) in &update.changes {
            self.change(overlay, key, record, label, (name, value))?;
        }
        if record.username.is_none() && record.email.is_none() {
            return Err(self.wrong(label, "account", "present: at least one of email and username"));
        }
        match &update.memberships {
            Some(wanted) => self.set_memberships(label, record, wanted),
            None => Ok(()),
        }
    }

    fn change(
        &self,
        overlay: &Overlay,
        key: Key,
        record: &mut AccountRecord,
        label: &str,
        (name, value): (&str, &Value),
    ) -> Result<(), Error> {
        let text = || match value {
            Value::Null => Ok(None),
            Value::String(text) => Ok(Some(text.clone()).filter(|text| !text.is_empty())),
            _ => Err(self.wrong(label, name, "text, or null to clear it")),
        };
        match name {
            "id" | "account_id" => {
                if value.as_str() != Some(record.id.as_str()) {
                    return Err(self.wrong(label, name, "unchanged: an identifier never changes"));
                }
            }
            "memberships" | "assignments" => {}
            "first_name" => record.first_name = text()?,
            "last_name" => record.last_name = text()?,
            "display_name" => record.display_name = text()?,
            "username" | "email" => {
                let text = text()?;
                if let Some(text) = &text {
                    self.free(overlay, label, text, Some(key))?;
                }
                let field = if name == "email" { &mut record.email } else { &mut record.username };
                *field = text;
            }
            "status" => {
                let status = value.as_str().and_then(AccountStatus::from_name);
                record.status =
                    status.ok_or_else(|| self.wrong(label, name, "one of active, inactive, suspended"))?;
            }
            secret if is_secret_name(secret) => {
                return Err(self.wrong(label, name, "omitted: secrets are not stored"));
            }
            other if value.is_null() => {
                record.extra.shift_remove(other);
            }
            other => {
                record.extra.insert(other.to_owned(), value.clone());
            }
        }
        Ok(())
    }

    fn free(&self, overlay: &Overlay, label: &str, name: &str, but: Option<Key>) -> Result<(), Error> {
        match overlay.holder_of(name, but) {
            None => Ok(()),
            Some(holder) => Err(Error::account_already_exists(format!(
                "User {label}: {name} is already taken in {} by the account {}",
                self.system, holder.id
            ))),
        }
    }

    /// Replaces the references of each requested type.
    fn set_memberships(
        &self,
        label: &str,
        record: &mut AccountRecord,
        wanted: &Memberships,
    ) -> Result<(), Error> {
        for (slug, refs) in &wanted.0 {
            let (kind, subject) = match slug.as_str() {
                TEAM => (ResourceKind::Group, Subject::Group),
                SEAT => (ResourceKind::License, Subject::License),
                other => {
                    let message = format!(
                        "User {label}: {} has no type '{other}', only {TEAM} and {SEAT}",
                        self.system
                    );
                    return Err(Error::group_not_found(message));
                }
            };
            let known = |id: &str| match kind {
                ResourceKind::License => self.people.has_license(id),
                _ => self.people.has_group(id),
            };
            if let Some(missing) = refs.iter().find(|one| !known(&one.id)) {
                let message = format!("User {label}: {slug} {} not found in {}", missing.id, self.system);
                return Err(Error::internal(message).with_subject(subject));
            }
            let Memberships(map) = match kind {
                ResourceKind::License => &mut record.assignments,
                _ => &mut record.memberships,
            };
            map.insert(slug.clone(), refs.clone());
        }
        Ok(())
    }

    fn wrong(&self, label: &str, field: &str, rule: &str) -> Error {
        Error::internal(format!("User {label} in {}: {field} must be {rule}", self.system))
    }
}
