//! A company of ten thousand people in a real directory and in a real database: the first sync lists all accounts with all their
//! memberships, the second changes and removes nothing, and the third removes exactly the leavers. Also a directory that returns fewer
//! entries than it has.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Stdio;
use std::time::Duration;

use bridgehead_test_servers::{Directory, Login, OpenLdap, Options, Population, Postgres};
use serde_json::Value;

use crate::support::World;
use crate::sync_world::Synced;

/// Every account is a member of exactly two groups.
const COMPANY: Population = Population { accounts: 10_000, groups: 200, members: 100 };
const MEMBERSHIPS: usize = 20_000;

/// The accounts that are deleted before the third sync.
const LEAVERS: [usize; 3] = [0, 4_711, 9_999];

/// The time limit for a sync, on the slowest machine.
const PATIENCE: Duration = Duration::from_mins(5);

/// The groups of each account, by the account's number.
fn groups_of_all() -> Vec<BTreeSet<String>> {
    let mut groups_of = vec![BTreeSet::new(); COMPANY.accounts];
    for group in 0..COMPANY.groups {
        for member in COMPANY.members_of(group) {
            groups_of[member].insert(Population::group(group));
        }
    }
    assert!(groups_of.iter().all(|groups| groups.len() == 2));
    groups_of
}

impl World {
    /// Runs a sync to completion, and prints its duration and peak memory.
    async fn sync_measured(&self, what: &str) -> Synced {
        let file = |name: &str| std::fs::File::create(self.path(name)).expect("a file");
        let began = tokio::time::Instant::now();
        let mut child = self
            .command(&["sync", "hr", "--json"])
            .stdin(Stdio::null())
            .stdout(file("sync.out"))
            .stderr(file("sync.err"))
            .spawn()
            .expect("the binary starts");
        let status = format!("/proc/{}/status", child.id());
        let mut peak = 0;
        let ended = loop {
            let text = std::fs::read_to_string(&status).unwrap_or_default();
            let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            let now = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
            peak = peak.max(now.unwrap_or(0));
            if let Some(ended) = child.try_wait().expect("it can be waited for") {
                break ended;
            }
            if began.elapsed() > PATIENCE {
                drop(child.kill());
                drop(child.wait());
                panic!("the sync came to no end: {}", self.read("sync.err"));
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        };
        eprintln!("{what}: {:.1?}, {} MiB at most", began.elapsed(), peak / 1024);
        let printed: Value = serde_json::from_str(&self.read("sync.out")).unwrap_or_default();
        Synced { code: ended.code(), summary: printed["hr"].clone(), stderr: self.read("sync.err") }
    }

    /// The names of each account's groups, by username, as Iden has them.
    fn memberships(&self, slug: &str) -> BTreeMap<String, BTreeSet<String>> {
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        let names: BTreeMap<String, String> =
            self.active(slug).into_iter().map(|(id, group)| (id, text(&group["name"]))).collect();
        let of_account = |account: &Value| {
            let refs = account["memberships"][slug].as_array().cloned().unwrap_or_default();
            let groups = refs.iter().map(|group| names[&text(group)].clone()).collect();
            (text(&account["username"]), groups)
        };
        self.active("account").values().map(of_account).collect()
    }

    /// Syncs three times; `leave` deletes the leavers from the target before the third sync.
    async fn three_syncs(&self, what: &str, slug: &str, leave: impl FnOnce()) {
        let all = [COMPANY.accounts as u64, COMPANY.groups as u64];
        let expected: BTreeMap<String, BTreeSet<String>> = groups_of_all()
            .into_iter()
            .enumerate()
            .map(|(number, groups)| (Population::account(number), groups))
            .collect();

        let first = self.sync_measured(&format!("{what}, first sync")).await;
        first.assert(0, "completed");
        assert_eq!(first.figures("account"), [all[0], all[0], 0, 0]);
        assert_eq!(first.figures(slug), [all[1], all[1], 0, 0]);
        let held = self.memberships(slug);
        assert_eq!(held.values().map(BTreeSet::len).sum::<usize>(), MEMBERSHIPS);
        // `assert!` instead of `assert_eq!`, which would print ten thousand accounts.
        assert!(held == expected, "memberships differ");

        let before = (self.active("account"), self.active(slug));
        let second = self.sync_measured(&format!("{what}, second sync")).await;
        second.assert(0, "completed");
        assert_eq!(second.figures("account"), [all[0], 0, 0, 0]);
        assert_eq!(second.figures(slug), [all[1], 0, 0, 0]);
        let after = (self.active("account"), self.active(slug));
        assert!(
            before.0.keys().eq(after.0.keys()) && before.1.keys().eq(after.1.keys()),
            "identifiers differ"
        );
        assert!(self.memberships(slug) == expected, "memberships differ");

        leave();
        let third = self.sync_measured(&format!("{what}, third sync")).await;
        third.assert(0, "completed");
        let gone = LEAVERS.len() as u64;
        assert_eq!(third.figures("account"), [all[0] - gone, 0, 0, gone]);
        let held: BTreeSet<String> = self.memberships(slug).into_keys().collect();
        let left: BTreeSet<String> = expected.into_keys().filter(|name| !held.contains(name)).collect();
        assert_eq!(left, LEAVERS.map(Population::account).into());
        assert_eq!(self.count("complete"), 3);
    }
}

/// Configures a directory as the target, read as this user.
fn read_as(world: &World, login: &Login, directory: &Directory) {
    world.write("password", &login.password);
    world.configure(&format!(
        "connector = \"ldap\"\n\n[network]\nca_file = \"{ca}\"\n\n[apps.hr.target]\nprofile = \"openldap\"\n\
         url = \"{url}\"\nbind_dn = \"{dn}\"\nbind_password = {{ file = \"password\" }}\nbase = \"{base}\"\n\
         read_only = true\naccounts = {{ base = \"{people}\" }}\n\
         groups = [{{ slug = \"group\", base = \"{groups}\", filter = \"(cn=group-*)\" }}]\n",
        ca = directory.ca.display(),
        url = directory.ldaps_url(),
        dn = login.dn,
        base = directory.suffix,
        people = directory.people,
        groups = directory.groups,
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_accounts_are_synced_from_openldap() {
    let server = OpenLdap::start_with(Options::default().population(COMPANY)).await;
    let directory = &server.directory;
    let world = World::new().await;
    read_as(&world, &directory.reader, directory);
    let leave = || {
        for leaver in LEAVERS {
            directory.delete(&directory.account_dn(&Population::account(leaver)));
        }
    };
    world.three_syncs("OpenLDAP", "group", leave).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn truncated_directory_listing_removes_no_account() {
    let population = Population { accounts: 300, groups: 5, members: 60 };
    let options = Options::default().population(population).size_limit(250);
    let server = OpenLdap::start_with(options).await;
    let directory = &server.directory;
    let world = World::new().await;
    // The size limit does not apply to the administrator.
    read_as(&world, &directory.admin, directory);
    world.sync(&[]).await.assert(0, "completed");
    assert_eq!(world.active("account").len(), 300);

    read_as(&world, &directory.reader, directory);
    let synced = world.sync(&[]).await;
    assert_eq!(synced.code, Some(1), "{synced:#?}");
    assert!(synced.detail().contains("limit"), "{synced:#?}");
    assert_eq!((world.count("complete"), world.active("account").len()), (1, 300));
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_accounts_are_synced_from_postgresql() {
    let server = Postgres::start().await;
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/config/examples/sql");
    let read = |name: &str| std::fs::read_to_string(format!("{example}{name}")).expect("an example");
    server.sql("postgres", "CREATE DATABASE crm");
    server.sql("crm", &read("/postgresql.sql"));
    let Population { accounts, groups, members } = COMPANY;
    server.sql(
        "crm",
        &format!(
            "CREATE ROLE reader LOGIN PASSWORD 'reader-secret-1'; GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader;
             INSERT INTO accounts (username, email, display_name)
             SELECT name, name || '@example.com', 'User of ' || name
             FROM (SELECT 'user-' || lpad(n::text, 5, '0') AS name FROM generate_series(0, {accounts} - 1) n) names;
             INSERT INTO teams SELECT name, name
             FROM (SELECT 'group-' || lpad(n::text, 3, '0') AS name FROM generate_series(0, {groups} - 1) n) names;
             INSERT INTO team_members SELECT id, 'group-' || lpad(g::text, 3, '0')
             FROM generate_series(0, {groups} - 1) g, generate_series(0, {members} - 1) m, accounts
             WHERE username = 'user-' || lpad(((g * {members} + m) % {accounts})::text, 5, '0')"
        ),
    );

    let nested = |key: &str, value: toml::Value| toml::Table::from_iter([(key.to_owned(), value)]);
    // The shipped example, except for the address and login of the database.
    let mut file: toml::Table = read(".toml").parse().expect("an example is TOML");
    let mut target = file["apps"]["acme-crm"]["target"].as_table_mut().map(std::mem::take).expect("a target");
    let here = toml::Table::from_iter([
        ("host".to_owned(), "127.0.0.1".into()),
        ("port".to_owned(), i64::from(server.port).into()),
        ("user".to_owned(), "reader".into()),
        ("password".to_owned(), nested("file", "password".into()).into()),
    ]);
    target.extend(here);
    let world = World::new().await;
    world.write("password", "reader-secret-1");
    let app = nested("apps", nested("hr", nested("target", target.into()).into()).into());
    world.configure(&format!("connector = \"sql\"\n{app}"));
    let leave = || {
        let names = LEAVERS.map(|leaver| format!("'{}'", Population::account(leaver))).join(", ");
        server.sql("crm", &format!("DELETE FROM accounts WHERE username IN ({names})"));
    };
    world.three_syncs("PostgreSQL", "team", leave).await;
}
