//! Keys, access, paths and bodies: rules that apply to every call.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use uuid::Uuid;

use super::Client;
use super::client::send;
use crate::NewKey;

/// Every call of the API; `sync` and `task` are ids that exist.
fn calls(sync: &str, task: &str) -> Vec<(Method, String)> {
    let calls = [
        (Method::POST, "/apps/".to_owned()),
        (Method::GET, "/apps/".to_owned()),
        (Method::POST, "resource-types/".to_owned()),
        (Method::GET, "resource-types/".to_owned()),
        (Method::PATCH, "resource-types/team/".to_owned()),
        (Method::POST, "sync/".to_owned()),
        (Method::PUT, format!("sync/{sync}/team/")),
        (Method::GET, format!("sync/{sync}/")),
        (Method::POST, format!("sync/{sync}/complete/")),
        (Method::POST, format!("sync/{sync}/abandon/")),
        (Method::GET, "tasks/".to_owned()),
        (Method::GET, format!("tasks/{task}/")),
        (Method::PATCH, format!("tasks/{task}/status/")),
    ];
    calls.into()
}

/// The calls that are about an app.
fn app_calls(sync: &str, task: &str) -> Vec<(Method, String)> {
    let mut calls = calls(sync, task);
    calls.retain(|(_, path)| !path.starts_with('/'));
    calls
}

async fn prepared() -> (Client, Vec<(Method, String)>, Vec<(Method, String)>) {
    let client = Client::with_types().await;
    let sync = client.start_sync().await;
    let task = client.sandbox.add_task(client.app, json!({}));
    let (all, of_app) = (calls(&sync, &task), app_calls(&sync, &task));
    (client, all, of_app)
}

#[tokio::test]
async fn calls_without_a_key_return_401() {
    let (client, all, _) = prepared().await;
    for (method, path) in all {
        let answer = send(client.bare(method, &client.url(&path)).json(&json!({}))).await.unwrap();
        answer.refuses(401, "Authentication credentials were not provided.");
    }
}

#[tokio::test]
async fn calls_with_a_wrong_key_return_401() {
    let (mut client, all, _) = prepared().await;
    client.use_key("sandbox-key-of-another");
    for (method, path) in all {
        let answer = send(client.request(method, &path).json(&json!({}))).await.unwrap();
        answer.refuses(401, "Invalid API key.");
    }
}

#[tokio::test]
async fn authorization_scheme_must_be_api_key_and_one_space() {
    let client = Client::start().await;
    let key = client.sandbox.api_key().to_owned();
    for header in [
        format!("Bearer {key}"),
        format!("api-key {key}"),
        format!("Api-Key{key}"),
        key.clone(),
        "Api-Key".to_owned(),
    ] {
        let request = client.bare(Method::GET, &client.url("/apps/"));
        let answer = send(request.header("Authorization", &header)).await.unwrap();
        assert_eq!(answer.headers["www-authenticate"], "Api-Key");
        answer.refuses(401, "The Authorization header must have the form 'Api-Key <key>'.");
    }
    let request = client.bare(Method::GET, &client.url("/apps/"));
    send(request.header("Authorization", format!("Api-Key  {key}")))
        .await
        .unwrap()
        .refuses(401, "Invalid API key.");
}

#[tokio::test]
async fn expired_or_revoked_key_returns_401() {
    let mut client = Client::start().await;
    let key = |name: &str, expires_in| NewKey {
        name: name.into(),
        key: format!("key-of-{name}"),
        apps: None,
        expires_in,
    };
    let month = Duration::from_hours(30 * 24);
    client.sandbox.add_key(key("short", Some(month))).unwrap();
    client.sandbox.add_key(key("long", None)).unwrap();
    client.use_key("key-of-short");
    client.get("/apps/").await.is(200);
    client.sandbox.advance_clock(month);
    client.get("/apps/").await.refuses(401, "This API key has expired.");
    client.use_key("key-of-long");
    client.get("/apps/").await.is(200);
    client.sandbox.revoke_key("long").unwrap();
    client.get("/apps/").await.refuses(401, "This API key has been revoked.");
}

#[tokio::test]
async fn base_url_of_another_organization_returns_401() {
    let client = Client::start().await;
    let url = client.url("/apps/").replace("/org/sandbox/", "/org/acme/");
    client.get(&url).await.refuses_somehow(401);
}

#[tokio::test]
async fn calls_to_an_app_without_access_return_403() {
    let (client, _, of_app) = prepared().await;
    client.sandbox.deny("default", client.app).unwrap();
    for (method, path) in of_app {
        let answer = send(client.request(method, &path).json(&json!({}))).await.unwrap();
        answer.refuses(403, "The API key does not have access to the requested app.");
    }
    assert_eq!(client.get("/apps/").await.is(200)["count"], 0);
    client.sandbox.grant("default", client.app).unwrap();
    client.get("tasks/").await.is(200);
}

#[tokio::test]
async fn restricted_key_can_access_its_apps_and_those_it_creates() {
    let mut client = Client::start().await;
    let other = Uuid::new_v4();
    client.sandbox.add_app(other, "other");
    let key =
        NewKey { name: "narrow".into(), key: "narrow-key".into(), apps: Some(vec![other]), expires_in: None };
    client.sandbox.add_key(key).unwrap();
    client.use_key("narrow-key");
    client.get("tasks/").await.refuses_somehow(403);
    client.get(&format!("/apps/{other}/tasks/")).await.is(200);
    let made = client.post("/apps/", json!({"name": "mine"})).await.is(201);
    let mine = made["id"].as_str().unwrap();
    client.get(&format!("/apps/{mine}/tasks/")).await.is(200);
    let listed = client.get("/apps/").await.is(200);
    let names: Vec<_> =
        listed["results"].as_array().unwrap().iter().map(|app| app["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["other", "mine"]);
}

#[tokio::test]
async fn calls_to_an_unknown_app_return_404() {
    let (mut client, _, of_app) = prepared().await;
    client.app = Uuid::new_v4();
    for (method, path) in of_app {
        let answer = send(client.request(method, &path).json(&json!({}))).await.unwrap();
        answer.refuses(404, &format!("App '{}' not found.", client.app));
    }
    client.get("/apps/not-a-uuid/tasks/").await.refuses_somehow(404);
}

#[tokio::test]
async fn auto_create_apps_creates_apps_on_demand() {
    let mut client = Client::with(crate::Options { auto_create_apps: true, ..Default::default() }).await;
    client.app = Uuid::new_v4();
    assert_eq!(client.get("tasks/").await.is(200)["count"], 0);
    client.get("/apps/not-a-uuid/tasks/").await.refuses_somehow(404);
}

#[tokio::test]
async fn paths_without_trailing_slash_return_404() {
    let (client, all, _) = prepared().await;
    for (method, path) in all {
        let path = path.trim_end_matches('/');
        let answer = send(client.request(method, path).json(&json!({}))).await.unwrap();
        answer.refuses(404, "Not found. Paths of the Bridge API end with '/'.");
    }
}

#[tokio::test]
async fn unknown_path_returns_404_and_wrong_method_405() {
    let client = Client::start().await;
    client.get("nothing/").await.refuses_somehow(404);
    let elsewhere = format!("http://{}/api/v1/bridge/apps/", client.sandbox.address());
    client.get(&elsewhere).await.refuses_somehow(404);
    client.put("sync/", json!({})).await.refuses_somehow(405);
}

#[tokio::test]
async fn body_that_is_not_a_json_object_returns_400() {
    let (client, all, _) = prepared().await;
    let with_body = |(method, path): &(Method, String)| {
        *method == Method::PATCH
            || *method == Method::PUT
            || (*method == Method::POST && !path.starts_with("sync"))
    };
    let mut checked = 0;
    for (method, path) in all.iter().filter(|call| with_body(call)) {
        for (body, words) in
            [("{", "Invalid JSON"), ("", "Invalid JSON"), ("[]", "Input should be a valid dictionary")]
        {
            let answer = send(client.request(method.clone(), path).body(body)).await.unwrap();
            answer.refuses_somehow(400);
            assert!(answer.text.contains(words), "{}", answer.text);
            checked += 1;
        }
    }
    assert_eq!(checked, 15);
}

#[tokio::test]
async fn body_is_ignored_where_none_is_expected() {
    let client = Client::with_types().await;
    let sync = client.post("sync/", json!({"any": "thing"})).await.is(201)["sync_id"].clone();
    let path = format!("sync/{}/abandon/", sync.as_str().unwrap());
    client.post(&path, json!({})).await.is(204);
}
