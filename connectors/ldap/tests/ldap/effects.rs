//! A change is done once it is effective, and a refused one has changed nothing.

use bridgehead_sdk::{Account, AccountStatus, Action, Code, Effect, Subject};
use bridgehead_test_servers::{Directory, Login, OpenLdap, Options};
use serde_json::{Value, json};

use crate::support::{attempt, connector, find, group_id, id, run, settings, with};

const ANN: &str = "uid=ann,ou=people,dc=test";
const ENGINEERING: &str = "cn=engineering,ou=groups,dc=test";

fn placeholder() -> Value {
    json!({ "groups": [{ "slug": "group", "placeholder_member": "cn=placeholder,dc=test" }] })
}

fn login(password: &str) -> Login {
    Login { dn: ANN.to_owned(), password: password.to_owned() }
}

fn add_ann(directory: &Directory, further: &str) {
    directory
        .add_ldif(&format!("dn: {ANN}\nobjectClass: inetOrgPerson\nuid: ann\ncn: Ann\nsn: Ann\n{further}\n"));
}

#[tokio::test]
async fn lock_without_a_lockout_policy_is_not_a_suspension() {
    let server = OpenLdap::start().await;
    let directory = &server.directory;
    let connector = connector(directory, settings("openldap", directory));
    let account = json!({ "account": { "username": "ann", "password": "correct-horse-1" } });
    let ann = id(&run(&connector, Action::CreateAccount, account).await.unwrap());
    let task = || json!({ "account": { "id": ann } });
    let policy = "cn=default,ou=policies,dc=test";
    let lockout = |value: &str| {
        directory.modify_ldif(&format!("dn: {policy}\nchangetype: modify\nreplace: pwdLockout\n{value}"));
    };
    connector.check().await.unwrap();
    for (value, says) in
        [("pwdLockout: FALSE\n", "pwdLockout TRUE"), ("", "pwdLockout TRUE"), ("gone", "ppolicy_default")]
    {
        if value == "gone" {
            directory.delete(policy);
        } else {
            lockout(value);
        }
        let error = run(&connector, Action::SuspendAccount, task()).await.unwrap_err();
        assert_eq!((error.code(), error.effect()), (Code::InternalError, Effect::NotApplied), "{error}");
        assert!(error.message().contains(says), "{value}: {error}");
        assert!(directory.accepts(&login("correct-horse-1")));
        assert_eq!(directory.entry(ANN).unwrap().first("pwdAccountLockedTime"), None, "nothing was changed");
        let error = connector.check().await.unwrap_err();
        assert!(
            error.message().contains("suspend.method") && error.message().contains(says),
            "{value}: {error}"
        );
        // A suspended account is not created if it could log in.
        let bob =
            json!({ "account": { "username": "bob", "status": "suspended", "password": "correct-horse-1" } });
        let error = run(&connector, Action::CreateAccount, bob).await.unwrap_err();
        assert_eq!(error.effect(), Effect::NotApplied, "{error}");
        assert_eq!(directory.entry("uid=bob,ou=people,dc=test"), None);
        // An existing lock without effect is not reported as a suspension.
        directory.modify_ldif(&format!(
            "dn: {ANN}\nchangetype: modify\nreplace: pwdAccountLockedTime\npwdAccountLockedTime: 000001010000Z\n"
        ));
        if value != "gone" {
            assert_eq!(find(&connector, &ann).await.unwrap().status, AccountStatus::Active, "{value}");
        }
        let unlocked = format!("dn: {ANN}\nchangetype: modify\nreplace: pwdAccountLockedTime\n");
        directory.modify_ldif(&unlocked);
    }
}

#[tokio::test]
async fn entry_specific_policy_decides_on_the_lock() {
    let own = "dn: cn=lax,ou=policies,dc=test\nobjectClass: device\nobjectClass: pwdPolicy\ncn: lax\n\
               pwdAttribute: userPassword\npwdLockout: FALSE";
    let server = OpenLdap::start_with(Options::default().ldif(own)).await;
    let directory = &server.directory;
    add_ann(directory, "userPassword: correct-horse-1\npwdPolicySubentry: cn=lax,ou=policies,dc=test");
    let connector = connector(directory, settings("openldap", directory));
    let task = json!({ "account": { "username": "ann" } });
    let error = run(&connector, Action::SuspendAccount, task).await.unwrap_err();
    assert!(error.message().contains("cn=lax,ou=policies,dc=test"), "{error}");
    assert!(directory.accepts(&login("correct-horse-1")));
}

#[tokio::test]
async fn status_and_password_in_one_task_both_apply() {
    let server = OpenLdap::start().await;
    let directory = &server.directory;
    let connector = connector(directory, settings("openldap", directory));
    let account = json!({ "account": { "username": "ann", "password": "correct-horse-1" } });
    let ann = id(&run(&connector, Action::CreateAccount, account).await.unwrap());
    let update = |status: &str, password: &str| json!({ "account": { "id": ann }, "changes": { "status": status, "password": password } });
    run(&connector, Action::UpdateAccount, update("suspended", "another-horse-1")).await.unwrap();
    assert_eq!(find(&connector, &ann).await.unwrap().status, AccountStatus::Suspended);
    assert!(!directory.accepts(&login("another-horse-1")));
    run(&connector, Action::UpdateAccount, update("active", "third-horse-1")).await.unwrap();
    assert_eq!(find(&connector, &ann).await.unwrap().status, AccountStatus::Active);
    assert!(directory.accepts(&login("third-horse-1")));
}

#[tokio::test]
async fn updated_email_becomes_primary_and_aliases_are_kept() {
    let server = OpenLdap::start().await;
    let directory = &server.directory;
    add_ann(directory, "mail: a@example.com\nmail: b@example.com\nmail: Alias@example.com");
    let connector = connector(directory, settings("openldap", directory));
    let mail = || directory.entry(ANN).unwrap().all("mail").to_vec();
    let update = |mail: &str| json!({ "account": { "username": "ann" }, "changes": { "email": mail } });
    for _ in 0..2 {
        run(&connector, Action::UpdateAccount, update("c@example.com")).await.unwrap();
        assert_eq!(mail(), ["c@example.com", "b@example.com", "Alias@example.com"]);
    }
    // A value that differs only in case is the same for the server.
    run(&connector, Action::UpdateAccount, update("alias@example.com")).await.unwrap();
    assert_eq!(mail(), ["alias@example.com", "b@example.com"]);
    let by_name = Account::by_username("ann");
    let record = connector.find_account(&by_name).await.unwrap().unwrap();
    assert_eq!(record.email.as_deref(), Some("alias@example.com"));
}

#[tokio::test]
async fn memberships_of_additional_user_names_are_removed() {
    let server = OpenLdap::start().await;
    let directory = &server.directory;
    add_ann(directory, "uid: annie");
    for (name, member) in [("staff", "Ann"), ("night", "annie"), ("both", "ann"), ("none", "joanne")] {
        directory.add_ldif(&format!(
            "dn: cn={name},ou=groups,dc=test\nobjectClass: posixGroup\ncn: {name}\ngidNumber: 5000\nmemberUid: {member}\n"
        ));
    }
    let types = json!({ "groups": [{ "slug": "unix", "member_attribute": "memberUid" }] });
    let connector = connector(directory, with(settings("openldap", directory), &types));
    let by_name = |name: &str| Account::by_username(name);
    let record = connector.find_account(&by_name("ann")).await.unwrap().unwrap();
    assert_eq!(record.memberships.of("unix").len(), 3, "in any case of letters, under each name");
    let members = |name: &str| {
        directory.entry(&format!("cn={name},ou=groups,dc=test")).unwrap().all("memberUid").to_vec()
    };
    let rename = json!({ "account": { "username": "ann" }, "changes": { "username": "anna" } });
    run(&connector, Action::UpdateAccount, rename).await.unwrap();
    assert_eq!((members("staff"), members("night")), (vec!["anna".to_owned()], vec!["annie".to_owned()]));
    let record = connector.find_account(&by_name("anna")).await.unwrap().unwrap();
    assert_eq!(record.memberships.of("unix").len(), 3);
    let none = json!({ "account": { "username": "anna" }, "memberships": { "unix": [] } });
    run(&connector, Action::UpdateAccount, none).await.unwrap();
    for name in ["staff", "night", "both"] {
        assert_eq!(members(name), [] as [&str; 0], "{name}");
    }
    assert_eq!(members("none"), ["joanne"]);
}

#[tokio::test]
async fn renamed_account_keeps_its_groups_with_any_memberof_setting() {
    for dangling in ["drop", "error"] {
        let options = [format!("memberof-dangling {dangling}"), "memberof-refint FALSE".to_owned()];
        let options = options.iter().fold(Options::default(), |options, line| options.own(line));
        let server = OpenLdap::start_with(options).await;
        let directory = &server.directory;
        let connector = connector(directory, with(settings("openldap", directory), &placeholder()));
        let group = group_id(&connector, "group", "engineering").await;
        let task = json!({ "account": { "username": "ann" }, "memberships": { "group": [group] } });
        let ann = id(&run(&connector, Action::CreateAccount, task).await.unwrap());
        let rename = json!({ "account": { "id": ann }, "changes": { "username": "anna" } });
        run(&connector, Action::UpdateAccount, rename).await.unwrap();
        let members = directory.entry(ENGINEERING).unwrap().all("member").to_vec();
        assert!(members.contains(&"uid=anna,ou=people,dc=test".to_owned()), "{dangling}: {members:?}");
        let record = find(&connector, &ann).await.unwrap();
        assert_eq!(record.memberships.to_json(false), json!({ "group": [group] }), "{dangling}");
    }
}

#[tokio::test]
async fn refused_delete_or_rename_keeps_the_groups() {
    // The entry itself cannot be deleted; its attributes can be changed.
    let rule = format!("access to dn.exact=\"{ANN}\" attrs=entry by * read");
    let server = OpenLdap::start_with(Options::default().own(&rule)).await;
    let directory = &server.directory;
    // A custom name that was not derived from the user name.
    add_ann(directory, "displayName: Miss Ann");
    directory.modify_ldif(&format!(
        "dn: {ANN}\nchangetype: modify\nreplace: cn\ncn: Miss A\n\n\
         dn: {ENGINEERING}\nchangetype: modify\nadd: member\nmember: {ANN}\n"
    ));
    let connector = connector(directory, with(settings("openldap", directory), &placeholder()));
    let before = directory.entry(ENGINEERING).unwrap().all("member").to_vec();
    let account = json!({ "username": "ann" });
    let error = run(&connector, Action::DeleteAccount, json!({ "account": account })).await.unwrap_err();
    assert_eq!(
        (error.code(), error.effect(), error.subject()),
        (Code::PermissionDenied, Effect::NotApplied, Subject::Account)
    );
    assert!(error.message().contains("back in its groups"), "{error}");
    let held = || {
        let mut held = directory.entry(ENGINEERING).unwrap().all("member").to_vec();
        held.sort();
        held
    };
    assert!(held().contains(&ANN.to_owned()), "{:?} {before:?}", held());
    let rename = json!({ "account": account, "changes": { "username": "anna" } });
    let error = run(&connector, Action::UpdateAccount, rename).await.unwrap_err();
    assert_eq!((error.code(), error.effect()), (Code::PermissionDenied, Effect::NotApplied), "{error}");
    assert!(!held().contains(&"uid=anna,ou=people,dc=test".to_owned()), "{:?}", held());
    assert!(held().contains(&ANN.to_owned()));
}

#[tokio::test]
async fn account_with_child_entries_keeps_its_groups() {
    let server = OpenLdap::start().await;
    let directory = &server.directory;
    add_ann(directory, "");
    directory.add_ldif(&format!("dn: cn=key,{ANN}\nobjectClass: device\ncn: key\n"));
    directory.modify_ldif(&format!("dn: {ENGINEERING}\nchangetype: modify\nadd: member\nmember: {ANN}\n"));
    let connector = connector(directory, with(settings("openldap", directory), &placeholder()));
    let error = run(&connector, Action::DeleteAccount, json!({ "account": { "username": "ann" } }))
        .await
        .unwrap_err();
    assert_eq!(error.effect(), Effect::NotApplied, "{error}");
    assert!(directory.entry(ENGINEERING).unwrap().all("member").contains(&ANN.to_owned()));
}

#[tokio::test]
async fn account_filter_may_depend_on_a_group() {
    let server = OpenLdap::start().await;
    let directory = &server.directory;
    let own =
        json!({ "accounts": { "base": directory.people, "filter": format!("(memberOf={ENGINEERING})") } });
    let connector = connector(directory, with(with(settings("openldap", directory), &placeholder()), &own));
    let group = group_id(&connector, "group", "engineering").await;
    let account = json!({ "username": "ann", "password": "correct-horse-1" });
    let error = run(&connector, Action::CreateAccount, json!({ "account": account })).await.unwrap_err();
    assert_eq!((error.code(), error.effect()), (Code::InternalError, Effect::NotApplied), "{error}");
    assert!(error.message().contains("accounts.filter"), "{error}");
    assert_eq!(directory.entry(ANN), None, "nobody is left that no sync sees");
    let task = json!({ "account": account, "memberships": { "group": [group] } });
    let ann = id(&run(&connector, Action::CreateAccount, task.clone()).await.unwrap());
    assert!(find(&connector, &ann).await.is_some());
    // The state after an attempt that was interrupted before the groups.
    directory.modify_ldif(&format!(
        "dn: {ENGINEERING}\nchangetype: modify\nreplace: member\nmember: cn=placeholder,dc=test\n"
    ));
    assert!(find(&connector, &ann).await.is_none());
    let error = attempt(&connector, 2, Action::CreateAccount, task).await.unwrap_err();
    assert_eq!(error.code(), Code::AccountAlreadyExists, "{error}");
    assert!(find(&connector, &ann).await.is_some());
}

#[tokio::test]
async fn entry_lacking_a_task_field_is_not_adopted() {
    let server = OpenLdap::start().await;
    let directory = &server.directory;
    add_ann(directory, "");
    let connector = connector(directory, with(settings("openldap", directory), &placeholder()));
    let group = group_id(&connector, "group", "engineering").await;
    let account =
        json!({ "username": "ann", "last_name": "Ann", "display_name": "Ann", "email": "ann@example.com" });
    let task = json!({ "account": account, "memberships": { "group": [group] } });
    let error = attempt(&connector, 2, Action::CreateAccount, task).await.unwrap_err();
    assert_eq!(error.code(), Code::AccountAlreadyExists);
    assert!(!directory.entry(ENGINEERING).unwrap().all("member").contains(&ANN.to_owned()));
}

#[tokio::test]
async fn account_with_the_new_name_is_not_taken_as_the_renamed_one() {
    let server = OpenLdap::start().await;
    let directory = &server.directory;
    // The account bob does not exist any more; this account ann always existed.
    add_ann(directory, "mail: ann@example.com");
    let connector = connector(directory, with(settings("openldap", directory), &placeholder()));
    let group = group_id(&connector, "group", "engineering").await;
    for account in [json!({ "username": "bob" }), json!({ "username": "bob", "email": "bob@example.com" })] {
        let task = json!({
            "account": account, "changes": { "username": "ann" }, "memberships": { "group": [group] },
        });
        let error = attempt(&connector, 2, Action::UpdateAccount, task).await.unwrap_err();
        assert_eq!(error.code(), Code::AccountNotFound);
        assert!(!directory.entry(ENGINEERING).unwrap().all("member").contains(&ANN.to_owned()));
    }
}

#[tokio::test]
async fn staged_entry_of_an_earlier_attempt_is_not_a_conflict() {
    let server = OpenLdap::start().await;
    let directory = &server.directory;
    directory.add_ldif(
        "dn: uid=.bridgehead-task-1,ou=people,dc=test\nobjectClass: inetOrgPerson\nuid: .bridgehead-task-1\n\
         cn: ann\nsn: ann\n",
    );
    let connector = connector(directory, settings("openldap", directory));
    let account = json!({ "account": { "username": "ann", "password": "correct-horse-1" } });
    run(&connector, Action::CreateAccount, account).await.unwrap();
    assert!(directory.accepts(&login("correct-horse-1")));
}
