//! The scripted target of these tests (`connectors/target.py`): accounts, a ledger of calls, and rules for faults, all in the folder
//! `target` of the test.

use serde_json::{Value, json};

use crate::support::World;

/// The six actions.
pub(crate) const ACTIONS: [&str; 6] = [
    "create_account",
    "update_account",
    "suspend_account",
    "unsuspend_account",
    "reset_password",
    "delete_account",
];

/// Task settings that keep tests short: nothing waits longer than necessary.
pub(crate) const QUICK: &str = "poll_interval = \"100ms\"\ntimeout = \"5s\"\ngive_up_after = \"60s\"\n";

/// An entry of the target's ledger.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    /// `start`, `rule`, `applied` or `end`.
    pub(crate) event: String,
    pub(crate) method: String,
    pub(crate) task: String,
    pub(crate) attempt: u64,
    pub(crate) account: String,
}

impl World {
    /// Configures the app with the scripted target and without syncs: `tasks` is the content of `[apps.hr.tasks]`, `rest` is any other
    /// TOML, in separate tables.
    pub(crate) fn script(&self, tasks: &str, rest: &str) {
        self.script_with("", tasks, rest);
    }

    /// The same with additional settings of the target, as members of an inline table.
    pub(crate) fn script_with(&self, settings: &str, tasks: &str, rest: &str) {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/daemon/connectors/target.py");
        std::fs::create_dir_all(self.path("target")).expect("a folder");
        self.configure(&format!(
            "connector = \"exec\"\nsync = {{ enabled = false }}\n[apps.hr.tasks]\n{tasks}\n[apps.hr.target]\n\
             command = [\"python3\", \"-S\", {script:?}]\nmax_in_flight = 64\nsettings = {{ folder = '{}'{settings} }}\n{rest}\n",
            self.path("target").display(),
        ));
    }

    /// Replaces the rules of the target, which may be running.
    pub(crate) fn rules(&self, rules: &Value) {
        self.write("target/rules.new", &rules.to_string());
        std::fs::rename(self.path("target/rules.new"), self.path("target/rules.json")).expect("a file");
    }

    /// Adds an account to a target that is not running.
    pub(crate) fn account(&self, record: &Value) {
        let known = std::fs::read_to_string(self.path("target/accounts.jsonl")).unwrap_or_default();
        self.write("target/accounts.jsonl", &format!("{known}{record}\n"));
    }

    /// The current accounts of the target.
    pub(crate) fn accounts(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.path("target/accounts.jsonl")).unwrap_or_default();
        let mut accounts: Vec<Value> = Vec::new();
        for record in whole_lines(&text).chain(self.changes()) {
            accounts.retain(|account| account["id"] != record["id"]);
            if record.get("deleted").is_none() {
                accounts.push(record);
            }
        }
        accounts
    }

    /// The states of records after each change by a task, in order.
    pub(crate) fn changes(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.path("target/ledger.jsonl")).unwrap_or_default();
        whole_lines(&text).filter_map(|line| line["records"].as_array().cloned()).flatten().collect()
    }

    /// All entries of the target's ledger, in order.
    pub(crate) fn calls(&self) -> Vec<Line> {
        let text = std::fs::read_to_string(self.path("target/ledger.jsonl")).unwrap_or_default();
        let line = |line: Value| {
            let text = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
            let attempt = line["attempt"].as_u64().unwrap_or_default();
            Line {
                event: text("event"),
                method: text("method"),
                task: text("task"),
                attempt,
                account: text("account"),
            }
        };
        whole_lines(&text).map(line).collect()
    }

    /// The numbers of a task's attempts that reached the target, in order.
    pub(crate) fn attempts(&self, task: &str) -> Vec<u64> {
        let calls = self.calls().into_iter();
        calls.filter(|line| line.event == "start" && line.task == task).map(|line| line.attempt).collect()
    }

    /// The number of times a task changed the target.
    pub(crate) fn applied(&self, task: &str) -> usize {
        self.calls().iter().filter(|line| line.event == "applied" && line.task == task).count()
    }

    /// The number of calls of a method for an account, or for none (`""`).
    pub(crate) fn called(&self, method: &str, account: &str) -> usize {
        let calls = self.calls();
        calls
            .iter()
            .filter(|line| line.event == "start" && line.method == method && line.account == account)
            .count()
    }

    /// The process that wrote the last entry.
    pub(crate) fn pid_of_target(&self) -> u64 {
        let text = self.read("target/ledger.jsonl");
        whole_lines(&text).last().and_then(|line| line["pid"].as_u64()).expect("it was called")
    }

    /// Adds a task of this action, for an account with this username or as `account` describes it.
    pub(crate) fn task_for(&self, action: &str, account: Value) -> String {
        let account = if account.is_string() { json!({ "username": account }) } else { account };
        self.sandbox.add_task(self.app, json!({"action": action, "payload": {"account": account}}))
    }

    /// The bodies of all reports on a task, whether they took effect or not.
    pub(crate) fn reported(&self, task: &str) -> Vec<Value> {
        self.sandbox.reports(task).into_iter().map(|report| report.body).collect()
    }

    /// The task's code, once it has failed.
    pub(crate) fn code(&self, task: &str) -> String {
        self.task(task)["error"]["code"].as_str().unwrap_or_default().to_owned()
    }

    /// The task's message, once it has failed.
    pub(crate) fn message(&self, task: &str) -> String {
        self.task(task)["error"]["message"].as_str().unwrap_or_default().to_owned()
    }
}

/// Skips an incomplete last line, which a process may be writing.
pub(crate) fn whole_lines(text: &str) -> impl Iterator<Item = Value> {
    text.split_inclusive('\n')
        .filter(|line| line.ends_with('\n'))
        .map(|line| serde_json::from_str(line).expect("a line of JSON"))
}
