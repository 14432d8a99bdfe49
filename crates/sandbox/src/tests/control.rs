//! The control plane over HTTP: it does the same as in process.

use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::Client;
use super::client::send;

async fn post(client: &Client, path: &str, body: Value) -> super::Answer {
    client.control(Method::POST, path, body).await
}

async fn get(client: &Client, path: &str) -> Value {
    client.control(Method::GET, path, Value::Null).await.is(200)
}

#[tokio::test]
async fn health_shows_the_bridge_base_url() {
    let client = Client::start().await;
    let health = get(&client, "health").await;
    assert_eq!(
        (&health["status"], &health["base_url"], &health["apps"]),
        (&json!("ok"), &json!(client.sandbox.base_url()), &json!(1))
    );
}

#[tokio::test]
async fn app_can_be_created_with_a_given_id_and_types() {
    let mut client = Client::start().await;
    client.app = Uuid::new_v4();
    let body = json!({
        "app_id": client.app, "name": "HR",
        "resource_types": [{"slug": "team", "name": "Team", "type": "group"}]
    });
    let app = post(&client, "apps", body.clone()).await.is(201);
    assert_eq!(app["id"], json!(client.app));
    assert_eq!(client.get("resource-types/").await.is(200)["results"][0]["slug"], "team");
    // Repeating it is not an error, so that a script can be run twice.
    post(&client, "apps", body).await.is(200);
    assert_eq!(client.get("resource-types/").await.is(200)["count"], 1);
    post(&client, "apps", json!({"clone_from": Uuid::new_v4()})).await.refuses_somehow(404);
    let clone = post(&client, "apps", json!({"clone_from": client.app})).await.is(201);
    client.app = clone["id"].as_str().unwrap().parse().unwrap();
    assert_eq!(client.get("resource-types/").await.is(200)["count"], 1);
}

#[tokio::test]
async fn tasks_are_added_singly_or_in_bulk_atomically() {
    let client = Client::start().await;
    let path = format!("apps/{}/tasks", client.app);
    let one = post(&client, &path, json!({"action": "delete_account", "payload": {"account": {"id": "u1"}}}))
        .await
        .is(201);
    let id = one["ids"][0].as_str().unwrap();
    let task = client.get(&format!("tasks/{id}/")).await.is(200);
    assert_eq!(task["payload"], json!({"account": {"id": "u1"}, "memberships": null, "changes": null}));
    let many = json!([{"id": "a"}, {"raw": true, "task": null}, {"id": "b", "execute_after_seconds": 60}]);
    let ids = post(&client, &path, many).await.is(201)["ids"].clone();
    assert_eq!((&ids[0], &ids[2]), (&json!("a"), &json!("b")));
    let list = get(&client, &format!("{path}?status=scheduled")).await;
    assert_eq!((&list["count"], &list["results"][0]["id"]), (&json!(1), &json!("b")));
    for (bad, why) in [
        (json!({"status": "running"}), "status: Input should be"),
        (json!({"created_at": "yesterday"}), "created_at: must be a time"),
        (json!({"execute_after_seconds": -1}), "execute_after_seconds: must be"),
        (json!({"payload": 1}), "payload: must be an object"),
        (json!({"id": 1}), "id: must be text"),
        (json!(42), "a task is a JSON object"),
    ] {
        let answer = post(&client, &path, json!([{"id": "never"}, bad])).await;
        answer.refuses_somehow(400);
        assert!(answer.text.contains(&format!("task 1: {why}")), "{}", answer.text);
    }
    assert_eq!(get(&client, &path).await["count"], 4);
    post(&client, &format!("apps/{}/tasks", Uuid::new_v4()), json!({})).await.refuses_somehow(404);
}

#[tokio::test]
async fn outcomes_records_and_stats_can_be_read() {
    let client = Client::with_types().await;
    let task = client.sandbox.add_task(client.app, json!({}));
    let body = json!({"status": "completed", "result": {"account_id": "u9"}});
    client.patch(&format!("tasks/{task}/status/"), body.clone()).await.is(200);
    let sync = client.start_sync().await;
    let page = json!([{"id": "g1", "name": "One"}, {"id": "g2", "name": "Two"}]);
    client.push(&sync, "team", page).await.is(200);
    client.push(&sync, "seat", json!([{"id": "l1", "name": "L"}])).await.is(200);
    client.complete(&sync).await.is(202);
    post(&client, "clock", json!({"advance": "1h"})).await.is(200);
    let sync = client.start_sync().await;
    client.push(&sync, "team", json!([{"id": "g2", "name": "Two"}])).await.is(200);
    client.complete(&sync).await.is(202);
    post(&client, "clock", json!({"advance": "1h"})).await.is(200);

    let app = format!("apps/{}", client.app);
    let tasks = get(&client, &format!("{app}/tasks")).await;
    assert_eq!(tasks["results"][0]["result"], json!({"account_id": "u9"}));
    let reports = get(&client, &format!("tasks/{task}/reports")).await;
    assert_eq!((&reports[0]["status"], &reports[0]["body"]), (&json!(200), &body));
    let records = get(&client, &format!("{app}/records?slug=team")).await;
    assert_eq!(
        records,
        json!({"count": 2, "results": [
            {"id": "g1", "name": "One", "active": false, "resource_type": "team"},
            {"id": "g2", "name": "Two", "active": true, "resource_type": "team"}
        ]})
    );
    let inactive = get(&client, &format!("{app}/records?active=false&limit=1&offset=1")).await;
    assert_eq!((&inactive["count"], inactive["results"].as_array().unwrap().len()), (&json!(2), 1));
    let stats = get(&client, &format!("{app}/stats")).await;
    assert_eq!(stats["tasks"]["completed"], 1);
    assert_eq!(
        stats["records"],
        json!([
            {"slug": "team", "active": 1, "inactive": 1},
            {"slug": "seat", "active": 0, "inactive": 1},
            {"slug": "account", "active": 0, "inactive": 0}
        ])
    );
    assert_eq!(get(&client, "apps").await, json!([stats]));
}

#[tokio::test]
async fn ledger_can_be_read_filtered_and_cleared() {
    let client = Client::start().await;
    client.get("tasks/").await.is(200);
    client.get("nothing/").await.refuses_somehow(404);
    let list = get(&client, "ledger?status=404&method=GET").await;
    assert_eq!((&list["count"], &list["dropped"]), (&json!(1), &json!(0)));
    assert!(list["results"][0]["path"].as_str().unwrap().ends_with("/nothing/"));
    assert_eq!(get(&client, "ledger?limit=1&offset=1").await["count"], 2);
    client.control(Method::GET, "ledger?state=404", Value::Null).await.refuses_somehow(400);
    client.control(Method::DELETE, "ledger", Value::Null).await.is(204);
    assert_eq!(get(&client, "ledger").await["count"], 0);
}

#[tokio::test]
async fn faults_can_be_added_listed_and_removed() {
    let client = Client::start().await;
    let fault = json!({
        "method": "GET", "path": "**/tasks/", "times": 1,
        "effect": {"answer": {"status": 429, "headers": {"Retry-After": "3"}}}
    });
    let ids =
        post(&client, "faults", json!([fault, {"effect": "cut", "times": 0}])).await.is(201)["ids"].clone();
    let answer = client.get("tasks/").await;
    assert_eq!(answer.headers["retry-after"], "3");
    answer.is(429);
    client.get("tasks/").await.is(200);
    let listed = get(&client, "faults").await;
    assert_eq!((&listed[0]["id"], &listed[0]["fired"]), (&ids[0], &json!(1)));
    assert_eq!(listed[0]["fault"]["path"], "**/tasks/");
    let path = format!("faults/{}", ids[0]);
    client.control(Method::DELETE, &path, Value::Null).await.is(204);
    client.control(Method::DELETE, &path, Value::Null).await.refuses_somehow(404);
    assert_eq!(get(&client, "faults").await.as_array().unwrap().len(), 1);
    client.control(Method::DELETE, "faults", Value::Null).await.is(204);
    assert_eq!(get(&client, "faults").await, json!([]));
}

#[tokio::test]
async fn every_fault_effect_can_be_given_as_json() {
    let client = Client::start().await;
    for effect in [
        json!({"answer": {"status": 500, "text": "boom"}}),
        json!({"delay": "200ms"}),
        json!({"stall": "1s"}),
        json!("cut"),
        json!({"lose": "cut"}),
        json!({"lose": "truncate"}),
        json!({"lose": {"status": 500}}),
        json!({"garbage": {}}),
        json!("endless"),
        json!({"slow_loris": {"every": "10ms"}}),
        json!({"foreign_next": {}}),
        json!("looping_next"),
    ] {
        post(&client, "faults", json!({"effect": effect, "times": 0})).await.is(201);
    }
}

#[tokio::test]
async fn invalid_fault_is_refused_with_the_reason() {
    let client = Client::start().await;
    for (fault, why) in [
        (json!({}), "effect"),
        (json!({"effect": "cut", "when": 1}), "when"),
        (json!({"effect": "explode"}), "explode"),
        (json!({"effect": "cut", "path": "^("}), "regular expression"),
        (json!({"effect": "cut", "probability": 2}), "probability 2"),
        (json!({"effect": {"answer": {"status": 99}}}), "status 99"),
        (json!({"effect": {"answer": {"status": 500, "headers": {"a b": "c"}}}}), "'a b: c'"),
        (json!({"effect": {"delay": 5}}), "delay"),
    ] {
        let answer = post(&client, "faults", fault).await;
        answer.refuses_somehow(400);
        assert!(answer.text.contains(why), "{}", answer.text);
    }
    assert_eq!(get(&client, "faults").await, json!([]));
}

#[tokio::test]
async fn settings_are_patched_field_by_field() {
    let client = Client::with_types().await;
    let patch = async |body| client.control(Method::PATCH, "settings", body).await;
    let settings = patch(json!({"cleanup": {"failures": 2}, "resource_type_list": "array"})).await.is(200);
    assert_eq!(
        settings,
        json!({
            "cleanup": {"delay": "1m", "failures": 2, "app": null},
            "task_order": "oldest_first", "resource_type_list": "array", "auto_create_apps": false
        })
    );
    assert_eq!(get(&client, "settings").await, settings);
    assert!(client.get("resource-types/").await.is(200).is_array());
    patch(json!({"cleanup": {"dely": "1s"}})).await.refuses_somehow(400);
    patch(json!({"task_order": "random"})).await.refuses_somehow(400);
    assert_eq!(get(&client, "settings").await, settings);
}

#[tokio::test]
async fn keys_can_be_added_restricted_expired_and_revoked() {
    let mut client = Client::start().await;
    let added = post(&client, "keys", json!({"name": "ci", "apps": []})).await.is(201);
    client.use_key(added["key"].as_str().unwrap());
    client.get("tasks/").await.refuses_somehow(403);
    post(&client, "keys/ci/grant", json!({"app_id": client.app})).await.is(204);
    client.get("tasks/").await.is(200);
    post(&client, "keys/ci/deny", json!({"app_id": client.app})).await.is(204);
    client.get("tasks/").await.refuses_somehow(403);
    post(&client, "keys/ci/expire", json!({"in": "1h"})).await.is(204);
    client.get("/apps/").await.is(200);
    post(&client, "keys/ci/expire", Value::Null).await.is(204);
    client.get("/apps/").await.refuses_somehow(401);
    post(&client, "keys/ci/revoke", Value::Null).await.is(204);
    let listed = get(&client, "keys").await;
    assert_eq!((&listed[0]["name"], &listed[1]["state"]), (&json!("default"), &json!("revoked")));
    assert!(!listed.to_string().contains(added["key"].as_str().unwrap()));
    post(&client, "keys", json!({"name": "ci"})).await.refuses_somehow(409);
    post(&client, "keys", json!({"name": "odd", "key": "with space"})).await.refuses_somehow(400);
    post(&client, "keys/nobody/revoke", Value::Null).await.refuses_somehow(404);
}

#[tokio::test]
async fn control_plane_reports_unknown_paths_and_invalid_bodies() {
    let client = Client::start().await;
    client.control(Method::GET, "nothing", Value::Null).await.refuses_somehow(404);
    client.control(Method::PUT, "health", Value::Null).await.refuses_somehow(405);
    let request = client.bare(Method::POST, &client.control_url("apps")).body("{");
    send(request).await.unwrap().refuses_somehow(400);
    post(&client, "apps", json!({"nme": "x"})).await.refuses_somehow(400);
}
