//! Sync sessions: PUT semantics, cancelling, the cleanup.

use std::time::Duration;

use serde_json::{Value, json};
use uuid::Uuid;

use super::Client;
use crate::Cleanup;

const CLEANUP: Duration = Duration::from_mins(1);

fn groups(ids: &[&str]) -> Value {
    ids.iter().map(|id| json!({"id": id, "name": id})).collect()
}

/// Pushes groups in a separate session, completes it and lets the cleanup run.
async fn sync_groups(client: &Client, ids: &[&str]) {
    let sync = client.start_sync().await;
    client.push(&sync, "team", groups(ids)).await.is(200);
    client.complete(&sync).await.is(202);
    client.sandbox.advance_clock(CLEANUP);
}

fn states(of: &[(&str, bool)]) -> Vec<(String, bool)> {
    of.iter().map(|(id, active)| ((*id).to_owned(), *active)).collect()
}

#[tokio::test]
async fn starting_a_session_returns_201_and_a_new_id() {
    let client = Client::start().await;
    let answer = client.post("sync/", json!({})).await.is(201);
    assert_eq!(answer.as_object().unwrap().len(), 1);
    let id: Uuid = answer["sync_id"].as_str().unwrap().parse().unwrap();
    assert_ne!(client.start_sync().await, id.to_string());
}

#[tokio::test]
async fn progress_lists_every_type_with_distinct_id_counts() {
    let client = Client::with_types().await;
    let sync = client.start_sync().await;
    client.push(&sync, "team", groups(&["a", "b"])).await.is(200);
    client.push(&sync, "team", groups(&["b", "c"])).await.is(200);
    let answer = client.get(&format!("sync/{sync}/")).await.is(200);
    assert_eq!(
        answer,
        json!({"sync_id": sync, "status": "in_progress", "progress": [
            {"slug": "team", "name": "TEAM", "type": "group", "synced_count": 3},
            {"slug": "seat", "name": "SEAT", "type": "license", "synced_count": 0},
            {"slug": "account", "name": "ACCOUNT", "type": "account", "synced_count": 0},
        ]})
    );
}

#[tokio::test]
async fn completing_returns_202_and_cleanup_removes_unpushed_records() {
    let client = Client::with_types().await;
    sync_groups(&client, &["a", "b", "c"]).await;
    let sync = client.start_sync().await;
    client.push(&sync, "team", groups(&["b", "d"])).await.is(200);
    let answer = client.complete(&sync).await;
    assert_eq!((answer.status, answer.text.as_str()), (202, ""));
    assert_eq!(client.progress(&sync).await.0, "cleaning");
    assert_eq!(client.records("team"), states(&[("a", true), ("b", true), ("c", true), ("d", true)]));
    client.sandbox.advance_clock(CLEANUP);
    assert_eq!(
        client.progress(&sync).await,
        ("completed".into(), vec![("team".into(), 2), ("seat".into(), 0), ("account".into(), 0)])
    );
    assert_eq!(client.records("team"), states(&[("a", false), ("b", true), ("c", false), ("d", true)]));
}

#[tokio::test]
async fn cleanup_removes_all_records_of_an_unpushed_type() {
    let client = Client::with_types().await;
    sync_groups(&client, &["a"]).await;
    let sync = client.start_sync().await;
    client.complete(&sync).await.is(202);
    client.sandbox.advance_clock(CLEANUP);
    assert_eq!(client.records("team"), states(&[("a", false)]));
}

#[tokio::test]
async fn removed_record_is_reactivated_by_a_push() {
    let client = Client::with_types().await;
    sync_groups(&client, &["a", "b"]).await;
    sync_groups(&client, &["b"]).await;
    assert_eq!(client.records("team"), states(&[("a", false), ("b", true)]));
    sync_groups(&client, &["a", "b"]).await;
    assert_eq!(client.records("team"), states(&[("a", true), ("b", true)]));
}

#[tokio::test]
async fn abandoning_returns_204_and_keeps_all_records() {
    let client = Client::with_types().await;
    sync_groups(&client, &["a", "b"]).await;
    let sync = client.start_sync().await;
    client.push(&sync, "team", groups(&["c"])).await.is(200);
    let answer = client.abandon(&sync).await;
    assert_eq!((answer.status, answer.text.as_str()), (204, ""));
    client.sandbox.advance_clock(CLEANUP);
    assert_eq!(client.progress(&sync).await.0, "abandoned");
    assert_eq!(client.progress(&sync).await.1[0], ("team".into(), 1));
    assert_eq!(client.records("team"), states(&[("a", true), ("b", true), ("c", true)]));
}

#[tokio::test]
async fn new_session_cancels_and_discards_the_unfinished_one() {
    let client = Client::with_types().await;
    sync_groups(&client, &["a"]).await;
    let first = client.start_sync().await;
    client.push(&first, "team", groups(&["b", "c"])).await.is(200);
    let second = client.start_sync().await;
    assert_eq!(client.progress(&first).await.0, "cancelled");
    assert_eq!(client.progress(&first).await.1[0], ("team".into(), 0));
    // Pushes still return 200, but have no effect.
    let answer = client.push(&first, "team", groups(&["d"])).await.is(200);
    assert_eq!(answer["total"], 1);
    assert_eq!(client.progress(&first).await.1[0], ("team".into(), 0));
    client.push(&second, "team", groups(&["a", "e"])).await.is(200);
    client.complete(&second).await.is(202);
    client.sandbox.advance_clock(CLEANUP);
    assert_eq!(client.records("team"), states(&[("a", true), ("e", true)]));
}

#[tokio::test]
async fn cancelled_session_accepts_refs_to_discarded_groups() {
    let client = Client::with_types().await;
    let first = client.start_sync().await;
    client.push(&first, "team", groups(&["g1"])).await.is(200);
    client.start_sync().await;
    let record = json!({"id": "u1", "username": "a", "memberships": {"team": ["g1"]}});
    client.push(&first, "account", json!([record])).await.is(200);
    client.push(&first, "account", json!([{"id": "u1"}])).await.refuses_somehow(400);
}

#[tokio::test]
async fn cancelled_session_cannot_be_completed_or_abandoned() {
    let client = Client::with_types().await;
    sync_groups(&client, &["a"]).await;
    let first = client.start_sync().await;
    client.start_sync().await;
    client.complete(&first).await.refuses_somehow(400);
    client.abandon(&first).await.refuses_somehow(400);
    client.sandbox.advance_clock(CLEANUP);
    assert_eq!(client.records("team"), states(&[("a", true)]));
}

#[tokio::test]
async fn sessions_of_other_apps_are_not_found_or_cancelled() {
    let mut client = Client::with_types().await;
    let first = client.start_sync().await;
    let app = std::mem::replace(&mut client.app, Uuid::new_v4());
    client.sandbox.add_app(client.app, "other");
    client.start_sync().await;
    client.get(&format!("sync/{first}/")).await.refuses(404, "Sync session not found.");
    client.app = app;
    assert_eq!(client.progress(&first).await.0, "in_progress");
}

#[tokio::test]
async fn records_of_an_unfinished_session_are_not_yet_visible() {
    let client = Client::with_types().await;
    let sync = client.start_sync().await;
    client.push(&sync, "team", groups(&["a"])).await.is(200);
    assert_eq!(client.records("team"), []);
}

#[tokio::test]
async fn ended_session_accepts_no_records() {
    let client = Client::with_types().await;
    let completed = client.start_sync().await;
    client.complete(&completed).await.is(202);
    let abandoned = client.start_sync().await;
    client.abandon(&abandoned).await.is(204);
    for cleaned in [false, true] {
        if cleaned {
            client.sandbox.advance_clock(CLEANUP);
        }
        for sync in [&completed, &abandoned] {
            client.push(sync, "team", groups(&["a"])).await.refuses_somehow(400);
            client.complete(sync).await.refuses_somehow(400);
            client.abandon(sync).await.refuses_somehow(400);
        }
    }
    client
        .push(&completed, "team", groups(&["a"]))
        .await
        .refuses(400, "Sync session is in 'completed' state; start a new one.");
    assert_eq!(client.progress(&abandoned).await.0, "abandoned");
    assert_eq!(client.records("team"), []);
}

#[tokio::test]
async fn failed_cleanup_removes_nothing() {
    let client = Client::with_types().await;
    sync_groups(&client, &["a"]).await;
    let before = client.get("/apps/").await.is(200)["results"][0]["last_synced_at"].clone();
    client.sandbox.set_cleanup(Cleanup::after(CLEANUP).failing(1));
    let sync = client.start_sync().await;
    client.push(&sync, "team", groups(&["b"])).await.is(200);
    client.complete(&sync).await.is(202);
    assert_eq!(client.progress(&sync).await.0, "cleaning");
    client.sandbox.advance_clock(CLEANUP);
    let answer = client.get(&format!("sync/{sync}/")).await.is(200);
    assert_eq!(answer["status"], "error");
    assert_eq!(
        answer["error"],
        json!({"error_code": "CLEANUP_FAILED", "message": "Cleanup task failed after maximum retries."})
    );
    assert_eq!(answer["progress"][0]["synced_count"], 1);
    assert_eq!(client.records("team"), states(&[("a", true), ("b", true)]));
    assert_eq!(client.get("/apps/").await.is(200)["results"][0]["last_synced_at"], before);
    client.push(&sync, "team", groups(&["c"])).await.refuses_somehow(400);
    // A new session fixes it.
    sync_groups(&client, &["b"]).await;
    assert_eq!(client.records("team"), states(&[("a", false), ("b", true)]));
}

#[tokio::test]
async fn cleanup_failures_can_be_limited_to_one_app() {
    let client = Client::with_types().await;
    client.sandbox.set_cleanup(Cleanup { app: Some(Uuid::new_v4()), ..Cleanup::after(CLEANUP).failing(1) });
    sync_groups(&client, &["a"]).await;
    sync_groups(&client, &["b"]).await;
    assert_eq!(client.records("team"), states(&[("a", false), ("b", true)]));
    assert_eq!(client.sandbox.settings().cleanup.failures, 1);
}

#[tokio::test]
async fn refused_completion_does_not_consume_a_failure() {
    let client = Client::with_types().await;
    client.sandbox.set_cleanup(Cleanup::after(CLEANUP).failing(1));
    client.complete(&Uuid::new_v4().to_string()).await.refuses_somehow(404);
    assert_eq!(client.sandbox.settings().cleanup.failures, 1);
}

#[tokio::test]
async fn late_cleanup_keeps_records_of_a_newer_session() {
    let client = Client::with_types().await;
    sync_groups(&client, &["a"]).await;
    let slow = client.start_sync().await;
    client.push(&slow, "team", groups(&["b"])).await.is(200);
    client.complete(&slow).await.is(202);
    let newer = client.start_sync().await;
    client.push(&newer, "team", groups(&["c"])).await.is(200);
    client.abandon(&newer).await.is(204);
    assert_eq!(client.progress(&slow).await.0, "cleaning");
    client.sandbox.advance_clock(CLEANUP);
    assert_eq!(client.records("team"), states(&[("a", false), ("b", true), ("c", true)]));
}

#[tokio::test]
async fn last_synced_at_is_the_time_of_successful_cleanup() {
    let client = Client::with_types().await;
    let last = async || client.get("/apps/").await.is(200)["results"][0]["last_synced_at"].clone();
    let sync = client.start_sync().await;
    client.abandon(&sync).await.is(204);
    assert_eq!(last().await, Value::Null);
    let sync = client.start_sync().await;
    let before = client.sandbox.now();
    client.complete(&sync).await.is(202);
    assert_eq!(last().await, Value::Null);
    client.sandbox.advance_clock(CLEANUP);
    let synced: jiff::Timestamp = last().await.as_str().unwrap().parse().unwrap();
    assert!(synced.duration_since(before) >= jiff::SignedDuration::from_secs(60));
}

#[tokio::test]
async fn cleanup_runs_without_advancing_the_clock() {
    let client = Client::with_types().await;
    client.sandbox.set_cleanup(Cleanup::after(Duration::from_millis(5)));
    let sync = client.start_sync().await;
    client.complete(&sync).await.is(202);
    while client.progress(&sync).await.0 == "cleaning" {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert_eq!(client.progress(&sync).await.0, "completed");
}

#[tokio::test]
async fn clones_share_types_but_not_records() {
    let mut client = Client::with_types().await;
    sync_groups(&client, &["a"]).await;
    let body = json!({"name": "clone", "clone_from": client.app});
    let clone = client.post("/apps/", body).await.is(201)["id"].clone();
    client.app = clone.as_str().unwrap().parse().unwrap();
    assert_eq!(client.records("team"), []);
}
