//! Two servers of one directory, one of which has not yet received the changes of the other.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test that asked for it")]

use std::sync::Arc;
use std::time::Duration;

use bridgehead_sdk::{Account, AccountStatus, Action, Code, Connector, Effect, Error, Retry};
use bridgehead_test_servers::{Directory, OpenLdapPair, Options};
use serde_json::{Value, json};

use crate::proxy;
use crate::support::{connector, find, group_id, id, list, page, run, settings, with};

const PASSWORD: &str = "correct-horse-1";

/// A connector that uses both servers, the first one first.
pub(crate) fn of_both(pair: &OpenLdapPair, wait: &str) -> Arc<dyn Connector> {
    let directory = &pair.first.directory;
    let mut settings = settings("openldap", directory);
    settings.remove("url");
    let own = json!({
        "urls": [directory.ldap_url(), pair.second.directory.ldap_url()],
        "failover_wait": wait,
        "groups": [{ "slug": "group", "placeholder_member": "cn=placeholder,dc=test" }],
    });
    connector(directory, with(settings, &own))
}

/// Waits until the condition is true; the duration of replication depends on the machine.
async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    for _ in 0..600 {
        if is_so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{what}: it never comes about");
}

/// Waits until the connector has noticed that its server is gone. How and when its connections notice it depends on the machine.
async fn fails_over(connector: &Arc<dyn Connector>) {
    until("the other server takes over", async || connector.check().await.is_ok()).await;
}

fn of(id: &str) -> Value {
    json!({ "account": { "id": id } })
}

fn in_engineering(directory: &Directory, name: &str) -> bool {
    let members = directory.entry(&directory.group_dn("engineering")).unwrap();
    members.all("member").contains(&directory.account_dn(name))
}

fn must_wait(error: &Error) {
    assert_eq!(error.effect(), Effect::NotApplied, "{error}");
    assert!(matches!(error.retry(), Retry::After(_)), "{error}");
    assert!(error.message().contains("failover_wait"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn lagging_server_does_not_contradict_a_failed_server() {
    let mut pair = OpenLdapPair::start_with(Options::default()).await;
    let (first, second) = (pair.first.directory.clone(), pair.second.directory.clone());
    let (patient, hasty) = (of_both(&pair, "1h"), of_both(&pair, "0s"));
    let group = group_id(&patient, "group", "engineering").await;
    group_id(&hasty, "group", "engineering").await;
    let account = |name: &str| json!({ "account": { "username": name, "password": PASSWORD } });
    let old = id(&run(&patient, Action::CreateAccount, account("old")).await.unwrap());
    until("both know the account", async || second.entry(&second.account_dn("old")).is_some()).await;

    // From here on, the second server receives no changes.
    pair.from_first.hold();
    let ann = json!({ "account": account("ann")["account"], "memberships": { "group": [group] } });
    let ann = id(&run(&patient, Action::CreateAccount, ann).await.unwrap());
    let join = json!({ "account": { "id": old }, "memberships": { "group": [group] } });
    run(&patient, Action::UpdateAccount, join).await.unwrap();
    run(&patient, Action::SuspendAccount, of(&old)).await.unwrap();
    let leave = json!({ "account": { "id": old }, "memberships": { "group": [] } });
    assert!(in_engineering(&first, "old") && !in_engineering(&second, "old"));
    assert_eq!(second.entry(&second.account_dn("ann")), None, "it lags");
    pair.first.stop();
    fails_over(&patient).await;

    // "Not found" is not trusted.
    let by_name = |name: &str| Account::by_username(name);
    for account in [Account::by_id(ann.as_str()), by_name("ann"), by_name("nobody")] {
        must_wait(&patient.find_account(&account).await.unwrap_err());
    }
    must_wait(&page(&patient, "account", None).await.unwrap_err());
    must_wait(&page(&patient, "group", None).await.unwrap_err());
    // "Already done" is not trusted either, and nothing is done twice.
    let rename = json!({ "account": { "id": ann }, "changes": { "username": "anna" } });
    let reset = json!({ "account": { "id": old }, "changes": { "password": "another-horse-1" } });
    for (action, task) in [
        (Action::UpdateAccount, leave.clone()),
        (Action::UpdateAccount, rename),
        (Action::DeleteAccount, of(&ann)),
        (Action::DeleteAccount, of(&old)),
        (Action::SuspendAccount, of(&ann)),
        (Action::ResetPassword, of(&ann)),
        // Whether the account stays suspended depends on what is read.
        (Action::ResetPassword, reset),
        (Action::CreateAccount, account("ann")),
    ] {
        must_wait(&run(&patient, action, task).await.unwrap_err());
    }
    assert_eq!(second.entry(&second.account_dn("ann")), None);
    // Changes that are sent in any case are sent immediately, even if an outdated read says that they are already done: the account is
    // active here.
    run(&patient, Action::UnsuspendAccount, of(&old)).await.unwrap();
    let log = pair.second.log();
    assert!(log.contains("MOD dn=\"uid=old,ou=people,dc=test\""), "it was not sent: {log}");

    // Without a wait, outdated data is trusted: this is the purpose of the setting.
    fails_over(&hasty).await;
    run(&hasty, Action::UpdateAccount, leave.clone()).await.unwrap();
    let error = run(&hasty, Action::DeleteAccount, of(&ann)).await.unwrap_err();
    assert_eq!(error.code(), Code::AccountNotFound, "{error}");

    // The first server is back, and all changes are replicated.
    pair.first.restart().await;
    pair.from_first.release();
    for directory in [&first, &second] {
        until("everything has arrived", async || {
            let ann = directory.entry(&directory.account_dn("ann"));
            ann.is_some() && in_engineering(directory, "old")
        })
        .await;
    }
    // The later change wins on both servers: the end of the suspension.
    for directory in [&first, &second] {
        until("the end of the suspension has arrived", async || {
            directory.entry(&directory.account_dn("old")).unwrap().all("pwdAccountLockedTime").is_empty()
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn work_continues_on_the_next_server_after_failover_wait() {
    let mut pair = OpenLdapPair::start_with(Options::default()).await;
    let (first, second) = (pair.first.directory.clone(), pair.second.directory.clone());
    let connector = of_both(&pair, "3s");
    let group = group_id(&connector, "group", "engineering").await;
    let account = |name: &str| json!({ "username": name, "password": PASSWORD });
    let mut ids = Vec::new();
    for name in ["ann", "bob"] {
        let task = json!({ "account": account(name), "memberships": { "group": [group] } });
        ids.push(id(&run(&connector, Action::CreateAccount, task).await.unwrap()));
    }
    until("the second server has heard of them", async || {
        ["ann", "bob"].iter().all(|name| in_engineering(&second, name))
    })
    .await;
    pair.first.stop();
    fails_over(&connector).await;
    // Like the runtime: retry after the time that the error requests.
    for (action, task) in [
        (Action::UpdateAccount, json!({ "account": { "id": ids[0] }, "memberships": { "group": [] } })),
        (Action::DeleteAccount, of(&ids[1])),
        (Action::CreateAccount, json!({ "account": account("eve") })),
    ] {
        while let Err(error) = run(&connector, action, task.clone()).await {
            must_wait(&error);
            let Retry::After(wait) = error.retry() else { unreachable!() };
            tokio::time::sleep(wait).await;
        }
    }
    assert_eq!(list(&connector, "account").await.unwrap().len(), 2);
    assert!(!in_engineering(&second, "ann"));
    assert_eq!(find(&connector, &ids[0]).await.unwrap().status, AccountStatus::Active);
    pair.first.restart().await;
    until("the first server has heard what the second was told", async || {
        let is_there = |name: &str| first.entry(&first.account_dn(name)).is_some();
        is_there("eve") && !is_there("bob") && !in_engineering(&first, "ann")
    })
    .await;
    // The connector stays on the second server.
    let log = pair.first.log().len();
    run(&connector, Action::SuspendAccount, of(&ids[0])).await.unwrap();
    assert!(!pair.first.log()[log..].contains("cn=writer,dc=test"), "it has gone back");
}

/// The first server creates an account, and is cut off while the account is read. The data of the second server proves nothing about the
/// first.
async fn what_was_made_and_cut_off(second_knows: bool) {
    let pair = OpenLdapPair::start_with(Options::default()).await;
    let (first, second) = (pair.first.directory.clone(), pair.second.directory.clone());
    // The second server does not receive the account, or the first does not receive its removal.
    if second_knows {
        pair.from_second.hold();
    } else {
        pair.from_first.hold();
    }
    let knowing = second.clone();
    let wait = move || {
        for _ in 0..600 {
            if !second_knows || knowing.entry(&knowing.account_dn("ann")).is_some() {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    };
    // The request that reads the new account.
    let reads: &[&str] = &["uid=ann,ou=people,dc=test\x0a\x01\x00\x0a\x01", "objectClass"];
    let proxy = proxy::closing((first.address, first.ldap_port).into(), reads, wait).await;
    let mut own = settings("openldap", &first);
    own.remove("url");
    let urls = [format!("ldap://{proxy}"), second.ldap_url()];
    let connector = connector(&first, with(own, &json!({ "urls": urls, "connections": 1 })));
    let task = json!({ "account": { "username": "ann", "password": PASSWORD } });
    let error = run(&connector, Action::CreateAccount, task).await.unwrap_err();
    assert!(first.entry(&first.account_dn("ann")).is_some(), "{error}");
    assert_eq!(second.entry(&second.account_dn("ann")), None, "{error}");
    assert_eq!(error.effect(), Effect::Unknown, "{error}");
    assert!(error.message().contains("another server took over"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn account_missing_on_a_lagging_server_is_not_reported_gone() {
    what_was_made_and_cut_off(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn account_removed_on_another_server_is_not_reported_gone() {
    what_was_made_and_cut_off(true).await;
}
