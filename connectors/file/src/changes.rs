//! Applies a task to the cells of a row.

use bridgehead_sdk::{
    Account, AccountId, AccountStatus, CreateAccount, Memberships, Slug, UpdateAccount, folded,
    is_secret_name,
};
use serde_json::{Map, Value};

use crate::layout::Layout;
use crate::schema::{Cells, Fault, Schema};
use crate::secrets::{holds_secret, without_secrets};
use crate::settings::PASSWORD_CHANGED_AT;
use crate::survey::Names;

/// The text fields of an account that need no special handling.
const PLAIN_FIELDS: [&str; 3] = ["first_name", "last_name", "display_name"];

/// Writes a created account into a blank row. Returns the names of the fields for which the file has no column.
pub(crate) fn create(
    layout: &Layout,
    schema: &Schema,
    cells: &mut Cells,
    id: &AccountId,
    account: &Account,
) -> Result<Vec<String>, Fault> {
    schema.set(cells, "id", Value::from(id.as_str()))?;
    let texts = [
        ("email", &account.email),
        ("username", &account.username),
        ("first_name", &account.first_name),
        ("last_name", &account.last_name),
        ("display_name", &account.display_name),
    ];
    let mut without_column = Vec::new();
    let mut set = |cells: &mut Cells, name: &str, value: Value| {
        if schema.has(name) {
            return schema.set(cells, name, value);
        }
        without_column.push(name.to_owned());
        Ok(())
    };
    for (name, text) in texts {
        if let Some(text) = text {
            set(cells, name, Value::from(text.as_str()))?;
        }
    }
    if let Some(status) = account.extra.get("status") {
        status_of(status)?;
    }
    let status = account.status.unwrap_or_default();
    if status != AccountStatus::Active || schema.has("status") {
        set_status(schema, cells, status)?;
    }
    for (name, value) in &account.extra {
        let ours = matches!(
            name.as_str(),
            "id" | "account_id" | "memberships" | "assignments" | PASSWORD_CHANGED_AT
        );
        if ours || is_secret_name(name) || is_type(layout, name) {
            continue;
        }
        set(cells, name, without_secrets(value.clone()))?;
    }
    names_somebody(schema, cells)?;
    Ok(without_column)
}

/// The fault for a password in an update, wherever the task has it.
pub(crate) fn no_password() -> Fault {
    Fault::new(
        "password",
        "omitted: secrets are never written to the file; change a password with reset_password",
    )
}

/// Writes the changes of an update into the row of an account.
pub(crate) fn update(
    layout: &Layout,
    schema: &Schema,
    cells: &mut Cells,
    changes: &Map<String, Value>,
) -> Result<(), Fault> {
    for (name, value) in changes {
        match name.as_str() {
            "memberships" | "assignments" => {}
            "id" | "account_id" => {
                let same = schema.text(cells, "id")?.as_deref() == text_of(name, value)?.as_deref();
                if !same {
                    return Err(Fault::new("changes.id", "unchanged: an identifier never changes"));
                }
            }
            "status" => set_status(schema, cells, status_of(value)?)?,
            "email" | "username" => {
                let text = text_of(name, value)?;
                schema.set(cells, name, text.map_or(Value::Null, Value::from))?;
            }
            plain if PLAIN_FIELDS.contains(&plain) => {
                let text = text_of(name, value)?;
                schema.set(cells, name, text.map_or(Value::Null, Value::from))?;
            }
            secret if secret == PASSWORD_CHANGED_AT || is_secret_name(secret) => {
                let rule =
                    "omitted: secrets are never written to the file; change a password with reset_password";
                return Err(Fault::new(format!("changes.{name}"), rule));
            }
            slug if is_type(layout, slug) => {}
            other if holds_secret(value) => {
                let rule = "free of fields named like a secret: secrets are never written to the file";
                return Err(Fault::new(format!("changes.{other}"), rule));
            }
            other => schema.set(cells, other, value.clone())?,
        }
    }
    names_somebody(schema, cells)
}

/// Sets the status.
pub(crate) fn set_status(schema: &Schema, cells: &mut Cells, status: AccountStatus) -> Result<(), Fault> {
    schema.set(cells, "status", Value::from(status.as_str()))
}

/// The requested memberships and assignments of a new account.
pub(crate) fn wanted_at_first(layout: &Layout, create: &CreateAccount) -> Result<Memberships, Fault> {
    wanted(layout, create.memberships.as_ref(), &create.account.extra)
}

/// The requested memberships and assignments of an update.
pub(crate) fn wanted_by_update(layout: &Layout, update: &UpdateAccount) -> Result<Memberships, Fault> {
    wanted(layout, update.memberships.as_ref(), &update.changes)
}

/// References may also be in a field named like the resource type, because the file's column has that name.
fn wanted(
    layout: &Layout,
    named: Option<&Memberships>,
    fields: &Map<String, Value>,
) -> Result<Memberships, Fault> {
    let mut wanted = named.cloned().unwrap_or_default();
    for (name, value) in fields.iter().filter(|(name, _)| is_type(layout, name)) {
        let one = Value::Object(Map::from_iter([(name.clone(), value.clone())]));
        let read =
            Memberships::from_json(name, one).map_err(|_| Fault::new(name, "a list of identifiers"))?;
        wanted.merge(read);
    }
    for (slug, refs) in &mut wanted.0 {
        let mut seen = std::collections::HashSet::new();
        refs.retain(|one| seen.insert(one.id.clone()));
        if refs.iter().any(|one| one.id.is_empty()) {
            return Err(Fault::new(Slug::as_str(slug), "a list of non-empty identifiers"));
        }
    }
    Ok(wanted)
}

/// The new names of an account in an update, which no other account may have.
pub(crate) fn new_names(changes: &Map<String, Value>) -> Result<Names, Fault> {
    let lower = |name: &str| -> Result<Option<String>, Fault> {
        let value = changes.get(name).unwrap_or(&Value::Null);
        Ok(text_of(name, value)?.map(|text| folded(&text)))
    };
    Ok(Names { id: None, username: lower("username")?, email: lower("email")? })
}

fn is_type(layout: &Layout, name: &str) -> bool {
    layout.others.iter().any(|other| other.slug() == name)
}

/// Text, or `None`; a number is treated as text.
fn text_of(name: &str, value: &Value) -> Result<Option<String>, Fault> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text.clone()).filter(|text| !text.is_empty())),
        Value::Number(number) => Ok(Some(number.to_string())),
        _ => Err(Fault::new(format!("changes.{name}"), "text, or null to clear it")),
    }
}

fn status_of(value: &Value) -> Result<AccountStatus, Fault> {
    let status = match value {
        Value::Null => Some(AccountStatus::default()),
        other => other.as_str().and_then(AccountStatus::from_name),
    };
    status.ok_or_else(|| Fault::new("status", "one of active, inactive, suspended"))
}

/// The Bridge API rejects accounts that have neither an email address nor a user name.
fn names_somebody(schema: &Schema, cells: &Cells) -> Result<(), Fault> {
    if schema.text(cells, "email")?.is_none() && schema.text(cells, "username")?.is_none() {
        return Err(Fault::new(
            "account",
            "present: at least one of email and username, in a column of the \
                                          file",
        ));
    }
    Ok(())
}
