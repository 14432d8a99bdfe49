use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use wiremock::matchers::{any, header};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::support::*;
use crate::{Api, Error, Health, KeyError, Report, TaskQuery, TaskStatus};

/// A key that is rotated: each read returns the next one, and the last one from there on.
#[derive(Debug)]
struct Rotating {
    keys: Mutex<Vec<&'static str>>,
    readings: AtomicU32,
}

impl Rotating {
    fn new(keys: &[&'static str]) -> Arc<Self> {
        let keys = keys.iter().rev().copied().collect();
        Arc::new(Self { keys: Mutex::new(keys), readings: AtomicU32::new(0) })
    }
}

impl KeySource for Rotating {
    fn read(&self) -> Result<ApiKey, KeyError> {
        self.readings.fetch_add(1, Ordering::SeqCst);
        let mut keys = self.keys.lock().unwrap();
        let key = if keys.len() > 1 { keys.pop().unwrap() } else { keys[0] };
        if key == "gone" {
            Err(KeyError::Unreadable("/etc/key is not there".into()))
        } else {
            ApiKey::new(key)
        }
    }
}

/// A server that accepts only the key `new`.
async fn server() -> MockServer {
    let server = MockServer::start().await;
    Mock::given(header("authorization", "Api-Key new"))
        .respond_with(ResponseTemplate::new(200).set_body_string(r#"{"results": [], "sync_id": "s1"}"#))
        .mount(&server)
        .await;
    Mock::given(any()).respond_with(ResponseTemplate::new(401)).mount(&server).await;
    server
}

fn with(server: &MockServer, keys: Arc<Rotating>) -> Client {
    Client::with_pace(settings(&server.uri()), keys, pace()).unwrap()
}

async fn requests(server: &MockServer) -> usize {
    server.received_requests().await.unwrap().len()
}

#[tokio::test]
async fn rotated_key_is_used_transparently() {
    let server = server().await;
    let keys = Rotating::new(&["old", "new"]);
    let client = with(&server, Arc::clone(&keys));
    client.start_sync(app()).await.unwrap();
    assert_eq!((requests(&server).await, keys.readings.load(Ordering::SeqCst)), (2, 2));
    client.list_apps().await.unwrap();
    assert_eq!((requests(&server).await, keys.readings.load(Ordering::SeqCst)), (3, 2));
    assert_eq!(*client.health().borrow(), Health::Up);
}

#[tokio::test]
async fn unchanged_key_is_not_retried() {
    let server = server().await;
    let client = with(&server, Rotating::new(&["old"]));
    let error = client.report(app(), &"t1".into(), &Report::Completed { result: None }).await.unwrap_err();
    assert!(matches!(error, Error::Unauthorized { .. }) && error.is_access(), "{error}");
    assert_eq!(requests(&server).await, 1);
    assert!(matches!(&*client.health().borrow(), Health::Refused { cause } if cause.contains("401")));
}

#[tokio::test]
async fn changed_key_is_tried_only_once() {
    let server = server().await;
    let client = with(&server, Rotating::new(&["a", "b", "c", "d", "e"]));
    assert!(matches!(client.list_apps().await, Err(Error::Unauthorized { .. })));
    assert_eq!(requests(&server).await, 2);
}

#[tokio::test]
async fn unreadable_key_fails_the_call_unsent_and_is_read_again() {
    let server = server().await;
    let client = with(&server, Rotating::new(&["gone", "new"]));
    let error = client.list_apps().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot list the apps of this key: the API key cannot be read: /etc/key is not there"
    );
    assert_eq!(requests(&server).await, 0);
    assert!(matches!(&*client.health().borrow(), Health::Refused { .. }));
    client.list_apps().await.unwrap();
    assert_eq!(*client.health().borrow(), Health::Up);
}

#[tokio::test]
async fn rejected_key_with_unreadable_successor_is_unauthorized() {
    let server = server().await;
    let client = with(&server, Rotating::new(&["old", "gone", "new"]));
    assert!(matches!(client.list_apps().await, Err(Error::Unauthorized { .. })));
    client.list_apps().await.unwrap();
}

#[tokio::test]
async fn client_and_errors_never_show_the_key() {
    let server = MockServer::start().await;
    let body = format!(r#"{{"detail": "key {KEY} is not for this app"}}"#);
    Mock::given(any()).respond_with(ResponseTemplate::new(400).set_body_string(body)).mount(&server).await;
    let client = client(&server.uri());
    let error = client.start_sync(app()).await.unwrap_err();
    let shown = format!("{client:?} {error} {error:?} {:?}", client.health().borrow());
    assert!(!shown.contains(KEY), "{shown}");
    assert!(error.to_string().ends_with("key [redacted] is not for this app"), "{error}");
}

/// The log output of a test.
#[derive(Clone, Debug, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn trace_log_contains_neither_key_nor_bodies() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);

    let server = MockServer::start().await;
    let answer = r#"{"id": "t1", "results": [{"id": "t1", "payload": {"password": "hunter2"}}]}"#;
    Mock::given(header("authorization", format!("Api-Key {KEY}").as_str()))
        .respond_with(ResponseTemplate::new(200).set_body_string(answer))
        .mount(&server)
        .await;
    let client = client(&server.uri());
    let query = TaskQuery { status: TaskStatus::Pending, limit: 50 };
    let page = client.tasks(app(), &query).await.unwrap();
    let result = serde_json::Map::from_iter([("initial".to_owned(), "swordfish".into())]);
    let report = Report::Completed { result: Some(result) };
    client.report(app(), &page.tasks[0].id, &report).await.unwrap();
    tracing::info!(?page, ?report, ?client, "as a careless caller would");

    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains("called the Bridge") && log.contains("careless"), "{log}");
    for secret in [KEY, "hunter2", "swordfish"] {
        assert!(!log.contains(secret), "{secret} is in the log:\n{log}");
    }
}
