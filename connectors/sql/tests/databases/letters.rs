//! Names with letters that the database cannot store.

use bridgehead_sdk::{Account, Action, Effect, Subject};
use serde_json::json;

use crate::example::{Example, tables};
use crate::mariadb::Shop;
use crate::postgres::Crm;
use crate::support::{create, execute, find};

/// No account can have such a name, so it is certainly not found. A task that sets it fails, and others are not held.
async fn nobody_has_it(example: Example) {
    let connector = example.patient().connector();
    let id = match find(&*connector, "ann").await {
        Some(found) => found.id.into_string(),
        None => create(&*connector, "ann").await,
    };
    let name = "snow\u{2603}\u{1f600}";
    for account in [Account::by_username(name), Account::by_email(format!("{name}@example.org"))] {
        assert!(connector.find_account(&account).await.unwrap().is_none());
    }
    for (action, task) in [
        (Action::CreateAccount, json!({ "account": { "username": name, "email": "eve@example.org" } })),
        (Action::UpdateAccount, json!({ "account": { "id": id }, "changes": { "username": name } })),
    ] {
        let error = execute(&*connector, action, task).await.unwrap_err();
        assert_eq!((error.effect(), error.subject()), (Effect::NotApplied, Subject::Account), "{error}");
    }
    assert!(find(&*connector, "ann").await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn name_that_mariadb_cannot_store_is_nobody() {
    let shop = Shop::start().await;
    let column = |name: &str| format!("MODIFY {name} VARCHAR(190) CHARACTER SET latin1");
    shop.server.sql("shop", &format!("ALTER TABLE accounts {}, {}", column("username"), column("email")));
    nobody_has_it(shop.example()).await;
    // The letters reach a statement that compares them before it writes them.
    let guarded = "INSERT INTO accounts (username, email) SELECT :username, :email FROM DUAL \
                   WHERE NOT EXISTS (SELECT 1 FROM accounts WHERE username = :username) RETURNING id";
    let create = json!([{ "sql": guarded, "returns": "id" }]);
    nobody_has_it(shop.example().with("actions.create_account", create)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn name_that_postgresql_cannot_store_is_nobody() {
    let crm = Crm::start().await;
    let database = "CREATE DATABASE latin ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0";
    crm.server.sql("postgres", database);
    crm.server.sql("latin", &tables("postgresql.sql"));
    nobody_has_it(crm.example().with("database", "latin")).await;
}
