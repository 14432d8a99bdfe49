//! `…/resource-types/`.

use serde_json::json;

use super::Client;
use crate::{ListShape, Settings};

#[tokio::test]
async fn registering_a_type_returns_201_and_the_type() {
    let client = Client::start().await;
    for kind in ["account", "group", "license"] {
        let body = json!({"slug": kind, "name": "A name", "type": kind});
        assert_eq!(client.post("resource-types/", body.clone()).await.is(201), body);
    }
    let listed = client.get("resource-types/").await.is(200);
    assert_eq!(
        listed,
        json!({"count": 3, "next": null, "previous": null, "results": [
            {"slug": "account", "name": "A name", "type": "account"},
            {"slug": "group", "name": "A name", "type": "group"},
            {"slug": "license", "name": "A name", "type": "license"},
        ]})
    );
}

#[tokio::test]
async fn type_requires_slug_name_and_known_kind() {
    let client = Client::start().await;
    for (body, detail) in [
        (json!({"name": "n", "type": "group"}), "Field required"),
        (json!({"slug": "s", "type": "group"}), "Field required"),
        (json!({"slug": "s", "name": "n"}), "Field required"),
        (
            json!({"slug": "s", "name": "n", "type": "role"}),
            "Input should be 'account', 'group' or 'license'",
        ),
        (json!({"slug": 1, "name": "n", "type": "group"}), "Input should be a valid string"),
        (json!({"slug": "", "name": "n", "type": "group"}), "String should have at least 1 character"),
        (
            json!({"slug": "a/b", "name": "n", "type": "group"}),
            "String should match pattern '^[-a-zA-Z0-9_]+$'",
        ),
        (json!({"slug": "s", "name": "", "type": "group"}), "String should have at least 1 character"),
    ] {
        client.post("resource-types/", body).await.refuses(400, detail);
    }
    assert_eq!(client.get("resource-types/").await.is(200)["count"], 0);
}

#[tokio::test]
async fn existing_slug_returns_409() {
    let client = Client::with_types().await;
    client
        .post("resource-types/", json!({"slug": "team", "name": "Other", "type": "license"}))
        .await
        .refuses(409, "Resource type with slug 'team' already exists.");
    assert_eq!(client.get("resource-types/").await.is(200)["count"], 3);
}

#[tokio::test]
async fn clones_share_resource_types_both_ways() {
    let mut client = Client::with_types().await;
    let original = client.app;
    let body = json!({"name": "clone", "clone_from": original});
    let clone = client.post("/apps/", body).await.is(201)["id"].clone();
    client.app = clone.as_str().unwrap().parse().unwrap();
    assert_eq!(client.get("resource-types/").await.is(200)["count"], 3);
    let team = json!({"slug": "team", "name": "Team", "type": "group"});
    client.post("resource-types/", team).await.refuses_somehow(409);
    let role = json!({"slug": "role", "name": "Role", "type": "group"});
    client.post("resource-types/", role.clone()).await.is(201);
    client.app = original;
    client.post("resource-types/", role).await.refuses_somehow(409);
}

#[tokio::test]
async fn unrelated_apps_share_nothing() {
    let mut client = Client::with_types().await;
    let other = client.post("/apps/", json!({"name": "other"})).await.is(201)["id"].clone();
    client.app = other.as_str().unwrap().parse().unwrap();
    let team = json!({"slug": "team", "name": "Team", "type": "group"});
    client.post("resource-types/", team).await.is(201);
}

#[tokio::test]
async fn type_can_be_renamed() {
    let client = Client::with_types().await;
    let renamed = client.patch("resource-types/team/", json!({"name": "Squad"})).await.is(200);
    assert_eq!(renamed, json!({"slug": "team", "name": "Squad", "type": "group"}));
    assert_eq!(client.get("resource-types/").await.is(200)["results"][0]["name"], "Squad");
    client.patch("resource-types/team/", json!({})).await.refuses(400, "Field required");
    client
        .patch("resource-types/nothing/", json!({"name": "x"}))
        .await
        .refuses(404, "Resource type 'nothing' not found.");
}

#[tokio::test]
async fn type_list_can_be_a_bare_array() {
    let client = Client::with_types().await;
    client
        .sandbox
        .set_settings(Settings { resource_type_list: ListShape::Array, ..client.sandbox.settings() });
    let listed = client.get("resource-types/").await.is(200);
    assert_eq!(listed.as_array().unwrap().len(), 3);
    assert_eq!(listed[0]["slug"], "team");
}
