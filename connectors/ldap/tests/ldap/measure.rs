//! Run by hand, with `--release --run-ignored only --no-capture`: how long listing takes.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test that asked for it")]
#![expect(clippy::print_stdout, reason = "figures are to be read")]

use bridgehead_sdk::Record;
use bridgehead_test_servers::{Ds389, OpenLdap, Options, Population, Samba};
use serde_json::json;

use crate::bench::Server;
use crate::support::{connector, list, settings, with};

/// Lists 10,000 accounts, each in two of 200 groups, from the members of the groups.
async fn measure<S: Server>() {
    let population = Population { accounts: 10_000, groups: 200, members: 100 };
    let started = tokio::time::Instant::now();
    let server = S::start(Options::default().population(population)).await;
    println!("{} started in {:?}", S::PROFILE, started.elapsed());
    let directory = server.directory();
    for nested in [false, true] {
        let own = json!({
            "accounts": { "base": directory.people, "filter": "(&(objectClass=person)(mail=user-*@example.com))" },
            "groups": [{ "slug": "group", "base": directory.groups }],
            "memberships": { "read_from": "members", "nested": nested },
        });
        let connector = connector(directory, with(settings(S::PROFILE, directory), &own));
        let started = tokio::time::Instant::now();
        let accounts = list(&connector, "account").await.unwrap();
        println!("{}, nested {nested}: {} accounts in {:?}", S::PROFILE, accounts.len(), started.elapsed());
        assert_eq!(accounts.len(), 10_000);
        for record in accounts {
            let Record::Account(account) = record else { panic!("no account") };
            assert_eq!(account.memberships.of("group").len(), 2, "{}", account.id);
        }
    }
}

#[tokio::test]
#[ignore = "a measurement"]
async fn ten_thousand_accounts_on_openldap() {
    measure::<OpenLdap>().await;
}

#[tokio::test]
#[ignore = "a measurement"]
async fn ten_thousand_accounts_on_389ds() {
    measure::<Ds389>().await;
}

#[tokio::test]
#[ignore = "a measurement"]
async fn ten_thousand_accounts_on_samba() {
    measure::<Samba>().await;
}
