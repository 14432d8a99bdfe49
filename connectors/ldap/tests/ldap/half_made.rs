//! Creations that fail after their first request: nothing that they created may be left.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test that asked for it")]

use std::sync::Arc;

use bridgehead_sdk::{Action, Code, Connector, Effect, Error, Retry, Subject};
use bridgehead_test_servers::{Directory, Ds389, Login, OpenLdap, Options, Samba};
use serde_json::{Map, Value, json};

use crate::proxy;
use crate::support::{attempt, bound_as, connector, group_id, run, settings, with};
use crate::test_target::Server;

const PASSWORD: &str = "Correct-horse-1";

/// The extended operation that sets a password (RFC 3062).
const SETS_PASSWORD: &str = "1.3.6.1.4.1.4203.1.11.1";

/// An access rule with which passwords that are too short are rejected: clients with the permission to manage passwords are exempt from the
/// password policy.
const PASSWORDS_ARE_JUDGED: &str =
    "access to attrs=userPassword by dn.exact=\"cn=writer,dc=test\" write by anonymous auth by * none";

/// The GUID of the attribute `member` in Active Directory's access control lists.
const MEMBER: &str = "bf9679c0-0de6-11d0-a285-00aa003049e2";

fn own<S: Server>(directory: &Directory) -> Map<String, Value> {
    with(settings(S::PROFILE, directory), &S::settings())
}

/// The accounts of a directory, including half-created ones.
fn people(directory: &Directory) -> Vec<String> {
    directory
        .search(&directory.people, "(objectClass=person)", &["dn"])
        .into_iter()
        .map(|entry| entry.dn)
        .collect()
}

fn ann(group: &str) -> Value {
    let account = json!({
        "username": "ann", "email": "ann@example.com", "password": PASSWORD, "status": "suspended",
    });
    json!({ "account": account, "memberships": { "group": [group] } })
}

/// Tries to create an account, which must fail and leave no entry behind.
async fn leaves_nobody(connector: &Arc<dyn Connector>, directory: &Directory, task: Value) -> Error {
    let before = people(directory);
    let error = run(connector, Action::CreateAccount, task).await.unwrap_err();
    assert_eq!(people(directory), before, "{error}");
    assert_eq!(error.effect(), Effect::NotApplied, "{error}");
    assert!(!error.message().contains("half-created"), "{error}");
    error
}

#[tokio::test(flavor = "multi_thread")]
async fn interrupted_creation_leaves_no_partial_entry() {
    let server = OpenLdap::start().await;
    let directory = &server.directory;
    let group = group_id(&connector(directory, own::<OpenLdap>(directory)), "group", "engineering").await;
    let moments: [&[&str]; 7] = [
        &[".bridgehead-task-1", "inetOrgPerson"],
        &[".bridgehead-task-1", SETS_PASSWORD],
        &[".bridgehead-task-1", "000001010000Z"],
        // The rename to the final name.
        &["uid=.bridgehead-task-1,ou=people,dc=test", "\x04\x07uid=ann"],
        // The first read of the new entry, and the read after it joined its groups.
        &["uid=ann,ou=people,dc=test\x0a\x01\x00\x0a\x01", "objectClass"],
        &["uid=ann,ou=people,dc=test\x0a\x01\x00\x0a\x01", "inetOrgPerson"],
        // The first group.
        &["cn=engineering,ou=groups,dc=test", "uid=ann,ou=people,dc=test", "\x0a\x01\x00"],
    ];
    for moment in moments {
        for answered in [false, true] {
            let address = (directory.address, directory.ldap_port).into();
            let proxy = proxy::cutting(address, moment, answered).await;
            let plain = json!({ "url": format!("ldap://{proxy}"), "connections": 1 });
            let connector = connector(directory, with(own::<OpenLdap>(directory), &plain));
            let error = run(&connector, Action::CreateAccount, ann(&group)).await.unwrap_err();
            let case = format!("{moment:?} {answered}: {error}");
            // A read-only request has no effect, and everything that was created before it is removed.
            let reads = moment[0].contains("\x0a\x01\x00\x0a");
            let effect = if reads { Effect::NotApplied } else { Effect::Unknown };
            assert_eq!((error.code(), error.effect()), (Code::Timeout, effect), "{case}");
            let left = people(directory);
            // Only after the rename can an account exist; it is complete then, except for its groups.
            let is_made = answered && moment[0].ends_with("dc=test") && moment[1].ends_with("uid=ann");
            let expected = if is_made { vec!["uid=ann,ou=people,dc=test"] } else { Vec::new() };
            assert_eq!(left, expected, "{case}");
            // The next attempt completes it.
            match attempt(&connector, 2, Action::CreateAccount, ann(&group)).await {
                Ok(_) => assert!(!is_made, "{case}"),
                Err(error) => {
                    assert_eq!((error.code(), is_made), (Code::AccountAlreadyExists, true), "{case}");
                }
            }
            let made = directory.entry("uid=ann,ou=people,dc=test").unwrap();
            assert_eq!(
                (made.all("memberOf").len(), made.all("pwdAccountLockedTime").len()),
                (1, 1),
                "{case}"
            );
            run(&connector, Action::DeleteAccount, json!({ "account": { "username": "ann" } }))
                .await
                .unwrap();
        }
    }
}

/// The server rejects the password, and the connection breaks when the half-created entry is removed.
#[tokio::test(flavor = "multi_thread")]
async fn interrupted_removal_is_completed_on_another_connection() {
    let server = OpenLdap::start_with(Options::default().own(PASSWORDS_ARE_JUDGED)).await;
    let directory = &server.directory;
    // A delete request (RFC 4511: application tag 10), with the length and the name of the entry.
    let deletes: &[&str] = &["\x4a\x28uid=.bridgehead-task-1,ou=people,dc=test"];
    for answered in [false, true] {
        let address = (directory.address, directory.ldap_port).into();
        let proxy = proxy::cutting(address, deletes, answered).await;
        let plain = json!({ "url": format!("ldap://{proxy}"), "connections": 1 });
        let connector = connector(directory, with(own::<OpenLdap>(directory), &plain));
        let task =
            json!({ "account": { "username": "ann", "email": "ann@example.com", "password": "short" } });
        let error = leaves_nobody(&connector, directory, task).await;
        assert_eq!((error.code(), error.retry()), (Code::InternalError, Retry::Never), "{answered}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn creation_refused_by_openldap_leaves_no_account() {
    let rules = ["moduleload constraint", "overlay constraint", "constraint_attribute member count 1"];
    let no_lock = "access to attrs=pwdAccountLockedTime by dn.exact=\"cn=reader,dc=test\" read by * none";
    for (rule, short) in [(PASSWORDS_ARE_JUDGED, true), ("", false), (no_lock, false), (rules[0], false)] {
        let own_rules: &[&str] = if rule == rules[0] { &rules } else { &[rule] };
        let options = own_rules.iter().fold(Options::default(), |options, rule| options.own(rule));
        let server = OpenLdap::start_with(options).await;
        let directory = &server.directory;
        // If the placeholder is not configured, the group cannot have another member.
        let types = json!({ "groups": [{ "slug": "group" }] });
        let connector = connector(directory, with(own::<OpenLdap>(directory), &types));
        let group = group_id(&connector, "group", "engineering").await;
        let mut task = ann(&group);
        if short {
            task["account"]["password"] = json!("short");
        } else if rule.is_empty() {
            // An entry that is not an account already has the name.
            directory.add_ldif(
                "dn: uid=ann,ou=people,dc=test\nobjectClass: account\nobjectClass: simpleSecurityObject\nuid: ann\nuserPassword: x-secret-1\n",
            );
        }
        let error = leaves_nobody(&connector, directory, task).await;
        assert_eq!(error.retry(), Retry::Never, "{error}");
        let members = directory.entry("cn=engineering,ou=groups,dc=test").unwrap();
        assert_eq!(members.all("member"), ["cn=placeholder,dc=test"], "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn leftover_entry_is_reported_and_removed_by_the_next_attempt() {
    // The server's configuration can be changed while it runs.
    let online = ["database config", "rootpw config-secret-1"];
    let server = OpenLdap::start_with(online.into_iter().fold(Options::default(), Options::own)).await;
    let directory = server.directory.clone();
    let operator = directory.clone();
    let read_only = move |value: &str| {
        let login = Login { dn: "cn=config".into(), password: "config-secret-1".into() };
        let file = operator.ca.with_file_name("read-only.ldif");
        let text = format!(
            "dn: olcDatabase={{1}}mdb,cn=config\nchangetype: modify\nreplace: olcReadOnly\nolcReadOnly: {value}\n"
        );
        std::fs::write(&file, text).unwrap();
        bridgehead_test_servers::run(operator.tool("ldapmodify", &login).arg("-f").arg(file));
    };
    let turns = read_only.clone();
    // After the entry is created and before its password is set, the server becomes read-only.
    let address = (directory.address, directory.ldap_port).into();
    let proxy = proxy::before(address, &[SETS_PASSWORD, ".bridgehead-"], move || turns("TRUE")).await;
    let plain = json!({ "url": format!("ldap://{proxy}") });
    let connector = connector(&directory, with(own::<OpenLdap>(&directory), &plain));
    let group = group_id(&connector, "group", "engineering").await;
    let error = run(&connector, Action::CreateAccount, ann(&group)).await.unwrap_err();
    assert_eq!(
        (error.effect(), error.retry(), error.subject()),
        (Effect::Unknown, Retry::Backoff, Subject::Connection),
        "{error}"
    );
    let half = "uid=.bridgehead-task-1,ou=people,dc=test";
    assert!(error.message().contains(half) && error.message().contains("does not accept changes"), "{error}");
    assert_eq!(people(&directory), [half]);
    read_only("FALSE");
    connector.check().await.unwrap();
    let warnings = connector.describe().await.unwrap().warnings;
    assert!(warnings.iter().any(|warning| warning.contains(half)), "{warnings:?}");
    // The next attempt fails for another reason, but removes the entry too.
    let eve = "uid=eve,ou=people,dc=test";
    directory.add_ldif(&format!(
        "dn: {eve}\nobjectClass: inetOrgPerson\nuid: eve\ncn: eve\nsn: eve\nmail: ann@example.com\n"
    ));
    let error = attempt(&connector, 2, Action::CreateAccount, ann(&group)).await.unwrap_err();
    assert_eq!((error.code(), error.effect()), (Code::AccountAlreadyExists, Effect::NotApplied), "{error}");
    assert_eq!(people(&directory), [eve]);
    directory.delete(eve);
    run(&connector, Action::CreateAccount, ann(&group)).await.unwrap();
    assert_eq!(people(&directory), ["uid=ann,ou=people,dc=test"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn creation_refused_by_389ds_leaves_no_account() {
    let server = Ds389::start().await;
    let directory = &server.directory;
    let group = group_id(&connector(directory, own::<Ds389>(directory)), "group", "engineering").await;
    // Without TLS, the server accepts an entry but no password.
    let plain = with(own::<Ds389>(directory), &json!({ "url": directory.ldap_url() }));
    let plain = connector(directory, plain);
    for _ in 0..5 {
        let error = leaves_nobody(&plain, directory, ann(&group)).await;
        assert!(error.message().contains("confidentialityRequired (13)"), "{error}");
        let alone = json!({ "account": { "username": "ann", "password": PASSWORD } });
        leaves_nobody(&plain, directory, alone).await;
    }
    let connector = connector(directory, own::<Ds389>(directory));
    let mut short = ann(&group);
    short["account"]["password"] = json!("xyz-12");
    leaves_nobody(&connector, directory, short).await;
    for (attribute, place) in [
        ("userPassword", &directory.people),
        ("nsAccountLock", &directory.people),
        ("uid", &directory.people),
        ("member", &directory.groups),
    ] {
        let aci = |operation: &str| {
            directory.modify_ldif(&format!(
                "dn: {place}\nchangetype: modify\n{operation}: aci\naci: (targetattr = \"{attribute}\")(version 3.0; acl \"refuses\"; \
                 deny (write) userdn = \"ldap:///{}\";)\n",
                directory.writer.dn
            ));
        };
        aci("add");
        let error = leaves_nobody(&connector, directory, ann(&group)).await;
        assert_eq!(error.code(), Code::PermissionDenied, "{attribute}: {error}");
        aci("delete");
    }
    // A client that is allowed to add but not to delete leaves the entry behind, and reports it.
    let half = "uid=.bridgehead-task-1,ou=people,dc=test";
    let aci = |operation: &str| {
        directory.modify_ldif(&format!(
            "dn: {}\nchangetype: modify\n{operation}: aci\naci: (version 3.0; acl \"stays\"; deny (delete) userdn = \"ldap:///{}\";)\n",
            directory.people, directory.writer.dn
        ));
    };
    aci("add");
    let error = run(&plain, Action::CreateAccount, ann(&group)).await.unwrap_err();
    assert_eq!(error.effect(), Effect::Unknown, "{error}");
    assert!(error.message().contains(half), "{error}");
    assert_eq!(people(directory), [half]);
    // The next attempts do not mistake it for a different account either.
    for number in [1, 2] {
        let error = attempt(&connector, number, Action::CreateAccount, ann(&group)).await.unwrap_err();
        assert_eq!(error.code(), Code::PermissionDenied, "{number}: {error}");
        assert_eq!(people(directory), [half]);
    }
    aci("delete");
    attempt(&connector, 2, Action::CreateAccount, ann(&group)).await.unwrap();
    assert_eq!(people(directory), ["uid=ann,ou=people,dc=test"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn creation_refused_by_samba_leaves_no_account() {
    let server = Samba::start().await;
    let directory = &server.directory;
    // Account operators are not allowed to change the members of this group.
    server.set_access(&directory.group_dn("engineering"), &format!("(OD;;WP;{MEMBER};;AO)"));
    let connector = connector(directory, own::<Samba>(directory));
    let group = group_id(&connector, "group", "engineering").await;
    let error = leaves_nobody(&connector, directory, ann(&group)).await;
    assert_eq!((error.code(), error.subject()), (Code::PermissionDenied, Subject::Group), "{error}");
    let mut weak = json!({ "account": ann(&group)["account"] });
    weak["account"]["password"] = json!("weak-1");
    leaves_nobody(&connector, directory, weak).await;
    let reader = crate::support::connector(directory, bound_as(own::<Samba>(directory), &directory.reader));
    leaves_nobody(&reader, directory, json!({ "account": { "username": "ann", "password": PASSWORD } }))
        .await;
    run(&connector, Action::CreateAccount, json!({ "account": ann(&group)["account"] })).await.unwrap();
}
