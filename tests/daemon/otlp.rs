//! Traces as a collector receives them: strictly decoded, and free of secrets and of data about people.

use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::actions::error;
use crate::support::{KEY, World, eventually};
use crate::target::QUICK;

const TOKEN: &str = "collector-token-that-must-never-leak-0815";
const PASSWORD: &str = "first-password-that-must-never-leak-0815";

/// Request heads in lower case, and bodies.
type Requests = Arc<Mutex<Vec<(String, Vec<u8>)>>>;

/// A collector that stores the requests that it receives; a test can change its responses.
struct Collector {
    address: std::net::SocketAddr,
    received: Requests,
    answer: Arc<Mutex<&'static str>>,
}

impl Collector {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let received = Requests::default();
        let answer = Arc::new(Mutex::new("200 OK"));
        let (keep, say) = (Arc::clone(&received), Arc::clone(&answer));
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let request = read(&mut stream).await;
                keep.lock().expect("requests").push(request);
                let say = *say.lock().expect("an answer");
                let answer = format!("HTTP/1.1 {say}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                drop(stream.write_all(answer.as_bytes()).await);
            }
        });
        Self { address, received, answer }
    }

    /// Each span with the attributes of its resource.
    fn spans(&self) -> Vec<(Vec<(String, String)>, Span)> {
        let received = self.received.lock().expect("requests");
        let mut spans = Vec::new();
        for (head, body) in received.iter() {
            assert!(head.starts_with("post /v1/traces http/1.1\r\n"), "{head}");
            assert!(head.contains("content-type: application/x-protobuf\r\n"), "{head}");
            let request = ExportTraceServiceRequest::decode(body.as_slice()).expect("protobuf");
            assert_eq!(request.encode_to_vec(), *body, "nothing that the definition does not know");
            for of in request.resource_spans {
                let resource: Vec<(String, String)> =
                    of.resource.expect("a resource").attributes.into_iter().map(attribute).collect();
                let own = of.scope_spans.into_iter().flat_map(|of| of.spans);
                spans.extend(own.map(|span| (resource.clone(), span)));
            }
        }
        spans
    }

    fn named(&self, name: &str) -> Vec<Span> {
        self.spans().into_iter().map(|(_, span)| span).filter(|span| span.name == name).collect()
    }
}

async fn read(stream: &mut tokio::net::TcpStream) -> (String, Vec<u8>) {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end + 4]).to_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
            let length: usize = length.expect("a length");
            if bytes.len() >= end + 4 + length {
                return (head, bytes[end + 4..].to_vec());
            }
        }
        match stream.read(&mut chunk).await.expect("a request") {
            0 => panic!("the request ends early"),
            count => bytes.extend_from_slice(&chunk[..count]),
        }
    }
}

fn attribute(pair: opentelemetry_proto::tonic::common::v1::KeyValue) -> (String, String) {
    let value = match pair.value.and_then(|value| value.value) {
        Some(Any::StringValue(text)) => text,
        Some(Any::IntValue(number)) => number.to_string(),
        Some(Any::BoolValue(is_so)) => is_so.to_string(),
        other => panic!("{}: {other:?} is not one of the values that spans have", pair.key),
    };
    (pair.key, value)
}

/// The attributes of a span, by name.
fn attributes(span: &Span) -> std::collections::BTreeMap<String, String> {
    span.attributes.clone().into_iter().map(attribute).collect()
}

#[tokio::test]
async fn each_task_attempt_and_sync_is_a_span_that_names_no_one_and_holds_no_secret() {
    let world = World::new().await;
    let collector = Collector::start().await;
    world.script(QUICK, "");
    world.rules(&json!([
        {"method": "create_account", "account": "bob", "error": error("RATE_LIMITED", json!({"retry_after": 0})), "times": 1},
    ]));
    let create = |name: &str| {
        world.sandbox.add_task(
            world.app,
            json!({"action": "create_account", "payload": {"account":
                {"username": name, "email": format!("{name}@example.org"), "password": PASSWORD}}}),
        )
    };
    let (ann, bob) = (create("ann"), create("bob"));
    let gone = world.sandbox.add_task(
        world.app,
        json!({"action": "delete_account", "payload": {"account": {"id": "nobody-of-that-id"}}}),
    );
    let endpoint = format!("http://{}", collector.address);
    let daemon = world.start_with(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint),
        ("OTEL_EXPORTER_OTLP_HEADERS", &format!("authorization=Bearer {TOKEN}")),
    ]);
    world.drained().await;
    let synced = world.run(&["sync", "hr"]).await;
    let log = daemon.stop().await;
    assert!(!log.contains(TOKEN) && !log.contains("traces cannot be sent"), "{log}");

    // By the time the daemon has ended, everything has been sent.
    let tasks = collector.named("task");
    let of = |id: &str| {
        let found: Vec<&Span> = tasks.iter().filter(|span| attributes(span)["task"] == id).collect();
        assert_eq!(found.len(), 1, "one span for one task: {found:#?}");
        found[0]
    };
    for (id, action, attempts, outcome) in
        [(&ann, "create_account", "1", "completed"), (&bob, "create_account", "2", "completed")]
    {
        let said = attributes(of(id));
        let names: Vec<&str> = said.keys().map(String::as_str).collect();
        assert_eq!(names, ["action", "app", "attempts", "outcome", "task"], "{said:?}");
        let seen = [&said["app"], &said["action"], &said["attempts"], &said["outcome"]];
        assert_eq!(seen, ["hr", action, attempts, outcome]);
    }
    let outcome = attributes(of(&gone))["outcome"].clone();
    assert_eq!(outcome, world.task(&gone)["status"].as_str().expect("a status"));
    let attempts = collector.named("attempt");
    let of_bob: Vec<&Span> = attempts.iter().filter(|span| span.parent_span_id == of(&bob).span_id).collect();
    assert_eq!(of_bob.len(), 2, "{attempts:#?}");
    assert!(of_bob.iter().all(|span| span.trace_id == of(&bob).trace_id));
    let first = of_bob.iter().map(|span| attributes(span)).find(|said| said["attempt"] == "1");
    let first = first.expect("the first attempt");
    assert_eq!((first["outcome"].as_str(), first["code"].as_str()), ("failed", "RATE_LIMITED"));
    let syncs = collector.named("sync");
    assert!(!syncs.is_empty(), "{synced:?}");
    assert!(syncs.iter().all(|span| attributes(span)["app"] == "hr"));
    assert!(attributes(&syncs[0]).contains_key("outcome"), "{syncs:#?}");

    for (resource, span) in collector.spans() {
        assert!(resource.contains(&("service.name".to_owned(), "bridgehead".to_owned())), "{resource:?}");
        assert!(["task", "attempt", "sync"].contains(&span.name.as_str()), "{}", span.name);
        assert!(span.events.is_empty(), "no line of the log: {span:#?}");
        assert!(span.end_time_unix_nano >= span.start_time_unix_nano && span.start_time_unix_nano > 0);
    }
    let received = collector.received.lock().expect("requests");
    assert!(received.iter().all(|(head, _)| head.contains(&format!("authorization: bearer {TOKEN}"))));
    for (_, body) in received.iter() {
        let text = String::from_utf8_lossy(body);
        for never in [KEY, PASSWORD, TOKEN, "ann@example.org", "nobody-of-that-id"] {
            assert!(!text.contains(never), "{never}: {text}");
        }
    }
}

#[tokio::test]
async fn a_collector_that_fails_is_told_of_once_and_keeps_no_task_waiting() {
    let world = World::new().await;
    let collector = Collector::start().await;
    *collector.answer.lock().expect("an answer") = "400 Bad Request";
    world.script(QUICK, "");
    let endpoint = format!("http://{}", collector.address);
    // A short delay between batches, so that spans are sent individually.
    let daemon =
        world.start_with(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint), ("OTEL_BSP_SCHEDULE_DELAY", "20")]);
    for name in ["ann", "bob"] {
        world.task_for("create_account", json!(name));
        world.drained().await;
        let so_far = collector.received.lock().expect("requests").len();
        eventually("it is asked", || collector.received.lock().expect("requests").len() >= so_far.max(1))
            .await;
    }
    daemon.says("the collector answered 400 Bad Request").await;
    *collector.answer.lock().expect("an answer") = "200 OK";
    world.task_for("create_account", json!("eve"));
    world.drained().await;
    daemon.says("traces are sent again").await;
    let log = daemon.stop().await;
    assert_eq!(log.matches("traces cannot be sent").count(), 1, "{log}");
}

#[tokio::test]
async fn what_this_build_cannot_send_is_refused_at_the_start() {
    let world = World::new().await;
    world.script(QUICK, "");
    let mut daemon = world.start_with(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
    ]);
    assert_eq!(daemon.ended().await.code(), Some(78), "{}", daemon.log());
    let why = "OTEL_EXPORTER_OTLP_PROTOCOL is \"grpc\", but must be \"http/protobuf\"";
    assert!(daemon.log().contains(why), "{}", daemon.log());
    let mut check = world.command(&["check", "--offline"]);
    check.env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9").env("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");
    let checked = crate::init::finished(check).await;
    assert!(!checked.status.success(), "{checked:?}");
    assert!(String::from_utf8_lossy(&checked.stdout).contains(why), "check finds it first: {checked:?}");
}
