use std::fmt::Write as _;

use futures::future::join_all;
use serde_json::json;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use super::support::*;
use crate::{Api, Error, NewApp, Report, SyncId, TaskQuery, TaskStatus};

const STATUSES: [u16; 26] = [
    200, 201, 202, 203, 204, 206, 301, 302, 303, 304, 307, 308, 400, 401, 403, 404, 408, 409, 418, 422, 429,
    500, 501, 502, 503, 504,
];
const CALLS: [&str; 5] = ["read", "push", "start", "report", "create_app"];

/// Responds with the status at the start of the path, in the documented format.
fn answer(request: &Request) -> ResponseTemplate {
    let status: u16 = request.url.path_segments().unwrap().next().unwrap().parse().unwrap();
    let template = ResponseTemplate::new(status);
    match status {
        204 | 304 => template,
        200..=299 => template.set_body_json(json!({"results": [], "sync_id": "s1", "id": APP})),
        301..=308 => template.insert_header("location", "/200/leak/"),
        500..=599 => template.set_body_string("<html>oops</html>"),
        _ => template.set_body_json(json!({"detail": "What the Bridge says."})),
    }
}

async fn make(client: &Client, call: &str) -> Result<(), Error> {
    match call {
        "read" => client.tasks(app(), &TaskQuery { status: TaskStatus::Pending, limit: 50 }).await.map(drop),
        "push" => client.push(app(), &SyncId::new("s1"), &"team".into(), &[]).await.map(drop),
        "start" => client.start_sync(app()).await.map(drop),
        "report" => client.report(app(), &APP.into(), &Report::Completed { result: None }).await,
        _ => client.create_app(&NewApp { name: "HR".into(), clone_from: None }).await.map(drop),
    }
}

/// The number of requests that the server received below a path.
async fn count(server: &MockServer, below: &str) -> usize {
    let requests = server.received_requests().await.unwrap();
    requests.iter().filter(|request| request.url.path().starts_with(below)).count()
}

async fn outcome(server: &MockServer, status: u16, call: &str) -> (usize, Option<Error>) {
    let below = format!("/{status}/{call}/");
    let result = make(&client(&format!("{}{below}", server.uri())), call).await;
    (count(server, &below).await, result.err())
}

/// The handling of one status: a line for each call, an example of the message, and each piece of advice once.
async fn table(server: &MockServer, status: u16) -> String {
    let outcomes = join_all(CALLS.map(|call| outcome(server, status, call))).await;
    let mut table = format!("{status}\n");
    let mut sentence = None;
    let mut advice: Vec<(&str, Vec<&str>)> = Vec::new();
    for (call, (sent, error)) in CALLS.into_iter().zip(outcomes) {
        let Some(error) = error else {
            writeln!(table, "  {call:<10}  sent {sent}  success").unwrap();
            continue;
        };
        let debug = format!("{error:?}");
        let name = debug.split(' ').next().unwrap();
        write!(table, "  {call:<10}  sent {sent}  {name}, {:?}", error.effect()).unwrap();
        write!(table, "{}", if error.is_transient() { ", transient" } else { "" }).unwrap();
        writeln!(table, "{}", if error.is_access() { ", access" } else { "" }).unwrap();
        sentence.get_or_insert(error.to_string());
        match advice.iter_mut().find(|(known, _)| *known == error.advice()) {
            Some((_, calls)) => calls.push(call),
            None => advice.push((error.advice(), vec![call])),
        }
    }
    if let Some(sentence) = sentence {
        writeln!(table, "  such as: {sentence}").unwrap();
    }
    for (advice, calls) in advice {
        writeln!(table, "  advice to {}: {advice}", calls.join(", ")).unwrap();
    }
    table
}

#[tokio::test]
async fn every_status_is_handled_by_every_call() {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(answer).mount(&server).await;
    let tables = join_all(STATUSES.map(|status| table(&server, status))).await;
    insta::assert_snapshot!(tables.join("\n").replace(APP, "A"));
    assert_eq!(count(&server, "/200/leak").await, 0, "no redirect is followed");
}

/// A response that would end a task or mark a record as invalid counts only if it may come from the Bridge.
#[tokio::test]
async fn html_refusal_is_not_a_bridge_response() {
    for status in [400, 409, 422] {
        let server = MockServer::start().await;
        let page = ResponseTemplate::new(status).set_body_string("<html>Request Header Too Large</html>");
        Mock::given(any()).respond_with(page).mount(&server).await;
        for call in ["push", "report"] {
            let error = make(&client(&server.uri()), call).await.unwrap_err();
            assert!(matches!(error, Error::Malformed { .. }) && error.is_transient(), "{call}: {error}");
        }
    }
}

/// Any other response may come from a proxy; if Iden did receive the report, repeating it returns 409.
#[tokio::test]
async fn report_is_accepted_only_if_the_task_is_returned() {
    let cases = [
        (json!({"id": APP, "status": "completed"}), true),
        (json!({"id": APP.to_uppercase(), "status": "done"}), true),
        (json!({"status": "completed"}), true),
        (json!({}), false),
        (json!({"status": "ok"}), false),
        (json!({"id": null, "status": "FAILED"}), true),
        (json!({"id": APP, "status": "pending"}), false),
        (json!({"id": "another", "status": "completed"}), false),
        (json!({"id": 7}), false),
        (json!({"id": {"a": 1}, "status": "completed"}), false),
        (json!({"id": APP, "status": ["completed"]}), false),
    ];
    for (answer, is_heard) in cases {
        let server = MockServer::start().await;
        Mock::given(any())
            .respond_with(ResponseTemplate::new(200).set_body_json(&answer))
            .mount(&server)
            .await;
        let heard = make(&client(&server.uri()), "report").await;
        assert_eq!(heard.is_ok(), is_heard, "{answer}: {heard:?}");
        assert!(heard.err().is_none_or(|error| error.is_transient()), "{answer}");
    }
}

/// Otherwise another task's payload would be executed under this task's name.
#[tokio::test]
async fn response_with_another_task_is_malformed() {
    let server = MockServer::start().await;
    let other = json!({"id": "t2", "action": "delete_account", "payload": {"account": {"id": "u2"}}});
    Mock::given(any()).respond_with(ResponseTemplate::new(200).set_body_json(other)).mount(&server).await;
    let client = client(&server.uri());
    assert!(matches!(client.task(app(), &"t1".into()).await, Err(Error::Malformed { .. })));
    assert_eq!(client.task(app(), &"T2".into()).await.unwrap().id.as_str(), "t2");
}
