//! Decides whether an account is in the state that an operation requests, for every read-back.

use bridgehead_sdk::{
    Account, AccountRecord, AccountStatus, CreateAccount, Memberships, Operation, composed, folded,
    is_same_name, is_secret_name,
};
use serde_json::{Map, Value};

/// What a read-back shows about an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Convergence {
    /// The account is in the requested state.
    Reached,
    /// The account is not in the requested state.
    NotReached,
    /// A read-back cannot tell: the operation sets a password, or a field that the target does not show.
    Unverifiable,
}

/// Compares the account that was found with the requested state.
pub(crate) fn compare(operation: &Operation, found: Option<&AccountRecord>) -> Convergence {
    match (operation, found) {
        (Operation::DeleteAccount(_), None) => Convergence::Reached,
        (Operation::CreateAccount(create), Some(found)) => {
            let same = create.account.is_same_as(found) || same_login(&create.account, found);
            let members = create.memberships.as_ref().is_none_or(|wanted| holds_all(wanted, found));
            reached(same && attributes_agree(&create.account, found) && members)
        }
        (Operation::SuspendAccount(_), Some(found)) => reached(found.status != AccountStatus::Active),
        (Operation::UnsuspendAccount(_), Some(found)) => reached(found.status == AccountStatus::Active),
        (Operation::UpdateAccount(update), Some(found)) => {
            let members = update.memberships.as_ref().is_none_or(|wanted| holds_exactly(wanted, found));
            match changes_agree(&update.changes, found) {
                Convergence::Reached if !members => Convergence::NotReached,
                Convergence::Reached if update.changes.is_empty() && update.memberships.is_none() => {
                    Convergence::Unverifiable
                }
                state => state,
            }
        }
        (Operation::ResetPassword(_), Some(_)) => Convergence::Unverifiable,
        _ => Convergence::NotReached,
    }
}

/// Whether an existing account is exactly what the task would have created: every field that the task sets is shown and equal, and the task
/// sets nothing that cannot be shown. A field that the target does not show counts as a difference.
pub(crate) fn is_identical(create: &CreateAccount, found: &AccountRecord) -> bool {
    let account = &create.account;
    let form = |text: &Option<String>| text.as_deref().map(|text| composed(text).into_owned());
    let text =
        |wanted: &Option<String>, found: &Option<String>| wanted.is_none() || form(wanted) == form(found);
    let folded = |wanted: &Option<String>, found: &Option<String>| {
        let fold = |text: &Option<String>| text.as_deref().map(folded);
        wanted.is_none() || fold(wanted) == fold(found)
    };
    create.password.is_none()
        && account.id.as_ref().is_none_or(|id| *id == found.id)
        && folded(&account.email, &found.email)
        && folded(&account.username, &found.username)
        && text(&account.first_name, &found.first_name)
        && text(&account.last_name, &found.last_name)
        && text(&account.display_name, &found.display_name)
        && account.status.unwrap_or_default() == found.status
        && account.extra.iter().filter(|(name, value)| !is_part(name) && !value.is_null()).all(
            |(name, value)| {
                !is_secret_name(name)
                    && found.extra.get(name).is_some_and(|theirs| loosely_equal(value, theirs))
            },
        )
        && create.memberships.as_ref().is_none_or(|wanted| holds_all(wanted, found))
}

/// Whether this name belongs to data other than the account's own fields.
fn is_part(name: &str) -> bool {
    matches!(name, "memberships" | "assignments")
}

fn reached(is: bool) -> Convergence {
    if is { Convergence::Reached } else { Convergence::NotReached }
}

/// A target may choose its own identifier; then a matching login name or email identifies the account.
pub(crate) fn same_login(account: &Account, found: &AccountRecord) -> bool {
    let mut by_login = account.clone();
    by_login.id = None;
    by_login.is_same_as(found)
}

/// Whether all fields that the target shows match the request. A field that the target does not show is ignored: not every target stores a
/// display name, for example.
fn attributes_agree(wanted: &Account, found: &AccountRecord) -> bool {
    let text = |wanted: &Option<String>, found: &Option<String>| match (wanted, found) {
        (Some(wanted), Some(found)) => composed(wanted) == composed(found),
        _ => true,
    };
    let folded = |wanted: &Option<String>, found: &Option<String>| match (wanted, found) {
        (Some(wanted), Some(found)) => is_same_name(wanted, found),
        _ => true,
    };
    folded(&wanted.email, &found.email)
        && folded(&wanted.username, &found.username)
        && text(&wanted.first_name, &found.first_name)
        && text(&wanted.last_name, &found.last_name)
        && text(&wanted.display_name, &found.display_name)
        && wanted.status.is_none_or(|status| status == found.status)
        && wanted.extra.iter().filter(|(name, _)| !is_secret_name(name) && !is_part(name)).all(
            |(name, value)| {
                value.is_null() || found.extra.get(name).is_none_or(|theirs| loosely_equal(value, theirs))
            },
        )
}

fn changes_agree(changes: &Map<String, Value>, found: &AccountRecord) -> Convergence {
    let mut state = Convergence::Reached;
    for (name, value) in changes {
        let text = |found: &Option<String>| match value {
            Value::Null => found.is_none(),
            value => found.as_deref().is_some_and(|found| loosely_equal(value, &Value::from(found))),
        };
        let agrees = match name.as_str() {
            "memberships" | "assignments" => continue,
            "id" => loosely_equal(value, &Value::from(found.id.as_str())),
            "email" => text(&found.email),
            "username" => text(&found.username),
            "first_name" => text(&found.first_name),
            "last_name" => text(&found.last_name),
            "display_name" => text(&found.display_name),
            "status" => value.is_null() || value == found.status.as_str(),
            name => match found.extra.get(name) {
                Some(theirs) if !is_secret_name(name) => loosely_equal(value, theirs),
                _ => {
                    state = Convergence::Unverifiable;
                    continue;
                }
            },
        };
        if !agrees {
            return Convergence::NotReached;
        }
    }
    state
}

/// A target that stores only strings shows the number 7 as "7", and nothing as "".
fn loosely_equal(a: &Value, b: &Value) -> bool {
    let plain = |value: &Value| match value {
        Value::Null => Some(String::new()),
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        _ => None,
    };
    a == b || matches!((plain(a), plain(b)), (Some(a), Some(b)) if a == b)
}

fn refs_of<'a>(slug: &str, found: &'a AccountRecord) -> impl Iterator<Item = &'a str> {
    found
        .memberships
        .of(slug)
        .iter()
        .chain(found.assignments.of(slug))
        .map(|r| r.id.as_str())
        .collect::<Vec<_>>()
        .into_iter()
}

fn holds_all(wanted: &Memberships, found: &AccountRecord) -> bool {
    wanted
        .0
        .iter()
        .all(|(slug, refs)| refs.iter().all(|r| refs_of(slug.as_str(), found).any(|id| id == r.id)))
}

fn holds_exactly(wanted: &Memberships, found: &AccountRecord) -> bool {
    holds_all(wanted, found)
        && wanted
            .0
            .iter()
            .all(|(slug, refs)| refs_of(slug.as_str(), found).all(|id| refs.iter().any(|r| r.id == id)))
}

#[cfg(test)]
mod tests {
    use bridgehead_sdk::Action;
    use serde_json::json;

    use super::*;

    fn judge(action: Action, payload: Value, found: Value) -> Convergence {
        let operation = Operation::parse(action, serde_json::from_value(payload).unwrap()).unwrap();
        let found: Option<AccountRecord> = serde_json::from_value(found).unwrap();
        compare(&operation, found.as_ref())
    }

    #[test]
    fn create_is_reached_if_no_shown_field_differs() {
        let wanted = json!({"account": {"username": "ann", "email": "ann@example.org", "display_name": "Ann", "password": "x"}});
        let judge = |found| judge(Action::CreateAccount, wanted.clone(), found);
        assert_eq!(judge(json!({"id": "7", "username": "ANN"})), Convergence::Reached);
        assert_eq!(
            judge(json!({"id": "7", "username": "ann", "display_name": "Anna"})),
            Convergence::NotReached
        );
        assert_eq!(judge(json!({"id": "7", "username": "bob"})), Convergence::NotReached);
        assert_eq!(judge(json!(null)), Convergence::NotReached);
    }

    #[test]
    fn target_may_choose_the_identifier_of_a_new_account() {
        let wanted = json!({"account": {"id": "x1", "username": "ann", "email": "ann@x"}});
        let judge = |found| judge(Action::CreateAccount, wanted.clone(), found);
        assert_eq!(judge(json!({"id": "7", "username": "ann"})), Convergence::Reached);
        assert_eq!(judge(json!({"id": "7"})), Convergence::NotReached, "nothing shows whose account it is");
        assert_eq!(judge(json!({"id": "7", "username": "ann", "email": "bob@x"})), Convergence::NotReached);
    }

    #[test]
    fn create_is_reached_only_with_its_status_and_further_fields() {
        let wanted = json!({"account": {
            "username": "ann", "status": "inactive", "floor": "3", "room": null, "pin_code": "1",
        }});
        let judge = |found: Value| {
            let mut shown = json!({"id": "7", "username": "ann", "status": "inactive"});
            shown.as_object_mut().unwrap().extend(found.as_object().unwrap().clone());
            judge(Action::CreateAccount, wanted.clone(), shown)
        };
        for same in [json!({}), json!({"floor": 3}), json!({"room": "x"}), json!({"pin_code": "***"})] {
            assert_eq!(judge(same.clone()), Convergence::Reached, "{same}");
        }
        for other in [json!({"status": "active"}), json!({"floor": "4"}), json!({"floor": null})] {
            assert_eq!(judge(other.clone()), Convergence::NotReached, "{other}");
        }
    }

    #[test]
    fn target_may_store_names_in_another_unicode_form() {
        let wanted = json!({"account": {"username": "Jos\u{e9}", "email": "jos\u{e9}@x", "display_name": "Jos\u{e9}"}});
        let judge = |found| judge(Action::CreateAccount, wanted.clone(), found);
        let found = |name: &str, display: &str| json!({"id": "7", "username": name, "email": format!("{name}@x"), "display_name": display});
        assert_eq!(judge(found("jose\u{301}", "Jose\u{301}")), Convergence::Reached);
        assert_eq!(judge(found("jose\u{301}", "jose\u{301}")), Convergence::NotReached, "the case counts");
        assert_eq!(judge(found("jose", "Jos\u{e9}")), Convergence::NotReached);
    }

    #[test]
    fn create_is_reached_only_with_its_memberships() {
        let wanted = json!({"account": {"username": "ann"}, "memberships": {"team": ["t1"], "seat": ["s1"]}});
        let judge = |found| judge(Action::CreateAccount, wanted.clone(), found);
        let found = json!({"id": "7", "username": "ann", "memberships": {"team": ["t1", "t2"]}, "assignments": {"seat": ["s1"]}});
        assert_eq!(judge(found), Convergence::Reached);
        assert_eq!(
            judge(json!({"id": "7", "username": "ann", "memberships": {"team": ["t1"]}})),
            Convergence::NotReached
        );
    }

    #[test]
    fn existing_account_is_adopted_only_if_fully_identical() {
        let is_identical = |account: Value, found: Value| {
            let payload = serde_json::from_value(json!({"account": account})).unwrap();
            let Ok(Operation::CreateAccount(create)) = Operation::parse(Action::CreateAccount, payload)
            else {
                panic!("a create")
            };
            is_identical(&create, &serde_json::from_value(found).unwrap())
        };
        let ann = json!({"username": "ann", "email": "ann@x"});
        assert!(is_identical(ann.clone(), json!({"id": "7", "username": "Ann", "email": "ann@x"})));
        assert!(!is_identical(ann.clone(), json!({"id": "7", "username": "ann"})), "the email is not shown");
        assert!(!is_identical(
            ann.clone(),
            json!({"id": "7", "username": "ann", "email": "ann@x", "status": "inactive"})
        ));
        let shown = |mut more: Value| {
            more.as_object_mut().unwrap().extend(ann.as_object().unwrap().clone());
            more
        };
        let found = |more| {
            shown(shown(more)).as_object().map(|all| {
                let mut all = all.clone();
                all.insert("id".into(), "7".into());
                Value::from(all)
            })
        };
        for (more, theirs) in [
            (json!({}), json!({"display_name": "Ann"})),
            (json!({"floor": null}), json!({})),
            (json!({"floor": "3"}), json!({"floor": 3})),
            (json!({"memberships": {"team": ["t1"]}}), json!({"memberships": {"team": ["t1"]}})),
        ] {
            assert!(is_identical(shown(more.clone()), found(theirs).unwrap()), "{more}");
        }
        assert!(
            is_identical(json!({"username": "ann"}), found(json!({})).unwrap()),
            "the email is not asked for"
        );
        assert!(!is_identical(shown(json!({"pin_code": "1"})), found(json!({"pin_code": "1"})).unwrap()));
        for (field, value) in [("password", "x"), ("display_name", "Ann"), ("floor", "3"), ("id", "8")] {
            let mut more = ann.clone();
            more[field] = value.into();
            assert!(!is_identical(more, json!({"id": "7", "username": "ann", "email": "ann@x"})), "{field}");
        }
    }

    #[test]
    fn update_is_reached_when_every_change_shows() {
        let update = |changes: Value, found| {
            judge(Action::UpdateAccount, json!({"account": {"id": "7"}, "changes": changes}), found)
        };
        assert_eq!(
            update(json!({"last_name": "B"}), json!({"id": "7", "last_name": "B"})),
            Convergence::Reached
        );
        assert_eq!(
            update(json!({"last_name": "B"}), json!({"id": "7", "last_name": "C"})),
            Convergence::NotReached
        );
        assert_eq!(update(json!({"last_name": null}), json!({"id": "7"})), Convergence::Reached);
        assert_eq!(update(json!({"floor": 3}), json!({"id": "7", "floor": "3"})), Convergence::Reached);
        assert_eq!(update(json!({"floor": 3}), json!({"id": "7"})), Convergence::Unverifiable);
        assert_eq!(
            update(json!({"password": "x"}), json!({"id": "7", "password": "x"})),
            Convergence::Unverifiable
        );
        assert_eq!(update(json!({}), json!({"id": "7"})), Convergence::Unverifiable);
        assert_eq!(update(json!({"floor": null}), json!({"id": "7", "floor": ""})), Convergence::Reached);
        assert_eq!(update(json!({"vip": true}), json!({"id": "7", "vip": "true"})), Convergence::Reached);
        assert_eq!(update(json!({"status": null}), json!({"id": "7"})), Convergence::Reached);
        let inactive = || json!({"id": "7", "status": "inactive"});
        assert_eq!(update(json!({"status": "inactive"}), inactive()), Convergence::Reached);
        assert_eq!(update(json!({"status": "active"}), inactive()), Convergence::NotReached);
    }

    #[test]
    fn memberships_of_an_update_are_exhaustive() {
        let update = |found| {
            judge(
                Action::UpdateAccount,
                json!({"account": {"id": "7"}, "memberships": {"team": ["t1"]}}),
                found,
            )
        };
        assert_eq!(
            update(json!({"id": "7", "memberships": {"team": ["t1"], "other": ["x"]}})),
            Convergence::Reached
        );
        assert_eq!(
            update(json!({"id": "7", "memberships": {"team": ["t1", "t2"]}})),
            Convergence::NotReached
        );
    }

    #[test]
    fn status_can_be_verified_but_passwords_cannot() {
        let judge = |action, found| judge(action, json!({"account": {"id": "7"}}), found);
        assert_eq!(
            judge(Action::SuspendAccount, json!({"id": "7", "status": "suspended"})),
            Convergence::Reached
        );
        assert_eq!(judge(Action::SuspendAccount, json!({"id": "7"})), Convergence::NotReached);
        assert_eq!(judge(Action::SuspendAccount, json!(null)), Convergence::NotReached);
        assert_eq!(judge(Action::UnsuspendAccount, json!({"id": "7"})), Convergence::Reached);
        assert_eq!(judge(Action::DeleteAccount, json!(null)), Convergence::Reached);
        assert_eq!(judge(Action::DeleteAccount, json!({"id": "7"})), Convergence::NotReached);
        assert_eq!(judge(Action::ResetPassword, json!({"id": "7"})), Convergence::Unverifiable);
    }
}
