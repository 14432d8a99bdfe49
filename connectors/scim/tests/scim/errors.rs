//! The error for each refusal, and what is never shown.

use bridgehead_sdk::{Account, Action, Code, Draft, Effect, Error, Retry, Setup, Subject};
use serde_json::{Value, json};
use wiremock::ResponseTemplate;

use crate::fake::{Fake, TOKEN, ann, error, json_answer, list};
use crate::support::{accounts, run};

fn parts(error: &Error) -> (Code, Effect, Retry, Subject) {
    (error.code(), error.effect(), error.retry(), error.subject())
}

fn by_id() -> Value {
    json!({ "account": {"id": "u1"} })
}

#[tokio::test]
async fn every_refused_change_has_its_code() {
    use Code::{AccountAlreadyExists, InternalError, PermissionDenied, RateLimited, Timeout};
    use Effect::{NotApplied, Unknown};
    use Retry::{Backoff, Never};
    let account = Subject::Account;
    for (status, kind, wanted) in [
        // A form that was accepted redirects to its result.
        (302, None, (InternalError, Unknown, Backoff, account)),
        (400, Some("invalidValue"), (InternalError, NotApplied, Never, account)),
        (400, Some("mutability"), (InternalError, NotApplied, Never, account)),
        (400, Some("uniqueness"), (AccountAlreadyExists, NotApplied, Never, account)),
        (400, None, (InternalError, NotApplied, Never, account)),
        (401, None, (PermissionDenied, NotApplied, Backoff, Subject::Connection)),
        (403, None, (PermissionDenied, NotApplied, Never, account)),
        // A look-up still shows the account.
        (404, None, (InternalError, Unknown, Backoff, account)),
        (405, None, (InternalError, NotApplied, Never, account)),
        (409, Some("uniqueness"), (AccountAlreadyExists, NotApplied, Never, account)),
        (409, None, (InternalError, NotApplied, Backoff, account)),
        (412, None, (InternalError, NotApplied, Backoff, account)),
        (413, None, (InternalError, NotApplied, Never, account)),
        (429, None, (RateLimited, NotApplied, Backoff, account)),
        (500, None, (InternalError, Unknown, Backoff, account)),
        (501, None, (InternalError, NotApplied, Never, account)),
        (504, None, (Timeout, Unknown, Backoff, account)),
    ] {
        let fake = Fake::able(json!({})).await;
        fake.get("Users/u1", json_answer(200, &ann())).await;
        fake.answer("PATCH", "Users/u1", error(status, kind)).await;
        let payload = json!({ "account": {"id": "u1"}, "changes": {"title": "X"} });
        let error = run(&*fake.connector(json!({})), Action::UpdateAccount, payload).await.unwrap_err();
        assert_eq!(parts(&error), wanted, "{status} {kind:?}: {error}");
        let told = format!("{error:?} {error}");
        assert!(!told.contains("raw-detail") && !told.contains(TOKEN), "{told}");
        if let Some(kind) = kind.filter(|kind| *kind != "uniqueness") {
            assert!(told.contains(kind), "{told}");
        }
    }
}

#[tokio::test]
async fn create_conflict_is_account_already_exists() {
    for (status, kind) in [(409, Some("uniqueness")), (409, None), (400, Some("uniqueness"))] {
        let fake = Fake::able(json!({})).await;
        fake.get("Users", list(&json!([]))).await;
        fake.answer("POST", "Users", error(status, kind)).await;
        let payload = json!({ "account": {"username": "bob"} });
        let error = run(&*fake.connector(json!({})), Action::CreateAccount, payload).await.unwrap_err();
        assert_eq!(error.code(), Code::AccountAlreadyExists, "{error}");
    }
}

#[tokio::test]
async fn create_response_without_id_has_unknown_effect() {
    for answer in [json_answer(201, &json!({ "userName": "bob" })), ResponseTemplate::new(201)] {
        let fake = Fake::able(json!({})).await;
        fake.get("Users", list(&json!([]))).await;
        fake.answer("POST", "Users", answer).await;
        let payload = json!({ "account": {"username": "bob"} });
        let error = run(&*fake.connector(json!({})), Action::CreateAccount, payload).await.unwrap_err();
        assert_eq!(error.effect(), Effect::Unknown, "{error}");
    }
}

#[tokio::test]
async fn possibly_wrong_url_is_not_account_not_found() {
    let fake = Fake::able(json!({})).await;
    fake.get("Users/u1", error(404, None)).await;
    fake.get("Users", ResponseTemplate::new(404).set_body_string("<html>no such page</html>")).await;
    let connector = fake.connector(json!({}));
    let error = connector.find_account(&Account::by_id("u1")).await.unwrap_err();
    assert_eq!(error.subject(), Subject::Connection);
    assert!(error.message().contains("check target.url"), "{error}");
    let error = run(&*connector, Action::DeleteAccount, by_id()).await.unwrap_err();
    assert_eq!(error.subject(), Subject::Connection);
    let error = connector.check().await.unwrap_err();
    assert_eq!(error.subject(), Subject::Connection);
}

#[tokio::test]
async fn path_like_identifier_is_account_not_found() {
    let fake = Fake::able(json!({})).await;
    fake.get("Users", list(&json!([ann()]))).await;
    let connector = fake.connector(json!({}));
    for id in [".", "..", "a\u{0}"] {
        let error =
            run(&*connector, Action::DeleteAccount, json!({ "account": {"id": id} })).await.unwrap_err();
        assert_eq!(error.code(), Code::AccountNotFound, "{error}");
    }
    assert!(fake.changes().await.is_empty());
}

#[tokio::test]
async fn lookup_returning_a_different_user_is_an_error() {
    let fake = Fake::able(json!({})).await;
    fake.get("Users/u9", json_answer(200, &ann())).await;
    fake.get("Users", list(&json!([ann()]))).await;
    let connector = fake.connector(json!({}));
    let error = connector.find_account(&Account::by_id("u9")).await.unwrap_err();
    assert!(error.message().contains("a different resource"), "{error}");
    // A filter that is ignored returns every user.
    let bob = Account::by_username("bob");
    let error = connector.find_account(&bob).await.unwrap_err();
    assert!(error.message().contains("ignores the filter"), "{error}");
}

#[tokio::test]
async fn failed_lookup_is_not_account_not_found() {
    for answer in [
        error(500, None),
        error(302, None).insert_header("location", "https://login.example.org/"),
        ResponseTemplate::new(204),
        list(&json!([])).insert_header("content-encoding", "gzip"),
        list(&json!([])).insert_header("content-encoding", "br"),
        error(400, Some("invalidFilter")),
        error(400, Some("tooMany")),
        error(403, None),
        ResponseTemplate::new(200).set_body_string("<html>log in</html>"),
        json_answer(200, &json!({ "hello": "world" })),
    ] {
        let fake = Fake::able(json!({})).await;
        fake.get("Users", answer).await;
        let connector = fake.connector(json!({}));
        let bob = Account::by_username("bob");
        let error = connector.find_account(&bob).await.unwrap_err();
        assert_eq!(error.effect(), Effect::NotApplied, "{error}");
        accounts(&*connector).await.unwrap_err();
    }
}

#[tokio::test]
async fn damaged_response_concerns_its_request_alone_and_is_retried() {
    let damaged = |status: u16, encoding: &str| {
        json_answer(status, &json!([])).insert_header("content-encoding", encoding)
    };
    let page = || ResponseTemplate::new(200).set_body_raw("<html>Maintenance</html>", "text/html");
    for answer in [damaged(200, "gzip"), damaged(404, "gzip"), damaged(200, "br"), page(), error(302, None)] {
        let fake = Fake::able(json!({})).await;
        fake.get("Users", answer.clone()).await;
        fake.get("Users/u2", answer.clone()).await;
        fake.get("Users/u1", json_answer(200, &ann())).await;
        for change in ["PATCH", "DELETE"] {
            fake.answer(change, "Users/u1", answer.clone()).await;
        }
        let connector = fake.connector(json!({}));
        let reading = (Code::InternalError, Effect::NotApplied, Retry::Backoff, Subject::Account);
        for account in [Account::by_username("bob"), Account::by_id("u2")] {
            let error = connector.find_account(&account).await.unwrap_err();
            assert_eq!(parts(&error), reading, "{error}");
        }
        assert_eq!(parts(&accounts(&*connector).await.unwrap_err()), reading);
        for action in [Action::SuspendAccount, Action::DeleteAccount] {
            let error = run(&*connector, action, by_id()).await.unwrap_err();
            let changing = (Code::InternalError, Effect::Unknown, Retry::Backoff, Subject::Account);
            assert_eq!(parts(&error), changing, "{action}: {error}");
        }
    }
}

#[tokio::test]
async fn ambiguous_email_lookup_is_an_error() {
    let fake = Fake::able(json!({})).await;
    let people = json!([
        {"id": "u1", "userName": "a", "emails": [{"value": "x@y"}]}, {"id": "u2", "userName": "b", "emails": [{"value": "X@y"}]}
    ]);
    fake.get("Users", list(&people)).await;
    let email = Account::by_email("x@y");
    let error = fake.connector(json!({})).find_account(&email).await.unwrap_err();
    assert!(error.message().contains("several users"), "{error}");
}

#[tokio::test]
async fn accounts_are_found_by_listing_without_filter_support() {
    let fake = Fake::able(json!({ "filter": { "supported": false } })).await;
    fake.get_without("Users", "filter", list(&json!([ann()]))).await;
    let error = fake.connector(json!({})).check().await.unwrap_err();
    assert!(error.message().contains("lookup = \"list\""), "{error}");
    let connector = fake.connector(json!({ "lookup": "list" }));
    connector.check().await.unwrap();
    let found = crate::support::find(&*connector, "ANN").await.unwrap();
    assert_eq!(found.id.as_str(), "u1");
}

#[tokio::test]
async fn settings_apply_if_the_server_has_no_discovery() {
    let fake = Fake::mute().await;
    fake.get("Users", list(&json!([ann()]))).await;
    let connector = fake.connector(json!({ "capabilities": { "change_password": true } }));
    connector.check().await.unwrap();
    assert!(connector.describe().await.unwrap().actions.contains(&Action::ResetPassword));
    let silent = fake.connector(json!({}));
    assert!(!silent.describe().await.unwrap().actions.contains(&Action::ResetPassword));
}

#[tokio::test]
async fn first_configuration_leaves_out_groups_that_do_not_exist() {
    let fake = Fake::mute().await;
    fake.get("Users", list(&json!([ann()]))).await;
    fake.get("Users/u1", json_answer(200, &ann())).await;
    let draft = Draft::new(Setup::new("acme-app", serde_json::Map::new()))
        .with_text("url", format!("{}/v2", fake.server.uri()))
        .with_text("auth", "bearer")
        .with_secret("token", json!({ "env": "TOKEN" }), TOKEN.to_owned().into());
    let factory = bridgehead_scim::factory();
    let found = factory.discovery().unwrap().discover(&draft).await.unwrap();
    assert!(found.warnings.iter().any(|one| one.starts_with("groups are not read: ")), "{found:?}");
    let groups = found.sections.iter().find(|section| section.table == "groups").expect("a section");
    assert_eq!(groups.settings[0].key, "enabled");
    assert_eq!(groups.settings[0].value, json!(false));
}

#[tokio::test]
async fn check_finds_attributes_missing_from_the_schemas() {
    let fake = Fake::able(json!({})).await;
    fake.server.reset().await;
    let schemas = json!([{ "id": "urn:ietf:params:scim:schemas:core:2.0:User", "attributes": [
        {"name": "userName", "mutability": "readWrite"}, {"name": "active"}, {"name": "title", "mutability": "readOnly"}] }]);
    fake.get("ServiceProviderConfig", error(404, None)).await;
    fake.get("ResourceTypes", error(404, None)).await;
    fake.get("Schemas", list(&schemas)).await;
    fake.get("Users", list(&json!([]))).await;
    fake.get("Users/u1", json_answer(200, &ann())).await;
    fake.connector(json!({})).check().await.unwrap();
    let error =
        fake.connector(json!({ "attributes": {"badge": "urn:x:2.0:User:badge"} })).check().await.unwrap_err();
    assert!(error.message().contains("attributes.badge"), "{error}");
    let payload = json!({ "account": {"id": "u1"}, "changes": {"title": "X"} });
    let error = run(&*fake.connector(json!({})), Action::UpdateAccount, payload).await.unwrap_err();
    assert!(error.message().contains("title has no attribute"), "{error}");
    assert!(fake.changes().await.is_empty());
}

#[tokio::test]
async fn read_only_declares_no_actions_and_writes_nothing() {
    let fake = Fake::able(json!({})).await;
    let connector = fake.connector(json!({ "read_only": true }));
    assert!(connector.describe().await.unwrap().actions.is_empty());
    run(&*connector, Action::DeleteAccount, by_id()).await.unwrap_err();
    assert!(fake.changes().await.is_empty());
}

#[tokio::test]
async fn rejected_token_is_renewed_within_the_task() {
    struct Tokens(std::sync::atomic::AtomicUsize);
    impl wiremock::Respond for Tokens {
        fn respond(&self, _: &wiremock::Request) -> ResponseTemplate {
            let is_first = self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0;
            let token = if is_first { "token-of-yesterday" } else { TOKEN };
            ResponseTemplate::new(200).set_body_json(json!({ "access_token": token, "token_type": "bearer" }))
        }
    }
    let fake = Fake::able(json!({})).await;
    fake.get("Users", list(&json!([ann()]))).await;
    let old = wiremock::matchers::header("authorization", "Bearer token-of-yesterday");
    wiremock::Mock::given(old).respond_with(error(401, None)).mount(&fake.server).await;
    let tokens = Tokens(std::sync::atomic::AtomicUsize::new(0));
    let token = wiremock::Mock::given(wiremock::matchers::path("/token"));
    token.respond_with(tokens).expect(2).mount(&fake.server).await;
    let token_url = format!("{}/token", fake.server.uri());
    let oauth2 = json!({ "token_url": token_url, "client_id": "c", "client_secret": "not-a-secret" });
    let settings = json!({
        "url": format!("{}/v2", fake.server.uri()), "auth": { "oauth2": oauth2 }, "groups": { "enabled": false }
    });
    let connector = crate::support::connector(settings);
    assert!(crate::support::find(&*connector, "ann").await.is_some());
}
