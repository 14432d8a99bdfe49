//! What is not trusted in Active Directory, tested on Samba: attributes that are silently unreadable, and a domain controller that has not
//! received all of its data.

use bridgehead_sdk::{Account, Action, Effect, Subject};
use bridgehead_test_servers::Samba;
use serde_json::{Value, json};

use crate::support::{connector, group_id, list, page, run, settings, with};

/// The GUIDs of the attributes in access control lists.
const MEMBER: &str = "bf9679c0-0de6-11d0-a285-00aa003049e2";
const MEMBER_OF: &str = "bf967991-0de6-11d0-a285-00aa003049e2";

fn of(read_from: &str) -> Value {
    json!({
        "groups": [{ "slug": "group", "base": "OU=groups,DC=test,DC=lan" }],
        "memberships": { "read_from": read_from },
    })
}

#[tokio::test]
async fn unreadable_memberships_are_reported_with_their_setting() {
    let (engineering, sales) =
        ("CN=engineering,OU=groups,DC=test,DC=lan", "CN=sales,OU=groups,DC=test,DC=lan");
    let (ann, bob) = ("CN=ann,OU=people,DC=test,DC=lan", "CN=bob,OU=people,DC=test,DC=lan");
    let cases: [(&str, &[&str], &str, &str); 4] = [
        ("members", &[engineering, sales], MEMBER, "groups.0.member_attribute"),
        // One group shows its members, and the other one does not; then the same for accounts.
        ("members", &[engineering], MEMBER, "groups.0.member_attribute"),
        ("memberOf", &[ann, bob], MEMBER_OF, "memberships"),
        ("memberOf", &[ann], MEMBER_OF, "memberships"),
    ];
    for (read_from, places, hidden, key) in cases {
        let server = Samba::start().await;
        let directory = &server.directory;
        let connector = connector(directory, with(settings("ad", directory), &of(read_from)));
        for (name, group) in [("ann", "engineering"), ("bob", "sales")] {
            let group = group_id(&connector, "group", group).await;
            let task = json!({ "account": { "username": name }, "memberships": { "group": [group] } });
            run(&connector, Action::CreateAccount, task).await.unwrap();
        }
        connector.check().await.unwrap();
        assert_eq!(list(&connector, "account").await.unwrap().len(), 2);
        // Denies reading to account operators, such as the writer, only.
        for place in places {
            server.set_access(place, &format!("(OD;;RP;{hidden};;AO)"));
        }
        let error = connector.check().await.unwrap_err();
        assert!(error.message().contains(key), "{read_from} {places:?}: {error}");
        assert_eq!((error.effect(), error.subject()), (Effect::NotApplied, Subject::Connection));
        let error = page(&connector, "account", None).await.unwrap_err();
        assert!(error.message().contains(key), "{read_from} {places:?}: {error}");
    }
}

#[tokio::test]
async fn mistyped_attribute_is_refused_with_a_suggestion() {
    let server = Samba::start().await;
    let directory = &server.directory;
    for (own, key, nearest) in [
        (
            json!({ "groups": [{ "slug": "group", "base": "OU=groups,DC=test,DC=lan", "member_attribute": "membr" }] }),
            "groups.0.member_attribute",
            "member",
        ),
        (
            json!({ "memberships": { "read_from": "memberOf", "attribute": "memberOff" } }),
            "memberships.attribute",
            "memberOf",
        ),
        (json!({ "id_attribute": "objectGUIDD" }), "id_attribute", "objectGUID"),
    ] {
        let connector = connector(directory, with(settings("ad", directory), &own));
        for error in
            [connector.check().await.unwrap_err(), page(&connector, "account", None).await.unwrap_err()]
        {
            assert!(error.message().contains(key), "{error}");
            assert!(error.message().contains(&format!("'{nearest}'")), "{error}");
            assert_eq!((error.effect(), error.subject()), (Effect::NotApplied, Subject::Connection));
        }
    }
}

#[tokio::test]
async fn unsynchronized_domain_controller_is_not_trusted() {
    let server = Samba::start().await;
    let directory = &server.directory;
    let settings = with(settings("ad", directory), &of("memberOf"));
    run(
        &connector(directory, settings.clone()),
        Action::CreateAccount,
        json!({ "account": { "username": "ann" } }),
    )
    .await
    .unwrap();
    server.set_synchronized(false);
    let connector = connector(directory, settings.clone());
    let nobody = Account::by_username("bob");
    for error in [
        connector.check().await.unwrap_err(),
        page(&connector, "account", None).await.unwrap_err(),
        connector.find_account(&nobody).await.unwrap_err(),
        run(&connector, Action::DeleteAccount, json!({ "account": { "username": "bob" } }))
            .await
            .unwrap_err(),
        run(&connector, Action::CreateAccount, json!({ "account": { "username": "bob" } }))
            .await
            .unwrap_err(),
    ] {
        assert_eq!((error.effect(), error.subject()), (Effect::NotApplied, Subject::Connection), "{error}");
        assert!(error.message().contains("isSynchronized"), "{error}");
    }
    let trusted = crate::support::connector(directory, with(settings, &json!({ "replica": false })));
    assert_eq!(list(&trusted, "account").await.unwrap().len(), 1);
    server.set_synchronized(true);
    assert_eq!(list(&connector, "account").await.unwrap().len(), 1);
}
