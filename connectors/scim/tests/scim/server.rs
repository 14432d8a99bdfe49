//! What the conformance kit does not test, against scim2-server.

use bridgehead_sdk::{Account, Action, Connector};
use bridgehead_test_servers::{Population, Scim2};
use serde_json::{Value, json};

use crate::support::{accounts, connector, created, find, groups, run, target};

const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

/// A resource as the server returns it.
async fn raw(server: &Scim2, path: &str) -> Value {
    let http = bridgehead_sdk::http::reqwest::Client::new();
    let request = http.get(format!("{}/{path}", server.url())).bearer_auth(Scim2::TOKEN);
    let mut answer = request.send().await.unwrap();
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.unwrap() {
        body.extend_from_slice(&chunk);
    }
    serde_json::from_slice(&body).unwrap()
}

/// Creates a user with attributes that no field is mapped to.
async fn make(server: &Scim2) -> String {
    let user = json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User", ENTERPRISE], "userName": "ann", "active": true,
        "name": {"givenName": "Ann", "middleName": "M", "honorificPrefix": "Dr"}, "profileUrl": "https://example.com/ann",
        "emails": [{"value": "ann@example.com", "type": "work", "primary": true, "display": "Ann"}, {"value": "a@home.example", "type": "home"}],
        "ims": [{"value": "ann@chat", "type": "xmpp"}], "roles": [{"value": "auditor"}],
        ENTERPRISE: {"costCenter": "42", "manager": {"value": "m1"}},
    });
    let http = bridgehead_sdk::http::reqwest::Client::new();
    let request =
        http.post(format!("{}/Users", server.url())).bearer_auth(Scim2::TOKEN).body(user.to_string());
    let answer = request.header("content-type", "application/scim+json").send().await.unwrap();
    assert_eq!(answer.status(), 201);
    let location = answer.headers()["location"].to_str().unwrap();
    location.rsplit('/').next().unwrap().to_owned()
}

fn without_meta(mut user: Value) -> Value {
    user.as_object_mut().unwrap().shift_remove("meta");
    user
}

#[tokio::test]
async fn unmapped_attributes_survive_patch_and_put() {
    let without = json!({ "patch": { "supported": false } });
    for (config, profile) in
        [(json!({}), "generic"), (json!({}), "entra"), (json!({}), "okta"), (without, "generic")]
    {
        let server = Scim2::builder().config(config.clone()).start().await;
        let id = make(&server).await;
        let connector =
            connector(target(&server.url(), Scim2::TOKEN, json!({ "profile": profile, "booleans": "json" })));
        let before = without_meta(raw(&server, &format!("Users/{id}")).await);
        let changes = json!({ "email": "new@example.com", "first_name": "Anna", "department": "R&D", "title": "Chief" });
        run(&*connector, Action::UpdateAccount, json!({ "account": {"id": id}, "changes": changes }))
            .await
            .unwrap();
        let after = without_meta(raw(&server, &format!("Users/{id}")).await);
        let mut wanted = before;
        wanted["emails"][0]["value"] = json!("new@example.com");
        wanted["name"]["givenName"] = json!("Anna");
        wanted["title"] = json!("Chief");
        wanted[ENTERPRISE]["department"] = json!("R&D");
        assert_eq!(after, wanted, "{profile} {config}");
        run(&*connector, Action::SuspendAccount, json!({ "account": {"id": id} })).await.unwrap();
        wanted["active"] = json!(false);
        assert_eq!(without_meta(raw(&server, &format!("Users/{id}")).await), wanted, "{profile} {config}");
    }
}

#[tokio::test]
async fn memberships_are_equal_from_groups_and_accounts() {
    let population = Population { accounts: 30, groups: 4, members: 10 };
    let server = Scim2::builder().population(population).groups_on_users().start().await;
    let with = |side: &str| {
        let groups = json!({ "memberships_from": side });
        connector(target(&server.url(), Scim2::TOKEN, json!({ "groups": groups, "page_size": 7 })))
    };
    let sorted = |mut records: Vec<bridgehead_sdk::AccountRecord>| {
        records.sort_by(|a, b| a.username.cmp(&b.username));
        let refs = |record: &bridgehead_sdk::AccountRecord| {
            let mut refs: Vec<String> =
                record.memberships.of("group").iter().map(|one| one.id.clone()).collect();
            refs.sort();
            (record.username.clone(), refs)
        };
        records.iter().map(refs).collect::<Vec<_>>()
    };
    let from_groups = sorted(accounts(&*with("groups")).await.unwrap());
    let from_accounts = sorted(accounts(&*with("accounts")).await.unwrap());
    assert_eq!(from_groups, from_accounts);
    assert_eq!(from_groups.len(), 30);
    assert_eq!(from_groups.iter().map(|(_, refs)| refs.len()).sum::<usize>(), 40);
}

#[tokio::test]
async fn groups_are_joined_and_left_with_and_without_patch() {
    for config in [json!({}), json!({ "patch": { "supported": false } })] {
        let population = Population { accounts: 4, groups: 2, members: 2 };
        let server = Scim2::builder().population(population).config(config).start().await;
        let connector =
            connector(target(&server.url(), Scim2::TOKEN, json!({ "groups": { "filter_members": true } })));
        connector.check().await.unwrap();
        let known = groups(&*connector).await;
        let (first, second) = (&known["group-000"], &known["group-001"]);
        let payload = json!({ "account": {"username": "bob"}, "memberships": {"group": [first]} });
        let id = created(&run(&*connector, Action::CreateAccount, payload).await.unwrap());
        let payload =
            json!({ "account": {"id": id}, "memberships": {"group": [second]}, "changes": {"title": "X"} });
        run(&*connector, Action::UpdateAccount, payload).await.unwrap();
        let bob = find(&*connector, "bob").await.unwrap();
        let refs: Vec<&str> = bob.memberships.of("group").iter().map(|one| one.id.as_str()).collect();
        assert_eq!(refs, [second.as_str()]);
        // All other members are still there.
        for (group, count) in [(first, 2), (second, 3)] {
            let members = raw(&server, &format!("Groups/{group}")).await["members"].as_array().unwrap().len();
            assert_eq!(members, count);
        }
    }
}

#[tokio::test]
async fn one_task_can_change_attributes_status_and_password() {
    for config in [json!({}), json!({ "patch": { "supported": false } })] {
        let server = Scim2::builder().config(config).start().await;
        let connector = connector(target(&server.url(), Scim2::TOKEN, json!({})));
        let account = json!({ "username": "ann", "status": "suspended", "password": "Quiet-Harbour-8" });
        let id =
            created(&run(&*connector, Action::CreateAccount, json!({ "account": account })).await.unwrap());
        assert_eq!(raw(&server, &format!("Users/{id}")).await["active"], false);
        let changes = json!({ "title": "Chief", "status": "active", "password": "Quiet-Harbour-9" });
        let payload = json!({ "account": {"id": id}, "changes": changes });
        run(&*connector, Action::UpdateAccount, payload).await.unwrap();
        let user = raw(&server, &format!("Users/{id}")).await;
        assert_eq!((&user["title"], &user["active"]), (&json!("Chief"), &json!(true)));
    }
}

#[tokio::test]
async fn concurrent_joins_without_patch_are_not_lost() {
    let off = json!({ "supported": false });
    let population = Population { accounts: 12, groups: 1, members: 0 };
    let server =
        Scim2::builder().population(population).config(json!({ "patch": off, "etag": off })).start().await;
    let connector =
        connector(target(&server.url(), Scim2::TOKEN, json!({ "groups": { "absent_members": "nobody" } })));
    let group = groups(&*connector).await["group-000"].clone();
    let people = accounts(&*connector).await.unwrap();
    let joins = people.iter().map(|person| {
        let payload = json!({ "account": {"id": person.id.as_str()}, "memberships": {"group": [group]} });
        let connector = connector.clone();
        tokio::spawn(async move { run(&*connector, Action::UpdateAccount, payload).await })
    });
    for join in joins.collect::<Vec<_>>() {
        join.await.unwrap().unwrap();
    }
    assert_eq!(raw(&server, &format!("Groups/{group}")).await["members"].as_array().unwrap().len(), 12);
}

#[tokio::test]
async fn names_with_special_characters_are_found() {
    let server = Scim2::start().await;
    let connector = connector(target(&server.url(), Scim2::TOKEN, json!({})));
    for name in [
        "quo\"te",
        "back\\slash",
        "plus+and&ampersand",
        "per%cent",
        "uml\u{e4}ut 🦔",
        "a\" or userName pr or \"b",
    ] {
        let payload = json!({ "account": {"username": name} });
        let id = created(&run(&*connector, Action::CreateAccount, payload).await.unwrap());
        let found =
            find(&*connector, &name.to_uppercase()).await.unwrap_or_else(|| panic!("{name} is not found"));
        assert_eq!(found.id.as_str(), id);
    }
}

#[tokio::test]
async fn connector_recovers_after_a_server_restart() {
    let mut server = Scim2::start().await;
    let connector = connector(target(&server.url(), Scim2::TOKEN, json!({})));
    connector.check().await.unwrap();
    server.stop();
    let error = connector.find_account(&Account::by_id("x")).await.unwrap_err();
    assert_eq!(error.subject(), bridgehead_sdk::Subject::Connection);
    server.restart().await;
    assert_eq!(connector.find_account(&Account::by_id("x")).await.unwrap(), None);
}

#[tokio::test]
async fn building_a_connector_sends_no_requests() {
    let port = bridgehead_test_servers::free_port();
    let connector: std::sync::Arc<dyn Connector> =
        connector(target(&format!("http://127.0.0.1:{port}/v2"), "t", json!({})));
    let error = connector.describe().await.unwrap_err();
    assert_eq!(error.subject(), bridgehead_sdk::Subject::Connection);
}
