//! Connectors that the tests write in Python, each in a separate folder.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bridgehead_sdk::{
    Account, Action, Completion, Connector, Context, Error, Operation, Redactor, ResourceType, Setup,
};
use serde_json::{Value, json};
use tempfile::TempDir;

/// The start of every script. Each process writes a line with its id to `starts`.
const PRELUDE: &str = r#"
import json, os, signal, subprocess, sys, threading, time
lock = threading.Lock()
with open("starts", "a") as file: file.write(f"{os.getpid()}\n")
def send(**members):
    with lock:
        sys.stdout.write(json.dumps({"jsonrpc": "2.0", **members}) + "\n"); sys.stdout.flush()
def raw(text):
    sys.stdout.write(text); sys.stdout.flush()
def requests():
    for line in sys.stdin.buffer:
        request = json.loads(line)
        if request["method"] == "initialize":
            global settings
            settings = request["params"]["settings"]
            types = [{"slug": "team", "name": "Team", "type": "group"}, {"slug": "account", "name": "Account", "type": "account"}]
            actions = ["create_account", "update_account", "delete_account", "suspend_account", "unsuspend_account", "reset_password"]
            send(id=request["id"], result={"name": "script", "version": "1", "actions": actions, "resource_types": types})
        else:
            yield request["id"], request["method"], request["params"]
def who(params): return params["account"].get("id") or params["account"].get("username")
"#;

/// A connector whose process is a script.
pub(crate) struct Script {
    pub(crate) connector: Arc<dyn Connector>,
    pub(crate) redactor: Redactor,
    pub(crate) folder: TempDir,
}

impl Script {
    /// Writes the script, and builds a connector that runs it.
    pub(crate) fn new(body: &str) -> Self {
        Self::with(body, &json!({}))
    }

    /// The same, with more keys in `target`.
    pub(crate) fn with(body: &str, more: &Value) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("script.py"), format!("{PRELUDE}\n{body}")).unwrap();
        let redactor = Redactor::new();
        let mut target = json!({ "command": ["python3", "script.py"] });
        for (name, value) in more.as_object().unwrap() {
            target[name] = value.clone();
        }
        let connector = build(folder.path(), target, &redactor);
        Self { connector, redactor, folder }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The ids of the processes started so far.
    pub(crate) fn starts(&self) -> Vec<u32> {
        let lines = std::fs::read_to_string(self.path("starts")).unwrap_or_default();
        lines.lines().map(|line| line.parse().unwrap()).collect()
    }

    pub(crate) async fn execute(&self, action: Action, payload: Value) -> Result<Completion, Error> {
        self.connector.execute(&context(), &operation(action, payload)).await
    }

    pub(crate) async fn create(&self, name: &str) -> Result<Completion, Error> {
        let payload = json!({ "account": { "username": name } });
        self.execute(Action::CreateAccount, payload).await
    }

    pub(crate) async fn find(&self, id: &str) -> Result<Option<bridgehead_sdk::AccountRecord>, Error> {
        self.connector.find_account(&Account::by_id(id)).await
    }

    pub(crate) async fn list_teams(&self) -> Result<bridgehead_sdk::Page, Error> {
        self.connector.list(&ResourceType::group("team", "Team"), None).await
    }

    /// Retries until the process may be started again.
    pub(crate) async fn create_when_restarted(&self, name: &str) -> Result<Completion, Error> {
        for _ in 0..100 {
            match self.create(name).await {
                Err(error) if matches!(error.retry(), bridgehead_sdk::Retry::After(_)) => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                other => return other,
            }
        }
        panic!("the process was never started again");
    }
}

pub(crate) fn build(base: &Path, target: Value, redactor: &Redactor) -> Arc<dyn Connector> {
    let Value::Object(target) = target else { panic!("not a table") };
    let setup = Setup::new("acme-hr", target).with_base(base).with_redactor(redactor.clone());
    bridgehead_exec::factory().build(setup).unwrap()
}

pub(crate) fn context() -> Context {
    Context::first("task-1", Duration::from_mins(1))
}

pub(crate) fn operation(action: Action, payload: Value) -> Operation {
    Operation::parse(action, serde_json::from_value(payload).unwrap()).unwrap()
}

/// Waits until a condition holds. The deadline is far longer than any slow machine needs, and only ends a test that
/// would wait forever.
pub(crate) async fn eventually(what: &str, mut so: impl FnMut() -> bool) {
    for _ in 0..3000 {
        if so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("never so: {what}");
}

/// Whether a process is running, and not just a zombie.
#[cfg(target_os = "linux")]
pub(crate) fn is_running(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
        let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
        !matches!(state, Some('Z' | 'X'))
    })
}
