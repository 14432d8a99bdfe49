//! A process that is killed while it is writing.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use bridgehead_sdk::Action;
use serde_json::json;

use crate::support::{Place, connector, run};

const FOLDER: &str = "BRIDGEHEAD_TEST_FOLDER";

/// Not a separate test: [`killed_process_leaves_a_complete_file`] runs it in a separate process.
#[tokio::test]
#[ignore = "writes without end; started by another test"]
async fn write_until_killed() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let connector = connector(Path::new(&folder), &json!({}));
    for n in 0.. {
        let changes = json!({"first_name": format!("written-{n}-{}", "x".repeat(200))});
        let payload = json!({"account": {"id": format!("u{}", n % 3_000)}, "changes": changes});
        run(&connector, Action::UpdateAccount, payload).await.unwrap();
    }
}

#[tokio::test]
async fn killed_process_leaves_a_complete_file() {
    let place = Place::usual();
    let mut content = String::from("id,username,first_name,last\n");
    for n in 0..3_000 {
        writeln!(content, "u{n},user{n},,end").unwrap();
    }
    place.write("accounts.csv", &content);
    let folder = place.path("accounts.csv");
    for round in 0..6 {
        let before = place.read("accounts.csv");
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "killed::write_until_killed", "--ignored"])
            .env(FOLDER, folder.parent().unwrap())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // However slow the machine is, the process is killed only after it has begun to write.
        while place.read("accounts.csv") == before {
            assert!(child.try_wait().unwrap().is_none(), "the writer ended by itself");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        tokio::time::sleep(Duration::from_millis(7 * round)).await;
        child.kill().unwrap();
        child.wait().unwrap();
        let (records, rejected) = place.list("account").await.unwrap();
        assert_eq!((records.len(), rejected.len()), (3_000, 0));
        assert_eq!(place.read("accounts.csv").matches(",end\n").count(), 3_000);
    }
    // The lock was released when the process that held it ended.
    place.run(Action::DeleteAccount, json!({"account": {"id": "u1"}})).await.unwrap();
    assert!(place.names().iter().all(|name| !name.contains(".tmp")), "{:?}", place.names());
}
