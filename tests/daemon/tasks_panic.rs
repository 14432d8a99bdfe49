//! A connector in the daemon's process that panics.

use serde_json::json;

use crate::support::World;

#[tokio::test]
async fn connector_panic_affects_only_that_task() {
    let world = World::new().await;
    world.configure(
        "connector = \"simulated\"\nsync = { enabled = false }\n[apps.hr.tasks]\npoll_interval = \"100ms\"\n\
         timeout = \"5s\"\ngive_up_after = \"10s\"\n[apps.hr.target]\naccounts = 10\nlatency = \"20ms\"\n",
    );
    let create = |name: &str| {
        world.task_for("create_account", json!({"username": name, "email": format!("{name}@example.org")}))
    };
    let mut neighbours: Vec<String> = (0..10).map(|n| create(&format!("before-{n}"))).collect();
    let panics = [create("panic-one"), create("panic-two")];
    neighbours.extend((0..10).map(|n| create(&format!("after-{n}"))));
    let daemon = world.start();
    world.drained().await;
    let next = create("next");
    world.drained().await;
    let log = daemon.stop().await;
    for task in &panics {
        assert_eq!(world.code(task), "INTERNAL_ERROR");
        let message = world.message(task);
        assert!(
            message.contains("create_account for panic-") && message.contains("the connector panicked: "),
            "{message}"
        );
    }
    for task in neighbours.iter().chain([&next]) {
        assert_eq!(world.task(task)["status"], "completed", "{log}");
    }
    assert!(!log.contains("loop panicked"), "{log}");
}
