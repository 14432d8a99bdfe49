//! The shortest path through the whole system.

use serde_json::json;

use crate::support::World;

#[tokio::test]
async fn task_is_executed_and_reported_and_accounts_are_synced() {
    let world = World::new().await;
    world.write("people/accounts.csv", "id,email,username,status,team\nu1,ann@example.org,ann,active,t1\n");
    world.write("people/team.csv", "id,name\nt1,Team One\n");
    world.configure(
        "connector = \"file\"\ntasks = { poll_interval = \"200ms\" }\n[apps.hr.target]\npath = \"people\"\n",
    );
    let task = world.sandbox.add_task(
        world.app,
        json!({"action": "create_account", "payload": {"account": {"username": "bob", "email": "bob@example.org"}}}),
    );
    let daemon = world.start();
    world.drained().await;
    daemon.says("sync completed").await;
    assert_eq!(world.task(&task)["status"], "completed");
    assert_eq!(world.task(&task)["result"]["account_id"], "bob");
    assert!(world.read("people/accounts.csv").contains("bob@example.org"));
    let records = world.sandbox.records(world.app, "account");
    assert!(records.iter().any(|record| record["id"] == "u1" && record["active"] == true), "{records:?}");
    daemon.stop().await;
}
