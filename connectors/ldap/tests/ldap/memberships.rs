//! Groups: of every kind, nested, empty, and large.

use bridgehead_sdk::{Action, Code, Record, Subject};
use bridgehead_test_servers::{Directory, OpenLdap};
use serde_json::{Value, json};

use crate::support::{connector, find, group_id, id, list, run, settings, with};

/// Three groups, each in the next one, and the last in the first.
fn ring(directory: &Directory) {
    for (name, member) in [("one", "uid=ann,ou=people,dc=test"), ("two", "cn=one"), ("three", "cn=two")] {
        let member =
            if member.contains(",dc=") { member.to_owned() } else { format!("{member},ou=groups,dc=test") };
        directory.add_ldif(&format!(
            "dn: cn={name},ou=groups,dc=test\nobjectClass: groupOfNames\ncn: {name}\nmember: {member}\n"
        ));
    }
    directory.modify_ldif(
        "dn: cn=one,ou=groups,dc=test\nchangetype: modify\nadd: member\nmember: cn=three,ou=groups,dc=test\n",
    );
}

fn ids(refs: &[&String]) -> Value {
    let mut ids: Vec<_> = refs.iter().map(|id| id.as_str()).collect();
    ids.sort_unstable();
    json!({ "group": ids })
}

#[tokio::test]
async fn nested_groups_are_followed_if_enabled_and_cycles_end() {
    let server = OpenLdap::start().await;
    let directory = &server.directory;
    directory
        .add_ldif("dn: uid=ann,ou=people,dc=test\nobjectClass: inetOrgPerson\nuid: ann\ncn: Ann\nsn: Ann\n");
    ring(directory);
    for read_from in ["members", "memberOf"] {
        let nested = |nested: bool| {
            let memberships = json!({ "memberships": { "read_from": read_from, "nested": nested } });
            connector(directory, with(settings("openldap", directory), &memberships))
        };
        let plain = nested(false);
        let one = group_id(&plain, "group", "one").await;
        let two = group_id(&plain, "group", "two").await;
        let three = group_id(&plain, "group", "three").await;
        let ann = directory.entry("uid=ann,ou=people,dc=test").unwrap();
        let ann = ann.first("entryUUID").unwrap();
        let held = |record: bridgehead_sdk::AccountRecord| record.memberships.to_json(false);
        assert_eq!(held(find(&plain, ann).await.unwrap()), ids(&[&one]), "{read_from}");
        let nested = nested(true);
        assert_eq!(held(find(&nested, ann).await.unwrap()), ids(&[&one, &two, &three]), "{read_from}");
        // A listing and a look-up return the same.
        for (connector, wanted) in [(&plain, ids(&[&one])), (&nested, ids(&[&one, &two, &three]))] {
            let records = list(connector, "account").await.unwrap();
            let [Record::Account(record)] = records.as_slice() else { panic!("{records:?}") };
            assert_eq!(record.memberships.to_json(false), wanted, "{read_from}");
        }
        // A membership through another group already exists, and cannot be removed individually.
        let update = |memberships: Value| json!({ "account": { "id": ann }, "memberships": memberships });
        run(&nested, Action::UpdateAccount, update(ids(&[&one, &two, &three]))).await.unwrap();
        assert_eq!(held(find(&plain, ann).await.unwrap()), ids(&[&one]));
        let error = run(&nested, Action::UpdateAccount, update(ids(&[&one, &two]))).await.unwrap_err();
        assert_eq!((error.code(), error.subject()), (Code::InternalError, Subject::Group));
        assert!(error.message().contains("cn=three,ou=groups,dc=test"), "{error}");
    }
}

#[tokio::test]
async fn every_group_class_can_gain_and_lose_its_last_member() {
    let server = OpenLdap::start().await;
    let directory = &server.directory;
    directory.add_ldif(
        "dn: cn=staff,ou=groups,dc=test\nobjectClass: posixGroup\ncn: staff\ngidNumber: 5000\n\n\
         dn: cn=fresh,ou=groups,dc=test\nobjectClass: groupOfNames\ncn: fresh\nmember:\n",
    );
    let placeholder = "cn=placeholder,dc=test";
    let types = json!({ "groups": [
        // The profile's default placeholder: the empty name.
        { "slug": "group", "filter": "(&(objectClass=groupOfNames)(cn=fresh))" },
        { "slug": "team", "member_attribute": "uniqueMember", "placeholder_member": placeholder },
        { "slug": "unix", "member_attribute": "memberUid" },
    ] });
    let connector = connector(directory, with(settings("openldap", directory), &types));
    let fresh = group_id(&connector, "group", "fresh").await;
    let sales = group_id(&connector, "team", "sales").await;
    let staff = group_id(&connector, "unix", "staff").await;
    let all = json!({ "group": [fresh], "team": [sales], "unix": [staff] });
    let task = json!({ "account": { "username": "ann" }, "memberships": all });
    let ann = id(&run(&connector, Action::CreateAccount, task).await.unwrap());
    assert_eq!(find(&connector, &ann).await.unwrap().memberships.to_json(false), all);
    let dn = "uid=ann,ou=people,dc=test";
    let members = |name: &str, attribute: &str| {
        directory.entry(&format!("cn={name},ou=groups,dc=test")).unwrap().all(attribute).to_vec()
    };
    assert_eq!(members("fresh", "member"), [dn], "the placeholder goes when somebody comes");
    assert_eq!(members("sales", "uniqueMember"), [dn]);
    assert_eq!(members("staff", "memberUid"), ["ann"]);
    let rename = json!({ "account": { "id": ann }, "changes": { "username": "anna" } });
    run(&connector, Action::UpdateAccount, rename).await.unwrap();
    assert_eq!(members("staff", "memberUid"), ["anna"]);
    assert_eq!(find(&connector, &ann).await.unwrap().memberships.to_json(false), all);
    let none = json!({ "group": [], "team": [], "unix": [] });
    let update = json!({ "account": { "id": ann }, "memberships": none });
    run(&connector, Action::UpdateAccount, update).await.unwrap();
    assert!(find(&connector, &ann).await.unwrap().memberships.is_empty());
    assert_eq!(members("fresh", "member"), [""]);
    assert_eq!(members("sales", "uniqueMember"), [placeholder]);
    assert_eq!(members("staff", "memberUid"), [] as [&str; 0]);
}

#[tokio::test]
async fn group_that_cannot_be_empty_names_the_setting() {
    let server = OpenLdap::start().await;
    let directory = &server.directory;
    // A profile that does not expect this schema rule.
    let types = json!({
        "profile": "389ds", "id_attribute": "entryUUID", "suspend": { "method": "none" },
        "groups": [{ "slug": "group", "filter": "(cn=lonely)" }],
    });
    directory.add_ldif(
        "dn: uid=ann,ou=people,dc=test\nobjectClass: inetOrgPerson\nuid: ann\ncn: Ann\nsn: Ann\n\n\
         dn: cn=lonely,ou=groups,dc=test\nobjectClass: groupOfNames\ncn: lonely\nmember: uid=ann,ou=people,dc=test\n",
    );
    let connector = connector(directory, with(settings("openldap", directory), &types));
    let update = json!({ "account": { "username": "ann" }, "memberships": { "group": [] } });
    let error = run(&connector, Action::UpdateAccount, update).await.unwrap_err();
    assert_eq!((error.code(), error.subject()), (Code::InternalError, Subject::Group));
    assert!(error.message().contains("placeholder_member"), "{error}");
}

#[tokio::test]
async fn members_are_matched_in_any_notation() {
    let server = OpenLdap::start().await;
    let directory = &server.directory;
    let accounts = [("Zo\u{eb}", "zoe"), ("Ann, the first", "ann"), ("Bob", "bob")];
    for (cn, uid) in accounts {
        let dn = format!("cn={},ou=people,dc=test", cn.replace(',', "\\,"));
        directory.add_ldif(&format!(
            "dn: {dn}\nobjectClass: inetOrgPerson\ncn: {cn}\nsn: x\nuid: {uid}\nuid: {uid}2\n"
        ));
    }
    // A name with a bit string (RFC 4517, 3.3.21) is a different one for the server, too.
    directory.add_ldif(
        "dn: cn=names,ou=groups,dc=test\nobjectClass: groupOfNames\ncn: names\nmember: commonName=ZOE\u{308},OU=People, dc=test\n\
         member: 2.5.4.3=ann\\2c  The First,ou=people,dc=test\n\n\
         dn: cn=unique,ou=groups,dc=test\nobjectClass: groupOfUniqueNames\ncn: unique\n\
         uniqueMember: CN=Bob,ou=people,dc=test\nuniqueMember: cn=ann\\, the first,ou=people,dc=test#'0101'B\nuniqueMember: cn=Zoe\u{308},ou=people,dc=test\n\n\
         dn: cn=unix,ou=groups,dc=test\nobjectClass: posixGroup\ncn: unix\ngidNumber: 1\nmemberUid: ANN2\nmemberUid: bob\n",
    );
    let types = json!({ "groups": [
        { "slug": "group", "only": ["na*"] },
        { "slug": "team", "member_attribute": "uniqueMember", "only": ["unique"] },
        { "slug": "unix", "member_attribute": "memberUid" },
    ] });
    let connector = connector(directory, with(settings("openldap", directory), &types));
    let mut held = Vec::new();
    for record in list(&connector, "account").await.unwrap() {
        let Record::Account(record) = record else { panic!("no account") };
        let kinds: Vec<String> = record.memberships.0.keys().map(ToString::to_string).collect();
        let found = find(&connector, record.id.as_str()).await.unwrap();
        assert_eq!(record.memberships, found.memberships, "{:?}", record.username);
        held.push((record.username.unwrap(), kinds.join(" ")));
    }
    held.sort();
    let wanted = [("ann", "group unix"), ("bob", "team unix"), ("zoe", "group team")];
    assert_eq!(held, wanted.map(|(name, kinds)| (name.to_owned(), kinds.to_owned())));
}
