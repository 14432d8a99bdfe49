//! Changes between two requests, and data on other servers, for the servers other than OpenLDAP. Proxies in between read the requests, so
//! TLS is not used.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test that asked for it")]

use std::net::SocketAddr;
use std::sync::Arc;

use bridgehead_sdk::{Account, Action, Code, Connector, Effect, Record, Retry, Subject};
use bridgehead_test_servers::{Directory, Ds389, Login, Options, Samba};
use serde_json::{Map, Value, json};

use crate::proxy;
use crate::support::{bound_as, connector, list, page, run, settings, with};
use crate::test_target::Server;

/// The paged results control, which only listings send.
const PAGED: &str = "1.2.840.113556.1.4.319";

/// By default, Samba requires encryption.
fn in_the_clear<S: Server>() -> Options {
    if S::PROFILE == "ad" {
        Options::default().own("ldap server require strong auth = no")
    } else {
        Options::default()
    }
}

fn through<S: Server>(directory: &Directory, proxy: SocketAddr, own: &Value) -> Arc<dyn Connector> {
    let plain = json!({ "url": format!("ldap://{proxy}"), "password": "none" });
    let all: Map<String, Value> =
        with(with(with(settings(S::PROFILE, directory), &S::settings()), &plain), own);
    connector(directory, all)
}

/// Adds accounts, and adds the first of them to a group.
fn populate(directory: &Directory, names: &[&str]) {
    for name in names {
        directory.add_ldif(&directory.account_ldif(name));
    }
    directory.modify_ldif(&format!(
        "dn: {}\nchangetype: modify\nadd: member\nmember: {}\n",
        directory.group_dn("engineering"),
        directory.account_dn(names[0])
    ));
}

/// The groups of every account in a listing.
async fn listed_groups(connector: &Arc<dyn Connector>) -> Vec<usize> {
    let accounts = list(connector, "account").await.unwrap().into_iter();
    let groups = accounts.filter_map(|record| match record {
        Record::Account(account) => Some(account.memberships.of("group").len()),
        Record::Entity(_) => None,
    });
    groups.collect()
}

/// Number 9: an account that is renamed during a listing keeps its groups, and so do all members of a group that is renamed.
async fn renamed_midway<S: Server>(class: &'static str, engineering: &'static str) {
    let by_members: &'static [&'static str] = vec![class, PAGED].leak();
    let by_group: &'static [&'static str] = vec![engineering].leak();
    for (read_from, texts, is_group) in [("members", by_members, false), ("memberOf", by_group, true)] {
        let server = S::start(in_the_clear::<S>()).await;
        let directory = server.directory().clone();
        populate(&directory, &["ann"]);
        let other = directory.clone();
        let rename = move || {
            let (dn, attribute) = if is_group {
                (other.group_dn("engineering"), "cn")
            } else {
                let attribute = if S::PROFILE == "ad" { "cn" } else { other.account_attribute() };
                (other.account_dn("ann"), attribute)
            };
            other.modify_ldif(&format!(
                "dn: {dn}\nchangetype: modrdn\nnewrdn: {attribute}=renamed\ndeleteoldrdn: 1\n"
            ));
        };
        let proxy = proxy::before((directory.address, directory.ldap_port).into(), texts, rename).await;
        let own = json!({ "memberships": { "read_from": read_from } });
        let connector = through::<S>(&directory, proxy, &own);
        assert_eq!(listed_groups(&connector).await, [1], "{read_from}");
        let old = if is_group { directory.group_dn("engineering") } else { directory.account_dn("ann") };
        assert_eq!(directory.entry(&old), None, "{read_from}: nothing happened");
    }
}

/// Number 15: an entry whose name is not valid UTF-8 is an invalid record; the others are listed.
async fn a_name_that_is_no_text<S: Server>(old: &'static [u8], new: &'static [u8]) {
    let server = S::start(in_the_clear::<S>()).await;
    let directory = server.directory();
    populate(directory, &["ann", "odXd", "zoe"]);
    let proxy = proxy::replacing((directory.address, directory.ldap_port).into(), old, new).await;
    for read_from in ["members", "memberOf"] {
        let own = json!({ "memberships": { "read_from": read_from } });
        let connector = through::<S>(directory, proxy, &own);
        let page = page(&connector, "account", None).await.unwrap();
        assert_eq!((page.records.len(), page.rejected.len(), page.next), (2, 1, None), "{read_from}");
        assert!(page.rejected[0].to_string().contains("od\\e9d"), "{}", page.rejected[0]);
        let ann = Account::by_username("ann");
        let ann = connector.find_account(&ann).await.unwrap().unwrap();
        assert_eq!(ann.memberships.of("group").len(), 1, "{read_from}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn account_renamed_during_a_task_keeps_groups_on_389ds() {
    renamed_midway::<Ds389>("groupOfNames", "cn=engineering,ou=groups,dc=test").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn account_renamed_during_a_task_keeps_groups_on_samba() {
    renamed_midway::<Samba>("\x05group", "CN=engineering,OU=groups,DC=test,DC=lan").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn non_utf8_dn_is_an_invalid_record_on_389ds() {
    a_name_that_is_no_text::<Ds389>(b"uid=odXd,", b"uid=od\xe9d,").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn non_utf8_dn_is_an_invalid_record_on_samba() {
    a_name_that_is_no_text::<Samba>(b"CN=odXd,", b"CN=od\xe9d,").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn referral_on_389ds_does_not_make_lookups_uncertain() {
    let server = Ds389::start().await;
    let directory = &server.directory;
    populate(directory, &["ann"]);
    directory.add_ldif(
        "dn: ou=abroad,ou=people,dc=test\nobjectClass: organizationalUnit\nobjectClass: referral\nou: abroad\n\
         ref: ldap://127.0.0.1:1/ou=abroad,dc=test\n",
    );
    let own = with(settings("389ds", directory), &json!({ "password": "none" }));
    let strict = connector(directory, own.clone());
    let bob = || json!({ "account": { "username": "bob" } });
    for error in [
        list(&strict, "account").await.unwrap_err(),
        strict.find_account(&Account::by_username("bob")).await.unwrap_err(),
        strict.check().await.unwrap_err(),
        run(&strict, Action::DeleteAccount, bob()).await.unwrap_err(),
        run(&strict, Action::CreateAccount, bob()).await.unwrap_err(),
    ] {
        assert_eq!((error.code(), error.effect()), (Code::InternalError, Effect::NotApplied), "{error}");
        assert!(error.message().contains("ldap://127.0.0.1:1/ou=abroad,dc=test"), "{error}");
    }
    let lenient = connector(directory, with(own, &json!({ "ignore_references": ["ldap://127.0.0.1:1"] })));
    lenient.check().await.unwrap();
    assert_eq!(list(&lenient, "account").await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn default_domain_referrals_make_nothing_uncertain() {
    let server = Samba::start().await;
    let directory = &server.directory;
    populate(directory, &["ann"]);
    let root = json!({ "accounts": { "base": directory.suffix, "filter": "(&(objectClass=user)(mail=*))" },
        "create": { "base": directory.people } });
    let connector = connector(directory, with(settings("ad", directory), &root));
    connector.check().await.unwrap();
    assert_eq!(list(&connector, "account").await.unwrap().len(), 1);
    let nobody = Account::by_username("bob");
    assert_eq!(connector.find_account(&nobody).await.unwrap(), None);
    let error = run(&connector, Action::DeleteAccount, json!({ "account": { "username": "bob" } }))
        .await
        .unwrap_err();
    assert_eq!(error.code(), Code::AccountNotFound, "{error}");
}

/// Number 17 on Active Directory: a problem with bridgehead's own account is not an error of a task, and is reported.
#[tokio::test(flavor = "multi_thread")]
async fn refused_service_account_on_samba_holds_tasks() {
    let server = Samba::start().await;
    let directory = &server.directory;
    populate(directory, &["ann"]);
    let writer = &directory.writer.dn;
    let set = |attribute: &str, value: &str| {
        directory.modify_ldif(&format!(
            "dn: {writer}\nchangetype: modify\nreplace: {attribute}\n{attribute}: {value}\n"
        ));
    };
    for (attribute, bad, good, says) in [
        ("pwdLastSet", "0", "-1", "must change its password first"),
        ("userAccountControl", "514", "512", "the account is disabled"),
        // The first second of 1601.
        ("accountExpires", "10000000", "0", "the account has expired"),
    ] {
        set(attribute, bad);
        let login = Login { dn: writer.clone(), ..directory.writer.clone() };
        let connector =
            connector(directory, bound_as(with(settings("ad", directory), &Samba::settings()), &login));
        let ann = || json!({ "account": { "username": "ann" } });
        for error in [
            connector.check().await.unwrap_err(),
            page(&connector, "account", None).await.unwrap_err(),
            run(&connector, Action::SuspendAccount, ann()).await.unwrap_err(),
            run(&connector, Action::CreateAccount, json!({ "account": { "username": "bob" } }))
                .await
                .unwrap_err(),
        ] {
            assert_eq!(
                (error.code(), error.effect(), error.subject()),
                (Code::PermissionDenied, Effect::NotApplied, Subject::Connection),
                "{error}"
            );
            assert_eq!(error.retry(), Retry::Backoff, "{error}");
            assert!(error.message().contains(says), "{attribute}: {error}");
        }
        set(attribute, good);
        run(&connector, Action::UnsuspendAccount, ann()).await.unwrap();
    }
}
