//! Behavior specific to 389 Directory Server.

use bridgehead_sdk::{AccountStatus, Action, Code, Effect, Subject};
use bridgehead_test_servers::{Ds389, Login, Options};
use serde_json::json;

use crate::support::{connector, find, group_id, id, run, settings, with};

#[tokio::test]
async fn passwords_are_set_only_over_starttls() {
    let server = Ds389::start().await;
    let directory = &server.directory;
    let plain = with(settings("389ds", directory), &json!({ "url": directory.ldap_url() }));
    let account = json!({ "account": { "username": "ann", "password": "correct-horse-1" } });
    let refused = connector(directory, plain.clone());
    let error = run(&refused, Action::CreateAccount, account.clone()).await.unwrap_err();
    assert_eq!(
        (error.code(), error.effect(), error.subject()),
        (Code::InternalError, Effect::NotApplied, Subject::Connection)
    );
    assert!(error.message().contains("confidentialityRequired (13)"), "{error}");
    assert_eq!(directory.search(&directory.people, "(objectClass=person)", &["dn"]), [], "nothing is left");
    let connector = connector(directory, with(plain, &json!({ "start_tls": true })));
    let ann = id(&run(&connector, Action::CreateAccount, account).await.unwrap());
    let login = Login { dn: "uid=ann,ou=people,dc=test".into(), password: "correct-horse-1".into() };
    assert!(directory.accepts(&login));
    let reset = json!({ "account": { "id": ann }, "changes": { "password": "another-horse-1" } });
    run(&connector, Action::ResetPassword, reset).await.unwrap();
    assert!(directory.accepts(&Login { password: "another-horse-1".into(), ..login }));
}

#[tokio::test]
async fn password_violating_policy_leaves_no_entry() {
    let server = Ds389::start().await;
    let directory = &server.directory;
    let connector = connector(directory, settings("389ds", directory));
    let account = json!({ "account": { "username": "ann", "password": "xyz-12" } });
    let error = run(&connector, Action::CreateAccount, account).await.unwrap_err();
    assert_eq!(
        (error.code(), error.effect(), error.subject()),
        (Code::InternalError, Effect::NotApplied, Subject::Account)
    );
    assert!(error.message().contains("password policy"), "{error}");
    assert!(!error.message().contains("xyz-12"), "{error}");
    assert_eq!(directory.search(&directory.people, "(objectClass=person)", &["dn"]), []);
}

#[tokio::test]
async fn locked_and_renamed_account_stays_in_its_groups() {
    let server = Ds389::start().await;
    let directory = &server.directory;
    for integrity in [false, true] {
        let own = json!({ "referential_integrity": integrity, "memberships": { "read_from": "memberOf" } });
        let connector = connector(directory, with(settings("389ds", directory), &own));
        let group = group_id(&connector, "group", "engineering").await;
        let memberships = json!({ "group": [group] });
        let account = json!({ "username": "ann", "password": "correct-horse-1", "status": "suspended" });
        let task = json!({ "account": account, "memberships": memberships });
        let ann = id(&run(&connector, Action::CreateAccount, task).await.unwrap());
        assert_eq!(find(&connector, &ann).await.unwrap().status, AccountStatus::Suspended);
        let rename =
            json!({ "account": { "id": ann }, "changes": { "username": "anna", "status": "active" } });
        run(&connector, Action::UpdateAccount, rename).await.unwrap();
        let record = find(&connector, &ann).await.unwrap();
        assert_eq!(record.status, AccountStatus::Active);
        assert_eq!(record.username.as_deref(), Some("anna"));
        assert_eq!(record.memberships.to_json(false), memberships, "{integrity}");
        let login = Login { dn: "uid=anna,ou=people,dc=test".into(), password: "correct-horse-1".into() };
        assert!(directory.accepts(&login));
        run(&connector, Action::DeleteAccount, json!({ "account": { "id": ann } })).await.unwrap();
        let members = directory.entry("cn=engineering,ou=groups,dc=test").unwrap();
        assert_eq!(members.all("member"), [] as [&str; 0], "{integrity}");
    }
}

#[tokio::test]
async fn duplicate_unique_value_already_exists() {
    let server = Ds389::start_with(Options::default().unique("mail")).await;
    let directory = &server.directory;
    let connector = connector(directory, settings("389ds", directory));
    let account = |name: &str| json!({ "account": { "username": name, "email": "ann@example.com" } });
    run(&connector, Action::CreateAccount, account("ann")).await.unwrap();
    let error = run(&connector, Action::CreateAccount, account("bob")).await.unwrap_err();
    assert_eq!((error.code(), error.effect()), (Code::AccountAlreadyExists, Effect::NotApplied));
    assert!(error.message().contains("uid=ann,ou=people,dc=test"), "{error}");
}

#[tokio::test]
async fn unsuspending_clears_a_lockout_and_updated_email_comes_first() {
    let options = ["passwordLockout: on", "passwordMaxFailure: 2", "passwordUnlock: off"];
    let server = Ds389::start_with(options.into_iter().fold(Options::default(), Options::own)).await;
    let directory = &server.directory;
    let connector = connector(directory, settings("389ds", directory));
    connector.check().await.unwrap();
    let account =
        json!({ "account": { "username": "ann", "password": "correct-horse-1", "email": "a@example.com" } });
    let ann = id(&run(&connector, Action::CreateAccount, account).await.unwrap());
    let dn = "uid=ann,ou=people,dc=test";
    let login = |password: &str| {
        let mut bind = directory.tool("ldapwhoami", &Login { dn: dn.into(), password: password.into() });
        bind.output().unwrap().status.success()
    };
    for _ in 0..3 {
        assert!(!login("wrong-horse-1"));
    }
    assert!(!login("correct-horse-1"), "it is locked");
    run(&connector, Action::UnsuspendAccount, json!({ "account": { "id": ann } })).await.unwrap();
    assert!(login("correct-horse-1"));
    directory.modify_ldif(&format!("dn: {dn}\nchangetype: modify\nadd: mail\nmail: b@example.com\n"));
    let update = json!({ "account": { "id": ann }, "changes": { "email": "c@example.com" } });
    for _ in 0..2 {
        run(&connector, Action::UpdateAccount, update.clone()).await.unwrap();
        assert_eq!(find(&connector, &ann).await.unwrap().email.as_deref(), Some("c@example.com"));
        assert_eq!(directory.entry(dn).unwrap().all("mail").len(), 2);
    }
    let unix = "dn: cn=staff,ou=groups,dc=test\nobjectClass: posixGroup\ncn: staff\ngidNumber: 5000\nmemberUid: Ann\n";
    directory.add_ldif(unix);
    let types = json!({ "groups": [{ "slug": "unix", "member_attribute": "memberUid" }] });
    let connector = crate::support::connector(directory, with(settings("389ds", directory), &types));
    assert_eq!(find(&connector, &ann).await.unwrap().memberships.of("unix").len(), 1);
}

#[tokio::test]
async fn read_only_server_holds_tasks() {
    let server = Ds389::start().await;
    let directory = &server.directory;
    let connector = connector(directory, settings("389ds", directory));
    run(&connector, Action::CreateAccount, json!({ "account": { "username": "ann" } })).await.unwrap();
    directory
        .modify_ldif("dn: cn=config\nchangetype: modify\nreplace: nsslapd-readonly\nnsslapd-readonly: on\n");
    let reset = json!({ "account": { "username": "ann" }, "changes": { "password": "another-horse-1" } });
    for error in [
        run(&connector, Action::SuspendAccount, json!({ "account": { "username": "ann" } }))
            .await
            .unwrap_err(),
        run(&connector, Action::ResetPassword, reset).await.unwrap_err(),
    ] {
        assert_eq!((error.effect(), error.subject()), (Effect::NotApplied, Subject::Connection), "{error}");
    }
}
