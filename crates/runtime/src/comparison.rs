//! Whether an account shows what a task wanted, after the target has said that it was done. Pure.
//!
//! Status, existence and memberships must be as wanted. A field fails only while it still shows its old value: targets trim,
//! change case and reformat, so a value that is neither the old nor the wanted one is named in the log and accepted. Where no old
//! value is known, the new one must be there in its letters and digits. What the
//! target cannot show is declared by the connector (`Description::unverifiable`) and not held against it.

use std::collections::{BTreeMap, BTreeSet};

use bridgehead_sdk::{AccountRecord, AccountStatus, Memberships, Operation, TaskId, is_secret_name};
use serde_json::{Map, Value};
use xxhash_rust::xxh3::xxh3_64;

use bridgehead_store::PriorAccount;

/// Where a deletion is not seen: the target keeps showing an account that it has deleted.
const EXISTENCE: &str = "existence";
/// What is always set and never shown.
const PASSWORD: &str = "password";
/// No value in a message is longer.
const LONGEST: usize = 100;

/// What one look at the account shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verification {
    /// The account is as wanted, as far as the target shows it.
    Seen {
        /// Which values differ from the request, in words.
        differing: Vec<String>,
        /// Fields that it does not show at all.
        not_shown: Vec<String>,
    },
    /// It does not show the requested state; what is requested and what it shows, in words.
    NotSeen(Vec<String>),
}

/// What an operation sets that reading back can never prove, by name. It depends on the task alone, so it is the same
/// however the task went.
pub(crate) fn unverifiable(operation: &Operation, declared: &BTreeSet<String>) -> Vec<String> {
    let mut names = BTreeSet::new();
    let refs = |memberships: &Option<Memberships>, names: &mut BTreeSet<String>| {
        let slugs = memberships.iter().flat_map(|wanted| wanted.0.keys());
        names.extend(
            slugs.map(|slug| format!("memberships.{slug}")).filter(|name| is_declared(declared, name)),
        );
    };
    let mut fields: Vec<String> = Vec::new();
    match operation {
        Operation::CreateAccount(create) => {
            if create.password.is_some() {
                names.insert(PASSWORD.to_owned());
            }
            refs(&create.memberships, &mut names);
            let account = serde_json::to_value(&create.account).unwrap_or_default();
            fields.extend(account.as_object().into_iter().flat_map(Map::keys).cloned());
        }
        Operation::UpdateAccount(update) => {
            refs(&update.memberships, &mut names);
            fields.extend(update.changes.keys().cloned());
        }
        Operation::SuspendAccount(_) | Operation::UnsuspendAccount(_) => fields.push("status".to_owned()),
        Operation::ResetPassword(_) => fields.push(PASSWORD.to_owned()),
        Operation::DeleteAccount(_) => fields.push(EXISTENCE.to_owned()),
        _ => {}
    }
    let parts = ["memberships", "assignments"];
    names.extend(
        fields.into_iter().filter(|name| {
            !parts.contains(&name.as_str()) && (is_secret_name(name) || declared.contains(name))
        }),
    );
    names.into_iter().collect()
}

/// What of an account is kept before the first attempt: enough to tell an old value from a new one, and no value.
pub(crate) fn prior(operation: &Operation, task: &TaskId, found: Option<&AccountRecord>) -> PriorAccount {
    let Some(found) = found else { return PriorAccount::Absent };
    let mut fields = BTreeMap::new();
    if let Operation::UpdateAccount(update) = operation {
        for name in update.changes.keys().filter(|name| !is_secret_name(name)) {
            fields.insert(name.clone(), fingerprint(task, name, &shown(found, name)));
        }
    }
    PriorAccount::Seen { fields }
}

/// Holds what was found against what the operation wanted.
pub(crate) fn verify(
    operation: &Operation,
    task: &TaskId,
    prior: &PriorAccount,
    found: Option<&AccountRecord>,
    declared: &BTreeSet<String>,
) -> Verification {
    let mut look = Look { declared, differing: Vec::new(), not_shown: Vec::new(), missing: Vec::new() };
    match (operation, found) {
        (Operation::DeleteAccount(_), Some(_)) if !declared.contains(EXISTENCE) => {
            look.missing.push("the account still exists".to_owned());
        }
        (Operation::DeleteAccount(_), _) => {}
        (_, None) => look.missing.push("the account does not exist".to_owned()),
        (Operation::CreateAccount(create), Some(found)) => {
            if let Some(status) = create.account.status {
                look.status(status, found);
            }
            look.memberships(create.memberships.as_ref(), found, false);
            look.created(&create.account, found);
        }
        (Operation::SuspendAccount(_), Some(found)) => look.status(AccountStatus::Suspended, found),
        (Operation::UnsuspendAccount(_), Some(found)) => look.status(AccountStatus::Active, found),
        (Operation::UpdateAccount(update), Some(found)) => {
            look.memberships(update.memberships.as_ref(), found, true);
            for (name, wanted) in &update.changes {
                look.change(name, wanted, task, prior, found);
            }
        }
        _ => {}
    }
    if look.missing.is_empty() {
        Verification::Seen { differing: look.differing, not_shown: look.not_shown }
    } else {
        Verification::NotSeen(look.missing)
    }
}

/// A look that is being judged.
struct Look<'a> {
    declared: &'a BTreeSet<String>,
    differing: Vec<String>,
    not_shown: Vec<String>,
    missing: Vec<String>,
}

impl Look<'_> {
    /// Most targets have one inactive status, so only whether the account can be used matters.
    fn status(&mut self, wanted: AccountStatus, found: &AccountRecord) {
        let is_active = |status| status == AccountStatus::Active;
        if is_active(wanted) != is_active(found.status) && !self.declared.contains("status") {
            let (found, wanted) = (found.status.as_str(), wanted.as_str());
            self.missing.push(format!("its status is {found}, expected {wanted}"));
        }
    }

    /// References that are wanted must be there; of an update, others must not.
    fn memberships(&mut self, wanted: Option<&Memberships>, found: &AccountRecord, exactly: bool) {
        for (slug, refs) in wanted.iter().flat_map(|wanted| &wanted.0) {
            if is_declared(self.declared, &format!("memberships.{slug}")) {
                continue;
            }
            let wanted: BTreeSet<&str> = refs.iter().map(|one| one.id.as_str()).collect();
            let held = found.memberships.of(slug.as_str()).iter().chain(found.assignments.of(slug.as_str()));
            let held: BTreeSet<&str> = held.map(|one| one.id.as_str()).collect();
            let lacking: Vec<&str> = wanted.difference(&held).copied().collect();
            let extra: Vec<&str> = held.difference(&wanted).copied().filter(|_| exactly).collect();
            if !lacking.is_empty() {
                self.missing.push(format!("it is not in {slug} {}", list(&lacking)));
            }
            if !extra.is_empty() {
                self.missing.push(format!("it is still in {slug} {}", list(&extra)));
            }
        }
    }

    /// A new account has no old values: a field that differs is named, and does not fail.
    fn created(&mut self, wanted: &bridgehead_sdk::Account, found: &AccountRecord) {
        let wanted = serde_json::to_value(wanted).unwrap_or_default();
        for (name, value) in wanted.as_object().into_iter().flatten() {
            let parts = ["id", "status", "memberships", "assignments"];
            if value.is_null() || parts.contains(&name.as_str()) || self.is_exempt(name) {
                continue;
            }
            let there = shown(found, name);
            if there.is_null() {
                self.not_shown.push(name.clone());
            } else if !is_equal(value, &there) {
                self.differing.push(difference(name, &there, value));
            }
        }
    }

    fn change(
        &mut self,
        name: &str,
        wanted: &Value,
        task: &TaskId,
        prior: &PriorAccount,
        found: &AccountRecord,
    ) {
        if matches!(name, "memberships" | "assignments") || self.is_exempt(name) {
            return;
        }
        if name == "status" {
            let status = wanted.as_str().and_then(AccountStatus::from_name);
            return status.into_iter().for_each(|status| self.status(status, found));
        }
        let there = shown(found, name);
        if is_equal(wanted, &there) {
            return;
        }
        let was = match prior {
            PriorAccount::Seen { fields } => fields.get(name).copied(),
            PriorAccount::Absent | PriorAccount::Unknown => None,
        };
        let is_old = was == Some(fingerprint(task, name, &there));
        let is_unchanged = match was {
            Some(_) => is_old && !is_alike(wanted, &there),
            None => !is_reformatted(wanted, &there),
        };
        let is_known =
            matches!(name, "email" | "username" | "first_name" | "last_name" | "display_name" | "id");
        if there.is_null() && !is_known && (is_old || was.is_none()) {
            // A field that only this target knows, and does not show.
            self.not_shown.push(name.to_owned());
        } else if is_unchanged {
            self.missing.push(difference(name, &there, wanted));
        } else {
            self.differing.push(difference(name, &there, wanted));
        }
    }

    fn is_exempt(&self, name: &str) -> bool {
        is_secret_name(name) || self.declared.contains(name)
    }
}

fn is_declared(declared: &BTreeSet<String>, name: &str) -> bool {
    declared.contains(name) || declared.contains("memberships")
}

/// The value that a record shows under a name; `null` if it shows none.
fn shown(record: &AccountRecord, name: &str) -> Value {
    let text = |value: &Option<String>| value.clone().map_or(Value::Null, Value::String);
    match name {
        "id" => Value::from(record.id.as_str()),
        "email" => text(&record.email),
        "username" => text(&record.username),
        "first_name" => text(&record.first_name),
        "last_name" => text(&record.last_name),
        "display_name" => text(&record.display_name),
        "status" => Value::from(record.status.as_str()),
        name => record.extra.get(name).cloned().unwrap_or_default(),
    }
}

/// A hash of a value with the name of its field and its task: the journal holds no payload.
fn fingerprint(task: &TaskId, name: &str, value: &Value) -> u64 {
    xxh3_64(format!("{task}\0{name}\0{}", plain(value)).as_bytes())
}

/// A target of texts shows the number 7 as "7", and nothing as "".
fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn is_equal(wanted: &Value, there: &Value) -> bool {
    wanted == there || plain(wanted) == plain(there)
}

/// Equal but for case and blanks at the ends: the target has kept the value in its own way.
fn is_alike(wanted: &Value, there: &Value) -> bool {
    plain(wanted).trim().to_lowercase() == plain(there).trim().to_lowercase()
}

/// Equal in letters and digits. Where no old value is known, this alone tells a value that the target keeps in its own way from
/// one that was never changed.
fn is_reformatted(wanted: &Value, there: &Value) -> bool {
    let essence = |value: &Value| -> String {
        plain(value).chars().filter(|one| one.is_alphanumeric()).flat_map(char::to_lowercase).collect()
    };
    !essence(wanted).is_empty() && essence(wanted) == essence(there)
}

fn difference(name: &str, there: &Value, wanted: &Value) -> String {
    let show = |value: &Value| match plain(value) {
        text if text.is_empty() => "empty".to_owned(),
        text => format!("'{}'", text.chars().take(LONGEST).collect::<String>()),
    };
    format!("{name} is {}, expected {}", show(there), show(wanted))
}

fn list(ids: &[&str]) -> String {
    const SHOWN: usize = 5;
    let more = ids.len().saturating_sub(SHOWN);
    let shown = ids[..ids.len().min(SHOWN)].join(", ");
    if more == 0 { shown } else { format!("{shown} and {more} more") }
}

#[cfg(test)]
mod tests;
