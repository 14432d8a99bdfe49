//! Faults, as a client sees them.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use tokio::time::Instant;

use super::client::send;
use super::{Answer, Client};
use crate::{Canned, Effect, Fault, Loss};

async fn report(client: &Client, task: &str) -> Result<Answer, reqwest::Error> {
    let path = format!("tasks/{task}/status/");
    send(client.request(Method::PATCH, &path).json(&json!({"status": "completed"}))).await
}

fn status_of(client: &Client) -> String {
    client.sandbox.tasks(client.app)[0]["status"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn canned_response_has_headers_and_no_effect() {
    let client = Client::start().await;
    let task = client.sandbox.add_task(client.app, json!({}));
    let answers = [
        (Effect::retry_after(429, 7), 429, "told to answer 429"),
        (Effect::answer_json(422, json!({"detail": "no"})), 422, r#"{"detail":"no"}"#),
        (
            Effect::Answer(Canned {
                status: 500,
                body: None,
                text: Some("<not json>".into()),
                headers: BTreeMap::from([("X-Any".into(), "thing".into())]),
            }),
            500,
            "<not json>",
        ),
    ];
    for (effect, status, text) in answers {
        client.sandbox.add_fault(Fault::new(effect).times(1));
        let answer = report(&client, &task).await.unwrap();
        assert_eq!(answer.status, status);
        assert!(answer.text.contains(text), "{}", answer.text);
        assert_eq!(answer.headers.contains_key("retry-after"), status == 429);
        assert_eq!(answer.headers.contains_key("x-any"), status == 500);
    }
    assert_eq!(status_of(&client), "pending");
    report(&client, &task).await.unwrap().is(200);
}

#[tokio::test]
async fn cut_before_handling_leaves_the_task_pending() {
    let client = Client::start().await;
    let task = client.sandbox.add_task(client.app, json!({}));
    client.sandbox.add_fault(Fault::new(Effect::Cut).times(1));
    assert!(report(&client, &task).await.is_err());
    assert_eq!(status_of(&client), "pending");
    report(&client, &task).await.unwrap().is(200);
}

#[tokio::test]
async fn lost_response_leaves_the_task_completed() {
    for loss in [Loss::Cut, Loss::Truncate, Loss::Status(500)] {
        let client = Client::start().await;
        let task = client.sandbox.add_task(client.app, json!({}));
        client.sandbox.add_fault(Fault::new(Effect::Lose(loss)).method("PATCH").times(1));
        match (loss, report(&client, &task).await) {
            (Loss::Status(500), Ok(answer)) => {
                assert_eq!((answer.status, answer.body.is_null()), (500, true));
            }
            (Loss::Cut | Loss::Truncate, Err(_)) => {}
            (loss, other) => panic!("{loss:?} gave {other:?}"),
        }
        assert_eq!(status_of(&client), "completed", "{loss:?}");
        report(&client, &task).await.unwrap().is(409);
    }
}

#[tokio::test]
async fn truncated_response_has_headers_and_half_a_body() {
    let client = Client::start().await;
    client.sandbox.add_fault(Fault::new(Effect::Lose(Loss::Truncate)).times(1));
    let mut response = client.request(Method::GET, "tasks/").send().await.unwrap();
    assert_eq!(response.status(), 200);
    let whole = response.content_length().unwrap();
    let mut read = 0;
    let failed = loop {
        match response.chunk().await {
            Ok(Some(chunk)) => read += chunk.len() as u64,
            Ok(None) => break false,
            Err(_) => break true,
        }
    };
    assert!(failed && read == whole / 2, "{read} of {whole}");
}

#[tokio::test]
async fn truncated_bodyless_response_is_dropped() {
    let client = Client::start().await;
    let sync = client.start_sync().await;
    client.sandbox.add_fault(Fault::new(Effect::Lose(Loss::Truncate)).path("**/complete/"));
    let request = client.request(Method::POST, &format!("sync/{sync}/complete/"));
    assert!(send(request).await.is_err());
    assert_eq!(client.progress(&sync).await.0, "cleaning");
}

#[tokio::test]
async fn delayed_report_takes_effect_before_its_response() {
    let client = Client::start().await;
    let task = client.sandbox.add_task(client.app, json!({}));
    client.sandbox.add_fault(Fault::new(Effect::Delay(Duration::from_hours(1))).method("PATCH"));
    let reporting = report(&client, &task);
    let watching = async {
        while status_of(&client) == "pending" {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::select! {
        answer = reporting => panic!("answered at once: {answer:?}"),
        () = watching => {}
    }
    // The client has disconnected, but the effect stays.
    assert_eq!(status_of(&client), "completed");
    let seen = client.sandbox.reports(&task);
    assert_eq!((seen[0].status, seen[0].handled), (None, Some(200)));
}

#[tokio::test]
async fn stalled_report_of_a_disconnected_client_has_no_effect() {
    let client = Client::start().await;
    let task = client.sandbox.add_task(client.app, json!({}));
    let stall = Duration::from_secs(1);
    client.sandbox.add_fault(Fault::new(Effect::Stall(stall)).method("PATCH").times(1));
    let arriving = async {
        while client.sandbox.ledger().is_empty() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::select! {
        answer = report(&client, &task) => panic!("answered at once: {answer:?}"),
        () = arriving => {}
    }
    tokio::time::sleep(stall * 3 / 2).await;
    assert_eq!(status_of(&client), "pending");
    assert_eq!(client.sandbox.ledger()[0].handled, None);
}

#[tokio::test]
async fn delay_holds_back_the_response() {
    let client = Client::start().await;
    let by = Duration::from_millis(60);
    client.sandbox.add_fault(Fault::new(Effect::Delay(by)).times(1));
    client.sandbox.add_fault(Fault::new(Effect::Stall(by)).times(1));
    let started = Instant::now();
    client.get("tasks/").await.is(200);
    assert!(started.elapsed() >= by * 2);
}

#[tokio::test]
async fn garbage_is_html_with_a_chosen_status() {
    let client = Client::start().await;
    let task = client.sandbox.add_task(client.app, json!({}));
    client.sandbox.add_fault(Fault::new(Effect::Garbage { status: 200 }).times(1));
    let answer = report(&client, &task).await.unwrap();
    assert_eq!(answer.status, 200);
    assert!(answer.headers["content-type"].to_str().unwrap().starts_with("text/html"));
    assert!(answer.text.starts_with("<!DOCTYPE html>"));
    assert_eq!(status_of(&client), "completed");
}

#[tokio::test]
async fn endless_response_ends_only_with_the_client() {
    let client = Client::start().await;
    client.sandbox.add_fault(Fault::new(Effect::Endless).times(1));
    let mut response = client.request(Method::GET, "tasks/").send().await.unwrap();
    let mut read = 0;
    while read < 8 * 1024 * 1024 {
        read += response.chunk().await.unwrap().expect("more").len();
    }
    drop(response);
    client.get("tasks/").await.is(200);
}

#[tokio::test]
async fn slow_loris_sends_byte_by_byte() {
    let client = Client::start().await;
    let every = Duration::from_millis(1);
    client.sandbox.add_fault(Fault::new(Effect::SlowLoris { every }).times(1));
    let started = Instant::now();
    let answer = client.get("tasks/").await;
    assert!(started.elapsed() >= every * u32::try_from(answer.text.len()).unwrap());
    assert_eq!(answer.is(200)["count"], 0);
}

#[tokio::test]
async fn foreign_and_looping_next_links_are_returned() {
    let client = Client::start().await;
    client.sandbox.add_fault(Fault::new(Effect::ForeignNext { to: None }).path("**/tasks/").times(1));
    let next = client.get("tasks/?limit=5").await.is(200)["next"].clone();
    assert!(next.as_str().unwrap().starts_with("https://elsewhere.invalid/org/"), "{next}");
    let to = Some("http://127.0.0.2:9/steal".to_owned());
    client.sandbox.add_fault(Fault::new(Effect::ForeignNext { to: to.clone() }).times(1));
    assert_eq!(client.get("tasks/").await.is(200)["next"], json!(to));
    client.sandbox.add_fault(Fault::new(Effect::LoopingNext).times(2));
    let path = "tasks/?status=pending&limit=5";
    let next = client.get(path).await.is(200)["next"].clone();
    assert_eq!(next, client.url(path));
    assert_eq!(client.get(next.as_str().unwrap()).await.is(200)["next"], next);
    assert_eq!(client.get(path).await.is(200)["next"], json!(null));
}

#[tokio::test]
async fn faults_match_by_method_path_app_skip_and_times() {
    let client = Client::start().await;
    let fault =
        Fault::new(Effect::answer(503)).method("get").path("^.*/tasks/$").app(client.app).skip(1).times(1);
    let id = client.sandbox.add_fault(fault);
    client.get("resource-types/").await.is(200);
    client.get("tasks/").await.is(200);
    client.get("tasks/").await.is(503);
    client.get("tasks/").await.is(200);
    let status = client.sandbox.faults().remove(0);
    assert_eq!((status.id, status.matched, status.fired), (id, 3, 1));
    assert_eq!(client.sandbox.ledger()[2].faults, [id]);
}

#[tokio::test]
async fn faults_can_be_removed_individually_or_all() {
    let client = Client::start().await;
    let first = client.sandbox.add_fault(Fault::new(Effect::answer(503)));
    client.sandbox.add_fault(Fault::new(Effect::answer(502)));
    client.get("tasks/").await.is(503);
    assert!(client.sandbox.remove_fault(first) && !client.sandbox.remove_fault(first));
    client.get("tasks/").await.is(502);
    client.sandbox.clear_faults();
    client.get("tasks/").await.is(200);
}

#[tokio::test]
async fn invalid_pattern_never_matches() {
    let client = Client::start().await;
    client.sandbox.add_fault(Fault::new(Effect::answer(503)).path("^("));
    client.get("tasks/").await.is(200);
}
