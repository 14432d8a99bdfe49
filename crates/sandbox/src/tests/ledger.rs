//! Ledger entries of requests, and the reports on a task.

use serde_json::{Value, json};

use super::Client;
use crate::{Effect, Fault, Filter, Loss, Options};

#[tokio::test]
async fn ledger_records_every_bridge_request_in_order() {
    let client = Client::with_types().await;
    let sync = client.start_sync().await;
    client.sandbox.clear_ledger();
    let task = client.sandbox.add_task(client.app, json!({}));
    client.get("tasks/?status=pending").await.is(200);
    client.push(&sync, "team", json!([{"id": "g1", "name": "G"}])).await.is(200);
    client.report(&task).await.is(200);
    client.report(&task).await.refuses_somehow(409);
    let entries = client.sandbox.ledger();
    let told: Vec<_> = entries
        .iter()
        .map(|one| {
            (
                one.method.as_str(),
                one.path.rsplit("/apps/").next().unwrap_or_default()[36..].to_owned(),
                one.query.as_deref(),
                one.status,
                one.body.clone(),
            )
        })
        .collect();
    let path = format!("/tasks/{task}/status/");
    let body = Some(json!({"status": "completed"}));
    assert_eq!(
        told,
        [
            ("GET", "/tasks/".into(), Some("status=pending"), Some(200), None),
            (
                "PUT",
                format!("/sync/{sync}/team/"),
                None,
                Some(200),
                Some(json!({"records": [{"id": "g1", "name": "G"}]}))
            ),
            ("PATCH", path.clone(), None, Some(200), body.clone()),
            ("PATCH", path, None, Some(409), body),
        ]
    );
    assert!(
        entries.windows(2).all(|two| two[0].sequence + 1 == two[1].sequence && two[0].time <= two[1].time)
    );
    assert!(entries.iter().all(|one| one.app_id == Some(client.app)));
    assert_eq!(entries[3].task_id.as_deref(), Some(task.as_str()));
}

#[tokio::test]
async fn ledger_records_refused_requests() {
    let mut client = Client::start().await;
    client.use_key("nobody");
    client.get("tasks/").await.refuses_somehow(401);
    let entry = client.sandbox.ledger().remove(0);
    assert_eq!((entry.status, entry.handled), (Some(401), Some(401)));
}

#[tokio::test]
async fn ledger_omits_control_plane_requests() {
    let client = Client::start().await;
    client.control(reqwest::Method::GET, "health", Value::Null).await.is(200);
    assert_eq!(client.sandbox.ledger(), []);
}

#[tokio::test]
async fn ledger_contains_no_key() {
    let client = Client::start().await;
    client.get("tasks/").await.is(200);
    let key = client.sandbox.api_key();
    assert!(!format!("{:?}", client.sandbox.ledger()).contains(key));
    assert!(!format!("{:?}{:?}", client.sandbox, client.sandbox.keys()).contains(key));
}

#[tokio::test]
async fn ledger_can_be_filtered() {
    let client = Client::start().await;
    let task = client.sandbox.add_task(client.app, json!({}));
    client.get("tasks/").await.is(200);
    client.report(&task).await.is(200);
    client.report(&task).await.refuses_somehow(409);
    let count = |filter: Filter| client.sandbox.ledger_matching(&filter).len();
    let any = Filter::default;
    assert_eq!(count(any()), 3);
    assert_eq!(count(Filter { method: Some("patch".into()), ..any() }), 2);
    assert_eq!(count(Filter { path: Some("/status/".into()), ..any() }), 2);
    assert_eq!(count(Filter { status: Some(409), ..any() }), 1);
    assert_eq!(count(Filter { handled: Some(200), ..any() }), 2);
    assert_eq!(count(Filter { task: Some(task), ..any() }), 2);
    assert_eq!(count(Filter { app: Some(uuid::Uuid::nil()), ..any() }), 0);
    assert_eq!(count(Filter { after: Some(1), limit: Some(1), ..any() }), 1);
    assert_eq!(count(Filter { offset: Some(2), ..any() }), 1);
}

#[tokio::test]
async fn ledger_reports_show_response_and_effect() {
    let client = Client::start().await;
    let task = client.sandbox.add_task(client.app, json!({}));
    let on_status = |effect| Fault::new(effect).method("PATCH").path("**/status/").times(1);
    client.sandbox.add_fault(on_status(Effect::answer(503)));
    client.sandbox.add_fault(on_status(Effect::Cut));
    client.sandbox.add_fault(on_status(Effect::Lose(Loss::Status(502))));
    client.report(&task).await.is(503);
    let path = format!("tasks/{task}/status/");
    let request = client.request(reqwest::Method::PATCH, &path);
    super::client::send(request.json(&json!({"status": "completed"}))).await.unwrap_err();
    client.report(&task).await.is(502);
    client.report(&task).await.is(409);
    let reports = client.sandbox.reports(&task);
    let seen: Vec<_> =
        reports.iter().map(|one| (one.status, one.handled, one.took_effect(), one.body.is_null())).collect();
    assert_eq!(
        seen,
        [
            (Some(503), None, false, false),
            (None, None, false, true),
            (Some(502), Some(200), true, false),
            (Some(409), Some(409), false, false),
        ]
    );
    assert_eq!(reports[0].body, json!({"status": "completed"}));
}

#[tokio::test]
async fn full_ledger_counts_dropped_entries() {
    let client = Client::with(Options { ledger_entries: 3, ..Options::default() }).await;
    for _ in 0..5 {
        client.get("tasks/").await.is(200);
    }
    assert_eq!(client.sandbox.ledger().len(), 3);
    assert_eq!(client.sandbox.ledger()[0].sequence, 3);
    assert_eq!(client.sandbox.ledger_dropped(), 2);
    let list = client.control(reqwest::Method::GET, "ledger", Value::Null).await.is(200);
    assert_eq!((&list["count"], &list["dropped"]), (&json!(3), &json!(2)));
}
