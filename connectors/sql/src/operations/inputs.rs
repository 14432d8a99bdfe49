//! The values of an operation's parameters.

use std::collections::{BTreeMap, BTreeSet};

use bridgehead_sdk::{
    Account, AccountRecord, AccountStatus, Context, Operation, UpdateAccount, is_secret_name,
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};

use crate::hash::{NoHash, Scheme};
use crate::plan::{Parameter, Source};
use crate::settings::Fields;

/// Fields that identify an account or contain its memberships, and are not written as values.
const NO_VALUES: [&str; 4] = ["id", "account_id", "memberships", "assignments"];

/// The values of an operation. It has no `Debug`, because it contains the password.
pub(super) struct Inputs {
    /// The account's identifier, once it is known.
    pub(super) id: Option<String>,
    /// The fields with a column, with the values that the statements write.
    fields: Map<String, Value>,
    /// The task's own fields, for custom parameters.
    extra: Map<String, Value>,
    password: Option<SecretString>,
    /// The hashes of the password, in the formats that the statements use.
    hashes: BTreeMap<Scheme, SecretString>,
    /// The fields whose columns are time stamps that are returned with a zone but accepted without one.
    stamps: BTreeSet<String>,
    task_id: String,
    attempt: u32,
}

/// A request in an operation that cannot be fulfilled. It never contains a value, which may be a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    /// No statement writes the field.
    #[error("no statement of {action} writes the field {field}; Iden would believe that it was changed")]
    NoStatement { action: &'static str, field: String },
    /// The task tries to change an identifier.
    #[error("changes.id must not change: an identifier never changes")]
    Identifier,
    /// The field has the name of a secret.
    #[error("{0} has the name of a secret; change a password with reset_password")]
    Secret(String),
    /// The new value of a string field is not a string.
    #[error("changes.{0} must be a text")]
    NoText(&'static str),
    /// The new account should not be active, but no action can suspend it.
    #[error("it should be {status}, but new accounts are active and there is no suspend_account")]
    CreatedActive { status: AccountStatus },
    /// The status is unknown.
    #[error("status must be one of active, inactive, suspended")]
    Status,
    /// The task has no password, but a statement needs one.
    #[error("the task contains no password, and no statement generates one")]
    NoPassword,
    /// The password could not be hashed.
    #[error(transparent)]
    NoHash(#[from] NoHash),
}

impl Inputs {
    /// The inputs for an account to create.
    pub(super) fn create(
        context: &Context,
        fields: &Fields,
        account: &Account,
        password: Option<&SecretString>,
    ) -> Result<Self, Refusal> {
        if account.status.is_none() && account.extra.contains_key("status") {
            return Err(Refusal::Status);
        }
        let all = object(account);
        Ok(Self {
            id: None,
            fields: mapped(fields, &all),
            extra: all,
            password: password.cloned(),
            hashes: BTreeMap::new(),
            stamps: BTreeSet::new(),
            task_id: context.task_id.to_string(),
            attempt: context.attempt,
        })
    }

    /// The inputs for an existing account.
    pub(super) fn of(
        context: &Context,
        fields: &Fields,
        operation: &Operation,
        found: &AccountRecord,
    ) -> Self {
        let password = match operation {
            Operation::ResetPassword(reset) => reset.password.clone(),
            _ => None,
        };
        Self {
            id: Some(found.id.to_string()),
            fields: mapped(fields, &object(found)),
            extra: object(operation.account()),
            password,
            hashes: BTreeMap::new(),
            stamps: BTreeSet::new(),
            task_id: context.task_id.to_string(),
            attempt: context.attempt,
        }
    }

    /// Sets the fields that are time stamps without a zone.
    pub(super) fn with_stamps(mut self, stamps: &BTreeSet<String>) -> Self {
        self.stamps.clone_from(stamps);
        self
    }

    /// Sets the hashes of the password.
    pub(super) fn with_hashes(mut self, hashes: BTreeMap<Scheme, SecretString>) -> Self {
        self.hashes = hashes;
        self
    }

    /// The hashes of the password, which are as secret as the password itself.
    pub(super) fn secrets(&self) -> Vec<String> {
        self.hashes.values().map(|hash| hash.expose_secret().to_owned()).collect()
    }

    /// The new value of a field as a string.
    pub(super) fn text(&self, field: &str) -> Option<String> {
        self.fields.get(field).and_then(crate::value::as_text)
    }

    /// Applies the changes of an update. Returns the names of the fields whose values differ from the current ones.
    pub(super) fn change(
        &mut self,
        fields: &Fields,
        own: &BTreeMap<String, Source>,
        update: &UpdateAccount,
    ) -> Result<Vec<String>, Refusal> {
        if let Some(name) = update.no_text() {
            return Err(Refusal::NoText(name));
        }
        // Wherever the task has it: it must not be reported as set.
        if update.password.is_some() {
            return Err(Refusal::Secret("password".to_owned()));
        }
        let mut changed = Vec::new();
        for (name, value) in &update.changes {
            match name.as_str() {
                "id" | "account_id" => {
                    let same = crate::value::as_text(value).is_some_and(|id| self.id.as_deref() == Some(&id));
                    if !same {
                        return Err(Refusal::Identifier);
                    }
                    continue;
                }
                name if NO_VALUES.contains(&name) => continue,
                "status" => {
                    let known = value.as_str().and_then(AccountStatus::from_name);
                    if known.is_none() {
                        return Err(Refusal::Status);
                    }
                }
                name if is_secret_name(name) => return Err(Refusal::Secret(name.to_owned())),
                _ => {}
            }
            let is_own =
                own.values().any(|source| matches!(source, Source::Task { field, .. } if field == name));
            if fields.contains_key(name) {
                let before = self.fields.insert(name.clone(), value.clone()).unwrap_or_default();
                if before != *value {
                    changed.push(name.clone());
                }
            } else if is_own {
                self.extra.insert(name.clone(), value.clone());
                changed.push(name.clone());
            } else {
                return Err(Refusal::NoStatement { action: "update_account", field: name.clone() });
            }
        }
        Ok(changed)
    }

    /// The value of a parameter, except those of listings.
    pub(super) fn value(&self, own: &BTreeMap<String, Source>, parameter: &Parameter) -> Value {
        match parameter {
            Parameter::Id => self.id.clone().map_or(Value::Null, Value::from),
            Parameter::Field(name) => {
                let value = self.fields.get(name).cloned().unwrap_or_default();
                if self.stamps.contains(name) { without_zone(value) } else { value }
            }
            Parameter::Password => {
                self.password.as_ref().map_or(Value::Null, |password| password.expose_secret().into())
            }
            Parameter::PasswordHash(scheme) => {
                self.hashes.get(scheme).map_or(Value::Null, |hash| hash.expose_secret().into())
            }
            Parameter::TaskId => Value::from(self.task_id.as_str()),
            Parameter::Attempt => Value::from(self.attempt),
            Parameter::Own(name) => match own.get(name) {
                Some(Source::Fixed(value)) => value.clone(),
                Some(Source::Task { field, default }) => {
                    self.extra.get(field).filter(|value| !value.is_null()).unwrap_or(default).clone()
                }
                None => Value::Null,
            },
            _ => Value::Null,
        }
    }

    /// Whether the task contains a password.
    pub(super) fn has_password(&self) -> bool {
        self.password.is_some()
    }

    /// The names of a new account's fields.
    pub(super) fn named(&self) -> impl Iterator<Item = &str> {
        let values = self.extra.iter().filter(|(name, value)| {
            !value.is_null() && !NO_VALUES.contains(&name.as_str()) && !is_secret_name(name)
        });
        values.map(|(name, _)| name.as_str())
    }
}

/// A UTC time stamp in the form that MySQL accepts: without a zone, in the session's time zone, which is UTC.
fn without_zone(value: Value) -> Value {
    let text = value.as_str().and_then(|text| text.strip_suffix('Z')).filter(|text| text.contains('T'));
    text.map(|text| Value::from(text.replacen('T', " ", 1))).unwrap_or(value)
}

fn object(value: &impl serde::Serialize) -> Map<String, Value> {
    match serde_json::to_value(value) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    }
}

fn mapped(fields: &Fields, all: &Map<String, Value>) -> Map<String, Value> {
    let values = fields
        .keys()
        .filter(|name| *name != "id")
        .filter_map(|name| Some((name.clone(), all.get(name)?.clone())));
    values.collect()
}
