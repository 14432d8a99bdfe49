//! The life cycle of an account: `find_account` and `list` must show each step.

use std::sync::atomic::Ordering;

use serde_json::{Map, Value, json};

use crate::finding::{Verdict, ensure, failed};
use crate::kit::{Kit, Person};
use crate::rule::Rule;
use crate::tasks::{about, changed, differences, identity, operation};
use bridgehead_sdk::{AccountRecord, AccountStatus, Action};

const CREATE: Action = Action::CreateAccount;

pub(crate) const RULES: [Rule; 7] = [
    Rule::changes(
        "create",
        "A created account is found and listed as requested, active, and under the `account_id` of the \
         result.",
        &[CREATE],
        |kit| Box::pin(create(kit)),
    ),
    Rule::changes(
        "update",
        "An update changes what it names, and nothing else.",
        &[CREATE, Action::UpdateAccount],
        |kit| Box::pin(update(kit)),
    ),
    Rule::changes(
        "suspend",
        "A suspended account is found and listed as suspended, and keeps everything else.",
        &[CREATE, Action::SuspendAccount],
        |kit| Box::pin(suspend(kit)),
    ),
    Rule::changes(
        "unsuspend",
        "An account that is unsuspended is active, and keeps everything else.",
        &[CREATE, Action::SuspendAccount, Action::UnsuspendAccount],
        |kit| Box::pin(unsuspend(kit)),
    ),
    Rule::changes(
        "reset-password",
        "A password that Iden chose is accepted, and the account is otherwise unchanged.",
        &[CREATE, Action::ResetPassword],
        |kit| Box::pin(reset_password(kit)),
    ),
    Rule::changes(
        "find-and-list-agree",
        "find_account and list return the same data for an account.",
        &[CREATE],
        |kit| Box::pin(agree(kit)),
    ),
    Rule::changes(
        "delete",
        "A deleted account is neither found nor listed.",
        &[CREATE, Action::DeleteAccount],
        |kit| Box::pin(delete(kit)),
    ),
];

async fn create(kit: &Kit<'_>) -> Verdict {
    let name = kit.name();
    let fields = kit.test_target.account(&name);
    kit.gone(&identity(&fields)).await?;
    let completion = kit.done(&about(CREATE, &kit.with_password(&fields))?).await?;
    let record = kit.made(&fields).await?;
    let answered = completion.result.get("account_id").and_then(Value::as_str);
    kit.creates.store(true, Ordering::Relaxed);
    let person = Person { fields: fields.clone(), record };
    let id = person.record.id.clone();
    let seen = kit.seen(&person).await;
    kit.live_on(person);
    for (call, record) in seen? {
        holds(call, &record, &fields, false)?;
        is(call, &record, AccountStatus::Active)?;
        let shown = json!(record);
        let hidden = fields.iter().filter(|(field, _)| kit.is_hidden(field));
        let contradicted: Vec<&str> = hidden
            .filter(|(field, value)| shown.get(*field) == Some(*value))
            .map(|(field, _)| field.as_str())
            .collect();
        ensure(contradicted.is_empty(), || {
            format!("{call}: {} is among `unverifiable`, but it is shown", contradicted.join(", "))
        })?;
    }
    ensure(answered == Some(id.as_str()), || {
        format!("the result's account_id is {answered:?}, but the account is found under {id:?}")
    })
}

async fn update(kit: &Kit<'_>) -> Verdict {
    let mut person = kit.living().await?;
    let name = person.fields.get("username").or(person.fields.get("email")).and_then(Value::as_str);
    let changes = kit.test_target.changes(name.unwrap_or_default());
    let task = json!({ "account": person.known(), "changes": &changes });
    kit.done(&operation(Action::UpdateAccount, task)?).await?;
    let seen = kit.seen(&person).await?;
    for (call, record) in &seen {
        holds(call, record, &changes, true)?;
    }
    // The target may store the update's values in other fields as well, so only the fields that have a name must stay
    // unchanged.
    let mut rest = person.fields.clone();
    rest.retain(|field, _| !changes.contains_key(field));
    for (call, record) in &seen {
        holds(call, record, &rest, false)?;
        is(call, record, person.record.status)?;
    }
    if let Some((_, record)) = seen.into_iter().next() {
        person.record = record;
    }
    kit.live_on(person);
    Ok(())
}

async fn suspend(kit: &Kit<'_>) -> Verdict {
    into_state(kit, Action::SuspendAccount, AccountStatus::Suspended).await
}

async fn unsuspend(kit: &Kit<'_>) -> Verdict {
    let person = kit.living().await?;
    if person.record.status != AccountStatus::Suspended {
        kit.done(&about(Action::SuspendAccount, &person.known())?).await?;
    }
    kit.live_on(person);
    into_state(kit, Action::UnsuspendAccount, AccountStatus::Active).await
}

async fn into_state(kit: &Kit<'_>, action: Action, wanted: AccountStatus) -> Verdict {
    let mut person = kit.living().await?;
    kit.done(&about(action, &person.known())?).await?;
    for (call, record) in kit.seen(&person).await? {
        is(call, &record, wanted)?;
        let (before, mut after) = (&person.record, record);
        after.status = before.status;
        keeps(call, before, &after)?;
    }
    person.record = kit.found(&person.by_id()).await?;
    kit.live_on(person);
    Ok(())
}

async fn reset_password(kit: &Kit<'_>) -> Verdict {
    let mut person = kit.living().await?;
    let mut account = person.known();
    account.insert("password".to_owned(), json!(kit.password()));
    kit.done(&about(Action::ResetPassword, &account)?).await?;
    for (call, record) in kit.seen(&person).await? {
        keeps(call, &person.record, &record)?;
    }
    person.record = kit.found(&person.by_id()).await?;
    kit.live_on(person);
    Ok(())
}

async fn agree(kit: &Kit<'_>) -> Verdict {
    let person = kit.living().await?;
    let seen = kit.seen(&person).await?;
    kit.live_on(person);
    let [(_, found), (_, listed)] = seen.as_slice() else { return Ok(()) };
    let differ = changed(found, listed);
    ensure(differ.is_empty(), || format!("they differ in {}", differ.join(", ")))
}

async fn delete(kit: &Kit<'_>) -> Verdict {
    let person = kit.living().await?;
    kit.done(&about(Action::DeleteAccount, &person.known())?).await?;
    kit.gone(&person.by_id()).await?;
    kit.gone(&identity(&person.fields)).await?;
    let listed = kit.listed().await?;
    ensure(listed.iter().all(|record| record.id != person.record.id), || {
        format!("list still contains {}", person.record.id)
    })
}

fn is(call: &str, record: &AccountRecord, wanted: AccountStatus) -> Verdict {
    let status = record.status;
    ensure(status == wanted, || format!("{call}: account {} is {status} instead of {wanted}", record.id))
}

/// Fails unless the account has these fields as they were written.
pub(super) fn holds(call: &str, record: &AccountRecord, wanted: &Map<String, Value>, every: bool) -> Verdict {
    let differences = differences(wanted, record, every);
    if differences.is_empty() {
        return Ok(());
    }
    failed(format!("{call}: of account {}, {}", record.id, differences.join("; ")))
}

/// Fails if a named field or a membership differs from before. The target's own fields, such as the time of the last
/// change, may differ.
pub(super) fn keeps(call: &str, before: &AccountRecord, after: &AccountRecord) -> Verdict {
    let own = |record: &AccountRecord| {
        let mut own = record.clone();
        own.extra = Map::new();
        own
    };
    let changed = changed(&own(before), &own(after));
    ensure(changed.is_empty(), || {
        format!("{call}: account {} lost or changed {}", after.id, changed.join(", "))
    })
}
