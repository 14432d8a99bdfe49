//! What is not trusted: names that no longer exist, incomplete responses, incomplete servers, and attributes that are silently unreadable.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test that asked for it")]

use bridgehead_sdk::{Account, Action, Code, Effect, Record, Retry, Subject};
use bridgehead_test_servers::{Directory, OpenLdap, Options, Population};
use serde_json::{Value, json};

use crate::proxy;
use crate::support::{attempt, bound_as, connector, find, group_id, id, list, page, run, settings, with};

const ANN: &str = "uid=ann,ou=people,dc=test";
const ENGINEERING: &str = "cn=engineering,ou=groups,dc=test";

fn add_ann(directory: &Directory, further: &str) {
    directory
        .add_ldif(&format!("dn: {ANN}\nobjectClass: inetOrgPerson\nuid: ann\ncn: Ann\nsn: Ann\n{further}\n"));
}

fn join(directory: &Directory) {
    directory.modify_ldif(&format!("dn: {ENGINEERING}\nchangetype: modify\nadd: member\nmember: {ANN}\n"));
}

fn members(directory: &Directory) -> Vec<String> {
    directory.entry(ENGINEERING).unwrap().all("member").to_vec()
}

/// The number of groups of each account in a listing, in order.
async fn listed_groups(connector: &std::sync::Arc<dyn bridgehead_sdk::Connector>) -> Vec<usize> {
    let accounts = list(connector, "account").await.unwrap().into_iter();
    let groups = accounts.filter_map(|record| match record {
        Record::Account(account) => Some(account.memberships.of("group").len()),
        Record::Entity(_) => None,
    });
    groups.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn account_renamed_or_moved_during_a_listing_keeps_its_groups() {
    const PAGED: &str = "1.2.840.113556.1.4.319";
    let moments: [&[&str]; 4] = [
        // Before anything is read, before the groups are read, after them, and after the account itself.
        &["inetOrgPerson", PAGED],
        &["groupOfNames", PAGED],
        &["inetOrgPerson", "givenName", PAGED],
        &["uid=anna,ou=people,dc=test"],
    ];
    for change in [
        "newrdn: uid=anna\ndeleteoldrdn: 1\n",
        "newrdn: uid=ann\ndeleteoldrdn: 1\nnewsuperior: ou=left,ou=people,dc=test\n",
    ] {
        for (number, moment) in moments.into_iter().enumerate() {
            let server = OpenLdap::start().await;
            let directory = server.directory.clone();
            directory.add_ldif("dn: ou=left,ou=people,dc=test\nobjectClass: organizationalUnit\nou: left\n");
            add_ann(&directory, "");
            join(&directory);
            let (first, second) = (directory.clone(), directory.clone());
            let address = (directory.address, directory.ldap_port).into();
            let rename = move || first.modify_ldif(&format!("dn: {ANN}\nchangetype: modrdn\n{change}"));
            let proxy = if number < 3 {
                proxy::before(address, moment, rename).await
            } else {
                // Once the account is in doubt, it is renamed again before its groups are requested.
                let again = move || {
                    second.modify_ldif("dn: uid=anna,ou=people,dc=test\nchangetype: modrdn\nnewrdn: uid=annie\ndeleteoldrdn: 1\n");
                };
                if change.contains("newsuperior") {
                    continue;
                }
                proxy::before(proxy::before(address, moments[2], rename).await, moment, again).await
            };
            let plain = json!({ "url": format!("ldap://{proxy}"), "password": "none", "groups": [{ "slug": "group" }] });
            let connector = connector(&directory, with(settings("openldap", &directory), &plain));
            assert_eq!(listed_groups(&connector).await, [1], "{number} {change}");
            assert!(directory.entry(ANN).is_none(), "{number}: nothing happened");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_renamed_during_a_listing_stay_in_their_groups() {
    let server = OpenLdap::start().await;
    let directory = server.directory.clone();
    add_ann(&directory, "");
    join(&directory);
    let group = "objectClass: groupOfNames\ncn: all\nmember:";
    directory.add_ldif(&format!("dn: cn=all,ou=groups,dc=test\n{group} {ENGINEERING}\n"));
    let other = directory.clone();
    // Pages of one group: before the second page of the members.
    let texts: &[&str] = &["groupOfNames", "1.2.840.113556.1.4.319", "\x06member"];
    let proxy = proxy::before((directory.address, directory.ldap_port).into(), texts, move || {
        other.modify_ldif(&format!(
            "dn: {ENGINEERING}\nchangetype: modrdn\nnewrdn: cn=building\ndeleteoldrdn: 1\n"
        ));
    })
    .await;
    let plain = json!({
        "url": format!("ldap://{proxy}"), "password": "none", "page_size": 1,
        "groups": [{ "slug": "group" }], "memberships": { "nested": true },
    });
    let connector = connector(&directory, with(settings("openldap", &directory), &plain));
    assert_eq!(listed_groups(&connector).await, [2]);
    assert!(directory.entry(ENGINEERING).is_none(), "nothing happened");
}

#[tokio::test(flavor = "multi_thread")]
async fn group_renamed_during_a_listing_keeps_its_members() {
    let server = OpenLdap::start().await;
    let directory = server.directory.clone();
    add_ann(&directory, "");
    join(&directory);
    let other = directory.clone();
    let proxy = proxy::before((directory.address, directory.ldap_port).into(), &[ENGINEERING], move || {
        let rename = "changetype: modrdn\nnewrdn: cn=building\ndeleteoldrdn: 1\n";
        other.modify_ldif(&format!("dn: {ENGINEERING}\n{rename}"));
    })
    .await;
    let plain = json!({ "url": format!("ldap://{proxy}"), "memberships": { "read_from": "memberOf" } });
    let connector = connector(&directory, with(settings("openldap", &directory), &plain));
    assert_eq!(listed_groups(&connector).await, [1]);
}

#[tokio::test]
async fn reference_to_a_missing_group_makes_a_listing_incomplete() {
    let ann = format!(
        "dn: {ANN}\nobjectClass: inetOrgPerson\nuid: ann\ncn: Ann\nsn: Ann\nmemberOf: cn=gone,ou=groups,dc=test"
    );
    let server = OpenLdap::start_with(Options::default().ldif(&ann)).await;
    let directory = &server.directory;
    let own = json!({ "memberships": { "read_from": "memberOf" } });
    let connector = connector(directory, with(settings("openldap", directory), &own));
    let error = list(&connector, "account").await.unwrap_err();
    assert!(error.message().contains(ANN), "{error}");
}

#[tokio::test]
async fn attributes_and_bases_accept_any_alias() {
    let server = OpenLdap::start().await;
    let directory = &server.directory;
    let names = json!({
        "accounts": {
            "base": "organizationalUnitName=people,domainComponent=test",
            "attributes": {
                "username": "userid", "email": "rfc822Mailbox", "first_name": "gn", "last_name": "surname",
                "display_name": "2.16.840.1.113730.3.1.241",
            },
        },
        "create": { "rdn": "0.9.2342.19200300.100.1.1" },
        "groups": [{
            "slug": "group", "base": "organizationalUnitName=groups,dc=test", "name_attribute": "commonName",
            "member_attribute": "2.5.4.31", "placeholder_member": "cn=placeholder,dc=test",
        }],
    });
    for read_from in [
        json!({}),
        json!({ "memberships": { "read_from": "memberOf", "attribute": "1.2.840.113556.1.2.102" } }),
    ] {
        let settings = with(with(settings("openldap", directory), &names), &read_from);
        let connector = connector(directory, settings);
        connector.check().await.unwrap();
        let group = group_id(&connector, "group", "engineering").await;
        let account = json!({
            "username": "ann", "email": "ann@example.com", "first_name": "Ann", "last_name": "Arbor", "display_name": "A",
        });
        let task = json!({ "account": account, "memberships": { "group": [group] } });
        let ann = id(&run(&connector, Action::CreateAccount, task).await.unwrap());
        let record = find(&connector, &ann).await.unwrap();
        assert_eq!(record.username.as_deref(), Some("ann"));
        assert_eq!(record.email.as_deref(), Some("ann@example.com"));
        assert_eq!((record.first_name.as_deref(), record.last_name.as_deref()), (Some("Ann"), Some("Arbor")));
        assert_eq!(record.display_name.as_deref(), Some("A"));
        assert_eq!(record.memberships.of("group").len(), 1);
        let rename =
            json!({ "account": { "id": ann }, "changes": { "username": "anna", "first_name": "Anna" } });
        run(&connector, Action::UpdateAccount, rename).await.unwrap();
        assert_eq!(directory.entry("uid=anna,ou=people,dc=test").unwrap().all("givenName"), ["Anna"]);
        run(&connector, Action::DeleteAccount, json!({ "account": { "id": ann } })).await.unwrap();
        assert_eq!(members(directory), ["cn=placeholder,dc=test"]);
    }
}

#[tokio::test]
async fn unknown_schema_name_is_refused_with_a_suggestion() {
    let server = OpenLdap::start().await;
    let directory = &server.directory;
    let base = &directory.people;
    for (own, key, nearest) in [
        (
            json!({ "accounts": { "base": base, "attributes": { "first_name": "givenNam" } } }),
            "accounts.attributes.first_name",
            "givenName",
        ),
        (
            json!({ "groups": [{ "slug": "group", "member_attribute": "membr" }] }),
            "groups.0.member_attribute",
            "member",
        ),
        (json!({ "id_attribute": "entryUIID" }), "id_attribute", "entryUUID"),
        (
            json!({ "memberships": { "read_from": "memberOf", "attribute": "memberOff" } }),
            "memberships.attribute",
            "memberOf",
        ),
    ] {
        let connector = connector(directory, with(settings("openldap", directory), &own));
        for error in
            [connector.check().await.unwrap_err(), page(&connector, "account", None).await.unwrap_err()]
        {
            assert_eq!((error.effect(), error.subject()), (Effect::NotApplied, Subject::Connection));
            assert!(
                error.message().contains(key) && error.message().contains(&format!("'{nearest}'")),
                "{error}"
            );
        }
    }
    let filter = json!({ "accounts": { "base": base, "filter": "(&(objectClass=person)(emploeeType=x))" } });
    let connector = connector(directory, with(settings("openldap", directory), &filter));
    let error = connector.check().await.unwrap_err();
    assert!(
        error.message().contains("accounts.filter") && error.message().contains("'employeeType'"),
        "{error}"
    );
}

fn referral() -> Options {
    let referral = "dn: ou=abroad,ou=people,dc=test\nobjectClass: referral\nobjectClass: extensibleObject\n\
        ou: abroad\nref: ldap://127.0.0.1:1/ou=abroad,dc=test";
    let population = Population { accounts: 3, groups: 0, members: 0 };
    Options::default().population(population).ldif(referral)
}

#[tokio::test]
async fn referral_makes_listings_incomplete_but_not_lookups_uncertain() {
    let server = OpenLdap::start_with(referral()).await;
    let directory = &server.directory;
    let connector = connector(directory, settings("openldap", directory));
    let error = list(&connector, "account").await.unwrap_err();
    assert_eq!((error.code(), error.effect()), (Code::InternalError, Effect::NotApplied));
    assert!(error.message().contains("ldap://127.0.0.1:1/ou=abroad,dc=test"), "{error}");
    assert!(error.message().contains("ignore_references"), "{error}");
    let nobody = Account::by_username("ann");
    for error in [
        connector.find_account(&nobody).await.unwrap_err(),
        connector.check().await.unwrap_err(),
        run(&connector, Action::DeleteAccount, json!({ "account": { "username": "ann" } }))
            .await
            .unwrap_err(),
        run(&connector, Action::CreateAccount, json!({ "account": { "username": "ann" } }))
            .await
            .unwrap_err(),
        attempt(&connector, 2, Action::CreateAccount, json!({ "account": { "username": "ann" } }))
            .await
            .unwrap_err(),
    ] {
        assert_eq!((error.effect(), error.retry()), (Effect::NotApplied, Retry::Backoff), "{error}");
    }
    assert_eq!(directory.entry(ANN), None);
    // An account that is found by its identifier exists on this server.
    let here = directory.entry("uid=user-00001,ou=people,dc=test").unwrap();
    let account = json!({ "account": { "id": here.first("entryUUID") } });
    run(&connector, Action::SuspendAccount, account).await.unwrap();
}

#[tokio::test]
async fn ignored_referrals_are_skipped() {
    let server = OpenLdap::start_with(referral()).await;
    let directory = &server.directory;
    for ignored in ["ou=abroad,dc=test", "ldap://127.0.0.1:1"] {
        let own = json!({ "ignore_references": [ignored] });
        let connector = connector(directory, with(settings("openldap", directory), &own));
        connector.check().await.unwrap();
        assert_eq!(list(&connector, "account").await.unwrap().len(), 3);
        let nobody = Account::by_username("ann");
        assert_eq!(connector.find_account(&nobody).await.unwrap(), None);
    }
}

#[tokio::test]
async fn replica_with_interrupted_refresh_is_not_trusted() {
    let provider = "syncrepl rid=1 provider=ldap://127.0.0.1:1 type=refreshOnly searchbase=dc=test bindmethod=simple \
                    retry=\"60 +\"";
    let population = Population { accounts: 3, groups: 0, members: 0 };
    let server = OpenLdap::start_with(Options::default().population(population).own(provider)).await;
    let directory = &server.directory;
    let connector = connector(directory, settings("openldap", directory));
    let nobody = Account::by_username("ann");
    for error in [
        page(&connector, "account", None).await.unwrap_err(),
        connector.find_account(&nobody).await.unwrap_err(),
        connector.check().await.unwrap_err(),
        run(&connector, Action::CreateAccount, json!({ "account": { "username": "ann" } }))
            .await
            .unwrap_err(),
    ] {
        assert_eq!((error.effect(), error.subject()), (Effect::NotApplied, Subject::Connection), "{error}");
        assert!(error.message().contains("contextCSN"), "{error}");
    }
    // A replica does not accept changes either, and this is not an error of the task.
    let trusted = with(settings("openldap", directory), &json!({ "replica": false }));
    let connector = crate::support::connector(directory, trusted);
    assert_eq!(list(&connector, "account").await.unwrap().len(), 3);
    let account = json!({ "account": { "username": "user-00001" } });
    let error = run(&connector, Action::SuspendAccount, account).await.unwrap_err();
    assert_eq!((error.retry(), error.subject()), (Retry::Backoff, Subject::Connection), "{error}");
}

#[tokio::test]
async fn read_only_server_holds_tasks() {
    let population = Population { accounts: 1, groups: 0, members: 0 };
    let options = Options::default().population(population).own("readonly on");
    let server = OpenLdap::start_with(options).await;
    let directory = &server.directory;
    let connector = connector(directory, with(settings("openldap", directory), &json!({ "replica": false })));
    let account = json!({ "username": "user-00000" });
    let reset = json!({ "account": account, "changes": { "password": "another-horse-1" } });
    let group = group_id(&connector, "group", "engineering").await;
    let update = json!({ "account": account, "memberships": { "group": [group] } });
    let rename = json!({ "account": account, "changes": { "username": "other" } });
    for error in [
        run(&connector, Action::SuspendAccount, json!({ "account": account })).await.unwrap_err(),
        run(&connector, Action::ResetPassword, reset).await.unwrap_err(),
        run(&connector, Action::UpdateAccount, update).await.unwrap_err(),
        run(&connector, Action::UpdateAccount, rename).await.unwrap_err(),
        run(&connector, Action::DeleteAccount, json!({ "account": account })).await.unwrap_err(),
        run(&connector, Action::CreateAccount, json!({ "account": { "username": "ann" } }))
            .await
            .unwrap_err(),
    ] {
        assert_eq!(
            (error.effect(), error.retry(), error.subject()),
            (Effect::NotApplied, Retry::Backoff, Subject::Connection),
            "{error}"
        );
        assert!(error.message().contains("does not accept changes"), "{error}");
    }
}

#[tokio::test]
async fn service_account_with_expired_password_holds_tasks() {
    let server = OpenLdap::start().await;
    let directory = &server.directory;
    let connector = connector(directory, settings("openldap", directory));
    directory.modify_ldif(&format!(
        "dn: cn=default,ou=policies,dc=test\nchangetype: modify\nreplace: pwdMustChange\npwdMustChange: TRUE\n\n\
         dn: {}\nchangetype: modify\nreplace: pwdReset\npwdReset: TRUE\n",
        directory.writer.dn
    ));
    for error in [
        connector.check().await.unwrap_err(),
        page(&connector, "account", None).await.unwrap_err(),
        run(&connector, Action::DeleteAccount, json!({ "account": { "username": "ann" } }))
            .await
            .unwrap_err(),
    ] {
        assert_eq!((error.effect(), error.subject()), (Effect::NotApplied, Subject::Connection), "{error}");
        assert!(error.message().contains("must change its password"), "{error}");
    }
}

#[tokio::test]
async fn unreadable_attributes_are_reported_with_their_setting() {
    for (hidden, own, key) in [
        ("member", json!({}), "groups.0.member_attribute"),
        ("memberOf", json!({ "memberships": { "read_from": "memberOf" } }), "memberships.attribute"),
        ("givenName", json!({}), "accounts.attributes.first_name"),
    ] {
        let rule = format!("access to attrs={hidden} by dn.exact=\"cn=writer,dc=test\" none by * read");
        let server = OpenLdap::start_with(Options::default().own(&rule)).await;
        let directory = &server.directory;
        add_ann(directory, "givenName: Ann");
        join(directory);
        let settings = with(settings("openldap", directory), &own);
        connector(directory, bound_as(settings.clone(), &directory.reader)).check().await.unwrap();
        let connector = connector(directory, settings);
        let error = connector.check().await.unwrap_err();
        assert!(error.message().contains(key), "{error}");
        if hidden != "givenName" {
            let error = page(&connector, "account", None).await.unwrap_err();
            assert!(error.message().contains(key), "{error}");
        }
    }
}

#[tokio::test]
async fn unmaintained_membership_attribute_is_reported() {
    let server = OpenLdap::start().await;
    let directory = &server.directory;
    add_ann(directory, "");
    // No overlay maintains this group.
    directory.add_ldif(&format!(
        "dn: cn=crew,ou=groups,dc=test\nobjectClass: groupOfUniqueNames\ncn: crew\nuniqueMember: {ANN}\n"
    ));
    let own = json!({
        "groups": [{ "slug": "crew", "member_attribute": "uniqueMember" }],
        "memberships": { "read_from": "memberOf" },
    });
    let connector = connector(directory, with(settings("openldap", directory), &own));
    for error in [connector.check().await.unwrap_err(), page(&connector, "account", None).await.unwrap_err()]
    {
        assert!(error.message().contains("memberships.read_from"), "{error}");
    }
}

#[tokio::test]
async fn failover_server_takes_over_but_is_not_trusted_at_once() {
    let mut first = OpenLdap::start().await;
    let second = OpenLdap::start().await;
    let directory = first.directory.clone();
    second.directory.add_ldif(&format!(
        "dn: {ANN}\nobjectClass: inetOrgPerson\nuid: ann\ncn: Ann\nsn: Ann\nuserPassword: correct-horse-1\n"
    ));
    let urls = |wait: &str| {
        let mut settings = settings("openldap", &directory);
        settings.remove("url");
        let urls = json!({
            "urls": [directory.ldap_url(), second.directory.ldap_url()], "failover_wait": wait,
        });
        connector(&directory, with(settings, &urls))
    };
    let (patient, hasty) = (urls("1h"), urls("0s"));
    let bob = Account::by_username("bob");
    for connector in [&patient, &hasty] {
        assert_eq!(connector.find_account(&bob).await.unwrap(), None);
    }
    first.stop();
    // How and when the connections notice it depends on the machine.
    for connector in [&patient, &hasty] {
        for _ in 0..20 {
            if connector.check().await.is_ok() {
                break;
            }
        }
    }
    let ann = || json!({ "account": { "username": "ann" } });
    // A suspension is sent in any case; only tasks that rely on something being absent must wait.
    run(&patient, Action::SuspendAccount, ann()).await.unwrap();
    for error in [
        patient.find_account(&bob).await.unwrap_err(),
        page(&patient, "account", None).await.unwrap_err(),
        run(&patient, Action::DeleteAccount, ann()).await.unwrap_err(),
        run(&patient, Action::CreateAccount, json!({ "account": { "username": "bob" } })).await.unwrap_err(),
        run(
            &patient,
            Action::UpdateAccount,
            json!({ "account": { "username": "ann" }, "memberships": { "group": [] } }),
        )
        .await
        .unwrap_err(),
    ] {
        assert_eq!(error.effect(), Effect::NotApplied, "{error}");
        assert!(matches!(error.retry(), Retry::After(_)), "{error}");
        assert!(error.message().contains("failover_wait"), "{error}");
    }
    assert_eq!(second.directory.entry("uid=bob,ou=people,dc=test"), None);
    run(&hasty, Action::CreateAccount, json!({ "account": { "username": "bob" } })).await.unwrap();
    // The first server is back; the connector stays on the second one.
    first.restart().await;
    assert!(hasty.find_account(&bob).await.unwrap().is_some());
    assert_eq!(first.directory.entry("uid=bob,ou=people,dc=test"), None);
}

#[tokio::test]
async fn work_returns_from_the_replica_to_its_provider() {
    let mut first = OpenLdap::start().await;
    let second = OpenLdap::start_with(Options::default().own("readonly on")).await;
    let directory = first.directory.clone();
    let mut settings = settings("openldap", &directory);
    settings.remove("url");
    let urls = json!({
        "urls": [directory.ldap_url(), second.directory.ldap_url()], "failover_wait": "0s", "replica": false,
    });
    let connector = connector(&directory, with(settings, &urls));
    first.stop();
    let ann = || json!({ "account": { "username": "ann" } });
    for _ in 0..2 {
        let error = run(&connector, Action::CreateAccount, ann()).await.unwrap_err();
        assert_eq!((error.retry(), error.subject()), (Retry::Backoff, Subject::Connection), "{error}");
        assert!(error.message().contains("does not accept changes"), "{error}");
    }
    first.restart().await;
    run(&connector, Action::CreateAccount, ann()).await.unwrap();
    assert!(directory.entry(ANN).is_some());
}

#[tokio::test]
async fn account_in_too_many_groups_says_how_to_filter_them() {
    let server = OpenLdap::start().await;
    let directory = &server.directory;
    add_ann(directory, "");
    let groups = (0..101).map(|number| {
        format!("dn: cn=many-{number},ou=groups,dc=test\nobjectClass: groupOfNames\ncn: many-{number}\nmember: {ANN}\n\n")
    });
    directory.add_ldif(&groups.collect::<String>());
    directory.add_ldif(&format!(
        "dn: cn=app-x,ou=groups,dc=test\nobjectClass: groupOfNames\ncn: app-x\nmember: {ANN}\n"
    ));
    let all = connector(directory, settings("openldap", directory));
    let page = page(&all, "account", None).await.unwrap();
    assert_eq!(page.records, []);
    assert!(page.rejected[0].to_string().contains("groups.0.only"), "{}", page.rejected[0]);
    let governed = json!({ "groups": [{ "slug": "group", "only": ["app-*", "engineering"] }] });
    let connector = connector(directory, with(settings("openldap", directory), &governed));
    assert_eq!(list(&connector, "group").await.unwrap().len(), 2);
    assert_eq!(listed_groups(&connector).await, [1]);
}

#[tokio::test]
async fn email_can_be_the_user_name() {
    let server = OpenLdap::start().await;
    let directory = &server.directory;
    let own: Value = json!({
        "accounts": { "base": directory.people, "attributes": { "username": "mail" } },
        "create": { "rdn": "mail" },
    });
    let connector = connector(directory, with(settings("openldap", directory), &own));
    let task = json!({ "account": { "username": "ann@example.com", "email": "ann@example.com" } });
    let ann = id(&run(&connector, Action::CreateAccount, task).await.unwrap());
    let update = json!({ "account": { "id": ann }, "changes": { "email": "anna@example.com" } });
    run(&connector, Action::UpdateAccount, update).await.unwrap();
    let record = find(&connector, &ann).await.unwrap();
    assert_eq!(record.username.as_deref(), Some("anna@example.com"));
    assert_eq!(record.email.as_deref(), Some("anna@example.com"));
    let two = json!({ "account": { "username": "bob@example.com", "email": "robert@example.com" } });
    let error = run(&connector, Action::CreateAccount, two).await.unwrap_err();
    assert_eq!((error.code(), error.effect()), (Code::InternalError, Effect::NotApplied));
    assert_eq!(directory.search(&directory.people, "(mail=*b*t@example.com)", &["dn"]), []);
}

#[tokio::test]
async fn fields_without_an_attribute_are_unverifiable() {
    let server = OpenLdap::start().await;
    let directory = &server.directory;
    let own = json!({
        "accounts": { "base": directory.people, "attributes": { "display_name": "" } }, "suspend": { "method": "none" },
    });
    let connector = connector(directory, with(settings("openldap", directory), &own));
    let unverifiable = connector.describe().await.unwrap().unverifiable;
    assert_eq!(unverifiable.into_iter().collect::<Vec<_>>(), ["display_name", "status"]);
}

#[tokio::test]
async fn single_hidden_membership_is_reported_with_its_setting() {
    const BOB: &str = "uid=bob,ou=people,dc=test";
    for (read_from, place, hidden, key) in [
        ("members", ENGINEERING, "member", "groups.0.member_attribute"),
        ("memberOf", ANN, "memberOf", "memberships.attribute"),
    ] {
        let rule = format!(
            "access to dn.base=\"{place}\" attrs={hidden} by dn.exact=\"cn=writer,dc=test\" none by * read"
        );
        let server = OpenLdap::start_with(Options::default().own(&rule)).await;
        let directory = &server.directory;
        add_ann(directory, "");
        join(directory);
        directory.add_ldif(&format!(
            "dn: {BOB}\nobjectClass: inetOrgPerson\nuid: bob\ncn: Bob\nsn: Bob\n\n\
             dn: cn=building,ou=groups,dc=test\nobjectClass: groupOfNames\ncn: building\nmember: {BOB}\n"
        ));
        let own = json!({ "groups": [{ "slug": "group" }], "memberships": { "read_from": read_from } });
        let settings = with(settings("openldap", directory), &own);
        connector(directory, bound_as(settings.clone(), &directory.reader)).check().await.unwrap();
        let connector = connector(directory, settings);
        for error in
            [connector.check().await.unwrap_err(), page(&connector, "account", None).await.unwrap_err()]
        {
            assert!(error.message().contains(key) && error.message().contains(ANN), "{error}");
            assert_eq!((error.effect(), error.subject()), (Effect::NotApplied, Subject::Connection));
        }
    }
}
