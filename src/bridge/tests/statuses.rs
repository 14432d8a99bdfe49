use std::fmt::Write as _;

use futures::future::join_all;
use serde_json::json;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use super::support::*;
use crate::bridge::{Api, Error, NewApp, Report, SyncId, TaskQuery, TaskStatus};

const STATUSES: [u16; 26] = [
    200, 201, 202, 203, 204, 206, 301, 302, 303, 304, 307, 308, 400, 401, 403, 404, 408, 409, 418, 422, 429,
    500, 501, 502, 503, 504,
];
const CALLS: [&str; 5] = ["read", "push", "start", "report", "create_app"];

/// Answers with the status that the address begins with, in the form the documents give it.
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
        "report" => client.report(app(), &"t1".into(), &Report::Completed { result: None }).await,
        _ => client.create_app(&NewApp { name: "HR".into(), clone_from: None }).await.map(drop),
    }
}

/// How many requests the server saw below an address.
async fn count(server: &MockServer, below: &str) -> usize {
    let requests = server.received_requests().await.unwrap();
    requests.iter().filter(|request| request.url.path().starts_with(below)).count()
}

async fn outcome(server: &MockServer, status: u16, call: &str) -> (usize, Option<Error>) {
    let below = format!("/{status}/{call}/");
    let result = make(&client(&format!("{}{below}", server.uri())), call).await;
    (count(server, &below).await, result.err())
}

/// What becomes of one status: a line for each call, an example of the sentence, and each piece of advice
/// once.
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
async fn every_status_means_something_to_every_call() {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(answer).mount(&server).await;
    let tables = join_all(STATUSES.map(|status| table(&server, status))).await;
    insta::assert_snapshot!(tables.join("\n").replace(APP, "A"));
    assert_eq!(count(&server, "/200/leak").await, 0, "no redirect is followed");
}
