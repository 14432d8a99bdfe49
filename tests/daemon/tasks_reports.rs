//! Reports whose responses are lost, rejected or delayed.

use bridgehead::sandbox::{Canned, Effect, Fault, Filter, Loss};
use serde_json::json;

use crate::support::{World, eventually};
use crate::target::QUICK;

#[tokio::test]
async fn lost_report_response_repeats_the_report_but_not_the_task() {
    let lost = [Loss::Cut, Loss::Truncate, Loss::Status(500), Loss::Status(502)].map(Effect::Lose);
    let worlds = lost.into_iter().chain([Effect::Garbage { status: 200 }]).map(async |effect| {
        let world = World::new().await;
        world.script(QUICK, "");
        world.sandbox.add_fault(Fault::new(effect.clone()).method("PATCH").path("**/status/").times(1));
        let task = world.task_for("create_account", json!("ann"));
        let daemon = world.start();
        daemon.says("(409)").await;
        let log = daemon.stop().await;
        assert_eq!((world.attempts(&task), world.applied(&task)), (vec![1], 1), "{effect:?}");
        let reports = world.sandbox.reports(&task);
        let handled: Vec<_> = reports.iter().map(|report| report.handled).collect();
        assert_eq!(handled, [Some(200), Some(409)], "{effect:?}: {log}");
        assert_eq!(reports[0].body, reports[1].body, "{effect:?}");
        assert_eq!(world.task(&task)["status"], "completed");
    });
    futures::future::join_all(worlds).await;
}

#[tokio::test]
async fn undelivered_report_is_repeated_until_it_arrives() {
    // A 404 page from a proxy says nothing about the task.
    let page = Canned { status: 404, body: None, text: Some("<html>".into()), headers: [].into() };
    let effects =
        [Effect::Cut, Effect::answer(503), Effect::answer(429), Effect::answer(418), Effect::Answer(page)];
    let worlds = effects.into_iter().map(async |effect| {
        let world = World::new().await;
        world.script(QUICK, "");
        world.sandbox.add_fault(Fault::new(effect).method("PATCH").path("**/status/").times(2));
        let task = world.task_for("create_account", json!("ann"));
        let daemon = world.start();
        world.drained().await;
        daemon.stop().await;
        assert_eq!((world.attempts(&task), world.applied(&task)), (vec![1], 1));
        assert_eq!(world.task(&task)["result"], json!({"account_id": "ann"}));
        let took_effect: Vec<bool> =
            world.sandbox.reports(&task).iter().map(bridgehead::sandbox::Report::took_effect).collect();
        assert_eq!(took_effect, [false, false, true]);
    });
    futures::future::join_all(worlds).await;
}

#[tokio::test]
async fn rejected_report_is_kept_and_shown() {
    let world = World::new().await;
    world.script(QUICK, "");
    let refusal = Effect::answer_json(400, json!({"detail": "Field required"}));
    world.sandbox.add_fault(Fault::new(refusal).method("PATCH").path("**/status/").times(1));
    let task = world.task_for("create_account", json!("ann"));
    let daemon = world.start();
    daemon.says("Iden rejected the report of this task").await;
    let other = world.task_for("create_account", json!("bob"));
    eventually("the next task is done", || world.task(&other)["status"] == "completed").await;
    daemon.stop().await;
    assert_eq!((world.attempts(&task), world.sandbox.reports(&task).len()), (vec![1], 1));
    let shown = world.run(&["tasks", "list", "--rejected", "--json"]).await;
    let shown: serde_json::Value = serde_json::from_slice(&shown.stdout).expect("JSON");
    assert_eq!(shown[0]["task"], json!(task));
    assert!(shown[0]["detail"].as_str().is_some_and(|detail| detail.contains("Field required")), "{shown}");
}

#[tokio::test]
async fn task_unknown_to_iden_is_reported_again_while_listed() {
    let world = World::new().await;
    world.script(QUICK, "");
    let missing = Effect::answer_json(404, json!({"detail": "Task not found."}));
    world.sandbox.add_fault(Fault::new(missing).method("PATCH").path("**/status/").times(1));
    let task = world.task_for("create_account", json!("ann"));
    let daemon = world.start();
    daemon.says("is no longer known to Iden (404)").await;
    let other = world.task_for("create_account", json!("bob"));
    eventually("the next task is done", || world.task(&other)["status"] == "completed").await;
    eventually("it is done as well", || world.task(&task)["status"] == "completed").await;
    daemon.stop().await;
    let reports = world.reported(&task);
    assert_eq!((world.attempts(&task), reports.len()), (vec![1], 2));
    assert_eq!(reports[0], reports[1]);
}

/// The times of requests of a kind, in seconds after the first.
fn times(world: &World, method: &str, path: &str) -> Vec<f64> {
    let filter = Filter { method: Some(method.into()), path: Some(path.into()), ..Filter::default() };
    let entries = world.sandbox.ledger_matching(&filter);
    let seconds =
        |entry: &bridgehead::sandbox::Entry| entry.time.duration_since(entries[0].time).as_secs_f64();
    entries.iter().map(seconds).collect()
}

#[tokio::test]
async fn report_honors_retry_after() {
    let world = World::new().await;
    world.script(QUICK, "");
    world
        .sandbox
        .add_fault(Fault::new(Effect::retry_after(429, 2)).method("PATCH").path("**/status/").times(1));
    let tasks =
        [world.task_for("create_account", json!("ann")), world.task_for("create_account", json!("bob"))];
    let daemon = world.start();
    world.drained().await;
    daemon.stop().await;
    let reports = times(&world, "PATCH", "/status/");
    // First the rejected report and perhaps one that was already in progress, then nothing for two seconds.
    let resumed = reports.iter().find(|at| **at > 0.5).copied().expect("it was repeated");
    assert!(resumed >= 1.9, "{reports:?}");
    for task in &tasks {
        assert_eq!((world.attempts(task), world.task(task)["status"].as_str()), (vec![1], Some("completed")));
    }
}

#[tokio::test]
async fn task_list_honors_retry_after() {
    let world = World::new().await;
    world.script(QUICK, "");
    world.sandbox.add_fault(Fault::new(Effect::retry_after(429, 2)).method("GET").path("**/tasks/").times(1));
    let task = world.task_for("create_account", json!("ann"));
    let daemon = world.start();
    world.drained().await;
    daemon.stop().await;
    let lists = times(&world, "GET", "/tasks/");
    assert!(lists[1] >= 1.9, "{lists:?}");
    assert_eq!(world.attempts(&task), [1]);
}
