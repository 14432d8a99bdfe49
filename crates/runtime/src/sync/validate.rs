//! The documented Bridge rules for records, checked before anything is sent. Pure.

use std::collections::BTreeMap;

use bridgehead_sdk::{AccountRecord, Memberships, Record, ResourceKind, ResourceType};

/// "At most 100 refs per slug" (sync guide; 400 in the Error Reference).
pub(super) const MOST_REFS: usize = 100;

/// A rule that a record violates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) field: String,
    pub(super) rule: String,
}

fn problem(field: impl Into<String>, rule: impl Into<String>) -> Problem {
    Problem { field: field.into(), rule: rule.into() }
}

/// The kind of each slug of the session.
type Kinds = BTreeMap<String, ResourceKind>;

/// Checks a record against every rule that needs only the record and the resource types of the session.
pub(super) fn check(record: &Record, of: &ResourceType, kinds: &Kinds) -> Result<(), Problem> {
    if record.id().is_empty() {
        return Err(problem("id", "must not be empty"));
    }
    match (record, of.kind) {
        (Record::Account(account), ResourceKind::Account) => check_account(account, kinds),
        (Record::Entity(entity), ResourceKind::Group | ResourceKind::License) => {
            if entity.name.is_empty() {
                Err(problem("name", "must not be empty"))
            } else {
                Ok(())
            }
        }
        (_, kind) => Err(problem("record", format!("must be of the kind {kind}, like its resource type"))),
    }
}

fn check_account(account: &AccountRecord, kinds: &Kinds) -> Result<(), Problem> {
    let is_empty = |field: &Option<String>| field.as_deref().is_none_or(str::is_empty);
    if is_empty(&account.email) && is_empty(&account.username) {
        return Err(problem("email", "or username is required"));
    }
    check_refs(("memberships", ResourceKind::Group), &account.memberships, kinds)?;
    check_refs(("assignments", ResourceKind::License), &account.assignments, kinds)
}

fn check_refs(
    (field, wanted): (&str, ResourceKind),
    refs: &Memberships,
    kinds: &Kinds,
) -> Result<(), Problem> {
    for (slug, refs) in &refs.0 {
        let path = || format!("{field}.{slug}");
        match kinds.get(slug.as_str()) {
            Some(kind) if *kind == wanted => {}
            Some(kind) => {
                return Err(problem(
                    path(),
                    format!("is of the kind {kind}, but {field} must be of the kind {wanted}"),
                ));
            }
            None => {
                let noun = field.trim_end_matches('s');
                return Err(problem(
                    path(),
                    format!("is not a registered resource type (unknown {noun} slug)"),
                ));
            }
        }
        if refs.len() > MOST_REFS {
            return Err(problem(path(), format!("has {} refs, the limit is {MOST_REFS}", refs.len())));
        }
        if refs.iter().any(|r| r.id.is_empty()) {
            return Err(problem(path(), "must not contain an empty ref"));
        }
    }
    Ok(())
}

/// All references of an account: field, slug, identifier.
pub(super) fn refs_of(account: &AccountRecord) -> impl Iterator<Item = (&'static str, &str, &str)> {
    [("memberships", &account.memberships), ("assignments", &account.assignments)].into_iter().flat_map(
        |(field, refs)| {
            refs.0
                .iter()
                .flat_map(move |(slug, refs)| refs.iter().map(move |r| (field, slug.as_str(), r.id.as_str())))
        },
    )
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn problem_of(kind: ResourceKind, record: Value) -> Option<String> {
        let of = ResourceType::new("x", "X", kind);
        let kinds = [("team".to_owned(), ResourceKind::Group), ("seat".to_owned(), ResourceKind::License)];
        let record = Record::from_json(kind, record).unwrap();
        check(&record, &of, &kinds.into()).err().map(|problem| format!("{} {}", problem.field, problem.rule))
    }

    #[test]
    fn account_requires_an_email_or_username() {
        assert_eq!(problem_of(ResourceKind::Account, json!({"id": "1", "email": "a@b.c"})), None);
        assert_eq!(problem_of(ResourceKind::Account, json!({"id": "1", "username": "ann"})), None);
        let problem = problem_of(ResourceKind::Account, json!({"id": "1", "first_name": "Ann"})).unwrap();
        assert!(problem.starts_with("email or username is required"), "{problem}");
    }

    #[test]
    fn referenced_slug_must_be_registered() {
        let problem = problem_of(
            ResourceKind::Account,
            json!({"id": "1", "email": "a@b.c", "memberships": {"club": ["c"]}}),
        );
        assert_eq!(
            problem.as_deref(),
            Some("memberships.club is not a registered resource type (unknown membership slug)")
        );
        let problem = problem_of(
            ResourceKind::Account,
            json!({"id": "1", "email": "a@b.c", "assignments": {"plan": ["c"]}}),
        );
        assert_eq!(
            problem.as_deref(),
            Some("assignments.plan is not a registered resource type (unknown assignment slug)")
        );
    }

    #[test]
    fn memberships_require_groups_and_assignments_licenses() {
        let account = json!({"id": "1", "email": "a@b.c", "memberships": {"seat": ["s"]}});
        assert_eq!(
            problem_of(ResourceKind::Account, account).as_deref(),
            Some("memberships.seat is of the kind license, but memberships must be of the kind group")
        );
        let account = json!({"id": "1", "email": "a@b.c", "assignments": {"seat": ["s"]}});
        assert_eq!(problem_of(ResourceKind::Account, account), None);
    }

    #[test]
    fn at_most_100_refs_are_allowed() {
        let with = |n: usize| {
            let refs: Vec<String> = (0..n).map(|n| n.to_string()).collect();
            problem_of(
                ResourceKind::Account,
                json!({"id": "1", "email": "a@b.c", "memberships": {"team": refs}}),
            )
        };
        assert_eq!(with(100), None);
        assert_eq!(with(101).as_deref(), Some("memberships.team has 101 refs, the limit is 100"));
    }

    #[test]
    fn record_of_another_kind_is_refused() {
        let group = Record::from_json(ResourceKind::Group, json!({"id": "1", "name": "G"})).unwrap();
        let problem =
            check(&group, &ResourceType::account("account", "Account"), &BTreeMap::new()).unwrap_err();
        assert_eq!(problem.field, "record");
    }

    #[test]
    fn every_reference_is_found() {
        let account = serde_json::from_value(
            json!({"id": "1", "memberships": {"team": ["a", "b"]}, "assignments": {"seat": ["s"]}}),
        )
        .unwrap();
        let found: Vec<_> = refs_of(&account).collect();
        assert_eq!(
            found,
            [("memberships", "team", "a"), ("memberships", "team", "b"), ("assignments", "seat", "s")]
        );
    }
}
