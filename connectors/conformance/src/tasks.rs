//! Tasks as Iden sends them, and comparisons of accounts.

use serde_json::{Map, Value, json};

use bridgehead_sdk::{
    Account, AccountRecord, Action, Memberships, Operation, Payload, ResourceKind, is_secret_name,
};

use super::finding::{Finding, Verdict};

/// A task about an account.
pub(super) fn operation(action: Action, payload: Value) -> Verdict<Operation> {
    let read = |payload| -> Result<Operation, String> {
        let payload: Payload = serde_json::from_value(payload).map_err(|error| error.to_string())?;
        Operation::parse(action, payload).map_err(|error| error.to_string())
    };
    read(payload)
        .map_err(|error| Finding::Failed(format!("the test target's account cannot be read: {error}")))
}

/// A task that contains only an account.
pub(super) fn about(action: Action, account: &Map<String, Value>) -> Verdict<Operation> {
    operation(action, json!({ "account": account }))
}

/// Adds the requested groups (or licenses) to a task.
pub(super) fn with_refs(mut payload: Value, kind: ResourceKind, slug: &str, refs: &[&str]) -> Value {
    let place = if kind == ResourceKind::License { "assignments" } else { "memberships" };
    if let Some(payload) = payload.as_object_mut() {
        payload.insert(place.to_owned(), json!({ slug: refs }));
    }
    payload
}

/// The identity of an account, without its other fields.
pub(super) fn identity(fields: &Map<String, Value>) -> Account {
    let known = ["id", "account_id", "username", "email"];
    let named = fields.iter().filter(|(name, _)| known.contains(&name.as_str()));
    Account::from_fields(named.map(|(name, value)| (name.clone(), value.clone())).collect())
        .unwrap_or_default()
}

/// An account with only one name.
pub(super) fn named(field: &str, value: &str) -> Account {
    let fields = Map::from_iter([(field.to_owned(), Value::from(value))]);
    Account::from_fields(fields).unwrap_or_default()
}

/// The same, as the `account` of a task.
pub(super) fn fields(field: &str, value: &str) -> Map<String, Value> {
    Map::from_iter([(field.to_owned(), Value::from(value))])
}

/// The fields that have a name in bridgehead, besides the identifier.
const NAMED: [&str; 5] = ["username", "email", "first_name", "last_name", "display_name"];

/// The requested fields that were not stored as written. For a creation, only fields that have a name in bridgehead are
/// compared: other fields of a task may be intended only for the target.
pub(super) fn differences(wanted: &Map<String, Value>, record: &AccountRecord, every: bool) -> Vec<String> {
    let held = serde_json::to_value(record).unwrap_or_default();
    let mut differences = Vec::new();
    for (name, value) in wanted {
        let compared = NAMED.contains(&name.as_str()) || name == "status";
        let elsewhere = matches!(name.as_str(), "id" | "account_id" | "memberships" | "assignments");
        if !(compared || every) || elsewhere || is_secret_name(name) {
            continue;
        }
        let now = held.get(name).unwrap_or(&Value::Null);
        let folds = matches!(name.as_str(), "username" | "email");
        if now != value && !(folds && folded(now) == folded(value)) {
            differences.push(format!("{name} is {} instead of {}", shown(now), shown(value)));
        }
    }
    differences
}

fn folded(value: &Value) -> Option<String> {
    value.as_str().map(bridgehead_sdk::folded)
}

/// A value for messages; a long one is truncated and shows its length.
pub(super) fn shown(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= 60 {
        return text;
    }
    let begin: String = text.chars().take(40).collect();
    format!(
        "{begin}… ({} characters)",
        value.as_str().map_or(text.chars().count(), |text| text.chars().count())
    )
}

/// The references of one type in a record.
pub(super) fn refs<'a>(record: &'a AccountRecord, kind: ResourceKind, slug: &str) -> Vec<&'a str> {
    let of = if kind == ResourceKind::License { &record.assignments } else { &record.memberships };
    of.of(slug).iter().map(|one| one.id.as_str()).collect()
}

/// A record with sorted references, for comparisons: a target need not keep their order.
pub(super) fn ordered(record: &AccountRecord) -> AccountRecord {
    let mut record = record.clone();
    for memberships in [&mut record.memberships, &mut record.assignments] {
        let sorted = |mut refs: Vec<bridgehead_sdk::Ref>| {
            for one in &mut refs {
                one.name = None;
            }
            refs.sort();
            refs
        };
        let of = std::mem::take(&mut memberships.0);
        let of = of.into_iter().filter(|(_, refs)| !refs.is_empty());
        *memberships = Memberships(of.map(|(slug, refs)| (slug, sorted(refs))).collect());
    }
    record
}

/// The names of the fields in which two states of an account differ.
pub(super) fn changed(before: &AccountRecord, after: &AccountRecord) -> Vec<String> {
    let (before, after) = (json_of(before), json_of(after));
    let names: std::collections::BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    names.into_iter().filter(|name| before.get(*name) != after.get(*name)).cloned().collect()
}

fn json_of(record: &AccountRecord) -> Map<String, Value> {
    let value = serde_json::to_value(ordered(record)).unwrap_or_default();
    value.as_object().cloned().unwrap_or_default()
}
