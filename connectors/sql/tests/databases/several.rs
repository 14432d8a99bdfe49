//! Statements that change the rows of more than one account.

use bridgehead_sdk::{Action, Code, Connector, Effect, Record};
use serde_json::{Value, json};

use crate::example::Example;
use crate::mariadb::Shop;
use crate::postgres::Crm;
use crate::sqlite::{Wiki, open};
use crate::support::{accounts, create, execute, find, list};
use sqlx::Executor;

/// Statements that forget the account: they change everybody.
const EVERYBODY: [(Action, &str, &str); 6] = [
    (
        Action::UpdateAccount,
        "actions.update_account",
        "UPDATE accounts SET first_name = :first_name WHERE username <> '' OR id = :id",
    ),
    (
        Action::SuspendAccount,
        "actions.suspend_account",
        "UPDATE accounts SET {off} WHERE username <> '' OR id = :id",
    ),
    (
        Action::UnsuspendAccount,
        "actions.unsuspend_account",
        "UPDATE accounts SET {on} WHERE username <> '' OR id = :id",
    ),
    (
        Action::ResetPassword,
        "actions.reset_password",
        "UPDATE accounts SET display_name = :password WHERE username <> '' OR id = :id",
    ),
    (
        Action::DeleteAccount,
        "actions.delete_account",
        "DELETE FROM accounts WHERE username <> '' OR id = :id",
    ),
    (
        Action::CreateAccount,
        "actions.create_account",
        "INSERT INTO accounts (username, email) SELECT name, NULL FROM (SELECT :username AS name \
         UNION ALL SELECT 'twin') AS names",
    ),
];

async fn all(connector: &dyn Connector) -> Vec<Value> {
    let (records, ..) = list(connector, &accounts()).await.unwrap();
    let records = records.into_iter().map(|record| match record {
        Record::Account(account) => serde_json::to_value(account).unwrap(),
        Record::Entity(_) => panic!("no account"),
    });
    records.collect()
}

async fn nothing_changes(example: &Example, on: &str, off: &str) {
    let example = example.clone().patient();
    let plain = example.connector();
    let id = create(&*plain, "ann").await;
    create(&*plain, "bob").await;
    let before = all(&*plain).await;
    for (action, key, sql) in EVERYBODY {
        let sql = sql.replace("{on}", on).replace("{off}", off);
        let connector = example.clone().with(key, json!([sql])).connector();
        let account =
            if action == Action::CreateAccount { json!({ "username": "eve" }) } else { json!({ "id": id }) };
        let payload = match action {
            Action::UpdateAccount => json!({ "account": account, "changes": { "first_name": "Ann" } }),
            Action::ResetPassword => json!({ "account": account, "password": "hunter3-éü" }),
            _ => json!({ "account": account }),
        };
        let error = execute(&*connector, action, payload.clone()).await.unwrap_err();
        assert_eq!((error.code(), error.effect()), (Code::InternalError, Effect::NotApplied), "{error}");
        let message = error.message();
        let label = if action == Action::CreateAccount { "eve" } else { id.as_str() };
        assert!(message.contains(&format!("{key}.0 changes 2 rows of accounts")), "{message}");
        assert!(message.contains(&format!("User {label}")), "{message}");
        assert!(!message.contains("hunter3"), "{message}");
        assert_eq!(all(&*plain).await, before, "{key}");
    }
    // It is allowed if the configuration says so.
    let sql = "UPDATE accounts SET first_name = :first_name WHERE username <> '' OR id = :id";
    let task = json!({ "account": { "id": id }, "changes": { "first_name": "Ann" } });
    for step in [
        json!({ "sql": sql, "many_rows": true }),
        json!({ "sql": sql, "expect": { "rows": 2, "otherwise": "INTERNAL_ERROR" } }),
    ] {
        let connector = example.clone().with("actions.update_account", json!([step])).connector();
        execute(&*connector, Action::UpdateAccount, task.clone()).await.unwrap();
        assert_eq!(find(&*plain, "bob").await.unwrap().first_name.as_deref(), Some("Ann"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn statement_that_changes_several_accounts_is_rolled_back() {
    let wiki = Wiki::start().await;
    nothing_changes(&wiki.example("app.sqlite"), "status = 'active'", "status = 'suspended'").await;
    let crm = Crm::start().await;
    nothing_changes(&crm.example(), "active = true", "active = false").await;
    let shop = Shop::start().await;
    nothing_changes(&shop.example(), "active = TRUE", "active = FALSE").await;
}

/// The table that a statement writes to is found in every form that the database has for it.
async fn other_forms_are_limited(example: &Example, forms: &[&str]) {
    let example = example.clone().patient();
    let plain = example.connector();
    let id = create(&*plain, "ann").await;
    create(&*plain, "bob").await;
    let before = all(&*plain).await;
    let task = json!({ "account": { "id": id }, "changes": { "first_name": "Ann" } });
    for form in forms {
        let sql = form.replace("{set}", "SET first_name = :first_name WHERE username <> '' OR id = :id");
        let connector = example.clone().with("actions.update_account", json!([sql])).connector();
        let error = execute(&*connector, Action::UpdateAccount, task.clone()).await.unwrap_err();
        assert!(
            error.message().contains("actions.update_account.0 changes 2 rows of accounts"),
            "{sql}: {error}"
        );
        assert_eq!(all(&*plain).await, before, "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn statement_in_an_unusual_form_is_limited_to_one_account() {
    let wiki = Wiki::start().await;
    let forms = [
        "WITH x AS (SELECT 1) UPDATE accounts {set}",
        "UPDATE OR IGNORE accounts {set}",
        "UPDATE [accounts] {set}",
    ];
    other_forms_are_limited(&wiki.example("app.sqlite"), &forms).await;
    let crm = Crm::start().await;
    let forms = [
        "WITH x AS (SELECT 1) UPDATE accounts {set}",
        "UPDATE ONLY accounts {set} RETURNING id",
        "MERGE INTO accounts USING (SELECT :id AS own) AS o ON username <> '' WHEN MATCHED THEN UPDATE SET first_name = :first_name",
    ];
    other_forms_are_limited(&crm.example(), &forms).await;
    let shop = Shop::start().await;
    other_forms_are_limited(&shop.example(), &["UPDATE LOW_PRIORITY IGNORE accounts {set}"]).await;
}

/// Passwords may have a table of their own; the sessions of an account may have several rows in theirs.
#[tokio::test(flavor = "multi_thread")]
async fn other_tables_may_have_several_rows_unless_these_are_passwords() {
    let wiki = Wiki::start().await;
    let mut file = open(&wiki.path("app.sqlite")).await;
    file.execute("CREATE TABLE secrets (owner, hash); CREATE TABLE sessions (owner)").await.unwrap();
    let steps = |steps: &[&str]| {
        wiki.example("app.sqlite").patient().with("actions.reset_password", json!(steps)).connector()
    };
    let ends = "DELETE FROM sessions WHERE owner = :id";
    let set = "UPDATE secrets SET hash = :password_ssha WHERE owner = :id";
    let connector = steps(&[set, ends]);
    let id = create(&*connector, "ann").await;
    let rows = format!(
        "INSERT INTO secrets VALUES ('{id}', 'old'), (0, 'old'); INSERT INTO sessions VALUES ('{id}'), ('{id}'), (0)"
    );
    file.execute(sqlx::AssertSqlSafe(rows)).await.unwrap();
    let reset = json!({ "account": { "id": id }, "password": "hunter3-éü" });
    execute(&*connector, Action::ResetPassword, reset.clone()).await.unwrap();
    let count = async |file: &mut sqlx::SqliteConnection, sql: &'static str| {
        sqlx::query_scalar::<_, i64>(sql).fetch_one(file).await.unwrap()
    };
    let unchanged = "SELECT count(*) FROM secrets WHERE hash = 'old'";
    assert_eq!(count(&mut file, unchanged).await, 1);
    assert_eq!(count(&mut file, "SELECT count(*) FROM sessions").await, 1);
    let everybody = "UPDATE secrets SET hash = :password_ssha WHERE owner IN (0, :id)";
    let error = execute(&*steps(&[everybody, ends]), Action::ResetPassword, reset).await.unwrap_err();
    assert!(error.message().contains("actions.reset_password.0 changes 2 rows of secrets"), "{error}");
    assert_eq!(count(&mut file, unchanged).await, 1);
}

/// Accounts are read from a view, and statements write to the table behind it: they are limited as well. Other tables are not.
async fn behind_a_view_is_limited(example: &Example, select: &str) {
    let example = example.clone().patient();
    let plain = example.connector();
    let id = create(&*plain, "ann").await;
    create(&*plain, "bob").await;
    let before = all(&*plain).await;
    let viewed = example.with("accounts.select", select.replace("FROM accounts", "FROM staff"));
    let task = json!({ "account": { "id": id }, "changes": { "first_name": "Ann" } });
    let everybody = "UPDATE accounts SET first_name = :first_name WHERE username <> '' OR id = :id";
    let connector = viewed.clone().with("actions.update_account", json!([everybody])).connector();
    let error = execute(&*connector, Action::UpdateAccount, task.clone()).await.unwrap_err();
    assert!(error.message().contains("actions.update_account.0 changes 2 rows of accounts"), "{error}");
    assert_eq!(error.effect(), Effect::NotApplied);
    assert_eq!(all(&*plain).await, before);
    let one = "UPDATE accounts SET first_name = :first_name WHERE id = :id";
    let marks = "DELETE FROM marks WHERE :id IS NOT NULL";
    let connector = viewed.with("actions.update_account", json!([one, marks])).connector();
    execute(&*connector, Action::UpdateAccount, task).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn statement_on_the_table_behind_a_view_is_limited_to_one_account() {
    let views = "CREATE VIEW inner_staff AS SELECT a.* FROM accounts a WHERE a.username <> 'root'; \
                 CREATE VIEW staff AS SELECT * FROM inner_staff; \
                 CREATE TABLE marks (at VARCHAR(9)); INSERT INTO marks VALUES ('1'), ('2')";
    let wiki = Wiki::start().await;
    open(&wiki.path("app.sqlite")).await.execute(views).await.unwrap();
    let select = |example: &Example| example.target["accounts"]["select"].as_str().unwrap().to_owned();
    let example = wiki.example("app.sqlite");
    behind_a_view_is_limited(&example, &select(&example)).await;
    let crm = Crm::start().await;
    crm.server.sql("crm", views);
    behind_a_view_is_limited(&crm.example(), &select(&crm.example())).await;
    let shop = Shop::start().await;
    shop.server.sql("shop", views);
    behind_a_view_is_limited(&shop.example(), &select(&shop.example())).await;
}
