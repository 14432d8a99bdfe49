//! Replicas of 389 Directory Server that have not received all of their data.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test that asked for it")]

use std::sync::Arc;
use std::time::Duration;

use bridgehead_sdk::{Account, Action, Connector, Effect, Subject};
use bridgehead_test_servers::{Ds389, Link, Options, Population};
use serde_json::json;

use crate::support::{bound_as, connector, list, page, run, settings, with};

async fn is_not_believed(connector: &Arc<dyn Connector>, says: &str) {
    let nobody = Account::by_username("ann");
    let ann = json!({ "account": { "username": "ann" } });
    for error in [
        connector.check().await.unwrap_err(),
        page(connector, "account", None).await.unwrap_err(),
        connector.find_account(&nobody).await.unwrap_err(),
        run(connector, Action::DeleteAccount, ann.clone()).await.unwrap_err(),
        run(connector, Action::CreateAccount, ann).await.unwrap_err(),
    ] {
        assert_eq!((error.effect(), error.subject()), (Effect::NotApplied, Subject::Connection), "{error}");
        assert!(error.message().contains("is incomplete") && error.message().contains(says), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn replica_with_interrupted_refresh_is_skipped_for_the_next() {
    let population = Population { accounts: 400, groups: 2, members: 5 };
    let provider = Ds389::start_with(Options::default().population(population)).await;
    let replica = Ds389::start().await;
    let link = Link::new();
    link.lead_to(replica.directory.ldap_port);
    replica.receives();
    // In the middle of its 400 accounts.
    link.break_after(60_000);
    provider.hands_on_through(&link);
    while !link.is_broken() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let directory = &replica.directory;
    let quick = json!({ "connect_timeout": "20s" });
    let broken = connector(directory, with(settings("389ds", directory), &quick));
    is_not_believed(&broken, "refers to another server").await;
    // A login outside of the accounts can bind, and gets a referral when it searches for them.
    let elsewhere = bound_as(with(settings("389ds", directory), &quick), &directory.admin);
    is_not_believed(&connector(directory, elsewhere), "refers to another server").await;
    // Another server with all data takes over. The certificates are from two authorities, so TLS is not used here.
    let mut own = with(settings("389ds", directory), &json!({ "password": "none" }));
    own.remove("url");
    let urls =
        json!({ "urls": [directory.ldap_url(), provider.directory.ldap_url()], "failover_wait": "0s" });
    let both = connector(directory, with(own, &urls));
    both.check().await.unwrap();
    assert_eq!(list(&both, "account").await.unwrap().len(), 400);
    link.mend();
    provider.hands_on_again();
    for _ in 0..600 {
        if broken.check().await.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(list(&broken, "account").await.unwrap().len(), 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn uninitialized_replica_is_not_trusted() {
    let population = Population { accounts: 3, groups: 0, members: 0 };
    let server = Ds389::start_with(Options::default().population(population)).await;
    let directory = &server.directory;
    let with_replica =
        |own: serde_json::Value| connector(directory, with(settings("389ds", directory), &own));
    with_replica(json!({})).check().await.unwrap();
    is_not_believed(&with_replica(json!({ "replica": true })), "nsds50ruv").await;
    server.receives();
    // By default, only the administrator can read the replication agreements.
    directory.modify_ldif(&format!(
        "dn: cn=mapping tree,cn=config\nchangetype: modify\nadd: aci\naci: (targetattr = \"*\")(version 3.0; acl \"replication\"; \
         allow (read, search, compare) userdn = \"ldap:///{}\";)\n",
        directory.writer.dn
    ));
    is_not_believed(&with_replica(json!({})), "names no other server").await;
    let trusted = with_replica(json!({ "replica": false }));
    trusted.check().await.unwrap();
    assert_eq!(list(&trusted, "account").await.unwrap().len(), 3);
}
