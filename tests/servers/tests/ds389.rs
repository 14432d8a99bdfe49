//! 389 Directory Server behaves as documented here.

mod support;

use std::os::unix::fs::PermissionsExt;

use bridgehead_test_servers::{Ds389, Login, Options, Population};
use support::{running, until_nothing_runs};

#[tokio::test]
async fn server_listens_only_on_loopback_and_stops_on_drop() {
    let null = || std::fs::metadata("/dev/null").unwrap().permissions().mode();
    let before = null();
    let server = Ds389::start().await;
    let id = server.process().id();
    assert_eq!(running(id).len(), 1);
    // It would remove the write permission of other users there if it had no other file for its process id.
    assert_eq!(null(), before);
    let directory = server.directory.clone();
    let mut expected = [directory.ldap_port, directory.ldaps_port].map(|port| (port, "127.0.0.1".to_owned()));
    expected.sort();
    assert_eq!(support::listeners_of(id), expected);
    drop(server);
    until_nothing_runs(id).await;
    let semaphore = format!("/dev/shm/sem.slapd-{}.stats", directory.ldap_port);
    assert!(!std::path::Path::new(&semaphore).exists(), "{semaphore} was left behind");
}

#[tokio::test]
async fn two_servers_run_independently() {
    let (one, two) = tokio::join!(Ds389::start(), Ds389::start());
    one.directory.add_ldif(&one.directory.account_ldif("only-in-one"));
    assert!(two.directory.search(&two.directory.people, "(uid=only-in-one)", &[]).is_empty());
    assert_eq!(one.directory.search(&one.directory.people, "(uid=only-in-one)", &[]).len(), 1);
}

#[tokio::test]
async fn logins_have_the_intended_rights() {
    support::logins_may_do_what_they_are_for(&Ds389::start().await.directory);
}

#[tokio::test]
async fn starttls_and_ldaps_use_a_certificate_of_the_test_ca() {
    support::tls_is_offered(&Ds389::start().await.directory);
}

#[tokio::test]
async fn data_and_ports_survive_a_restart() {
    let mut server = Ds389::start().await;
    server.directory.add_ldif(&server.directory.account_ldif("stays"));
    server.restart().await;
    assert_eq!(server.directory.search(&server.directory.people, "(uid=stays)", &["cn"]).len(), 1);
}

#[tokio::test]
async fn member_of_follows_groups_and_locked_account_cannot_log_in() {
    let options = Options::default().population(Population { accounts: 3, groups: 2, members: 2 });
    let server = Ds389::start_with(options).await;
    let directory = &server.directory;
    let member_of = |uid: &str| {
        let found = directory.search(&directory.people, &format!("(uid={uid})"), &["memberOf"]);
        found[0].all("memberOf").to_vec()
    };
    let both = [format!("cn=group-000,{}", directory.groups), format!("cn=group-001,{}", directory.groups)];
    assert_eq!(member_of("user-00000"), both);
    let dn = format!("uid=user-00002,{}", directory.people);
    directory.modify_ldif(&format!(
        "dn: cn=sales,{}\nchangetype: modify\nadd: uniqueMember\nuniqueMember: {dn}\n",
        directory.groups
    ));
    assert!(member_of("user-00002").contains(&format!("cn=sales,{}", directory.groups)));

    let login = Login { dn: dn.clone(), password: "long-enough-1".to_owned() };
    let change = |text: &str| directory.modify_ldif(&format!("dn: {dn}\nchangetype: modify\n{text}\n"));
    change("replace: userPassword\nuserPassword: long-enough-1");
    assert!(directory.accepts(&login));
    change("replace: nsAccountLock\nnsAccountLock: true");
    // 53 is unwillingToPerform.
    assert_eq!(support::bind_code(directory, &login), Some(53));
    change("delete: nsAccountLock");
    assert!(directory.accepts(&login));

    directory.delete(&dn);
    let group = directory.search(&directory.groups, "(cn=sales)", &["uniqueMember"]);
    assert_eq!(group[0].all("uniqueMember").len(), 0);
}

#[tokio::test]
async fn size_limit_applies_to_all_but_the_administrator() {
    let population = Population { accounts: 30, groups: 0, members: 0 };
    let server = Ds389::start_with(Options::default().population(population).size_limit(20)).await;
    let directory = &server.directory;
    let read = |login: &Login| {
        let mut command = directory.tool("ldapsearch", login);
        command.args(["-LLL", "-b", &directory.people, "(uid=*)", "uid"]).output().unwrap().status.code()
    };
    assert_eq!(read(&directory.reader), Some(4));
    assert_eq!(read(&directory.admin), Some(0));
}

#[tokio::test]
async fn options_are_applied() {
    let options = Options::default().require_tls().unique("mail").own("passwordHistory: on");
    let server = Ds389::start_with(options).await;
    let directory = &server.directory;
    let mut plain = support::plain(directory, &directory.reader);
    assert_eq!(plain.output().unwrap().status.code(), Some(13));
    let config = directory.entry("cn=config").unwrap();
    assert_eq!(config.first("passwordHistory"), Some("on"));

    support::a_second_account_with_the_same_mail_is_refused(directory);
}

#[tokio::test]
async fn ten_thousand_accounts_are_loaded_and_found() {
    let population = Population { accounts: 10_000, groups: 200, members: 50 };
    let server = Ds389::start_with(Options::default().population(population)).await;
    let directory = &server.directory;
    assert_eq!(directory.search(&directory.people, "(uid=*)", &["uid"]).len(), 10_000);
    let groups = directory.search(&directory.groups, "(cn=group-*)", &["member"]);
    assert_eq!(groups.len(), 200);
    assert!(groups.iter().all(|group| group.all("member").len() == 50));
    assert_eq!(directory.search(&directory.people, "(memberOf=*)", &["uid"]).len(), 10_000);
}
