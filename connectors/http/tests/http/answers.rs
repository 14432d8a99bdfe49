//! The meaning of responses: `expect` and `errors`, and the meaning of statuses without them.

use std::time::Duration;

use bridgehead_sdk::{Action, Code, Effect, Error, Retry, Subject};
use serde_json::{Value, json};
use wiremock::ResponseTemplate;

use crate::fake::{Fake, KEY, answer};
use crate::support::{accounts, build, execute, list, set};

fn parts(error: &Error) -> (Code, Effect, Retry, Subject) {
    (error.code(), error.effect(), error.retry(), error.subject())
}

/// Deletes the only account; the fake responds with `reply`.
async fn delete(rules: Value, reply: ResponseTemplate) -> Result<(), Error> {
    let fake = Fake::start().await;
    fake.state().add("ann");
    let mut target = fake.target();
    let step = json!({ "method": "DELETE", "path": "/users/{{ current.id }}" });
    set(&mut target, "delete_account.steps.0", step);
    for (name, value) in rules.as_object().unwrap() {
        set(&mut target, &format!("delete_account.steps.0.{name}"), value.clone());
    }
    fake.instead("DELETE /api/users/1", reply);
    let done =
        execute(&build(&target).unwrap(), Action::DeleteAccount, json!({ "account": { "id": "1" } })).await;
    done.map(drop)
}

#[tokio::test]
async fn every_status_maps_to_its_documented_error() {
    use Code::{AccountAlreadyExists, InternalError, PermissionDenied, RateLimited, Timeout};
    use Effect::{NotApplied, Unknown};
    use Retry::{Backoff, Never};
    use Subject::{Account, Connection};
    for (status, expected) in [
        (401, (PermissionDenied, NotApplied, Backoff, Connection)),
        (403, (PermissionDenied, NotApplied, Never, Account)),
        // The look-up still finds the account.
        (404, (InternalError, NotApplied, Backoff, Account)),
        (409, (AccountAlreadyExists, NotApplied, Never, Account)),
        (422, (InternalError, NotApplied, Never, Account)),
        (302, (InternalError, Unknown, Backoff, Account)),
        (408, (Timeout, Unknown, Backoff, Account)),
        (429, (RateLimited, NotApplied, Backoff, Account)),
        (500, (InternalError, Unknown, Backoff, Account)),
        (504, (Timeout, Unknown, Backoff, Account)),
    ] {
        let error = delete(json!({}), answer(status, json!({ "secret": "hunter2" }))).await.unwrap_err();
        assert_eq!(parts(&error), expected, "{status}");
        assert!(!error.message().contains("hunter2"), "{error}");
    }
    for status in [200, 204] {
        delete(json!({}), ResponseTemplate::new(status)).await.unwrap();
    }
    // Accepted does not mean done, unless the configuration says so.
    let error = delete(json!({}), ResponseTemplate::new(202)).await.unwrap_err();
    assert_eq!(parts(&error), (InternalError, Unknown, Backoff, Account));
    delete(json!({ "expect": { "status": 202 } }), ResponseTemplate::new(202)).await.unwrap();
}

#[tokio::test]
async fn configured_error_rules_classify_responses() {
    let rules = json!({ "errors": [
        { "status": 400, "when": "'admin' in answer.reason", "code": "PERMISSION_DENIED",
          "message": "{{ account.label }} ({{ current.username }}) is an administrator of {{ system }}: {{ status }}" },
        { "status": [400, 500], "code": "ACCOUNT_NOT_FOUND", "effect": "unknown", "retry": "backoff", "subject": "group" },
        { "when": "answer.state == 'busy'", "code": "TIMEOUT", "effect": "not_applied" },
        { "status": 503, "code": "RATE_LIMITED" },
    ] });
    let error = delete(rules.clone(), answer(400, json!({ "reason": "is admin" }))).await.unwrap_err();
    assert_eq!(error.message(), "1 (ann) is an administrator of app: 400");
    assert_eq!(parts(&error), (Code::PermissionDenied, Effect::NotApplied, Retry::Never, Subject::Account));
    for body in [json!({ "reason": "else" }), json!({}), json!([1])] {
        let error = delete(rules.clone(), answer(400, body)).await.unwrap_err();
        assert_eq!(parts(&error), (Code::AccountNotFound, Effect::Unknown, Retry::Backoff, Subject::Group));
    }
    let error = delete(rules.clone(), answer(200, json!({ "state": "busy" }))).await.unwrap_err();
    assert_eq!(parts(&error), (Code::Timeout, Effect::NotApplied, Retry::Backoff, Subject::Account));
    let busy = ResponseTemplate::new(503).insert_header("Retry-After", "7");
    let error = delete(rules, busy).await.unwrap_err();
    assert_eq!(error.retry(), Retry::After(Duration::from_secs(7)));
    assert_eq!(error.code(), Code::RateLimited);
}

#[tokio::test]
async fn unexpected_success_response_has_unknown_effect() {
    let rules = json!({ "expect": { "status": [200, 404], "when": "answer.done" } });
    delete(rules.clone(), answer(200, json!({ "done": true }))).await.unwrap();
    delete(rules.clone(), answer(404, json!({ "done": true }))).await.unwrap();
    for reply in [
        answer(200, json!({ "done": false })),
        answer(200, json!({ "done": "yes" })),
        answer(200, json!({})),
        answer(201, json!({ "done": true })),
    ] {
        let error = delete(rules.clone(), reply).await.unwrap_err();
        assert_eq!(
            parts(&error),
            (Code::InternalError, Effect::Unknown, Retry::Never, Subject::Account),
            "{error}"
        );
    }
}

#[tokio::test]
async fn damaged_response_concerns_its_request_alone_and_is_retried() {
    let text = |body: &str| ResponseTemplate::new(200).set_body_string(body);
    let rules = json!({ "expect": { "status": [200, 404], "when": "answer.done" } });
    for (reply, says) in [
        (text("<html>hunter2"), "the body is a web page"),
        (text("{\"done\": tr"), "the body is not JSON"),
        (
            answer(200, json!({ "done": true })).insert_header("content-encoding", "gzip"),
            "cannot be decompressed",
        ),
        (answer(200, json!({ "done": true })).insert_header("content-encoding", "br"), "compressed with br"),
        (
            answer(404, json!({ "done": true })).insert_header("content-encoding", "gzip"),
            "cannot be decompressed",
        ),
    ] {
        let error = delete(rules.clone(), reply.clone()).await.unwrap_err();
        let expected = (Code::InternalError, Effect::Unknown, Retry::Backoff, Subject::Account);
        assert_eq!(parts(&error), expected, "{error}");
        assert!(error.message().contains(says) && !error.message().contains("hunter2"), "{error}");

        let fake = Fake::start().await;
        fake.state().add("ann");
        let mut target = fake.target();
        set(&mut target, "find.by_id.absent", json!({ "status": 404 }));
        let connector = build(&target).unwrap();
        let reading = (Code::InternalError, Effect::NotApplied, Retry::Backoff, Subject::Account);
        fake.instead("GET /api/users/1", reply.clone());
        let account = serde_json::from_value(json!({ "id": "1" })).unwrap();
        let error = connector.find_account(&account).await.unwrap_err();
        assert_eq!(parts(&error), reading, "{error}");
        fake.state().instead.clear();
        fake.instead("GET /api/users", reply);
        let error = list(&connector, &accounts()).await.unwrap_err();
        assert_eq!(parts(&error), reading, "{error}");
        fake.state().instead.clear();
        fake.state().faults.clear();
    }
}

#[tokio::test]
async fn wrong_base_url_is_not_an_empty_list_or_missing_account() {
    let fake = Fake::start().await;
    fake.state().add("ann");
    let mut target = fake.target();
    set(&mut target, "base_url", json!(format!("{}/elsewhere", fake.server.uri())));
    set(&mut target, "find.by_id.absent", json!({ "status": 404 }));
    let connector = build(&target).unwrap();
    let nothing_is_there = || {
        fake.state().instead.clear();
        for page in ["users", "users/1", "ping"] {
            let request: &'static str = format!("GET /elsewhere/{page}").leak();
            fake.instead(request, answer(404, json!({ "error": "no such page" })));
        }
    };
    nothing_is_there();
    let error = list(&connector, &accounts()).await.unwrap_err();
    assert!(error.message().contains("check base_url"), "{error}");
    nothing_is_there();
    let account = serde_json::from_value(json!({ "id": "1" })).unwrap();
    let error = connector.find_account(&account).await.unwrap_err();
    assert_eq!(error.code(), Code::InternalError, "{error}");
    nothing_is_there();
    let delete = json!({ "account": { "id": "1" } });
    let error = execute(&connector, Action::DeleteAccount, delete).await.unwrap_err();
    assert_eq!(error.code(), Code::InternalError, "{error}");
    fake.state().instead.clear();
    fake.state().faults.clear();
}

#[tokio::test]
async fn errors_never_contain_the_api_key() {
    let fake = Fake::start().await;
    let mut target = fake.target();
    set(&mut target, "auth.api_key.header", Value::Null);
    set(&mut target, "auth.api_key.query", json!("key"));
    fake.state().faults.clear();
    let error = build(&target).unwrap().check().await.unwrap_err();
    let told = format!("{error} {error:?}");
    assert!(!told.contains(KEY), "{told}");
    assert_eq!(
        parts(&error),
        (Code::PermissionDenied, Effect::NotApplied, Retry::Backoff, Subject::Connection)
    );
}
