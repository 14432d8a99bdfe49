//! `…/apps/`.

use serde_json::{Value, json};
use uuid::Uuid;

use super::Client;

#[tokio::test]
async fn creating_an_app_returns_201_and_the_app() {
    let client = Client::start().await;
    let app = client.post("/apps/", json!({"name": "Jira", "clone_from": null})).await.is(201);
    let mut names: Vec<&String> = app.as_object().unwrap().keys().collect();
    names.sort();
    assert_eq!(names, ["configuration_status", "created_at", "id", "last_synced_at", "name"]);
    assert!(app["id"].as_str().unwrap().parse::<Uuid>().is_ok());
    assert!(app["created_at"].as_str().unwrap().parse::<jiff::Timestamp>().is_ok());
    assert_eq!(
        (&app["name"], &app["configuration_status"], &app["last_synced_at"]),
        (&json!("Jira"), &json!("NEW"), &Value::Null)
    );
}

#[tokio::test]
async fn app_name_must_have_1_to_255_characters() {
    let client = Client::start().await;
    client.post("/apps/", json!({"name": "é".repeat(255)})).await.is(201);
    for (body, detail) in [
        (json!({}), "Field required"),
        (json!({"name": ""}), "String should have at least 1 character"),
        (json!({"name": "x".repeat(256)}), "String should have at most 255 characters"),
        (json!({"name": 7}), "Input should be a valid string"),
        (json!({"name": null}), "Input should be a valid string"),
    ] {
        client.post("/apps/", body).await.refuses(400, detail);
    }
}

#[tokio::test]
async fn clone_from_must_be_an_existing_app() {
    let client = Client::start().await;
    let unknown = Uuid::new_v4();
    client
        .post("/apps/", json!({"name": "x", "clone_from": unknown}))
        .await
        .refuses(404, &format!("App '{unknown}' not found."));
    client
        .post("/apps/", json!({"name": "x", "clone_from": "jira"}))
        .await
        .refuses(400, "Input should be a valid UUID");
    assert_eq!(client.get("/apps/").await.is(200)["count"], 1);
}

#[tokio::test]
async fn app_without_access_cannot_be_cloned() {
    let client = Client::start().await;
    client.sandbox.deny("default", client.app).unwrap();
    client.post("/apps/", json!({"name": "x", "clone_from": client.app})).await.refuses_somehow(403);
}

#[tokio::test]
async fn apps_are_listed_in_pages_in_creation_order() {
    let client = Client::start().await;
    for n in 0..60 {
        client.sandbox.add_app(Uuid::new_v4(), &format!("app {n}"));
    }
    let first = client.get("/apps/").await.is(200);
    assert_eq!((&first["count"], first["results"].as_array().unwrap().len()), (&json!(61), 50));
    assert_eq!(first["results"][1]["name"], "app 0");
    let second = client.get(first["next"].as_str().unwrap()).await.is(200);
    assert_eq!(second["results"].as_array().unwrap().len(), 11);
    assert_eq!(second["results"][10]["name"], "app 59");
}

#[tokio::test]
async fn first_sync_changes_the_configuration_status() {
    let client = Client::start().await;
    client.start_sync().await;
    assert_eq!(
        client.get("/apps/").await.is(200)["results"][0]["configuration_status"],
        "CHECKING_CONFIGURATION"
    );
}
