//! `…/tasks/`.

use std::time::Duration;

use serde_json::{Value, json};
use uuid::Uuid;

use super::Client;
use crate::{Settings, TaskOrder};

const FOUR: &str = "status: Input should be 'pending', 'scheduled', 'completed' or 'failed'";

async fn ids(client: &Client, path: &str) -> Vec<String> {
    let list = client.get(path).await.is(200);
    let tasks = list["results"].as_array().unwrap();
    tasks.iter().map(|task| task["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn task_has_the_documented_fields() {
    let client = Client::start().await;
    let id = client.sandbox.add_task(client.app, json!({}));
    let task = client.get(&format!("tasks/{id}/")).await.is(200);
    let mut names: Vec<&String> = task.as_object().unwrap().keys().collect();
    names.sort();
    assert_eq!(names, ["action", "created_at", "execute_after", "id", "payload", "resource_type", "status"]);
    assert!(id.parse::<Uuid>().is_ok());
    assert_eq!(
        (&task["action"], &task["resource_type"], &task["status"], &task["execute_after"]),
        (&json!("create_account"), &json!("account"), &json!("pending"), &Value::Null)
    );
    assert_eq!(task["payload"], json!({"account": null, "memberships": null, "changes": null}));
    assert_eq!(client.get("tasks/").await.is(200)["results"][0], task);
}

#[tokio::test]
async fn tasks_are_listed_oldest_first_in_pages_of_50() {
    let client = Client::start().await;
    let tasks = (0..120).map(|n| {
        json!({
            "id": format!("t{n}"),
            "created_at": format!("2026-01-01T00:{:02}:{:02}Z", (119 - n) / 60, (119 - n) % 60)
        })
    });
    client.sandbox.add_tasks(client.app, tasks);
    let mut next = Some("tasks/?status=pending".to_owned());
    let mut seen = Vec::new();
    let mut sizes = Vec::new();
    while let Some(path) = next {
        let page = client.get(&path).await.is(200);
        assert_eq!(page["count"], 120);
        let results = page["results"].as_array().unwrap();
        sizes.push(results.len());
        seen.extend(results.iter().map(|task| task["id"].clone()));
        next = page["next"].as_str().map(str::to_owned);
        if let Some(next) = &next {
            assert!(next.starts_with(&client.url("tasks/?")) && next.contains("status=pending"), "{next}");
        }
        assert_eq!(page["previous"].is_null(), sizes.len() == 1);
    }
    assert_eq!(sizes, [50, 50, 20]);
    let wanted: Vec<Value> = (0..120).rev().map(|n| json!(format!("t{n}"))).collect();
    assert_eq!(seen, wanted);
}

#[tokio::test]
async fn limit_and_offset_select_up_to_100_tasks() {
    let client = Client::start().await;
    client.sandbox.add_tasks(client.app, (0..130).map(|n| json!({"id": format!("t{n}")})));
    assert_eq!(ids(&client, "tasks/?limit=3&offset=127").await, ["t127", "t128", "t129"]);
    assert_eq!(ids(&client, "tasks/?limit=1000").await.len(), 100);
    assert_eq!(ids(&client, "tasks/?offset=500").await.len(), 0);
    let page = client.get("tasks/?limit=10&offset=5").await.is(200);
    assert!(page["previous"].as_str().unwrap().ends_with("limit=10&offset=0"));
    for query in ["limit=0", "limit=x", "offset=-1", "limit=-5"] {
        client.get(&format!("tasks/?{query}")).await.refuses_somehow(400);
    }
}

#[tokio::test]
async fn pages_shift_while_tasks_complete() {
    let client = Client::start().await;
    client.sandbox.add_tasks(client.app, (0..4).map(|n| json!({"id": format!("t{n}")})));
    let first = client.get("tasks/?status=pending&limit=2").await.is(200);
    client.report("t0").await.is(200);
    assert_eq!(ids(&client, first["next"].as_str().unwrap()).await, ["t3"]);
}

#[tokio::test]
async fn status_filter_accepts_only_four_states() {
    let client = Client::start().await;
    let tasks = ["pending", "scheduled", "completed", "failed"].map(|one| json!({"id": one, "status": one}));
    client.sandbox.add_tasks(client.app, tasks);
    for status in ["pending", "scheduled", "completed", "failed"] {
        assert_eq!(ids(&client, &format!("tasks/?status={status}")).await, [status]);
    }
    assert_eq!(ids(&client, "tasks/").await.len(), 4);
    for status in ["running", "PENDING", ""] {
        client.get(&format!("tasks/?status={status}")).await.refuses(400, FOUR);
    }
}

#[tokio::test]
async fn task_order_can_be_reversed() {
    let client = Client::start().await;
    client.sandbox.add_tasks(client.app, [json!({"id": "a"}), json!({"id": "b"})]);
    client.sandbox.set_settings(Settings { task_order: TaskOrder::NewestFirst, ..client.sandbox.settings() });
    assert_eq!(ids(&client, "tasks/").await, ["b", "a"]);
}

#[tokio::test]
async fn scheduled_task_becomes_pending_when_due() {
    let client = Client::start().await;
    let id = client.sandbox.add_task(client.app, json!({"execute_after_seconds": 3600}));
    assert_eq!(ids(&client, "tasks/?status=scheduled").await, [id.as_str()]);
    assert_eq!(ids(&client, "tasks/?status=pending").await.len(), 0);
    client
        .report(&id)
        .await
        .refuses(400, "Task is in 'scheduled' state and cannot be updated before it is pending.");
    client.sandbox.advance_clock(Duration::from_hours(1));
    assert_eq!(ids(&client, "tasks/?status=pending").await, [id.as_str()]);
    let task = client.get(&format!("tasks/{id}/")).await.is(200);
    assert_eq!(task["status"], "pending");
    assert!(task["execute_after"].is_string());
    client.report(&id).await.is(200);
}

#[tokio::test]
async fn report_returns_the_task() {
    let client = Client::start().await;
    for (body, status) in [
        (json!({"status": "completed"}), "completed"),
        (json!({"status": "completed", "result": null, "error": null}), "completed"),
        (json!({"status": "completed", "result": {"account_id": "u1"}}), "completed"),
        (json!({"status": "failed", "error": {"code": "TIMEOUT", "message": "No answer."}}), "failed"),
        (json!({"status": "failed", "result": {}, "error": {"code": "TIMEOUT", "message": "No."}}), "failed"),
    ] {
        let id = client.sandbox.add_task(client.app, json!({}));
        let before = client.get(&format!("tasks/{id}/")).await.is(200);
        let answer = client.patch(&format!("tasks/{id}/status/"), body).await.is(200);
        let mut wanted = before;
        wanted["status"] = status.into();
        assert_eq!(answer, wanted);
        assert_eq!(client.get(&format!("tasks/{id}/")).await.is(200), wanted);
    }
}

#[tokio::test]
async fn every_error_code_is_accepted() {
    let client = Client::start().await;
    for code in [
        "ACCOUNT_NOT_FOUND",
        "ACCOUNT_ALREADY_EXISTS",
        "LICENSE_EXHAUSTED",
        "PERMISSION_DENIED",
        "RATE_LIMITED",
        "TIMEOUT",
        "INTERNAL_ERROR",
    ] {
        let id = client.sandbox.add_task(client.app, json!({}));
        let error = json!({"code": code, "message": "User ext-123 not found in Jira"});
        client
            .patch(&format!("tasks/{id}/status/"), json!({"status": "failed", "error": error}))
            .await
            .is(200);
        let kept = client.sandbox.tasks(client.app);
        assert_eq!(kept.last().unwrap()["error"], error);
    }
}

#[tokio::test]
async fn invalid_report_returns_400() {
    let client = Client::start().await;
    let id = client.sandbox.add_task(client.app, json!({}));
    let two = "Input should be 'completed' or 'failed'";
    let codes = "Input should be 'ACCOUNT_NOT_FOUND', 'ACCOUNT_ALREADY_EXISTS', 'LICENSE_EXHAUSTED', \
                 'PERMISSION_DENIED', 'RATE_LIMITED', 'TIMEOUT' or 'INTERNAL_ERROR'";
    let object = "Input should be a valid dictionary";
    for (body, detail) in [
        (json!({}), "Field required"),
        (json!({"status": "pending"}), two),
        (json!({"status": "running"}), two),
        (json!({"status": null}), two),
        (json!({"status": "completed", "result": []}), object),
        (json!({"status": "completed", "result": "u1"}), object),
        (json!({"status": "completed", "error": "none"}), object),
        (
            json!({"status": "completed", "error": {"code": "TIMEOUT", "message": "m"}}),
            "Value error, 'error' must be null when status is 'completed'",
        ),
        (json!({"status": "failed"}), "Value error, 'error' is required when status is 'failed'"),
        (
            json!({"status": "failed", "error": null}),
            "Value error, 'error' is required when status is 'failed'",
        ),
        (json!({"status": "failed", "error": {"message": "m"}}), "Field required"),
        (json!({"status": "failed", "error": {"code": "TIMEOUT"}}), "Field required"),
        (json!({"status": "failed", "error": {"code": "GROUP_NOT_FOUND", "message": "m"}}), codes),
        (json!({"status": "failed", "error": {"code": "timeout", "message": "m"}}), codes),
        (
            json!({"status": "failed", "error": {"code": "TIMEOUT", "message": 1}}),
            "Input should be a valid string",
        ),
        (
            json!({"status": "failed", "error": {"code": "TIMEOUT", "message": ""}}),
            "String should have at least 1 character",
        ),
    ] {
        client.patch(&format!("tasks/{id}/status/"), body).await.refuses(400, detail);
    }
    assert_eq!(client.get(&format!("tasks/{id}/")).await.is(200)["status"], "pending");
}

#[tokio::test]
async fn reporting_an_ended_task_returns_the_documented_409() {
    let client = Client::start().await;
    let id = client.sandbox.add_task(client.app, json!({}));
    client.report(&id).await.is(200);
    client.report(&id).await.refuses(409, "Task is already in 'completed' state and cannot be updated.");
    let id = client.sandbox.add_task(client.app, json!({"status": "failed"}));
    client.report(&id).await.refuses(409, "Task is already in 'failed' state and cannot be updated.");
}

#[tokio::test]
async fn unknown_task_or_task_of_another_app_returns_404() {
    let client = Client::start().await;
    let other = Uuid::new_v4();
    let theirs = client.sandbox.add_task(other, json!({}));
    for id in [theirs, Uuid::new_v4().to_string(), "not-a-uuid".into()] {
        client.get(&format!("tasks/{id}/")).await.refuses(404, "Task not found.");
        client.report(&id).await.refuses(404, "Task not found.");
    }
}

#[tokio::test]
async fn completed_task_has_no_other_effects() {
    let client = Client::with_types().await;
    let payload = json!({"account": {"id": "u1", "email": "a@b.c"}});
    let id = client.sandbox.add_task(client.app, json!({"action": "create_account", "payload": payload}));
    client.report(&id).await.is(200);
    assert_eq!(client.records("account"), []);
}

#[tokio::test]
async fn malformed_task_is_listed_unchanged() {
    let client = Client::start().await;
    let sandbox = &client.sandbox;
    let broken = json!({"id": 17, "action": ["what"], "payload": "no"});
    sandbox.add_task(client.app, json!({"id": "before"}));
    let mut raw = broken.clone();
    raw["raw"] = true.into();
    sandbox.add_task(client.app, raw);
    sandbox.add_task(client.app, json!({"raw": true, "task": 42}));
    sandbox.add_task(client.app, json!({"id": "after", "action": "merge_account"}));
    let list = client.get("tasks/?status=pending").await.is(200);
    assert_eq!(list["count"], 4);
    assert_eq!((&list["results"][1], &list["results"][2]), (&broken, &json!(42)));
    assert_eq!(list["results"][3]["action"], "merge_account");
}

#[tokio::test]
async fn malformed_task_with_an_id_can_be_reported() {
    let client = Client::start().await;
    let task = json!({"raw": true, "id": "odd id/1", "status": "pending"});
    let id = client.sandbox.add_task(client.app, task);
    assert_eq!(id, "odd id/1");
    let path = "tasks/odd%20id%2F1/status/";
    let answer = client.patch(path, json!({"status": "completed"})).await.is(200);
    assert_eq!(answer, json!({"id": "odd id/1", "status": "completed"}));
    assert_eq!(client.sandbox.reports("odd id/1").len(), 1);
}

#[tokio::test]
async fn duplicate_raw_task_is_listed_twice_and_ends_once() {
    let client = Client::start().await;
    for _ in 0..2 {
        let task = json!({"raw": true, "id": "twice", "status": "pending"});
        client.sandbox.add_task(client.app, task);
    }
    assert_eq!(ids(&client, "tasks/?status=pending").await, ["twice", "twice"]);
    client.report("twice").await.is(200);
    assert_eq!(ids(&client, "tasks/?status=pending").await.len(), 0);
    client.report("twice").await.refuses_somehow(409);
}

#[tokio::test]
async fn task_added_again_replaces_the_first() {
    let client = Client::start().await;
    client.sandbox.add_task(client.app, json!({"id": "t1"}));
    client.report("t1").await.is(200);
    client.sandbox.add_task(client.app, json!({"id": "t1"}));
    assert_eq!(ids(&client, "tasks/").await, ["t1"]);
    client.report("t1").await.is(200);
    assert_eq!(client.sandbox.reports("t1").len(), 2);
}
