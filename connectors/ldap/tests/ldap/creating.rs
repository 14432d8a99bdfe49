//! Creating accounts, in one attempt or several.

use bridgehead_sdk::{Account, AccountStatus, Action, Code, Effect, Retry, Subject};
use bridgehead_test_servers::{Login, OpenLdap, Options};
use serde_json::{Value, json};

use crate::support::{attempt, connector, find, group_id, id, run, settings, with};

fn placeholder() -> Value {
    json!({ "groups": [{ "slug": "group", "placeholder_member": "cn=placeholder,dc=test" }] })
}

#[tokio::test]
async fn new_account_has_its_attributes_and_password() {
    let server = OpenLdap::start().await;
    let directory = &server.directory;
    let custom = json!({ "accounts": {
        "base": directory.people,
        "attributes": { "cost_centre": "departmentNumber", "phones": "telephoneNumber" },
    } });
    let connector = connector(directory, with(settings("openldap", directory), &custom));
    let account = json!({
        "username": "ann", "email": "ann@example.com", "first_name": "Ann", "last_name": "Arbor",
        "display_name": "Ann Arbor", "cost_centre": 42, "phones": ["+1", "+2"], "shoe_size": 38,
        "password": "correct-horse-1",
    });
    let done = run(&connector, Action::CreateAccount, json!({ "account": account })).await.unwrap();
    assert_eq!(done.result["fields_without_attribute"], json!(["shoe_size"]));
    let entry = directory.entry("uid=ann,ou=people,dc=test").unwrap();
    assert_eq!(entry.first("entryUUID"), Some(id(&done).as_str()));
    for (attribute, value) in
        [("cn", "Ann Arbor"), ("sn", "Arbor"), ("givenName", "Ann"), ("departmentNumber", "42")]
    {
        assert_eq!(entry.all(attribute), [value], "{attribute}");
    }
    assert_eq!(entry.all("uid"), ["ann"], "the name it was made under is gone");
    let login = |password: &str| Login { dn: entry.dn.clone(), password: password.to_owned() };
    assert!(directory.accepts(&login("correct-horse-1")));
    assert!(!directory.accepts(&login("another-horse-1")));
    let record = find(&connector, &id(&done)).await.unwrap();
    assert_eq!(record.extra["cost_centre"], "42");
    assert_eq!(record.extra["phones"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn names_with_special_characters_are_created_literally() {
    let server = OpenLdap::start().await;
    let connector = connector(&server.directory, settings("openldap", &server.directory));
    for name in [
        r#"Doe, "J" <x>;a=b+c\d#"#,
        "#hash",
        " leading and trailing ",
        "*)(uid=*",
        "a\0b",
        "مريم 😀",
        "ou=people,dc=test",
    ] {
        let account = json!({ "username": name, "last_name": "X" });
        let done = run(&connector, Action::CreateAccount, json!({ "account": account })).await;
        let done = done.unwrap_or_else(|error| panic!("{name:?}: {error}"));
        assert_eq!(find(&connector, &id(&done)).await.unwrap().username.as_deref(), Some(name));
        let by_name = Account::by_username(name);
        assert_eq!(connector.find_account(&by_name).await.unwrap().unwrap().id.as_str(), id(&done));
        run(&connector, Action::DeleteAccount, json!({ "account": { "id": id(&done) } })).await.unwrap();
        assert_eq!(connector.find_account(&by_name).await.unwrap(), None);
    }
}

#[tokio::test]
async fn account_can_be_created_suspended_with_a_password() {
    let server = OpenLdap::start().await;
    let directory = &server.directory;
    let connector = connector(directory, settings("openldap", directory));
    let account = json!({ "username": "ann", "status": "suspended", "password": "correct-horse-1" });
    let done = run(&connector, Action::CreateAccount, json!({ "account": account })).await.unwrap();
    assert_eq!(find(&connector, &id(&done)).await.unwrap().status, AccountStatus::Suspended);
    let login = Login { dn: "uid=ann,ou=people,dc=test".into(), password: "correct-horse-1".into() };
    assert!(!directory.accepts(&login));
    run(&connector, Action::UnsuspendAccount, json!({ "account": { "username": "ann" } })).await.unwrap();
    assert!(directory.accepts(&login));
}

#[tokio::test]
async fn missing_group_is_detected_before_anything_is_created() {
    let server = OpenLdap::start().await;
    let connector = connector(&server.directory, settings("openldap", &server.directory));
    for memberships in
        [json!({ "group": ["0b0e5a3c-0000-1041-8191-8b0d5bc63e0e"] }), json!({ "band": ["x"] })]
    {
        let task = json!({ "account": { "username": "ann" }, "memberships": memberships });
        let error = run(&connector, Action::CreateAccount, task).await.unwrap_err();
        assert_eq!((error.code(), error.subject()), (Code::InternalError, Subject::Group));
        assert_eq!(server.directory.entry("uid=ann,ou=people,dc=test"), None);
    }
}

#[tokio::test]
async fn account_that_cannot_join_its_group_is_removed() {
    // Only one member is allowed, and the placeholder, which the connector is not configured to recognize, takes that place.
    let rule = ["moduleload constraint", "overlay constraint", "constraint_attribute member count 1"];
    let server = OpenLdap::start_with(rule.into_iter().fold(Options::default(), Options::own)).await;
    let connector = connector(&server.directory, settings("openldap", &server.directory));
    let group = group_id(&connector, "group", "engineering").await;
    let account = json!({ "username": "ann", "password": "correct-horse-1" });
    let task = json!({ "account": account, "memberships": { "group": [group] } });
    let error = run(&connector, Action::CreateAccount, task).await.unwrap_err();
    assert_eq!(
        (error.code(), error.effect(), error.subject()),
        (Code::InternalError, Effect::NotApplied, Subject::Group)
    );
    assert!(error.message().contains("constraintViolation (19)"), "{error}");
    assert_eq!(server.directory.search("ou=people,dc=test", "(objectClass=person)", &["dn"]), []);
}

#[tokio::test]
async fn repeated_attempt_resumes_the_interrupted_one() {
    let server = OpenLdap::start().await;
    let directory = &server.directory;
    let connector = connector(directory, with(settings("openldap", directory), &placeholder()));
    let group = group_id(&connector, "group", "engineering").await;
    let task = json!({
        "account": { "username": "ann", "email": "ann@example.com", "password": "correct-horse-1" },
        "memberships": { "group": [group] },
    });
    // The state after a first attempt that was interrupted while it created the entry; below, the state after a later interruption.
    directory.add_ldif(
        "dn: uid=.bridgehead-task-1,ou=people,dc=test\nobjectClass: inetOrgPerson\nuid: .bridgehead-task-1\n\
         cn: ann\nsn: ann\nmail: ann@example.com\n",
    );
    let by_mail = Account::by_email("ann@example.com");
    assert_eq!(connector.find_account(&by_mail).await.unwrap(), None, "half-made is not there");
    let done = attempt(&connector, 2, Action::CreateAccount, task.clone()).await.unwrap();
    assert_eq!(directory.search("ou=people,dc=test", "(uid=.bridgehead-*)", &["dn"]), []);
    directory.modify_ldif(
        "dn: cn=engineering,ou=groups,dc=test\nchangetype: modify\nreplace: member\nmember: cn=placeholder,dc=test\n",
    );
    assert!(find(&connector, &id(&done)).await.unwrap().memberships.is_empty());
    let error = attempt(&connector, 3, Action::CreateAccount, task.clone()).await.unwrap_err();
    assert_eq!((error.code(), error.retry()), (Code::AccountAlreadyExists, Retry::Never));
    let record = find(&connector, &id(&done)).await.unwrap();
    assert_eq!(record.memberships.to_json(false), json!({ "group": [group] }));
}

#[tokio::test]
async fn attribute_assigned_by_the_server_does_not_prevent_resuming() {
    let server = OpenLdap::start().await;
    let directory = &server.directory;
    let own = json!({ "create": { "attributes": { "employeeNumber": "-1" } } });
    let connector = connector(directory, with(with(settings("openldap", directory), &placeholder()), &own));
    let group = group_id(&connector, "group", "engineering").await;
    let task = json!({ "account": { "username": "ann" }, "memberships": { "group": [group] } });
    let done = attempt(&connector, 1, Action::CreateAccount, task.clone()).await.unwrap();
    // The changes of a plug-in, and the state after an attempt that was interrupted before the groups.
    directory.modify_ldif(
        "dn: uid=ann,ou=people,dc=test\nchangetype: modify\nreplace: employeeNumber\nemployeeNumber: 1001\n\n\
         dn: cn=engineering,ou=groups,dc=test\nchangetype: modify\nreplace: member\nmember: cn=placeholder,dc=test\n",
    );
    let error = attempt(&connector, 2, Action::CreateAccount, task).await.unwrap_err();
    assert_eq!(error.code(), Code::AccountAlreadyExists, "{error}");
    let record = find(&connector, &id(&done)).await.unwrap();
    assert_eq!(record.memberships.to_json(false), json!({ "group": [group] }));
}

#[tokio::test]
async fn foreign_account_is_never_adopted() {
    let server = OpenLdap::start().await;
    let directory = &server.directory;
    directory.add_ldif(
        "dn: uid=ann,ou=people,dc=test\nobjectClass: inetOrgPerson\nuid: ann\ncn: Ann Other\nsn: Other\n\
         mail: other@example.com\nuserPassword: other-horse-1\n",
    );
    let connector = connector(directory, with(settings("openldap", directory), &placeholder()));
    let group = group_id(&connector, "group", "engineering").await;
    let task = json!({
        "account": { "username": "ANN", "email": "ann@example.com", "password": "correct-horse-1" },
        "memberships": { "group": [group] },
    });
    for number in [1, 2] {
        let error = attempt(&connector, number, Action::CreateAccount, task.clone()).await.unwrap_err();
        assert_eq!(error.code(), Code::AccountAlreadyExists);
        assert!(error.message().contains("uid=ann,ou=people,dc=test"), "{error}");
    }
    let dn = "uid=ann,ou=people,dc=test".to_owned();
    assert!(directory.accepts(&Login { dn: dn.clone(), password: "other-horse-1".into() }));
    assert_eq!(directory.entry(&dn).unwrap().all("memberOf"), [] as [&str; 0]);
}

#[tokio::test]
async fn uniqueness_conflict_outside_the_base_is_reported() {
    let server = OpenLdap::start_with(Options::default().unique("mail")).await;
    let directory = &server.directory;
    // The entry is outside of the scope of the accounts, but the rule applies there too.
    directory.add_ldif(
        "dn: ou=left,ou=people,dc=test\nobjectClass: organizationalUnit\nou: left\n\n\
         dn: uid=ann,ou=left,ou=people,dc=test\nobjectClass: inetOrgPerson\nuid: ann\ncn: Ann\nsn: Ann\n\
         mail: ann@example.com\n",
    );
    let one_level = json!({ "accounts": { "base": directory.people, "scope": "one_level" } });
    let connector = connector(directory, with(settings("openldap", directory), &one_level));
    let account = json!({ "username": "ann", "email": "ann@example.com" });
    let error = run(&connector, Action::CreateAccount, json!({ "account": account })).await.unwrap_err();
    assert_eq!((error.code(), error.effect()), (Code::AccountAlreadyExists, Effect::NotApplied));
    assert!(error.message().contains("uid=ann,ou=left,ou=people,dc=test"), "{error}");
}
