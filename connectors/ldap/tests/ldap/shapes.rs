//! Entries created by other clients: one line each, all in one directory, and the same sequence of steps for each. The snapshot shows the
//! results. The server's pages are short.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test that asked for it")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use bridgehead_sdk::{Account, Action, Connector, Error, Record};
use bridgehead_test_servers::{Directory, OpenLdap, Options};
use serde_json::{Value, json};

use crate::support::{connector, group_id, page, run, settings, with};

const BASE: &str = "ou=people,dc=test";

/// The name of the case; the entry's name without the base; attributes in addition to `inetOrgPerson`; and the spelling of the name in the
/// group.
type Shape = (&'static str, &'static str, &'static str, &'static str);

#[rustfmt::skip]
const SHAPES: &[Shape] = &[
    ("as it comes", "uid=s00", "uid: s00", "uid=s00"),
    ("in other letters", "UID=S01", "uid: S01\nmail: S01@EXAMPLE.ORG", "uid=s01"),
    ("named by what no field is mapped to", "employeeNumber=7", "employeeNumber: 7\nuid: s02", "employeeNumber=7"),
    ("a comma in the name", "cn=Doe\\, Ann", "cn: Doe, Ann\nuid: s03", "cn=Doe\\2c Ann"),
    ("quotes, plus and backslash in the name", "cn=a\\+b\\\"c\\\\d\\;e", "cn: a+b\"c\\d;e\nuid: s04", "cn=a\\2Bb\\22c\\5Cd\\3Be"),
    ("a hash in front", "cn=\\#5", "cn: #5\nuid: s05", "cn=\\23\\35"),
    ("a name of two parts", "uid=s06+cn=Ann", "cn: Ann\nuid: s06", "cn=ann+uid=S06"),
    ("a name of two parts, the user name behind", "cn=Ann+uid=s07", "cn: Ann\nuid: s07", "uid=s07+cn=Ann"),
    ("a name of two values of one attribute", "cn=Ann+sn=Lee", "cn: Ann\nsn: Lee\nuid: s08", "sn=Lee+cn=Ann"),
    ("letters beyond ASCII", "uid=jürgen", "uid: jürgen", "uid=j\\c3\\bcrgen"),
    ("letters written in two ways", "uid=Åsa", "uid: Åsa", "uid=A\\cc\\8asa"),
    ("several user names", "uid=s11", "uid: s11\nuid: zoe.s11\nuid: alias11", "uid=s11"),
    ("named by the second of its user names", "uid=s12", "uid: first12\nuid: s12", "uid=s12"),
    ("a value with a tag alone", "uid=s13", "uid: s13\nmail;lang-de: s13@example.org\ngivenName;lang-de: Änne", "uid=s13"),
    ("a tag on the user name", "cn=s14", "cn: s14\nuid;lang-de: s14", "cn=s14"),
    ("no user name, and an address", "cn=s15", "cn: s15\nmail: s15@example.org", "cn=s15"),
    ("neither user name nor address", "cn=s16", "cn: s16", "cn=s16"),
    ("a field that is no text", "uid=s17", "uid: s17\njpegPhoto:: /9j/4AAQ", "uid=s17"),
    ("a user name with blanks", "uid=s18  x", "uid: s18  x", "uid=s18 x"),
    ("a user name of syntax", "uid=s19*(x)\\\\", "uid: s19*(x)\\", "uid=s19\\2a(x)\\5C"),
    ("a user name with a line break", "cn=s20", "cn: s20\nuid:: czIwCg==", "cn=s20"),
    ("a long user name", "cn=s21", "cn: s21\nuid: s21-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "cn=s21"),
    ("deep below the base", "uid=s22,ou=a,ou=deep", "uid: s22", "uid=s22,ou=A,ou=DEEP"),
    ("locked for ever by the policy", "uid=s23", "uid: s23\npwdAccountLockedTime: 000001010000Z", "uid=s23"),
    ("locked after failed login attempts", "uid=s24", "uid: s24\npwdAccountLockedTime: 20260101000000Z\npwdFailureTime: 20260101000000Z", "uid=s24"),
    ("must change the password", "uid=s25", "uid: s25\npwdReset: TRUE", "uid=s25"),
    ("an address twice, in other letters", "uid=s26", "uid: s26\nmail: s26@example.org\nmail: alias26@example.org", "uid=s26"),
];

fn told(error: &Error) -> String {
    format!("{} {}", error.code(), error.message().trim_start_matches("acme-ldap: "))
}

/// The complete listing: each record by the name of its case, which is in its description.
async fn listed(connector: &Arc<dyn Connector>) -> (BTreeMap<String, Value>, Vec<String>) {
    let (mut all, mut bad, mut next) = (BTreeMap::new(), Vec::new(), None);
    loop {
        let page = page(connector, "account", next.as_ref()).await.unwrap();
        for record in page.records {
            let Record::Account(account) = record else { panic!("no account") };
            let mark = account.extra["mark"].as_str().unwrap().to_owned();
            assert!(all.insert(mark, serde_json::to_value(&account).unwrap()).is_none());
        }
        bad.extend(page.rejected.iter().map(ToString::to_string));
        next = page.next;
        if next.is_none() {
            return (all, bad);
        }
    }
}

/// The entries, loaded directly into the database, because only the server can set some of the attributes.
fn entries() -> String {
    let mut text = format!(
        "dn: ou=deep,{BASE}\nobjectClass: organizationalUnit\nou: deep\n\ndn: ou=a,ou=deep,{BASE}\nobjectClass: organizationalUnit\nou: a\n\n"
    );
    let mut members = String::new();
    for (number, (_, name, attributes, member)) in SHAPES.iter().enumerate() {
        write!(
            text,
            "dn: {name},{BASE}\nobjectClass: inetOrgPerson\n{attributes}\ndescription: {number:02}\n"
        )
        .unwrap();
        for needed in ["cn", "sn"] {
            if !attributes.contains(&format!("{needed}: ")) {
                writeln!(text, "{needed}: x").unwrap();
            }
        }
        text += "\n";
        writeln!(members, "member: {member},{BASE}").unwrap();
    }
    // None of these is an account.
    write!(
        text,
        "dn: cn=alias,{BASE}\nobjectClass: alias\nobjectClass: extensibleObject\ncn: alias\nuid: s00\naliasedObjectName: uid=s00,{BASE}\n\n\
         dn: cn=crew,ou=groups,dc=test\nobjectClass: groupOfNames\ncn: crew\n{members}\n"
    )
    .unwrap();
    text
}

/// The results for one of them.
async fn story(connector: &Arc<dyn Connector>, directory: &Directory, shape: &Value) -> Vec<String> {
    let shown = |key: &str| shape.get(key).map(ToString::to_string).unwrap_or_default();
    let groups = shape["memberships"]["group"].as_array().map_or(0, Vec::len);
    let mut lines = vec![format!(
        "list: {} {} {} {}, in {groups} groups",
        shown("username"),
        shown("email"),
        shown("first_name"),
        shown("status"),
    )];
    let id = shape["id"].as_str().unwrap();
    let found = connector.find_account(&Account::by_id(id)).await.unwrap().unwrap();
    assert_eq!(serde_json::to_value(&found).unwrap(), *shape, "looking and listing say the same");
    if let Some(username) = shape["username"].as_str() {
        let named = Account::by_username(username);
        match connector.find_account(&named).await {
            Ok(Some(found)) => assert_eq!(found.id.as_str(), id, "{username}"),
            Ok(None) => lines.push("nobody is found by the user name".to_owned()),
            Err(error) => lines.push(format!("find: {}", told(&error))),
        }
    }
    let mark = shape["mark"].as_str().unwrap();
    let account = json!({ "id": id });
    let changed = |changes: Value| json!({ "account": account, "changes": changes });
    let tasks = [
        (
            "update",
            Action::UpdateAccount,
            changed(json!({ "first_name": "Neu", "email": format!("new-{mark}@example.org") })),
        ),
        ("rename", Action::UpdateAccount, changed(json!({ "username": format!("new-{mark}") }))),
        ("suspend", Action::SuspendAccount, json!({ "account": account })),
        ("unsuspend", Action::UnsuspendAccount, json!({ "account": account })),
        ("leave", Action::UpdateAccount, json!({ "account": account, "memberships": { "group": [] } })),
    ];
    for (name, action, task) in tasks {
        if let Err(error) = run(connector, action, task).await {
            lines.push(format!("{name}: {}", told(&error)));
        }
        if name == "rename" {
            let now = connector.find_account(&Account::by_id(id)).await.unwrap().unwrap();
            let entry = directory.search(BASE, &format!("(description={mark})"), &["uid", "mail"]).remove(0);
            let groups = now.memberships.of("group").len();
            lines.push(format!(
                "now: {} uid {:?} mail {:?}, in {groups} groups",
                entry.dn,
                entry.all("uid"),
                entry.all("mail")
            ));
        }
    }
    let now = connector.find_account(&Account::by_id(id)).await.unwrap().unwrap();
    lines.push(format!("then: {:?}, in {} groups", now.status, now.memberships.of("group").len()));
    match run(connector, Action::DeleteAccount, json!({ "account": account })).await {
        Ok(_) => assert_eq!(connector.find_account(&Account::by_id(id)).await.unwrap(), None),
        Err(error) => lines.push(format!("delete: {}", told(&error))),
    }
    lines
}

#[tokio::test]
async fn entries_of_every_shape_are_handled() {
    let writer = "limits dn.exact=\"cn=writer,dc=test\" size=unlimited size.pr=4";
    let server = OpenLdap::start_with(Options::default().own(writer).ldif(&entries())).await;
    let directory = &server.directory;
    let own = json!({
        "url": directory.ldap_url(),
        "accounts": { "base": BASE, "attributes": { "mark": "description", "photo": "jpegPhoto" } },
        "groups": [{ "slug": "group", "placeholder_member": "cn=placeholder,dc=test" }],
    });
    let own = with(settings("openldap", directory), &own);
    let error = connector(directory, own.clone()).check().await.unwrap_err();
    assert!(error.message().contains("page_size"), "{error}");
    let connector = connector(directory, with(own, &json!({ "page_size": 4 })));
    connector.check().await.unwrap();
    group_id(&connector, "group", "crew").await;
    let (records, bad) = listed(&connector).await;
    let mut report = String::new();
    for why in bad {
        writeln!(report, "bad: {}", without_ids(&why)).unwrap();
    }
    for (number, (name, ..)) in SHAPES.iter().enumerate() {
        let Some(record) = records.get(&format!("{number:02}")) else {
            writeln!(report, "{name}\n    not listed").unwrap();
            continue;
        };
        let lines = story(&connector, directory, record).await;
        writeln!(report, "{name}\n    {}", lines.join("\n    ")).unwrap();
    }
    let left = directory.entry("cn=crew,ou=groups,dc=test").unwrap();
    writeln!(report, "left in the group: {:#?}", left.all("member")).unwrap();
    insta::assert_snapshot!(report);
}

/// Replaces identifiers, which differ in each run.
fn without_ids(text: &str) -> String {
    text.split(' ')
        .map(|word| if word.chars().filter(|c| *c == '-').count() == 4 { "(id)" } else { word })
        .collect::<Vec<_>>()
        .join(" ")
}
