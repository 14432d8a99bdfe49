//! Run by hand, with `--release --run-ignored only --no-capture`: how long listing takes, and how much memory.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test that asked for it")]
#![expect(clippy::print_stdout, reason = "figures are to be read")]

use bridgehead_sdk::Record;
use bridgehead_test_servers::{Ds389, OpenLdap, Options, Population, Samba};
use serde_json::json;

use crate::bench::Server;
use crate::support::{connector, page, settings, with};

/// The most memory that this process has had, as Linux says it.
fn peak() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.unwrap_or("(not told)").trim().to_owned()
}

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
        let before = peak();
        let started = tokio::time::Instant::now();
        let (mut count, mut next) = (0, None);
        loop {
            let page = page(&connector, "account", next.as_ref()).await.unwrap();
            assert_eq!(page.rejected, []);
            for record in page.records {
                let Record::Account(account) = record else { panic!("no account") };
                assert_eq!(account.memberships.of("group").len(), 2, "{}", account.id);
                count += 1;
            }
            next = page.next;
            if next.is_none() {
                break;
            }
        }
        let took = started.elapsed();
        println!(
            "{}, nested {nested}: {count} accounts in {took:?}; at most {} in memory, {before} before",
            S::PROFILE,
            peak()
        );
        assert_eq!(count, 10_000);
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
