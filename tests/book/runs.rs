//! Runs the blocks of a page in order, as a reader would, and compares their output with what the page shows.

use std::fmt::Write as _;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};

use bridgehead_test_servers::{Directory, OpenLdap};

use crate::pages::{self, Block, Page};

/// The pages whose blocks are run here. The blocks of all pages about operating run in this order against one daemon.
pub(crate) const PAGES: [&str; 10] = [
    "docs/start.md",
    "docs/sandbox.md",
    "docs/connectors/exec.md",
    "docs/connectors/file.md",
    "docs/operator/first-sync.md",
    "docs/operator/syncs.md",
    "docs/operator/reload.md",
    "docs/operator/logs.md",
    "docs/operator/audit.md",
    "docs/operator/state.md",
];

/// A timeout in seconds, long enough for any machine. A script that waits for a condition ends as soon as it is met.
const PATIENCE: &str = "400";

/// The commands of a block, without the prompts and the output of a session.
pub(crate) fn commands(block: &Block) -> String {
    if block.language != "console" {
        return block.text.clone();
    }
    session(block).0
}

/// The input and the output of a session.
fn session(block: &Block) -> (String, String) {
    let (mut typed, mut printed, mut goes_on) = (String::new(), String::new(), false);
    for line in block.text.lines() {
        let command = line.strip_prefix("$ ").or(goes_on.then_some(line));
        goes_on = command.is_some_and(|command| command.ends_with('\\'));
        let (into, line) = command.map_or((&mut printed, line), |command| (&mut typed, command));
        // Writing to a string cannot fail.
        writeln!(into, "{line}").ok();
    }
    (typed, printed)
}

fn plain(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

struct Step {
    line: usize,
    commands: String,
    shown: String,
    is_json: bool,
}

fn steps(page: &Page, replace: &dyn Fn(&str) -> String) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for block in &page.blocks {
        match (&*block.language, steps.last_mut()) {
            ("sh" | "console", _) if block.excuse.is_none() => steps.push(Step {
                line: block.line,
                commands: replace(&commands(block)),
                shown: if block.language == "console" { session(block).1 } else { String::new() },
                is_json: block.language == "console",
            }),
            ("text", Some(step)) => step.shown.push_str(&replace(&block.text)),
            _ => {}
        }
    }
    steps
}

/// Runs the steps in one shell in a folder, and returns the output of each.
fn run(page: &str, before: &str, folder: &Path, replace: &dyn Fn(&str) -> String) -> Vec<(Step, String)> {
    let steps = steps(&pages::read(page), replace);
    let mut script = format!(
        "exec 2>&1\nset -euo pipefail\ntrap 'kill $(jobs -p) 2>/dev/null || true; wait' EXIT\n{before}\n"
    );
    for step in &steps {
        writeln!(script, "echo '== line {}'\n{}", step.line, step.commands).expect("a text");
    }
    let binaries = Path::new(env!("CARGO_BIN_EXE_bridgehead")).parent().expect("a folder");
    let path = format!("{}:{}", binaries.display(), std::env::var("PATH").expect("a PATH"));
    let output = Command::new("timeout")
        .args([PATIENCE, "bash", "-c", &script])
        .current_dir(folder)
        .env("PATH", path)
        .env_remove("NOTIFY_SOCKET")
        .env_remove("BRIDGEHEAD_CONFIG")
        .stdin(Stdio::null())
        .output()
        .expect("bash runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let log = std::fs::read_to_string(folder.join("daemon.log")).unwrap_or_default();
    assert!(output.status.success(), "{page}: {}\n{said}\n{log}", output.status);
    let printed = |step: &Step| {
        let (_, after) = said.split_once(&format!("== line {}\n", step.line)).expect("each step was begun");
        after.split("\n== line ").next().unwrap_or_default().to_owned()
    };
    steps
        .into_iter()
        .map(|step| {
            let own = printed(&step);
            (step, own)
        })
        .collect()
}

/// Each line that the page shows is part of the output; column padding is ignored.
fn compare(page: &str, done: &[(Step, String)]) {
    for (step, own) in done.iter().filter(|(step, _)| !step.is_json) {
        let own = plain(own);
        let missing = step.shown.lines().map(plain).find(|line| !own.contains(line.as_str()));
        assert_eq!(missing, None, "{page}, line {}: this is not printed:\n{own}", step.line);
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port").port()
}

#[tokio::test]
async fn first_chapter_works_as_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let (sandbox, page) = (free_port().to_string(), free_port().to_string());
    let server = OpenLdap::start().await;
    let directory: &Directory = &server.directory;
    let (url, suffix, admin) = (directory.ldap_url(), directory.suffix.clone(), directory.admin.clone());
    let path = folder.path().to_owned();
    let done = tokio::task::spawn_blocking(move || {
        let replace = |text: &str| {
            text.replace(":8900", &format!(":{sandbox}"))
                .replace(":9464", &format!(":{page}"))
                .replace("ldap://localhost", url.trim_end_matches('/'))
                .replace("printf secret", &format!("printf {}", admin.password))
                .replace("cn=admin,dc=example,dc=org", &admin.dn)
                .replace("dc=example,dc=org", &suffix)
        };
        run("docs/start.md", "", &path, &replace)
    });
    let done = done.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
    assert!(done.len() > 12, "the chapter has lost its commands");
    compare("docs/start.md", &done);
}

/// Responses do not end with a line break.
const ONE_ANSWER_A_LINE: &str = "curl() { command curl \"$@\" && echo; }";

#[test]
fn sandbox_guide_works_as_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let port = free_port();
    let replace = |text: &str| {
        let text = text.replace(":8900", &format!(":{port}"));
        // The first block of the page runs until it is stopped.
        if text.starts_with("bridgehead sandbox") {
            return format!(
                "{} &\nuntil curl -sf 127.0.0.1:{port}/sandbox/v1/health; do sleep 0.1; done\n",
                text.trim()
            );
        }
        text
    };
    let done = run("docs/sandbox.md", ONE_ANSWER_A_LINE, folder.path(), &replace);
    assert!(done.len() > 12, "the page has lost its commands");
    let mut compared = 0;
    for (step, own) in &done {
        let objects = |text: &str| -> Vec<Vec<String>> { text.lines().filter_map(keys).collect() };
        let own = objects(own);
        for shown in objects(&step.shown) {
            compared += 1;
            assert!(
                own.contains(&shown),
                "line {}: no answer has the keys {shown:?}; these came: {own:?}",
                step.line
            );
        }
    }
    assert!(compared > 8, "only {compared} answers were compared");
}

/// The keys of a response, or of the first item of a list; times and ids differ each time.
fn keys(line: &str) -> Option<Vec<String>> {
    let value: serde_json::Value = serde_json::from_str(line.trim()).ok()?;
    let object = if let Some(list) = value.as_array() { list.first()?.clone() } else { value };
    Some(object.as_object()?.keys().cloned().collect())
}

/// An app with accounts, and a daemon that serves it.
const WORLD: &str = r"
mkdir people config backups
printf 'id,username,email,status,team,first_name,title,password_changed_at\nu7,ann,ann@example.org,active,t1,Ann,Lead,\nu8,kim,kim@example.org,active,t1,Kim,,\n' > people/accounts.csv
printf 'id,name\nt1,Team One\n' > people/team.csv
bridgehead sandbox --listen 127.0.0.1:PORT > sandbox.log &
until curl -sf 127.0.0.1:PORT/sandbox/v1/health > /dev/null; do sleep 0.1; done
export IDEN_API_KEY=sandbox-key BRIDGEHEAD_CONFIG=$PWD/config
bridgehead init --non-interactive --connector file --name acme-hr --path $PWD/people --no-check \
  --iden-url http://127.0.0.1:PORT/org/sandbox --iden-key-env IDEN_API_KEY --app new > /dev/null
bridgehead run 2> daemon.log &
until bridgehead status > /dev/null; do sleep 0.2; done
";

#[test]
fn operator_chapters_work_as_written() {
    let app = regex::Regex::new(r"\bAPP\b").expect("a pattern");
    for page in PAGES.iter().filter(|page| page.contains("operator")) {
        let folder = tempfile::tempdir().expect("a folder");
        let port = free_port().to_string();
        let replace =
            |text: &str| app.replace_all(text, "acme-hr").replace("/var/backups/bridgehead", "backups");
        let done = run(page, &WORLD.replace("PORT", &port), folder.path(), &replace);
        compare(page, &done);
    }
}

#[test]
fn connector_examples_work_as_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let before = format!("cp -r {}/config .", pages::root().display());
    let done = run("docs/connectors/exec.md", &before, folder.path(), &str::to_owned);
    let [(step, own)] = &done[..] else { panic!("one block") };
    for line in step.shown.lines() {
        // The page may abbreviate responses with `…`.
        let parts: Vec<&str> = line.split('…').map(|part| part.trim_end_matches(", ")).collect();
        assert!(
            own.lines().any(|own| parts.iter().all(|part| own.contains(part.trim_end_matches('}')))),
            "{line}\n{own}"
        );
    }
    let folder = tempfile::tempdir().expect("a folder");
    let before = "mkdir export people; echo id,email > export/accounts.csv";
    run("docs/connectors/file.md", before, folder.path(), &str::to_owned);
    assert!(folder.path().join("people/SHA256SUMS").is_file() && folder.path().join("people/done").is_file());
}
