//! Shared by the tests of syncs: the scripted target, running a sync to completion, and the resulting records in Iden.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use bridgehead::sandbox::{Cleanup, Entry, Filter};
use serde_json::{Value, json};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{KEY, PATIENCE, World, eventually};

/// The points at which a gated target of [`crowd`] stops, in order.
pub(crate) const POINTS: [&str; 6] =
    ["team-1", "team-end", "account-1", "account-2", "account-3", "account-end"];

/// Settings for a sync that the guard never holds, for tests of other features.
pub(crate) const BOLD: &str = "guard = { max_removals = 1000000, max_removal_percent = 100 }";

/// The result of `bridgehead sync`.
#[derive(Debug)]
pub(crate) struct Synced {
    pub(crate) code: Option<i32>,
    /// The summary of the app `hr`; null if none was printed.
    pub(crate) summary: Value,
    pub(crate) stderr: String,
}

impl Synced {
    pub(crate) fn result(&self) -> &str {
        self.summary["result"].as_str().unwrap_or_default()
    }

    pub(crate) fn detail(&self) -> &str {
        self.summary["detail"].as_str().unwrap_or_default()
    }

    /// The numbers of listed, created, changed and removed records.
    pub(crate) fn figures(&self, slug: &str) -> [u64; 4] {
        ["listed", "created", "changed", "removed"]
            .map(|figure| self.summary["resource_types"][slug][figure].as_u64().unwrap_or(u64::MAX))
    }

    #[track_caller]
    pub(crate) fn assert(&self, code: i32, result: &str) -> &Self {
        assert_eq!((self.code, self.result()), (Some(code), result), "{self:#?}");
        self
    }
}

impl World {
    /// Creates the target that `said` describes (see `connectors/sync_target.py`); `sync` contains settings of the sync.
    pub(crate) async fn with_target(said: Value, sync: &str) -> Self {
        let world = Self::new().await;
        world.sandbox.set_cleanup(Cleanup::after(Duration::from_millis(20)));
        world.target(said);
        world.target_settings(sync, "", "");
        world
    }

    /// Writes the configuration with other settings: members of the inline tables `sync` and `tasks`, and other keys of `[apps.hr]`.
    pub(crate) fn target_settings(&self, sync: &str, tasks: &str, app: &str) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/daemon/connectors/sync_target.py");
        let tasks = members(tasks);
        let tasks = if tasks.contains("timeout") {
            tasks
        } else {
            format!(", timeout = \"5s\", give_up_after = \"10s\"{tasks}")
        };
        self.configure(&format!(
            "connector = \"exec\"\ntasks = {{ poll_interval = \"100ms\"{tasks} }}\nsync = {{ {sync} }}\n{app}\n\
             [apps.hr.target]\ncommand = [\"python3\", \"-S\", \"{}\"]\nsettings = {{ path = \".\" }}\nmax_in_flight = 64\n",
            script.display()
        ));
    }

    /// Replaces the description of the target.
    #[expect(clippy::needless_pass_by_value, reason = "nobody says it twice")]
    pub(crate) fn target(&self, said: Value) {
        self.write("target.json.new", &said.to_string());
        std::fs::rename(self.path("target.json.new"), self.path("target.json")).expect("a file");
    }

    /// Runs `bridgehead sync hr --json` with more arguments to completion, within the time limit.
    pub(crate) async fn sync(&self, arguments: &[&str]) -> Synced {
        let file = |name: &str| std::fs::File::create(self.path(name)).expect("a file");
        let mut child = self
            .command(&[&["sync", "hr", "--json"], arguments].concat())
            .stdout(file("sync.out"))
            .stderr(file("sync.err"))
            .spawn()
            .expect("the binary starts");
        let deadline = tokio::time::Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = child.try_wait().expect("it can be waited for") {
                break status;
            }
            if tokio::time::Instant::now() > deadline {
                drop(child.kill());
                drop(child.wait());
                panic!("the sync came to no end: {}", self.read("sync.err"));
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        };
        let printed: Value = serde_json::from_str(&self.read("sync.out")).unwrap_or_default();
        Synced { code: status.code(), summary: printed["hr"].clone(), stderr: self.read("sync.err") }
    }

    /// The number of records in each accepted page of a type, in order of arrival.
    pub(crate) fn pages(&self, slug: &str) -> Vec<usize> {
        let end = format!("/{slug}/");
        let filter = Filter { method: Some("PUT".into()), handled: Some(200), ..Filter::default() };
        let puts =
            self.sandbox.ledger_matching(&filter).into_iter().filter(|entry| entry.path.ends_with(&end));
        puts.map(|put| put.body.map_or(0, |body| body["records"].as_array().map_or(0, Vec::len))).collect()
    }

    /// The POST requests of syncs, by the last part of their paths: `sync`, `complete`, `abandon`.
    pub(crate) fn steps(&self) -> Vec<String> {
        let filter = Filter { method: Some("POST".into()), path: Some("/sync/".into()), ..Filter::default() };
        let last = |entry: Entry| entry.path.trim_end_matches('/').rsplit('/').next().map(str::to_owned);
        self.sandbox.ledger_matching(&filter).into_iter().filter_map(last).collect()
    }

    /// The number of times a step was taken.
    pub(crate) fn count(&self, step: &str) -> usize {
        self.steps().iter().filter(|taken| *taken == step).count()
    }

    /// The active records of a type in Iden, by id.
    pub(crate) fn active(&self, slug: &str) -> BTreeMap<String, Value> {
        let records = self.sandbox.records(self.app, slug).into_iter();
        let active = records.filter(|record| record["active"] == true && record["status"] != "inactive");
        active.map(|record| (record["id"].as_str().expect("an id").to_owned(), record)).collect()
    }

    /// The ids of the active records.
    pub(crate) fn active_ids(&self, slug: &str) -> BTreeSet<String> {
        self.active(slug).into_keys().collect()
    }

    /// Waits until the target has stopped at this point of its listing.
    pub(crate) async fn reached(&self, point: &str) {
        let here = self.path(format!("gate/{point}.here"));
        eventually(&format!("the target is at {point}"), || here.exists()).await;
    }

    /// Lets the target continue past this point, now and later.
    pub(crate) fn go(&self, point: &str) {
        self.write(&format!("gate/{point}.go"), "");
    }

    /// Lets the target continue to this point, and waits until it is there.
    pub(crate) async fn go_to(&self, point: &str) {
        for before in POINTS.iter().take_while(|before| **before != point) {
            self.go(before);
        }
        self.reached(point).await;
    }

    /// Sends the Bridge a POST without a body below the app, as another client would. Returns the response.
    pub(crate) async fn post(&self, path: &str) -> String {
        let url = format!("{}/api/v1/bridge/apps/{}/{path}", self.sandbox.base_url(), self.app);
        let (host, path) = url.trim_start_matches("http://").split_once('/').expect("a path");
        let request = format!(
            "POST /{path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Api-Key {KEY}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
        let mut stream = tokio::net::TcpStream::connect(host).await.expect("a connection");
        stream.write_all(request.as_bytes()).await.expect("a request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer");
        answer
    }

    /// Adds a task and waits until it is completed.
    pub(crate) async fn done(&self, action: &str, payload: Value) {
        self.all_done(vec![(action, payload)]).await;
    }

    /// Adds tasks and waits until all are completed.
    pub(crate) async fn all_done(&self, tasks: Vec<(&str, Value)>) {
        let tasks = tasks.into_iter().map(|(action, payload)| json!({"action": action, "payload": payload}));
        let tasks = self.sandbox.add_tasks(self.app, tasks);
        self.drained().await;
        for task in tasks {
            assert_eq!(self.task(&task)["status"], "completed", "{}", self.task(&task));
        }
    }
}

fn members(settings: &str) -> String {
    if settings.is_empty() { String::new() } else { format!(", {settings}") }
}

/// Accounts `u000000`, `u000001`…
pub(crate) fn accounts(count: usize) -> Value {
    json!({"count": count})
}

/// A target with 250 accounts in three pages, and a team; `gate` says whether it stops at every point.
pub(crate) fn crowd(gate: bool) -> Value {
    json!({"records": {"account": accounts(250), "team": [{"id": "t1", "name": "One"}]}, "gate": gate})
}

/// The ids of these accounts.
pub(crate) fn ids(numbers: impl IntoIterator<Item = usize>) -> BTreeSet<String> {
    numbers.into_iter().map(|number| format!("u{number:06}")).collect()
}

/// The same accounts as individual records, as the target has them.
pub(crate) fn people(numbers: impl IntoIterator<Item = usize>) -> Vec<Value> {
    let person = |id: String| json!({"id": id, "username": id, "email": format!("{id}@example.org")});
    ids(numbers).into_iter().map(person).collect()
}
