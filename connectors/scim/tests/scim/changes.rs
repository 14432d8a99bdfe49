//! The requests for changes of an account, by profile and by the application's features.

use bridgehead_sdk::{Action, Code, Effect, Retry};
use serde_json::{Value, json};
use wiremock::ResponseTemplate;

use crate::fake::{Fake, ann, error, json_answer, list};
use crate::support::{attempt, run};

async fn with_ann(more: Value) -> Fake {
    let fake = Fake::able(more).await;
    fake.get("Users/u1", json_answer(200, &ann())).await;
    fake.answer("PATCH", "Users/u1", ResponseTemplate::new(204)).await;
    fake.answer("PUT", "Users/u1", json_answer(200, &ann())).await;
    fake
}

fn update() -> Value {
    json!({ "account": {"id": "u1"}, "changes": {"email": "new@example.com", "title": null, "department": "R&D"} })
}

#[tokio::test]
async fn patch_sends_only_changes_with_if_match() {
    let fake = with_ann(json!({})).await;
    run(&*fake.connector(json!({})), Action::UpdateAccount, update()).await.unwrap();
    let request = fake.last("PATCH").await;
    assert_eq!(request.headers["if-match"], "W/\"41\"");
    assert_eq!(request.headers["content-type"], "application/scim+json");
    let body: Value = serde_json::from_slice(&request.body).unwrap();
    assert_eq!(body["schemas"], json!(["urn:ietf:params:scim:api:messages:2.0:PatchOp"]));
    assert_eq!(
        body["Operations"],
        json!([
            {"op": "replace", "path": "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department", "value": "R&D"},
            {"op": "replace", "path": "emails", "value": [
                {"value": "new@example.com", "type": "work", "primary": true, "odd": [1]}, {"value": "a@home", "type": "home"}]},
            {"op": "remove", "path": "title"},
        ])
        .as_array()
        .map(|wanted| sorted_as(&body["Operations"], wanted))
        .unwrap()
    );
}

/// The operations in the order in which they were sent, which does not matter.
fn sorted_as(sent: &Value, wanted: &[Value]) -> Value {
    let order = |one: &Value| sent.as_array().and_then(|all| all.iter().position(|other| other == one));
    let mut wanted = wanted.to_vec();
    wanted.sort_by_key(order);
    Value::Array(wanted)
}

#[tokio::test]
async fn put_preserves_unknown_attributes() {
    let fake = with_ann(json!({ "patch": { "supported": false } })).await;
    run(&*fake.connector(json!({})), Action::UpdateAccount, update()).await.unwrap();
    let request = fake.last("PUT").await;
    assert_eq!(request.headers["if-match"], "W/\"41\"");
    let body: Value = serde_json::from_slice(&request.body).unwrap();
    let mut wanted = ann();
    let enterprise = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
    wanted["emails"][0]["value"] = json!("new@example.com");
    wanted[enterprise] = json!({ "department": "R&D" });
    wanted["schemas"].as_array_mut().unwrap().push(enterprise.into());
    wanted.as_object_mut().unwrap().retain(|key, _| key != "title" && key != "meta");
    assert_eq!(body, wanted);
}

#[tokio::test]
async fn entra_profile_sends_entra_requests() {
    let fake = with_ann(json!({})).await;
    let connector = fake.connector(json!({ "profile": "entra" }));
    let payload =
        json!({ "account": {"id": "u1"}, "changes": {"email": "new@example.com", "nick_name": "A"} });
    run(&*connector, Action::UpdateAccount, payload).await.unwrap();
    run(&*connector, Action::SuspendAccount, json!({ "account": {"id": "u1"} })).await.unwrap();
    let sent: Vec<Value> =
        fake.changes().await.into_iter().map(|(_, _, body)| body["Operations"].clone()).collect();
    assert_eq!(
        sent,
        [
            json!([
                {"op": "Replace", "path": "emails[type eq \"work\"].value", "value": "new@example.com"},
                {"op": "Add", "path": "nickName", "value": "A"},
            ]),
            json!([{"op": "Replace", "path": "active", "value": "False"}]),
        ]
    );
}

#[tokio::test]
async fn okta_profile_sends_okta_requests() {
    let fake = with_ann(json!({})).await;
    let connector = fake.connector(json!({ "profile": "okta" }));
    let payload = json!({ "account": {"id": "u1"}, "changes": {"title": "Chief"} });
    run(&*connector, Action::UpdateAccount, payload).await.unwrap();
    run(&*connector, Action::SuspendAccount, json!({ "account": {"id": "u1"} })).await.unwrap();
    let payload = json!({ "account": {"id": "u1"}, "password": "Quiet-Harbour-9" });
    run(&*connector, Action::ResetPassword, payload).await.unwrap();
    let sent = fake.changes().await;
    let methods: Vec<&str> = sent.iter().map(|(method, _, _)| method.as_str()).collect();
    assert_eq!(methods, ["PUT", "PATCH", "PUT"]);
    assert_eq!(sent[0].2["title"], "Chief");
    assert_eq!(sent[1].2["Operations"], json!([{"op": "replace", "value": {"active": false}}]));
    assert_eq!((&sent[2].2["password"], &sent[2].2["userName"]), (&json!("Quiet-Harbour-9"), &json!("ann")));
}

#[tokio::test]
async fn version_mismatch_is_not_applied_and_retried() {
    let fake = Fake::able(json!({})).await;
    fake.get("Users/u1", json_answer(200, &ann())).await;
    fake.answer("PATCH", "Users/u1", error(412, None)).await;
    let error = run(&*fake.connector(json!({})), Action::UpdateAccount, update()).await.unwrap_err();
    assert_eq!((error.effect(), error.retry()), (Effect::NotApplied, Retry::Backoff));
    assert!(error.message().contains("another client has just changed it"), "{error}");
}

#[tokio::test]
async fn no_op_update_sends_nothing() {
    let fake = with_ann(json!({})).await;
    let payload = json!({ "account": {"id": "u1"}, "changes": {"display_name": "Ann", "nick_name": null} });
    run(&*fake.connector(json!({})), Action::UpdateAccount, payload).await.unwrap();
    assert!(fake.changes().await.is_empty());
}

#[tokio::test]
async fn unmapped_field_fails_an_update_but_is_named_by_a_create() {
    let fake = with_ann(json!({})).await;
    fake.get("Users", list(&json!([]))).await;
    fake.answer("POST", "Users", json_answer(201, &json!({ "id": "u2" }))).await;
    let connector = fake.connector(json!({}));
    let payload = json!({ "account": {"id": "u1"}, "changes": {"shoe_size": 38, "title": "X"} });
    let error = run(&*connector, Action::UpdateAccount, payload).await.unwrap_err();
    assert!(error.message().contains("shoe_size has no attribute"), "{error}");
    assert!(fake.changes().await.is_empty());
    let payload = json!({ "account": {"username": "bob", "shoe_size": 38} });
    let completion = run(&*connector, Action::CreateAccount, payload).await.unwrap();
    assert_eq!(completion.result["fields_without_attribute"], json!(["shoe_size"]));
    assert_eq!(completion.result["account_id"], "u2");
}

#[tokio::test]
async fn delete_can_be_configured_to_deactivate() {
    let fake = with_ann(json!({})).await;
    let connector = fake.connector(json!({ "delete": "deactivate" }));
    run(&*connector, Action::DeleteAccount, json!({ "account": {"id": "u1"} })).await.unwrap();
    let sent = fake.changes().await;
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].2["Operations"][0]["value"], json!(false));
}

#[tokio::test]
async fn password_reset_is_not_declared_without_change_password() {
    let fake = with_ann(json!({ "changePassword": { "supported": false } })).await;
    let connector = fake.connector(json!({}));
    let actions = connector.describe().await.unwrap().actions;
    assert!(!actions.contains(&Action::ResetPassword) && actions.len() == 5);
    let payload =
        json!({ "account": {"id": "u1"}, "changes": {"password": "Quiet-Harbour-9", "title": "X"} });
    let error = run(&*connector, Action::UpdateAccount, payload).await.unwrap_err();
    assert!(error.message().contains("passwords cannot be set"), "{error}");
    assert!(fake.changes().await.is_empty());
}

#[tokio::test]
async fn missing_group_is_detected_before_the_account_is_created() {
    let fake = Fake::able(json!({})).await;
    fake.get("Users", list(&json!([]))).await;
    fake.get("Groups", list(&json!([]))).await;
    fake.get("Groups/g9", error(404, None)).await;
    let connector = fake.connector(json!({ "groups": {} }));
    let payload = json!({ "account": {"username": "bob"}, "memberships": {"group": ["g9"]} });
    let error = run(&*connector, Action::CreateAccount, payload).await.unwrap_err();
    assert_eq!((error.code(), error.subject()), (Code::InternalError, bridgehead_sdk::Subject::Group));
    assert!(fake.changes().await.is_empty());
}

#[tokio::test]
async fn repeated_create_resumes_at_the_groups() {
    let fake = Fake::able(json!({})).await;
    let bob = json!({ "id": "u2", "userName": "bob" });
    let group = json!([{ "id": "g1", "displayName": "G", "members": [{ "value": "u1" }] }]);
    fake.get("Users", list(&json!([bob]))).await;
    fake.get("Groups", list(&group)).await;
    fake.get("Groups/g1", json_answer(200, &group[0])).await;
    fake.answer("PATCH", "Groups/g1", ResponseTemplate::new(204)).await;
    let connector = fake.connector(json!({ "groups": {} }));
    let payload = json!({ "account": {"username": "bob"}, "memberships": {"group": ["g1"]} });
    let error = attempt(&*connector, 1, Action::CreateAccount, payload.clone()).await.unwrap_err();
    assert_eq!(error.code(), Code::AccountAlreadyExists);
    assert!(fake.changes().await.is_empty());
    let completion = attempt(&*connector, 2, Action::CreateAccount, payload).await.unwrap();
    assert_eq!(completion.result["account_id"], "u2");
    let sent = fake.changes().await;
    assert_eq!(sent.len(), 1);
    assert_eq!(
        sent[0].2["Operations"],
        json!([{"op": "add", "path": "members", "value": [{"value": "u2"}]}])
    );
}

#[tokio::test]
async fn create_failing_at_its_groups_has_unknown_effect() {
    let fake = Fake::able(json!({})).await;
    fake.get("Users", list(&json!([]))).await;
    fake.answer("POST", "Users", json_answer(201, &json!({ "id": "u2" }))).await;
    fake.get("Groups/g1", json_answer(200, &json!({ "id": "g1", "displayName": "G" }))).await;
    fake.answer("PATCH", "Groups/g1", error(403, None)).await;
    let connector = fake.connector(json!({ "groups": {} }));
    let payload = json!({ "account": {"username": "bob"}, "memberships": {"group": ["g1"]} });
    let error = run(&*connector, Action::CreateAccount, payload).await.unwrap_err();
    assert_eq!((error.code(), error.effect()), (Code::PermissionDenied, Effect::Unknown));
    assert_eq!(error.subject(), bridgehead_sdk::Subject::Group);
}

#[tokio::test]
async fn members_are_removed_by_path_or_by_value() {
    for (way, operation) in [
        ("path", json!({"op": "remove", "path": "members[value eq \"u1\"]"})),
        ("value", json!({"op": "remove", "path": "members", "value": [{"value": "u1"}]})),
    ] {
        let fake = with_ann(json!({})).await;
        let group = json!([{ "id": "g1", "displayName": "G", "members": [{ "value": "u1" }] }]);
        fake.get("Groups", list(&group)).await;
        fake.answer("PATCH", "Groups/g1", ResponseTemplate::new(204)).await;
        let connector = fake.connector(json!({ "groups": { "remove_member": way } }));
        let payload = json!({ "account": {"id": "u1"}, "memberships": {"group": []} });
        run(&*connector, Action::UpdateAccount, payload).await.unwrap();
        assert_eq!(fake.changes().await[0].2["Operations"], json!([operation]));
    }
}

#[tokio::test]
async fn non_text_values_are_not_written_to_text_fields() {
    let fake = with_ann(json!({})).await;
    let connector = fake.connector(json!({}));
    for (field, value) in
        [("display_name", json!({ "a": 1 })), ("first_name", json!(["x"])), ("email", json!(true))]
    {
        let payload = json!({ "account": {"id": "u1"}, "changes": {"title": "X", (field): value} });
        let error = run(&*connector, Action::UpdateAccount, payload).await.unwrap_err();
        assert!(error.message().contains(&format!("{field} must be a text")), "{error}");
        assert_eq!((error.effect(), error.retry()), (Effect::NotApplied, Retry::Never));
    }
    assert!(fake.changes().await.is_empty());
}

/// A server may have numbers that JSON parsers round: an identifier of 80 bits, an amount with many digits.
#[tokio::test]
async fn put_preserves_numbers_that_a_parser_would_round() {
    let fake = Fake::able(json!({ "patch": { "supported": false } })).await;
    let numbers =
        r#""urn:example:2.0:User":{"badge":12345678901234567890123,"rate":0.12345678901234567890123}"#;
    let user =
        format!(r#"{{"id":"u1","userName":"ann","active":true,"title":98765432109876543210987,{numbers}}}"#);
    fake.get("Users/u1", ResponseTemplate::new(200).set_body_raw(user.clone(), "application/scim+json"))
        .await;
    fake.answer("PUT", "Users/u1", ResponseTemplate::new(204)).await;
    let connector = fake.connector(json!({}));
    for (action, payload) in [
        (Action::UpdateAccount, json!({ "account": {"id": "u1"}, "changes": {"department": "R&D"} })),
        (Action::SuspendAccount, json!({ "account": {"id": "u1"} })),
        (Action::ResetPassword, json!({ "account": {"id": "u1"}, "password": "Quiet-Harbour-77" })),
    ] {
        run(&*connector, action, payload).await.unwrap();
        let body = String::from_utf8(fake.last("PUT").await.body).unwrap();
        assert!(
            body.contains(numbers) && body.contains(r#""title":98765432109876543210987,"#),
            "{action}: {body}"
        );
        serde_json::from_str::<Value>(&body).unwrap();
    }
    let account = bridgehead_sdk::Account::by_id("u1");
    let found = connector.find_account(&account).await.unwrap().unwrap();
    assert_eq!(found.extra["title"], "98765432109876543210987", "Iden receives the digits");
}
