//! Look-ups, and how listings handle invalid records.

use bridgehead_sdk::{AccountStatus, Code, Effect, Retry};
use serde_json::json;
use wiremock::ResponseTemplate;

use crate::fake::{Fake, answer};
use crate::support::{account, accounts, build, list, set};

#[tokio::test]
async fn search_returns_only_an_exact_match() {
    let fake = Fake::start().await;
    for login in ["ann", "annabel", "joann", "Bob"] {
        fake.state().add(login);
    }
    let connector = build(&fake.target()).unwrap();
    for (who, id) in [
        (json!({ "username": "ann" }), Some("1")),
        (json!({ "username": "BOB" }), Some("4")),
        (json!({ "username": "an" }), None),
        (json!({ "email": "ANNABEL@example.com" }), Some("2")),
        (json!({ "id": "3", "username": "ann" }), Some("3")),
        (json!({ "id": "9", "username": "ann" }), None),
    ] {
        let found = connector.find_account(&account(who.clone())).await.unwrap();
        assert_eq!(found.as_ref().map(|found| found.id.as_str()), id, "{who}");
    }
    // Two names that differ only in case: the exact match is used.
    fake.state().add("ANN");
    let found = connector.find_account(&account(json!({ "username": "ANN" }))).await.unwrap().unwrap();
    assert_eq!(found.id.as_str(), "5");
    let error = connector.find_account(&account(json!({ "username": "Ann" }))).await.unwrap_err();
    assert!(error.message().contains("two accounts"), "{error}");
}

#[tokio::test]
async fn lookup_returning_another_account_is_an_error() {
    let fake = Fake::start().await;
    let connector = build(&fake.target()).unwrap();
    let bob = json!({ "id": 2, "login": "bob", "state": "on" });
    fake.instead("GET /api/users/1", answer(200, bob));
    fake.instead("GET /api/users/2/teams", answer(200, json!([])));
    let error = connector.find_account(&account(json!({ "id": "1" }))).await.unwrap_err();
    assert!(error.message().contains("returned a different account, 2"), "{error}");
    // An unreadable record does not prove that the account is missing, whatever identifier it has.
    fake.instead("GET /api/users/1", answer(200, json!({ "id": 2, "login": [], "state": "on" })));
    fake.instead("GET /api/users/2/teams", answer(200, json!([])));
    let error = connector.find_account(&account(json!({ "id": "1" }))).await.unwrap_err();
    assert!(error.message().contains("cannot be read"), "{error}");
}

#[tokio::test]
async fn unclear_lookup_response_is_not_account_not_found() {
    let fake = Fake::start().await;
    fake.state().add("ann");
    let connector = build(&fake.target()).unwrap();
    for reply in [
        answer(404, json!({ "error": "no such page" })),
        answer(404, json!({})),
        ResponseTemplate::new(404),
        answer(200, json!(null)),
        answer(200, json!({})),
        answer(200, json!([])),
        ResponseTemplate::new(200),
        ResponseTemplate::new(204),
        answer(403, json!({})),
        answer(500, json!({})),
    ] {
        fake.instead("GET /api/users/1", reply);
        let error = connector.find_account(&account(json!({ "id": "1" }))).await.unwrap_err();
        assert_eq!(error.effect(), Effect::NotApplied);
        assert_ne!(error.code(), Code::AccountNotFound, "{error}");
    }
}

#[tokio::test]
async fn invalid_records_are_named_and_the_rest_is_listed() {
    let fake = Fake::start().await;
    let connector = build(&fake.target()).unwrap();
    let items = json!([
        { "id": 1, "login": "ann", "state": "off" },
        { "login": "no-id", "state": "on" },
        { "id": "", "login": "empty-id", "state": "on" },
        { "id": 4, "login": "hunter2", "state": "paused" },
        { "id": 5, "state": "on" },
        { "id": 6, "login": ["x"], "state": "on" },
        "hunter2",
        null,
    ]);
    fake.instead("GET /api/users", answer(200, json!({ "items": items })));
    for id in ["1", "4", "5", "6"] {
        let path: &'static str = Box::leak(format!("GET /api/users/{id}/teams").into_boxed_str());
        fake.instead(path, answer(200, json!([])));
    }
    let error = list(&connector, &accounts()).await.unwrap_err();
    // A follow-up needs the identifier; without follow-ups, the records are independent of each other.
    assert!(
        error.message().contains("record.id") || error.message().contains("accounts.follow_ups"),
        "{error}"
    );
    let mut target = fake.target();
    set(&mut target, "accounts.follow_ups", json!([]));
    set(&mut target, "accounts.record.memberships", json!({}));
    for action in ["create_account", "update_account"] {
        set(&mut target, action, serde_json::Value::Null);
    }
    fake.state().instead.clear();
    fake.instead("GET /api/users", answer(200, json!({ "items": items })));
    let connector = build(&target).unwrap();
    let (ids, rejected, _) = list(&connector, &accounts()).await.unwrap();
    assert_eq!(ids, ["1"]);
    let told: Vec<String> = rejected.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(told.join("\n"));
}

#[tokio::test]
async fn filter_applies_to_lists_and_lookups() {
    let fake = Fake::start().await;
    fake.state().add("ann");
    fake.state().add("svc-backup");
    let mut target = fake.target();
    set(&mut target, "accounts.list.filter", json!("record.login[:4] != 'svc-'"));
    let connector = build(&target).unwrap();
    assert_eq!(list(&connector, &accounts()).await.unwrap().0, ["1"]);
    assert_eq!(connector.find_account(&account(json!({ "id": "2" }))).await.unwrap(), None);
    let found = connector.find_account(&account(json!({ "id": "1" }))).await.unwrap().unwrap();
    assert_eq!(found.status, AccountStatus::Active);
}

#[tokio::test]
async fn fixed_groups_are_listed_and_validated() {
    let fake = Fake::start().await;
    let mut target = fake.target();
    let fixed = json!({ "slug": "team", "name": "Team", "fixed": [{ "id": "t1", "name": "One" }] });
    set(&mut target, "groups.0", fixed);
    let connector = build(&target).unwrap();
    let teams = bridgehead_sdk::ResourceType::group("team", "Team");
    assert_eq!(list(&connector, &teams).await.unwrap().0, ["t1"]);
    let task = json!({ "account": { "username": "ann" }, "memberships": { "team": ["t2"] } });
    let error =
        crate::support::execute(&connector, bridgehead_sdk::Action::CreateAccount, task).await.unwrap_err();
    assert_eq!(error.subject(), bridgehead_sdk::Subject::Group);
}

#[tokio::test]
async fn record_removed_before_its_details_is_retried() {
    let fake = Fake::start().await;
    fake.state().add("ann");
    let connector = build(&fake.target()).unwrap();
    for (status, retry) in [(404, Retry::Backoff), (403, Retry::Never), (500, Retry::Backoff)] {
        fake.instead("GET /api/users/1/teams", answer(status, json!({})));
        let error = list(&connector, &accounts()).await.unwrap_err();
        assert_eq!((error.retry(), error.effect()), (retry, Effect::NotApplied), "{error}");
    }
    // A value that is not a list of teams does not mean "in no team".
    for body in [json!(null), json!({}), json!("t1,t2")] {
        fake.instead("GET /api/users/1/teams", answer(200, body.clone()));
        let (ids, rejected, _) = list(&connector, &accounts()).await.unwrap();
        assert!(ids.is_empty() && rejected.len() == 1, "{body}: {ids:?} {rejected:?}");
    }
}
