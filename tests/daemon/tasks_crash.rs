//! A process that is killed midway loses nothing and does nothing twice.

use bridgehead::sandbox::{Effect, Fault, Loss};
use serde_json::{Value, json};

use crate::support::{World, eventually};

const QUICK: &str = "poll_interval = \"100ms\"\ntimeout = \"1s\"\ngive_up_after = \"60s\"\n";

#[tokio::test]
async fn change_applied_before_a_kill_is_verified_and_not_repeated() {
    let world = World::new().await;
    world.script_with(", own_ids = true", QUICK, "");
    for name in ["changed", "suspended", "restored", "deleted"] {
        let status = if name == "restored" { "suspended" } else { "active" };
        world.account(&json!({"id": format!("id-{name}"), "username": name, "status": status}));
    }
    world.rules(&json!([{"apply": true, "attempt": 1, "hang_until": "never"}]));
    let tasks = [
        world.task_for("create_account", json!({"username": "created", "email": "created@example.org", "password": "correct-horse"})),
        world.sandbox.add_task(
            world.app,
            json!({"action": "update_account", "payload": {"account": {"id": "id-changed"}, "changes": {"last_name": "New"}}}),
        ),
        world.task_for("suspend_account", json!({"id": "id-suspended"})),
        world.task_for("unsuspend_account", json!({"id": "id-restored"})),
        world.task_for("delete_account", json!({"id": "id-deleted"})),
    ];
    let daemon = world.start();
    eventually("everything is done", || tasks.iter().all(|task| world.applied(task) == 1)).await;
    daemon.kill();
    assert_eq!(world.tasks_that_are("pending"), 5);

    let daemon = world.start();
    world.drained().await;
    let log = daemon.stop().await;
    for task in &tasks {
        assert_eq!(world.task(task)["status"], "completed", "{log}");
        assert_eq!((world.attempts(task), world.applied(task)), (vec![1], 1), "{log}");
        assert_eq!(world.sandbox.reports(task).len(), 1);
    }
    let created =
        world.accounts().into_iter().find(|account| account["username"] == "created").expect("it is there");
    assert_eq!(world.task(&tasks[0])["result"], json!({"account_id": created["id"]}));
}

#[tokio::test]
async fn change_not_applied_before_a_kill_is_done_once_afterwards() {
    let world = World::new().await;
    world.script(QUICK, "");
    world.account(&json!({"id": "bob", "username": "bob"}));
    world.rules(&json!([{"attempt": 1, "until": "never"}]));
    let create = world.task_for("create_account", json!("ann"));
    let suspend = world.task_for("suspend_account", json!("bob"));
    // It follows in the same lane, and so after the recovery.
    let restore = world.task_for("unsuspend_account", json!("bob"));
    let daemon = world.start();
    eventually("both are under way", || {
        world.called("create_account", "ann") == 1 && world.called("suspend_account", "bob") == 1
    })
    .await;
    daemon.kill();
    world.rules(&json!([]));
    let daemon = world.start();
    world.drained().await;
    daemon.stop().await;
    for (task, attempts) in [(&create, vec![1, 2]), (&suspend, vec![1, 2]), (&restore, vec![1])] {
        assert_eq!(world.task(task)["status"], "completed");
        assert_eq!((world.attempts(task), world.applied(task)), (attempts, 1));
    }
    let applied: Vec<String> = world
        .calls()
        .into_iter()
        .filter(|line| line.event == "applied" && line.account == "bob")
        .map(|line| line.method)
        .collect();
    assert_eq!(applied, ["suspend_account", "unsuspend_account"]);
}

#[tokio::test]
async fn clock_jump_across_a_restart_ages_no_attempt() {
    let world = World::new().await;
    world.script("poll_interval = \"100ms\"\ntimeout = \"20s\"\ngive_up_after = \"60s\"\n", "");
    world.rules(&json!([{"method": "create_account", "attempt": 1, "until": "never"}]));
    let task = world.task_for("create_account", json!("ann"));
    let daemon = world.start();
    eventually("it is under way", || world.called("create_account", "ann") == 1).await;
    daemon.kill();
    world.rules(&json!([]));
    let before = world.called("find_account", "ann");
    let daemon = world.start_with(&[("BRIDGEHEAD_TEST_CLOCK_AHEAD", "86400")]);
    // Three look-ups would be enough to conclude that the account does not exist, once the attempt has certainly ended.
    eventually("it has looked, or tried again", || {
        world.called("find_account", "ann") >= before + 4 || world.attempts(&task).len() > 1
    })
    .await;
    // Only now does the target show the effect of the first attempt.
    world.rules(
        &json!([{"method": "find_account", "account": "ann", "answer": {"id": "ann", "username": "ann"}}]),
    );
    world.drained().await;
    daemon.stop().await;
    assert_eq!((world.task(&task)["status"].as_str(), world.attempts(&task)), (Some("completed"), vec![1]));
}

#[tokio::test]
async fn unreported_outcome_is_reported_after_a_kill() {
    let world = World::new().await;
    world.script_with(", own_ids = true", QUICK, "");
    world.rules(&json!([{"account": "bob", "error": {"message": "no seat for bob", "data": {"code": "LICENSE_EXHAUSTED"}}}]));
    let ann = world.task_for("create_account", json!("ann"));
    let bob = world.task_for("create_account", json!("bob"));
    let fault = world.sandbox.add_fault(Fault::new(Effect::answer(503)).method("PATCH").path("**/status/"));
    let daemon = world.start();
    daemon.says("the outcome could not be reported").await;
    eventually("both are decided", || [&ann, &bob].iter().all(|task| !world.reported(task).is_empty())).await;
    daemon.kill();
    assert_eq!(world.tasks_that_are("pending"), 2);

    // The target is unavailable now, and no longer needed.
    world.rules(&json!([{"method": "initialize", "error": {"message": "gone"}}]));
    world.sandbox.remove_fault(fault);
    let daemon = world.start();
    world.drained().await;
    daemon.stop().await;
    assert_eq!(world.task(&ann)["result"], json!({"account_id": "e-1"}));
    assert_eq!(world.task(&bob)["error"], json!({"code": "LICENSE_EXHAUSTED", "message": "no seat for bob"}));
    assert_eq!((world.attempts(&ann), world.attempts(&bob)), (vec![1], vec![1]));
}

#[tokio::test]
async fn report_received_before_a_kill_is_not_repeated_forever() {
    let world = World::new().await;
    world.script(QUICK, "");
    // The report takes effect, but its response is lost: neither the process nor its journal knows about it.
    world.sandbox.add_fault(Fault::new(Effect::Lose(Loss::Cut)).method("PATCH").path("**/status/").times(1));
    world.sandbox.add_fault(Fault::new(Effect::answer(503)).method("PATCH").path("**/status/").times(1));
    let task = world.task_for("create_account", json!("ann"));
    let daemon = world.start();
    eventually("the report was lost", || world.sandbox.reports(&task).len() == 2).await;
    daemon.kill();
    let daemon = world.start();
    daemon.says("(409)").await;
    daemon.stop().await;
    let daemon = world.start();
    daemon.says("ready").await;
    daemon.stop().await;
    assert_eq!((world.attempts(&task), world.applied(&task)), (vec![1], 1));
    let reports = world.sandbox.reports(&task);
    assert_eq!(reports.iter().map(|report| report.handled).collect::<Vec<_>>(), [Some(200), None, Some(409)]);
}

#[tokio::test]
async fn repeated_kills_neither_lose_nor_duplicate_tasks() {
    let world = World::new().await;
    world.script(
        "poll_interval = \"100ms\"\ntimeout = \"300ms\"\ngive_up_after = \"60s\"\nconcurrency = 4\n",
        "",
    );
    let tasks: Vec<String> =
        (0..40).map(|n| world.task_for("create_account", json!(format!("user-{n}")))).collect();
    for _ in 0..5 {
        let daemon = world.start();
        let wanted = world.tasks_that_are("completed") + 5;
        eventually("some more are done", || world.tasks_that_are("completed") >= wanted.min(40)).await;
        daemon.kill();
    }
    let daemon = world.start();
    world.drained().await;
    daemon.stop().await;
    assert_eq!(world.accounts().len(), 40);
    for task in &tasks {
        assert_eq!(world.task(task)["status"], "completed");
        assert_eq!(world.applied(task), 1);
        assert_ne!(world.task(task)["result"], Value::Null);
    }
}
