//! OpenLDAP behaves as documented here.

mod support;

use bridgehead_test_servers::{Login, OpenLdap, Options, Population};
use support::{running, until_nothing_runs};

#[tokio::test]
async fn server_listens_only_on_loopback_and_stops_on_drop() {
    let server = OpenLdap::start().await;
    let id = server.process().id();
    assert_eq!(running(id).len(), 1);
    let directory = &server.directory;
    let mut expected = [directory.ldap_port, directory.ldaps_port].map(|port| (port, "127.0.0.1".to_owned()));
    expected.sort();
    assert_eq!(support::listeners_of(id), expected);
    drop(server);
    until_nothing_runs(id).await;
}

#[tokio::test]
async fn two_servers_run_independently() {
    let (one, two) = tokio::join!(OpenLdap::start(), OpenLdap::start());
    one.directory.add_ldif(&one.directory.account_ldif("only-in-one"));
    assert!(two.directory.search(&two.directory.people, "(uid=only-in-one)", &[]).is_empty());
    assert_eq!(one.directory.search(&one.directory.people, "(uid=only-in-one)", &[]).len(), 1);
}

#[tokio::test]
async fn logins_have_the_intended_rights() {
    support::logins_may_do_what_they_are_for(&OpenLdap::start().await.directory);
}

#[tokio::test]
async fn starttls_and_ldaps_use_a_certificate_of_the_test_ca() {
    support::tls_is_offered(&OpenLdap::start().await.directory);
}

#[tokio::test]
async fn data_and_ports_survive_a_restart() {
    let mut server = OpenLdap::start().await;
    server.directory.add_ldif(&server.directory.account_ldif("stays"));
    server.restart().await;
    assert_eq!(server.directory.search(&server.directory.people, "(uid=stays)", &["cn"]).len(), 1);
}

#[tokio::test]
async fn member_of_follows_groups_and_locked_account_cannot_log_in() {
    let server = OpenLdap::start_with(Options::default().population(Population {
        accounts: 3,
        groups: 2,
        members: 2,
    }))
    .await;
    let directory = &server.directory;
    let member_of = |uid: &str| {
        let found = directory.search(&directory.people, &format!("(uid={uid})"), &["memberOf"]);
        found[0].all("memberOf").to_vec()
    };
    // From the file, which bypassed the overlay.
    let both = [format!("cn=group-000,{}", directory.groups), format!("cn=group-001,{}", directory.groups)];
    assert_eq!(member_of("user-00000"), both);
    // Added by the overlay.
    let dn = format!("uid=user-00002,{}", directory.people);
    directory.modify_ldif(&format!(
        "dn: cn=engineering,{}\nchangetype: modify\nadd: member\nmember: {dn}\n",
        directory.groups
    ));
    assert!(member_of("user-00002").contains(&format!("cn=engineering,{}", directory.groups)));

    let login = Login { dn: dn.clone(), password: "long-enough-1".to_owned() };
    let change = |text: &str| directory.modify_ldif(&format!("dn: {dn}\nchangetype: modify\n{text}\n"));
    change("replace: userPassword\nuserPassword: long-enough-1");
    assert!(directory.accepts(&login));
    change("replace: pwdAccountLockedTime\npwdAccountLockedTime: 000001010000Z");
    assert!(!directory.accepts(&login));
    change("delete: pwdAccountLockedTime");
    assert!(directory.accepts(&login));

    directory.delete(&dn);
    let group = directory.search(&directory.groups, "(cn=engineering)", &["member"]);
    assert_eq!(group[0].all("member"), ["cn=placeholder,dc=test"]);
}

#[tokio::test]
async fn size_limit_spans_pages_for_all_but_the_administrator() {
    let population = Population { accounts: 30, groups: 0, members: 0 };
    let server = OpenLdap::start_with(Options::default().population(population).size_limit(20)).await;
    let directory = &server.directory;
    let read = |login: &Login| {
        let mut command = directory.tool("ldapsearch", login);
        command.args(["-LLL", "-E", "pr=7/noprompt", "-b", &directory.people, "(uid=*)", "uid"]);
        command.output().unwrap().status.code()
    };
    assert_eq!(read(&directory.reader), Some(4));
    assert_eq!(read(&directory.admin), Some(0));
}

#[tokio::test]
async fn options_are_applied() {
    let server = OpenLdap::start_with(Options::default().require_tls().unique("mail")).await;
    let directory = &server.directory;
    let mut plain = support::plain(directory, &directory.reader);
    assert_eq!(plain.output().unwrap().status.code(), Some(13));

    support::a_second_account_with_the_same_mail_is_refused(directory);
}

#[tokio::test]
async fn ten_thousand_accounts_are_loaded_and_found() {
    let population = Population { accounts: 10_000, groups: 200, members: 50 };
    let server = OpenLdap::start_with(Options::default().population(population)).await;
    let directory = &server.directory;
    assert_eq!(directory.search(&directory.people, "(uid=*)", &["uid"]).len(), 10_000);
    let groups = directory.search(&directory.groups, "(cn=group-*)", &["member"]);
    assert_eq!(groups.len(), 200);
    // Including the placeholder.
    assert!(groups.iter().all(|group| group.all("member").len() == 51));
    assert_eq!(directory.search(&directory.people, "(memberOf=*)", &["uid"]).len(), 10_000);
}
