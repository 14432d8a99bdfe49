//! Samba behaves as documented here. Runs as root, because ordinary users may not use its ports.

mod support;

use bridgehead_test_servers::{Login, Options, Population, Samba, unicode_password};
use support::{running, until_nothing_runs};

#[tokio::test]
async fn server_listens_only_on_loopback_and_stops_on_drop() {
    let server = Samba::start().await;
    let id = server.process().id();
    assert_eq!(running(id).len(), 1, "{:?}", running(id));
    let address = server.directory.address.to_string();
    assert_eq!(support::listeners_of(id), [389, 636, 3268, 3269].map(|port| (port, address.clone())));
    drop(server);
    until_nothing_runs(id).await;
}

#[tokio::test]
async fn two_servers_run_independently() {
    let (one, two) = tokio::join!(Samba::start(), Samba::start());
    one.directory.add_ldif(&one.directory.account_ldif("only-in-one"));
    assert!(two.directory.search(&two.directory.people, "(cn=only-in-one)", &[]).is_empty());
    assert_eq!(one.directory.search(&one.directory.people, "(cn=only-in-one)", &[]).len(), 1);
}

#[tokio::test]
async fn logins_have_the_intended_rights() {
    support::logins_may_do_what_they_are_for(&Samba::start().await.directory);
}

#[tokio::test]
async fn starttls_and_ldaps_use_a_certificate_of_the_test_ca() {
    let server = Samba::start().await;
    support::tls_is_offered(&server.directory);
    let mut plain = support::plain(&server.directory, &server.directory.reader);
    // 8 is strongerAuthRequired.
    assert_eq!(plain.output().unwrap().status.code(), Some(8));
}

#[tokio::test]
async fn data_and_address_survive_a_restart() {
    let mut server = Samba::start().await;
    server.directory.add_ldif(&server.directory.account_ldif("stays"));
    server.restart().await;
    assert_eq!(server.directory.search(&server.directory.people, "(cn=stays)", &["cn"]).len(), 1);
}

#[tokio::test]
async fn member_of_follows_groups_and_disabled_account_cannot_log_in() {
    let options = Options::default().population(Population { accounts: 3, groups: 2, members: 2 });
    let server = Samba::start_with(options).await;
    let directory = &server.directory;
    let member_of =
        |name: &str| directory.entry(&directory.account_dn(name)).unwrap().all("memberOf").to_vec();
    let mut both = member_of("user-00000");
    both.sort();
    assert_eq!(both, [directory.group_dn("group-000"), directory.group_dn("group-001")]);
    let dn = directory.account_dn("user-00002");
    let group = directory.group_dn("sales");
    directory.modify_ldif(&format!("dn: {group}\nchangetype: modify\nadd: member\nmember: {dn}\n"));
    assert!(member_of("user-00002").contains(&group));

    let login = Login { dn: dn.clone(), password: "Long-enough-1".to_owned() };
    let change = |text: &str| directory.modify_ldif(&format!("dn: {dn}\nchangetype: modify\n{text}\n"));
    change(&format!("replace: unicodePwd\n{}", unicode_password(&login.password)));
    assert!(directory.accepts(&login));
    change("replace: userAccountControl\nuserAccountControl: 514");
    assert!(!directory.accepts(&login));
    change("replace: userAccountControl\nuserAccountControl: 512");
    assert!(directory.accepts(&login));

    directory.delete(&dn);
    assert_eq!(directory.entry(&group).unwrap().all("member").len(), 0);
}

#[tokio::test]
async fn additional_entries_and_configuration_lines_are_applied() {
    let ldif = "dn: OU=more,DC=test,DC=lan\nobjectClass: organizationalUnit\n";
    let options = Options::default().ldif(ldif).own("ldap server require strong auth = no");
    let server = Samba::start_with(options).await;
    let directory = &server.directory;
    assert!(directory.entry("OU=more,DC=test,DC=lan").is_some());
    let mut plain = support::plain(directory, &directory.reader);
    assert_eq!(plain.output().unwrap().status.code(), Some(0));
}
