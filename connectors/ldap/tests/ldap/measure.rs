//! Measures the time and memory of a listing. Run by hand, with `--release --run-ignored only --no-capture`.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test that asked for it")]
#![expect(clippy::print_stdout, reason = "figures are to be read")]

use std::time::Duration;

use bridgehead_sdk::Record;
use bridgehead_test_servers::{Ds389, OpenLdap, Options, Population, Samba};
use serde_json::json;

use crate::support::{connector, page, settings, with};
use crate::test_target::Server;

/// The peak memory use of this process, as reported by Linux.
fn peak() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.unwrap_or("(not told)").trim().to_owned()
}

/// The processor time that this process and the servers that it started have used so far. Other load on the machine hardly affects it.
fn used() -> [Duration; 2] {
    let mine = std::process::id();
    let (mut own, mut servers) = (Duration::ZERO, Duration::ZERO);
    for process in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Ok(stat) = std::fs::read_to_string(process.path().join("stat")) else { continue };
        // The value in parentheses may contain spaces. After it, counted from the state: the parent is second, user and system time are
        // twelfth and thirteenth.
        let fields: Vec<u64> = stat
            .rsplit(')')
            .next()
            .unwrap_or_default()
            .split_whitespace()
            .map(|field| field.parse().unwrap_or_default())
            .collect();
        let [_, parent, ..] = fields.as_slice() else { continue };
        let time = Duration::from_millis((fields[11] + fields[12]) * 10);
        if process.file_name().to_string_lossy() == mine.to_string() {
            own += time;
        } else if *parent == u64::from(mine) {
            servers += time;
        }
    }
    [own, servers]
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
        let [own, servers] = used();
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
            "{}, nested {nested}: {count} accounts in {took:?}, of which {:?} are used here and {:?} by the server; at most {} in memory, \
             {before} before",
            S::PROFILE,
            used()[0].saturating_sub(own),
            used()[1].saturating_sub(servers),
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
