//! Several references of several types in one task, in every form that a task may have.

use serde_json::{Map, Value, json};

use crate::finding::{Verdict, ensure, failed, parts, skipped};
use crate::kit::{Kit, Person};
use crate::rule::Rule;
use crate::tasks::{identity, operation, refs};
use bridgehead_sdk::{Action, Effect, EntityRecord, ResourceKind};

use super::refs::entity;

const CREATE: Action = Action::CreateAccount;
const UPDATE: Action = Action::UpdateAccount;

pub(crate) const RULES: [Rule; 5] = [
    Rule::changes(
        "several-references",
        "All references that a task names are stored, for every type, on creating and updating; or the task \
         is rejected.",
        &[CREATE],
        |kit| Box::pin(several(kit)),
    ),
    Rule::changes(
        "references-replaced",
        "For a type that an update names, the list is complete: other references are removed, and other \
         types stay unchanged.",
        &[CREATE, UPDATE],
        |kit| Box::pin(replaced(kit)),
    ),
    Rule::changes(
        "references-in-every-form",
        "References are accepted as texts, as objects and single, in the payload, in the account and in the \
         changes.",
        &[CREATE],
        |kit| Box::pin(every_form(kit)),
    ),
    Rule::changes(
        "states-keep-references",
        "Suspending, unsuspending and a new password leave groups and licenses unchanged.",
        &[CREATE],
        |kit| Box::pin(states_keep(kit)),
    ),
    Rule::changes(
        "references-and-fields",
        "An update of fields and references at the same time does both.",
        &[CREATE, UPDATE],
        |kit| Box::pin(and_fields(kit)),
    ),
];

/// A resource type, and the groups or licenses that accounts can get.
struct Usable {
    kind: ResourceKind,
    slug: String,
    ids: Vec<String>,
}

async fn usable(kit: &Kit<'_>) -> Verdict<Vec<Usable>> {
    let mut usable = Vec::new();
    let mut reason = "the connector lists neither groups nor licenses".to_owned();
    for kind in [ResourceKind::Group, ResourceKind::License] {
        for of in kit.types(kind) {
            let listed: Vec<EntityRecord> = match kit.working.list(of, None).await? {
                Ok(page) => page.records.into_iter().filter_map(entity).collect(),
                Err(error) => return failed(format!("list {}: {}", of.slug, parts(&error))),
            };
            match kit.test_target.usable_refs(of.slug.as_str(), &listed) {
                Ok(ids) if !ids.is_empty() => usable.push(Usable { kind, slug: of.slug.to_string(), ids }),
                Ok(_) => {}
                Err(skip) => reason = skip.0,
            }
        }
    }
    if usable.is_empty() { skipped(reason) } else { Ok(usable) }
}

/// The references of a task, by type.
fn wished<'u>(wishes: impl IntoIterator<Item = (&'u Usable, Vec<Value>)>) -> Map<String, Value> {
    let mut task = Map::new();
    for (of, ids) in wishes {
        let place = if of.kind == ResourceKind::License { "assignments" } else { "memberships" };
        let entry = task.entry(place.to_owned()).or_insert_with(|| json!({}));
        entry[of.slug.as_str()] = json!(ids);
    }
    task
}

fn texts(ids: &[String]) -> Vec<Value> {
    ids.iter().map(|id| json!(id)).collect()
}

/// Fails unless the account has exactly these references of a type, among those that the kit assigns.
async fn has(kit: &Kit<'_>, call: &str, person: &Person, of: &Usable, wanted: &[String]) -> Verdict {
    for (seen, record) in kit.seen(person).await? {
        let held = refs(&record, of.kind, &of.slug);
        let held: Vec<&str> = of.ids.iter().map(String::as_str).filter(|id| held.contains(id)).collect();
        let missing: Vec<&String> = wanted.iter().filter(|id| !held.contains(&id.as_str())).collect();
        let extra: Vec<&&str> = held.iter().filter(|id| !wanted.iter().any(|one| one == **id)).collect();
        ensure(missing.is_empty() && extra.is_empty(), || {
            format!(
                "{call}, then {seen}: of {} account {} has {held:?} and should have {wanted:?}",
                of.slug, record.id
            )
        })?;
    }
    Ok(())
}

/// Creates an account with these references; `None` if that is rejected cleanly.
async fn made(kit: &Kit<'_>, refs: &Map<String, Value>) -> Verdict<Option<Person>> {
    let fields = kit.test_target.account(&kit.name());
    let mut task = refs.clone();
    task.insert("account".to_owned(), json!(fields));
    match kit.execute(1, &operation(CREATE, Value::Object(task))?).await? {
        Ok(_) => Ok(Some(Person { record: kit.made(&fields).await?, fields })),
        Err(error) => {
            ensure(error.effect() == Effect::NotApplied, || {
                format!("create_account with references: {}", parts(&error))
            })?;
            kit.gone(&identity(&fields)).await?;
            Ok(None)
        }
    }
}

async fn several(kit: &Kit<'_>) -> Verdict {
    let usable = usable(kit).await?;
    let one = wished(usable.iter().map(|of| (of, texts(&of.ids[..1]))));
    let Some(person) = made(kit, &one).await? else {
        return failed("create_account with one reference of each type was rejected");
    };
    for of in &usable {
        has(kit, "create_account with one reference of each type", &person, of, &of.ids[..1]).await?;
    }
    for of in usable.iter().filter(|of| of.ids.len() > 1) {
        // There may be few licenses, so free those in use.
        kit.clean_up().await;
        let both = wished([(of, texts(&of.ids))]);
        // A license may exclude others; then two of them in one task are rejected.
        if let Some(person) = made(kit, &both).await? {
            has(kit, "create_account with several references", &person, of, &of.ids).await?;
        }
        if !kit.offers(UPDATE) {
            continue;
        }
        kit.clean_up().await;
        let person = kit.person().await?;
        if updated(kit, &person, &both).await? {
            has(kit, "update_account with several references", &person, of, &of.ids).await?;
        }
    }
    Ok(())
}

/// Updates an account; `false` if that is rejected and nothing was changed.
async fn updated(kit: &Kit<'_>, person: &Person, refs: &Map<String, Value>) -> Verdict<bool> {
    let mut task = refs.clone();
    task.insert("account".to_owned(), json!(person.known()));
    match kit.execute(1, &operation(UPDATE, Value::Object(task))?).await? {
        Ok(_) => Ok(true),
        Err(error) => {
            ensure(error.effect() == Effect::NotApplied, || {
                format!("update_account with references: {}", parts(&error))
            })?;
            kit.unchanged(person).await?;
            Ok(false)
        }
    }
}

async fn replaced(kit: &Kit<'_>) -> Verdict {
    let usable = usable(kit).await?;
    for of in &usable {
        kit.clean_up().await;
        let others: Vec<&Usable> = usable.iter().filter(|other| other.slug != of.slug).collect();
        let all = wished(usable.iter().map(|of| (of, texts(&of.ids[..1]))));
        let Some(mut person) = made(kit, &all).await? else {
            return skipped("an account cannot be created with references");
        };
        let steps: Vec<Vec<String>> = match of.ids.as_slice() {
            [first, second, ..] => vec![
                vec![second.clone()],
                vec![first.clone(), second.clone()],
                vec![first.clone()],
                vec![],
                vec![second.clone()],
            ],
            [first] => vec![vec![], vec![first.clone()]],
            [] => continue,
        };
        for wanted in steps {
            let call = format!("update_account to {} {wanted:?}", of.slug);
            if updated(kit, &person, &wished([(of, texts(&wanted))])).await? {
                has(kit, &call, &person, of, &wanted).await?;
                for other in &others {
                    has(kit, &call, &person, other, &other.ids[..1]).await?;
                }
            }
            person.record = kit.found(&person.by_id()).await?;
        }
    }
    Ok(())
}

async fn every_form(kit: &Kit<'_>) -> Verdict {
    for of in usable(kit).await? {
        let Some(id) = of.ids.first() else { continue };
        let place = if of.kind == ResourceKind::License { "assignments" } else { "memberships" };
        let slug = of.slug.as_str();
        let list = json!({ slug: [id] });
        let account = || kit.test_target.account(&kit.name());
        kit.clean_up().await;
        let mut creations = Vec::new();
        for (what, refs) in [
            ("as a text", list.clone()),
            ("as an object", json!({ slug: [{ "id": id, "name": "Some name" }] })),
            ("as an object without a name", json!({ slug: [{ "id": id }] })),
            ("alone", json!({ slug: id })),
        ] {
            let fields = account();
            creations.push((what, fields.clone(), json!({ "account": fields, place: refs })));
        }
        let fields = account();
        let mut within = fields.clone();
        within.insert(place.to_owned(), list.clone());
        creations.push(("in the account", fields, json!({ "account": within })));
        let fields = account();
        creations.push((
            "under memberships",
            fields.clone(),
            json!({ "account": fields, "memberships": list }),
        ));
        for (what, fields, task) in creations {
            let call = format!("create_account with a {slug} {what}");
            if let Err(error) = kit.execute(1, &operation(CREATE, task)?).await? {
                return failed(format!("{call}: expected success; got {}", parts(&error)));
            }
            let person = Person { record: kit.made(&fields).await?, fields };
            has(kit, &call, &person, &of, &of.ids[..1]).await?;
            if kit.offers(Action::DeleteAccount) {
                kit.done(&crate::tasks::about(Action::DeleteAccount, &person.known())?).await?;
            }
        }
        if !kit.offers(UPDATE) {
            continue;
        }
        for (what, task) in [
            ("as an object", json!({ place: { slug: [{ "id": id, "name": "Some name" }] } })),
            ("alone", json!({ place: { slug: id } })),
            ("in the changes", json!({ "changes": { place: list } })),
        ] {
            kit.clean_up().await;
            let person = kit.person().await?;
            let mut task = task;
            task["account"] = json!(person.known());
            let call = format!("update_account with a {slug} {what}");
            match kit.execute(1, &operation(UPDATE, task)?).await? {
                Ok(_) => has(kit, &call, &person, &of, &of.ids[..1]).await?,
                Err(error) => return failed(format!("{call}: expected success; got {}", parts(&error))),
            }
        }
    }
    Ok(())
}

async fn and_fields(kit: &Kit<'_>) -> Verdict {
    let usable = usable(kit).await?;
    let person = kit.person().await?;
    let mut changes = kit.test_target.changes("Kit");
    let mut task = wished(usable.iter().map(|of| (of, texts(&of.ids[..1]))));
    task.insert("account".to_owned(), json!(person.known()));
    task.insert("changes".to_owned(), json!(changes));
    kit.done(&operation(UPDATE, Value::Object(task))?).await?;
    changes.retain(|field, _| !kit.is_hidden(field));
    for (seen, record) in kit.seen(&person).await? {
        super::life::holds(
            &format!("update_account of fields and references, then {seen}"),
            &record,
            &changes,
            true,
        )?;
    }
    for of in &usable {
        has(kit, "update_account of fields and references", &person, of, &of.ids[..1]).await?;
    }
    Ok(())
}

async fn states_keep(kit: &Kit<'_>) -> Verdict {
    usable(kit).await?;
    let person = super::refs::member(kit).await?;
    let mut tried = false;
    for action in [Action::SuspendAccount, Action::UnsuspendAccount, Action::ResetPassword] {
        if !kit.offers(action) {
            continue;
        }
        tried = true;
        let mut account = person.known();
        if action == Action::ResetPassword {
            account.insert("password".to_owned(), json!(kit.password()));
        }
        kit.done(&operation(action, json!({ "account": account }))?).await?;
        for (seen, record) in kit.seen(&person).await? {
            let mut before = person.record.clone();
            before.status = record.status;
            super::life::keeps(&format!("{action}, then {seen}"), &before, &record)?;
        }
    }
    if tried { Ok(()) } else { skipped("the connector declares none of these actions") }
}
