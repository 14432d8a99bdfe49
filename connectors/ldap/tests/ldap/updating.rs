//! Changing, renaming, suspending and deleting accounts.

use bridgehead_sdk::{Account, AccountStatus, Action, Code, Effect, Subject};
use bridgehead_test_servers::{Login, OpenLdap, Options};
use serde_json::json;

use crate::support::{attempt, connector, find, group_id, id, run, settings, with};

#[tokio::test]
async fn renamed_account_keeps_its_id_and_groups() {
    let server = OpenLdap::start().await;
    let directory = &server.directory;
    // The server does not maintain this attribute when an entry is renamed or deleted.
    directory.add_ldif("dn: cn=duty,ou=groups,dc=test\nobjectClass: organizationalRole\ncn: duty\n");
    let types = json!({ "groups": [
        { "slug": "group", "placeholder_member": "cn=placeholder,dc=test" },
        { "slug": "duty", "member_attribute": "roleOccupant", "filter": "(objectClass=organizationalRole)" },
    ] });
    let connector = connector(directory, with(settings("openldap", directory), &types));
    let group = group_id(&connector, "group", "engineering").await;
    let duty = group_id(&connector, "duty", "duty").await;
    let memberships = json!({ "group": [group], "duty": [duty] });
    let task = json!({ "account": { "username": "ann" }, "memberships": memberships });
    let ann = id(&run(&connector, Action::CreateAccount, task).await.unwrap());
    let rename = json!({ "account": { "id": ann }, "changes": { "username": "ann, of +1" } });
    for number in [1, 2] {
        attempt(&connector, number, Action::UpdateAccount, rename.clone()).await.unwrap();
    }
    let record = find(&connector, &ann).await.unwrap();
    assert_eq!(record.username.as_deref(), Some("ann, of +1"));
    assert_eq!(record.memberships.to_json(false), memberships);
    let holds = |dn: &str, attribute: &str| directory.entry(dn).unwrap().all(attribute).to_vec();
    assert_eq!(holds("cn=duty,ou=groups,dc=test", "roleOccupant").len(), 1);
    run(&connector, Action::DeleteAccount, json!({ "account": { "id": ann } })).await.unwrap();
    assert_eq!(holds("cn=duty,ou=groups,dc=test", "roleOccupant"), [] as [&str; 0]);
    assert_eq!(holds("cn=engineering,ou=groups,dc=test", "member"), ["cn=placeholder,dc=test"]);
}

#[tokio::test]
async fn next_attempt_removes_the_old_name_from_its_groups() {
    let server = OpenLdap::start().await;
    let directory = &server.directory;
    // The state after the connection broke right after the rename.
    directory.add_ldif(
        "dn: uid=anna,ou=people,dc=test\nobjectClass: inetOrgPerson\nuid: anna\ncn: Ann\nsn: Ann\n\
         mail: ann@example.com\n\ndn: cn=duty,ou=groups,dc=test\nobjectClass: organizationalRole\ncn: duty\n\
         roleOccupant: uid=ann,ou=people,dc=test\n",
    );
    let types = json!({ "groups": [
        { "slug": "duty", "member_attribute": "roleOccupant", "filter": "(objectClass=organizationalRole)" },
    ] });
    let connector = connector(directory, with(settings("openldap", directory), &types));
    let rename = json!({
        "account": { "username": "ann", "email": "ann@example.com" }, "changes": { "username": "anna" },
    });
    let error = run(&connector, Action::UpdateAccount, rename.clone()).await.unwrap_err();
    assert_eq!(error.code(), Code::AccountNotFound);
    attempt(&connector, 2, Action::UpdateAccount, rename).await.unwrap();
    let duty = directory.entry("cn=duty,ou=groups,dc=test").unwrap();
    assert_eq!(duty.all("roleOccupant"), ["uid=anna,ou=people,dc=test"]);
}

#[tokio::test]
async fn moved_account_is_found_by_its_id() {
    let server = OpenLdap::start().await;
    let directory = &server.directory;
    directory.add_ldif("dn: ou=left,ou=people,dc=test\nobjectClass: organizationalUnit\nou: left\n");
    let connector = connector(directory, settings("openldap", directory));
    let task = json!({ "account": { "username": "ann" } });
    let ann = id(&run(&connector, Action::CreateAccount, task).await.unwrap());
    directory.modify_ldif(
        "dn: uid=ann,ou=people,dc=test\nchangetype: modrdn\nnewrdn: uid=ann\ndeleteoldrdn: 1\n\
         newsuperior: ou=left,ou=people,dc=test\n",
    );
    assert_eq!(find(&connector, &ann).await.unwrap().username.as_deref(), Some("ann"));
    run(&connector, Action::SuspendAccount, json!({ "account": { "id": ann } })).await.unwrap();
    let entry = directory.entry("uid=ann,ou=left,ou=people,dc=test").unwrap();
    assert_eq!(entry.all("pwdAccountLockedTime"), ["000001010000Z"]);
}

#[tokio::test]
async fn alias_survives_a_change_of_the_primary_email() {
    let server = OpenLdap::start().await;
    let directory = &server.directory;
    directory.add_ldif(
        "dn: uid=ann,ou=people,dc=test\nobjectClass: inetOrgPerson\nuid: ann\ncn: Ann\nsn: Ann\n\
         mail: ann@example.com\nmail: alias@example.com\n",
    );
    let connector = connector(directory, settings("openldap", directory));
    let update = json!({ "account": { "username": "ann" }, "changes": { "email": "new@example.com", "first_name": null } });
    run(&connector, Action::UpdateAccount, update).await.unwrap();
    let mut mail = directory.entry("uid=ann,ou=people,dc=test").unwrap().all("mail").to_vec();
    mail.sort();
    assert_eq!(mail, ["alias@example.com", "new@example.com"]);
}

#[tokio::test]
async fn derived_attributes_follow_their_fields_unless_set_manually() {
    let server = OpenLdap::start().await;
    let directory = &server.directory;
    let connector = connector(directory, settings("openldap", directory));
    let account = json!({ "account": { "username": "ann", "display_name": "Ann A" } });
    run(&connector, Action::CreateAccount, account).await.unwrap();
    let dn = "uid=ann,ou=people,dc=test";
    let cn = || directory.entry(dn).unwrap().all("cn").to_vec();
    let update =
        |name: &str| json!({ "account": { "username": "ann" }, "changes": { "display_name": name } });
    run(&connector, Action::UpdateAccount, update("Ann B")).await.unwrap();
    assert_eq!(cn(), ["Ann B"]);
    directory.modify_ldif(&format!("dn: {dn}\nchangetype: modify\nreplace: cn\ncn: Miss Ann\n"));
    run(&connector, Action::UpdateAccount, update("Ann C")).await.unwrap();
    assert_eq!(cn(), ["Miss Ann"]);
}

#[tokio::test]
async fn ambiguous_email_names_both_accounts_and_picks_neither() {
    let server = OpenLdap::start().await;
    let directory = &server.directory;
    for uid in ["ann", "bob"] {
        directory.add_ldif(&format!(
            "dn: uid={uid},ou=people,dc=test\nobjectClass: inetOrgPerson\nuid: {uid}\ncn: X\nsn: X\nmail: x@example.com\n"
        ));
    }
    let connector = connector(directory, settings("openldap", directory));
    let by_mail = Account::by_email("x@example.com");
    for error in [
        connector.find_account(&by_mail).await.unwrap_err(),
        run(&connector, Action::DeleteAccount, json!({ "account": { "email": "X@example.com" } }))
            .await
            .unwrap_err(),
    ] {
        assert_eq!((error.code(), error.effect()), (Code::InternalError, Effect::NotApplied));
        for dn in ["uid=ann,ou=people,dc=test", "uid=bob,ou=people,dc=test"] {
            assert!(error.message().contains(dn), "{error}");
        }
    }
}

#[tokio::test]
async fn password_reset_keeps_an_account_suspended() {
    let server = OpenLdap::start().await;
    let directory = &server.directory;
    let connector = connector(directory, settings("openldap", directory));
    let account = json!({ "account": { "username": "ann", "password": "correct-horse-1" } });
    let ann = id(&run(&connector, Action::CreateAccount, account).await.unwrap());
    run(&connector, Action::SuspendAccount, json!({ "account": { "id": ann } })).await.unwrap();
    let reset = json!({ "account": { "id": ann }, "changes": { "password": "another-horse-1" } });
    run(&connector, Action::ResetPassword, reset).await.unwrap();
    assert_eq!(find(&connector, &ann).await.unwrap().status, AccountStatus::Suspended);
    let login = Login { dn: "uid=ann,ou=people,dc=test".into(), password: "another-horse-1".into() };
    assert!(!directory.accepts(&login));
    run(&connector, Action::UnsuspendAccount, json!({ "account": { "id": ann } })).await.unwrap();
    assert!(directory.accepts(&login));
    // Without a password in the task, the old one is invalidated, and the new one is not reported.
    let done = run(&connector, Action::ResetPassword, json!({ "account": { "id": ann } })).await.unwrap();
    assert!(done.result.is_empty());
    assert!(!directory.accepts(&login));
}

#[tokio::test]
async fn custom_attribute_suspends() {
    let server = OpenLdap::start().await;
    let directory = &server.directory;
    let own = json!({ "suspend": { "method": "attribute", "attribute": "employeeType", "value": "left" } });
    let connector = connector(directory, with(settings("openldap", directory), &own));
    let account = json!({ "account": { "username": "ann", "status": "suspended" } });
    let ann = id(&run(&connector, Action::CreateAccount, account).await.unwrap());
    assert_eq!(find(&connector, &ann).await.unwrap().status, AccountStatus::Suspended);
    run(&connector, Action::UnsuspendAccount, json!({ "account": { "id": ann } })).await.unwrap();
    assert_eq!(find(&connector, &ann).await.unwrap().status, AccountStatus::Active);
    assert_eq!(directory.entry("uid=ann,ou=people,dc=test").unwrap().first("employeeType"), None);
}

#[tokio::test]
async fn schema_violation_says_what_to_do() {
    let server = OpenLdap::start_with(Options::default()).await;
    let directory = &server.directory;
    let connector = connector(directory, settings("openldap", directory));
    run(&connector, Action::CreateAccount, json!({ "account": { "username": "ann" } })).await.unwrap();
    let clear = json!({ "account": { "username": "ann" }, "changes": { "last_name": null } });
    let error = run(&connector, Action::UpdateAccount, clear).await.unwrap_err();
    assert!(error.message().contains("objectClassViolation (65)"), "{error}");
    let unmapped = json!({ "account": { "username": "ann" }, "changes": { "shoe_size": 38 } });
    let error = run(&connector, Action::UpdateAccount, unmapped).await.unwrap_err();
    assert!(error.message().contains("accounts.attributes"), "{error}");
}

#[tokio::test]
async fn account_with_child_entries_is_not_deleted() {
    let server = OpenLdap::start().await;
    let directory = &server.directory;
    let connector = connector(directory, settings("openldap", directory));
    run(&connector, Action::CreateAccount, json!({ "account": { "username": "ann" } })).await.unwrap();
    directory.add_ldif("dn: cn=key,uid=ann,ou=people,dc=test\nobjectClass: device\ncn: key\n");
    let error = run(&connector, Action::DeleteAccount, json!({ "account": { "username": "ann" } }))
        .await
        .unwrap_err();
    assert_eq!((error.code(), error.subject()), (Code::InternalError, Subject::Account));
    assert!(error.message().contains("entries below it"), "{error}");
}
