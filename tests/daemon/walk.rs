//! The path of a new operator, with the commands from the documentation: from nothing to a sync of a real directory, a held removal, the
//! approval on the page, and its entry in the audit log. Then the same with a second app that a reload has added.

use std::path::Path;
use std::process::{Command, Output};

use bridgehead_test_servers as servers;
use serde_json::{Value, json};

use crate::admin::{address, get, status};
use crate::page::{TOKEN, Visitor};
use crate::support::{Daemon, KEY, PATIENCE, World};

const ADMIN: &str = "[admin]\nlisten = \"127.0.0.1:0\"\ntoken = { file = \"page-token\" }\n";

/// An operator at a shell, with a folder as configuration.
struct Operator {
    world: World,
}

impl Operator {
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bridgehead"));
        command.args(arguments).current_dir(self.world.path("")).env_remove("NOTIFY_SOCKET");
        command.env("BRIDGEHEAD_CONFIG", self.world.path("config")).env("IDEN_API_KEY", KEY);
        command
    }

    async fn run(&self, arguments: &[&str]) -> Output {
        crate::init::finished(self.command(arguments)).await
    }

    /// Runs a command, checks its exit code, and returns its output.
    async fn ends(&self, code: i32, arguments: &[&str]) -> String {
        let output = self.run(arguments).await;
        let said =
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(!said.contains(KEY) && !said.contains(TOKEN), "{arguments:?}: {said}");
        said
    }

    /// The first sync: a dry run, then a sync that may remove accounts.
    async fn first_sync(&self, app: &str) {
        let shown = self.ends(0, &["sync", app, "--dry-run"]).await;
        assert!(shown.contains("rehearsed"), "{shown}");
        let done = self.ends(0, &["sync", app, "--allow-removals"]).await;
        assert!(done.contains("completed"), "{done}");
    }

    async fn entries(&self, app: &str) -> Vec<Value> {
        let exported = self.ends(0, &["audit", "export", "--app", app]).await;
        exported.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
    }

    /// A sync that would remove people is held. The page shows that, the sync is allowed there, and the audit log records it.
    async fn held_and_allowed(&self, here: &str, visitor: &Visitor<'_>, app: &str, gone: &str, left: usize) {
        let held = self.ends(1, &["sync", app]).await;
        assert!(held.contains("held"), "{held}");
        let told = self.ends(1, &["status"]).await;
        assert!(told.contains(&format!("ALARM  {app}: removal guard")), "{told}");
        // The page may be half a second out of date.
        let deadline = tokio::time::Instant::now() + PATIENCE;
        let mut page = String::new();
        while !page.contains("Removal guard") {
            assert!(tokio::time::Instant::now() < deadline, "the alarm is not on the page: {page}");
            page = visitor.get(&format!("/apps/{app}")).await.body;
        }
        assert!(page.contains("href=\"/alarms#removal_guard\""), "{page}");
        let chapter = get(here, "/alarms").await;
        assert!(
            chapter.status == 200 && chapter.body.contains("<h2 id=\"removal_guard\">"),
            "{}",
            chapter.body
        );

        let path = format!("/apps/{app}/actions/allow-removals");
        let question = visitor.get(&path).await.body;
        assert!(question.contains(gone), "whom it is about: {question}");
        let stranger = get(here, &path).await;
        assert_eq!(stranger.status, 303, "a stranger is sent to sign in");
        let forged = visitor.post(&path, "form=guessed").await;
        assert_eq!(forged.status, 403, "{}", forged.body);
        let done = visitor.post(&path, &visitor.form(&path).await).await;
        assert_eq!(done.status, 303, "{}", done.body);
        let wanted = json!(left);
        status(here, "the sync has completed", |status| {
            let sync = &status["apps"][app]["sync"];
            sync["last"]["result"] == "completed" && sync["last_completed"]["counts"]["account"] == wanted
        })
        .await;

        let proven = self.ends(0, &["audit", "verify"]).await;
        assert!(proven.contains("The chain is unbroken"), "{proven}");
        let shown = self.ends(0, &["audit", "show", "--app", app]).await;
        let is_shown = |line: &str| line.contains(" page ") && line.contains("sync, allowing exactly r-");
        assert!(shown.lines().any(is_shown), "{shown}");
        let entries = self.entries(app).await;
        let of = |actor: &str, outcome: &str| {
            let found = entries.iter().rposition(|entry| {
                entry["actor"] == actor && entry["action"] == "sync" && entry["outcome"] == outcome
            });
            found.unwrap_or_else(|| panic!("{actor} {outcome}: {entries:#?}"))
        };
        let (held, completed) = (of("daemon", "held"), of("daemon", "completed"));
        assert!(held < completed, "{entries:#?}");
        let ordered = &entries[of("page", "done")];
        assert!(ordered["evidence"]["allow_removals"].is_string(), "what was allowed: {ordered:#}");
    }
}

fn numbered(count: usize) -> String {
    let rows = (0..count).map(|n| format!("u{n},u{n}@example.org,user{n},active\n"));
    std::iter::once("id,email,username,status\n".to_owned()).chain(rows).collect()
}

#[tokio::test]
async fn from_nothing_to_a_held_removal_that_is_allowed_on_the_page_and_again_for_a_second_app() {
    let world = World::new().await;
    let population = servers::Population { accounts: 30, groups: 2, ..servers::Population::default() };
    let server = servers::OpenLdap::start_with(servers::Options::default().population(population)).await;
    let directory = &server.directory;
    let operator = Operator { world };
    let world = &operator.world;
    world.write("ldap-password", &directory.writer.password);
    world.write("config/page-token", TOKEN);

    // The first app, without any existing configuration.
    let (iden, app, url) = (world.sandbox.base_url(), world.app.to_string(), directory.ldap_url());
    let dn = directory.writer.dn.as_str();
    let mut arguments = vec!["init", "--non-interactive", "--output", "config", "--connector", "ldap"];
    arguments.extend(["--name", "directory", "--url", &url, "--bind-dn", dn]);
    arguments.extend(["--bind-password-file", "ldap-password"]);
    arguments.extend(["--iden-url", &iden, "--iden-key-env", "IDEN_API_KEY", "--app", &app]);
    let told = operator.ends(0, &arguments).await;
    assert!(told.contains("rehearsed") && told.contains("Next, the daemon:"), "{told}");
    world.write("config/admin.toml", ADMIN);
    operator.ends(0, &["check"]).await;
    let daemon: Daemon = World::started(operator.command(&["run"]));
    let here = address(&daemon).await;
    daemon.says("ready: connected to the Bridge").await;
    operator.first_sync("directory").await;
    assert!(operator.ends(0, &["status"]).await.contains("All good."));

    // Too many people leave at the same time.
    let people = directory.search(&directory.people, "(objectClass=inetOrgPerson)", &["entryUUID"]);
    let leavers = &people[..12];
    for leaver in leavers {
        directory.delete(&leaver.dn);
    }
    let gone = leavers[0].first("entryUUID").expect("an identifier").to_owned();
    let visitor = Visitor::signed_in_with(&here, TOKEN).await;
    operator.held_and_allowed(&here, &visitor, "directory", &gone, people.len() - leavers.len()).await;

    // A second app, while the daemon is running.
    world.write("people/accounts.csv", &numbered(20));
    let mut arguments = vec!["init", "--non-interactive", "--output", "config", "--connector", "file"];
    arguments.extend(["--name", "hr", "--path", "people", "--app", "new"]);
    let told = operator.ends(0, &arguments).await;
    assert!(told.contains("Next, apply it to the running daemon:"), "{told}");
    assert!(
        told.lines().any(|line| line.trim_start().starts_with("bridgehead") && line.ends_with(" reload")),
        "{told}"
    );
    let diff = operator.ends(0, &["check", "--diff"]).await;
    assert!(diff.contains("hr: would be added") && diff.contains("directory: unchanged"), "{diff}");
    let before = get(&here, "/status").await.json()["daemon"]["pid"].clone();
    let reloaded = operator.ends(0, &["reload"]).await;
    assert!(reloaded.contains("hr: added") && reloaded.contains("directory: unchanged"), "{reloaded}");
    assert_eq!(get(&here, "/status").await.json()["daemon"]["pid"], before, "it is the same daemon");
    operator.first_sync("hr").await;
    world.write("people/accounts.csv", &numbered(8));
    operator.held_and_allowed(&here, &visitor, "hr", "u15", 8).await;
    let told = operator.ends(0, &["status"]).await;
    assert!(told.contains("All good.") && told.contains("directory"), "{told}");
    let log = daemon.stop().await;
    assert!(!log.contains(&directory.writer.password) && !log.contains(TOKEN), "{log}");
    assert!(Path::new(&world.path("config/hr.toml")).exists());
}
