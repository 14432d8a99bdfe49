//! Checks whether an account shows the requested state after the target has reported success. Pure.
//!
//! Status, existence and memberships must be as requested. A field fails only while it still shows its old value: targets trim, change case
//! and reformat, so a value that is neither the old nor the requested one is logged and accepted. If the old value is unknown, the account
//! must show the requested value's letters and digits. Fields that the target cannot show are declared by the connector
//! (`Description::unverifiable`) and do not count as failures.

use std::collections::{BTreeMap, BTreeSet};

use bridgehead_sdk::{
    AccountRecord, AccountStatus, Memberships, Operation, TaskId, comparable_id, composed, folded,
    is_same_name, is_secret_name,
};
use serde_json::{Map, Value};
use xxhash_rust::xxh3::xxh3_64;

use super::names::first_names;
use bridgehead_store::PriorAccount;

/// The field for the account's identifier, kept if the task names the account in another way.
const ID: &str = "id";
/// Recorded when a deletion cannot be seen: the target keeps showing accounts that it has deleted.
const EXISTENCE: &str = "existence";
/// Always set and never shown.
const PASSWORD: &str = "password";
/// The maximum length of a value in a message.
const LONGEST: usize = 100;

/// The result of one look-up of the account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verification {
    /// The account has the requested state, as far as the target shows it.
    Seen {
        /// Values that differ from the request, described in words.
        differing: Vec<String>,
        /// Fields that the target does not show at all.
        not_shown: Vec<String>,
    },
    /// The account does not show the requested state; the requested and the shown values, described in words.
    NotSeen(Vec<String>),
}

/// The names of everything that an operation sets and reading back can never prove. Depends only on the task, so it is the same however the
/// task went.
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

/// What is kept of an account before the first attempt: enough to distinguish old values from new ones, without the values themselves.
pub(crate) fn prior(operation: &Operation, task: &TaskId, found: Option<&AccountRecord>) -> PriorAccount {
    let Some(found) = found else { return PriorAccount::Absent };
    let mut fields = BTreeMap::new();
    if let Operation::UpdateAccount(update) = operation {
        for name in update.changes.keys().filter(|name| !is_secret_name(name)) {
            fields.insert(name.clone(), fingerprint(task, name, &shown(found, name)));
        }
    }
    if !matches!(operation, Operation::CreateAccount(_)) && operation.account().id.is_none() {
        fields.insert(ID.to_owned(), identity(task, found));
    }
    PriorAccount::Seen { fields }
}

/// Whether an account is certainly not the one that was seen before the first attempt: a name may belong to another account by now.
pub(crate) fn is_another(task: &TaskId, prior: &PriorAccount, found: &AccountRecord) -> bool {
    let PriorAccount::Seen { fields } = prior else { return false };
    fields.get(ID).is_some_and(|was| *was != identity(task, found))
}

fn identity(task: &TaskId, found: &AccountRecord) -> u64 {
    fingerprint(task, ID, &Value::from(&*comparable_id(found.id.as_str())))
}

/// Compares the account that was found with the operation's request.
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

/// A look-up being evaluated.
struct Look<'a> {
    declared: &'a BTreeSet<String>,
    differing: Vec<String>,
    not_shown: Vec<String>,
    missing: Vec<String>,
}

impl Look<'_> {
    /// Most targets have a single inactive status, so the check only compares whether the account can be used.
    fn status(&mut self, wanted: AccountStatus, found: &AccountRecord) {
        let is_active = |status| status == AccountStatus::Active;
        if is_active(wanted) != is_active(found.status) && !self.declared.contains("status") {
            let (found, wanted) = (found.status.as_str(), wanted.as_str());
            self.missing.push(format!("its status is {found}, expected {wanted}"));
        }
    }

    /// Requested references must be present; for an update, others must be absent.
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
                self.missing.push(format!("it is not in {slug} {}", first_names(lacking.iter())));
            }
            if !extra.is_empty() {
                self.missing.push(format!("it is still in {slug} {}", first_names(extra.iter())));
            }
        }
    }

    /// A new account has no old values: a field that differs is recorded, and does not fail.
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
            // A field that only this target has, and does not show.
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

/// The value that a record shows under a name; `null` if there is none.
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

/// A hash of a value, salted with its field name and task: the journal must not contain payloads.
fn fingerprint(task: &TaskId, name: &str, value: &Value) -> u64 {
    xxh3_64(format!("{task}\0{name}\0{}", plain(value)).as_bytes())
}

/// A target that stores only strings shows the number 7 as "7", and nothing as "".
fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn is_equal(wanted: &Value, there: &Value) -> bool {
    wanted == there || composed(&plain(wanted)) == composed(&plain(there))
}

/// Equal except for case, Unicode form and surrounding whitespace: the target stores the value in its own format.
fn is_alike(wanted: &Value, there: &Value) -> bool {
    is_same_name(plain(wanted).trim(), plain(there).trim())
}

/// Equal in letters and digits. If the old value is unknown, only this distinguishes a reformatted value from one that was never changed.
fn is_reformatted(wanted: &Value, there: &Value) -> bool {
    let essence = |value: &Value| -> String {
        folded(&plain(value)).chars().filter(|one| one.is_alphanumeric()).collect()
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

#[cfg(test)]
mod tests;
