use bridgehead_sdk::Action;
use serde_json::json;

use super::*;

fn operation(action: Action, payload: Value) -> Operation {
    Operation::parse(action, serde_json::from_value(payload).unwrap()).unwrap()
}

fn record(value: Value) -> Option<AccountRecord> {
    serde_json::from_value(value).unwrap()
}

/// Verifies an operation, given the account before and after it and the fields that the connector declares as unverifiable.
fn look(action: Action, payload: Value, before: Value, after: Value, declared: &[&str]) -> Verification {
    let (operation, task) = (operation(action, payload), TaskId::from("t1"));
    let prior = prior(&operation, &task, record(before).as_ref());
    let declared = declared.iter().map(|&name| name.to_owned()).collect();
    verify(&operation, &task, &prior, record(after).as_ref(), &declared)
}

fn is_seen(verification: &Verification) -> bool {
    matches!(verification, Verification::Seen { .. })
}

fn missing(verification: Verification) -> String {
    match verification {
        Verification::NotSeen(missing) => missing.join("; "),
        seen @ Verification::Seen { .. } => panic!("{seen:?}"),
    }
}

#[test]
fn existence_status_and_memberships_are_verified() {
    let ann = |more: Value| {
        let mut account = json!({"id": "u1", "username": "ann"});
        account.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap());
        account
    };
    let who = json!({"account": {"id": "u1"}});
    let after =
        |action, payload: &Value, after: Value| look(action, payload.clone(), ann(json!({})), after, &[]);
    let inactive = || ann(json!({"status": "inactive"}));
    for (action, payload, right, wrong, says) in [
        (Action::DeleteAccount, &who, json!(null), ann(json!({})), "the account still exists"),
        (Action::DeleteAccount, &who, json!(null), inactive(), "the account still exists"),
        (
            Action::SuspendAccount,
            &who,
            inactive(),
            ann(json!({})),
            "its status is active, expected suspended",
        ),
        (Action::SuspendAccount, &who, inactive(), json!(null), "the account does not exist"),
        (
            Action::UnsuspendAccount,
            &who,
            ann(json!({})),
            inactive(),
            "its status is inactive, expected active",
        ),
        (Action::ResetPassword, &who, ann(json!({})), json!(null), "the account does not exist"),
    ] {
        assert!(is_seen(&after(action, payload, right)), "{action}");
        assert_eq!(missing(after(action, payload, wrong)), says, "{action}");
    }
    let create =
        json!({"account": {"username": "ann", "status": "suspended"}, "memberships": {"team": ["t1", "t2"]}});
    let with = |teams: &[&str]| ann(json!({"status": "inactive", "memberships": {"team": teams}}));
    assert!(is_seen(&after(Action::CreateAccount, &create, with(&["t1", "t2", "t3"]))));
    assert_eq!(missing(after(Action::CreateAccount, &create, with(&["t1"]))), "it is not in team t2");
    assert_eq!(
        missing(after(Action::CreateAccount, &create, ann(json!({"memberships": {"team": ["t1", "t2"]}})))),
        "its status is active, expected suspended"
    );
    let update = json!({"account": {"id": "u1"}, "memberships": {"team": ["t1"]}});
    assert!(is_seen(&after(Action::UpdateAccount, &update, with(&["t1"]))));
    assert_eq!(
        missing(after(Action::UpdateAccount, &update, with(&["t2"]))),
        "it is not in team t1; it is still in team t2"
    );
}

#[test]
fn field_fails_verification_only_with_its_old_value() {
    let update = |changes: Value, before: Value, after: Value, declared: &[&str]| {
        let account = |fields: Value| {
            let mut account = json!({"id": "u1", "username": "ann"});
            account.as_object_mut().unwrap().extend(fields.as_object().cloned().unwrap());
            account
        };
        let payload = json!({"account": {"id": "u1"}, "changes": changes});
        look(Action::UpdateAccount, payload, account(before), account(after), declared)
    };
    let name = |text: &str| json!({"last_name": text});
    assert!(is_seen(&update(name("New"), name("Old"), name("New"), &[])));
    assert_eq!(
        missing(update(name("New"), name("Old"), name("Old"), &[])),
        "last_name is 'Old', expected 'New'"
    );
    assert_eq!(missing(update(name("New"), json!({}), json!({}), &[])), "last_name is empty, expected 'New'");
    let reformatted = update(name("New "), name("Old"), name("NEW"), &[]);
    assert_eq!(
        reformatted,
        Verification::Seen {
            differing: vec!["last_name is 'NEW', expected 'New '".into()],
            not_shown: vec![]
        }
    );
    // The target folds case: the value that it shows also matches the requested one.
    assert!(is_seen(&update(
        json!({"email": "Ann@x"}),
        json!({"email": "ann@x"}),
        json!({"email": "ann@x"}),
        &[]
    )));
    assert!(is_seen(&update(json!({"last_name": null}), name("Old"), json!({}), &[])));
    assert_eq!(
        missing(update(json!({"last_name": null}), name("Old"), name("Old"), &[])),
        "last_name is 'Old', expected empty"
    );
    assert!(is_seen(&update(json!({"floor": 3}), json!({"floor": "2"}), json!({"floor": "3"}), &[])));
    assert_eq!(
        missing(update(json!({"floor": 3}), json!({"floor": "2"}), json!({"floor": "2"}), &[])),
        "floor is '2', expected '3'"
    );
    let not_shown = update(json!({"floor": 3}), json!({}), json!({}), &[]);
    assert_eq!(not_shown, Verification::Seen { differing: vec![], not_shown: vec!["floor".into()] });
    assert!(is_seen(&update(name("New"), json!({}), json!({}), &["last_name"])), "the connector declares it");
    assert!(is_seen(&update(json!({"password": "x"}), json!({}), json!({}), &[])));
    assert_eq!(
        missing(update(json!({"status": "suspended"}), json!({}), json!({}), &[])),
        "its status is active, expected suspended"
    );
}

#[test]
fn field_without_known_old_value_must_have_the_new_one() {
    let update = operation(
        Action::UpdateAccount,
        json!({"account": {"id": "u1"}, "changes": {"last_name": "New", "phone": "+49 (30) 123"}}),
    );
    let after = |name: &str, phone: &str| {
        let found = record(json!({"id": "u1", "last_name": name, "phone": phone}));
        verify(&update, &"t1".into(), &PriorAccount::Unknown, found.as_ref(), &BTreeSet::new())
    };
    assert!(is_seen(&after("New", "+49 (30) 123")));
    assert!(is_seen(&after("NEW", "+4930123")), "the target keeps it in its own way");
    assert_eq!(
        missing(after("Old", "")),
        "last_name is 'Old', expected 'New'; phone is empty, expected '+49 (30) 123'"
    );
}

#[test]
fn new_account_has_no_old_values_to_compare() {
    let create =
        json!({"account": {"username": "ann", "email": "Ann@x", "display_name": "Ann", "password": "x"}});
    let after = json!({"id": "7", "username": "ann", "email": "ann@x"});
    assert_eq!(
        look(Action::CreateAccount, create.clone(), json!(null), after, &[]),
        Verification::Seen {
            differing: vec!["email is 'ann@x', expected 'Ann@x'".into()],
            not_shown: vec!["display_name".into()]
        }
    );
    assert_eq!(
        missing(look(Action::CreateAccount, create, json!(null), json!(null), &[])),
        "the account does not exist"
    );
}

#[test]
fn unverifiable_fields_are_determined_by_the_task() {
    let names = |action, payload: Value, declared: &[&str]| {
        let declared = declared.iter().map(|&name| name.to_owned()).collect();
        unverifiable(&operation(action, payload), &declared).join(" ")
    };
    let create = json!({"account": {"username": "ann", "display_name": "Ann", "password": "x"}, "memberships": {"team": ["t1"], "seat": ["s"]}});
    assert_eq!(names(Action::CreateAccount, create.clone(), &[]), "password");
    assert_eq!(
        names(Action::CreateAccount, create, &["display_name", "memberships.team", "first_name"]),
        "display_name memberships.team password"
    );
    let who = json!({"account": {"id": "u1"}});
    assert_eq!(names(Action::ResetPassword, who.clone(), &[]), "password");
    assert_eq!(names(Action::SuspendAccount, who.clone(), &["status"]), "status");
    assert_eq!(names(Action::SuspendAccount, who.clone(), &[]), "");
    assert_eq!(names(Action::DeleteAccount, who, &["existence"]), "existence");
    let update = json!({"account": {"id": "u1"}, "changes": {"password": "x", "title": "Boss"}});
    assert_eq!(names(Action::UpdateAccount, update, &["title"]), "password title");
}

#[test]
fn stored_prior_account_contains_no_values() {
    let update = operation(
        Action::UpdateAccount,
        json!({"account": {"id": "u1"}, "changes": {"last_name": "New", "password": "hunter2"}}),
    );
    let found = record(json!({"id": "u1", "username": "ann", "last_name": "Older"}));
    let kept = prior(&update, &"t1".into(), found.as_ref());
    let text = serde_json::to_string(&kept).unwrap();
    assert!(text.contains("last_name") && !text.contains("Older") && !text.contains("password"), "{text}");
    assert_eq!(prior(&update, &"t1".into(), None), PriorAccount::Absent);
}
