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
async fn starting_answers_201_and_a_new_id_alone() {
    let client = Client::start().await;
    let answer = client.post("sync/", json!({})).await.is(201);
    assert_eq!(answer.as_object().unwrap().len(), 1);
    let id: Uuid = answer["sync_id"].as_str().unwrap().parse().unwrap();
    assert_ne!(client.start_sync().await, id.to_string());
}

#[tokio::test]
async fn progress_names_every_type_and_counts_distinct_ids() {
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
async fn completing_answers_202_and_the_cleanup_removes_what_was_not_pushed() {
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
async fn a_type_that_was_not_pushed_at_all_is_removed_whole() {
    let client = Client::with_types().await;
    sync_groups(&client, &["a"]).await;
    let sync = client.start_sync().await;
    client.complete(&sync).await.is(202);
    client.sandbox.advance_clock(CLEANUP);
    assert_eq!(client.records("team"), states(&[("a", false)]));
}

#[tokio::test]
async fn a_removed_record_is_active_again_once_it_is_pushed() {
    let client = Client::with_types().await;
    sync_groups(&client, &["a", "b"]).await;
    sync_groups(&client, &["b"]).await;
    assert_eq!(client.records("team"), states(&[("a", false), ("b", true)]));
    sync_groups(&client, &["a", "b"]).await;
    assert_eq!(client.records("team"), states(&[("a", true), ("b", true)]));
}

#[tokio::test]
async fn abandoning_answers_204_keeps_what_was_pushed_and_removes_nothing() {
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
async fn a_new_session_cancels_the_unfinished_one_and_discards_what_it_pushed() {
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
async fn a_cancelled_session_takes_accounts_whose_groups_were_discarded() {
    let client = Client::with_types().await;
    let first = client.start_sync().await;
    client.push(&first, "team", groups(&["g1"])).await.is(200);
    client.start_sync().await;
    let record = json!({"id": "u1", "username": "a", "memberships": {"team": ["g1"]}});
    client.push(&first, "account", json!([record])).await.is(200);
    client.push(&first, "account", json!([{"id": "u1"}])).await.refuses_somehow(400);
}

#[tokio::test]
async fn a_cancelled_session_can_be_neither_completed_nor_abandoned() {
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
async fn sessions_of_another_app_are_neither_cancelled_nor_found() {
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
async fn what_an_unfinished_session_pushed_is_not_yet_the_apps() {
    let client = Client::with_types().await;
    let sync = client.start_sync().await;
    client.push(&sync, "team", groups(&["a"])).await.is(200);
    assert_eq!(client.records("team"), []);
}

#[tokio::test]
async fn an_ended_session_takes_nothing_more() {
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
async fn a_cleanup_that_fails_keeps_what_was_pushed_and_removes_nothing() {
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
async fn failures_of_the_cleanup_can_be_for_one_app() {
    let client = Client::with_types().await;
    client.sandbox.set_cleanup(Cleanup { app: Some(Uuid::new_v4()), ..Cleanup::after(CLEANUP).failing(1) });
    sync_groups(&client, &["a"]).await;
    sync_groups(&client, &["b"]).await;
    assert_eq!(client.records("team"), states(&[("a", false), ("b", true)]));
    assert_eq!(client.sandbox.settings().cleanup.failures, 1);
}

#[tokio::test]
async fn a_refused_completion_uses_up_no_failure() {
    let client = Client::with_types().await;
    client.sandbox.set_cleanup(Cleanup::after(CLEANUP).failing(1));
    client.complete(&Uuid::new_v4().to_string()).await.refuses_somehow(404);
    assert_eq!(client.sandbox.settings().cleanup.failures, 1);
}

#[tokio::test]
async fn a_late_cleanup_leaves_alone_what_a_newer_session_pushed() {
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
async fn last_synced_at_is_when_the_cleanup_succeeded() {
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
async fn a_cleanup_runs_without_the_clock_being_moved() {
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
async fn clones_share_types_and_not_records() {
    let mut client = Client::with_types().await;
    sync_groups(&client, &["a"]).await;
    let body = json!({"name": "clone", "clone_from": client.app});
    let clone = client.post("/apps/", body).await.is(201)["id"].clone();
    client.app = clone.as_str().unwrap().parse().unwrap();
    assert_eq!(client.records("team"), []);
}
