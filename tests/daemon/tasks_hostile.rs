//! Invalid payloads, lists and connectors: each fails only one task, and does not affect others.

use bridgehead::sandbox::{Canned, Effect, Fault};
use serde_json::{Value, json};

use crate::support::{World, eventually};
use crate::target::QUICK;

/// Tasks before and after the faulty one, which must all be completed, and none of them twice.
struct Neighbours(Vec<String>);

impl Neighbours {
    fn of(world: &World, part: &str) -> Self {
        Self((0..6).map(|n| world.task_for("create_account", json!(format!("{part}-{n}")))).collect())
    }

    fn are_done(&self, world: &World) {
        for task in &self.0 {
            assert_eq!(world.task(task)["status"], "completed", "{task}");
            // A process that is killed between a change and its ledger entry leaves no entry; two entries are too many.
            assert!(world.applied(task) <= 1, "{task} was applied {} times", world.applied(task));
        }
    }
}

#[tokio::test]
async fn malformed_payload_fails_only_its_task_before_the_connector() {
    let world = World::new().await;
    world.script(QUICK, "");
    let before = Neighbours::of(&world, "before");
    let cases = [
        ("create_account", json!(["secret-list"]), "payload must be an object, not a list"),
        ("create_account", json!("secret-text"), "payload must be an object"),
        (
            "create_account",
            Value::Null,
            "account must be an account identified by at least one of id, username and email",
        ),
        (
            "create_account",
            json!({}),
            "account must be an account identified by at least one of id, username and email",
        ),
        (
            "delete_account",
            json!({"account": {"first_name": "Nobody"}}),
            "account must be an account identified by at least one of id, username and email",
        ),
        ("create_account", json!({"account": ["secret-name"]}), "account must be an object, not a list"),
        (
            "create_account",
            json!({"account": {"username": {"secret": 1}}}),
            "account.username must be text, not an object",
        ),
        (
            "suspend_account",
            json!({"account": {"id": 1.5}}),
            "account.id must be text or a whole number, not a number",
        ),
        (
            "update_account",
            json!({"account": {"id": "x"}, "changes": ["secret-change"]}),
            "changes must be an object, not a list",
        ),
        (
            "create_account",
            json!({"account": {"id": "x"}, "memberships": "secret-member"}),
            "memberships must be",
        ),
    ];
    let tasks: Vec<String> = cases
        .iter()
        .enumerate()
        .map(|(n, (action, payload, _))| {
            let task = json!({"raw": true, "id": format!("bad-{n}"), "action": action, "status": "pending", "payload": payload});
            world.sandbox.add_task(world.app, task)
        })
        .collect();
    let after = Neighbours::of(&world, "after");
    let daemon = world.start();
    world.drained().await;
    let log = daemon.stop().await;
    for ((action, payload, why), task) in cases.iter().zip(&tasks) {
        assert_eq!(world.code(task), "INTERNAL_ERROR", "{payload}");
        let message = world.message(task);
        assert!(
            message.starts_with(&format!("{action} in hr: malformed payload: {why}")),
            "{payload}: {message}"
        );
        assert!(!message.contains("secret-") && world.attempts(task).is_empty(), "{message}");
    }
    before.are_done(&world);
    after.are_done(&world);
    assert!(!log.contains("secret-"), "{log}");
}

#[tokio::test]
async fn unknown_action_fails_only_its_task() {
    let world = World::new().await;
    world.script_with(", actions = [\"create_account\"]", QUICK, "");
    let before = Neighbours::of(&world, "before");
    let task = |action: Value| {
        world
            .sandbox
            .add_task(world.app, json!({"action": action, "payload": {"account": {"username": "ann"}}}))
    };
    let unknown = task(json!("merge_account"));
    let number = task(json!(7));
    let not_offered = task(json!("delete_account"));
    let after = Neighbours::of(&world, "after");
    let daemon = world.start();
    world.drained().await;
    daemon.stop().await;
    for (task, says) in [
        (&unknown, "merge_account"),
        (&number, "hr"),
        (&not_offered, "the connector 'target' of hr does not offer delete_account"),
    ] {
        assert_eq!(world.code(task), "INTERNAL_ERROR");
        assert!(world.message(task).contains(says), "{}", world.message(task));
        assert!(world.attempts(task).is_empty());
    }
    before.are_done(&world);
    after.are_done(&world);
}

#[tokio::test]
async fn connector_exit_during_a_call_affects_only_that_task() {
    let world = World::new().await;
    world.script("poll_interval = \"100ms\"\ntimeout = \"1s\"\ngive_up_after = \"20s\"\n", "");
    let before = Neighbours::of(&world, "before");
    // The other tasks are in progress when the process ends; what they did until then must not be done again.
    world.rules(&json!([
        {"account": "crash", "method": "suspend_account", "exit": 3},
        {"method": "create_account", "attempt": 1, "apply": true, "hang": 0.2},
    ]));
    world.account(&json!({"id": "crash", "username": "crash"}));
    let crash = world.task_for("suspend_account", json!("crash"));
    let after = Neighbours::of(&world, "after");
    let daemon = world.start();
    world.drained().await;
    daemon.stop().await;
    assert_eq!(world.code(&crash), "INTERNAL_ERROR");
    let message = world.message(&crash);
    assert!(
        message.contains("exited with status 3") && message.contains("suspend_account for crash"),
        "{message}"
    );
    before.are_done(&world);
    after.are_done(&world);
}

#[tokio::test]
async fn garbage_on_stdout_affects_only_that_task() {
    let world = World::new().await;
    world.script("poll_interval = \"100ms\"\ntimeout = \"1s\"\ngive_up_after = \"60s\"\n", "");
    world.account(&json!({"id": "noisy", "username": "noisy"}));
    let before = Neighbours::of(&world, "before");
    world.rules(&json!([
        {"account": "noisy", "method": "suspend_account", "garbage": "Traceback: {password}\n", "times": 2},
        {"method": "create_account", "attempt": 1, "apply": true, "hang": 0.2},
    ]));
    let noisy = world.task_for("suspend_account", json!({"username": "noisy", "password": "correct-horse"}));
    let after = Neighbours::of(&world, "after");
    let daemon = world.start();
    world.drained().await;
    let log = daemon.stop().await;
    assert_eq!((&world.task(&noisy)["status"], world.applied(&noisy)), (&json!("completed"), 1));
    assert_eq!(world.attempts(&noisy), [1, 2, 3]);
    assert!(log.contains("INTERNAL_ERROR") && !log.contains("correct-horse"), "{log}");
    before.are_done(&world);
    after.are_done(&world);
}

#[tokio::test]
async fn malformed_list_item_affects_only_itself() {
    let world = World::new().await;
    world.script(QUICK, "");
    let before = Neighbours::of(&world, "before");
    for odd in [
        json!(null),
        json!("text"),
        json!([1, 2]),
        json!({"action": "create_account", "status": "pending", "payload": {"account": {"username": "no-id"}}}),
        json!({"id": null, "action": "create_account"}),
        json!({"id": "..", "action": "create_account", "payload": {"account": {"username": "path"}}}),
        json!({"id": 4711, "action": "create_account", "payload": {"account": {"username": "number"}}}),
    ] {
        world.sandbox.add_task(world.app, json!({"raw": true, "task": odd}));
    }
    let no_status = json!({"raw": true, "id": "bare", "action": "create_account", "payload": {"account": {"username": "bare"}}});
    world.sandbox.add_task(world.app, no_status);
    let after = Neighbours::of(&world, "after");
    let daemon = world.start();
    let done =
        ["bare"].into_iter().chain(before.0.iter().chain(&after.0).map(String::as_str)).collect::<Vec<_>>();
    eventually("the good tasks are reported", || done.iter().all(|task| world.reported(task).len() == 1))
        .await;
    eventually("the number is reported", || !world.reported("4711").is_empty()).await;
    let log = daemon.stop().await;
    before.are_done(&world);
    after.are_done(&world);
    assert_eq!(world.applied("bare"), 1);
    // A number is an id, too; although Iden does not know it afterwards, the task is not executed again.
    assert_eq!(world.applied("4711"), 1);
    assert!(world.accounts().iter().all(|account| account["id"] != "no-id" && account["id"] != "path"));
    assert_eq!(log.matches("a task has no id").count(), 1, "once for each kind, not at every poll: {log}");
}

#[tokio::test]
async fn deeply_nested_payload_fails_only_its_task() {
    let world = World::new().await;
    world.script(QUICK, "");
    let before = Neighbours::of(&world, "before");
    let (deep, half) = ("deep", "half");
    for task in [deep, half] {
        world.sandbox.add_task(
            world.app,
            json!({"id": task, "action": "suspend_account", "payload": {"account": task}}),
        );
    }
    let after = Neighbours::of(&world, "after");
    let nested = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let list =
        json!({"count": 14, "next": null, "previous": null, "results": world.sandbox.tasks(world.app)})
            .to_string()
            .replace("\"account\":\"deep\"", &format!("\"account\":{{\"id\":\"deep\",\"x\":{nested}}}"))
            .replace("\"account\":\"half\"", "\"account\":{\"id\":\"half\",\"x\":\"\\ud800\"}");
    let canned = Canned { status: 200, body: None, text: Some(list), headers: [].into() };
    world.sandbox.add_fault(Fault::new(Effect::Answer(canned)).method("GET").path("**/tasks/"));
    let daemon = world.start();
    world.drained().await;
    daemon.stop().await;
    for task in [deep, half] {
        assert_eq!(world.code(task), "INTERNAL_ERROR");
        assert!(world.message(task).contains("nested too deeply"), "{}", world.message(task));
        assert!(world.attempts(task).is_empty());
    }
    before.are_done(&world);
    after.are_done(&world);
}
