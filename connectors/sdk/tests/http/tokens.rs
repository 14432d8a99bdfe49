//! OAuth 2.0 tokens: fetched once for all waiting requests, cached, and renewed once.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bridgehead_sdk::http::reqwest::Method;
use bridgehead_sdk::http::{Answer, Auth, Client, Credential, Limits};
use bridgehead_sdk::{Code, Effect, Error, Network, Redactor, Retry, Subject};
use serde_json::{Value, json};
use url::Url;
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

const SECRET: &str = "client+secret/of=acme";

/// A token server and an API: the tokens are `token-1`, `token-2`…
struct Server {
    http: MockServer,
    client: Client,
    credential: Credential,
    redactor: Redactor,
}

/// Issues tokens with this lifetime.
struct Tokens {
    count: AtomicUsize,
    expires_in: Value,
    delay: Duration,
}

impl Respond for Tokens {
    fn respond(&self, _: &Request) -> ResponseTemplate {
        let number = self.count.fetch_add(1, Ordering::SeqCst) + 1;
        let mut body = json!({ "access_token": format!("token-{number}"), "token_type": "Bearer" });
        if !self.expires_in.is_null() {
            body["expires_in"] = self.expires_in.clone();
        }
        ResponseTemplate::new(200).set_body_json(body).set_delay(self.delay)
    }
}

fn tokens(expires_in: Value) -> Tokens {
    Tokens { count: AtomicUsize::new(0), expires_in, delay: Duration::ZERO }
}

impl Server {
    async fn start(more: Value, token: impl Respond + 'static, api: impl Respond + 'static) -> Self {
        let http = MockServer::start().await;
        Mock::given(method("POST")).and(path("/token")).respond_with(token).mount(&http).await;
        Mock::given(path("/api")).respond_with(api).mount(&http).await;
        let mut oauth2 = json!({
            "token_url": format!("{}/token", http.uri()), "client_id": "acme client", "client_secret": SECRET
        });
        for (key, value) in more.as_object().unwrap() {
            oauth2[key] = value.clone();
        }
        let auth: Auth = serde_json::from_value(json!({ "oauth2": oauth2 })).unwrap();
        let limits = Limits::default().with_request(Duration::from_secs(20));
        let client = Client::new("Acme", &Network::default(), limits).unwrap();
        let redactor = Redactor::new();
        let credential = Credential::new(&auth, "auth", &client, &redactor).unwrap();
        Self { http, client, credential, redactor }
    }

    async fn call(&self) -> Result<Answer, Error> {
        let url = Url::parse(&format!("{}/api", self.http.uri())).unwrap();
        let request = self.client.request(Method::POST, url).body("the body");
        self.credential.send(&self.client, request).await
    }

    /// The number of requested tokens, and the credentials that the API received.
    async fn seen(&self) -> (usize, Vec<String>) {
        let all = self.http.received_requests().await.unwrap();
        let tokens = all.iter().filter(|request| request.url.path() == "/token").count();
        let api = all.iter().filter(|request| request.url.path() == "/api");
        let shown = api.map(|request| {
            assert_eq!(request.body, b"the body");
            request.headers["authorization"].to_str().unwrap().to_owned()
        });
        (tokens, shown.collect())
    }

    async fn asked(&self) -> Request {
        let all = self.http.received_requests().await.unwrap();
        all.into_iter().find(|request| request.url.path() == "/token").unwrap()
    }
}

fn ok() -> ResponseTemplate {
    ResponseTemplate::new(204)
}

#[tokio::test]
async fn token_is_requested_once_and_cached() {
    for expires_in in [json!(3600), json!("3600"), Value::Null] {
        let server = Server::start(json!({}), tokens(expires_in), ok()).await;
        server.call().await.unwrap();
        server.call().await.unwrap();
        assert_eq!(server.seen().await, (1, vec!["Bearer token-1".to_owned(); 2]));
        assert_eq!(server.redactor.redact("it was token-1"), "it was [redacted]");
    }
}

#[tokio::test]
async fn expired_token_is_not_used() {
    let server = Server::start(json!({}), tokens(json!(0)), ok()).await;
    server.call().await.unwrap();
    server.call().await.unwrap();
    assert_eq!(server.seen().await, (2, vec!["Bearer token-1".to_owned(), "Bearer token-2".to_owned()]));
}

#[tokio::test]
async fn concurrent_calls_share_one_token_request() {
    let slow = Tokens { delay: Duration::from_millis(200), ..tokens(json!(3600)) };
    let server = Server::start(json!({}), slow, ok()).await;
    let calls = futures::future::join_all((0..20).map(|_| server.call())).await;
    assert!(calls.iter().all(Result::is_ok));
    let (tokens, shown) = server.seen().await;
    assert_eq!((tokens, shown.len()), (1, 20));
}

#[tokio::test]
async fn concurrent_calls_share_one_refused_token_request() {
    let slow = ResponseTemplate::new(401)
        .set_body_json(json!({ "error": "invalid_client", "error_description": SECRET }))
        .set_delay(Duration::from_millis(200));
    let server = Server::start(json!({}), slow, ok()).await;
    let calls = futures::future::join_all((0..20).map(|_| server.call())).await;
    for call in calls {
        let error = call.unwrap_err();
        assert_eq!((error.code(), error.subject()), (Code::PermissionDenied, Subject::Connection));
    }
    assert_eq!(server.seen().await, (1, Vec::new()));
    // Later callers fetch again.
    server.call().await.unwrap_err();
    assert_eq!(server.seen().await.0, 2);
}

/// Rejects the first token, and all others if configured to.
struct Picky {
    all: bool,
}

impl Respond for Picky {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let is_first = request.headers["authorization"] == "Bearer token-1";
        ResponseTemplate::new(if is_first || self.all { 401 } else { 204 })
    }
}

#[tokio::test]
async fn rejected_token_is_renewed_once() {
    let server = Server::start(json!({}), tokens(json!(3600)), Picky { all: false }).await;
    assert_eq!(server.call().await.unwrap().status(), 204);
    assert_eq!(server.call().await.unwrap().status(), 204);
    let shown = ["Bearer token-1", "Bearer token-2", "Bearer token-2"].map(str::to_owned);
    assert_eq!(server.seen().await, (2, shown.into()));
}

#[tokio::test]
async fn second_rejection_is_returned() {
    let server = Server::start(json!({}), tokens(json!(3600)), Picky { all: true }).await;
    let answer = server.call().await.unwrap();
    assert_eq!(answer.status(), 401);
    assert_eq!(server.seen().await.1.len(), 2);
    assert_eq!(answer.refusal("x").subject(), Subject::Connection);
}

#[tokio::test]
async fn calls_with_a_rejected_token_share_the_renewed_one() {
    let slow = Tokens { delay: Duration::from_millis(100), ..tokens(json!(3600)) };
    let server = Server::start(json!({}), slow, Picky { all: false }).await;
    let calls = futures::future::join_all((0..10).map(|_| server.call())).await;
    assert!(calls.into_iter().all(|call| call.unwrap().status() == 204));
    assert_eq!(server.seen().await.0, 2);
}

#[tokio::test]
async fn client_credentials_are_sent_as_configured() {
    let server = Server::start(json!({ "scope": "a b" }), tokens(json!(60)), ok()).await;
    server.call().await.unwrap();
    let asked = server.asked().await;
    // Form-encoded before it is sent as Basic: acme+client:client%2Bsecret%2Fof%3Dacme.
    assert_eq!(asked.headers["authorization"], "Basic YWNtZStjbGllbnQ6Y2xpZW50JTJCc2VjcmV0JTJGb2YlM0RhY21l");
    assert_eq!(String::from_utf8(asked.body).unwrap(), "grant_type=client_credentials&scope=a+b");
    let more = json!({ "authentication": "client_secret_post", "parameters": {"audience": "x"} });
    let server = Server::start(more, tokens(json!(60)), ok()).await;
    server.call().await.unwrap();
    let asked = server.asked().await;
    assert!(!asked.headers.contains_key("authorization"));
    assert_eq!(
        String::from_utf8(asked.body).unwrap(),
        "grant_type=client_credentials&audience=x&client_id=acme+client&client_secret=client%2Bsecret%2Fof%3Dacme"
    );
}

#[tokio::test]
async fn failed_token_request_is_not_applied_and_leaks_no_secret() {
    let said = |status: u16, error: &str| {
        ResponseTemplate::new(status).set_body_json(json!({ "error": error, "error_description": SECRET }))
    };
    for (answer, code, told) in [
        (said(401, "invalid_client"), Code::PermissionDenied, "invalid_client"),
        (said(400, "unauthorized_client"), Code::PermissionDenied, "unauthorized_client"),
        (said(403, SECRET), Code::PermissionDenied, "403"),
        (said(400, "invalid_request"), Code::InternalError, "auth.oauth2"),
        (ResponseTemplate::new(404), Code::InternalError, "auth.oauth2.token_url"),
        (ResponseTemplate::new(429).insert_header("retry-after", "9"), Code::RateLimited, "429"),
        (ResponseTemplate::new(500), Code::InternalError, "500"),
        (ResponseTemplate::new(200).set_body_string(SECRET), Code::InternalError, "invalid JSON"),
        (
            ResponseTemplate::new(200).set_body_json(json!({ "token": "x" })),
            Code::InternalError,
            "a different form",
        ),
        (
            ResponseTemplate::new(200).set_body_json(json!({ "access_token": "x", "token_type": "mac" })),
            Code::InternalError,
            "not a bearer token",
        ),
        (
            ResponseTemplate::new(200).set_body_json(json!({ "access_token": "a\nb" })),
            Code::InternalError,
            "not a bearer token",
        ),
    ] {
        let server = Server::start(json!({}), answer, ok()).await;
        let error = server.call().await.unwrap_err();
        assert_eq!((error.code(), error.subject()), (code, Subject::Connection), "{told}: {error}");
        assert_eq!(error.effect(), Effect::NotApplied, "{error}");
        assert_ne!(error.retry(), Retry::Never, "{error}");
        assert!(error.message().contains(told), "{told}: {error}");
        assert!(!format!("{error:?} {error}").contains(SECRET), "{error:?}");
        assert_eq!(server.seen().await.1.len(), 0);
    }
}

#[tokio::test]
async fn unreachable_token_server_is_a_connection_error() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/token", listener.local_addr().unwrap());
    drop(listener);
    let server = Server::start(json!({ "token_url": url }), ok(), ok()).await;
    let error = server.call().await.unwrap_err();
    assert_eq!((error.code(), error.effect()), (Code::Timeout, Effect::NotApplied));
    assert_eq!(error.subject(), Subject::Connection);
    assert!(error.message().contains("the token server of Acme (127.0.0.1) is unreachable"), "{error}");
}
