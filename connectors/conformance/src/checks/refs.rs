//! Groups that accounts are added to, and licenses that are assigned to them.

use serde_json::json;

use crate::finding::{Finding, Verdict, ensure, failed, skipped};
use crate::kit::{Kit, Person};
use crate::rule::Rule;
use crate::tasks::{operation, refs, with_refs};
use bridgehead_sdk::{Action, EntityRecord, Record, ResourceKind};

const CREATE: Action = Action::CreateAccount;
const UPDATE: Action = Action::UpdateAccount;
const GROUP: ResourceKind = ResourceKind::Group;
const LICENSE: ResourceKind = ResourceKind::License;

pub(crate) const RULES: [Rule; 6] = [
    Rule::changes(
        "membership-on-create",
        "A new account is in the groups that the task names.",
        &[CREATE],
        |kit| Box::pin(on_create(kit, GROUP)),
    ),
    Rule::changes("membership-added", "An update adds an account to a group.", &[CREATE, UPDATE], |kit| {
        Box::pin(added(kit, GROUP))
    }),
    Rule::changes(
        "membership-removed",
        "For each type that an update names, the list is complete: the account leaves other groups.",
        &[CREATE, UPDATE],
        |kit| Box::pin(removed(kit, GROUP)),
    ),
    Rule::changes(
        "license-on-create",
        "A new account has the licenses that the task names.",
        &[CREATE],
        |kit| Box::pin(on_create(kit, LICENSE)),
    ),
    Rule::changes("license-added", "An update assigns a license to an account.", &[CREATE, UPDATE], |kit| {
        Box::pin(added(kit, LICENSE))
    }),
    Rule::changes(
        "license-removed",
        "For each type that an update names, the list is complete: other licenses are removed.",
        &[CREATE, UPDATE],
        |kit| Box::pin(removed(kit, LICENSE)),
    ),
];

/// The groups (or licenses) to use, one of each type.
async fn usable(kit: &Kit<'_>, kind: ResourceKind) -> Verdict<Vec<(String, String)>> {
    let mut usable = Vec::new();
    let mut reason = format!("the connector lists no {kind}");
    for of in kit.types(kind) {
        let listed: Vec<EntityRecord> = match kit.working.list(of, None).await? {
            Ok(page) => page.records.into_iter().filter_map(entity).collect(),
            Err(error) => return failed(format!("list {}: {error}", of.slug)),
        };
        match kit.test_target.usable_ref(of.slug.as_str(), &listed) {
            Ok(id) => usable.push((of.slug.to_string(), id)),
            Err(skip) => reason = skip.0,
        }
    }
    if usable.is_empty() { skipped(reason) } else { Ok(usable) }
}

pub(super) fn entity(record: Record) -> Option<EntityRecord> {
    match record {
        Record::Entity(entity) => Some(entity),
        Record::Account(_) => None,
    }
}

/// One reference of every usable type, in the form of a task; empty if there is none.
pub(super) async fn wishes(kit: &Kit<'_>) -> Verdict<serde_json::Map<String, serde_json::Value>> {
    let mut wishes = serde_json::Map::new();
    for (kind, place) in [(GROUP, "memberships"), (LICENSE, "assignments")] {
        match usable(kit, kind).await {
            Ok(usable) => {
                let refs = usable.into_iter().map(|(slug, id)| (slug, json!([id]))).collect();
                wishes.insert(place.to_owned(), serde_json::Value::Object(refs));
            }
            Err(Finding::Skipped(_)) => {}
            Err(finding) => return Err(finding),
        }
    }
    Ok(wishes)
}

/// An account with one group of every type and one license of every type, as far as possible.
pub(super) async fn member(kit: &Kit<'_>) -> Verdict<Person> {
    member_of(kit, &wishes(kit).await?).await
}

/// An account with these references.
pub(super) async fn member_of(
    kit: &Kit<'_>,
    wishes: &serde_json::Map<String, serde_json::Value>,
) -> Verdict<Person> {
    let mut task = wishes.clone();
    task.insert("account".to_owned(), json!(kit.test_target.account(&kit.name())));
    kit.person_with(serde_json::Value::Object(task)).await
}

async fn person_in(kit: &Kit<'_>, kind: ResourceKind, slug: &str, id: &str) -> Verdict<Person> {
    let account = kit.test_target.account(&kit.name());
    kit.person_with(with_refs(json!({ "account": account }), kind, slug, &[id])).await
}

async fn on_create(kit: &Kit<'_>, kind: ResourceKind) -> Verdict {
    for (slug, id) in usable(kit, kind).await? {
        let person = person_in(kit, kind, &slug, &id).await?;
        has(kit, &person, kind, &slug, &id, true).await?;
    }
    Ok(())
}

async fn added(kit: &Kit<'_>, kind: ResourceKind) -> Verdict {
    for (slug, id) in usable(kit, kind).await? {
        let person = kit.person().await?;
        // The second task is the same one again: a state that is already reached is a success.
        for _ in 0..2 {
            wanted(kit, &person, kind, &slug, &[&id]).await?;
            has(kit, &person, kind, &slug, &id, true).await?;
        }
    }
    Ok(())
}

async fn removed(kit: &Kit<'_>, kind: ResourceKind) -> Verdict {
    for (slug, id) in usable(kit, kind).await? {
        let person = match person_in(kit, kind, &slug, &id).await {
            // A creation that cannot assign it is the finding of another check.
            Err(Finding::Failed(_)) => {
                let person = kit.person().await?;
                wanted(kit, &person, kind, &slug, &[&id]).await?;
                person
            }
            other => other?,
        };
        for _ in 0..2 {
            wanted(kit, &person, kind, &slug, &[]).await?;
            has(kit, &person, kind, &slug, &id, false).await?;
        }
    }
    Ok(())
}

async fn wanted(kit: &Kit<'_>, person: &Person, kind: ResourceKind, slug: &str, ids: &[&str]) -> Verdict {
    let task = with_refs(json!({ "account": person.known() }), kind, slug, ids);
    kit.done(&operation(UPDATE, task)?).await.map(drop)
}

async fn has(
    kit: &Kit<'_>,
    person: &Person,
    kind: ResourceKind,
    slug: &str,
    id: &str,
    wanted: bool,
) -> Verdict {
    for (call, record) in kit.seen(person).await? {
        let held = refs(&record, kind, slug);
        ensure(held.contains(&id) == wanted, || {
            let not = if wanted { "lacks" } else { "still has" };
            format!("{call}: account {} {not} {slug} '{id}'", record.id)
        })?;
    }
    Ok(())
}
