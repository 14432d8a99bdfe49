//! Authentication with a login request, which is repeated when the login has expired.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bridgehead_sdk::{Code, Effect, Retry, Setup, Subject};
use serde_json::{Map, Value, json};
use wiremock::matchers::{body_json, method, path};
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

use crate::support::{build, set};

const PASSWORD: &str = "Quiet-Harbour-7";

/// Returns a new token at each login; only the newest is valid.
struct Tokens(Arc<AtomicUsize>);

impl Respond for Tokens {
    fn respond(&self, _: &Request) -> ResponseTemplate {
        let count = self.0.fetch_add(1, Ordering::SeqCst) + 1;
        ResponseTemplate::new(200)
            .insert_header("Set-Cookie", format!("session=cookie-{count}; Path=/; HttpOnly").as_str())
            .set_body_json(json!({ "data": { "token": format!("token-{count}") } }))
    }
}

struct Ping(Arc<AtomicUsize>);

impl Respond for Ping {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let good = self.0.load(Ordering::SeqCst);
        let has = |name: &str, value: String| request.headers.get(name).is_some_and(|given| *given == *value);
        let in_order = has("authorization", format!("Bearer token-{good}"))
            || has("cookie", format!("session=cookie-{good}"));
        ResponseTemplate::new(if in_order { 200 } else { 401 })
    }
}

async fn start() -> (MockServer, Arc<AtomicUsize>) {
    let server = MockServer::start().await;
    let count = Arc::new(AtomicUsize::new(0));
    Mock::given(method("POST"))
        .and(path("/login"))
        .and(body_json(json!({ "user": "bridgehead", "password": PASSWORD })))
        .respond_with(Tokens(Arc::clone(&count)))
        .mount(&server)
        .await;
    Mock::given(method("GET")).and(path("/ping")).respond_with(Ping(Arc::clone(&count))).mount(&server).await;
    (server, count)
}

fn target(server: &MockServer, save: &str, header: (&str, &str)) -> Map<String, Value> {
    let target = json!({
        "base_url": server.uri(),
        "secrets": { "password": PASSWORD },
        "login": {
            "method": "POST", "path": "/login",
            "json": { "user": "bridgehead", "password": "{{ secrets.password }}" },
            "save": { "it": save },
        },
        "headers": { (header.0): header.1 },
        "check": { "path": "/ping" },
        "accounts": { "list": { "path": "/users" }, "record": { "id": "record.id", "username": "record.login" } },
        "find": { "scan": true },
    });
    target.as_object().unwrap().clone()
}

#[tokio::test]
async fn token_or_cookie_is_reused_and_renewed_once_on_expiry() {
    for (save, header) in [
        ("answer.data.token", ("Authorization", "Bearer {{ login.it }}")),
        ("cookies.session", ("Cookie", "session={{ login.it }}")),
    ] {
        let (server, count) = start().await;
        let connector = build(&target(&server, save, header)).unwrap();
        connector.check().await.unwrap();
        connector.check().await.unwrap();
        assert_eq!(count.load(Ordering::SeqCst), 1);
        // Another client logs in, which invalidates the token.
        count.store(5, Ordering::SeqCst);
        connector.check().await.unwrap();
        assert_eq!(count.load(Ordering::SeqCst), 6);
    }
}

#[tokio::test]
async fn concurrent_calls_share_one_login() {
    let (server, count) = start().await;
    let connector =
        build(&target(&server, "answer.data.token", ("Authorization", "Bearer {{ login.it }}"))).unwrap();
    let all = (0..20).map(|_| connector.check());
    for one in futures::future::join_all(all).await {
        one.unwrap();
    }
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn refused_login_holds_tasks_and_leaks_no_secret() {
    let (server, _) = start().await;
    let mut target = target(&server, "answer.data.token", ("Authorization", "Bearer {{ login.it }}"));
    for (status, code) in [
        (401, Code::PermissionDenied),
        (400, Code::PermissionDenied),
        (500, Code::InternalError),
        (404, Code::InternalError),
    ] {
        set(&mut target, "login.path", json!(format!("/refuses/{status}")));
        Mock::given(path(format!("/refuses/{status}")))
            .respond_with(ResponseTemplate::new(status).set_body_string(PASSWORD))
            .mount(&server)
            .await;
        let error = build(&target).unwrap().check().await.unwrap_err();
        assert_eq!((error.code(), error.subject()), (code, Subject::Connection), "{error}");
        assert_eq!((error.effect(), error.retry()), (Effect::NotApplied, Retry::Backoff));
        assert!(!format!("{error} {error:?}").contains(PASSWORD));
    }
    set(&mut target, "login.path", json!("/login"));
    set(&mut target, "login.save.it", json!("answer.data.tokn"));
    let error = build(&target).unwrap().check().await.unwrap_err();
    assert_eq!(error.subject(), Subject::Connection);
    assert!(error.message().contains("answer.data.tokn") && !error.message().contains("token-1"), "{error}");
}

#[tokio::test]
async fn ineffective_login_is_not_repeated() {
    let (server, count) = start().await;
    let mut target = target(&server, "answer.data.token", ("Authorization", "Bearer {{ login.it }}"));
    Mock::given(path("/never")).respond_with(ResponseTemplate::new(401)).mount(&server).await;
    set(&mut target, "check.path", json!("/never"));
    let error = build(&target).unwrap().check().await.unwrap_err();
    assert_eq!((error.code(), error.subject()), (Code::PermissionDenied, Subject::Connection));
    assert_eq!(count.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn login_token_is_redacted() {
    let (server, _) = start().await;
    let target = target(&server, "answer.data.token", ("Authorization", "Bearer {{ login.it }}"));
    let setup = Setup::new("app", target);
    let redactor = setup.redactor.clone();
    let connector = bridgehead_http::factory().build(setup).unwrap();
    connector.check().await.unwrap();
    assert_eq!(redactor.redact("it is token-1"), "it is [redacted]");
}
