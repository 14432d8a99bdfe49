//! Differences between products, simulated by one `slapd` with a database for each: a listing and the six actions must have the same
//! results on all of them.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test that asked for it")]

use std::path::Path;
use std::sync::Arc;

use bridgehead_sdk::{AccountStatus, Action, Code, Connector, Effect, Record};
use bridgehead_test_servers::{Directory, Login, OpenLdap, Options};
use serde_json::{Map, Value, json};

use crate::support::{connector, find, group_id, id, list, run, settings, with};

const MEMBEROF: &str = "overlay memberof\nmemberof-refint FALSE\n";
const LEFT: &str =
    r#"{ "suspend": { "method": "attribute", "attribute": "employeeType", "value": "left" } }"#;
const PLACEHOLDER: &str = r#"{ "groups": [{ "slug": "group", "placeholder_member": "cn=placeholder" }] }"#;
const READS: &str = r#"{ "memberships": { "read_from": "memberOf" } }"#;
const SEES_TO_IT: &str = r#"{ "referential_integrity": true }"#;

/// The behavior of a product: a name, lines of the database's configuration, and settings that are merged in order. In both, `SUFFIX` is
/// replaced by the database's suffix. The group is a `groupOfNames` unless the row names another class and member attribute.
struct Quirk {
    name: &'static str,
    /// The product with this behavior, and what it does.
    product: &'static str,
    lines: &'static [&'static str],
    group: (&'static str, &'static str),
    settings: &'static [&'static str],
}

const NAMES: (&str, &str) = ("groupOfNames", "member");
const UNIQUE: (&str, &str) = ("groupOfUniqueNames", "uniqueMember");
const POSIX: (&str, &str) = ("posixGroup", "memberUid");
const MEMBERS: (&str, &str) = ("groupOfNobody", "member");

const REFINT: &[&str] = &["overlay refint", "refint_attributes member", "refint_nothing cn=nobody"];
const DYNLIST: &[&str] =
    &["overlay dynlist", "dynlist-attrset groupOfURLs memberURL member+memberOf@groupOfNames"];
const UNIQUE_NAMES: &[&str] =
    &["overlay unique", "unique_uri ldap:///SUFFIX?uid?sub", "unique_uri ldap:///SUFFIX?mail?sub"];
const PPOLICY: &[&str] = &["overlay ppolicy", "ppolicy_default cn=policy,SUFFIX"];
const HASHED: &[&str] =
    &["overlay ppolicy", "ppolicy_default cn=policy,SUFFIX", "ppolicy_hash_cleartext", "ppolicy_use_lockout"];

const TYPE_UNIQUE: &str = r#"{ "groups": [{
    "slug": "group", "member_attribute": "uniqueMember", "placeholder_member": "cn=placeholder" }] }"#;
const TYPE_POSIX: &str = r#"{ "groups": [{ "slug": "group", "member_attribute": "memberUid" }] }"#;
const TYPE_EMPTY: &str = r#"{ "groups": [{ "slug": "group", "filter": "(objectClass=groupOfNobody)" }] }"#;
const NSLOCK: &str = r#"{
    "profile": "389ds", "id_attribute": "entryUUID", "suspend": { "method": "nsAccountLock" },
    "create": { "object_classes": ["inetOrgPerson", "lockable"] } }"#;
const BY_CN: &str = r#"{ "create": { "rdn": "cn", "attributes": { "cn": "{username}" } } }"#;

#[rustfmt::skip]
const QUIRKS: &[Quirk] = &[
    row("plain", "OpenLDAP without overlays", &[], NAMES, &[LEFT]),
    row("placeholder", "OpenLDAP, a group that may not be empty", &[], NAMES, &[LEFT, PLACEHOLDER]),
    row("memberof", "OpenLDAP, memberOf kept by an overlay", &[MEMBEROF], NAMES, &[LEFT, READS]),
    row("keeps", "OpenLDAP, the same overlay renames members", &[MEMBEROF, "memberof-refint TRUE"], NAMES, &[LEFT, READS, PLACEHOLDER]),
    row("drop", "OpenLDAP, members that are nobody vanish", &[MEMBEROF, "memberof-dangling drop"], NAMES, &[LEFT, READS]),
    row("error", "OpenLDAP, members that are nobody are refused", &[MEMBEROF, "memberof-dangling error"], NAMES, &[LEFT, PLACEHOLDER]),
    row("refint", "OpenLDAP, the server renames and removes members", REFINT, NAMES, &[LEFT]),
    row("trusted", "the same, and the settings say so", REFINT, NAMES, &[LEFT, SEES_TO_IT, PLACEHOLDER]),
    row("dynlist", "OpenLDAP from 2.5 on, memberOf made while reading", DYNLIST, NAMES, &[LEFT, READS]),
    row("unique", "any product that lets nobody have a name twice", UNIQUE_NAMES, NAMES, &[LEFT]),
    row("ppolicy", "OpenLDAP, a lock that the password policy minds", PPOLICY, NAMES, &[]),
    row("hashed", "OpenLDAP, passwords in the clear are hashed", HASHED, NAMES, &[]),
    row("content", "OpenLDAP, rights on what is added are checked", &["add_content_acl on"], NAMES, &[LEFT]),
    row("lastbind", "OpenLDAP, logins are noted in the entry", &["lastbind on"], NAMES, &[LEFT]),
    row("dsee", "Sun and Oracle Directory Server, uniqueMember", &[], UNIQUE, &[LEFT, TYPE_UNIQUE]),
    row("nis", "groups of RFC 2307, members are user names", &[], POSIX, &[LEFT, TYPE_POSIX]),
    row("rfc2307bis", "groups that may be empty", &[MEMBEROF], MEMBERS, &[LEFT, TYPE_EMPTY]),
    row("nslock", "389 Directory Server and FreeIPA, nsAccountLock", &[], MEMBERS, &[TYPE_EMPTY, NSLOCK]),
    row("by-cn", "eDirectory and AD LDS, people are named by cn", &[], NAMES, &[LEFT, BY_CN]),
    row("by-mail", "people are named by their address", &[], NAMES, &[LEFT, r#"{ "create": { "rdn": "mail" } }"#]),
];

const fn row(
    name: &'static str,
    product: &'static str,
    lines: &'static [&'static str],
    group: (&'static str, &'static str),
    settings: &'static [&'static str],
) -> Quirk {
    Quirk { name, product, lines, group, settings }
}

impl Quirk {
    fn suffix(&self) -> String {
        format!("dc={}", self.name)
    }

    /// The database section of `slapd.conf`.
    fn database(&self, folder: &Path) -> String {
        let data = folder.join(self.name);
        std::fs::create_dir(&data).unwrap();
        let mut text = format!(
            "database mdb\nmaxsize 16777216\nenvflags nosync\nsuffix {}\ndirectory {}\nrootdn cn=admin,dc=test\n\
             access to attrs=userPassword by dn.exact=\"cn=writer,dc=test\" manage by anonymous auth\n\
             access to * by dn.exact=\"cn=writer,dc=test\" manage by * none\n",
            self.suffix(),
            data.display(),
        );
        for line in self.lines {
            text = text + &line.replace("SUFFIX", &self.suffix()) + "\n";
        }
        text
    }

    /// The directory, filled with entries.
    fn directory(&self, server: &Directory) -> Directory {
        let suffix = self.suffix();
        let directory = Directory {
            people: format!("ou=people,{suffix}"),
            groups: format!("ou=groups,{suffix}"),
            suffix: suffix.clone(),
            ..server.clone()
        };
        let (class, member) = self.group;
        let filled = match class {
            "posixGroup" => "gidNumber: 5000\n".to_owned(),
            "groupOfNobody" => String::new(),
            // Created by an administrator, with an existing entry as a member.
            _ => format!("{member}: {suffix}\n"),
        };
        directory.add_ldif(&format!(
            "dn: {suffix}\nobjectClass: domain\ndc: {}\n\n\
             dn: cn=policy,{suffix}\nobjectClass: device\nobjectClass: pwdPolicy\ncn: policy\n\
             pwdAttribute: userPassword\npwdLockout: TRUE\n\n\
             dn: {}\nobjectClass: organizationalUnit\nou: people\n\n\
             dn: {}\nobjectClass: organizationalUnit\nou: groups\n\n\
             dn: cn=crew,{}\nobjectClass: {class}\ncn: crew\n{filled}\n",
            self.name, directory.people, directory.groups, directory.groups,
        ));
        directory
    }

    fn connector(&self, directory: &Directory) -> Arc<dyn Connector> {
        // Without TLS, which would take most of the time.
        let mut all: Map<String, Value> =
            with(settings("openldap", directory), &json!({ "url": directory.ldap_url() }));
        for text in self.settings {
            all = with(all, &serde_json::from_str(text).unwrap());
        }
        connector(directory, all)
    }
}

/// A listing and the six actions.
async fn everything(quirk: &Quirk, directory: &Directory) {
    let told = format!("{} ({})", quirk.name, quirk.product);
    let connector = quirk.connector(directory);
    connector.check().await.unwrap_or_else(|error| panic!("{told}: {error}"));
    let done = async |action: Action, task: Value| {
        run(&connector, action, task).await.unwrap_or_else(|error| panic!("{told}: {action:?}: {error}"))
    };
    let crew = group_id(&connector, "group", "crew").await;
    let account = json!({
        "username": "ann", "email": "ann@example.com", "first_name": "Ann", "last_name": "Lee", "password": "correct-horse-1",
    });
    let task = json!({ "account": account, "memberships": { "group": [crew] } });
    let ann = id(&done(Action::CreateAccount, task.clone()).await);
    let seen = async |username: &str, email: &str, status: AccountStatus, groups: usize| {
        let record = find(&connector, &ann).await.unwrap_or_else(|| panic!("{told}: nobody"));
        assert_eq!(record.username.as_deref(), Some(username), "{told}");
        assert_eq!(record.email.as_deref(), Some(email), "{told}");
        assert_eq!((record.status, record.memberships.of("group").len()), (status, groups), "{told}");
        let listed = list(&connector, "account").await.unwrap_or_else(|error| panic!("{told}: {error}"));
        assert_eq!(listed, [Record::from(record)], "{told}: a listing says the same");
    };
    let (active, suspended) = (AccountStatus::Active, AccountStatus::Suspended);
    let logs_in = |password: &str| {
        let dn = directory.search(&directory.people, "(objectClass=inetOrgPerson)", &["dn"]).remove(0).dn;
        directory.accepts(&Login { dn, password: password.into() })
    };
    seen("ann", "ann@example.com", active, 1).await;
    assert!(logs_in("correct-horse-1"), "{told}");
    let twice = run(&connector, Action::CreateAccount, task).await.unwrap_err();
    assert_eq!(
        (twice.code(), twice.effect()),
        (Code::AccountAlreadyExists, Effect::NotApplied),
        "{told}: {twice}"
    );

    let update = |changes: Value| json!({ "account": { "id": ann }, "changes": changes });
    let changes = json!({ "username": "anna", "email": "anna@example.com", "first_name": "Anna" });
    done(Action::UpdateAccount, update(changes)).await;
    seen("anna", "anna@example.com", active, 1).await;

    done(Action::SuspendAccount, json!({ "account": { "id": ann } })).await;
    seen("anna", "anna@example.com", suspended, 1).await;
    done(Action::ResetPassword, update(json!({ "password": "another-horse-1" }))).await;
    seen("anna", "anna@example.com", suspended, 1).await;
    done(Action::UnsuspendAccount, json!({ "account": { "id": ann } })).await;
    seen("anna", "anna@example.com", active, 1).await;
    assert!(logs_in("another-horse-1") && !logs_in("correct-horse-1"), "{told}");

    let memberships = |groups: Value| json!({ "account": { "id": ann }, "memberships": { "group": groups } });
    for (groups, count) in [(json!([]), 0), (json!([crew]), 1)] {
        done(Action::UpdateAccount, memberships(groups)).await;
        seen("anna", "anna@example.com", active, count).await;
    }
    done(Action::DeleteAccount, json!({ "account": { "id": ann } })).await;
    assert_eq!(find(&connector, &ann).await, None, "{told}");
    assert_eq!(list(&connector, "account").await.unwrap(), [], "{told}");
    let crew = directory.entry(&directory.group_dn("crew")).unwrap();
    let left = crew.all(quirk.group.1).iter().filter(|member| member.contains("ann"));
    assert_eq!(left.count(), 0, "{told}: {crew:?}");
    let error =
        run(&connector, Action::DeleteAccount, json!({ "account": { "id": ann } })).await.unwrap_err();
    assert_eq!(error.code(), Code::AccountNotFound, "{told}");
}

#[tokio::test]
async fn every_product_is_listed_and_changed_the_same_way() {
    let folder = tempfile::tempdir().unwrap();
    let schema = "attributetype ( 1.3.6.1.4.1.4203.666.99.1 NAME 'nsAccountLock' EQUALITY caseIgnoreMatch \
                  SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 SINGLE-VALUE )\n\
                  objectclass ( 1.3.6.1.4.1.4203.666.99.2 NAME 'groupOfNobody' SUP top STRUCTURAL MUST cn MAY member )\n\
                  objectclass ( 1.3.6.1.4.1.4203.666.99.3 NAME 'lockable' SUP top AUXILIARY MAY nsAccountLock )";
    let mut options = Options::default()
        .own("moduleload dynlist")
        .own("include /etc/ldap/schema/dyngroup.schema")
        .own(schema);
    for quirk in QUIRKS {
        options = options.own(&quirk.database(folder.path()));
    }
    let server = OpenLdap::start_with(options).await;
    for quirk in QUIRKS {
        let directory = quirk.directory(&server.directory);
        everything(quirk, &directory).await;
    }
}
