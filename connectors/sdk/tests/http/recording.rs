//! Exchanges are recorded once, without secrets, and replayed from the file without the target.

use std::path::Path;

use bridgehead_sdk::http::reqwest::Method;
use bridgehead_sdk::http::{Answer, Auth, Client, Credential, Limits, Recording, RecordingError};
use bridgehead_sdk::{Effect, Error, Network, Redactor};
use serde_json::{Value, json};
use tempfile::TempDir;
use url::Url;
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

/// Strings that must not be in a file.
const SECRETS: [&str; 6] =
    ["hunter2-key", "hunter2-client", "hunter2-token", "hunter2-password", "hunter2-cookie", "hunter2-basic"];

/// A small API: it issues tokens, lists in pages, creates, returns bytes that are not text, and repeats everything it
/// knows.
async fn target() -> MockServer {
    let server = MockServer::start().await;
    let token = json!({"access_token": "hunter2-token", "token_type": "Bearer", "expires_in": 3600});
    Mock::given(method("POST"))
        .and(path("/token"))
        .respond_with(ResponseTemplate::new(200).set_body_json(token))
        .mount(&server)
        .await;
    for (number, next) in [("1", json!("2")), ("2", Value::Null)] {
        let page =
            json!({"users": [{"id": format!("u{number}"), "password": "hunter2-password"}], "next": next});
        let answer = ResponseTemplate::new(200)
            .insert_header("set-cookie", "sid=hunter2-cookie")
            .insert_header("x-total", "2")
            .set_body_json(page);
        Mock::given(path("/users"))
            .and(wiremock::matchers::query_param("page", number))
            .respond_with(answer)
            .mount(&server)
            .await;
    }
    // Like a careless target, it repeats what it was sent.
    let echo =
        ResponseTemplate::new(201).set_body_string("made with hunter2-key, hunter2-token, hunter2-basic");
    Mock::given(method("POST")).and(path("/users")).respond_with(echo).mount(&server).await;
    Mock::given(path("/photo"))
        .respond_with(ResponseTemplate::new(200).set_body_bytes(vec![0xff, 0xfe, 0, 1]))
        .mount(&server)
        .await;
    Mock::given(path("/busy"))
        .respond_with(ResponseTemplate::new(429).insert_header("retry-after", "7"))
        .mount(&server)
        .await;
    server
}

/// The requests of a connector, and their responses.
async fn talk(base: &Url, network: &Network, password: &str) -> Result<Vec<Answer>, Error> {
    let client = Client::new("Acme", network, Limits::default()).unwrap();
    let credential = |auth: Value| {
        let auth: Auth = serde_json::from_value(auth).unwrap();
        Credential::new(&auth, "auth", &client, &Redactor::new()).unwrap()
    };
    let token_url = base.join("/token").unwrap();
    let oauth2 = credential(
        json!({"oauth2": {"token_url": token_url.as_str(), "client_id": "c", "client_secret": "hunter2-client"}}),
    );
    let key = credential(json!({"api_key": {"query": "k", "value": "hunter2-key"}}));
    let basic = credential(json!({"basic": {"username": "u", "password": "hunter2-basic"}}));
    let request = |method: Method, to: &str| client.request(method, base.join(to).unwrap());
    let new = json!({"name": "ann", "password": password});
    Ok(vec![
        oauth2.send(&client, request(Method::GET, "/users?page=1&size=1")).await?,
        key.send(&client, request(Method::GET, "/users?page=2&size=1")).await?,
        basic.send(&client, request(Method::POST, "/users").json(&new)).await?,
        client.send(request(Method::GET, "/photo")).await?,
        client.send(request(Method::GET, "/busy")).await?,
    ])
}

async fn record(file: &Path, password: &str) -> Vec<Answer> {
    let server = target().await;
    let recording = Recording::record(file);
    let network = Network::default().with_recording(&recording);
    let answers = talk(&Url::parse(&server.uri()).unwrap(), &network, password).await.unwrap();
    recording.finish().unwrap();
    answers
}

/// An address without a server: every response comes from the file.
fn nowhere() -> Url {
    Url::parse("https://acme.invalid").unwrap()
}

#[tokio::test]
async fn recording_replays_responses_without_secrets() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("recordings/acme.json");
    let real = record(&file, "hunter2-password").await;

    let text = std::fs::read_to_string(&file).unwrap();
    for secret in SECRETS {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
    assert!(!text.contains("127.0.0.1"), "the address of the target is nobody's business: {text}");

    let recording = Recording::replay(&file).unwrap();
    let network = Network::default().with_recording(&recording);
    let replayed = talk(&nowhere(), &network, "another password").await.unwrap();
    for (real, replayed) in real.iter().zip(&replayed) {
        assert_eq!(real.status(), replayed.status());
        assert_eq!(real.retry_after(), replayed.retry_after());
        assert_eq!(real.headers().get("x-total"), replayed.headers().get("x-total"));
    }
    let page: Value = replayed[0].json().unwrap();
    assert_eq!((&page["users"][0]["id"], &page["next"]), (&json!("u1"), &json!("2")));
    assert_eq!(replayed[3].body(), [0xff, 0xfe, 0, 1]);
    recording.finish().unwrap();
}

#[tokio::test]
async fn unrecorded_request_is_named_in_the_error() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("acme.json");
    record(&file, "x").await;
    let text = std::fs::read_to_string(&file).unwrap();
    for (method, to, body, why) in [
        (
            Method::GET,
            "/users?page=3&size=1",
            Value::Null,
            "GET /users?page=3&size=1 was not recorded at all",
        ),
        (Method::DELETE, "/photo", Value::Null, "DELETE /photo was not recorded at all"),
        (Method::POST, "/users", json!({"name": "bob"}), "POST /users was not recorded with this body"),
    ] {
        let recording = Recording::replay(&file).unwrap();
        let client =
            Client::new("Acme", &Network::default().with_recording(&recording), Limits::default()).unwrap();
        let mut request = client.request(method, nowhere().join(to).unwrap());
        if !body.is_null() {
            request = request.json(&body);
        }
        let error = client.send(request).await.unwrap_err();
        assert_eq!(error.effect(), Effect::NotApplied);
        assert!(error.message().contains(why) && error.message().contains("BRIDGEHEAD_RECORD=1"), "{error}");
        // If a connector hides the error, the test still sees it.
        let failed = recording.finish().unwrap_err();
        assert!(matches!(&failed, RecordingError::Failed(text) if text.contains(why)), "{failed}");
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap(), text, "replaying changes nothing");
}

#[tokio::test]
async fn each_exchange_replays_once_and_unused_ones_are_reported() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("acme.json");
    record(&file, "x").await;
    let recording = Recording::replay(&file).unwrap();
    let client =
        Client::new("Acme", &Network::default().with_recording(&recording), Limits::default()).unwrap();
    let busy = || client.request(Method::GET, nowhere().join("/busy").unwrap());
    client.send(busy()).await.unwrap();
    let left = recording.finish().unwrap_err().to_string();
    assert_eq!(left, "the connector did not make 5 of the recorded requests; the first is POST /token");
    let error = client.send(busy()).await.unwrap_err();
    assert!(error.message().contains("GET /busy was not recorded this many times"), "{error}");
}

#[tokio::test]
async fn unusable_recording_says_what_to_do() {
    let folder = TempDir::new().unwrap();
    let open = |name: &str| Recording::replay(folder.path().join(name)).unwrap_err().to_string();
    assert!(
        open("none.json").ends_with(
            "none.json does not exist: record it once with BRIDGEHEAD_RECORD=1 and the real target"
        )
    );
    for (name, text, why) in [
        ("old.json", r#"{"version": 0, "exchanges": []}"#, "it has version 0, this version reads 1"),
        ("other.json", r#"{"log": {}}"#, "unknown field `log`"),
        ("cut.json", r#"{"version": 1, "exch"#, "EOF"),
    ] {
        std::fs::write(folder.path().join(name), text).unwrap();
        let error = open(name);
        assert!(
            error.contains(why) && error.ends_with("record it again with BRIDGEHEAD_RECORD=1"),
            "{error}"
        );
    }
    // The target was called, but the file cannot be written: the connector still gets the response, and the test fails.
    let server = target().await;
    std::fs::write(folder.path().join("file"), "").unwrap();
    let recording = Recording::record(folder.path().join("file/acme.json"));
    let network = Network::default().with_recording(&recording);
    assert_eq!(talk(&Url::parse(&server.uri()).unwrap(), &network, "x").await.unwrap().len(), 5);
    assert!(recording.finish().unwrap_err().to_string().contains("acme.json cannot be written: "));
}
