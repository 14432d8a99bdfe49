//! The last entries of systemd's journal, if it can be read.

use std::process::Stdio;
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::process::Command;

use super::clean::Cleaner;

/// The number of entries, and the timeout for reading them.
const ENTRIES: &str = "2000";
const PATIENCE: Duration = Duration::from_secs(20);

/// The entries of all units of bridgehead, oldest first, one line of JSON each; `None` if the journal cannot be read or has none.
pub(super) async fn entries(cleaner: &Cleaner) -> Option<String> {
    let arguments =
        ["--unit", "bridgehead*", "--output", "json", "--lines", ENTRIES, "--no-pager", "--quiet"];
    let reading = Command::new("journalctl")
        .args(arguments)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(PATIENCE, reading).await.ok()?.ok()?;
    let mut lines = String::new();
    for line in output.stdout.split(|byte| *byte == b'\n') {
        let Ok(entry) = serde_json::from_slice::<Map<String, Value>>(line) else { continue };
        let kept = Cleaner::entry(&entry);
        if !kept.is_empty() {
            lines.push_str(&cleaner.last(&Value::Object(kept).to_string()));
            lines.push('\n');
        }
    }
    Some(lines).filter(|lines| !lines.is_empty())
}
