//! Text from a task or a target can neither forge another line of a log or a table, nor control a terminal.

use serde_json::json;

use crate::support::World;
use crate::target::QUICK;

const FORGED: &str =
    "create_account\n2026-01-01T00:00:00.000000Z  INFO all is well\r\u{1b}[2J\u{202e}\u{200b}\u{9b}";

fn is_raw(character: char) -> bool {
    character != '\n' && bridgehead_sdk::is_invisible(character)
}

async fn forges_nothing(format: &str) {
    let world = World::new().await;
    world.script(QUICK, &format!("[log]\nformat = \"{format}\"\nlevel = \"debug\"\n"));
    world.rules(&json!([
        {"account": "fails", "stderr": format!("{FORGED}\n"), "error": {"message": FORGED, "data": {"code": "INTERNAL_ERROR", "effect": "not_applied"}}},
    ]));
    world.task_for("delete_account", json!({"username": "fails"}));
    world.task_for("delete_account", json!({"username": FORGED}));
    let odd = json!({"raw": true, "id": "odd", "status": "pending", "action": FORGED, "payload": {"account": {"id": FORGED}}});
    world.sandbox.add_task(world.app, odd);
    let daemon = world.start();
    world.drained().await;
    let listed = world.run(&["tasks", "list", "--status", "failed"]).await;
    let listed = String::from_utf8(listed.stdout).expect("text");
    assert_eq!(
        listed.lines().filter(|line| line.starts_with(" hr ") && line.contains("failed")).count(),
        3,
        "{listed}"
    );
    assert!(!listed.contains(is_raw) && !listed.lines().any(|line| line.starts_with("2026")), "{listed:?}");
    let json = world.run(&["tasks", "list", "--status", "failed", "--json"]).await;
    let json = String::from_utf8(json.stdout).expect("text");
    assert!(!json.contains(is_raw) && json.contains("all is well"), "{json:?}");
    let _: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    let log = daemon.stop().await;
    assert!(!log.contains(is_raw) && log.contains("all is well"), "{log:?}");
    for line in log.lines() {
        assert!(!line.contains("INFO all is well") || !line.starts_with("2026-01-01"), "{line}");
        if format == "json" {
            let _: serde_json::Value = serde_json::from_str(line).expect("JSON");
        }
    }
}

#[tokio::test]
async fn text_logs_and_tables_cannot_be_forged() {
    forges_nothing("text").await;
}

#[tokio::test]
async fn json_logs_cannot_be_forged() {
    forges_nothing("json").await;
}
