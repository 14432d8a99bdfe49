//! Attempts that fail, are verified, and are repeated.

use serde_json::{Value, json};

use crate::support::{World, eventually};
use crate::target::QUICK;

/// Short enough that a hanging call exceeds its deadline, long enough for one that does not hang.
const SHORT: &str = "poll_interval = \"100ms\"\ntimeout = \"1s\"\ngive_up_after = \"30s\"\n";

fn error(code: &str, more: Value) -> Value {
    let mut data = more;
    data["code"] = json!(code);
    json!({"message": format!("HR says {code}"), "data": data})
}

#[tokio::test]
async fn rate_limited_task_is_retried_after_the_given_time() {
    let world = World::new().await;
    world.script(QUICK, "");
    world.rules(&json!([
        {"method": "create_account", "account": "ann", "error": error("RATE_LIMITED", json!({})), "times": 2},
        {"method": "create_account", "account": "bob", "error": error("RATE_LIMITED", json!({"retry_after": 2})), "times": 1},
    ]));
    let ann = world.task_for("create_account", json!("ann"));
    let bob = world.task_for("create_account", json!("bob"));
    let began = tokio::time::Instant::now();
    let daemon = world.start();
    eventually("the first is done", || world.task(&ann)["status"] == "completed").await;
    assert_eq!(world.attempts(&ann), [1, 2, 3]);
    world.drained().await;
    assert!(began.elapsed().as_secs_f64() > 2.0);
    daemon.stop().await;
    assert_eq!((world.attempts(&bob), world.task(&bob)["status"].as_str()), (vec![1, 2], Some("completed")));
}

#[tokio::test]
async fn timed_out_call_that_took_effect_is_completed() {
    let world = World::new().await;
    world.script_with(", own_ids = true", SHORT, "");
    world.account(&json!({"id": "id-bob", "username": "bob", "status": "active"}));
    world.rules(&json!([{"attempt": 1, "apply": true, "hang": 3}]));
    let create = world.task_for("create_account", json!({"username": "ann", "email": "ann@example.org"}));
    let suspend = world.task_for("suspend_account", json!({"id": "id-bob"}));
    let daemon = world.start();
    world.drained().await;
    daemon.stop().await;
    for task in [&create, &suspend] {
        assert_eq!(world.task(task)["status"], "completed");
        assert_eq!((world.attempts(task), world.applied(task)), (vec![1], 1));
    }
    assert_eq!(world.task(&create)["result"], json!({"account_id": "e-2"}));
}

#[tokio::test]
async fn timed_out_call_without_effect_is_retried_once_certain() {
    let world = World::new().await;
    world.script(SHORT, "");
    world.account(&json!({"id": "bob", "username": "bob"}));
    world.rules(&json!([{"attempt": 1, "apply": false, "hang": 3, "answer": {}}]));
    let create = world.task_for("create_account", json!("ann"));
    let suspend = world.task_for("suspend_account", json!("bob"));
    let daemon = world.start();
    world.drained().await;
    daemon.stop().await;
    for task in [&create, &suspend] {
        assert_eq!(world.task(task)["status"], "completed");
        assert_eq!((world.attempts(task), world.applied(task)), (vec![1, 2], 1));
    }
    // Repeating a create too early makes a second account, so the account must be missing in several look-ups.
    assert!(world.called("find_account", "ann") >= 3, "{}", world.called("find_account", "ann"));
    // The call may still be in progress; repeating it immediately would overlap with it.
    assert!(world.called("find_account", "bob") >= 2, "{}", world.called("find_account", "bob"));
}

#[tokio::test]
async fn stale_lookup_does_not_create_a_second_account() {
    let world = World::new().await;
    world.script(SHORT, "");
    world.rules(&json!([
        {"method": "create_account", "attempt": 1, "apply": true, "hang": 3},
        {"method": "find_account", "answer": null, "times": 2},
    ]));
    let task = world.task_for("create_account", json!("ann"));
    let daemon = world.start();
    world.drained().await;
    daemon.stop().await;
    assert_eq!((world.attempts(&task), world.applied(&task)), (vec![1], 1));
    assert_eq!(world.task(&task)["result"], json!({"account_id": "ann"}));
}

#[tokio::test]
async fn stale_lookup_does_not_count_as_a_deletion() {
    let world = World::new().await;
    world.script(SHORT, "");
    world.account(&json!({"id": "ann", "username": "ann"}));
    world.rules(&json!([
        {"method": "delete_account", "attempt": 1, "error": error("TIMEOUT", json!({}))},
        {"method": "find_account", "answer": null, "times": 2},
    ]));
    let task = world.task_for("delete_account", json!("ann"));
    let daemon = world.start();
    world.drained().await;
    daemon.stop().await;
    assert_eq!(
        (world.task(&task)["status"].as_str(), world.attempts(&task)),
        (Some("completed"), vec![1, 2])
    );
    assert_eq!(world.accounts().len(), 0);
}

#[tokio::test]
async fn failed_lookup_never_means_a_missing_account() {
    let world = World::new().await;
    world.script("poll_interval = \"100ms\"\ntimeout = \"1s\"\ngive_up_after = \"3s\"\n", "");
    world.rules(&json!([
        {"method": "create_account", "apply": true, "error": error("TIMEOUT", json!({}))},
        {"method": "find_account", "account": "ann", "error": error("INTERNAL_ERROR", json!({"effect": "not_applied"}))},
        {"method": "find_account", "account": "bob", "error": error("TIMEOUT", json!({}))},
    ]));
    let ann = world.task_for("create_account", json!("ann"));
    let bob = world.task_for("create_account", json!("bob"));
    let daemon = world.start();
    world.drained().await;
    daemon.stop().await;
    assert_eq!((world.code(&ann).as_str(), world.attempts(&ann)), ("TIMEOUT", vec![1]));
    let message = world.message(&ann);
    assert!(
        message.starts_with("HR says TIMEOUT; ") && message.contains("could not be read back"),
        "{message}"
    );
    // It could not be determined whether the account existed, so nothing was done.
    assert_eq!((world.code(&bob).as_str(), world.attempts(&bob)), ("TIMEOUT", vec![]));
    assert!(world.accounts().iter().all(|account| account["username"] != "bob"));
}

#[tokio::test]
async fn last_code_is_reported_after_give_up_after() {
    let world = World::new().await;
    world.script("poll_interval = \"100ms\"\ntimeout = \"1s\"\ngive_up_after = \"3s\"\n", "");
    world.account(&json!({"id": "bob", "username": "bob"}));
    world.rules(&json!([
        {"method": "create_account", "account": "ann", "error": error("RATE_LIMITED", json!({})), "times": 1},
        {"method": "create_account", "account": "ann", "error": error("INTERNAL_ERROR", json!({"effect": "not_applied", "retry": "backoff"}))},
        {"account": "bob", "method": "suspend_account", "error": error("TIMEOUT", json!({}))},
    ]));
    let ann = world.task_for("create_account", json!("ann"));
    let bob = world.task_for("suspend_account", json!("bob"));
    let daemon = world.start();
    world.drained().await;
    daemon.stop().await;
    assert_eq!(
        world.task(&ann)["error"],
        json!({"code": "INTERNAL_ERROR", "message": "HR says INTERNAL_ERROR"})
    );
    let attempts = world.attempts(&ann);
    assert!(attempts.len() > 1 && attempts.iter().copied().eq(1..=attempts.len() as u64), "{attempts:?}");
    assert_eq!(world.code(&bob), "TIMEOUT");
    assert!(world.message(&bob).starts_with("HR says TIMEOUT"), "{}", world.message(&bob));
}

#[tokio::test]
async fn existing_account_completes_a_create_only_if_identical() {
    let world = World::new().await;
    world.script(QUICK, "");
    let there = |n: usize, more: Value| {
        let mut record = json!({"id": format!("id-{n}"), "username": format!("user-{n}"), "email": format!("user-{n}@example.org"), "first_name": "Ann"});
        record.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        world.account(&record);
    };
    there(1, json!({"title": "Boss", "memberships": {"team": ["t1", "t2"]}}));
    there(2, json!({"first_name": "Other"}));
    there(3, json!({"memberships": {"team": ["t2"]}}));
    there(4, json!({"status": "suspended"}));
    there(5, json!({"email": "somebody-else@example.org"}));
    // They match as far as the target shows, but one needs a password, and another does not show a field.
    there(6, json!({}));
    there(7, json!({"email": null}));
    let tasks: Vec<String> = (1..=7)
        .map(|n| {
            world.sandbox.add_task(
                world.app,
                json!({"action": "create_account", "payload": {
                    "account": {"username": format!("USER-{n}"), "email": format!("user-{n}@example.org"), "first_name": "Ann", "password": if n == 6 { json!("correct-horse") } else { Value::Null }},
                    "memberships": if n == 3 || n == 1 { json!({"team": ["t1"]}) } else { Value::Null }
                }}),
            )
        })
        .collect();
    let daemon = world.start();
    world.drained().await;
    daemon.stop().await;
    assert_eq!(world.reported(&tasks[0]), [json!({"status": "completed", "result": {"account_id": "id-1"}})]);
    for (n, task) in tasks.iter().enumerate().skip(1) {
        let message = format!("User USER-{} already exists in hr", n + 1);
        let wanted =
            json!({"status": "failed", "error": {"code": "ACCOUNT_ALREADY_EXISTS", "message": message}});
        assert_eq!(world.reported(task), [wanted], "{n}");
        assert!(world.attempts(task).is_empty(), "not every target refuses a second account of a name");
    }
    assert_eq!(world.accounts().len(), 7);
}

#[tokio::test]
async fn retried_delete_of_a_missing_account_is_completed() {
    let world = World::new().await;
    world.script(SHORT, "");
    world.account(&json!({"id": "ann", "username": "ann"}));
    // The deletion was made but reported as failed: only the second attempt finds no account. The look-up lags behind.
    let hidden = json!({"id": "ann", "username": "ann"});
    world.rules(&json!([
        {"method": "delete_account", "account": "ann", "attempt": 1, "apply": true, "error": error("TIMEOUT", json!({}))},
        {"method": "find_account", "account": "ann", "answer": hidden},
    ]));
    let again = world.task_for("delete_account", json!("ann"));
    let first = world.task_for("delete_account", json!("nobody"));
    let daemon = world.start();
    world.drained().await;
    daemon.stop().await;
    assert_eq!(
        (world.task(&again)["status"].as_str(), world.attempts(&again)),
        (Some("completed"), vec![1, 2])
    );
    let wanted = json!({"code": "ACCOUNT_NOT_FOUND", "message": "User nobody not found in hr"});
    assert_eq!((&world.task(&first)["error"], world.attempts(&first)), (&wanted, vec![1]));
}

#[tokio::test]
async fn failed_update_does_not_lose_the_following_suspension() {
    let world = World::new().await;
    world.script(QUICK, "");
    world.account(&json!({"id": "ann", "username": "ann", "status": "active"}));
    let limited = error("RATE_LIMITED", json!({}));
    let failed = error("LICENSE_EXHAUSTED", json!({}));
    world.rules(&json!([
        {"method": "update_account", "attempt": 1, "error": limited},
        {"method": "update_account", "attempt": 2, "error": failed},
    ]));
    let update = world.sandbox.add_task(
        world.app,
        json!({"action": "update_account", "payload": {"account": {"id": "ann"}, "changes": {"title": "Boss"}}}),
    );
    let suspend = world.task_for("suspend_account", json!("ann"));
    let daemon = world.start();
    world.drained().await;
    daemon.stop().await;
    assert_eq!((world.code(&update).as_str(), world.attempts(&update)), ("LICENSE_EXHAUSTED", vec![1, 2]));
    assert_eq!(
        (world.task(&suspend)["status"].as_str(), world.attempts(&suspend)),
        (Some("completed"), vec![1])
    );
    assert_eq!(world.accounts()[0]["status"], "suspended");
    // It did not overtake the update either.
    let order: Vec<String> = world
        .calls()
        .into_iter()
        .filter(|line| line.event == "start" && !line.task.is_empty())
        .map(|line| line.method)
        .collect();
    assert_eq!(order, ["update_account", "update_account", "suspend_account"]);
}

#[tokio::test]
async fn tasks_waiting_for_a_retry_block_no_others() {
    let world = World::new().await;
    world.script(&format!("{QUICK}concurrency = 2\n"), "");
    let slow_down = error("RATE_LIMITED", json!({"retry_after": 50}));
    let rules: Vec<Value> = (0..10)
        .map(|n| json!({"method": "create_account", "account": format!("slow-{n}"), "error": slow_down}))
        .collect();
    world.rules(&json!(rules));
    let slow: Vec<String> =
        (0..10).map(|n| world.task_for("create_account", json!(format!("slow-{n}")))).collect();
    let daemon = world.start();
    eventually("all of them wait", || slow.iter().all(|task| world.attempts(task) == [1])).await;
    let others: Vec<String> =
        (0..20).map(|n| world.task_for("create_account", json!(format!("user-{n}")))).collect();
    eventually("the others are done", || world.tasks_that_are("completed") == others.len()).await;
    assert_eq!(world.tasks_that_are("pending"), slow.len());
    daemon.stop().await;
}
