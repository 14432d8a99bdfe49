//! Stored password hashes.

use bridgehead_sdk::{Action, Effect};
use serde_json::{Value, json};

use crate::mariadb::Shop;
use crate::postgres::Crm;
use crate::sqlite::{Wiki, open};
use crate::support::{create, execute, find};
use sqlx::{Executor, Row};

#[tokio::test(flavor = "multi_thread")]
async fn password_hash_is_bound_in_the_configured_scheme() {
    let forms = [
        ("password_argon2id", "$argon2id$v=19$m=64,t=1,p=1$"),
        ("password_bcrypt", "$2b$04$"),
        ("password_pbkdf2_sha256", "pbkdf2_sha256$1000$"),
        ("password_scrypt", "$scrypt$ln=4,r=8,p=1$"),
        ("password_sha512_crypt", "$6$rounds=1000$"),
        ("password_yescrypt", "$y$"),
        ("password_ssha", "{SSHA}"),
        ("password", "hunter2-éü"),
    ];
    let wiki = Wiki::start().await;
    let mut file = open(&wiki.path("app.sqlite")).await;
    file.execute("ALTER TABLE accounts ADD COLUMN kept TEXT").await.unwrap();
    let costs = json!({
        "argon2id": { "memory_kib": 64, "iterations": 1 }, "bcrypt": { "cost": 4 }, "pbkdf2_sha256": { "iterations": 1000 },
        "scrypt": { "log_n": 4 }, "sha512_crypt": { "rounds": 1000 }, "yescrypt": { "log_n": 10, "r": 8 },
    });
    for (parameter, start) in forms {
        let create = format!("INSERT INTO accounts (username, kept) VALUES (:username, :{parameter})");
        let reset = format!("UPDATE accounts SET kept = :{parameter} WHERE id = :id");
        let connector = wiki
            .example("app.sqlite")
            .patient()
            .with("hashes", costs.clone())
            .with("actions.create_account", json!([create]))
            .with("actions.reset_password", json!([reset]))
            .connector();
        connector.check().await.unwrap();
        let account = json!({ "username": parameter });
        let done = execute(
            &*connector,
            Action::CreateAccount,
            json!({ "account": account, "password": "hunter2-éü" }),
        );
        let id = done.await.unwrap().result["account_id"].clone();
        let kept = async |file: &mut sqlx::SqliteConnection| {
            let query = sqlx::query("SELECT kept FROM accounts WHERE username = ?").bind(parameter);
            query.fetch_one(file).await.unwrap().get::<String, _>(0)
        };
        let first = kept(&mut file).await;
        assert!(first.starts_with(start), "{parameter}");
        let payload = json!({ "account": { "id": id }, "password": "hunter3-éü" });
        execute(&*connector, Action::ResetPassword, payload).await.unwrap();
        let second = kept(&mut file).await;
        assert_ne!(first, second, "{parameter}");
        let is_plain = parameter == "password";
        assert_eq!(second.contains("hunter3"), is_plain, "{parameter}");
        let payload = json!({ "account": { "id": id }, "password": Value::Null });
        let without = execute(&*connector, Action::ResetPassword, payload).await.unwrap_err();
        assert!(without.message().contains("no password"), "{without}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reset_that_changes_no_row_is_not_a_success() {
    let wiki = Wiki::start().await;
    let steps = |steps: &[&str]| {
        wiki.example("app.sqlite").patient().with("actions.reset_password", json!(steps)).connector()
    };
    let set = "UPDATE accounts SET display_name = :password WHERE username = :username AND id = :id";
    let create = json!({ "account": { "username": "ann" } });
    let id =
        execute(&*steps(&[set]), Action::CreateAccount, create).await.unwrap().result["account_id"].clone();
    let reset = json!({ "account": { "id": id }, "password": "hunter3-éü" });
    // The account has no such name.
    let wrong = "UPDATE accounts SET display_name = :password WHERE username = :username || 'x' AND id = :id";
    let other = "UPDATE accounts SET last_name = 'reset' WHERE id = :id";
    let error = execute(&*steps(&[wrong]), Action::ResetPassword, reset.clone()).await.unwrap_err();
    assert_eq!(error.effect(), Effect::NotApplied, "{error}");
    assert!(error.message().contains("changed no row"), "{error}");
    execute(&*steps(&[set, other]), Action::ResetPassword, reset.clone()).await.unwrap();
    execute(&*steps(&[set]), Action::ResetPassword, reset).await.unwrap();
}

/// Each statement counts by itself: a change by another statement does not hide that the password stays.
#[tokio::test(flavor = "multi_thread")]
async fn other_changes_do_not_hide_a_reset_that_changes_no_row() {
    let (wiki, shop, crm) = (Wiki::start().await, Shop::start().await, Crm::start().await);
    let other = "UPDATE accounts SET last_name = 'reset' WHERE id = :id";
    let wrong = "UPDATE accounts SET display_name = :password WHERE username = 'nobody' AND id = :id";
    let set = "UPDATE accounts SET display_name = :password WHERE id = :id";
    for example in [wiki.example("app.sqlite"), shop.example(), crm.example()] {
        let steps = |steps: &[&str]| {
            example.clone().patient().with("actions.reset_password", json!(steps)).connector()
        };
        let id = create(&*steps(&[set]), "ann").await;
        let reset = json!({ "account": { "id": id }, "password": "hunter3-éü" });
        for order in [[other, wrong], [wrong, other]] {
            let error = execute(&*steps(&order), Action::ResetPassword, reset.clone()).await.unwrap_err();
            assert_eq!(error.effect(), Effect::NotApplied, "{error}");
            assert!(error.message().contains("changed no row"), "{error}");
        }
        let found = find(&*steps(&[set]), "ann").await.unwrap();
        assert_eq!(found.last_name, None, "the other change was rolled back");
        // One of several statements sets it, for example in whichever table has the account.
        execute(&*steps(&[wrong, set, other]), Action::ResetPassword, reset).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn update_with_a_password_is_refused_wherever_the_task_has_it() {
    let wiki = Wiki::start().await;
    let connector = wiki.example("app.sqlite").patient().connector();
    let id = create(&*connector, "ann").await;
    for task in [
        json!({ "account": { "id": id }, "changes": { "first_name": "Ann", "new_password": "hunter3-éü" } }),
        json!({ "account": { "id": id, "password": "hunter3-éü" }, "changes": { "first_name": "Ann" } }),
        json!({ "account": { "id": id }, "password": "hunter3-éü", "changes": { "first_name": "Ann" } }),
    ] {
        let error = execute(&*connector, Action::UpdateAccount, task).await.unwrap_err();
        assert_eq!(error.effect(), Effect::NotApplied, "{error}");
        assert!(
            error.message().contains("reset_password") && !error.message().contains("hunter3"),
            "{error}"
        );
        assert_eq!(find(&*connector, "ann").await.unwrap().first_name, None);
    }
}
