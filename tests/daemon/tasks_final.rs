//! A report is final once Iden agrees: a task that is still listed after its end is reported again, but never executed again.

use serde_json::json;

use crate::other_iden::{OtherIden, Reply};
use crate::support::{World, eventually};
use crate::target::QUICK;

async fn at_the_other(iden: &OtherIden) -> World {
    let world = World::new().await;
    iden.has_app(&world.app.to_string());
    world.script(QUICK, "");
    let text = world.read("bridgehead.toml").replace(&world.sandbox.base_url(), iden.base_url());
    world.write("bridgehead.toml", &text);
    world
}

#[tokio::test]
async fn report_forgotten_by_iden_is_repeated_without_reexecution() {
    let iden = OtherIden::start().await;
    let world = at_the_other(&iden).await;
    let ids = ["11111111-aaaa-4111-8111-111111111111", "22222222-AAAA-4111-8111-222222222222", "third"];
    iden.replies(&[Reply::Lose, Reply::Conflict, Reply::Missing]);
    for (n, id) in ids.iter().enumerate() {
        iden.add(id, "create_account", json!({"account": {"username": format!("user-{n}")}}));
    }
    let daemon = world.start();
    eventually("Iden agrees", || ids.iter().all(|id| iden.status(id) == "completed")).await;
    daemon.stop().await;
    for id in ids {
        let reports = iden.reports(id);
        assert!(reports.len() == 2 && reports[0] == reports[1], "{reports:?}");
        assert_eq!(world.applied(&id.to_lowercase()), 1, "an id is one id however it is spelled");
    }
}

#[tokio::test]
async fn report_forgotten_during_downtime_is_repeated() {
    let iden = OtherIden::start().await;
    let world = at_the_other(&iden).await;
    iden.replies(&[Reply::Lose, Reply::Lose]);
    iden.add("good", "create_account", json!({"account": {"username": "ann"}}));
    iden.add("bad", "suspend_account", json!({"account": {"username": "nobody"}}));
    let mut daemon = world.start();
    eventually("both are reported", || ["good", "bad"].iter().all(|id| !iden.reports(id).is_empty())).await;
    daemon.signal("STOP").await;
    daemon.signal("KILL").await;
    daemon.ended().await;
    let daemon = world.start();
    eventually("Iden agrees", || iden.status("good") == "completed" && iden.status("bad") == "failed").await;
    let log = daemon.stop().await;
    for id in ["good", "bad"] {
        let reports = iden.reports(id);
        assert!(reports.len() >= 2 && reports.iter().all(|report| *report == reports[0]), "{reports:?}");
    }
    assert_eq!(world.applied("good"), 1, "{log}");
}
