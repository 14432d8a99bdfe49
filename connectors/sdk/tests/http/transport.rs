//! Connecting, sending, and reading a response to its end.

use std::sync::atomic::Ordering;

use bridgehead_sdk::http::Client;
use bridgehead_sdk::http::reqwest::Method;
use bridgehead_sdk::{Code, Effect, Error, Network, Retry, Subject};
use url::Url;
use wiremock::matchers::{header, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::raw::{Raw, client, impatient};

fn parts(error: &Error) -> (Code, Effect, Retry, Subject) {
    (error.code(), error.effect(), error.retry(), error.subject())
}

async fn get(client: &Client, url: &Url) -> Result<bridgehead_sdk::http::Answer, Error> {
    client.send(client.request(Method::GET, url.clone())).await
}

async fn refused(client: &Client, answer: Option<Vec<u8>>) -> (Error, usize) {
    let server = Raw::start(answer).await;
    let error = get(client, &server.url).await.unwrap_err();
    (error, server.connections.load(Ordering::SeqCst))
}

#[tokio::test]
async fn refused_connection_is_not_applied() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}/?secret=hunter2", listener.local_addr().unwrap())).unwrap();
    drop(listener);
    let error = get(&client(&Network::default()), &url).await.unwrap_err();
    assert_eq!(parts(&error), (Code::Timeout, Effect::NotApplied, Retry::Backoff, Subject::Connection));
    assert!(error.message().starts_with("Acme is unreachable: "), "{error}");
    assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
}

#[tokio::test]
async fn unresolvable_host_is_not_applied() {
    let url = Url::parse("http://nobody.invalid/").unwrap();
    let error = get(&client(&Network::default()), &url).await.unwrap_err();
    assert_eq!(parts(&error), (Code::Timeout, Effect::NotApplied, Retry::Backoff, Subject::Connection));
}

#[tokio::test]
async fn response_timeout_has_unknown_effect() {
    let (error, connections) = refused(&impatient(), None).await;
    assert_eq!(parts(&error), (Code::Timeout, Effect::Unknown, Retry::Backoff, Subject::Account));
    assert_eq!((error.message(), connections), ("Acme did not respond within 3 s", 1));
}

#[tokio::test]
async fn endless_response_body_times_out() {
    // The headers arrive, the body does not, and the connection stays open.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
    let server = tokio::spawn(async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let (mut stream, _) = listener.accept().await.unwrap();
        assert_ne!(stream.read(&mut [0; 4096]).await.unwrap(), 0);
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf").await.unwrap();
        std::future::pending::<()>().await;
    });
    let error = get(&impatient(), &url).await.unwrap_err();
    server.abort();
    assert_eq!(parts(&error), (Code::Timeout, Effect::Unknown, Retry::Backoff, Subject::Account));
}

#[tokio::test]
async fn broken_connection_has_unknown_effect_and_no_retry() {
    let whole = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf".to_vec();
    let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n".to_vec();
    let gzip =
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 900\r\n\r\n\x1f\x8b\x08\0".to_vec();
    for answer in [Vec::new(), b"HTTP/1.1 20".to_vec(), whole, chunked, gzip] {
        let shown = String::from_utf8_lossy(&answer).into_owned();
        let (error, connections) = refused(&client(&Network::default()), Some(answer)).await;
        assert_eq!(
            parts(&error),
            (Code::Timeout, Effect::Unknown, Retry::Backoff, Subject::Connection),
            "{shown}: {error}"
        );
        assert_eq!(connections, 1, "{shown}");
    }
}

#[tokio::test]
async fn oversized_response_is_not_read() {
    let announced = b"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n".to_vec();
    let mut sent = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n".to_vec();
    sent.extend(vec![b'x'; 1001]);
    for answer in [announced, sent] {
        let (error, _) = refused(&client(&Network::default()), Some(answer)).await;
        assert_eq!((error.code(), error.effect()), (Code::InternalError, Effect::Unknown));
        assert_eq!(error.message(), "a response from Acme is larger than 1000 bytes");
    }
    let mut fits = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n".to_vec();
    fits.extend(vec![b'x'; 1000]);
    let server = Raw::start(Some(fits)).await;
    assert_eq!(get(&client(&Network::default()), &server.url).await.unwrap().body().len(), 1000);
}

#[tokio::test]
async fn redirect_is_not_followed() {
    let server = MockServer::start().await;
    let elsewhere = ResponseTemplate::new(302).insert_header("location", format!("{}/there", server.uri()));
    Mock::given(path("/")).respond_with(elsewhere).mount(&server).await;
    Mock::given(path("/there")).respond_with(ResponseTemplate::new(200)).expect(0).mount(&server).await;
    let url = Url::parse(&server.uri()).unwrap();
    let answer = get(&client(&Network::default()), &url).await.unwrap();
    assert_eq!(answer.status(), 302);
    let error = answer.refusal("Nothing came");
    assert!(error.message().contains("another address"), "{error}");
    // A form that was accepted redirects to its result.
    assert_eq!(parts(&error), (Code::InternalError, Effect::Unknown, Retry::Backoff, Subject::Account));
}

#[tokio::test]
async fn proxy_is_bypassed_for_loopback_and_no_proxy_hosts() {
    let proxy = MockServer::start().await;
    Mock::given(method("GET"))
        .and(header("host", "acme.example"))
        .and(header("proxy-authorization", "Basic dXNlcjpodW50ZXIy"))
        .respond_with(ResponseTemplate::new(200).set_body_string("through the proxy"))
        .mount(&proxy)
        .await;
    let direct = MockServer::start().await;
    Mock::given(method("GET")).respond_with(ResponseTemplate::new(204)).mount(&direct).await;
    let mut address = Url::parse(&proxy.uri()).unwrap();
    address.set_username("user").unwrap();
    address.set_password(Some("hunter2")).unwrap();
    let network = Network::default().with_proxy(address).with_no_proxy([".internal.invalid"]);
    assert!(!format!("{network:?}").contains("hunter2"));
    let client = client(&network);
    let answer = get(&client, &Url::parse("http://acme.example/x").unwrap()).await.unwrap();
    assert_eq!(answer.body(), b"through the proxy");
    assert_eq!(get(&client, &Url::parse(&direct.uri()).unwrap()).await.unwrap().status(), 204);
    let error = get(&client, &Url::parse("http://app.internal.invalid/").unwrap()).await.unwrap_err();
    assert_eq!(error.subject(), Subject::Connection);
    assert_eq!(proxy.received_requests().await.unwrap().len(), 1);
}

#[tokio::test]
async fn debug_hides_headers_and_body() {
    let server = MockServer::start().await;
    let answer = ResponseTemplate::new(200).insert_header("set-cookie", "hunter2").set_body_string("hunter2");
    Mock::given(method("GET")).respond_with(answer).mount(&server).await;
    let answer = get(&client(&Network::default()), &Url::parse(&server.uri()).unwrap()).await.unwrap();
    let shown = format!("{answer:?} {:?}", answer.json::<u8>().unwrap_err());
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[tokio::test]
async fn trace_shows_each_exchange_without_secrets() {
    let server = MockServer::start().await;
    let answer = ResponseTemplate::new(201)
        .insert_header("location", "/users/u1")
        .set_body_json(serde_json::json!({ "id": "u1", "token": "fresh-token-81" }));
    Mock::given(method("POST")).and(path("/users")).respond_with(answer).mount(&server).await;
    let lines = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let kept = std::sync::Arc::clone(&lines);
    let redactor = bridgehead_sdk::Redactor::new();
    let trace = bridgehead_sdk::Trace::new(&redactor, move |line| kept.lock().unwrap().push(line.to_owned()));
    let client = client(&Network::default().with_trace(trace));
    let mut url = Url::parse(&format!("{}/users?notify=no&api_key=hunter2", server.uri())).unwrap();
    url.set_username("admin").unwrap();
    let body = serde_json::json!({ "login": "ann", "password": "Sesame-4711" });
    let request = client.request(Method::POST, url).bearer_auth("hunter3").json(&body);
    assert_eq!(client.send(request).await.unwrap().status(), 201);
    let nowhere = Url::parse("http://127.0.0.1:1/").unwrap();
    get(&client, &nowhere).await.unwrap_err();
    let lines = lines.lock().unwrap();
    assert_eq!(lines.len(), 4, "{lines:#?}");
    assert!(lines[0].starts_with("--> Acme  POST /users?"), "{lines:#?}");
    assert!(lines[0].ends_with("{\"login\":\"ann\",\"password\":\"[redacted]\"}"), "{lines:#?}");
    assert!(
        lines[1].starts_with("<-- Acme  201 [") && lines[1].contains("location: /users/u1"),
        "{lines:#?}"
    );
    assert!(lines[3].starts_with("<-- Acme  Acme is unreachable"), "{lines:#?}");
    for secret in ["hunter2", "hunter3", "Sesame", "fresh-token", "admin"] {
        assert!(!lines.concat().contains(secret), "{secret}: {lines:#?}");
    }
}

#[tokio::test]
async fn body_with_a_member_twice_is_an_error() {
    let server = MockServer::start().await;
    let body = r#"{"records": [{"id": "u1"}], "records": [], "next": null}"#;
    Mock::given(method("GET"))
        .respond_with(ResponseTemplate::new(200).set_body_string(body))
        .mount(&server)
        .await;
    let client = client(&Network::default());
    let answer = client.send(client.request(Method::GET, Url::parse(&server.uri()).unwrap())).await.unwrap();
    let error = answer.json::<serde_json::Value>().unwrap_err();
    assert_eq!(error.effect(), Effect::Unknown);
    assert!(error.message().contains("has a member twice (line 1, column"), "{error}");
}

/// `{"id": "u1"}`, compressed.
const GZIP: &[u8] = b"\x1f\x8b\x08\0\0\0\0\0\0\xff\x01\x0c\0\xf3\xff{\"id\": \"u1\"}\\X#'\x0c\0\0\0";

fn encoded(status: &str, encoding: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Encoding: {encoding}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

#[tokio::test]
async fn damaged_body_is_an_error_of_its_request_alone() {
    let mut flipped = GZIP.to_vec();
    flipped[10] = 0xff;
    let (cut, plain) = (&GZIP[..20], b"{\"id\": \"u1\"}");
    for (status, encoding, body) in [
        ("200 OK", "gzip", cut),
        ("200 OK", "gzip", &flipped[..]),
        ("200 OK", "gzip", plain),
        ("201 Created", "gzip", cut),
        ("404 Not Found", "gzip", cut),
        ("200 OK", "br", &b"\x0b\x06\x80"[..]),
        ("200 OK", "deflate", b"\x78\x9c"),
        ("404 Not Found", "zstd", b"\x28\xb5"),
    ] {
        let (error, connections) =
            refused(&client(&Network::default()), Some(encoded(status, encoding, body))).await;
        let expected = (Code::InternalError, Effect::Unknown, Retry::Backoff, Subject::Account);
        assert_eq!(parts(&error), expected, "{status} {encoding}: {error}");
        let says = if encoding == "gzip" { "cannot be decompressed" } else { "which was not requested" };
        let begins = format!("Acme returned {} with a body that ", &status[..3]);
        assert!(error.message().starts_with(&begins) && error.message().contains(says), "{error}");
        assert_eq!(connections, 1, "{status} {encoding}");
    }
    for answer in [encoded("200 OK", "gzip", GZIP), encoded("200 OK", "identity", plain)] {
        let server = Raw::start(Some(answer)).await;
        let answer = get(&client(&Network::default()), &server.url).await.unwrap();
        assert_eq!(answer.json::<serde_json::Value>().unwrap()["id"], "u1");
    }
}

#[tokio::test]
async fn status_that_says_enough_counts_even_if_its_body_cannot_be_read() {
    for (status, code, subject) in [
        ("401 Unauthorized", Code::PermissionDenied, Subject::Connection),
        ("429 Too Many Requests", Code::RateLimited, Subject::Account),
        ("500 Internal Server Error", Code::InternalError, Subject::Account),
        ("504 Gateway Timeout", Code::Timeout, Subject::Account),
    ] {
        let cut = format!("HTTP/1.1 {status}\r\nContent-Length: 10\r\n\r\nhalf").into_bytes();
        let large = format!("HTTP/1.1 {status}\r\nContent-Length: 99999\r\n\r\n").into_bytes();
        for answer in [encoded(status, "gzip", &GZIP[..20]), encoded(status, "br", b"half"), cut, large] {
            let server = Raw::start(Some(answer)).await;
            let answer = get(&client(&Network::default()), &server.url).await.unwrap();
            let error = answer.refusal("Nothing came");
            assert_eq!((error.code(), error.subject(), answer.body().len()), (code, subject, 0), "{error}");
        }
    }
}

#[tokio::test]
async fn unreadable_json_may_pass_but_other_json_does_not() {
    let page = "text/html; charset=utf-8";
    for (kind, body, says, retry) in [
        (page, &b"<!DOCTYPE html><title>Log in"[..], "with a web page instead of JSON", Retry::Backoff),
        ("application/json", b"\xef\xbb\xbf\n<html>", "with a web page instead of JSON", Retry::Backoff),
        ("application/json", b"{\"id\": ", "with invalid JSON (line 1", Retry::Backoff),
        ("application/json; charset=iso-8859-1", b"{\"id\": \"Jos\xe9\"}", "is not UTF-8", Retry::Backoff),
        ("application/json; charset=utf-16", b"\xff\xfe{\0}\0", "is not UTF-8", Retry::Backoff),
        ("application/json", b"", "with invalid JSON", Retry::Backoff),
        ("application/json", b"[]", "in a different form than documented", Retry::Never),
    ] {
        let head =
            format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n", body.len());
        let server = Raw::start(Some([head.as_bytes(), body].concat())).await;
        let answer = get(&client(&Network::default()), &server.url).await.unwrap();
        let error = answer.json::<std::collections::BTreeMap<String, String>>().unwrap_err();
        assert_eq!(
            (error.code(), error.effect(), error.retry()),
            (Code::InternalError, Effect::Unknown, retry)
        );
        assert!(error.message().contains(says), "{error}");
    }
}
