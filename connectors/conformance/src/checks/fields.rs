//! Which fields of an account can be changed, and whether they were.

use serde_json::{Map, Value, json};

use crate::finding::{Finding, Requirement, Verdict, ensure, failed, parts, skipped};
use crate::kit::{Kit, Person};
use crate::relay::Seen;
use crate::rule::Rule;
use crate::tasks::{about, changed, differences, identity, named, operation};
use bridgehead_sdk::{AccountRecord, AccountStatus, Action, Effect, Error, ResourceKind};

use super::life::keeps;

const CREATE: Action = Action::CreateAccount;
const UPDATE: Action = Action::UpdateAccount;

pub(crate) const RULES: [Rule; 8] = [
    Rule::changes(
        "update-every-field",
        "Each field that an update names is changed as requested, or rejected, and then nothing is changed.",
        &[CREATE, UPDATE],
        |kit| Box::pin(every_field(kit)),
    ),
    Rule::changes(
        "update-to-null",
        "A change to null clears the field, or is rejected, and then nothing is changed.",
        &[CREATE, UPDATE],
        |kit| Box::pin(to_null(kit)),
    ),
    Rule::changes(
        "update-of-another-type",
        "A number, a list or an object in place of a text is rejected, or stored in a readable form; the \
         account stays readable.",
        &[CREATE, UPDATE],
        |kit| Box::pin(another_type(kit)),
    ),
    Rule::changes(
        "update-to-a-taken-name",
        "A user name that another account has is rejected, and nothing is changed.",
        &[CREATE, UPDATE],
        |kit| Box::pin(taken_name(kit)),
    ),
    Rule::changes(
        "update-keeps-the-rest",
        "An update changes no status, group or license that it does not name.",
        &[CREATE, UPDATE],
        |kit| Box::pin(keeps_the_rest(kit)),
    ),
    Rule::changes(
        "status-on-create",
        "An account that is created suspended is suspended, or rejected, and then not created.",
        &[CREATE],
        |kit| Box::pin(status_on_create(kit)),
    ),
    Rule::changes(
        "sparse-accounts",
        "An account with only a user name, only an email, or without personal names goes through its whole \
         life cycle, or is rejected.",
        &[CREATE],
        |kit| Box::pin(sparse_accounts(kit)),
    ),
    Rule::changes("passwords", "A password is set wherever a task may contain it.", &[CREATE], |kit| {
        Box::pin(passwords(kit))
    }),
];

const FIELDS: [&str; 5] = ["username", "email", "first_name", "last_name", "display_name"];

/// A different value for a field, in a form that the target accepts.
fn another(kit: &Kit<'_>, field: &str, old: Option<&Value>) -> Value {
    let name = kit.name();
    let mut values = [
        kit.test_target.account(&name).get(field).cloned(),
        kit.test_target.changes(&name).get(field).cloned(),
    ]
    .into_iter()
    .flatten();
    values.find(|value| Some(value) != old && value.is_string()).unwrap_or_else(|| match field {
        "username" => json!(name),
        "email" => json!(format!("{name}@example.com")),
        _ => json!(format!("Other {name}")),
    })
}

/// Fails if a rejected task has changed anything.
async fn refused(kit: &Kit<'_>, call: &str, person: &Person, error: &Error) -> Verdict {
    let now = kit.found(&person.by_id()).await?;
    let changed = changed(&person.record, &now);
    ensure(changed.is_empty() || error.effect() == Effect::Unknown, || {
        format!("{call} was rejected ({}), but changed {}", parts(error), changed.join(", "))
    })?;
    ensure(changed.is_empty(), || format!("{call} was rejected, but changed {}", changed.join(", ")))
}

async fn change(kit: &Kit<'_>, person: &Person, changes: &Map<String, Value>) -> Verdict<Result<(), Error>> {
    let task = json!({ "account": { "id": person.record.id }, "changes": changes });
    Ok(kit.execute(1, &operation(UPDATE, task)?).await?.map(drop))
}

fn one(field: &str, value: Value) -> Map<String, Value> {
    Map::from_iter([(field.to_owned(), value)])
}

async fn every_field(kit: &Kit<'_>) -> Verdict {
    let mut all = Map::new();
    for field in FIELDS {
        let person = kit.person_to_rename().await?;
        let value = another(kit, field, person.fields.get(field));
        let call = format!("update_account of {field}");
        match change(kit, &person, &one(field, value.clone())).await? {
            Ok(()) => {
                for (seen, record) in kit.seen(&person).await? {
                    shows(kit, &format!("{call}, then {seen}"), &one(field, value.clone()), &record)?;
                    others_stay(&format!("{call}, then {seen}"), &person.record, &record, field, &value)?;
                }
                // The value is already set, so this must succeed, even if an account with this name is found.
                if let Err(error) = change(kit, &person, &one(field, value.clone())).await? {
                    return failed(format!(
                        "{call} to its current value: expected success; got {}",
                        parts(&error)
                    ));
                }
                if field == "username" || field == "email" {
                    renamed(kit, &person, field, &value).await?;
                }
                // Names are already taken, so they cannot be reused.
                if field != "username" && field != "email" {
                    all.insert(field.to_owned(), value);
                }
            }
            Err(error) => refused(kit, &call, &person, &error).await?,
        }
    }
    if !kit.is_hidden("status") {
        let person = kit.person().await?;
        let call = "update_account of status to suspended";
        match change(kit, &person, &one("status", json!("suspended"))).await? {
            Ok(()) => {
                let status = kit.found(&person.by_id()).await?.status;
                ensure(status != AccountStatus::Active, || {
                    format!("{call}: success was reported, but the status is {status}")
                })?;
            }
            Err(error) => refused(kit, call, &person, &error).await?,
        }
    }
    if all.len() > 1 {
        let person = kit.person_to_rename().await?;
        let names: Vec<&str> = all.keys().map(String::as_str).collect();
        let call = format!("update_account of {} in one task", names.join(", "));
        match change(kit, &person, &all).await? {
            Ok(()) => {
                for (seen, record) in kit.seen(&person).await? {
                    shows(kit, &format!("{call}, then {seen}"), &all, &record)?;
                }
            }
            Err(error) => refused(kit, &call, &person, &error).await?,
        }
        // A field that cannot be stored, after fields that can.
        let mut mixed = all.clone();
        mixed.insert("bhk_no_such_field".to_owned(), json!("x"));
        let person = kit.person_to_rename().await?;
        match change(kit, &person, &mixed).await? {
            Ok(()) => {
                let record = kit.found(&person.by_id()).await?;
                shows(kit, &format!("{call} and of an unknown field"), &all, &record)?;
            }
            Err(error) => refused(kit, &format!("{call} and of an unknown field"), &person, &error).await?,
        }
    }
    Ok(())
}

/// Fails if a change of one field also changed another, unless the other is derived from the new value.
fn others_stay(
    call: &str,
    before: &AccountRecord,
    after: &AccountRecord,
    field: &str,
    value: &Value,
) -> Verdict {
    let value = value.as_str().unwrap_or_default().to_lowercase();
    let (before, after) = (json!(before), json!(after));
    let others = FIELDS.into_iter().filter(|other| *other != field);
    let changed: Vec<&str> = others
        .filter(|other| {
            let now = after.get(other).and_then(Value::as_str).unwrap_or_default();
            before.get(other) != after.get(other) && !now.to_lowercase().contains(&value)
        })
        .collect();
    ensure(changed.is_empty(), || format!("{call}: {} was changed as well", changed.join(", ")))
}

/// Fails unless a record has these values, except in fields that the target does not show.
fn shows(kit: &Kit<'_>, call: &str, wanted: &Map<String, Value>, record: &AccountRecord) -> Verdict {
    let mut wanted = wanted.clone();
    wanted.retain(|field, _| !kit.is_hidden(field));
    let differences = differences(&wanted, record, true);
    ensure(differences.is_empty(), || {
        format!("{call}: success was reported, but for account {} {}", record.id, differences.join("; "))
    })
}

async fn renamed(kit: &Kit<'_>, person: &Person, field: &str, value: &Value) -> Verdict {
    let now = kit.found(&named(field, value.as_str().unwrap_or_default())).await?;
    ensure(now.id == person.record.id, || {
        format!(
            "its {field} was changed, but it is found under another id: {} instead of {}",
            now.id, person.record.id
        )
    })?;
    match person.fields.get(field).and_then(Value::as_str) {
        Some(old) => kit.gone(&named(field, old)).await,
        None => Ok(()),
    }
}

async fn to_null(kit: &Kit<'_>) -> Verdict {
    for field in FIELDS.into_iter().filter(|field| !kit.is_hidden(field)) {
        let mut person = kit.person_to_rename().await?;
        // A known value, because the target may have generated the current one.
        let value = another(kit, field, person.fields.get(field));
        if change(kit, &person, &one(field, value.clone())).await?.is_err() {
            continue;
        }
        person.record = kit.found(&person.by_id()).await?;
        let call = format!("update_account of {field} to null");
        match change(kit, &person, &one(field, Value::Null)).await? {
            Ok(()) => {
                for (seen, record) in kit.seen(&person).await? {
                    let held = serde_json::to_value(&record).unwrap_or_default();
                    let held = held.get(field).cloned().unwrap_or_default();
                    let text = held.as_str().unwrap_or_default().to_lowercase();
                    ensure(held != value && !matches!(text.as_str(), "null" | "none" | "nil"), || {
                        format!("{call}: success was reported, but {seen} shows {held}")
                    })?;
                }
            }
            Err(error) => refused(kit, &call, &person, &error).await?,
        }
    }
    Ok(())
}

async fn another_type(kit: &Kit<'_>) -> Verdict {
    for field in FIELDS {
        let mut person = kit.person_to_rename().await?;
        for value in [json!(5), json!(true), json!(["x"]), json!({ "a": 1 })] {
            let call = format!("update_account of {field} to {value}");
            let answer = change(kit, &person, &one(field, value.clone())).await?;
            // Whatever the result, all accounts must still be readable.
            let now = kit.found(&person.by_id()).await.map_err(|finding| {
                Finding::Failed(format!("after {call}, the account cannot be read: {finding:?}"))
            })?;
            if let Ok(of) = kit.accounts() {
                let listing = crate::listing::read(&kit.working, of).await?;
                if let Some(rejected) = listing.rejected.first() {
                    return failed(format!("after {call}, the listing rejects a record: {rejected}"));
                }
            }
            match answer {
                Err(error) => refused(kit, &call, &person, &error).await?,
                Ok(()) if kit.is_hidden(field) => {}
                Ok(()) => {
                    let held = serde_json::to_value(&now).unwrap_or_default();
                    let held = held.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
                    // A target may accept a list with one item as that item.
                    let single = match value.as_array().map(Vec::as_slice) {
                        Some([one]) => one,
                        _ => &value,
                    };
                    let readable = match single {
                        Value::Array(_) | Value::Object(_) => None,
                        Value::String(text) => Some(text.clone()),
                        other => Some(other.to_string()),
                    };
                    ensure(readable.is_some_and(|text| held.eq_ignore_ascii_case(&text)), || {
                        format!("{call}: success was reported, but it is {held:?}")
                    })?;
                }
            }
            person.record = now;
        }
    }
    Ok(())
}

async fn taken_name(kit: &Kit<'_>) -> Verdict {
    let (one_, other) = (kit.person_to_rename().await?, kit.person().await?);
    let Some(taken) = other.fields.get("username").cloned() else {
        return skipped("the kit's accounts have no user name here");
    };
    let answer = change(kit, &one_, &one("username", taken.clone())).await?;
    kit.unchanged(&other).await?;
    kit.unchanged(&one_).await?;
    match answer {
        Err(_) => Ok(()),
        Ok(()) => failed(format!(
            "update_account to the user name {taken} of another account: success was reported"
        )),
    }
}

async fn keeps_the_rest(kit: &Kit<'_>) -> Verdict {
    let mut person = super::refs::member(kit).await?;
    if kit.offers(Action::SuspendAccount) {
        kit.done(&about(Action::SuspendAccount, &person.known())?).await?;
        person.record = kit.found(&person.by_id()).await?;
    }
    let changes = kit.test_target.changes("Kit");
    for memberships in [json!({}), Value::Null] {
        let task = json!({ "account": person.known(), "changes": changes, "memberships": memberships });
        kit.done(&operation(UPDATE, task)?).await?;
        for (seen, record) in kit.seen(&person).await? {
            let mut before = record.clone();
            before.memberships.clone_from(&person.record.memberships);
            before.assignments.clone_from(&person.record.assignments);
            before.status = person.record.status;
            keeps(&format!("update_account, then {seen}"), &before, &record)?;
        }
    }
    let wishes = super::refs::wishes(kit).await?;
    if wishes.is_empty() {
        return Ok(());
    }
    let before = kit.found(&person.by_id()).await?;
    let mut task = wishes;
    task.insert("account".to_owned(), json!(person.known()));
    kit.done(&operation(UPDATE, Value::Object(task))?).await?;
    for (seen, record) in kit.seen(&person).await? {
        keeps(&format!("update_account of groups and licenses alone, then {seen}"), &before, &record)?;
    }
    Ok(())
}

async fn status_on_create(kit: &Kit<'_>) -> Verdict {
    if kit.is_hidden("status") {
        return skipped("the connector says that the target does not show it");
    }
    for status in [AccountStatus::Suspended, AccountStatus::Inactive] {
        let mut fields = kit.test_target.account(&kit.name());
        fields.insert("status".to_owned(), json!(status));
        let call = format!("create_account with the status {status}");
        match kit.execute(1, &about(CREATE, &kit.with_password(&fields))?).await? {
            Ok(_) => {
                let found = kit.found(&identity(&fields)).await?;
                ensure(found.status != AccountStatus::Active, || {
                    format!("{call}: success was reported, but the account is {}", found.status)
                })?;
            }
            Err(error) => {
                Requirement::REFUSED.of::<()>(&format!("{call}, which may be rejected"), Err(error))?;
                kit.gone(&identity(&fields)).await?;
            }
        }
    }
    Ok(())
}

async fn sparse_accounts(kit: &Kit<'_>) -> Verdict {
    let mut made = 0;
    for kept in [&["username"][..], &["email"], &["username", "email"], &["username", "last_name"]] {
        let name = kit.name();
        let mut fields = kit.test_target.account(&name);
        fields.retain(|field, _| !FIELDS.contains(&field.as_str()) || kept.contains(&field.as_str()));
        if !identity(&fields).is_identified() {
            continue;
        }
        let what = format!("an account with only {}", kept.join(" and "));
        match kit.execute(1, &about(CREATE, &fields)?).await? {
            Err(error) => {
                Requirement::REFUSED
                    .of::<()>(&format!("create_account of {what}, which may be rejected"), Err(error))?;
                kit.gone(&identity(&fields)).await?;
                continue;
            }
            Ok(_) => made += 1,
        }
        let person = Person { record: kit.made(&fields).await?, fields };
        for (seen, record) in kit.seen(&person).await? {
            super::life::holds(&format!("{what}, {seen}"), &record, &person.fields, false)?;
            no_other(kit, &format!("{what}, {seen}"), &name, &record)?;
            no_word(&format!("{what}, {seen}"), &record)?;
        }
        let all = super::codes::each_action(kit, &person.known(), "Kit")?;
        let (last, others): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|operation| operation.action() == Action::DeleteAccount);
        for operation in others.into_iter().chain(last) {
            if operation.action() == UPDATE {
                // A field that can usually be changed may not be changeable on a sparse account.
                kit.execute(1, &operation).await?.ok();
            } else {
                kit.done(&operation).await?;
            }
        }
    }
    if made == 0 { skipped("the target requires more fields for every account") } else { Ok(()) }
}

/// The words that result when a missing value is formatted as text.
const NOTHING: [&str; 7] = ["none", "null", "nil", "undefined", "nan", "(null)", "<nil>"];

/// Fails if a field that was not given contains a placeholder word.
fn no_word(what: &str, record: &AccountRecord) -> Verdict {
    let shown = json!(record);
    let words: Vec<&str> = FIELDS
        .into_iter()
        .filter(|field| {
            let text = shown.get(field).and_then(Value::as_str).unwrap_or_default();
            NOTHING.contains(&text.to_lowercase().as_str())
        })
        .collect();
    ensure(words.is_empty(), || format!("{what}: {} is a placeholder word", words.join(", ")))
}

/// Fails if an account contains values of another account of the kit.
fn no_other(kit: &Kit<'_>, what: &str, name: &str, record: &AccountRecord) -> Verdict {
    let shown = serde_json::to_value(record).unwrap_or_default();
    let fields = shown.as_object().into_iter().flatten();
    let of_another = |text: &str| text.contains(&kit.prefix()) && !text.contains(name);
    let foreign = fields
        .filter(|(field, value)| FIELDS.contains(&field.as_str()) && value.as_str().is_some_and(of_another));
    let foreign: Vec<&str> = foreign.map(|(field, _)| field.as_str()).collect();
    ensure(foreign.is_empty(), || format!("{what}: {} belongs to another account", foreign.join(", ")))
}

/// A task with a password in this place.
fn with_password(action: Action, account: &Map<String, Value>, place: &str, password: &str) -> Value {
    let mut task = json!({ "account": account });
    let (outer, inner) = place.split_once('.').unwrap_or(("", place));
    if outer.is_empty() {
        task[inner] = json!(password);
    } else {
        task[outer][inner] = json!(password);
    }
    let _ = action;
    task
}

const PLACES: [&str; 6] = [
    "account.password",
    "account.new_password",
    "changes.password",
    "changes.new_password",
    "password",
    "new_password",
];

/// Whether any request contains a string, as it is or form-encoded.
fn hold(requests: &[Seen], text: &str) -> bool {
    let form: String = url::form_urlencoded::byte_serialize(text.as_bytes()).collect();
    requests.iter().any(|request| {
        let body = String::from_utf8_lossy(&request.body);
        body.contains(text) || body.contains(&form)
    })
}

async fn passwords(kit: &Kit<'_>) -> Verdict {
    if !kit.offers(Action::ResetPassword) {
        return skipped("the connector does not declare reset_password");
    }
    let http = kit.http().await?;
    let mut plain = false;
    for action in [Action::ResetPassword, CREATE] {
        let mut dropped = Vec::new();
        for place in PLACES {
            let account = match action {
                CREATE => kit.test_target.account(&kit.name()),
                _ => kit.person().await?.known(),
            };
            let password = kit.password();
            let operation = operation(action, with_password(action, &account, place, &password))?;
            http.relay.pass();
            if let Err(error) = http.probe.execute(1, &operation).await? {
                return failed(format!("{action} with the password in {place}: {}", parts(&error)));
            }
            if hold(&http.relay.seen(), &password) {
                plain = true;
            } else {
                dropped.push(place);
            }
        }
        let account = match action {
            CREATE => kit.test_target.account(&kit.name()),
            _ => kit.person().await?.known(),
        };
        let password = format!(" {} ", kit.password());
        kit.watch.keep_secret([&password]);
        let operation = operation(action, with_password(action, &account, "account.password", &password))?;
        http.relay.pass();
        // A target or a connector may reject this.
        let is_done = http.probe.execute(1, &operation).await?.is_ok();
        ensure(!is_done || !plain || hold(&http.relay.seen(), &password), || {
            format!(
                "{action}: success was reported, but the leading and trailing spaces of a password were \
                     not sent"
            )
        })?;
        ensure(!plain || dropped.is_empty(), || {
            format!("{action}: success was reported, but a password in {} was not sent", dropped.join(", "))
        })?;
    }
    if plain || kit.types(ResourceKind::Account).next().is_none() {
        return Ok(());
    }
    skipped("passwords are sent in a form that the kit cannot read")
}
