//! Behavior specific to Active Directory, tested on Samba.

use bridgehead_sdk::{Account, AccountStatus, Action, Code, Effect, Record, Subject};
use bridgehead_test_servers::{Login, Samba};
use serde_json::{Value, json};

use crate::support::{connector, find, group_id, id, list, run, settings, with};

fn groups() -> Value {
    json!({ "groups": [{ "slug": "group", "base": "OU=groups,DC=test,DC=lan" }] })
}

#[tokio::test]
async fn account_is_created_complete_with_its_guid_as_id() {
    let server = Samba::start().await;
    let directory = &server.directory;
    let connector = connector(directory, with(settings("ad", directory), &groups()));
    let group = group_id(&connector, "group", "engineering").await;
    let account = json!({
        "username": "ann", "email": "ann@example.com", "first_name": "Ann", "last_name": "Arbor",
        "display_name": "Ann Arbor", "password": "Correct-horse-1",
    });
    let task = json!({ "account": account, "memberships": { "group": [group] } });
    let ann = id(&run(&connector, Action::CreateAccount, task).await.unwrap());
    let entry = directory.entry("CN=ann,OU=people,DC=test,DC=lan").unwrap();
    assert_eq!(entry.first("userPrincipalName"), Some("ann@test.lan"));
    assert_eq!(entry.first("userAccountControl"), Some("512"));
    let login = Login { dn: entry.dn.clone(), password: "Correct-horse-1".into() };
    assert!(directory.accepts(&login));
    let record = find(&connector, &ann).await.unwrap();
    assert_eq!(record.username.as_deref(), Some("ann"));
    assert_eq!(record.memberships.to_json(false), json!({ "group": [group] }));
    assert_eq!(ann.len(), 36, "{ann}");
    // The identifier from a listing finds the entry again.
    let records = list(&connector, "account").await.unwrap();
    assert!(records.iter().any(|record| record.id() == ann));
    run(&connector, Action::DeleteAccount, json!({ "account": { "id": ann } })).await.unwrap();
    assert_eq!(find(&connector, &ann).await, None);
}

#[tokio::test]
async fn renamed_account_keeps_its_id_groups_and_login() {
    let server = Samba::start().await;
    let directory = &server.directory;
    let connector = connector(directory, with(settings("ad", directory), &groups()));
    let group = group_id(&connector, "group", "sales").await;
    let account = json!({ "username": "ann", "password": "Correct-horse-1" });
    let task = json!({ "account": account, "memberships": { "group": [group] } });
    let ann = id(&run(&connector, Action::CreateAccount, task).await.unwrap());
    let rename = json!({ "account": { "id": ann }, "changes": { "username": "anna" } });
    run(&connector, Action::UpdateAccount, rename).await.unwrap();
    let entry = directory.entry("CN=anna,OU=people,DC=test,DC=lan").unwrap();
    assert_eq!(entry.first("userPrincipalName"), Some("anna@test.lan"));
    let record = find(&connector, &ann).await.unwrap();
    assert_eq!(record.username.as_deref(), Some("anna"));
    assert_eq!(record.memberships.to_json(false), json!({ "group": [group] }));
    let moved =
        "dn: CN=anna,OU=people,DC=test,DC=lan\nchangetype: modrdn\nnewrdn: CN=Anna A\ndeleteoldrdn: 1\n";
    directory.modify_ldif(moved);
    assert_eq!(find(&connector, &ann).await.unwrap().username.as_deref(), Some("anna"));
}

#[tokio::test]
async fn suspending_preserves_other_account_control_bits() {
    let server = Samba::start().await;
    let directory = &server.directory;
    let connector = connector(directory, with(settings("ad", directory), &groups()));
    let account =
        json!({ "account": { "username": "ann", "status": "suspended", "password": "Correct-horse-1" } });
    let ann = id(&run(&connector, Action::CreateAccount, account).await.unwrap());
    let dn = "CN=ann,OU=people,DC=test,DC=lan";
    let control = || directory.entry(dn).unwrap().first("userAccountControl").unwrap().to_owned();
    assert_eq!(control(), "514");
    // A password that does not expire.
    directory.modify_ldif(&format!(
        "dn: {dn}\nchangetype: modify\nreplace: userAccountControl\nuserAccountControl: 66050\n"
    ));
    let task = || json!({ "account": { "id": ann } });
    assert_eq!(find(&connector, &ann).await.unwrap().status, AccountStatus::Suspended);
    run(&connector, Action::UnsuspendAccount, task()).await.unwrap();
    assert_eq!(control(), "66048");
    run(&connector, Action::SuspendAccount, task()).await.unwrap();
    assert_eq!(control(), "66050");
    let reset = json!({ "account": { "id": ann }, "changes": { "password": "Another-horse-1" } });
    run(&connector, Action::ResetPassword, reset).await.unwrap();
    assert_eq!(control(), "66050", "a reset lets nobody in");
    run(&connector, Action::UnsuspendAccount, task()).await.unwrap();
    assert!(directory.accepts(&Login { dn: dn.into(), password: "Another-horse-1".into() }));
}

#[tokio::test]
async fn password_violating_policy_is_reported_without_changes() {
    let server = Samba::start().await;
    let directory = &server.directory;
    let connector = connector(directory, with(settings("ad", directory), &groups()));
    let weak = json!({ "account": { "username": "ann", "password": "weak-1" } });
    let error = run(&connector, Action::CreateAccount, weak).await.unwrap_err();
    assert_eq!(
        (error.code(), error.effect(), error.subject()),
        (Code::InternalError, Effect::NotApplied, Subject::Account)
    );
    assert!(!error.message().contains("weak-1"), "{error}");
    assert_eq!(directory.entry("CN=ann,OU=people,DC=test,DC=lan"), None);
    // Without a password in the task, the account gets a random one and is active.
    let ann = json!({ "account": { "username": "ann" } });
    let ann = id(&run(&connector, Action::CreateAccount, ann).await.unwrap());
    assert_eq!(find(&connector, &ann).await.unwrap().status, AccountStatus::Active);
    let weak = json!({ "account": { "id": ann }, "changes": { "password": "weak-1" } });
    let error = run(&connector, Action::ResetPassword, weak).await.unwrap_err();
    assert!(error.message().contains("password policy"), "{error}");
}

#[tokio::test]
async fn name_used_in_another_container_already_exists() {
    let server = Samba::start().await;
    let directory = &server.directory;
    let connector = connector(directory, with(settings("ad", directory), &groups()));
    // The writer is a user outside of the base of the accounts.
    let account = json!({ "account": { "username": "WRITER" } });
    let error = run(&connector, Action::CreateAccount, account).await.unwrap_err();
    assert_eq!((error.code(), error.effect()), (Code::AccountAlreadyExists, Effect::NotApplied));
}

#[tokio::test]
async fn name_with_nul_does_not_match_a_shorter_name() {
    let server = Samba::start().await;
    let directory = &server.directory;
    let connector = connector(directory, with(settings("ad", directory), &groups()));
    run(&connector, Action::CreateAccount, json!({ "account": { "username": "ann" } })).await.unwrap();
    let longer = Account::by_username("ann\0x");
    assert_eq!(connector.find_account(&longer).await.unwrap(), None);
    let delete = json!({ "account": { "username": "ann\0x" } });
    let error = run(&connector, Action::DeleteAccount, delete).await.unwrap_err();
    assert_eq!(error.code(), Code::AccountNotFound);
}

#[tokio::test]
async fn starttls_works_and_a_refused_bind_has_a_reason() {
    let server = Samba::start().await;
    let directory = &server.directory;
    let start_tls = json!({ "url": directory.ldap_url(), "start_tls": true });
    connector(directory, with(settings("ad", directory), &start_tls)).check().await.unwrap();
    let by_principal = json!({ "bind_dn": "writer@test.lan" });
    connector(directory, with(settings("ad", directory), &by_principal)).check().await.unwrap();
    let wrong = json!({ "bind_password": "not-the-password" });
    let error = connector(directory, with(settings("ad", directory), &wrong)).check().await.unwrap_err();
    assert_eq!((error.code(), error.subject()), (Code::PermissionDenied, Subject::Connection));
    let plain = json!({ "url": directory.ldap_url(), "password": "none" });
    let error = connector(directory, with(settings("ad", directory), &plain)).check().await.unwrap_err();
    assert_eq!((error.code(), error.subject()), (Code::InternalError, Subject::Connection));
    assert!(error.message().contains("strongerAuthRequired (8)"), "{error}");
}

#[tokio::test]
async fn nested_groups_are_followed() {
    let server = Samba::start().await;
    let directory = &server.directory;
    directory.modify_ldif(
        "dn: CN=sales,OU=groups,DC=test,DC=lan\nchangetype: modify\nadd: member\n\
         member: CN=engineering,OU=groups,DC=test,DC=lan\n",
    );
    let nested = json!({ "memberships": { "nested": true } });
    let connector = connector(directory, with(with(settings("ad", directory), &groups()), &nested));
    let engineering = group_id(&connector, "group", "engineering").await;
    let sales = group_id(&connector, "group", "sales").await;
    let task = json!({ "account": { "username": "ann" }, "memberships": { "group": [engineering] } });
    let ann = id(&run(&connector, Action::CreateAccount, task).await.unwrap());
    let mut both = [engineering, sales];
    both.sort();
    let record = find(&connector, &ann).await.unwrap();
    assert_eq!(record.memberships.to_json(false), json!({ "group": both }));
    let accounts = list(&connector, "account").await.unwrap();
    assert!(accounts.contains(&Record::from(record)));
}

#[tokio::test]
async fn taken_user_principal_name_already_exists() {
    let server = Samba::start().await;
    let directory = &server.directory;
    let connector = connector(directory, with(settings("ad", directory), &groups()));
    directory.add_ldif(
        "dn: CN=other,OU=groups,DC=test,DC=lan\nobjectClass: user\nsAMAccountName: other\n\
         userAccountControl: 546\nuserPrincipalName: ann@test.lan\n",
    );
    let account = json!({ "account": { "username": "ann", "password": "Correct-horse-1" } });
    let error = run(&connector, Action::CreateAccount, account).await.unwrap_err();
    assert_eq!((error.code(), error.effect()), (Code::AccountAlreadyExists, Effect::NotApplied), "{error}");
    assert!(error.message().contains("CN=other"), "{error}");
    run(&connector, Action::CreateAccount, json!({ "account": { "username": "bob" } })).await.unwrap();
    let rename = json!({ "account": { "username": "bob" }, "changes": { "username": "ann" } });
    let error = run(&connector, Action::UpdateAccount, rename).await.unwrap_err();
    assert_eq!(error.code(), Code::AccountAlreadyExists, "{error}");
    connector.check().await.unwrap();
}

#[tokio::test]
async fn unsuspending_clears_a_lockout() {
    let server = Samba::start().await;
    let directory = &server.directory;
    directory.modify_ldif(
        "dn: DC=test,DC=lan\nchangetype: modify\nreplace: lockoutThreshold\nlockoutThreshold: 2\n",
    );
    let connector = connector(directory, with(settings("ad", directory), &groups()));
    let account = json!({ "account": { "username": "ann", "password": "Correct-horse-1" } });
    let ann = id(&run(&connector, Action::CreateAccount, account).await.unwrap());
    let login =
        |password: &str| Login { dn: "CN=ann,OU=people,DC=test,DC=lan".into(), password: password.into() };
    for _ in 0..3 {
        assert!(!directory.accepts(&login("wrong-horse-1")));
    }
    assert!(!directory.accepts(&login("Correct-horse-1")), "it is locked");
    run(&connector, Action::UnsuspendAccount, json!({ "account": { "id": ann } })).await.unwrap();
    assert!(directory.accepts(&login("Correct-horse-1")));
}

#[tokio::test]
async fn expired_account_is_not_reported_as_unsuspended() {
    let server = Samba::start().await;
    let directory = &server.directory;
    let connector = connector(directory, with(settings("ad", directory), &groups()));
    let account =
        json!({ "account": { "username": "ann", "status": "suspended", "password": "Correct-horse-1" } });
    let ann = id(&run(&connector, Action::CreateAccount, account).await.unwrap());
    let dn = "CN=ann,OU=people,DC=test,DC=lan";
    let expires = |time: &str| {
        let change =
            format!("dn: {dn}\nchangetype: modify\nreplace: accountExpires\naccountExpires: {time}\n");
        directory.modify_ldif(&change);
    };
    expires("132854688000000000");
    let unsuspend = json!({ "account": { "id": ann } });
    let activate = json!({ "account": { "id": ann }, "changes": { "status": "active" } });
    for (action, task) in [(Action::UnsuspendAccount, &unsuspend), (Action::UpdateAccount, &activate)] {
        let error = run(&connector, action, task.clone()).await.unwrap_err();
        assert!(error.message().contains("expired on 2022-01-01 (accountExpires)"), "{error}");
        assert_eq!(find(&connector, &ann).await.unwrap().status, AccountStatus::Suspended, "unchanged");
    }
    expires("0");
    run(&connector, Action::UnsuspendAccount, unsuspend).await.unwrap();
    assert!(directory.accepts(&Login { dn: dn.into(), password: "Correct-horse-1".into() }));
}
