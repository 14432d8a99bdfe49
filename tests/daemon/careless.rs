//! Mistakes of connectors that caused harm in production. The conformance kit finds each of them; these tests check that the daemon copes
//! with them.

use serde_json::{Value, json};

use crate::support::{World, eventually};

/// A target with these accounts, and a connector that makes this mistake.
async fn world(people: &[(&str, &str)], mistake: &str) -> World {
    let world = World::new().await;
    let people: Vec<Value> = people
        .iter()
        .map(|(id, name)| json!({"id": id, "username": name, "email": format!("{name}@example.org"), "status": "active"}))
        .collect();
    world.write("target/people.json", &json!(people).to_string());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/daemon/connectors/careless.py");
    world.configure(&format!(
        "connector = \"exec\"\nsync = {{ enabled = false }}\n[apps.hr.tasks]\npoll_interval = \"200ms\"\n[apps.hr.target]\n\
         command = [\"python3\", \"-S\", {script:?}]\nsettings = {{ folder = '{}', mistake = \"{mistake}\" }}\n",
        world.path("target").display(),
    ));
    world
}

/// The accounts in the target, with their status.
fn people(world: &World) -> Vec<(String, String)> {
    let all: Vec<Value> = serde_json::from_str(&world.read("target/people.json")).expect("people");
    let text = |one: &Value, field: &str| one[field].as_str().unwrap_or_default().to_owned();
    let mut all: Vec<_> = all.iter().map(|one| (text(one, "username"), text(one, "status"))).collect();
    all.sort();
    all
}

#[tokio::test]
async fn page_error_reported_as_end_removes_no_account() {
    let names: Vec<(String, String)> =
        (0..30).map(|number| (format!("u{number:02}"), format!("person-{number:02}"))).collect();
    let names: Vec<(&str, &str)> = names.iter().map(|(id, name)| (id.as_str(), name.as_str())).collect();
    let world = world(&names, "").await;
    let synced = world.run(&["sync", "hr"]).await;
    assert!(synced.status.success(), "{synced:?}");
    assert_eq!(world.active_ids("account").len(), 30);
    world.write("target/failing", "");
    let synced = world.run(&["sync", "hr"]).await;
    assert_eq!(synced.status.code(), Some(1), "{synced:?}");
    let told =
        String::from_utf8_lossy(&synced.stdout).into_owned() + &String::from_utf8_lossy(&synced.stderr);
    assert!(told.contains("10 of 30 records of account"), "{told}");
    assert_eq!(world.active_ids("account").len(), 30, "{told}");
}

#[tokio::test]
async fn substring_search_deletes_no_other_account() {
    let world = world(&[("u1", "joanna"), ("u2", "ann")], "substring").await;
    // With the id, the right account is found.
    let sure = world.task_for("delete_account", json!({"id": "u2", "username": "ann"}));
    let daemon = world.start();
    eventually("the account is gone", || world.task(&sure)["status"] == "completed").await;
    assert_eq!(people(&world), [("joanna".to_owned(), "active".to_owned())]);
    // With the name alone, the connector finds another account.
    for action in ["delete_account", "suspend_account"] {
        let task = world.task_for(action, json!({"username": "ann"}));
        daemon.says(&task).await;
        world.polled().await;
        assert_ne!(world.task(&task)["status"], "completed", "{action}");
    }
    assert_eq!(people(&world), [("joanna".to_owned(), "active".to_owned())]);
    daemon.stop().await;
    assert_eq!(people(&world), [("joanna".to_owned(), "active".to_owned())]);
}

#[tokio::test]
async fn missing_id_does_not_change_the_account_with_its_name() {
    let world = world(&[("u2", "ann")], "name for id").await;
    let before = world.read("target/people.json");
    let daemon = world.start();
    for action in
        ["suspend_account", "unsuspend_account", "reset_password", "update_account", "delete_account"]
    {
        let mut payload = json!({"account": {"id": "u1", "username": "ann"}});
        match action {
            "update_account" => payload["changes"] = json!({"status": "suspended"}),
            "reset_password" => payload["password"] = "a new one".into(),
            _ => {}
        }
        let task = world.sandbox.add_task(world.app, json!({"action": action, "payload": payload}));
        eventually("the task has ended", || world.task(&task)["status"] == "failed").await;
        assert_eq!(world.read("target/people.json"), before, "{action}: {}", daemon.log());
    }
    daemon.stop().await;
}

#[tokio::test]
async fn empty_description_during_an_outage_loses_no_suspension() {
    let world = world(&[("u1", "ann")], "empty description").await;
    world.write("target/down", "");
    let task = world.task_for("suspend_account", json!({"id": "u1", "username": "ann"}));
    let daemon = world.start();
    // The task is listed and refused several times.
    world.polled().await;
    assert_eq!(world.task(&task)["status"], "pending", "{}", daemon.log());
    std::fs::remove_file(world.path("target/down")).expect("the mark");
    eventually("the target is back, and the account suspended", || {
        world.task(&task)["status"] == "completed"
    })
    .await;
    assert_eq!(people(&world), [("ann".to_owned(), "suspended".to_owned())]);
    daemon.stop().await;
}
