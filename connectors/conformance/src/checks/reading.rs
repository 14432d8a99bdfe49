//! What can be checked by reading alone.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use crate::finding::{Verdict, ensure, failed, parts, skipped};
use crate::kit::Kit;
use crate::listing::{Listing, read};
use crate::rule::Rule;
use bridgehead_sdk::{AccountRecord, Cursor, Evidence, Memberships, Record, ResourceKind, ResourceType};

pub(crate) const RULES: [Rule; 7] = [
    Rule::reads("check", "A target that works passes check().", |kit| Box::pin(check(kit))),
    Rule::reads(
        "description",
        "A connector has a name and a version, names each resource type once, and returns the same when \
         called again.",
        |kit| Box::pin(description(kit)),
    ),
    Rule::reads(
        "listing",
        "Every declared resource type is read to the end: no cursor and no record occurs twice.",
        |kit| Box::pin(listing(kit)),
    ),
    Rule::reads(
        "evidence",
        "The last page of a listing carries evidence that it is the last, and as many records are returned \
         as the target reports.",
        |kit| Box::pin(evidence(kit)),
    ),
    Rule::reads(
        "records",
        "Records follow the Bridge's rules: an id; a name, or a user name or email; at most 100 references \
         of a type.",
        |kit| Box::pin(records(kit)),
    ),
    Rule::reads(
        "references",
        "Memberships refer to declared groups and assignments to declared licenses, which are listed as \
         well.",
        |kit| Box::pin(references(kit)),
    ),
    Rule::reads(
        "unknown-cursor",
        "A cursor that the connector never returned is an error: not an end, and not another start.",
        |kit| Box::pin(unknown_cursor(kit)),
    ),
];

/// The maximum number of references of one type according to the Bridge documents.
const MOST_REFS: usize = 100;

async fn check(kit: &Kit<'_>) -> Verdict {
    match kit.working.check().await? {
        Ok(()) => Ok(()),
        Err(error) => failed(parts(&error)),
    }
}

async fn evidence(kit: &Kit<'_>) -> Verdict {
    for of in &kit.description.resource_types {
        let listing = read(&kit.working, of).await?;
        let evidence = listing.evidence;
        ensure(evidence.is_some(), || {
            format!(
                "list {}: the last page carries no evidence; end it with Page::last(records, Evidence::…)",
                of.slug
            )
        })?;
        let count = listing.ids().len() + listing.rejected.len();
        if let Some(total) = listing.total {
            ensure(count as u64 >= total, || {
                format!("list {}: the target reports {total} records, but {count} were listed", of.slug)
            })?;
        }
        ensure(evidence != Some(Evidence::TotalMet) || listing.total.is_some(), || {
            format!("list {}: the evidence is a total, but no page reports the total", of.slug)
        })?;
    }
    Ok(())
}

async fn description(kit: &Kit<'_>) -> Verdict {
    let description = &kit.description;
    ensure(!description.name.trim().is_empty(), || "it has no name".to_owned())?;
    ensure(!description.version.trim().is_empty(), || "it has no version".to_owned())?;
    ensure(!description.resource_types.is_empty(), || {
        "it lists nothing: it names no resource type".to_owned()
    })?;
    let mut slugs = HashSet::new();
    for of in &description.resource_types {
        ensure(!of.slug.as_str().trim().is_empty(), || "a resource type has no slug".to_owned())?;
        ensure(!of.name.trim().is_empty(), || format!("resource type '{}' has no name", of.slug))?;
        ensure(slugs.insert(&of.slug), || format!("resource type '{}' is named twice", of.slug))?;
    }
    match kit.working.describe().await? {
        Ok(again) => {
            ensure(again == *description, || "it describes itself differently when called again".to_owned())
        }
        Err(error) => failed(format!("called again: {}", parts(&error))),
    }
}

async fn listing(kit: &Kit<'_>) -> Verdict {
    for of in &kit.description.resource_types {
        let listing = read(&kit.working, of).await?;
        if let Some(id) = listing.repeated() {
            return failed(format!("list {}: record '{id}' occurs twice", of.slug));
        }
    }
    Ok(())
}

async fn records(kit: &Kit<'_>) -> Verdict {
    for of in &kit.description.resource_types {
        for record in read(&kit.working, of).await?.records {
            if let Some(why) = broken(of, &record) {
                return failed(format!("list {}: record '{}' {why}", of.slug, record.id()));
            }
        }
    }
    Ok(())
}

/// The rule of the Bridge API that a record violates, if any.
fn broken(of: &ResourceType, record: &Record) -> Option<String> {
    if record.id().is_empty() {
        return Some("has no id".to_owned());
    }
    match (of.kind, record) {
        (ResourceKind::Account, Record::Account(account)) => broken_account(account),
        (ResourceKind::Account, Record::Entity(_)) => Some("is not an account".to_owned()),
        (_, Record::Account(_)) => Some(format!("is an account, in a listing of a {}", of.kind)),
        (_, Record::Entity(entity)) => entity.name.is_empty().then(|| "has no name".to_owned()),
    }
}

fn broken_account(account: &AccountRecord) -> Option<String> {
    let empty = |text: &Option<String>| text.as_deref().is_none_or(str::is_empty);
    if empty(&account.username) && empty(&account.email) {
        return Some("has neither a user name nor an email".to_owned());
    }
    let refs = account.memberships.0.iter().chain(&account.assignments.0);
    for (slug, refs) in refs {
        if refs.len() > MOST_REFS {
            return Some(format!(
                "has {} references to '{slug}', but the Bridge accepts {MOST_REFS}",
                refs.len()
            ));
        }
        if refs.iter().any(|one| one.id.is_empty()) {
            return Some(format!("has a reference to '{slug}' without an id"));
        }
        let distinct: BTreeSet<&str> = refs.iter().map(|one| one.id.as_str()).collect();
        if distinct.len() < refs.len() {
            return Some(format!("refers to the same '{slug}' twice"));
        }
    }
    None
}

async fn references(kit: &Kit<'_>) -> Verdict {
    let mut listed: BTreeMap<&str, (ResourceKind, Listing)> = BTreeMap::new();
    for of in kit.description.resource_types.iter().filter(|of| of.kind != ResourceKind::Account) {
        listed.insert(of.slug.as_str(), (of.kind, read(&kit.working, of).await?));
    }
    let known: BTreeMap<&str, (ResourceKind, HashSet<&str>)> =
        listed.iter().map(|(slug, (kind, listing))| (*slug, (*kind, listing.ids()))).collect();
    for account in kit.listed().await? {
        let kinds =
            [(ResourceKind::Group, &account.memberships), (ResourceKind::License, &account.assignments)];
        for (kind, refs) in kinds {
            if let Some(why) = dangling(&known, kind, refs) {
                return failed(format!("account {} {why}", account.id));
            }
        }
    }
    Ok(())
}

fn dangling(
    known: &BTreeMap<&str, (ResourceKind, HashSet<&str>)>,
    kind: ResourceKind,
    refs: &Memberships,
) -> Option<String> {
    for (slug, refs) in &refs.0 {
        match known.get(slug.as_str()) {
            Some((declared, ids)) if *declared == kind => {
                if let Some(one) = refs.iter().find(|one| !ids.contains(one.id.as_str())) {
                    return Some(format!("refers to {slug} '{}', which is not listed", one.id));
                }
            }
            Some((declared, _)) => return Some(format!("refers to '{slug}', a {declared}, as a {kind}")),
            None => return Some(format!("refers to '{slug}', which is not declared")),
        }
    }
    None
}

async fn unknown_cursor(kit: &Kit<'_>) -> Verdict {
    if kit.description.resource_types.is_empty() {
        return skipped("nothing is listed");
    }
    for of in &kit.description.resource_types {
        for text in ["bridgehead-kit-no-such-cursor", "🦄 or '1'='1"] {
            if let Ok(page) = kit.working.list(of, Some(&Cursor::new(text))).await? {
                let (count, what) =
                    (page.records.len(), if page.next.is_some() { "continues" } else { "ends" });
                return failed(format!(
                    "list {} from cursor '{text}': it returns {count} records and {what}",
                    of.slug
                ));
            }
        }
    }
    Ok(())
}
