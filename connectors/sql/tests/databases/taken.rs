//! Names that are taken, concurrent updates, and members that are compared loosely.

use std::sync::Arc;

use bridgehead_sdk::{Account, AccountStatus, Action, Code, Connector, Retry, Subject};
use serde_json::json;

use crate::example::Example;
use crate::mariadb::Shop;
use crate::postgres::Crm;
use crate::sqlite::{Wiki, open};
use crate::support::{create, execute, find};
use sqlx::Executor;

async fn conflicts_are_told(example: Example) {
    let connector = example.connector();
    let ann = create(&*connector, "ann").await;
    let bob = create(&*connector, "bob").await;
    let account = json!({ "username": "cy", "email": "ANN@example.com" });
    let error = execute(&*connector, Action::CreateAccount, json!({ "account": account })).await.unwrap_err();
    assert_eq!((error.code(), error.retry()), (Code::AccountAlreadyExists, Retry::Never), "{error}");
    assert!(error.message().contains(&format!("the email address is taken by the account {ann}")), "{error}");

    let payload = json!({ "account": { "id": bob }, "changes": { "email": "ann@example.com" } });
    let error = execute(&*connector, Action::UpdateAccount, payload).await.unwrap_err();
    assert_eq!(
        (error.code(), error.retry(), error.subject()),
        (Code::InternalError, Retry::Never, Subject::Account)
    );
    assert!(error.message().contains(&format!("the email address is taken by the account {ann}")), "{error}");
    // Changing only the case of its own name is not a conflict.
    let payload = json!({ "account": { "id": bob }, "changes": { "username": "Bob" } });
    execute(&*connector, Action::UpdateAccount, payload).await.unwrap();

    // A violated rule in another action does not report that the account exists.
    let rename = "UPDATE accounts SET username = 'ann' WHERE id = :id";
    let suspends = example.with("actions.suspend_account", json!([rename])).connector();
    let error =
        execute(&*suspends, Action::SuspendAccount, json!({ "account": { "id": bob } })).await.unwrap_err();
    assert_eq!((error.code(), error.retry()), (Code::InternalError, Retry::Never), "{error}");
    assert!(error.message().contains("must be unique"), "{error}");
}

/// Names that look the same, in two Unicode forms, which the databases distinguish.
async fn look_alikes_are_told(example: Example, off: &str) {
    let (one, other) = ("Jos\u{e9}", "Jose\u{301}");
    let connector = example.connector();
    let first = create(&*connector, one).await;
    let account = json!({ "account": { "username": other.to_uppercase() } });
    let error = execute(&*connector, Action::CreateAccount, account).await.unwrap_err();
    assert_eq!(error.code(), Code::AccountAlreadyExists, "{error}");
    let bob = create(&*connector, "bob").await;
    let payload = json!({ "account": { "id": bob }, "changes": { "username": other } });
    let error = execute(&*connector, Action::UpdateAccount, payload).await.unwrap_err();
    assert!(error.message().contains(&format!("the user name is taken by the account {first}")), "{error}");
    assert_eq!(find(&*connector, other).await.unwrap().id.as_str(), first);

    // Another program may make such an account; then neither of the two is chosen.
    let rename = format!("UPDATE accounts SET username = '{other}', {off} WHERE id = :id");
    let renames = example.with("actions.suspend_account", json!([rename])).connector();
    execute(&*renames, Action::SuspendAccount, json!({ "account": { "id": bob } })).await.unwrap();
    for name in [one, other] {
        let error = connector.find_account(&Account::by_username(name)).await.unwrap_err();
        assert!(error.message().contains("finds more than one account"), "{error}");
        let delete = json!({ "account": { "username": name } });
        let error = execute(&*connector, Action::DeleteAccount, delete).await.unwrap_err();
        assert!(error.message().contains("finds more than one account"), "{error}");
    }
    assert!(connector.find_account(&Account::by_id(first.as_str())).await.unwrap().is_some());
    assert!(connector.find_account(&Account::by_id(bob.as_str())).await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn names_in_two_unicode_forms_are_one_name() {
    let wiki = Wiki::start().await;
    look_alikes_are_told(wiki.example("app.sqlite").patient(), "status = 'suspended'").await;
    let crm = Crm::start().await;
    look_alikes_are_told(crm.example().patient(), "active = false").await;
    let shop = Shop::start().await;
    shop.server
        .sql("shop", "ALTER TABLE accounts MODIFY username VARCHAR(255) COLLATE utf8mb4_general_ci NOT NULL");
    look_alikes_are_told(shop.example().patient(), "active = FALSE").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn taken_name_conflicts_are_reported_on_every_database() {
    let wiki = Wiki::start().await;
    conflicts_are_told(wiki.example("app.sqlite").patient()).await;
    let crm = Crm::start().await;
    conflicts_are_told(crm.example().patient()).await;
    let shop = Shop::start().await;
    conflicts_are_told(shop.example().patient()).await;

    // A constraint that is not about a name, and one about a name in a record that the look-ups exclude.
    crm.server.sql("crm", "CREATE UNIQUE INDEX one_desk ON accounts (department)");
    let connector = crm.example().patient().connector();
    let desk = |name: &str| json!({ "account": { "username": name, "department": "desk 1" } });
    execute(&*connector, Action::CreateAccount, desk("dan")).await.unwrap();
    let error = execute(&*connector, Action::CreateAccount, desk("eve")).await.unwrap_err();
    assert_eq!(error.code(), Code::InternalError, "{error}");
    assert!(error.message().contains("one_desk"), "{error}");
    let blind = crm
        .example()
        .patient()
        .with("accounts.by_username", "WHERE lower(username) = lower(:username) AND active");
    crm.server.sql("crm", "UPDATE accounts SET active = false WHERE username = 'dan'");
    let payload = json!({ "account": { "username": "DAN" } });
    let error = execute(&*blind.connector(), Action::CreateAccount, payload).await.unwrap_err();
    assert_eq!(error.code(), Code::AccountAlreadyExists, "{error}");
    assert!(error.message().contains("its user name is taken"), "{error}");
}

async fn both_updates_stay(connector: Arc<dyn Connector>) {
    let id = create(&*connector, "ann").await;
    for round in 0..25 {
        let change = |field: &'static str, value: String| {
            let (connector, id) = (connector.clone(), id.clone());
            tokio::spawn(async move {
                let payload = json!({ "account": { "id": id }, "changes": { field: value } });
                execute(&*connector, Action::UpdateAccount, payload).await
            })
        };
        let email = format!("ann{round}@example.com");
        let (one, other) = (change("email", email.clone()), change("display_name", format!("Ann {round}")));
        one.await.unwrap().unwrap();
        other.await.unwrap().unwrap();
        let found = find(&*connector, "ann").await.unwrap();
        assert_eq!((found.email, found.display_name), (Some(email), Some(format!("Ann {round}"))), "{round}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_updates_are_not_lost() {
    let crm = Crm::start().await;
    both_updates_stay(crm.example().patient().connector()).await;
    let shop = Shop::start().await;
    both_updates_stay(shop.example().patient().connector()).await;
    let wiki = Wiki::start().await;
    both_updates_stay(wiki.example("app.sqlite").patient().connector()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn member_id_in_another_case_is_listed_and_removed() {
    let wiki = Wiki::start().await;
    let mut file = open(&wiki.path("app.sqlite")).await;
    file.execute(
        "CREATE TABLE people (id TEXT PRIMARY KEY COLLATE NOCASE, name TEXT, email TEXT); INSERT INTO people VALUES ('ANN', 'ann', NULL); \
         CREATE TABLE crew (person TEXT COLLATE NOCASE, team TEXT); INSERT INTO crew VALUES ('ann', 'team-1')",
    )
    .await
    .unwrap();
    let with = |remove: &str| {
        wiki.example("app.sqlite").patient()
            .with("actions", json!({}))
            .with("accounts", json!({
                "fields": { "id": "id", "username": "name" }, "select": "SELECT id, name FROM people",
                "list": "WHERE id > COALESCE(:after, '') ORDER BY id LIMIT :limit", "by_id": "WHERE id = :id",
                "by_username": "WHERE name = :username",
            }))
            .with("groups", json!([{
                "slug": "team", "fields": { "id": "id", "name": "name" }, "paging": "none", "list": "SELECT id, name FROM teams",
                "members": {
                    "list": "SELECT person, team FROM crew WHERE person IN (SELECT value FROM json_each(:ids))",
                    "account": "person", "ref": "team",
                },
                "add": ["INSERT INTO crew VALUES (:id, :ref)"], "remove": [remove],
            }]))
            .connector()
    };
    let payload = json!({ "account": { "id": "ANN" }, "memberships": { "team": [] } });
    // The statement compares differently from the database: it removes nothing, and the removal is not reported as done.
    let strict = with("DELETE FROM crew WHERE person = :id COLLATE BINARY AND team = :ref");
    assert_eq!(find(&*strict, "ann").await.unwrap().memberships.of("team").len(), 1);
    let error = execute(&*strict, Action::UpdateAccount, payload.clone()).await.unwrap_err();
    assert_eq!(error.code(), Code::InternalError, "{error}");
    assert!(error.message().contains("changed no row"), "{error}");
    let right = with("DELETE FROM crew WHERE person = :id AND team = :ref");
    execute(&*right, Action::UpdateAccount, payload).await.unwrap();
    assert!(find(&*right, "ann").await.unwrap().memberships.of("team").is_empty());
}

/// Two accounts whose identifiers are equal for the database.
#[tokio::test(flavor = "multi_thread")]
async fn ambiguous_identifier_changes_no_account() {
    let tables = |column: &str| {
        format!(
            "CREATE TABLE people (id {column}, name VARCHAR(20), active VARCHAR(9)); \
             INSERT INTO people VALUES ('ann', 'ann', 'true'), ('ANN', 'other', 'true'), ('17', 'bob', 'true'), ('017', 'zoe', 'true')"
        )
    };
    let wiki = Wiki::start().await;
    let mut file = open(&wiki.path("app.sqlite")).await;
    file.execute(sqlx::AssertSqlSafe(tables("TEXT COLLATE NOCASE"))).await.unwrap();
    let crm = Crm::start().await;
    crm.server.sql("crm", &format!("CREATE EXTENSION citext; {}", tables("citext")));
    let shop = Shop::start().await;
    shop.server.sql("shop", &tables("VARCHAR(20)"));
    let cases = [
        (wiki.example("app.sqlite"), "text", ":id", "ann"),
        (crm.example(), "text", ":id::citext", "ann"),
        (shop.example(), "text", ":id", "ann"),
        (shop.example(), "integer", ":id", "17"),
    ];
    for (example, id_type, id, wanted) in cases {
        let suspend = format!("UPDATE people SET active = 'false' WHERE id = {id}");
        let connector = example
            .patient()
            .with("groups", json!([]))
            .with("licenses", json!([]))
            .with("actions", json!({
                "suspend_account": [suspend], "update_account": [suspend.replace("active = 'false'", "name = :username")],
                "delete_account": [format!("DELETE FROM people WHERE id = {id}")],
            }))
            .with("accounts", json!({
                "id_type": id_type,
                "fields": { "id": "id", "username": "name", "status": { "column": "active", "values": { "true": "active", "false": "suspended" } } },
                "select": "SELECT id, name, active FROM people", "paging": "none", "list": "ORDER BY name",
                "by_id": format!("WHERE id = {id}"), "by_username": "WHERE name = :username",
            }))
            .connector();
        let account = json!({ "id": wanted });
        for (action, payload) in [
            (Action::SuspendAccount, json!({ "account": account })),
            (Action::UpdateAccount, json!({ "account": account, "changes": { "username": "new" } })),
            (Action::DeleteAccount, json!({ "account": account })),
            (
                Action::DeleteAccount,
                json!({ "account": { "username": if wanted == "17" { "bob" } else { "ann" } } }),
            ),
        ] {
            let error = execute(&*connector, action, payload).await.unwrap_err();
            assert_eq!((error.code(), error.retry()), (Code::InternalError, Retry::Never), "{error}");
            assert!(error.message().contains("would change both"), "{error}");
        }
        for name in ["ann", "other", "bob", "zoe"] {
            assert_eq!(find(&*connector, name).await.unwrap().status, AccountStatus::Active, "{name}");
        }
    }
}

/// "Not found" would make Iden assume that an existing account is gone.
#[tokio::test(flavor = "multi_thread")]
async fn account_found_only_by_name_is_not_account_not_found() {
    let wiki = Wiki::start().await;
    create(&*wiki.example("app.sqlite").connector(), "ann").await;
    let blind = wiki
        .example("app.sqlite")
        .with("accounts.by_id", "WHERE a.id = :id AND a.username <> 'ann'")
        .connector();
    for action in [Action::DeleteAccount, Action::SuspendAccount] {
        let payload = json!({ "account": { "username": "ann" } });
        let error = execute(&*blind, action, payload).await.unwrap_err();
        assert_eq!((error.code(), error.retry()), (Code::InternalError, Retry::Backoff), "{error}");
        assert!(error.message().contains("Correct accounts.by_id"), "{error}");
    }
    assert_eq!(find(&*blind, "ann").await.unwrap().status, AccountStatus::Active);
}
