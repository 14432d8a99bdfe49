//! The example connectors keep the contract, each in its own language, and so does the exec connector that runs them.

#![cfg(test)]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bridgehead_conformance::{self as conformance, Situation, Skip, TestTarget};
use bridgehead_sdk::{Connector, Setup, async_trait};
use serde_json::{Map, Value, json};

const TOKEN: &str = "token-that-nothing-may-show";

/// Runs a program whose output ends in the middle of a page.
const CUT: &str = r"
import subprocess, sys
program, left = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE, bufsize=0), 3000
while left > 0 and (part := program.stdout.read(left)):
    sys.stdout.buffer.write(part)
    sys.stdout.buffer.flush()
    left -= len(part)
program.kill()
";

/// A folder with an example and its data.
struct Example {
    folder: tempfile::TempDir,
    command: [&'static str; 2],
}

fn examples() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../config/examples")
}

/// A data file in the format of the examples, with this many people.
fn data(accounts: usize) -> Value {
    let of = |number| {
        let id = format!("e-{number:05}");
        let account = json!({ "id": id, "username": format!("p{number}"), "status": "active", "memberships": { "team": ["t1"] } });
        (id, account)
    };
    json!({
        "team": { "t1": { "id": "t1", "name": "Engineering" }, "t2": { "id": "t2", "name": "Sales" } },
        "seat": { "s1": { "id": "s1", "name": "Standard", "total": 3 } },
        "account": (0..accounts).map(of).collect::<Map<String, Value>>(),
    })
}

impl Example {
    fn new(command: [&'static str; 2]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::copy(examples().join(command[1]), folder.path().join(command[1])).unwrap();
        let example = Self { folder, command };
        example.fill("hr.json", 40);
        std::fs::create_dir(example.folder.path().join("refused.json")).unwrap();
        example
    }

    fn fill(&self, file: &str, accounts: usize) {
        std::fs::write(self.folder.path().join(file), data(accounts).to_string()).unwrap();
    }

    fn connector(&self, command: &[&str], file: &str) -> Arc<dyn Connector> {
        let target = json!({ "command": command, "settings": { "path": file, "token": TOKEN } });
        let mut setup = Setup::new("acme-hr", target.as_object().unwrap().clone());
        setup.base = self.folder.path().to_owned();
        setup.redactor.protect_for_good([TOKEN]);
        bridgehead_exec::factory().build(setup).unwrap()
    }

    fn on(&self, file: &str) -> Arc<dyn Connector> {
        self.connector(&self.command, file)
    }
}

#[async_trait]
impl TestTarget for Example {
    async fn connect(&self, situation: Situation) -> Result<Arc<dyn Connector>, Skip> {
        match situation {
            Situation::Working => Ok(self.on("hr.json")),
            // A folder in place of the file: it exists, and not even root can read it as a file.
            Situation::BadCredential => Ok(self.on("refused.json")),
            Situation::Unreachable(_) => Ok(self.on("nowhere.json")),
            Situation::Silent(_) => Ok(self.connector(&["sleep", "3600"], "hr.json")),
            Situation::CutListing => {
                std::fs::write(self.folder.path().join("cut.py"), CUT).unwrap();
                Ok(self.connector(&["python3", "cut.py", self.command[0], self.command[1]], "hr.json"))
            }
            _ => Err(Skip::because("the examples' file knows no permissions")),
        }
    }

    async fn populated(&self, accounts: usize) -> Result<Arc<dyn Connector>, Skip> {
        let file = format!("of-{accounts}.json");
        self.fill(&file, accounts);
        Ok(self.on(&file))
    }

    fn secrets(&self) -> Vec<String> {
        vec![TOKEN.to_owned()]
    }

    fn silence(&self) -> Duration {
        Duration::from_secs(2)
    }
}

fn read(folder: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(folder.join("hr.json")).unwrap()).unwrap()
}

async fn finds_no_fault(command: [&'static str; 2]) {
    let example = Example::new(command);
    let report = conformance::run(&example).await;
    report.assert_passed();
    let never = [
        "refused-permission",
        "undeclared-actions",
        // A process does not speak HTTP, and 40 people fit on one page.
        "passwords",
        "small-pages",
        "capped-pages",
        "changing-while-listed",
        "unreadable-records",
        "cut-look-up",
        "cut-change",
        "failing-listing",
        "failing-look-up",
        "failing-change",
        "failing-codes",
        "never-retries",
        "failing-check",
        "reading-changes-nothing",
        "bodies-out-of-errors",
    ];
    assert_eq!(report.skipped(), never, "{report}");
    let mut left = read(example.folder.path());
    // The password digests were removed together with their accounts.
    assert_eq!(left.as_object_mut().unwrap().remove("password"), Some(json!({})));
    assert_eq!(left, data(40));
}

#[tokio::test]
async fn the_kit_finds_no_fault_in_the_example_in_python() {
    finds_no_fault(["python3", "hr.py"]).await;
}

#[tokio::test]
async fn the_kit_finds_no_fault_in_the_example_in_node() {
    finds_no_fault(["node", "hr.mjs"]).await;
}
