//! `PUT …/sync/{sync_id}/{slug}/`: the rules for records.

use serde_json::{Value, json};
use uuid::Uuid;

use super::Client;

fn account(n: usize) -> Value {
    json!({"id": format!("u{n}"), "email": format!("u{n}@example.org")})
}

/// A session that contains the groups g1 and g2 and the license l1.
async fn with_groups() -> (Client, String) {
    let client = Client::with_types().await;
    let sync = client.start_sync().await;
    let groups = json!([{"id": "g1", "name": "G1"}, {"id": "g2", "name": "G2"}]);
    client.push(&sync, "team", groups).await.is(200);
    client.push(&sync, "seat", json!([{"id": "l1", "name": "L1"}])).await.is(200);
    (client, sync)
}

#[tokio::test]
async fn push_counts_created_and_updated_records() {
    let client = Client::with_types().await;
    let sync = client.start_sync().await;
    let page = json!([{"id": "g1", "name": "A"}, {"id": "g2", "name": "B"}]);
    assert_eq!(
        client.push(&sync, "team", page).await.is(200),
        json!({"total": 2, "created": 2, "updated": 0})
    );
    let page = json!([{"id": "g2", "name": "B2"}, {"id": "g3", "name": "C"}]);
    assert_eq!(
        client.push(&sync, "team", page).await.is(200),
        json!({"total": 2, "created": 1, "updated": 1})
    );
    client.abandon(&sync).await.is(204);
    let sync = client.start_sync().await;
    let page = json!([{"id": "g1", "name": "A"}]);
    assert_eq!(
        client.push(&sync, "team", page).await.is(200),
        json!({"total": 1, "created": 0, "updated": 1})
    );
    assert_eq!(
        client.push(&sync, "team", json!([])).await.is(200),
        json!({"total": 0, "created": 0, "updated": 0})
    );
}

#[tokio::test]
async fn page_has_at_most_100_records() {
    let client = Client::with_types().await;
    let sync = client.start_sync().await;
    let page: Vec<Value> = (0..101).map(account).collect();
    client
        .push(&sync, "account", json!(page))
        .await
        .refuses(400, "List should have at most 100 items after validation");
    client.push(&sync, "account", json!(page[..100])).await.is(200);
    assert_eq!(client.progress(&sync).await.1[2], ("account".into(), 100));
}

#[tokio::test]
async fn invalid_page_returns_400() {
    let client = Client::with_types().await;
    let sync = client.start_sync().await;
    let path = format!("sync/{sync}/account/");
    for (body, detail) in [
        (json!({}), "Field required"),
        (json!({"records": {}}), "Input should be a valid list"),
        (json!({"records": null}), "Input should be a valid list"),
        (json!({"records": ["u1"]}), "Input should be a valid dictionary"),
    ] {
        client.put(&path, body).await.refuses(400, detail);
    }
}

#[tokio::test]
async fn invalid_account_returns_400() {
    let (client, sync) = with_groups().await;
    let no_name = "Value error, at least one of 'email' or 'username' is required";
    let many: Vec<String> = (0..150).map(|n| format!("g{n}")).collect();
    for (record, detail) in [
        (json!({"email": "a@b.c"}), "Field required"),
        (json!({"id": 1, "email": "a@b.c"}), "Input should be a valid string"),
        (json!({"id": null, "email": "a@b.c"}), "Input should be a valid string"),
        (json!({"id": "", "email": "a@b.c"}), "String should have at least 1 character"),
        (json!({"id": "u1"}), no_name),
        (json!({"id": "u1", "email": null, "username": null}), no_name),
        (json!({"id": "u1", "email": "", "username": ""}), no_name),
        (json!({"id": "u1", "email": 1}), "Input should be a valid string"),
        (json!({"id": "u1", "username": "a", "first_name": 1}), "Input should be a valid string"),
        (json!({"id": "u1", "username": "a", "last_name": []}), "Input should be a valid string"),
        (json!({"id": "u1", "username": "a", "display_name": true}), "Input should be a valid string"),
        (
            json!({"id": "u1", "username": "a", "status": "disabled"}),
            "Input should be 'active', 'inactive' or 'suspended'",
        ),
        (
            json!({"id": "u1", "username": "a", "status": null}),
            "Input should be 'active', 'inactive' or 'suspended'",
        ),
        (json!({"id": "u1", "username": "a", "memberships": ["g1"]}), "Input should be a valid dictionary"),
        (json!({"id": "u1", "username": "a", "memberships": {"team": "g1"}}), "Input should be a valid list"),
        (
            json!({"id": "u1", "username": "a", "memberships": {"team": [1]}}),
            "Input should be a valid string",
        ),
        (json!({"id": "u1", "username": "a", "memberships": {"team": [{"name": "x"}]}}), "Field required"),
        (
            json!({"id": "u1", "username": "a", "assignments": {"seat": [{"id": "l1", "name": 4}]}}),
            "Input should be a valid string",
        ),
        (
            json!({"id": "u1", "username": "a", "memberships": {"teams": many}}),
            "memberships['teams'] has 150 refs, max is 100.",
        ),
        (
            json!({"id": "u1", "username": "a", "assignments": {"seat": many}}),
            "assignments['seat'] has 150 refs, max is 100.",
        ),
    ] {
        let page = json!([account(0), record]);
        client.push(&sync, "account", page).await.refuses(400, detail);
    }
    // One invalid record rejects the whole page.
    assert_eq!(client.progress(&sync).await.1[2], ("account".into(), 0));
}

#[tokio::test]
async fn accounts_of_every_documented_form_are_accepted() {
    let (client, sync) = with_groups().await;
    let page = json!([
        {"id": "u1", "email": "a@b.c"},
        {"id": "u2", "username": "b"},
        {"id": "u3", "username": "c", "email": null, "first_name": null, "memberships": null, "assignments": null},
        {"id": "u4", "username": "d", "status": "active"},
        {"id": "u5", "username": "e", "status": "inactive"},
        {"id": "u6", "username": "f", "status": "suspended", "first_name": "F", "last_name": "", "display_name": "F"},
        {"id": "u7", "username": "g", "memberships": {"team": ["g1", {"id": "g2"}]}, "assignments": {"seat": [{"id": "l1", "name": "L1"}]}},
        {"id": "u8", "username": "h", "memberships": {"team": []}, "cost_centre": {"any": 1}}
    ]);
    let count = page.as_array().unwrap().len();
    let answer = client.push(&sync, "account", page).await.is(200);
    assert_eq!(answer["total"], count);
    client.abandon(&sync).await.is(204);
    let kept = client.sandbox.records(client.app, "account");
    assert_eq!(kept.len(), count);
    assert_eq!(
        kept[7],
        json!({"id": "u8", "username": "h", "memberships": {"team": []}, "cost_centre": {"any": 1}, "active": true})
    );
}

#[tokio::test]
async fn up_to_100_refs_of_a_slug_are_accepted() {
    let client = Client::with_types().await;
    let sync = client.start_sync().await;
    let ids: Vec<String> = (0..100).map(|n| format!("g{n}")).collect();
    let groups: Vec<Value> = ids.iter().map(|id| json!({"id": id, "name": id})).collect();
    client.push(&sync, "team", json!(groups)).await.is(200);
    let record = json!({"id": "u1", "username": "a", "memberships": {"team": ids}});
    client.push(&sync, "account", json!([record])).await.is(200);
}

#[tokio::test]
async fn groups_and_licenses_require_id_and_name() {
    let client = Client::with_types().await;
    let sync = client.start_sync().await;
    for slug in ["team", "seat"] {
        for (record, detail) in [
            (json!({"name": "n"}), "Field required"),
            (json!({"id": "1"}), "Field required"),
            (json!({"id": "1", "name": null}), "Input should be a valid string"),
            (json!({"id": "1", "name": ""}), "String should have at least 1 character"),
            (json!({"id": 1, "name": "n"}), "Input should be a valid string"),
        ] {
            client.push(&sync, slug, json!([record])).await.refuses(400, detail);
        }
        client.push(&sync, slug, json!([{"id": "1", "name": "n"}])).await.is(200);
    }
}

#[tokio::test]
async fn unknown_slug_returns_the_documented_422() {
    let (client, sync) = with_groups().await;
    for (field, slug, word) in [
        ("memberships", "nonexistent", "membership"),
        ("assignments", "nonexistent", "assignment"),
        // A license is not a membership, and a group is not an assignment.
        ("memberships", "seat", "membership"),
        ("assignments", "team", "assignment"),
        ("memberships", "account", "membership"),
    ] {
        let record = json!({"id": "u1", "username": "a", field: {slug: []}});
        client
            .push(&sync, "account", json!([account(0), record]))
            .await
            .refuses(422, &format!("Record 'u1': unknown {word} slug '{slug}'"));
    }
    assert_eq!(client.progress(&sync).await.1[2], ("account".into(), 0));
}

#[tokio::test]
async fn schema_is_checked_before_business_rules() {
    let (client, sync) = with_groups().await;
    let page = json!([{"id": "u1", "username": "a", "memberships": {"nonexistent": []}}, {"id": "u2"}]);
    client.push(&sync, "account", page).await.refuses_somehow(400);
}

#[tokio::test]
async fn ref_must_exist_in_the_current_session() {
    let (client, sync) = with_groups().await;
    let wanted = "Sync failed for 'account': a referenced record does not exist.";
    for refs in [
        json!({"memberships": {"team": ["g1", "g9"]}}),
        json!({"memberships": {"team": [{"id": "g9"}]}}),
        json!({"assignments": {"seat": ["g1"]}}),
    ] {
        let mut record = json!({"id": "u1", "username": "a"});
        for (name, value) in refs.as_object().unwrap() {
            record[name] = value.clone();
        }
        client.push(&sync, "account", json!([account(0), record])).await.refuses(422, wanted);
    }
    // Records of an earlier session do not count.
    client.complete(&sync).await.is(202);
    let next = client.start_sync().await;
    let record = json!({"id": "u1", "username": "a", "memberships": {"team": ["g1"]}});
    client.push(&next, "account", json!([record])).await.refuses(422, wanted);
    assert_eq!(client.progress(&next).await.1[2], ("account".into(), 0));
}

#[tokio::test]
async fn ref_with_null_name_lacks_a_required_field() {
    let (client, sync) = with_groups().await;
    let record = json!({"id": "u1", "username": "a", "memberships": {"team": [{"id": "g1", "name": null}]}});
    client.push(&sync, "account", json!([record])).await.refuses(
        422,
        "Sync failed for 'account': a required field is missing. Ensure all records have complete data.",
    );
}

#[tokio::test]
async fn duplicate_id_in_a_page_returns_422() {
    let (client, sync) = with_groups().await;
    client
        .push(&sync, "account", json!([account(1), account(2), account(1)]))
        .await
        .refuses(422, "Sync failed for 'account': a record with the same identifier already exists.");
    // The same id in a different type is a different record.
    client.push(&sync, "seat", json!([{"id": "g1", "name": "x"}])).await.is(200);
}

#[tokio::test]
async fn session_and_type_must_exist() {
    let (client, sync) = with_groups().await;
    client.push(&sync, "nothing", json!([])).await.refuses(404, "Resource type 'nothing' not found.");
    for unknown in [Uuid::new_v4().to_string(), "not-a-uuid".into()] {
        client.push(&unknown, "team", json!([])).await.refuses(404, "Sync session not found.");
        client.get(&format!("sync/{unknown}/")).await.refuses(404, "Sync session not found.");
        client.complete(&unknown).await.refuses(404, "Sync session not found.");
        client.abandon(&unknown).await.refuses(404, "Sync session not found.");
    }
}
